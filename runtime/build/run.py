"""One RUN step: a container without shim, log or name, made as a shim's builder makes its own, and waited for.

    stage process        step process (own mount and network namespace)          init
      │ fork ──────────────► overlay, veth pair, /etc files, OCI spec, cgroup
      │                      clone3 ──────────────────────────────────────────────► the command
      │ ◄──── output ──────────────────────────────────────────────────────────────┤
      │                      ◄─── exit code
      │ ◄─── exit code ───── kills what is left, removes the cgroup, takes away mount points

Its protection is a container's: capabilities, seccomp, masked paths, devices. All mounts end with the step process.
"""

import errno
import os
import socket
import stat
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from runtime.cgroups.manager import Cgroup, open_cgroup
from runtime.container.start import spawn_init
from runtime.container.users import resolve_user
from runtime.errors import EngineError, StartError
from runtime.image.snapshot import SnapshotMount, mount_snapshot, prepare_layer_dir
from runtime.image.workers import die_with
from runtime.linux import constants as k
from runtime.linux import syscalls
from runtime.linux.capabilities import permitted_names
from runtime.linux.devices import load_host_devices
from runtime.linux.limits import load_hard_limits
from runtime.linux.paths import O_PATH, exists_in_root, open_in_root, open_root
from runtime.linux.seccomp import load_program
from runtime.network import etc_files
from runtime.network.endpoint import HostNetwork
from runtime.network.record import Endpoint
from runtime.oci.container_spec import ContainerSpec, MountRequest
from runtime.oci.generate import generate
from runtime.oci.image_config import ImageConfig
from runtime.oci.spec import Spec
from runtime.shim import line
from runtime.shim.mounts import plan_mounts
from runtime.store.paths import Paths

_ETC = ("hosts", "hostname", "resolv.conf")
_OUTPUT_BYTES = 1 << 16


class SecretFile(NamedTuple):
    """A secret for one step, kept in memory only."""

    target: str
    content: bytes
    uid: int
    gid: int
    mode: int


class Step(NamedTuple):
    """All that one RUN needs. `lower` are directories, the topmost first; `space` is a folder of its own."""

    paths: Paths
    id: str
    build: str  # the build's own name
    lower: tuple[str, ...]
    space: str
    spec: ContainerSpec
    mounts: tuple[MountRequest, ...] = ()
    secrets: tuple[SecretFile, ...] = ()
    endpoint: Endpoint | None = None

    @property
    def snapshot(self) -> SnapshotMount:
        return SnapshotMount("/", self.lower, f"{self.space}/upper", f"{self.space}/work")

    @property
    def cgroup(self) -> str:
        return f"{self.paths.cgroup_parent}/{self.build}/{self.id}"


def run_step(step: Step, tell: Callable[[bytes], None]) -> int:
    """Run it; the exit code. `tell` gets the output as it comes. Raises EngineError if it can't be started."""
    output, output_end = os.pipe2(os.O_CLOEXEC)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stage = os.getpid()
    pid = os.fork()
    if pid == 0:
        _be_step(step, output_end, far, stage)
    os.close(output_end)
    far.close()
    try:
        while data := os.read(output, _OUTPUT_BYTES):
            tell(data)
        kind, value, _ = line.receive(near)
    finally:
        os.close(output)
        near.close()
        os.waitpid(pid, 0)
        # Had the step process been killed, its cgroup would be left.
        cgroup = open_cgroup(step.cgroup)
        if cgroup.exists():
            cgroup.kill()
            cgroup.delete()
    if kind == "error":
        raise line.recall(value)
    return int(value)


def _be_step(step: Step, output: int, far: socket.socket, stage: int) -> None:
    try:
        die_with(stage)
        line.send(far, "exit", _Run(step, output).run())
    except BaseException as error:
        line.send(far, "error", line.describe(error))
    finally:
        os._exit(0)


