"""The life of one container as its shim sees it: start the program, watch it, restart it, end.

CREATED ──start──► RUNNING ──exit──► plan_restart ──wait──► RESTARTING ──► RUNNING …
                      │                   └─ no ─► EXITED: the world is left, the shim ends
                      └─ stop / kill from control.sock
"""

import errno
import os
import signal
import socket
import time
from collections.abc import Sequence
from typing import Any

from runtime.container.exec import manner_of, spawn_exec
from runtime.container.kill import parse_signal
from runtime.errors import EngineError, StartError, StateError
from runtime.linux.syscalls import signalfd
from runtime.network.record import endpoint_from_json
from runtime.oci.container_spec import LogRequest
from runtime.oci.spec import Process
from runtime.shim import control
from runtime.shim.clients import Clients
from runtime.shim.health import plan_probe
from runtime.shim.logs.files import LogFile
from runtime.shim.logs.writer import LogWriter, Writer
from runtime.shim.loop import Loop
from runtime.shim.notes import note
from runtime.shim.outlet import Outlet
from runtime.shim.probes import Prober
from runtime.shim.restart import Backoff, plan_restart
from runtime.shim.servers import forget_server, watch_server
from runtime.shim.state import (
    CREATED,
    EXITED,
    HEALTH_UNHEALTHY,
    PAUSED,
    RESTARTING,
    RUNNING,
    ExitRecord,
    LiveState,
    PublishedAddress,
    write_exit_record,
    write_live_state,
    write_probe_results,
)
from runtime.shim.stdio import Stdio, Streams
from runtime.shim.task import ShimTask
from runtime.shim.world import Program, World
from runtime.store import events

_SIGNAL_BYTES = 128  # struct signalfd_siginfo


