"""The engine as a library, used from a process that is anything but light: shims start in a fresh interpreter."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from runtime import (
    ConflictError,
    Container,
    ContainerSpec,
    Engine,
    ExecRequest,
    Healthcheck,
    InvalidError,
    LogReader,
    MountRequest,
    NotFoundError,
    RestartPolicy,
    StartError,
    run_attached,
    run_detached,
)
from runtime.oci.labels import LABEL_NUMBER, LABEL_PROJECT, LABEL_SERVICE

Make = Callable[..., Container]


@pytest.fixture
def make(engine: Engine, busybox_root: Path) -> Make:
    """Creates and starts a container without network; the test removes it."""

    def made(*command: str, start: bool = True, **fields: object) -> Container:
        spec = ContainerSpec(
            name=str(fields.pop("name", "c")),
            image=f"rootfs:{busybox_root}",
            labels={LABEL_PROJECT: "t", LABEL_SERVICE: "s", LABEL_NUMBER: "1"},
            command=command,
            network_mode="none",
            **fields,  # type: ignore[arg-type]
        )
        container_id = engine.containers.create(spec)
        if start:
            engine.containers.begin_start(container_id).finish()
            engine.containers.started(container_id)
        return engine.containers.get(container_id)

    return made


def remove(engine: Engine, container: Container) -> None:
    current = engine.containers.get(container.id)
    engine.containers.begin_stop(current, grace_ns=0).finish()
    engine.containers.remove(container.id, volumes=True)


def until(engine: Engine, container: Container, wanted: Callable[[Container], bool]) -> Container:
    deadline = time.monotonic() + 10
    while not wanted(current := engine.containers.get(container.id)):
        assert time.monotonic() < deadline, current
        time.sleep(0.02)
    return current


def output(engine: Engine, container: Container) -> list[bytes]:
    reader = LogReader(engine.containers.log_path(container.id))
    lines = [*reader.read(), *reader.rest()]
    reader.close()
    return [line.text for line in lines]


def test_a_program_runs_and_its_end_is_recorded(engine: Engine, make: Make) -> None:
    container = make("sh", "-c", "echo out; echo err >&2; exit 5")
    ended = until(engine, container, lambda item: item.exit is not None)
    assert ended.exit is not None
    assert (ended.status, ended.exit.code, ended.exit.oom_killed) == ("exited", 5, False)
    assert sorted(output(engine, container)) == [b"err", b"out"]
    remove(engine, container)


def test_stop_waits_for_the_grace_then_kills(engine: Engine, make: Make) -> None:
    container = make("sh", "-c", "trap '' TERM; echo ready; while :; do sleep 0.1; done")
    until(engine, container, lambda _: output(engine, container) == [b"ready"])
    begun = time.monotonic()
    engine.containers.begin_stop(container, grace_ns=300_000_000).finish()
    assert 0.3 <= time.monotonic() - begun < 3
    ended = engine.containers.get(container.id).exit
    assert ended is not None
    assert ended.code == 137
    remove(engine, container)


def test_a_stop_is_not_undone_by_a_restart_policy(engine: Engine, make: Make) -> None:
    container = make("sleep", "1000", init=True, restart=RestartPolicy("always"))
    engine.containers.begin_stop(container).finish()
    time.sleep(0.3)
    assert engine.containers.get(container.id).status == "exited"
    remove(engine, container)


@pytest.mark.parametrize(
    ("command", "code", "text"),
    [(("/opt/nosuch",), 127, "command not found"), (("/etc/passwd",), 126, "permission denied")],
)
def test_what_cannot_run_says_why(
    engine: Engine, make: Make, command: tuple[str, ...], code: int, text: str
) -> None:
    # What a mount brings is only known once it is there.
    container = make(*command, start=False, mounts=(MountRequest("tmpfs", "/opt"),))
    with pytest.raises(StartError, match=text):
        engine.containers.begin_start(container.id).finish()
    ended = engine.containers.get(container.id).exit
    assert ended is not None
    assert ended.code == code
    remove(engine, container)


def test_refused_before_anything_is_made(engine: Engine, make: Make) -> None:
    with pytest.raises(NotFoundError):
        engine.containers.create(ContainerSpec("x", "nosuch", command=("true",)))
    with pytest.raises(StartError, match="command not found"):
        make("nosuch")
    with pytest.raises(InvalidError, match="does not exist"):
        make("true", mounts=(MountRequest("bind", "/x", source="/no/such"),))
    with pytest.raises(InvalidError, match="no command"):
        make()
    with pytest.raises(InvalidError, match="SIGNOPE"):
        make("true", stop_signal="SIGNOPE")
    kept = make("true", start=False)
    with pytest.raises(ConflictError, match="in use"):
        make("true", start=False)
    assert [container.id for container in engine.containers.list()] == [kept.id]
    remove(engine, kept)


def test_a_terminal(engine: Engine, make: Make) -> None:
    container = make("sh", "-c", "tty; test -t 0 && echo terminal; sleep 0.1", tty=True)
    until(engine, container, lambda item: item.exit is not None)
    assert output(engine, container) == [b"/dev/pts/0\r", b"terminal\r"]
    remove(engine, container)


def test_exec_attached_and_detached(engine: Engine, make: Make, capfd: pytest.CaptureFixture[str]) -> None:
    container = make("sleep", "1000", init=True)
    assert run_attached(engine, container, ExecRequest(("sh", "-c", "echo $X; exit 3"), env=("X=hi",))) == 3
    assert capfd.readouterr().out == "hi\n"
    assert run_attached(engine, container, ExecRequest(("sh", "-c", "kill -9 $$"))) == 137
    pid = run_detached(engine, container, ExecRequest(("sleep", "1000")))
    assert Path(f"/proc/{pid}").exists()
    remove(engine, container)
    assert not Path(f"/proc/{pid}").exists()


def test_health(engine: Engine, make: Make) -> None:
    check = Healthcheck(("CMD-SHELL", "test -e /ok || { echo missing; exit 1; }"), 50_000_000, retries=2)
    container = make("sleep", "1000", init=True, healthcheck=check)

    def has(status: str) -> Callable[[Container], bool]:
        return lambda item: item.live is not None and item.live.health == status

    sick = until(engine, container, has("unhealthy"))
    assert sick.live is not None
    assert sick.live.health_output == "missing\n"
    run_attached(engine, container, ExecRequest(("touch", "/ok")))
    until(engine, container, has("healthy"))
    remove(engine, container)


def test_a_health_check_that_hangs_is_killed(engine: Engine, make: Make) -> None:
    check = Healthcheck(("CMD", "sleep", "100"), 50_000_000, timeout_ns=100_000_000, retries=1)
    container = make("sleep", "1000", init=True, healthcheck=check)
    until(engine, container, lambda item: item.live is not None and item.live.health == "unhealthy")
    remove(engine, container)


def test_a_lost_shim_is_seen_and_cleaned_up(engine: Engine, make: Make) -> None:
    container = make("sleep", "1000")
    assert container.live is not None
    os.kill(container.live.shim_pid, signal.SIGKILL)
    lost = until(engine, container, lambda item: item.exit is not None)
    assert lost.exit is not None
    assert lost.exit.code == 137
    deadline = time.monotonic() + 5
    while not _is_dead(container.live.pid):
        assert time.monotonic() < deadline, "the program outlived its shim"
        time.sleep(0.01)
    engine.containers.begin_start(container.id).finish()
    assert engine.containers.get(container.id).status == "running"
    remove(engine, container)


def _is_dead(pid: int) -> bool:
    try:
        return ") Z " in Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_what_was_written_is_kept_over_a_stop_and_gone_with_the_container(engine: Engine, make: Make) -> None:
    container = make("sh", "-c", "cat /kept 2>/dev/null; echo kept > /kept")
    until(engine, container, lambda item: item.exit is not None)
    engine.containers.begin_start(container.id).finish()
    until(engine, container, lambda item: item.exit is not None)
    assert output(engine, container) == [b"kept"]
    folder = Path(engine.paths.container(container.id))
    remove(engine, container)
    assert not folder.exists()


def test_anonymous_volumes_follow_a_replacement(engine: Engine, make: Make) -> None:
    old = make("sh", "-c", "echo data > /data/file", mounts=(MountRequest("volume", "/data"),))
    until(engine, old, lambda item: item.exit is not None)
    spec = old.spec._replace(command=("cat", "/data/file"))
    new_id = engine.containers.create(spec, replaces=old.id)
    engine.containers.remove(old.id)
    engine.containers.begin_start(new_id).finish()
    new = engine.containers.get(new_id)
    until(engine, new, lambda item: item.exit is not None)
    assert output(engine, new) == [b"data"]
    remove(engine, new)
    assert engine.volumes.list() == []
