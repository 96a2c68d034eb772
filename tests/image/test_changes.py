"""Instructions that an import may be given."""

import pytest

from runtime.errors import InvalidError
from runtime.image.changes import parse_changes


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
