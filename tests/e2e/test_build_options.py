"""Options of `build` that build nothing, and those that are there for compatibility."""

import json

import pytest

from tests.project import Project

pytestmark = pytest.mark.root


def test_check_and_print(project: Project) -> None:
    project.write("""
        services:
          good: {build: {context: ., args: {A: b}, additional_contexts: {other: 'service:bad'}}, image: 'good:1'}
          bad: {build: {context: ., dockerfile: bad, target: one, secrets: [key]}}
        secrets: {key: {environment: KEY}}
    """)
    (project.folder / "Dockerfile").write_text('FROM scratch\nARG A\nCMD ["x"]\n')
    (project.folder / "bad").write_text("FROM scratch AS one\nCMD x\n")
    answer = project.run("build", "--check", code=1).stdout
    assert "bad: line 2: JSONArgsRecommended" in answer and "1 warning has been found" in answer
    (project.folder / "bad").write_text("FROM scratch AS two\nBAKE x\n")
    assert "bad:2: " in project.run("build", "--check", code=1).stderr
    bake = json.loads(project.run("build", "--print").stdout)
    assert bake["group"]["default"]["targets"] == ["bad", "good"]
    good, bad = bake["target"]["good"], bake["target"]["bad"]
    assert (good["tags"], good["args"], good["contexts"]) == (["good:1"], {"A": "b"}, {"other": "target:bad"})
    assert (bad["dockerfile"], bad["target"], bad["secret"]) == ("bad", "one", ["id=key,type=env,env=KEY"])
    assert bad["output"] == ["type=docker"] and good["context"] == str(project.folder)
    assert project.run("image", "ls", "-q").stdout == ""


def test_options_for_compatibility_say_so(project: Project) -> None:
    project.write("services: {a: {build: {dockerfile_inline: 'FROM scratch'}}}\n")
    words = ("--builder", "x", "-m", "1g", "--provenance", "mode=max", "--sbom", "false")
    errors = project.run("build", "--print", *words).stderr
    assert "--builder x" in errors and "--memory" in errors and "--provenance mode=max" in errors
    assert "--sbom" not in errors
