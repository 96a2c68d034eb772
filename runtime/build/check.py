"""`build --check`: what is wrong with a Dockerfile before anything is built, and what its language advises against.

The rules' names and meaning are BuildKit's (docs.docker.com/reference/build-checks). Pure, but for `check_build`, which
loads the context.
"""

import os
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import NamedTuple

from runtime.build.check_from import FROM_RULES
from runtime.build.check_rule import Found
from runtime.build.context import load_context
from runtime.build.dockerfile import Dockerfile, DockerfileError, Instruction, parse_dockerfile, split_words
from runtime.build.graph import plan_build, platform_arguments
from runtime.build.request import BuildRequest
from runtime.errors import InvalidError
from runtime.image.platform import host_platform

_SECRET = re.compile(
    r"(?:^|_)(?:apikey|auth|credentials?|key|password|pword|passwd|secret|token)(?:_|$)", re.IGNORECASE
)
_NOT_SECRET = re.compile(r"(?:^|_)public(?:_|$)|_file$", re.IGNORECASE)
_ONLY_LAST_COUNTS = ("CMD", "ENTRYPOINT", "HEALTHCHECK")


class Finding(NamedTuple):
    """One warning; `line` counts from 1."""

    rule: str
    line: int
    message: str
    text: str = ""


def check_build(request: BuildRequest) -> tuple[Finding, ...]:
    """Warnings about what would be built. Raises InvalidError with the line for what can't be."""
    space = tempfile.mkdtemp(prefix="pycompose-check-")
    try:
        context = load_context(request, space)
        try:
            dockerfile = parse_dockerfile(context.dockerfile)
            _plan(dockerfile, request)
        except DockerfileError as error:
            raise InvalidError(f"{context.name}:{error.line}: {error}", hint=error.hint) from error
        return check_dockerfile(dockerfile)
    finally:
        shutil.rmtree(space, ignore_errors=True)


def _plan(dockerfile: Dockerfile, request: BuildRequest) -> None:
    host = host_platform(os.uname().machine)
    plan_build(
        dockerfile,
        given={name: value for name, value in request.args.items() if value is not None},
        automatic=platform_arguments(host, host, request.target),
        target=request.target,
        contexts=tuple(request.additional_contexts),
    )


def check_dockerfile(dockerfile: Dockerfile) -> tuple[Finding, ...]:
    """Warnings in the order of lines, without those that `# check=skip=RULE,...` leaves out."""
    skipped = _skipped(dict(dockerfile.directives).get("check", ""))
    if "all" in skipped:
        return ()
    found = [
        Finding(rule, instruction.line, message, instruction.original)
        for rule, check in _RULES.items()
        if rule.lower() not in skipped
        for instruction, message in check(dockerfile)
    ]
    return tuple(sorted(found, key=lambda finding: finding.line))


def _skipped(directive: str) -> set[str]:
    options = dict(part.strip().partition("=")[::2] for part in directive.split(";"))
    return {name.strip().lower() for name in options.get("skip", "").split(",")}


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
