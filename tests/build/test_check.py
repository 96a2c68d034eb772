"""Warnings about Dockerfiles."""

import pytest

from runtime.build.check import check_dockerfile
from runtime.build.dockerfile import parse_dockerfile

_BAD = """FROM busybox AS Base
MAINTAINER me
ENV old value
ARG DB_PASSWORD
ENV PUBLIC_KEY=x
WORKDIR here
WORKDIR there
CMD first
CMD ["second"]
FROM busybox AS context
WORKDIR /abs
WORKDIR rel
SHELL ["/bin/sh", "-c"]
CMD fine
"""


def test_every_rule() -> None:
    found = [(item.rule, item.line) for item in check_dockerfile(parse_dockerfile(_BAD))]
    assert found == [
        ("StageNameCasing", 1), ("MaintainerDeprecated", 2), ("LegacyKeyValueFormat", 3),
        ("SecretsUsedInArgOrEnv", 4), ("WorkdirRelativePath", 6), ("JSONArgsRecommended", 8),
        ("MultipleInstructionsDisallowed", 8), ("ReservedStageName", 10),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("directive", "left"), [("skip=all", 0), ("skip=StageNameCasing,MaintainerDeprecated;error=true", 6)]
)
def test_rules_can_be_left_out(directive: str, left: int) -> None:
    assert len(check_dockerfile(parse_dockerfile(f"# check={directive}\n{_BAD}"))) == left


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (
            "FROM a as b\nFROM c AS d\nfrom e as f\n",
            [("FromAsCasing", 1), ("ConsistentInstructionCasing", 3)],
        ),
        ("FROM a\nRUN one \\\n\n  two\nRUN one \\\n# comment\n  two\n", [("NoEmptyContinuation", 2)]),
        ("FROM a\nEXPOSE 80/TCP 81/udp 1:2 $P\n", [("ExposeInvalidFormat", 2), ("ExposeProtoCasing", 2)]),
        ("FROM --platform=linux/arm64 a\n", [("FromPlatformFlagConstDisallowed", 1)]),
        ("FROM --platform=linux/arm64 a AS on_arm64\nFROM --platform=$BUILDPLATFORM a\n", []),
        ("FROM --platform=${TARGETPLATFORM} a\n", [("RedundantTargetPlatform", 1)]),
        ("ARG TAG\nFROM a:$TAG\n", [("InvalidDefaultArgInFrom", 2)]),
        ("ARG TAG\nARG V=1\nFROM a:${TAG:-3}\nFROM a:1$TAG\nFROM a:$V-$TARGETARCH\n", []),
        ("ARG V=1\nFROM a:$V$W\n", [("UndefinedArgInFrom", 2)]),
    ],
)
def test_single_rules(text: str, found: list[tuple[str, int]]) -> None:
    assert [(item.rule, item.line) for item in check_dockerfile(parse_dockerfile(text))] == found
