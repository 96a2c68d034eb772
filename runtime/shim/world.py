"""The surroundings of a container that outlive restarts of its program: namespaces, root filesystem, network, cgroup.

All of it belongs to the shim, though a builder makes most of it, and goes with it: mounts and links die with its
namespaces; the rest (cgroup, published ports, zone entries) `leave` takes away, or `reclaim` for a shim that was
killed.
"""

import os
import signal
import socket
from collections.abc import Mapping, Sequence
from typing import Any

from runtime.cgroups.manager import Cgroup, open_cgroup
from runtime.errors import EngineError, StateError
from runtime.linux import constants as k
from runtime.linux import syscalls
from runtime.linux.limits import allow_many_files, limit_files
from runtime.network.dns.entries import remove_entry
from runtime.network.dns.forward import HostServers, Upstreams
from runtime.network.dns.server import Responder
from runtime.network.endpoint import HostNetwork
from runtime.network.ports import publishing_endpoint
from runtime.network.proxy import Forward, Proxy
from runtime.network.record import Endpoint
from runtime.oci.container_spec import all_links
from runtime.oci.labels import LABEL_PROJECT
from runtime.oci.spec import Spec
from runtime.shim import line
from runtime.shim.builder import be_builder, load_spec
from runtime.shim.interpreter import command_line
from runtime.shim.published import translations
from runtime.shim.state import LiveState, PublishedAddress, read_live_state
from runtime.shim.task import ShimTask
from runtime.store.locks import is_locked

_FEW_PORTS = 100


class Program:
    """One run of the container's program: a child of the shim, which owns `pidfd` and `console` (or -1)."""

    __slots__ = ("console", "pid", "pidfd", "state")

    def __init__(self, pid: int, pidfd: int) -> None:
        self.pid = pid
        self.pidfd = pidfd
        self.console = -1
        self.state: LiveState | None = None


