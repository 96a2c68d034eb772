"""RUN --mount: binds, caches, tmpfs, secrets and ssh agents, from their options to what a step is given."""

import os
from collections.abc import Mapping
from contextlib import ExitStack
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, NamedTuple

from runtime.build.cache import cache_mount
from runtime.build.dockerfile import DockerfileError, Instruction
from runtime.build.expand import expand
from runtime.build.graph import find_stage
from runtime.build.sources import ensure_inside
from runtime.build.ssh_agents import agent_of_keys, is_socket, relay
from runtime.build.steps_copy import tree_of
from runtime.build.tree import Tree
from runtime.errors import EngineError
from runtime.oci.container_spec import MountRequest

if TYPE_CHECKING:
    from runtime.build.run import SecretFile
    from runtime.build.stage import StageBuilder

_MOUNT_KEYS = {
    "bind": {"target", "dst", "destination", "source", "src", "from", "rw", "readwrite", "ro", "readonly"},
    "cache": {"id", "target", "dst", "destination", "ro", "readonly", "rw", "readwrite", "sharing", "from",
              "source", "src", "mode", "uid", "gid"},
    "tmpfs": {"target", "dst", "destination", "size"},
    "secret": {"id", "target", "dst", "destination", "required", "mode", "uid", "gid", "env"},
    "ssh": {"id", "target", "dst", "destination", "required", "mode", "uid", "gid"},
}  # fmt: skip
SCRIPTS = "/dev/pipes"  # where BuildKit has the scripts of heredocs
_LIMIT_BYTES = 500 << 10


class RunMount(NamedTuple):
    """One --mount with its names made uniform."""

    kind: str
    options: Mapping[str, str]

    def flag(self, *names: str) -> bool:
        return any(self.options.get(name, "false").lower() in ("true", "1", "") for name in names)

    @property
    def target(self) -> str:
        return next((self.options[n] for n in ("target", "dst", "destination") if n in self.options), "")

    @property
    def source(self) -> str:
        return self.options.get("source") or self.options.get("src") or ""


def parse_mounts(builder: "StageBuilder", instruction: Instruction) -> list[RunMount]:
    """Raises DockerfileError."""
    found = []
    for name, value in instruction.flags:
        if name != "mount":
            continue
        options = dict(item.partition("=")[::2] for item in value.split(",") if item)
        options = {
            key: expand(text, builder.variables, builder.around.escape, instruction.line)
            for key, text in options.items()
        }
        kind = options.pop("type", "bind")
        if kind not in _MOUNT_KEYS:
            raise DockerfileError(
                f"RUN --mount=type={kind}: not bind, cache, tmpfs, secret or ssh", instruction.line
            )
        unknown = sorted(set(options) - _MOUNT_KEYS[kind])
        if unknown:
            raise DockerfileError(f"RUN --mount=type={kind} knows no {unknown[0]}", instruction.line)
        mount = RunMount(kind, options)
        if not mount.target and kind in ("bind", "cache", "tmpfs"):
            raise DockerfileError(f"RUN --mount=type={kind} has no target", instruction.line)
        found.append(mount)
    return found


def mount_key(builder: "StageBuilder", mount: RunMount, line: int) -> object:
    """What of a mount can change the result; content of caches, secrets and ssh does not count."""
    options = sorted((key, value) for key, value in mount.options.items())
    if mount.kind != "bind":
        return [mount.kind, options]
    tree = _origin(builder, mount, line)
    number = find_stage(
        mount.options.get("from", ""), builder.around.plan.stages[: builder.stage.number], by_number=True
    )
    if number >= 0:
        return [mount.kind, options, builder.around.sources.stage_key(number)]
    found = tree.find(mount.source or "/", line)
    return [mount.kind, options, tree.hash(found, builder.around.digests)]


def _origin(builder: "StageBuilder", mount: RunMount, line: int) -> Tree:
    name = mount.options.get("from", "")
    return tree_of(builder, name, line) if name else builder.around.sources.context


def place_mounts(
    builder: "StageBuilder", mounts: list[RunMount], stack: ExitStack, line: int
) -> tuple[list[MountRequest], "list[SecretFile]", dict[str, str]]:
    """What the step is to see: mounts, secrets, and variables that go with them."""
    requests: list[MountRequest] = []
    secrets: list[SecretFile] = []
    extra: dict[str, str] = {}
    for mount in mounts:
        if mount.kind == "bind":
            requests.append(_bind(builder, mount, line))
        elif mount.kind == "tmpfs":
            size = int(mount.options.get("size", "0") or 0)
            options = ("exec", "dev", "suid")
            requests.append(
                MountRequest("tmpfs", builder.path(mount.target), size_bytes=size, options=options)
            )
        elif mount.kind == "cache":
            requests.append(_cache(builder, mount, stack, line))
        elif mount.kind == "secret":
            _secret(builder, mount, secrets, extra, line)
        else:
            _ssh(builder, mount, stack, requests, extra, line)
    return requests, secrets, extra


def place_script(space: str, name: str, content: str) -> MountRequest:
    """A script of a heredoc, where the step finds it."""
    path = f"{space}/script"
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(content)
    os.chmod(path, 0o755)
    return MountRequest("bind", f"{SCRIPTS}/{name}", path, read_only=True)


