"""The builder: a child of the shim that does all that is done once per start, and ends.

An interpreter keeps a copy of every page its code has touched. What is touched only while a container is made,
most of it, is touched here, so that a shim stays as small as it was forked.

    shim                                    builder                                  init
      │ unshare, fork ───────────────────────► lock, host ports
      │                                        overlay, veth pairs, addresses, DNS
      │                                        OCI spec, cgroup
      │                                        clone3 with CLONE_PARENT ───────────────► the shim's child
      │                                        ◄──────────────────────────── created ────┤
      │                                        ── go ───────────────────────────────────►│ the program
      │                                        state.json, firewall's maps, zone entries
      │ ◄──────────────────────── "started" ───┤ ends
      │ loops

It shares the shim's namespaces and dies with it. The shim gets every descriptor that is to last (line.py).
"""

import json
import os
import signal
import socket
import time
from typing import TYPE_CHECKING, NoReturn, cast

from runtime.cgroups.manager import open_cgroup
from runtime.container.start import Init, spawn_init
from runtime.container.users import resolve_user
from runtime.errors import EngineError, StateError
from runtime.image.snapshot import ensure_base, mount_snapshot, plan_snapshot, prepare_layer_dir
from runtime.linux import constants as k
from runtime.linux import syscalls
from runtime.linux.capabilities import permitted_names
from runtime.linux.device_grants import load_block_numbers, load_grants
from runtime.linux.devices import load_host_devices
from runtime.linux.limits import load_hard_limits, many_files
from runtime.linux.procfs import start_time
from runtime.linux.seccomp import load_program
from runtime.network import etc_files
from runtime.network.dns.entries import write_entry
from runtime.network.dns.server import open_listeners
from runtime.network.endpoint import HostNetwork
from runtime.network.firewall.rules import PublishedPort
from runtime.network.ports import publishing_endpoint
from runtime.oci.capabilities import choose_capabilities
from runtime.oci.container_spec import MountRequest
from runtime.oci.generate import LookedUp, generate
from runtime.oci.seccomp_profile import default_profile
from runtime.oci.security import parse_security_options
from runtime.oci.spec import Spec
from runtime.shim import control, line
from runtime.shim.health import Health, plan_probe
from runtime.shim.joining import borrow_shared_memory, join_namespaces
from runtime.shim.mounts import plan_mounts
from runtime.shim.notes import note
from runtime.shim.published import reserve_ports, translations
from runtime.shim.sources import Sources
from runtime.shim.state import (
    CREATED,
    RUNNING,
    LiveState,
    PublishedAddress,
    write_live_state,
)
from runtime.shim.task import ShimTask
from runtime.store.events import START
from runtime.store.files import read_json, remove_file, write_file, write_json
from runtime.store.locks import FileLock

if TYPE_CHECKING:
    from runtime.oci.user_mapping import IdRange


