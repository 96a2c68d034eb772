"""The surroundings of a container that outlive restarts of its program: namespaces, root filesystem, network, cgroup.

All of it belongs to the shim and goes with it: mounts and links die with its namespaces; the rest (cgroup,
published ports, zone entries) `leave` takes away, or `reclaim` for a shim that was killed.
"""

import os
import socket

from runtime.cgroups.manager import Cgroup, open_cgroup
from runtime.container.users import resolve_user
from runtime.errors import EngineError, StateError
from runtime.image.snapshot import mount_snapshot, plan_snapshot, prepare_layer_dir
from runtime.linux import constants, syscalls
from runtime.linux.capabilities import permitted_names
from runtime.linux.devices import load_host_devices
from runtime.linux.limits import load_hard_limits
from runtime.linux.seccomp import load_program
from runtime.network import etc_files
from runtime.network.dns.entries import remove_entry, write_entry
from runtime.network.dns.server import Responder
from runtime.network.dns.zone import Entry
from runtime.network.endpoint import HostNetwork
from runtime.network.firewall.rules import PublishedPort
from runtime.network.ports import reserve
from runtime.oci.capabilities import choose_capabilities
from runtime.oci.generate import generate
from runtime.oci.seccomp_profile import default_profile
from runtime.oci.security import parse_security_options
from runtime.oci.spec import Spec
from runtime.shim.mounts import plan_mounts
from runtime.shim.state import PublishedAddress
from runtime.shim.task import ShimTask
from runtime.store.files import write_file, write_json
from runtime.volume.store import VolumeStore


