"""`build --check`: what is wrong with a Dockerfile before anything is built, and what its language advises against.

The rules' names and meaning are BuildKit's (docs.docker.com/reference/build-checks). Pure, but for `check_build`, which
loads the context and looks at base images.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from runtime.build.bases import describe_base
from runtime.build.check_from import FROM_RULES
from runtime.build.check_rule import Found
from runtime.build.check_stages import EXPERIMENTAL, STAGE_RULES, Stages
from runtime.build.context import load_context
from runtime.build.dockerfile import Dockerfile, DockerfileError, Instruction, parse_dockerfile, split_words
from runtime.build.graph import SCRATCH, BuildPlan, plan_build, platform_arguments
from runtime.build.ignore import Matcher
from runtime.build.request import BuildRequest
from runtime.build.witness import Witness
from runtime.errors import EngineError, InvalidError
from runtime.image.platform import Platform, host_platform, parse_platform
from runtime.image.store import ImageStore
from runtime.store.paths import Paths

_SECRET = re.compile(
    r"(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_NOT_SECRET = re.compile(r"(?:^|_)public(?:_|$)|_file$", re.IGNORECASE)
_ONLY_LAST_COUNTS = ("CMD", "ENTRYPOINT", "HEALTHCHECK")


_BASE_NOT_HAD = "what it defines is not checked"


class Finding(NamedTuple):
    """One warning; `line` counts from 1."""

    rule: str
    line: int
    message: str
    text: str = ""


class Checked(NamedTuple):
    """What was found, and what could not be looked at."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()


def check_build(paths: Paths, request: BuildRequest) -> Checked:
    """Warnings about what would be built. Raises InvalidError with the line for what can't be.

    Base images that are not in the store are asked for in their registry; only their configuration is fetched.
    """
    space = tempfile.mkdtemp(prefix="pycompose-check-")
    try:
        context = load_context(request, space, Witness())
        try:
            dockerfile = parse_dockerfile(context.dockerfile)
            plan = _plan(dockerfile, request)
            stages, notes = look_at_stages(ImageStore(paths), request, dockerfile, plan, context.tree.ignore)
            return Checked(check_dockerfile(dockerfile, stages), tuple(notes))
        except DockerfileError as error:
            raise InvalidError(f"{context.name}:{error.line}: {error}", hint=error.hint) from error
    finally:
        shutil.rmtree(space, ignore_errors=True)


def _plan(dockerfile: Dockerfile, request: BuildRequest) -> BuildPlan:
    host = host_platform(os.uname().machine)
    return plan_build(
        dockerfile,
        given=request.given,
        automatic=platform_arguments(host, _platform(request), request.target),
        target=request.target,
        contexts=tuple(request.additional_contexts),
    )


def _platform(request: BuildRequest) -> Platform:
    host = host_platform(os.uname().machine)
    return parse_platform(request.platforms[0], host) if request.platforms else host


def look_at_stages(
    store: ImageStore, request: BuildRequest, dockerfile: Dockerfile, plan: BuildPlan, ignore: Matcher
) -> tuple[Stages, list[str]]:
    """What the rules about stages look at, and what of it could not be had."""
    notes: list[str] = []
    platform = _platform(request)
    bases: dict[int, Mapping[str, Any]] = {}
    for stage in (plan.stages[number] for number in plan.order):
        if stage.base == SCRATCH:
            bases[stage.number] = {}
        elif stage.base:
            wanted = parse_platform(stage.platform, platform) if stage.platform else platform
            name = request.additional_contexts.get(stage.base, stage.base)
            try:
                bases[stage.number] = describe_base(store, name, wanted)
            except EngineError as error:
                notes.append(f"FROM {stage.base} (line {stage.line}): {error}; {_BASE_NOT_HAD}")
    directive = request.given.get("BUILDKIT_DOCKERFILE_CHECK", "")
    automatic = platform_arguments(host_platform(os.uname().machine), platform, request.target)
    return Stages(dockerfile, plan, ignore, platform, request.given, automatic, bases, directive), notes


def check_dockerfile(dockerfile: Dockerfile, stages: Stages | None = None) -> tuple[Finding, ...]:
    """Warnings in the order of lines, without those that `# check=skip=RULE,...` leaves out.

    Experimental rules are asked for by `# check=experimental=RULE,...`. Without `stages`, only what the text tells.
    """
    directive = _directive(dockerfile, stages)
    skipped, experimental = _named(directive, "skip"), _named(directive, "experimental")
    found = [*((rule, item) for rule, check in _RULES.items() for item in check(dockerfile))]
    if stages is not None:
        for rule, look in STAGE_RULES.items():
            if rule not in EXPERIMENTAL or {rule.lower(), "all"} & experimental:
                found += [(rule, item) for item in look(stages)]
    findings = [
        Finding(rule, instruction.line, message, instruction.original)
        for rule, (instruction, message) in found
        if not {rule.lower(), "all"} & skipped
    ]
    return tuple(sorted(findings, key=lambda finding: finding.line))