class Builder:
    """One start. `make_world` before the first run of the program, `run_program` for every one."""

    __slots__ = (
        "_addresses",
        "_cgroup",
        "_directory",
        "_host",
        "_host_namespace",
        "_line",
        "_mounts",
        "_published",
        "_rootfs",
        "_shim",
        "_sources",
        "_task",
        "_user_namespace",
        "_warnings",
    )

    def __init__(
        self,
        task: ShimTask,
        shim: int,
        shim_line: socket.socket,
        host_namespace: int,
        user_namespace: int,
    ) -> None:
        self._task = task
        self._shim = shim
        self._line = shim_line
        self._directory = task.paths.live(task.container_id)
        self._rootfs = f"{task.paths.container(task.container_id)}/rootfs"
        self._cgroup = open_cgroup(task.paths.cgroup(task.container_id, task.spec.cgroup_parent))
        self._host: HostNetwork | None = None
        self._host_namespace = host_namespace
        self._user_namespace = user_namespace
        self._published: list[PublishedPort] = []
        self._addresses: tuple[PublishedAddress, ...] = ()
        self._warnings: list[str] = []
        self._sources = Sources(task.paths, task.container_id, task.mounts, task.images)
        self._mounts: tuple[MountRequest, ...] = ()

    # ---- the world

    def make_world(self) -> Spec:
        """Make everything up to the OCI spec. Raises EngineError or OSError; the shim undoes what was done."""
        self._take_over()
        resolv_conf = etc_files.parse_resolv_conf(_read_text("/etc/resolv.conf"))
        if self._task.spec.network_mode != "host" and not self._task.network_owner:
            self._reach_host()
        self._sources.hold_shared()
        syscalls.mount(None, "/", None, k.MS_REC | k.MS_SLAVE, None)
        self._mount_root()
        if self._host is not None:
            self._host.attach(self._task.endpoints)
            self._open_dns()
        self._write_etc(resolv_conf)
        spec = self._generate()
        self._warnings += self._cgroup.create(spec["linux"].get("resources", {}))
        return spec

    def _take_over(self) -> None:
        """Lock the container and listen for it."""
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        lock = FileLock(f"{self._directory}/lock")
        if not lock.acquire(timeout_s=0.0):
            raise StateError(f"container {self._task.spec.name} is running already")
        line.send(self._line, "lock", None, [lock.fileno()])
        write_live_state(self._directory, LiveState(status=CREATED, shim_pid=self._shim))
        remove_file(f"{self._task.paths.container(self._task.container_id)}/exit")
        server = control.listen(self._directory)
        line.send(self._line, "server", None, [server.fileno()])

    def _reach_host(self) -> None:
        """Open what has to be opened in the host's network namespace, and come back."""
        own = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        syscalls.setns(self._host_namespace, k.CLONE_NEWNET)
        self._host = HostNetwork(self._task.paths.nft_table)
        self._reserve_ports()
        syscalls.setns(own, k.CLONE_NEWNET)
        os.close(own)

    def _reserve_ports(self) -> None:
        endpoint = publishing_endpoint(self._task.endpoints)
        if endpoint is None or not self._task.spec.ports:
            return
        with many_files(), reserve_ports(self._task.spec.ports, endpoint) as publication:
            self._addresses = publication.ports
            self._published = translations(publication.ports)
            for first in range(0, len(publication.ports), line.MOST_PORTS):
                ports = publication.ports[first : first + line.MOST_PORTS]
                line.send(self._line, "ports", [tuple(port) for port in ports])
            for descriptors, targets in publication.batches(line.MOST_DESCRIPTORS):
                line.send(self._line, "hold", targets, descriptors)

    def _mount_root(self) -> None:
        layer = f"{self._task.paths.container(self._task.container_id)}/layer"
        mounts = plan_snapshot(self._task.image, layer, base=ensure_base(self._task.paths.base))
        prepare_layer_dir(mounts)
        if self._user_namespace < 0:
            mount_snapshot(mounts, self._rootfs)
            self._mounts = self._sources.prepare()
        else:
            from runtime.shim.remapped import mount_remapped

            self._mounts = mount_remapped(
                mounts, self._rootfs, self._sources, self._ids, self._user_namespace, self._warnings
            )
        shared_memory = borrow_shared_memory(self._task)
        if shared_memory >= 0:
            place = self._sources.place("shm", shared_memory)
            self._mounts += (MountRequest("bind", "/dev/shm", place),)

    def _open_dns(self) -> None:
        if not self._task.endpoints:
            return
        listeners = open_listeners()
        line.send(self._line, "dns", None, [item.fileno() for item in listeners])

    def _write_etc(self, host: etc_files.ResolvConf) -> None:
        if self._task.network_owner:
            return  # it has those of the container whose network it is in
        spec, directory = self._task.spec, self._etc_directory
        os.makedirs(directory, mode=0o755, exist_ok=True)
        addresses = [item.address for endpoint in self._task.endpoints for item in endpoint.addresses]
        files = {
            "hosts": etc_files.hosts_text(
                self._hostname, spec.domainname, addresses, spec.extra_hosts, self._task.host_gateway
            ),
            "hostname": etc_files.hostname_text(self._hostname),
            "resolv.conf": etc_files.resolv_conf_text(
                host,
                embedded=self._host is not None and bool(self._task.endpoints),
                dns=spec.dns,
                dns_search=spec.dns_search,
                dns_opt=spec.dns_opt,
            ),
        }
        for name, text in files.items():
            write_file(f"{directory}/{name}", text.encode(), mode=0o644, durable=False)
            self._give(f"{directory}/{name}", 0, 0)

    @property
    def _etc_directory(self) -> str:
        owner = self._task.network_owner
        return f"{self._task.paths.live(owner) if owner else self._directory}/etc"

    @property
    def _hostname(self) -> str:
        spec = self._task.spec
        if self._task.network_owner:
            return _read_text(f"{self._etc_directory}/hostname").strip()
        if spec.hostname:
            return spec.hostname
        of_host = "host" in (spec.network_mode, spec.uts)
        return os.uname().nodename if of_host else self._task.container_id[:12]

    def _place_files(self) -> list[MountRequest]:
        """Secrets and configs, on a tmpfs that only this container's processes see and that ends with its shim."""
        grants, folder = self._task.spec.files, self._task.paths.granted(self._task.container_id)
        if not grants:
            return []
        contents = [_read_bytes(f"{folder}/{number}") for number in range(len(grants))]
        syscalls.mount("tmpfs", folder, "tmpfs", k.MS_NOSUID | k.MS_NODEV | k.MS_NOEXEC, "mode=700")
        requests = []
        for number, (grant, content) in enumerate(zip(grants, contents, strict=True)):
            path = f"{folder}/{number}"
            with open(path, "wb") as file:
                file.write(content)
            self._give(path, grant.uid, grant.gid)
            os.chmod(path, grant.mode)
            requests.append(MountRequest("bind", grant.target, path, read_only=True))
        return requests

    def _give(self, path: str, uid: int, gid: int) -> None:
        """Make a file that of a user of the container."""
        if self._task.spec.id_range:
            uid, gid = self._ids.outside(uid), self._ids.outside(gid)
        os.chown(path, uid, gid)

    @property
    def _ids(self) -> "IdRange":
        from runtime.oci.user_mapping import IdRange  # few containers have ids of their own

        return IdRange(*self._task.spec.id_range)

    def _generate(self) -> Spec:
        task = self._task
        user = resolve_user(self._rootfs, task.spec.user or task.image.config.user, task.spec.group_add)
        spec = generate(
            task.spec._replace(hostname=self._hostname),
            task.image.config,
            container_id=task.container_id,
            user=user,
            cgroups_path=f"/{self._cgroup.path}",
            extra_mounts=plan_mounts(
                (*self._mounts, *self._place_files()), self._etc_directory, read_only=task.spec.read_only
            ),
            rootfs_path=self._rootfs,
            host_devices=load_host_devices() if task.spec.privileged else (),
            looked_up=self._look_up(),
            available_capabilities=permitted_names(),
            hard_limits=load_hard_limits(),
            warnings=self._warnings,
        )
        write_json(
            f"{task.paths.container(task.container_id)}/config.json",
            dict(spec),
            durable=False,
        )
        return spec

    def _look_up(self) -> LookedUp:
        """What of this machine the container asks for."""
        grants = load_grants(self._task.spec)
        self._warnings += grants.warnings
        system = os.uname()
        return LookedUp(
            *grants[:-1],
            block_numbers=load_block_numbers(self._task.spec.block_limits),
            machine=system.machine,
            kernel=system.release,
            apparmor=_read_text("/sys/module/apparmor/parameters/enabled").startswith("Y"),
            selinux=os.path.exists("/sys/fs/selinux/enforce"),
        )

    # ---- the program

    def run_program(self, spec: Spec, stdio: tuple[int, int, int], state: LiveState) -> None:
        """Start the program; `state` becomes that of the running container. Raises EngineError, OSError."""
        task = self._task
        seccomp = load_program(spec["linux"].get("seccomp"), task.paths.cache)
        spec = join_namespaces(task, spec)
        if task.spec.runtime:
            pid, console = self._run_on_other_runtime(spec, stdio)
        elif task.spec.id_range or spec.get("hooks"):
            from runtime.shim.bundled import start_bundled

            pid, console = start_bundled(task, spec, stdio, self._user_namespace, self._tell_born)
        else:
            init = self._spawn(spec, stdio, seccomp)
            pid, console = init.pid, init.console
        self._tell_started(pid, console, seccomp, state)

    def _spawn(self, spec: Spec, stdio: tuple[int, int, int], seccomp: bytes | None) -> Init:
        init = spawn_init(
            spec,
            rootfs=self._rootfs,
            cgroup=self._cgroup,
            stdio=stdio,
            init_process=self._task.spec.init,
            seccomp_program=seccomp,
            of_parent=True,
        )
        self._tell_born(init.pid, init.pidfd)
        init.wait_created()
        init.start()
        return init

    def _run_on_other_runtime(self, spec: Spec, stdio: tuple[int, int, int]) -> tuple[int, int]:
        from runtime.shim.external import ExternalRuntime, with_init

        task = self._task
        directory = task.paths.container(task.container_id)
        state = f"{task.paths.state}/other-runtime"
        other = ExternalRuntime(task.spec.runtime, task.container_id, directory, state, self._host_namespace)
        if task.spec.init:
            spec = with_init(spec, directory)
        pid, console = other.create(spec, self._shim, stdio)
        self._tell_born(pid, os.pidfd_open(pid))
        other.start()
        return pid, console

    def _tell_born(self, pid: int, pidfd: int) -> None:
        line.send(self._line, "born", pid, [pidfd])

    def _tell_started(self, pid: int, console: int, seccomp: bytes | None, state: LiveState) -> None:
        task = self._task
        probe = plan_probe(task.spec.healthcheck or task.image.config.healthcheck)
        state = state._replace(
            status=RUNNING,
            pid=pid,
            pid_start=start_time(pid),
            started_ns=time.time_ns(),
            health="" if probe is None else Health().status,
            failing_streak=0,
            ports=self._addresses or state.ports,
        )
        write_live_state(self._directory, state)
        note(task, START)
        self._announce()
        report = {"ok": True, "pid": pid, "warnings": self._warnings}
        started = {
            "state": tuple(state._replace(ports=())),  # the shim has had them
            "report": json.dumps(report).encode(),
            "seccomp": seccomp,
        }
        line.send(self._line, "started", started, [console] if console >= 0 else [])

    def _announce(self) -> None:
        """The program runs for the first time: publish its ports and let others find it by name."""
        if self._host is None:
            return
        if self._published:
            self._host.publish(self._published)
        task = self._task
        for endpoint in task.endpoints:
            entry = endpoint.zone_entry(task.spec.name, f"{self._directory}/lock")
            write_entry(task.paths.zone(endpoint.network_id), task.container_id, entry)


