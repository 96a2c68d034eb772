"""Names of images and the changes of an import."""

import pytest

from runtime.errors import InvalidError
from runtime.image.changes import parse_changes
from runtime.image.reference import parse_reference

DIGEST = "sha256:" + "a" * 64


@pytest.mark.parametrize(
    ("text", "full", "familiar"),
    [
        ("web", "docker.io/library/web:latest", "web:latest"),
        ("web:1.2", "docker.io/library/web:1.2", "web:1.2"),
        ("me/web", "docker.io/me/web:latest", "me/web:latest"),
        ("docker.io/library/web", "docker.io/library/web:latest", "web:latest"),
        ("localhost/web", "localhost/web:latest", "localhost/web:latest"),
        ("localhost:5000/a/web:x", "localhost:5000/a/web:x", "localhost:5000/a/web:x"),
        ("ghcr.io/o/web@" + DIGEST, "ghcr.io/o/web@" + DIGEST, "ghcr.io/o/web@" + DIGEST),
        ("web:1@" + DIGEST, "docker.io/library/web:1@" + DIGEST, "web:1@" + DIGEST),
    ],
)
def test_references(text: str, full: str, familiar: str) -> None:
    reference = parse_reference(text)
    assert (str(reference), reference.familiar) == (full, familiar)
    assert parse_reference(full) == parse_reference(familiar) == reference


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Web",
        "web:",
        "web:-x",
        ":tag",
        "a//b",
        "web@sha256:12",
        "web@",
        "a b",
        "-web",
        "../x",
        "web:" + "x" * 129,
    ],
)
def test_bad_references(text: str) -> None:
    with pytest.raises(InvalidError, match="not a valid image name"):
        parse_reference(text)


def test_changes() -> None:
    assert parse_changes(
        [
            'CMD ["a", "b"]',
            "entrypoint run it",
            "ENV A=1 B='2 3'",
            "ENV old style value",
            "LABEL x=y",
            "EXPOSE 80 53/udp",
            "VOLUME /data /more",
            'VOLUME ["/json"]',
            "USER me",
            "WORKDIR /srv",
            "STOPSIGNAL SIGQUIT",
        ]
    ) == {
        "Cmd": ["a", "b"],
        "Entrypoint": ["/bin/sh", "-c", "run it"],
        "Env": ["A=1", "B=2 3", "old=style value"],
        "Labels": {"x": "y"},
        "ExposedPorts": {"80/tcp": {}, "53/udp": {}},
        "Volumes": {"/data": {}, "/more": {}, "/json": {}},
        "User": "me",
        "WorkingDir": "/srv",
        "StopSignal": "SIGQUIT",
    }


@pytest.mark.parametrize(
    "change", ["RUN x", "CMD", "EXPOSE 0", "EXPOSE x/tcp", "ENV =x", "ENV 'x", "LABEL a"]
)
def test_bad_changes(change: str) -> None:
    with pytest.raises(InvalidError):
        parse_changes([change])
