"""Creates a container of the OCI command: everything up to the point where `start` has only to say so.

    create, run                                     child
      id, cgroup, namespaces' files, source trees
      clone3 (birth.py) ──────────────────────────► waits
      cgroup, id maps, oom_score_adj ── "g" ──────► joins, mounts (oci_setup.py)
      ◄────────────────────────────────── "hooks" ─┤
      prestart, createRuntime hooks ──── "g" ──────► createContainer hooks, new root, identity
      ◄───────────── "listener" + descriptor ──────┤ (seccomp with notifications)
      ◄───────────── "created" + console ──────────┤
      record                                        waits: for `run` on the channel, else on start.sock

The child that waits for `start` listens on a socket in the state folder, so that nobody stands between them.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.cgroups.manager import join_opened
from runtime.container import birth, oci_steps, sync
from runtime.container.child import make_channel, settle
from runtime.container.delete import unmount_below
from runtime.container.hooks import run_container_hooks, run_hooks
from runtime.container.oci_cgroup import CGROUPFS, OwnCgroup
from runtime.container.oci_child import OciChild
from runtime.container.oci_setup import Surroundings, plan_oci_identity, plan_oci_setup
from runtime.container.oci_trees import open_trees
from runtime.container.state import Record, StateDirectory, new_record, state_json
from runtime.container.trampoline import open_trampoline
from runtime.errors import EngineError, InvalidError, StartError
from runtime.linux import constants as k
from runtime.linux import syscalls
from runtime.linux.capabilities import last_capability
from runtime.linux.procfs import mount_point_of, start_time

if TYPE_CHECKING:
    from runtime.container.setup import SetupStep
    from runtime.oci.spec import Spec


class Options(NamedTuple):
    """How a container is to be created, beside its bundle."""

    root: str
    bundle: str
    manager: str = CGROUPFS
    preserve_fds: tuple[int, ...] = ()
    pivot: bool = True
    keyring: bool = True


class Created:
    """A container whose first process waits. The caller owns `pidfd` and `console` (-1 = none)."""

    __slots__ = ("channel", "console", "directory", "errors", "pidfd", "record", "spec", "warnings")

    def __init__(self, directory: StateDirectory, spec: Spec) -> None:
        self.directory = directory
        self.spec = spec
        self.channel: socket.socket
        self.console = -1
        self.errors = -1
        self.pidfd = -1
        self.record: Record
        self.warnings: list[str] = []


def create_container(spec: Spec, container_id: str, options: Options, *, waiting: bool) -> Created:
    """Create it; `waiting` for a later `start` call, else for the caller's `go`.

    Raises EngineError, OSError; nothing is left behind then.
    """
    directory = StateDirectory(options.root, container_id)
    directory.reserve()
    created = Created(directory, spec)
    own: OwnCgroup | None = None
    try:
        own = OwnCgroup(spec, container_id, options.manager)
        created.warnings += own.make()
        _Creation(spec, options, created, own).run(waiting)
        return created
    except BaseException:
        if created.pidfd >= 0:
            _kill(created.pidfd)
        if own is not None:
            own.take_back()
        if all(namespace["type"] != "mount" for namespace in spec["linux"]["namespaces"]):
            unmount_below(spec["root"]["path"])
        directory.remove()
        raise


def _kill(pidfd: int) -> None:
    """Kill the first process and reap it."""
    try:
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return
    try:
        os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
    except ChildProcessError:
        pass


class _Extra(NamedTuple):
    """Descriptors the child needs until it waits: source trees, namespaces, cgroups' files, the listener (or -1)."""

    trees: Sequence[int]
    namespaces: Sequence[int]
    joining: Sequence[int]
    listener: int

    def descriptors(self) -> list[int]:
        """All of them in one list."""
        return [*self.trees, *self.namespaces, *self.joining, self.listener]

    def at(self, numbers: Sequence[int]) -> _Extra:
        """The same with the numbers they have in the child."""
        first, second = len(self.trees), len(self.trees) + len(self.namespaces)
        last = second + len(self.joining)
        listener = numbers[last] if self.listener >= 0 else -1
        return _Extra(numbers[:first], numbers[first:second], numbers[second:last], listener)


