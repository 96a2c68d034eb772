"""build."""

import pytest


def test_short_form(given, tmp_path):
    loaded = given("build: ./app")
    assert loaded.printed["build"] == {"context": f"{tmp_path}/demo/app", "dockerfile": "Dockerfile"}


@pytest.mark.parametrize("context", ["https://example.com/x.git#main", "git@example.com:x/y.git"])
def test_remote_contexts_stay(given, context):
    assert given(f"build: '{context}'").service.build.context == context


def test_long_form(given, tmp_path):
    text = """
build:
  context: .
  dockerfile: Other
  target: prod
  args: [A=1, B, C=3]
  labels: {l: x}
  ssh: [default]
  cache_from: [a]
  cache_to: [b]
  no_cache: true
  no_cache_filter: stage
  additional_contexts: {base: docker-image://alpine, here: ./x}
  network: host
  pull: true
  shm_size: 64m
  extra_hosts: ['h:1.1.1.1']
  isolation: x
  privileged: true
  secrets: [s, {source: s, target: t, uid: '1', gid: '2', mode: 0440}]
  tags: [t1, t1, t2]
  ulimits: {nofile: 10}
  platforms: [linux/amd64]
  entitlements: [network.host]
  provenance: true
  sbom: false
"""
    build = given(text, "secrets: {s: {file: ./s}}", env={"B": "shell"}).service.build
    assert (build.context, build.dockerfile, build.target) == (f"{tmp_path}/demo", "Other", "prod")
    assert (build.args, build.labels) == ({"A": "1", "B": "shell", "C": "3"}, {"l": "x"})
    assert (build.cache_from, build.cache_to, build.no_cache_filter) == (("a",), ("b",), ("stage",))
    assert build.additional_contexts == {"base": "docker-image://alpine", "here": f"{tmp_path}/demo/x"}
    assert (build.shm_size, build.extra_hosts, build.tags) == (64 * 2**20, ("h=1.1.1.1",), ("t1", "t2"))
    assert (build.no_cache, build.pull, build.privileged) == (True, True, True)
    assert [(grant.source, grant.target, grant.mode) for grant in build.secrets] == [
        ("s", "", None),
        ("s", "t", 0o440),
    ]
    assert (build.ulimits["nofile"].hard, build.platforms, build.entitlements) == (
        10,
        ("linux/amd64",),
        ("network.host",),
    )
    assert (build.provenance, build.sbom, build.network, build.isolation) == ("true", "false", "host", "x")


def test_inline_build_file(given, refused):
    assert given("build: {dockerfile_inline: FROM a}").printed["build"].keys() == {
        "context",
        "dockerfile_inline",
    }
    assert "exclude each other" in refused("build: {dockerfile_inline: FROM a, dockerfile: D}")


def test_two_files(given):
    build = given("build: {context: /x, args: {A: 1}}", over="build: {target: t, args: [B=2]}").service.build
    assert (build.context, build.target, build.args) == ("/x", "t", {"A": "1", "B": "2"})
    assert given("build: /x", over="build: {target: t}").service.build.context == "/x"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("build: {contxt: .}", "services.a.build.contxt: unknown key 'contxt'"),
        ("build: {secrets: [s]}", "the secret 's' is not defined"),
        ("build: {platforms: [linux/arm64]}\nplatform: linux/amd64", "is not among those built"),
        ("build: 5", "text or a mapping is expected"),
    ],
)
def test_bad_builds(refused, text, message):
    assert message in refused(text)