class _Run:
    """The step process's work."""

    def __init__(self, step: Step, output: int) -> None:
        self._step = step
        self._output = output
        self._rootfs = f"{step.space}/rootfs"
        self._etc = f"{step.space}/etc"
        self._cgroup: Cgroup = open_cgroup(step.cgroup)

    def run(self) -> int:
        step = self._step
        host_network = step.spec.network_mode == "host"
        network = None if host_network else HostNetwork(step.paths.nft_table)
        syscalls.unshare(k.CLONE_NEWNS | (0 if host_network else k.CLONE_NEWNET))
        syscalls.mount(None, "/", None, k.MS_REC | k.MS_SLAVE, None)
        os.makedirs(self._rootfs, exist_ok=True)
        prepare_layer_dir((step.snapshot,))
        mount_snapshot((step.snapshot,), self._rootfs)
        if network is not None:
            network.attach((step.endpoint,) if step.endpoint is not None else ())
        self._write_etc()
        mounts = (*step.mounts, *self._place_secrets())
        stubs = self._missing([*(f"/etc/{name}" for name in _ETC), "/dev", "/proc", "/sys",
                               *(mount.target for mount in mounts)])  # fmt: skip
        spec = self._generate(mounts)
        self._cgroup.create(spec["linux"].get("resources", {}))
        try:
            return self._wait(spec)
        finally:
            self._cgroup.kill()
            self._cgroup.delete()
            self._remove_stubs(stubs)

    def _wait(self, spec: Spec) -> int:
        null = os.open("/dev/null", os.O_RDONLY | os.O_CLOEXEC)
        init = spawn_init(
            spec,
            rootfs=self._rootfs,
            cgroup=self._cgroup,
            stdio=(null, self._output, self._output),
            init_process=False,
            seccomp_program=load_program(spec["linux"].get("seccomp"), self._step.paths.cache),
        )
        init.wait_created()
        try:
            init.start()
        except StartError as error:
            # A command that is not there is a step that failed, as a shell would say it.
            if error.errno in (errno.ENOENT, errno.EACCES):
                os.write(self._output, f"{error}\n".encode())
                return 127 if error.errno == errno.ENOENT else 126
            raise
        _, status = os.waitpid(init.pid, 0)
        code = os.waitstatus_to_exitcode(status)
        return code if code >= 0 else 128 - code

    def _write_etc(self) -> None:
        step = self._step
        os.makedirs(self._etc, mode=0o755, exist_ok=True)
        with open("/etc/resolv.conf", errors="replace") as file:
            host = etc_files.parse_resolv_conf(file.read())
        places = step.endpoint.addresses if step.endpoint is not None else ()
        addresses = [place.address for place in places]
        gateway = places[0].gateway if places else ""
        texts = {
            "hosts": etc_files.hosts_text(step.spec.hostname, "", addresses, step.spec.extra_hosts, gateway),
            "hostname": etc_files.hostname_text(step.spec.hostname),
            "resolv.conf": etc_files.resolv_conf_text(host, embedded=False),
        }
        for name, text in texts.items():
            with open(f"{self._etc}/{name}", "w") as file:
                file.write(text)

    def _place_secrets(self) -> list[MountRequest]:
        """Each in a file on a tmpfs of this process: nothing of them reaches a disk."""
        if not self._step.secrets:
            return []
        folder = f"{self._step.space}/secrets"
        os.makedirs(folder, exist_ok=True)
        syscalls.mount("tmpfs", folder, "tmpfs", k.MS_NOSUID | k.MS_NODEV | k.MS_NOEXEC, "mode=700")
        requests = []
        for number, secret in enumerate(self._step.secrets):
            path = f"{folder}/{number}"
            with open(path, "wb") as file:
                file.write(secret.content)
            os.chown(path, secret.uid, secret.gid)
            os.chmod(path, secret.mode)
            requests.append(MountRequest("bind", secret.target, path, read_only=True))
        return requests

    def _generate(self, mounts: Sequence[MountRequest]) -> Spec:
        step = self._step
        return generate(
            step.spec,
            ImageConfig(),
            container_id=step.id,
            user=resolve_user(self._rootfs, step.spec.user),
            cgroups_path=f"/{step.cgroup}",
            extra_mounts=plan_mounts(mounts, self._etc),
            rootfs_path=self._rootfs,
            host_devices=load_host_devices() if step.spec.privileged else (),
            available_capabilities=permitted_names(),
            hard_limits=load_hard_limits(),
            warnings=[],
        )

    def _missing(self, targets: Sequence[str]) -> list[str]:
        """Paths that only come to be as mount points; the deepest first."""
        root, found = open_root(self._rootfs), []
        try:
            for target in targets:
                parts = target.strip("/").split("/")
                for length in range(1, len(parts) + 1):
                    path = "/".join(parts[:length])
                    if not exists_in_root(root, path):
                        found.append(path)
        finally:
            os.close(root)
        return sorted(set(found), key=lambda path: path.count("/"), reverse=True)

    def _remove_stubs(self, stubs: Sequence[str]) -> None:
        """Mount points are no part of what the step made, unless it put something there itself."""
        root = open_root(self._rootfs)
        try:
            for path in stubs:
                _remove_if_empty(root, path)
        finally:
            os.close(root)


def _remove_if_empty(root: int, path: str) -> None:
    parent_path, _, name = path.rpartition("/")
    try:
        parent = open_in_root(root, parent_path or "/", O_PATH | os.O_DIRECTORY)
    except OSError:
        return
    try:
        found = os.stat(name, dir_fd=parent, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            os.rmdir(name, dir_fd=parent)
        elif found.st_size == 0:
            os.unlink(name, dir_fd=parent)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTEMPTY):
            raise
    finally:
        os.close(parent)


def container_spec(
    arguments: Sequence[str], environment: Mapping[str, str], **details: object
) -> ContainerSpec:
    """A step's ContainerSpec. Raises EngineError for an empty command."""
    if not arguments:
        raise EngineError("RUN has no command")
    pairs: tuple[tuple[str, str | None], ...] = tuple(environment.items())
    return ContainerSpec(
        name="RUN",
        image="",
        entrypoint=(),
        command=tuple(arguments),
        environment=pairs,
        **details,  # type: ignore[arg-type]
    )