def failing(dockerfile: Dockerfile, stages: Stages) -> bool:
    """Whether a warning is to fail the build: `# check=error=true`."""
    return "true" in _named(_directive(dockerfile, stages), "error")


def _directive(dockerfile: Dockerfile, stages: Stages | None) -> str:
    """The build argument counts more than the line in the file."""
    return (stages.directive if stages is not None else "") or dict(dockerfile.directives).get("check", "")


def _named(directive: str, option: str) -> set[str]:
    """The rules that an option of `# check=` names, in lowercase."""
    options = dict(part.strip().partition("=")[::2] for part in directive.split(";"))
    return {name.strip().lower() for name in options.get(option, "").split(",")}


def _json_recommended(dockerfile: Dockerfile) -> Found:
    shell = False
    for item in dockerfile.instructions:
        shell = item.name == "SHELL" or (shell and item.name != "FROM")
        if item.name in ("CMD", "ENTRYPOINT") and not item.is_json and not shell:
            yield (
                item,
                f"JSON arguments recommended for {item.name}: signals do not reach a program behind a shell",
            )


def _only_last(dockerfile: Dockerfile) -> Found:
    last: dict[str, Instruction] = {}
    for item in dockerfile.instructions:
        if item.name == "FROM":
            last = {}
        elif item.name in _ONLY_LAST_COUNTS:
            if item.name in last:
                yield last[item.name], f"there are several {item.name} in one stage; only the last one counts"
            last[item.name] = item


def _maintainer(dockerfile: Dockerfile) -> Found:
    for item in dockerfile.instructions:
        if item.name == "MAINTAINER":
            yield item, "MAINTAINER is deprecated; use LABEL org.opencontainers.image.authors"


def _legacy_pairs(dockerfile: Dockerfile) -> Found:
    for item in dockerfile.instructions:
        if item.name in ("ENV", "LABEL") and "=" not in split_words(item.text, dockerfile.escape)[0]:
            yield item, f'"{item.name} key=value" should be used instead of the old "{item.name} key value"'


def _relative_folder(dockerfile: Dockerfile) -> Found:
    absolute = False
    for item in dockerfile.instructions:
        if item.name == "FROM":
            absolute = False
        elif item.name == "WORKDIR":
            if not absolute and not item.text.startswith(("/", "$", '"/', '"$')):
                yield item, f"relative folder {item.text} can come out elsewhere when the base image changes"
            absolute = True


def _secrets(dockerfile: Dockerfile) -> Found:
    for item in dockerfile.instructions:
        if item.name in ("ARG", "ENV"):
            for word in split_words(item.text, dockerfile.escape):
                name = word.partition("=")[0]
                if _SECRET.search(name) and not _NOT_SECRET.search(name):
                    yield (
                        item,
                        f"do not use {item.name} for sensitive data ({name}); use RUN --mount=type=secret",
                    )


def _instruction_casing(dockerfile: Dockerfile) -> Found:
    upper = sum(item.spelled.isupper() for item in dockerfile.instructions)
    lower = sum(item.spelled.islower() for item in dockerfile.instructions)
    for item in dockerfile.instructions:
        wanted = item.name if upper >= lower else item.name.lower()
        if item.spelled != wanted:
            yield item, f"{item.spelled} should be written as most of the others: {wanted}"


def _empty_continuations(dockerfile: Dockerfile) -> Found:
    for item in dockerfile.instructions:
        if item.gaps:
            yield item, "there is an empty line between continued lines"


def _expose(dockerfile: Dockerfile) -> Iterator[tuple[Instruction, str]]:
    for item in dockerfile.instructions:
        if item.name == "EXPOSE":
            for word in split_words(item.text, dockerfile.escape):
                yield item, word


def _expose_casing(dockerfile: Dockerfile) -> Found:
    for item, word in _expose(dockerfile):
        protocol = word.partition("/")[2]
        if "$" not in protocol and protocol != protocol.lower():
            yield item, f"the protocol of {word} should be lowercase"


def _expose_format(dockerfile: Dockerfile) -> Found:
    for item, word in _expose(dockerfile):
        if ":" in word and "$" not in word:
            yield item, f"EXPOSE takes a port of the container, not an address or a port of the host: {word}"


_RULES: dict[str, Callable[[Dockerfile], Found]] = {
    **FROM_RULES,
    "ConsistentInstructionCasing": _instruction_casing,
    "ExposeInvalidFormat": _expose_format,
    "ExposeProtoCasing": _expose_casing,
    "JSONArgsRecommended": _json_recommended,
    "LegacyKeyValueFormat": _legacy_pairs,
    "MaintainerDeprecated": _maintainer,
    "MultipleInstructionsDisallowed": _only_last,
    "NoEmptyContinuation": _empty_continuations,
    "SecretsUsedInArgOrEnv": _secrets,
    "WorkdirRelativePath": _relative_folder,
}
