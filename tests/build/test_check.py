"""Warnings about Dockerfiles."""

from pathlib import Path

import pytest

from runtime import BuildRequest
from runtime.build.check import check_build, check_dockerfile
from runtime.build.check_stages import Stages
from runtime.build.dockerfile import parse_dockerfile
from runtime.build.graph import plan_build
from runtime.build.ignore import Matcher
from runtime.image.platform import Platform
from runtime.image.store import ImageStore
from runtime.store.paths import Paths
from tests.image.builder import Layout, tar_of
from tests.registry import Registry, skopeo

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


_HOST = Platform("linux", "amd64")
_BASE = {"architecture": "amd64", "os": "linux", "config": {"Env": ["LANG=C"]}}
_STAGE_CASES = {
    "FROM a\nENV P=$PAHT:/x L=$LANG$PATH\n": ["2 nothing defines the variable $PAHT (did you mean $PATH?)"],
    "ARG G=1\nFROM a\nCOPY $G/x ${H} /\n": [
        "3 nothing defines the variable $G", "3 nothing defines the variable $H",
    ],
    "FROM a\nARG G\nARG V=$W\nENV E=1\nCOPY --chown=$E:$U $G /$V\nRUN echo $X\nCMD echo $X\n": [
        "3 nothing defines the variable $W", "5 nothing defines the variable $U",
    ],
    "FROM a AS b\nENV E=1\nFROM b\nWORKDIR /$E/'$E'/\\$Z\n": [],
    "FROM a\nCOPY <<E <<'F' /\n$X\nE\n$Y\nF\n": ["2 nothing defines the variable $X"],
    "FROM a\nRUN --mount=type=cache,target=/$C true\n": ["2 nothing defines the variable $C"],
    "FROM unknown\nENV P=$WHO\n": [],
    "FROM scratch\nENV P=$WHO\n": ["2 nothing defines the variable $WHO"],
    "FROM a\nCOPY secret /\n": [],
    "# check=experimental=all\nFROM a\nENV D=./secret\nCOPY x $D /\nADD secret/y . /\nCOPY --from=a secret /\n": [
        "4 COPY takes ./secret, which the ignore file leaves out",
        "5 ADD takes secret/y, which the ignore file leaves out",
    ],
    "FROM other\n": ["1 the image other is for linux/arm64, the build for linux/amd64"],
    "FROM --platform=$TARGETPLATFORM other\nFROM other AS unused\nFROM a\n": [],
    "ARG P=80\nFROM a\nARG P TARGETPLATFORM Y=${Z:-1}\nEXPOSE ${P:?}/tcp\nCOPY x-${TARGETPLATFORM:?} /$Y\n": [
        "3 nothing defines the variable $Z"
    ],
    "FROM a\nARG GIVEN=${NOWHERE:?}\nENV A=${GIVEN:?}\n": [],
    "FROM a\nENV A=${NOWHERE:?that is the build's to tell}\n": ["2 nothing defines the variable $NOWHERE"],
}  # fmt: skip


@pytest.mark.parametrize("text", _STAGE_CASES)
def test_rules_about_stages(text: str) -> None:
    dockerfile = parse_dockerfile(text)
    automatic = {"TARGETPLATFORM": "linux/amd64"}
    plan = plan_build(dockerfile, given={}, automatic=automatic)
    known = {"a": _BASE, "scratch": {}, "other": {**_BASE, "architecture": "arm64"}}
    bases = {stage.number: known[stage.base] for stage in plan.stages if stage.base in known}
    stages = Stages(dockerfile, plan, Matcher(("secret",)), _HOST, {"GIVEN": "1"}, automatic, bases)
    rules = ("UndefinedVar", "CopyIgnoredFile", "InvalidBaseImagePlatform")
    found = [
        f"{item.line} {item.message}" for item in check_dockerfile(dockerfile, stages) if item.rule in rules
    ]
    assert found == _STAGE_CASES[text]


def test_of_a_base_only_its_configuration_is_fetched(registry: Registry, tmp_path: Path) -> None:
    layout = Layout(tmp_path / "layout")
    layout.image("one", [tar_of({"a": "1"})], config={"Env": ["GIVEN=1"]})
    name = f"{registry.host}/checked:1"
    skopeo("copy", "-q", "--dest-tls-verify=false", f"oci:{layout.path}:one", f"docker://{name}")
    paths = Paths(str(tmp_path / "data"), str(tmp_path / "state"))
    (tmp_path / "context").mkdir()
    text = f"FROM {name}\nENV A=$GIVEN$OTHER\n"
    checked = check_build(paths, BuildRequest(str(tmp_path / "context"), dockerfile_inline=text))
    assert [item.message for item in checked.findings] == ["nothing defines the variable $OTHER"]
    assert not checked.notes and not ImageStore(paths).entries() and not Path(paths.layers).exists()
    checked = check_build(
        paths,
        BuildRequest(str(tmp_path / "context"), dockerfile_inline=text.replace(":1", ":2", 1)),
    )
    assert not checked.findings and "what it defines is not checked" in checked.notes[0]
