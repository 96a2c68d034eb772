"""Image references and digests."""

import pytest

from runtime.errors import EngineError
from runtime.oci.digest import chain_ids, digest_of, parse_digest
from runtime.oci.reference import parse_reference

SHA = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("web", "docker.io/library/web:latest", "web:latest"),
        ("web:1.2", "docker.io/library/web:1.2", "web:1.2"),
        ("user/web", "docker.io/user/web:latest", "user/web:latest"),
        ("docker.io/web", "docker.io/library/web:latest", "web:latest"),
        ("index.docker.io/library/web", "docker.io/library/web:latest", "web:latest"),
        ("localhost/web", "localhost/web:latest", "localhost/web:latest"),
        ("localhost:5000/a/b:t", "localhost:5000/a/b:t", "localhost:5000/a/b:t"),
        ("[::1]:5000/a", "[::1]:5000/a:latest", "[::1]:5000/a:latest"),
        (f"ghcr.io/a/b@{SHA}", f"ghcr.io/a/b@{SHA}", f"ghcr.io/a/b@{SHA}"),
        (f"web:1@{SHA}", f"docker.io/library/web:1@{SHA}", f"web:1@{SHA}"),
        ("host:latest", "docker.io/library/host:latest", "host:latest"),
        ("host:/", "host:/", "host:/"),
        ("rootfs:/srv/root", "rootfs:/srv/root", "rootfs:/srv/root"),
        ("rootfs:./root", "rootfs:./root", "rootfs:./root"),
        ("oci:/layout:tag", "oci:/layout:tag", "oci:/layout:tag"),
        ("oci:/layout", "oci:/layout", "oci:/layout"),
    ],
)
def test_good(text: str, full: str, familiar: str) -> None:
    reference = parse_reference(text)
    assert str(reference) == full
    assert reference.familiar == familiar
    assert parse_reference(full) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":tag",
        "Web",
        "web:",
        "web:a/b:c:d",
        "a//b",
        "-a",
        "web@sha256:short",
        "../x",
        "host:/etc",
        "a" * 256,
        "reg.example/",
        "web:" + "t" * 129,
        "web\n",
        "oci:/x:!",
    ],
)
def test_bad(text: str) -> None:
    with pytest.raises(EngineError):
        parse_reference(text)


def test_digests() -> None:
    assert str(parse_digest(SHA)) == SHA
    assert parse_digest(SHA).blob_path == "blobs/sha256/" + "a" * 64
    for bad in ("", "sha256:", "sha256:" + "A" * 64, "md5:" + "a" * 32, "sha256:../" + "a" * 61):
        with pytest.raises(EngineError):
            parse_digest(bad)


def test_chain_ids() -> None:
    other = "sha256:" + "b" * 64
    first, second = chain_ids([SHA, other])
    assert first == SHA
    assert second == str(digest_of(f"{SHA} {other}".encode()))