class Supervisor:
    """Runs in the shim. `start` once (it raises if the program cannot be started), then `run` to the end."""

    def __init__(self, task: ShimTask, world: World) -> None:
        self._task = task
        self._world = world
        self._directory = task.paths.live(task.container_id)
        self._loop = Loop()
        self._log = _open_log(task, self._loop)
        self._state = LiveState(status=CREATED, shim_pid=os.getpid())
        self._init: Program | None = None
        self._stdio: Stdio | None = None
        self._backoff = Backoff()
        self._stopping = False
        self._unhealthy = False  # it was told to end because it is
        self._last_code = 0
        self._oom_before = 0
        self._oom_killed = False
        self._error = ""
        self._clients = Clients(self._loop, self._serve)
        self._executions: dict[int, int] = {}
        self._prober: Prober | None = None
        self._attended = False
        self._left: list[Outlet] = []  # clients that have not taken all yet of what an ended program printed

    # ---- the program

    @property
    def pid(self) -> int:
        """The program's pid on the host; 0 while it does not run."""
        return self._init.pid if self._init is not None else 0

    @property
    def input(self) -> int:
        """What is written to this descriptor the running program reads; -1 = it reads nothing."""
        return self._stdio.input if self._stdio is not None else -1

    def start(self, client: Streams | None = None) -> None:
        """Start the program, with `client` attached. Raises StartError; the world is then still to be left."""
        spec = self._task.spec
        self._stdio = Stdio(self._loop, self._log, tty=spec.tty, keep_stdin=spec.stdin_open, client=client)
        state = self._state._replace(restarts=self._backoff.restarts)
        try:
            init = self._world.build(self._stdio.child, state)
        except BaseException:
            self._stdio.close()
            raise
        self._init = init
        self._state = init.state or state
        self._stdio.started(init.console)
        self._loop.watch(init.pidfd, self._on_program_exit)
        self._start_prober(init)
        self._clients.tell(self._summary())

    def _start_prober(self, init: Program) -> None:
        probe = plan_probe(self._task.spec.healthcheck or self._task.image.config.healthcheck)
        if probe is None:
            return
        self._prober = Prober(self._loop, self._world, probe, init, on_change=self._on_health)

    def _on_health(self) -> None:
        prober = self._prober
        if prober is None:
            return
        if prober.health.status != self._state.health:
            note(self._task, f"health_status: {prober.health.status}")
        self._state = self._state._replace(
            health=prober.health.status,
            failing_streak=prober.health.failing_streak,
            health_output=prober.results[-1].output,
        )
        write_probe_results(self._directory, prober.results)
        self._publish_state()
        if (
            prober.health.status == HEALTH_UNHEALTHY
            and self._task.spec.restart_unhealthy
            and not self._unhealthy
        ):
            self._unhealthy = True
            self._kill(self._stop_signal())
            self._loop.at("kill", self._task.spec.stop_grace_period_ns, lambda: self._kill(signal.SIGKILL))

    def _on_program_exit(self) -> None:
        init, stdio = self._init, self._stdio
        if init is None or stdio is None:
            return
        self._loop.forget(init.pidfd)
        _, status = os.waitpid(init.pid, 0)
        os.close(init.pidfd)
        self._init = None
        code = os.waitstatus_to_exitcode(status)
        self._last_code = code if code >= 0 else 128 - code
        self._loop.cancel("kill")
        if self._prober is not None:
            self._prober.stop()
            self._prober = None
        # Whatever was exec'ed into the container dies with its pid namespace, but not what shared the host's.
        self._world.cgroup.kill(to_be_used=True)
        attached = stdio.drain()
        self._log.finish_run()
        self._attended = bool(attached)
        self._left = [outlet for outlet in (*self._left, *attached) if not outlet.gone]
        oom_kills = self._world.cgroup.oom_kills()
        self._oom_killed, self._oom_before = oom_kills > self._oom_before, oom_kills
        if self._oom_killed:
            note(self._task, events.OOM)
        note(self._task, events.DIE, exitCode=str(self._last_code))
        self._clients.tell({"exit": self._last_code, "oom_killed": self._oom_killed})
        self._go_on()

    def _go_on(self) -> None:
        uptime_ns = time.time_ns() - self._state.started_ns
        backoff = plan_restart(
            self._task.spec.restart,
            self._backoff,
            exit_code=self._last_code,
            uptime_ns=uptime_ns,
            unhealthy=self._unhealthy,
        )
        self._unhealthy = False
        if self._stopping or backoff is None:
            self._finish()
            return
        self._backoff = backoff
        self._state = self._state._replace(
            status=RESTARTING, pid=0, pid_start=0, exit_code=self._last_code, health=""
        )
        self._publish_state()
        self._loop.at("restart", backoff.delay_ns, self._restart)

    def _restart(self) -> None:
        try:
            self.start()
            self._world.reap()
        except (EngineError, OSError) as error:
            self._error = str(error)
            self._last_code = 127
            self._go_on()

    # ---- the end

    def _finish(self) -> None:
        self._loop.stop()

    def end(self, *, error: str = "", code: int | None = None) -> None:
        """Leave the world and record how the container ended. Nothing is running any more after it."""
        for pid in self._executions.values():
            os.kill(pid, signal.SIGKILL)
        self._world.leave()
        record = ExitRecord(
            code=self._last_code if code is None else code,
            started_ns=self._state.started_ns,
            finished_ns=time.time_ns(),
            oom_killed=self._oom_killed,
            error=error or self._error,
            restarts=self._backoff.restarts,
        )
        write_exit_record(self._task.paths.container(self._task.container_id), record)
        if self._stopping:
            note(self._task, events.STOP)
        self._clients.tell({"status": EXITED, "exit": record.code})
        self._log.close()

    def flush(self) -> bool:
        """Give attached clients the rest of what the program has printed, however slow they are.

        The container has ended already. Returns whether there was a client to see that end.
        """
        for outlet in self._left:
            outlet.flush()
        return self._attended

    def run(self) -> None:
        """Serve until the container has ended."""
        self._world.reap()
        self._clients.open(self._world.server)
        for server in self._world.servers:
            watch_server(self._loop, server)
        shutdown = signalfd((signal.SIGTERM,))
        self._loop.watch(shutdown, lambda: self._on_shutdown(shutdown))
        self._loop.run()

    def _on_shutdown(self, reader: int) -> None:
        # SIGTERM reaches a shim when the machine goes down: the program gets its grace, no restart.
        os.read(reader, _SIGNAL_BYTES)
        self._stop(self._stop_signal(), self._task.spec.stop_grace_period_ns)

    def _stop_signal(self) -> int:
        return parse_signal(self._task.spec.stop_signal or self._task.image.config.stop_signal or "SIGTERM")

    # ---- control.sock

    def _publish_state(self) -> None:
        write_live_state(self._directory, self._state)
        self._clients.tell(self._summary())

    def _summary(self) -> dict[str, Any]:
        return {"status": self._state.status, "health": self._state.health, "pid": self._state.pid}

    def _serve(self, client: socket.socket, message: dict[str, Any], descriptors: list[int]) -> None:
        if message.get("op") == "attach":
            self._attach(client, descriptors)
        elif message.get("op") == "hold":
            self._hold(descriptors, message["targets"])
            self._clients.answer(client, {"ok": True})
        else:
            self._obey(client, message)

    def _obey(self, client: socket.socket, message: dict[str, Any]) -> None:
        operation = message.get("op")
        if operation == "stop":
            self._clients.answer(client, {"ok": True})
            self._stop(int(message["signal"]), int(message["grace_ns"]))
        elif operation == "kill":
            self._kill(int(message["signal"]))
            self._clients.answer(client, {"ok": True})
        elif operation == "subscribe":
            self._clients.subscribe(client)
            self._clients.answer(client, self._summary())
        elif operation == "pause":
            self._pause()
            self._clients.answer(client, {"ok": True})
        elif operation == "resume":
            self._resume()
            self._clients.answer(client, {"ok": True})
        elif operation == "networks":
            self._use_networks(message)
            self._clients.answer(client, {"ok": True})
        elif operation == "release":
            self._release()
            self._clients.answer(client, {"ok": True})
        elif operation == "exec":
            self._clients.answer(client, {"ok": True, "pid": self._exec(message["process"])})
        else:
            self._clients.answer(client, {"error": f"unknown operation {operation!r}"})

    def _use_networks(self, message: dict[str, Any]) -> None:
        endpoints = tuple(endpoint_from_json(item) for item in message["endpoints"])
        ports = tuple(PublishedAddress(*item) for item in message["ports"])
        self._world.use_endpoints(endpoints, ports, message["links"])
        if ports != self._state.ports:
            self._state = self._state._replace(ports=ports)
            self._publish_state()

    def _hold(self, descriptors: Sequence[int], targets: Sequence[Sequence[Any] | None]) -> None:
        """Take over host ports that a command has bound."""
        before = self._world.proxy
        self._world.hold_ports(
            descriptors, [None if item is None else (item[0], item[1]) for item in targets]
        )
        if before is None and self._world.proxy is not None:
            watch_server(self._loop, self._world.proxy)

    def _release(self) -> None:
        if self._world.proxy is not None:
            forget_server(self._loop, self._world.proxy)
        self._world.release_ports()

    def _attach(self, client: socket.socket, descriptors: list[int]) -> None:
        if self._stdio is None or self._init is None:
            raise StateError(f"container {self._task.spec.name} is not running")
        self._stdio.attach(Streams(-1, *descriptors[:2]))
        control.send(client, {"ok": True}, [self.input] if self.input >= 0 else [])

    def _stop(self, number: int, grace_ns: int) -> None:
        first = not self._stopping
        self._stopping = True
        self._loop.cancel("restart")
        if self._init is None:
            self._finish()
            return
        if first or number == signal.SIGKILL:
            self._kill(number)
        self._loop.at("kill", grace_ns, lambda: self._kill(signal.SIGKILL))

    def _pause(self) -> None:
        if self._init is None or self._state.status != RUNNING:
            raise StateError(f"container {self._task.spec.name} is not running")
        self._world.cgroup.freeze(True)
        if self._prober is not None:
            self._prober.pause()
        self._state = self._state._replace(status=PAUSED)
        self._publish_state()
        note(self._task, events.PAUSE)

    def _resume(self) -> None:
        if self._state.status != PAUSED:
            raise StateError(f"container {self._task.spec.name} is not paused")
        self._world.cgroup.freeze(False)
        if self._prober is not None:
            self._prober.resume()
        self._state = self._state._replace(status=RUNNING)
        self._publish_state()
        note(self._task, events.UNPAUSE)

    def _kill(self, number: int) -> None:
        if self._init is None:
            raise StartError(f"container {self._task.spec.name} is not running")
        if self._state.status == PAUSED:
            # A frozen process never gets to its signal.
            self._resume()
        signal.pidfd_send_signal(self._init.pidfd, number)
        note(self._task, events.KILL, signal=str(number))

    def _exec(self, process: Process) -> int:
        """Start a detached process in the container; it is reaped here. Returns its pid."""
        if self._init is None or self._state.status == PAUSED:
            # In a frozen cgroup the new process, and we with it, would wait for ever.
            raise StateError(f"container {self._task.spec.name} is not running, or paused")
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        try:
            started = spawn_exec(
                process,
                init_pid=self._init.pid,
                init_pidfd=self._init.pidfd,
                cgroup=self._world.cgroup,
                stdio=(null, null, null),
                seccomp_program=self._world.seccomp,
                manner=manner_of(self._world.spec, process, self._init.pid),
            )
        finally:
            os.close(null)
        self._executions[started.pidfd] = started.pid
        self._loop.watch(started.pidfd, lambda: self._reap(started.pidfd))
        return started.pid

    def _reap(self, pidfd: int) -> None:
        self._loop.forget(pidfd)
        os.waitpid(self._executions.pop(pidfd), 0)
        os.close(pidfd)


def _open_log(task: ShimTask, loop: Loop) -> Writer:
    folder = task.paths.container(task.container_id)
    if task.spec.logging == LogRequest():
        return LogWriter(LogFile(f"{folder}/log", loop))
    from runtime.shim.logs.drivers import open_log

    return open_log(folder, task.container_id, task.spec, task.image, loop)


def failure_code(error: BaseException) -> int:
    """The exit code of a program that could not be started: 127 not found, 126 not executable, else 128."""
    if isinstance(error, StartError) and error.step == "exec":
        return 127 if error.errno == errno.ENOENT else 126
    return 128