class _Creation:
    """One creation: what its parts share."""

    def __init__(self, spec: Spec, options: Options, created: Created, own: OwnCgroup) -> None:
        self.spec = spec
        self.options = options
        self.created = created
        self.own = own
        self.cgroup = own.cgroup
        self.rootfs = spec["root"]["path"]
        self.birth = birth.plan_birth(spec)
        hooks = spec.get("hooks", {})
        self.early_hooks = [
            ("prestart", hooks.get("prestart", [])),
            ("createRuntime", hooks.get("createRuntime", [])),
        ]
        self.inner_hooks = hooks.get("createContainer", [])

    def run(self, waiting: bool) -> None:
        """Everything. Raises EngineError, OSError."""
        process = self.spec["process"]
        if not any(item.startswith("HOME=") for item in process.get("env", ())):
            process.setdefault("env", []).append(f"HOME={self._home(process['user']['uid'])}")
        steps = self._plan(*self._load_seccomp())
        folder = f"{self.created.directory.path}/dev"
        trees = open_trees(self.spec, steps, self.birth.joined.get("user", -1), folder)
        listener = self._listen() if waiting else None
        try:
            channel = self._spawn(steps, trees, listener)
        finally:
            for fd in trees:
                os.close(fd)
            if listener is not None:
                listener.close()
            self.birth.close()
        try:
            self._accompany(channel)
        except BaseException:
            channel.close()
            raise
        self.created.channel = channel
        self._record()

    # ---- before the child

    def _home(self, uid: int) -> str:
        from runtime.container.users import resolve_user

        try:
            return resolve_user(self.rootfs, str(uid)).home
        except (EngineError, OSError):
            return "/"

    def _load_seccomp(self) -> tuple[bytes | None, int]:
        """The compiled filter and the flags to install it with. Raises InvalidError."""
        profile = self.spec["linux"].get("seccomp")
        if not profile:
            return None, 0
        from runtime.linux.seccomp import filter_flags, load_program, unknown_names

        if self.spec.get("annotations", {}).get("run.oci.seccomp_fail_unknown_syscall", "0") != "0":
            for name in unknown_names(profile):
                raise InvalidError(f"linux.seccomp: unknown system call {name!r}")
        return load_program(profile, self._cache_directory()), filter_flags(profile)

    def _cache_directory(self) -> str:
        path = f"{self.options.root}/.seccomp"
        try:
            os.mkdir(path, 0o700)
        except OSError:
            pass
        return path

    def _plan(self, seccomp: bytes | None, flags: int) -> tuple[SetupStep, ...]:
        parent = ""
        if "shared" in self.spec["linux"].get("rootfsPropagation", ""):
            parent = mount_point_of(self.rootfs)
        around = Surroundings(self.cgroup.mounts(), self.cgroup.directories(), parent, self.options.pivot)
        hooked = bool(self.inner_hooks or any(hooks for _, hooks in self.early_hooks))
        try:
            steps = (
                *plan_oci_setup(self.spec, around, hooked=hooked),
                *plan_oci_identity(
                    self.spec,
                    self.spec["process"],
                    seccomp=seccomp,
                    seccomp_flags=flags,
                    permitted=syscalls.capget()[1],
                ),
            )
        except KeyError as error:
            raise InvalidError(f"unknown name in the container's configuration: {error.args[0]}") from None
        for step in steps:
            # The child may not be able to read the interpreter's files: what it needs is loaded now.
            if step.op == "mount" and "tmpcopyup" in step.value.options.extensions:
                import runtime.container.copy_up
            if flags & k.SECCOMP_FILTER_FLAG_NEW_LISTENER:
                import runtime.container.seccomp_listener  # noqa: F401
        return (
            steps if self.options.keyring else tuple(s for s in steps if s.op != "join new session keyring")
        )

    def _listen(self) -> socket.socket:
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        # By descriptor: a path of --root may be longer than a socket's address can be.
        folder = os.open(self.created.directory.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            listener.bind(f"/proc/self/fd/{folder}/start.sock")
            listener.listen(1)
        finally:
            os.close(folder)
        return listener

    # ---- the child

    def _spawn(
        self, steps: Sequence[SetupStep], trees: tuple[int, ...], listener: socket.socket | None
    ) -> socket.socket:
        near, far = make_channel()
        errors, errors_far = os.pipe2(os.O_CLOEXEC)
        preserve = self.options.preserve_fds
        trampoline = open_trampoline(3 + len(preserve))
        child = OciChild(last_capability())
        child.root_path = self.rootfs
        terminal = self.spec["process"].get("terminal", False)
        null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)
        cgroup_fd = self.cgroup.open_for_birth()
        namespaces = [*self.birth.joined.values()]
        joining = self.cgroup.open_for_joining(born=cgroup_fd >= 0)
        try:
            pid, pidfd = birth.give_birth(self.birth, cgroup_fd)
            if pid == 0:
                stdio = (null, null, null) if terminal else (0, 1, 2)
                extra = _Extra(trees, namespaces, joining, listener.fileno() if listener else -1)
                self._be_child(child, steps, stdio, errors_far, far.fileno(), trampoline, extra)
        finally:
            far.close()
            for fd in (errors_far, trampoline, null, cgroup_fd, *joining):
                if fd >= 0:
                    os.close(fd)
        self.created.pidfd, self.created.errors = pidfd, errors
        self.pid = pid
        return near

    def _be_child(
        self,
        child: OciChild,
        steps: Sequence[SetupStep],
        stdio: tuple[int, int, int],
        errors: int,
        channel: int,
        trampoline: int,
        extra: _Extra,
    ) -> None:
        try:
            settle()
            child.arrange_descriptors(
                stdio, self.options.preserve_fds, errors, channel, trampoline, extra.descriptors()
            )
            extra = extra.at(child.extra_fds)
            child.trees = tuple(extra.trees)
            if os.read(child.channel_fd, 1) != sync.GO:
                os._exit(1)
            try:
                join_opened(extra.joining)
                birth.join_rest(
                    self.birth._replace(joined=dict(zip(self.birth.joined, extra.namespaces, strict=True)))
                )
            except OSError as error:
                child.fail("join cgroup and namespaces", error)
            if self.inner_hooks:
                child.hooks = self._run_inner_hooks
            for fd in (*extra.namespaces, *extra.joining):
                os.close(fd)
            child.run_steps(steps, oci_steps.OPERATIONS)
            for fd in (*child.trees, child.apparmor_fd, child.selinux_fd):
                if fd >= 0:
                    os.close(fd)
            self._wait_for_start(child, extra.listener)
            process = self.spec["process"]
            child.exec_program(process["args"], process.get("env", []))
        finally:
            os._exit(1)

    def _run_inner_hooks(self) -> None:
        run_hooks(self.inner_hooks, "createContainer", self._state("creating", os.getpid()))

    def _wait_for_start(self, child: OciChild, listener_fd: int) -> None:
        hooks = self.spec.get("hooks", {}).get("startContainer", [])
        if listener_fd < 0:
            child.report_created()
            report = child.channel_fd
        else:
            sync.send_created(child.channel_fd, child.console)
            for fd in (child.console, child.channel_fd):
                if fd >= 0:
                    os.close(fd)
            with socket.socket(fileno=listener_fd) as listener:
                connection, _ = listener.accept()
            report = connection.detach()
            os.dup2(report, child.error_fd, inheritable=True)
        try:
            run_container_hooks(
                hooks, self._state("created", os.getpid()), child.trampoline_fd, child.error_fd
            )
        except StartError as error:
            sync.send_failure(report, error.step, OSError(0, error.message))
            os._exit(1)
        if listener_fd >= 0:
            os.close(report)

    # ---- beside the child

    def _accompany(self, channel: socket.socket) -> None:
        """Do what only the parent can, and answer what the child asks, until it waits to be started."""
        pid = self.pid
        if "oomScoreAdj" in self.spec["process"]:
            _write_oom_score(pid, self.spec["process"]["oomScoreAdj"])
        if self.birth.new & k.CLONE_NEWUSER:
            from runtime.container.user_namespace import map_ids

            map_ids(pid, self.spec)
        channel.send(sync.GO)
        self.created.directory.write_spec(self.spec)  # while the child is at work
        while True:
            word, fd = sync.receive_progress(channel)
            if word == "created":
                self.own.settled()
                self.created.console = fd
                return
            if word == "listener":
                from runtime.container.seccomp_listener import deliver

                seccomp = self.spec["linux"]["seccomp"]
                path = seccomp.get("listenerPath", "")
                deliver(path, fd, self._state("creating", pid), seccomp.get("listenerMetadata", ""))
            else:
                for kind, hooks in self.early_hooks:
                    run_hooks(hooks, kind, self._state("creating", pid))
                channel.send(sync.GO)

    def _state(self, status: str, pid: int) -> dict[str, Any]:
        record = self._make_record(pid, 0)
        return state_json(record, status)

    def _make_record(self, pid: int, started: int) -> Record:
        return new_record(
            id=self.created.directory.id,
            pid=pid,
            pid_start=started,
            bundle=self.options.bundle,
            rootfs=self.rootfs,
            cgroup_path=self.own.path,
            scope=self.own.scope,
            cgroup_manager=self.options.manager,
            annotations=self.spec.get("annotations", {}),
        )

    def _record(self) -> None:
        self.created.record = self._make_record(self.pid, start_time(self.pid))
        self.created.directory.write(self.created.record)


def _write_oom_score(pid: int, score: int) -> None:
    path = f"/proc/{pid}/oom_score_adj"
    try:
        with open(path, "w", encoding="ascii") as file:
            file.write(str(score))
    except OSError as error:
        raise StartError(
            f"could not set oom score: {path}: {error.strerror}",
            step="set oom score",
            errno=error.errno or 0,
            hint="lowering it needs CAP_SYS_RESOURCE",
        ) from None
