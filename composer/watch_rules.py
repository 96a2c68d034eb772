"""Which rules of `develop.watch` a changed file concerns, and what follows of it. Pure."""

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

from runtime import Matcher, parse_ignore_file

REBUILD, RESTART, SYNC = "rebuild", "restart", "sync"
# What editors leave beside a file while they write it.
_EPHEMERAL = (
    "**/.#*", "**/*~", "**/*.swp", "**/*.swx", "**/.*.kate-swp", "**/4913", "**/.idea", "**/.DS_Store",
    "**/.goutputstream*", "**/*___jb_tmp___", "**/*___jb_old___",
)  # fmt: skip
_GIT = (".git", "**/.git")


class Rule:
    """One entry of develop.watch. `ignored_by` are the patterns of the build context's .dockerignore, if it has one."""

    def __init__(
        self, service: str, data: Mapping[str, Any], context: str = "", ignored_by: Iterable[str] = ()
    ) -> None:
        self.service = service
        self.path = str(data["path"]).rstrip("/") or "/"
        self.action = str(data["action"])
        self.target = str(data.get("target", ""))
        self.initial_sync = bool(data.get("initial_sync"))
        self.exec: Mapping[str, Any] = data.get("exec") or {}
        self._context = context.rstrip("/")
        self._of_context = Matcher(ignored_by)
        self._ignored = _matcher(data.get("ignore"))
        self._included = _matcher(data.get("include"))
        self._never = Matcher((*_EPHEMERAL, *_GIT))

    def skips(self, directory: str) -> bool:
        """Whether nothing below a directory matters to this rule."""
        if not _is_below(directory, self.path) and not _is_below(self.path, directory):
            return True
        inside = _relative(directory, self.path)
        if not inside:
            return False
        if self._never.excludes(inside):
            return True
        return self._is_ignored(directory, inside) and not self._has_exceptions

    @property
    def _has_exceptions(self) -> bool:
        return self._ignored.has_exceptions or self._of_context.has_exceptions

    def concerns(self, path: str) -> bool:
        """Whether a file or directory is this rule's."""
        if not _is_below(path, self.path):
            return False
        inside = _relative(path, self.path)
        if not inside:
            return True
        if self._never.excludes(inside) or self._is_ignored(path, inside):
            return False
        return not self._included or self._included.excludes(inside)

    def _is_ignored(self, path: str, inside: str) -> bool:
        in_context = _relative(path, self._context) if self._context else ""
        return self._ignored.excludes(inside) or bool(in_context and self._of_context.excludes(in_context))

    def target_of(self, path: str) -> str:
        """Where a file of the rule belongs in the container."""
        inside = _relative(path, self.path)
        return f"{self.target.rstrip('/')}/{inside}" if inside else self.target


def _matcher(patterns: Iterable[str] | None) -> Matcher:
    return Matcher(parse_ignore_file("\n".join(patterns or ())))


def _is_below(path: str, directory: str) -> bool:
    return path == directory or path.startswith(f"{directory.rstrip('/')}/")


def _relative(path: str, directory: str) -> str:
    """The path from a directory on; "" for the directory itself and what is not below it."""
    return path[len(directory.rstrip("/")) + 1 :] if _is_below(path, directory) else ""


class Reaction(NamedTuple):
    """What to do after a batch of changes. `files`: service -> path of the container -> path of the host."""

    rebuild: tuple[str, ...] = ()
    files: Mapping[str, Mapping[str, str]] = {}
    restart: tuple[str, ...] = ()
    exec: tuple[tuple[str, Mapping[str, Any]], ...] = ()

    def __bool__(self) -> bool:
        return bool(self.rebuild or self.files or self.restart or self.exec)


def react(
    rules: Iterable[Rule], changed: Iterable[str], again: Mapping[str, Iterable[str]] = MappingProxyType({})
) -> Reaction:
    """The reaction to changed paths, and to those of `again` by service. A service built anew needs nothing else."""
    paths = sorted(changed)
    rebuild: dict[str, None] = {}
    restart: dict[str, None] = {}
    files: dict[str, dict[str, str]] = {}
    commands: list[tuple[str, Mapping[str, Any]]] = []
    for rule in rules:
        own = again.get(rule.service)
        concerned = [path for path in (sorted({*paths, *own}) if own else paths) if rule.concerns(path)]
        if not concerned:
            continue
        if rule.action == REBUILD:
            rebuild[rule.service] = None
        if rule.action.startswith(SYNC):
            files.setdefault(rule.service, {}).update({rule.target_of(path): path for path in concerned})
        if rule.action.endswith(RESTART):
            restart[rule.service] = None
        if rule.action == "sync+exec":
            commands.append((rule.service, rule.exec))
    return Reaction(
        tuple(rebuild),
        {service: found for service, found in files.items() if service not in rebuild},
        tuple(service for service in restart if service not in rebuild),
        tuple(item for item in commands if item[0] not in rebuild),
    )