def _bind(builder: "StageBuilder", mount: RunMount, line: int) -> MountRequest:
    tree = _origin(builder, mount, line)
    writable = mount.flag("rw", "readwrite") if {"rw", "readwrite"} & set(mount.options) else False
    root = builder.around.sources.bindable(tree, writable=writable)
    found = Tree(root).find(mount.source or "/", line)[0]
    source = f"{root}/{found.path}".rstrip("/")
    return MountRequest("bind", builder.path(mount.target), source, read_only=not writable)


def _cache(builder: "StageBuilder", mount: RunMount, stack: ExitStack, line: int) -> MountRequest:
    sharing = mount.options.get("sharing", "shared")
    if sharing not in ("shared", "private", "locked"):
        raise DockerfileError(
            f"RUN --mount=type=cache,sharing={sharing}: not shared, private or locked", line
        )
    target = builder.path(mount.target)
    options = mount.options
    identity = options.get("id") or target
    namespace = builder.around.given.get("BUILDKIT_CACHE_MOUNT_NS")
    if namespace:
        identity = f"{namespace}/{identity}"
    path = stack.enter_context(cache_mount(builder.around.store.paths, identity, sharing))
    if not os.listdir(path):
        if options.get("from"):
            origin = tree_of(builder, options["from"], line)
            _fill(origin, mount.source or "/", path, line)
        os.chown(path, int(options.get("uid", "0")), int(options.get("gid", "0")))
        os.chmod(path, int(options.get("mode", "0755"), 8))
    source = ensure_inside(path, mount.source) if mount.source and not options.get("from") else path
    return MountRequest("bind", target, source, read_only=mount.flag("ro", "readonly")
                        if {"ro", "readonly"} & set(options) else False)  # fmt: skip


def _fill(origin: Tree, source: str, path: str, line: int) -> None:
    from runtime.build.copying import Copier, Look

    copier = Copier(path, Look())
    try:
        for found in origin.find(source, line):
            copier.copy(origin, found, "/")
    finally:
        copier.close()


def _secret(
    builder: "StageBuilder",
    mount: RunMount,
    secrets: "list[SecretFile]",
    extra: dict[str, str],
    line: int,
) -> None:
    options = mount.options
    name = options.get("id") or os.path.basename(mount.target)
    if not name:
        raise DockerfileError("RUN --mount=type=secret has neither id nor target", line)
    content = _read_secret(builder, name)
    if content is None:
        if mount.flag("required") and "required" in options:
            raise DockerfileError(
                f"the secret {name} is not given", line, hint=f"build: {{secrets: [{name}]}}"
            )
        return
    if "env" in options:
        extra[options["env"] or name] = content.decode(errors="surrogateescape")
    if "env" not in options or mount.target:
        from runtime.build.run import SecretFile

        secrets.append(
            SecretFile(
                builder.path(mount.target or f"/run/secrets/{name}"),
                content,
                int(options.get("uid", "0")),
                int(options.get("gid", "0")),
                int(options.get("mode", "0400"), 8),
            )
        )


def _read_secret(builder: "StageBuilder", name: str) -> bytes | None:
    for secret in builder.around.request.secrets:
        if secret.id != name:
            continue
        if secret.environment:
            value = os.environ.get(secret.environment)
            return None if value is None else value.encode(errors="surrogateescape")
        try:
            with open(secret.file, "rb") as file:
                data = file.read(_LIMIT_BYTES + 1)
        except OSError as error:
            raise EngineError(f"secret {name}: {secret.file} can't be read: {error.strerror}") from error
        if len(data) > _LIMIT_BYTES:
            raise EngineError(f"secret {name} is larger than {_LIMIT_BYTES} bytes")
        return data
    return None


def _ssh(
    builder: "StageBuilder",
    mount: RunMount,
    stack: ExitStack,
    requests: list[MountRequest],
    extra: dict[str, str],
    line: int,
) -> None:
    identity = mount.options.get("id") or "default"
    given = builder.around.request.ssh
    if identity not in given:
        if mount.flag("required") and "required" in mount.options:
            raise DockerfileError(
                f"there is no ssh agent {identity}", line, hint=f"build: {{ssh: [{identity}]}}"
            )
        return
    path = given[identity] or os.environ.get("SSH_AUTH_SOCK", "")
    keys = [] if is_socket(path) else path.split(",")
    missing = [key for key in keys if not os.path.isfile(key)]
    if missing:
        raise DockerfileError(
            f"ssh {identity}: {missing[0] or '$SSH_AUTH_SOCK'} is neither an agent's socket nor a key",
            line,
            hint="start an agent: eval $(ssh-agent); ssh-add KEY",
        )
    # Not in the build's own space: a socket's path has at most 107 bytes.
    own = f"{stack.enter_context(TemporaryDirectory(prefix='pycompose-ssh-'))}/agent"
    if keys:
        stack.enter_context(agent_of_keys(keys, own))
        path = own
    elif {"uid", "gid", "mode"} & set(mount.options):
        stack.enter_context(relay(path, own))
        path = own
    if path == own:
        os.chown(own, int(mount.options.get("uid", "0")), int(mount.options.get("gid", "0")))
        os.chmod(own, int(mount.options.get("mode", "600"), 8))
    target = builder.path(mount.target or f"/run/buildkit/ssh_agent.{len(extra)}")
    requests.append(MountRequest("bind", target, path, recursive="disabled"))
    extra.setdefault("SSH_AUTH_SOCK", target)
