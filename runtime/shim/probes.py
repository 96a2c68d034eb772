"""Runs a container's health check: one probe at a time, in the container's namespaces, killed at its timeout."""

import os
import signal
import time
from collections.abc import Callable

from runtime.container.exec import ExecProcess, exec_process, manner_of, spawn_exec
from runtime.errors import EngineError
from runtime.shim.health import KEPT_RESULTS, OUTPUT_BYTES, Health, Probe, judge, next_delay_ns
from runtime.shim.loop import Loop
from runtime.shim.state import ProbeResult
from runtime.shim.world import Program, World

_NOT_RUN = -1  # exit code of a probe that could not be started, or took too long; Docker's


class Prober:
    """Probes one run of the program. `on_change` is called after every result; read `health` and `results`."""

    __slots__ = (
        "_begun_ns", "_init", "_loop", "_null", "_on_change", "_output", "_paused", "_probe", "_reader", "_running",
        "_started_ns", "_timed_out", "_world", "health", "results",
    )  # fmt: skip

    def __init__(
        self,
        loop: Loop,
        world: World,
        probe: Probe,
        init: Program,
        *,
        on_change: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._world = world
        self._probe = probe
        self._init = init
        self._on_change = on_change
        self._started_ns = time.monotonic_ns()
        self._running: ExecProcess | None = None
        self._reader = -1
        self._timed_out = False
        self._paused = False
        self._null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        self._begun_ns = 0  # when the last probe was started
        self._output = b""
        self.health = Health()
        self.results: tuple[ProbeResult, ...] = ()  # the last ones, the newest last
        self._schedule()

    def _uptime_ns(self) -> int:
        return time.monotonic_ns() - self._started_ns

    def _schedule(self) -> None:
        if self._paused:
            return
        delay_ns = next_delay_ns(self._probe, self.health, uptime_ns=self._uptime_ns())
        self._loop.at("health", delay_ns, self._start)

    def pause(self) -> None:
        """No probe and no timeout while the container is frozen: what joins it then would never come to an end."""
        self._paused = True
        self._loop.cancel("health")
        self._loop.cancel("health timeout")

    def resume(self) -> None:
        """Go on after `pause`; a probe that was under way gets its whole time again."""
        self._paused = False
        if self._running is None:
            self._schedule()
        else:
            self._loop.at("health timeout", self._probe.timeout_ns, self._on_timeout)

    def _start(self) -> None:
        self._timed_out = False
        self._begun_ns = time.time_ns()
        self._output = b""
        reader, writer = os.pipe2(os.O_CLOEXEC)
        try:
            process = exec_process(self._world.spec, self._probe.args)
            self._running = spawn_exec(
                process,
                init_pid=self._init.pid,
                init_pidfd=self._init.pidfd,
                cgroup=self._world.cgroup,
                stdio=(self._null, writer, writer),
                seccomp_program=self._world.seccomp,
                manner=manner_of(self._world.spec, process, self._init.pid),
            )
        except (EngineError, OSError) as error:
            os.close(reader)
            self._output = str(error).encode()
            self._result(_NOT_RUN)
            return
        finally:
            os.close(writer)
        os.set_blocking(reader, False)
        self._reader = reader
        self._loop.watch(reader, self._read)
        self._loop.watch(self._running.pidfd, self._on_exit)
        self._loop.at("health timeout", self._probe.timeout_ns, self._on_timeout)

    def _read(self) -> None:
        try:
            data = os.read(self._reader, OUTPUT_BYTES)
        except BlockingIOError:
            return
        if data:
            self._output = (self._output + data)[:OUTPUT_BYTES]
        else:
            self._close_reader()

    def _close_reader(self) -> None:
        if self._reader >= 0:
            self._loop.forget(self._reader)
            os.close(self._reader)
            self._reader = -1

    def _on_timeout(self) -> None:
        if self._running is not None:
            self._timed_out = True
            self._output = f"the health check took longer than {self._probe.timeout_ns / 1e9:g} s".encode()
            signal.pidfd_send_signal(self._running.pidfd, signal.SIGKILL)

    def _on_exit(self) -> None:
        status = self._reap()
        if status is not None:
            code = os.waitstatus_to_exitcode(status)
            self._result(_NOT_RUN if self._timed_out else code if code >= 0 else 128 - code)

    def _reap(self) -> int | None:
        running = self._running
        if running is None:
            return None
        self._running = None
        self._loop.cancel("health timeout")
        self._loop.forget(running.pidfd)
        _, status = os.waitpid(running.pid, 0)
        os.close(running.pidfd)
        if self._reader >= 0 and not self._timed_out:
            self._read()
        self._close_reader()
        return status

    def _result(self, code: int) -> None:
        self.health = judge(self._probe, self.health, passed=code == 0, uptime_ns=self._uptime_ns())
        output = self._output.decode(errors="replace")
        result = ProbeResult(self._begun_ns, time.time_ns(), code, output)
        self.results = (*self.results, result)[-KEPT_RESULTS:]
        self._on_change()
        self._schedule()

    def stop(self) -> None:
        """The program has ended: end a running probe and do not start another."""
        self._loop.cancel("health")
        if self._running is not None:
            signal.pidfd_send_signal(self._running.pidfd, signal.SIGKILL)
            self._reap()
        os.close(self._null)