def be_builder(
    task: ShimTask,
    shim_line: socket.socket,
    shim: int,
    *,
    host_namespace: int,
    user_namespace: int,
    stdio: tuple[int, int, int],
    state: LiveState,
    first: bool,
) -> NoReturn:
    """Be the builder of one start of the program, in a child that the shim of pid `shim` has just forked."""
    try:
        syscalls.prctl(k.PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() == shim:
            builder = Builder(task, shim, shim_line, host_namespace, user_namespace)
            spec = builder.make_world() if first else load_spec(task)
            builder.run_program(spec, stdio, state)
    except BaseException as error:
        line.send(shim_line, "error", line.describe(error))
    finally:
        os._exit(0)


def load_spec(task: ShimTask) -> Spec:
    """The OCI spec of a container whose world has been made. Raises StateError, OSError."""
    spec = read_json(f"{task.paths.container(task.container_id)}/config.json")
    if spec is None:
        raise StateError(f"config.json of container {task.spec.name} has been removed", hint="restart it")
    return cast(Spec, spec)


def warm_seccomp(task: ShimTask) -> None:
    """Have the container's filter in memory before its shim is forked, so that all shims share one."""
    spec = task.spec
    try:
        security = parse_security_options(spec.security_opt, privileged=spec.privileged)
        if security.seccomp and not security.profile:
            held = choose_capabilities(
                spec.cap_add, spec.cap_drop, privileged=spec.privileged, available=permitted_names()
            )
            load_program(default_profile(held), task.paths.cache)
    except EngineError:
        # The shim meets the same error and reports it as its own.
        pass


def _read_bytes(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _read_text(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""