class World:
    """What `enter` made. Use: `enter`, then the program runs any number of times, then `leave`."""

    __slots__ = (
        "_host",
        "_published",
        "_reservations",
        "_spec",
        "_task",
        "_zones",
        "cgroup",
        "ports",
        "responder",
        "rootfs",
        "warnings",
    )

    def __init__(self, task: ShimTask) -> None:
        self._task = task
        self._host: HostNetwork | None = None
        self._reservations: list[socket.socket] = []
        self._published: list[PublishedPort] = []
        self._zones: list[str] = []
        self.ports: tuple[PublishedAddress, ...] = ()
        self.responder: Responder | None = None
        self.rootfs = f"{task.paths.container(task.container_id)}/rootfs"
        self.cgroup: Cgroup = open_cgroup(f"{task.paths.cgroup_parent}/{task.container_id}")
        self.warnings: list[str] = []
        self._spec: Spec | None = None

    @property
    def spec(self) -> Spec:
        """What `enter` generated. Raises StateError before that."""
        if self._spec is None:
            raise StateError("the container's world has not been entered")
        return self._spec

    def enter(self) -> None:
        """Make everything up to the OCI spec. Raises EngineError or OSError; `leave` undoes what was done."""
        own_network = self._task.spec.network_mode != "host"
        resolv_conf = etc_files.parse_resolv_conf(_read_text("/etc/resolv.conf"))
        host_namespace = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
        if own_network:
            self._host = HostNetwork(self._task.paths.nft_table)
            self._reserve_ports()
        syscalls.unshare(constants.CLONE_NEWNS | (constants.CLONE_NEWNET if own_network else 0))
        syscalls.mount(None, "/", None, constants.MS_REC | constants.MS_SLAVE, None)
        self._mount_root()
        if self._host is not None:
            self._host.attach(self._task.endpoints)
            self._start_responder(host_namespace, resolv_conf)
        self._write_etc(resolv_conf)
        self._generate()
        self.warnings += self.cgroup.create(self.spec["linux"].get("resources", {}))

    def _reserve_ports(self) -> None:
        if not self._task.endpoints:
            return
        address = self._task.endpoints[0].address
        for request in self._task.spec.ports:
            reservation = reserve(request)
            self._reservations.append(reservation)
            self._published.append(
                PublishedPort(
                    request.host_ip,
                    reservation.getsockname()[1],
                    request.protocol,
                    address,
                    request.container_port,
                )
            )
        self.ports = tuple(
            PublishedAddress(port.host_ip, port.host_port, port.protocol, port.container_port)
            for port in self._published
        )

    def _mount_root(self) -> None:
        layer = f"{self._task.paths.container(self._task.container_id)}/layer"
        mounts = plan_snapshot(self._task.image, layer)
        prepare_layer_dir(mounts)
        mount_snapshot(mounts, self.rootfs)
        volumes = VolumeStore(self._task.paths)
        for request in self._task.mounts:
            if request.type == "bind" and request.create_host_path and not os.path.exists(request.source):
                os.makedirs(request.source, exist_ok=True)
            elif request.type == "volume" and not request.nocopy:
                volumes.fill(os.path.basename(os.path.dirname(request.source)), self.rootfs, request.target)

    def _start_responder(self, host_namespace: int, host: etc_files.ResolvConf) -> None:
        endpoints = self._task.endpoints
        if not endpoints:
            return
        zones = [(item.network_name, self._task.paths.zone(item.network_id)) for item in endpoints]
        internal = all(endpoint.internal for endpoint in endpoints)
        upstreams = () if internal else (self._task.spec.dns or host.nameservers)
        self.responder = Responder(zones, upstreams, host_namespace=host_namespace)

    def _write_etc(self, host: etc_files.ResolvConf) -> None:
        spec, directory = self._task.spec, self.etc_directory
        os.makedirs(directory, mode=0o755, exist_ok=True)
        addresses = [endpoint.address for endpoint in self._task.endpoints]
        files = {
            "hosts": etc_files.hosts_text(
                self.hostname, spec.domainname, addresses, spec.extra_hosts, self._task.host_gateway
            ),
            "hostname": etc_files.hostname_text(self.hostname),
            "resolv.conf": etc_files.resolv_conf_text(
                host,
                embedded=self.responder is not None,
                dns=spec.dns,
                dns_search=spec.dns_search,
                dns_opt=spec.dns_opt,
            ),
        }
        for name, text in files.items():
            write_file(f"{directory}/{name}", text.encode(), mode=0o644, durable=False)

    @property
    def etc_directory(self) -> str:
        return f"{self._task.paths.live(self._task.container_id)}/etc"

    @property
    def hostname(self) -> str:
        spec = self._task.spec
        if spec.hostname:
            return spec.hostname
        return os.uname().nodename if spec.network_mode == "host" else self._task.container_id[:12]

    def _generate(self) -> None:
        task = self._task
        user = resolve_user(self.rootfs, task.spec.user or task.image.config.user, task.spec.group_add)
        self._spec = generate(
            task.spec._replace(hostname=self.hostname),
            task.image.config,
            container_id=task.container_id,
            user=user,
            cgroups_path=f"/{task.paths.cgroup_parent}/{task.container_id}",
            extra_mounts=plan_mounts(task.mounts, self.etc_directory),
            rootfs_path=self.rootfs,
            host_devices=load_host_devices() if task.spec.privileged else (),
            available_capabilities=permitted_names(),
            hard_limits=load_hard_limits(),
            warnings=self.warnings,
        )
        write_json(
            f"{task.paths.container(task.container_id)}/config.json",
            dict(self._spec),
            durable=False,
        )

    def announce(self) -> None:
        """The program runs: publish its ports and let others find it by name."""
        if self._host is not None and self._published:
            self._host.publish(self._published)
        task = self._task
        for endpoint in task.endpoints:
            zone = task.paths.zone(endpoint.network_id)
            entry = Entry(
                names=endpoint.names,
                address=endpoint.address,
                container=task.spec.name,
                network=endpoint.network_name,
                live=f"{task.paths.live(task.container_id)}/lock",
            )
            write_entry(zone, task.container_id, entry)
            self._zones.append(zone)

    def leave(self) -> None:
        """Take away what does not die with the shim. Goes on after a failure; safe to call at any time."""
        for zone in self._zones:
            remove_entry(zone, self._task.container_id)
        if self._host is not None and self._published:
            try:
                self._host.unpublish(self._published)
            except (OSError, EngineError):
                # The table may be gone already; what is left of it the next command repairs.
                pass
        for reservation in self._reservations:
            reservation.close()
        self.cgroup.kill()
        self.cgroup.delete()


def warm_seccomp(task: ShimTask) -> None:
    """Have the container's filter in memory before its shim is forked, so that all shims share one."""
    spec = task.spec
    try:
        if parse_security_options(spec.security_opt, privileged=spec.privileged).seccomp:
            held = choose_capabilities(
                spec.cap_add, spec.cap_drop, privileged=spec.privileged, available=permitted_names()
            )
            load_program(default_profile(held), task.paths.cache)
    except EngineError:
        # The shim meets the same error and reports it as its own.
        pass


def _read_text(path: str) -> str:
    try:
        with open(path, errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""
