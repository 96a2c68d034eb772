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