class World:
    """Use: `enter`, then `build` for every run of the program, `reap` after each, then `leave`."""

    __slots__ = (
        "_builder",
        "_file_limit",
        "_host_mounts",
        "_host_namespace",
        "_ports",
        "_reservations",
        "_spec",
        "_task",
        "_user_namespace",
        "lock",
        "proxy",
        "report",
        "responder",
        "seccomp",
        "server",
    )

    def __init__(self, task: ShimTask) -> None:
        self._task = task
        self._builder = 0
        self._file_limit = 0  # which the shim had before it took over many ports, 0 = it has it still
        self._host_mounts = -1
        self._host_namespace = -1
        self._ports: tuple[PublishedAddress, ...] = ()
        self._reservations: list[int] = []
        self._spec: Spec | None = None
        self._user_namespace = -1
        self.lock = -1
        self.proxy: Proxy | None = None
        self.report = b""
        self.responder: Responder | None = None
        self.seccomp: bytes | None = None
        self.server = -1

    @property
    def spec(self) -> Spec:
        """What the builder generated. Raises StateError if its file has been removed, OSError."""
        if self._spec is None:
            self._spec = load_spec(self._task)
        return self._spec

    @property
    def cgroup(self) -> Cgroup:
        task = self._task
        return open_cgroup(task.paths.cgroup(task.container_id, task.spec.cgroup_parent))

    def enter(self) -> None:
        """Leave for namespaces of the container's own. Raises OSError."""
        self._host_namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        if self._task.spec.auto_remove:
            self._host_mounts = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
        own_network = self._task.spec.network_mode != "host" and not self._task.network_owner
        remapped = bool(self._task.spec.id_range)
        syscalls.unshare(k.CLONE_NEWNS | (k.CLONE_NEWNET if own_network and not remapped else 0))
        if remapped:
            self._make_user_namespace()
        if self._task.network_owner:
            self._join_network(self._task.paths.live(self._task.network_owner))

    def _make_user_namespace(self) -> None:
        """The container's ids, and a network that belongs to them."""
        from runtime.container.user_namespace import open_mapped_network
        from runtime.oci.user_mapping import IdRange

        ids = IdRange(*self._task.spec.id_range).mappings
        self._user_namespace, network = open_mapped_network(ids, ids)
        syscalls.setns(network, k.CLONE_NEWNET)
        os.close(network)

    def _join_network(self, directory: str) -> None:
        """Enter the network namespace of the container with this STATE directory."""
        owner = read_live_state(directory)
        if owner is not None:
            namespace = os.open(f"/proc/{owner.shim_pid}/ns/net", os.O_RDONLY | os.O_CLOEXEC)
            # Only now is it sure that the pid was that shim's.
            if is_locked(f"{directory}/lock"):
                syscalls.setns(namespace, k.CLONE_NEWNET)
                os.close(namespace)
                return
        raise StateError("the container whose network it is to join has ended", hint="start that one first")

    def build(self, stdio: tuple[int, int, int], state: LiveState) -> Program:
        """Have a builder make what there is not yet, and start the program. Raises EngineError, OSError."""
        near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        shim = os.getpid()
        if self._task.spec.runtime or self._task.spec.id_range:
            # Now: nothing is imported once the container runs.
            if self._task.spec.runtime:
                import runtime.shim.external
            else:
                import runtime.container.oci_exec  # noqa: F401

            # Their program is nobody's child when what made it has ended: it becomes ours.
            syscalls.prctl(k.PR_SET_CHILD_SUBREAPER, 1)
        self._builder = os.fork()
        if self._builder == 0:
            if self._file_limit:
                limit_files(self._file_limit)
            be_builder(
                self._task,
                far,
                shim,
                host_namespace=self._host_namespace,
                user_namespace=self._user_namespace,
                stdio=stdio,
                state=state,
                first=self.lock < 0,
            )
        far.close()
        program: Program | None = None
        try:
            while program is None or program.state is None:
                kind, value, descriptors = line.receive(near)
                if kind == "born":
                    program = Program(value, descriptors[0])
                elif kind == "started" and program is not None:
                    self._start(program, value, descriptors)
                else:
                    self._take(kind, value, descriptors)
        except BaseException:
            self._abandon(program)
            raise
        finally:
            near.close()
        return program

    def _start(self, program: Program, value: dict[str, Any], descriptors: tuple[int, ...]) -> None:
        if descriptors:
            program.console = descriptors[0]
        self.report = value["report"]
        self.seccomp = value["seccomp"]
        program.state = LiveState._make(value["state"])._replace(ports=self._ports)

    def _take(self, kind: str, value: Any, descriptors: tuple[int, ...]) -> None:
        if kind == "error":
            raise line.recall(value)
        if kind == "lock":
            # Never closed: whoever can take it knows that the shim is gone.
            self.lock = descriptors[0]
        elif kind == "server":
            self.server = descriptors[0]
        elif kind == "ports":
            self._ports += tuple(PublishedAddress(*port) for port in value)
        elif kind == "hold":
            self.hold_ports(descriptors, value)
        elif kind == "dns":
            self._make_responder(descriptors)

    def hold_ports(self, descriptors: Sequence[int], targets: Sequence[tuple[str, int] | None]) -> None:
        """Take over sockets bound to host ports: to lead them to an address and a port, or only to keep them."""
        if len(self._ports) > _FEW_PORTS and not self._file_limit:
            self._file_limit = allow_many_files()
        forwards = []
        for descriptor, target in zip(descriptors, targets, strict=True):
            if target is None:
                self._reservations.append(descriptor)
            else:
                forwards.append(Forward(socket.socket(fileno=descriptor), *target))
        if forwards and self.proxy is None:
            self.proxy = Proxy(forwards, self._host_namespace)
        elif self.proxy is not None:
            self.proxy.add(forwards)

    def release_ports(self) -> None:
        """Give up all host ports. What the kernel does for them is the caller's matter."""
        for reservation in self._reservations:
            os.close(reservation)
        self._reservations.clear()
        if self.proxy is not None:
            self.proxy.close()
            self.proxy = None

    @property
    def servers(self) -> tuple[Responder | Proxy, ...]:
        """What answers in the container's name; all of them are watched in the same way."""
        return tuple(server for server in (self.responder, self.proxy) if server is not None)

    def use_endpoints(
        self,
        endpoints: tuple[Endpoint, ...],
        ports: tuple[PublishedAddress, ...],
        links: Mapping[str, str],
    ) -> None:
        """A command has put the container into other networks, and its ports lead there: answer for these from now on,
        and leave these at the end.
        """
        self._task = self._task._replace(endpoints=endpoints)
        self._ports = ports
        endpoint = publishing_endpoint(endpoints)
        if self.proxy is not None and endpoint is not None:
            self.proxy.lead_to(endpoint)
        if self.responder is not None:
            self.responder.use_networks(self._zones(), self._upstreams(), links)

    def _upstreams(self) -> Upstreams:
        """Whom to ask for names that are not ours: in networks without a way out not the host's servers."""
        if all(endpoint.internal for endpoint in self._task.endpoints):
            return self._task.spec.dns
        return self._task.spec.dns or HostServers()

    def _zones(self) -> list[tuple[str, str]]:
        task = self._task
        return [(item.network_name, task.paths.zone(item.network_id)) for item in task.endpoints]

    def _make_responder(self, descriptors: tuple[int, ...]) -> None:
        udp, tcp = descriptors
        task = self._task
        self.responder = Responder(
            self._zones(),
            self._upstreams(),
            host_namespace=self._host_namespace,
            links=all_links(task.spec),
            listeners=(
                socket.socket(socket.AF_INET, socket.SOCK_DGRAM, 0, udp),
                socket.socket(socket.AF_INET, socket.SOCK_STREAM, 0, tcp),
            ),
        )

    def _abandon(self, program: Program | None) -> None:
        self.reap()
        if program is not None:
            try:
                signal.pidfd_send_signal(program.pidfd, signal.SIGKILL)
            except ProcessLookupError:
                pass
            os.waitpid(program.pid, 0)
            for descriptor in (program.pidfd, program.console):
                if descriptor >= 0:
                    os.close(descriptor)

    def reap(self) -> None:
        """Wait for the builder to be gone, which it nearly is."""
        if self._builder:
            os.waitpid(self._builder, 0)
            self._builder = 0

    def leave(self) -> None:
        """Take away what does not die with the shim. Goes on after a failure; safe to call at any time."""
        for endpoint in self._task.endpoints:
            remove_entry(self._task.paths.zone(endpoint.network_id), self._task.container_id)
        if self._ports:
            try:
                self._unpublish()
            except (OSError, EngineError):
                # The table may be gone already; what is left of it the next command repairs.
                pass
        for reservation in self._reservations:
            os.close(reservation)
        self._reservations.clear()
        if self._task.spec.runtime:
            self._delete_on_other_runtime()
        self.cgroup.kill()
        self.cgroup.delete(keep=self._task.spec.cgroup_parent != "")

    def remove(self) -> None:
        """Have a container that is not kept removed. The last act of its shim: a process of its own does the rest."""
        task = self._task
        syscalls.setns(self._host_namespace, k.CLONE_NEWNET)
        syscalls.setns(self._host_mounts, k.CLONE_NEWNS)
        project = task.spec.labels.get(LABEL_PROJECT, "")
        words = command_line(
            "runtime.engine.removal", "main", task.paths.data, task.paths.state, task.container_id, project
        )
        os.posix_spawn(words[0], words, dict(os.environ), setsigmask=())

    def _delete_on_other_runtime(self) -> None:
        from runtime.shim.external import ExternalRuntime

        task = self._task
        try:
            directory = task.paths.container(task.container_id)
            state = f"{task.paths.state}/other-runtime"
            name, namespace = task.spec.runtime, self._host_namespace
            ExternalRuntime(name, task.container_id, directory, state, namespace).delete()
        except EngineError:
            pass  # it is not installed (any more)

    def _unpublish(self) -> None:
        syscalls.setns(self._host_namespace, k.CLONE_NEWNET)
        HostNetwork(self._task.paths.nft_table).unpublish(translations(self._ports))
