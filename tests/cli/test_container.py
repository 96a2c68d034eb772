"""`container start|stop|kill|rm` of several."""

from types import SimpleNamespace
from typing import Any

import pytest

from composer.cli import container as commands
from composer.errors import ComposeError
from runtime import NotFoundError


@pytest.mark.parametrize("failure", [NotFoundError("gone"), ComposeError("gone")])
def test_the_others_follow_after_a_failure(failure: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another command may have removed one since it was found, which the engine then tells."""
    told: list[str] = []

    def carry_out(context: Any, desired: Any, *_: Any, **__: Any) -> None:
        if desired.project == "bad":
            raise failure

    monkeypatch.setattr(commands, "find", lambda _, name: SimpleNamespace(project=name))
    monkeypatch.setattr(commands, "carry_out", carry_out)
    monkeypatch.setattr(commands, "print_error", lambda _, error: told.append(str(error)))
    context: Any = SimpleNamespace(
        err=None, out=SimpleNamespace(line=told.append), options=SimpleNamespace(dry_run=False)
    )
    assert commands.start(context, names=("bad", "good")) == 1
    assert told == ["gone", "good"]
