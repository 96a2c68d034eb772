"""The rules of `build --check` about what the stages that are needed do with their context and base images. Pure."""

import difflib
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, NamedTuple

from runtime.build.check_rule import Found
from runtime.build.config import CHANGES, environment, set_environment
from runtime.build.dockerfile import Dockerfile, DockerfileError, Instruction, parse_json_form, split_words
from runtime.build.expand import expand, expand_document
from runtime.build.graph import BuildPlan, Stage, declare_argument
from runtime.build.ignore import Matcher
from runtime.build.remote import is_git_url, is_url
from runtime.image.platform import Platform, parse_platform, platform_of
from runtime.oci.generate import DEFAULT_PATH

_EXPANDED = ("ENV", "LABEL", "USER", "WORKDIR", "STOPSIGNAL", "VOLUME", "EXPOSE")


class Stages(NamedTuple):
    """A planned build with what surrounds it."""

    dockerfile: Dockerfile
    plan: BuildPlan
    ignore: Matcher
    platform: Platform  # what is built for
    given: Mapping[str, str]  # --build-arg
    automatic: Mapping[str, str]  # arguments that BuildKit predefines
    bases: Mapping[int, Mapping[str, Any]]  # configurations of base images, by stage; those that could be had
    directive: str = ""  # instead of the file's `# check=`

    @property
    def needed(self) -> Iterator[Stage]:
        for number in self.plan.order:
            yield self.plan.stages[number]


class _Noting(dict[str, str]):
    """Variables that note what is looked for in vain."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(values)
        self.missing: dict[str, None] = {}

    def get(self, name: str, default: Any = None) -> Any:
        if name not in self:
            self.missing[name] = None
        return super().get(name, default)


def undefined_variables(stages: Stages) -> Found:
    """UndefinedVar. A stage whose base image could not be had is passed over: what it defines is not known."""
    for known, item, variables in _steps(stages):
        for name in variables.missing if known else ():
            close = difflib.get_close_matches(name, sorted(variables), 1, 0.7)
            more = f" (did you mean ${close[0]}?)" if close else ""
            yield item, f"nothing defines the variable ${name}{more}"


def ignored_sources(stages: Stages) -> Found:
    """CopyIgnoredFile."""
    for _, item, variables in _steps(stages):
        if item.name not in ("COPY", "ADD") or any(name == "from" for name, _ in item.flags):
            continue
        for source in _copied(item, variables, stages.dockerfile.escape)[:-1]:
            if _is_file(source) and stages.ignore.excludes(_plain(source)):
                yield item, f"{item.name} takes {source}, which the ignore file leaves out"


def _steps(stages: Stages) -> Iterator[tuple[bool, Instruction, _Noting]]:
    """Every instruction with the variables that it sees; whether those of its base image are known."""
    ends: dict[int, tuple[bool, dict[str, Any]]] = {}
    for stage in stages.needed:
        base = stages.bases.get(stage.number)
        own = (base is not None, dict((base or {}).get("config") or {}))
        known, config = ends.get(stage.parent, own)
        config, declared = dict(config), dict[str, str]()
        if "PATH" not in environment(config):
            set_environment(config, {"PATH": DEFAULT_PATH})
        for item in stage.instructions:
            variables = _Noting({**declared, **environment(config)})
            with suppress(DockerfileError):  # that is for the build to tell
                _fill_in(stages, item, variables, config, declared)
            yield known, item, variables
        ends[stage.number] = (known, config)


def _fill_in(
    stages: Stages, item: Instruction, variables: _Noting, config: dict[str, Any], declared: dict[str, str]
) -> None:
    """Expand what carrying out an instruction would, and do what it does to `config` and `declared`."""
    escape, line = stages.dockerfile.escape, item.line
    if item.name in _EXPANDED:
        CHANGES[item.name](config, item, variables, escape)
    elif item.name == "ARG":
        for word in split_words(item.text, escape):
            known = {**stages.automatic, **stages.plan.arguments}
            name, value = declare_argument(
                word, variables, given=stages.given, known=known, escape=escape, line=line
            )
            variables[name] = declared[name] = value or ""
    elif item.name in ("COPY", "ADD", "RUN"):
        for name, value in item.flags:
            if name != "from":
                expand(value, variables, escape, line)
    if item.name in ("COPY", "ADD"):
        _copied(item, variables, escape)
        for document in item.heredocs:
            if document.expand:
                expand_document(document.content, variables, escape, line)


def _copied(item: Instruction, variables: Mapping[str, str], escape: str) -> list[str]:
    """What COPY or ADD takes, variables filled in, with its target at the end."""
    words = parse_json_form(item.text) or split_words(item.text, escape)
    return [word if word.startswith("<<") else expand(word, variables, escape, item.line) for word in words]


def _is_file(source: str) -> bool:
    return bool(_plain(source)) and not (source.startswith("<<") or is_url(source) or is_git_url(source))


def _plain(source: str) -> str:
    return "/".join(part for part in source.split("/") if part not in ("", "."))


def wrong_platforms(stages: Stages) -> Found:
    """InvalidBaseImagePlatform."""
    lines = {item.line: item for item in stages.dockerfile.instructions if item.name == "FROM"}
    for stage in stages.needed:
        if stage.number not in stages.bases or not stage.base:
            continue
        wanted = parse_platform(stage.platform, stages.platform) if stage.platform else stages.platform
        found = platform_of(stages.bases[stage.number])
        if found.architecture and found[:2] != wanted[:2]:
            yield lines[stage.line], f"the image {stage.base} is for {found}, the build for {wanted}"


STAGE_RULES: dict[str, Callable[[Stages], Found]] = {
    "CopyIgnoredFile": ignored_sources,
    "InvalidBaseImagePlatform": wrong_platforms,
    "UndefinedVar": undefined_variables,
}
EXPERIMENTAL = frozenset(("CopyIgnoredFile",))
