"""The rules of `build --check` about FROM: names of stages, platforms, and the arguments in them. Pure."""

import re
from collections.abc import Iterator

from runtime.build.check_rule import Found, Rule
from runtime.build.dockerfile import Dockerfile, DockerfileError, Instruction, split_words
from runtime.build.expand import expand
from runtime.build.graph import SCRATCH, platform_arguments
from runtime.errors import InvalidError
from runtime.image.platform import Platform
from runtime.oci.reference import parse_reference

_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)")
_HOST = Platform("linux", "amd64", "")
_AUTOMATIC = platform_arguments(_HOST, _HOST, "")


def _from(dockerfile: Dockerfile) -> Iterator[tuple[Instruction, list[str]]]:
    for item in dockerfile.instructions:
        if item.name == "FROM":
            yield item, split_words(item.text, dockerfile.escape)


def _names(dockerfile: Dockerfile) -> Iterator[tuple[Instruction, str]]:
    for item, words in _from(dockerfile):
        if len(words) == 3:
            yield item, words[2]


def _arguments(dockerfile: Dockerfile) -> dict[str, str]:
    """What ARG declares before the first FROM, with its default."""
    found: dict[str, str] = {}
    for item in dockerfile.instructions:
        if item.name == "FROM":
            break
        if item.name == "ARG":
            for word in split_words(item.text, dockerfile.escape):
                name, _, default = word.partition("=")
                found[name] = expand(default, {**_AUTOMATIC, **found}, dockerfile.escape, item.line)
    return found


def _stage_casing(dockerfile: Dockerfile) -> Found:
    for item, name in _names(dockerfile):
        if name != name.lower():
            yield item, f"stage name {name} should be lowercase"


def _reserved_names(dockerfile: Dockerfile) -> Found:
    for item, name in _names(dockerfile):
        if name.lower() in (SCRATCH, "context"):
            yield item, f"stage name {name} is reserved"


def _as_casing(dockerfile: Dockerfile) -> Found:
    for item, words in _from(dockerfile):
        if len(words) == 3 and words[1].isupper() != item.spelled.isupper():
            yield item, f"{item.spelled} and {words[1]} are not written in the same case"


def _platform(dockerfile: Dockerfile) -> Iterator[tuple[Instruction, list[str], str]]:
    for item, words in _from(dockerfile):
        for name, value in item.flags:
            if name == "platform":
                yield item, words, value


def _redundant_platform(dockerfile: Dockerfile) -> Found:
    for item, _, value in _platform(dockerfile):
        if value in ("$TARGETPLATFORM", "${TARGETPLATFORM}"):
            yield item, f"--platform={value} is what FROM does anyway"


def _constant_platform(dockerfile: Dockerfile) -> Found:
    for item, words, value in _platform(dockerfile):
        # A stage that has its platform in its name is meant to be for that one alone.
        named = len(words) == 3 and any(part in words[2].lower() for part in value.lower().split("/"))
        if "$" not in value and not named:
            yield item, f"--platform={value} keeps the image from being built for another platform"


def _undefined_arguments(dockerfile: Dockerfile) -> Found:
    known = {*_arguments(dockerfile), *_AUTOMATIC}
    for item, words in _from(dockerfile):
        for text in (words[0], *(value for _, value in item.flags)):
            for name in _VARIABLE.findall(text):
                if name not in known:
                    yield item, f"FROM uses {name}, which no ARG before the first FROM declares"


def _invalid_default(dockerfile: Dockerfile) -> Found:
    variables = {**_AUTOMATIC, **_arguments(dockerfile)}
    for item, words in _from(dockerfile):
        if "$" not in words[0]:
            continue
        try:
            parse_reference(expand(words[0], variables, dockerfile.escape, item.line))
        except (DockerfileError, InvalidError):
            yield item, f"{words[0]} is no image's name unless build arguments are given"


FROM_RULES: dict[str, Rule] = {
    "FromAsCasing": _as_casing,
    "FromPlatformFlagConstDisallowed": _constant_platform,
    "InvalidDefaultArgInFrom": _invalid_default,
    "RedundantTargetPlatform": _redundant_platform,
    "ReservedStageName": _reserved_names,
    "StageNameCasing": _stage_casing,
    "UndefinedArgInFrom": _undefined_arguments,
}
