"""A container's program on another OCI runtime (`runtime: crun`), by the command line all of them have.

The builder's world stays as it is: the other runtime joins the shim's network namespace and mounts, and gets the same
bundle. Its container becomes a child of the shim, which is a subreaper for this; `exec`, logs, limits and stopping
then work as they do for containers of our own. Loaded only for a container that asks for it.
"""

import errno
import json
import os
import shutil
import signal
import socket
from collections.abc import Sequence
from typing import cast

from runtime.cgroups.detect import HYBRID, detect_layout
from runtime.container.child import DEFAULT_PATH
from runtime.container.static_init import PATH as INIT_PATH
from runtime.container.static_init import write_init
from runtime.container.sync import lookup_failure, start_failure_of
from runtime.errors import StartError, UnsupportedError
from runtime.linux import constants as k
from runtime.linux import syscalls
from runtime.linux.paths import exists_in_root, open_root
from runtime.oci.spec import Mount, Namespace, Spec
from runtime.store.files import write_json

# What Docker calls its default; a name of containerd's stands for the program behind it.
_ALIASES = {"io.containerd.runc.v2": "runc", "io.containerd.runtime.v1.linux": "runc"}
_SEARCH = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"
_MAX_OUTPUT_BYTES = 4096


def find_runtime(name: str) -> str:
    """The program of a runtime given by name or path. Raises UnsupportedError if there is none."""
    found = shutil.which(_ALIASES.get(name, name), path=_SEARCH)
    if found is None:
        raise UnsupportedError(
            f"runtime {name!r} is not installed",
            hint="install it, or leave out `runtime` for the built-in one",
        )
    return found


def with_init(spec: Spec, directory: str) -> Spec:
    """The same container with our static init as pid 1, kept in the container's `directory`.

    Raises StartError if its program is not there, OSError.
    """
    os.makedirs(f"{directory}/bundle", mode=0o700, exist_ok=True)
    source = f"{directory}/bundle/init"
    write_init(source)
    process = spec["process"]
    program = _find_program(spec, process["args"][0], process.get("env", ()))
    mount: Mount = {
        "destination": INIT_PATH,
        "type": "bind",
        "source": source,
        "options": ["bind", "ro", "nosuid", "nodev"],
    }
    return {
        **spec,
        "process": {**process, "args": [INIT_PATH, program, *process["args"]]},
        "mounts": [*spec.get("mounts", ()), mount],
    }


class ExternalRuntime:
    """One container on one other runtime. `directory` is the bundle, `state` where the runtime keeps its own."""

    __slots__ = ("_directory", "_host_namespace", "_id", "_program", "_state")

    def __init__(self, name: str, container_id: str, directory: str, state: str, host_namespace: int) -> None:
        self._program = find_runtime(name)
        self._id = container_id
        self._directory = directory
        self._state = state
        self._host_namespace = host_namespace

    def create(self, spec: Spec, shim: int, stdio: tuple[int, int, int]) -> tuple[int, int]:
        """Create the container; (pid, console or -1). Raises StartError with what the runtime said."""
        self.delete()
        self._write_bundle(spec, shim)
        pid_file = f"{self._bundle}/pid"
        words = ["create", "--bundle", self._bundle, "--pid-file", pid_file]
        if not spec["process"].get("terminal"):
            self._call([*words, self._id], stdio)
            console = -1
        else:
            console = self._create_with_console(words)
        with open(pid_file, encoding="ascii") as file:
            return int(file.read()), console

    def start(self) -> None:
        """Let the program run. Raises StartError."""
        self._call(["start", self._id])

    def delete(self) -> None:
        """Remove what the runtime knows of the container, if anything."""
        try:
            self._call(["delete", "--force", self._id])
        except StartError:
            pass  # it never heard of it

    @property
    def _bundle(self) -> str:
        return f"{self._directory}/bundle"

    def _write_bundle(self, spec: Spec, shim: int) -> None:
        os.makedirs(self._bundle, mode=0o700, exist_ok=True)
        # The network namespace is the shim's: joined, not made.
        namespaces = [
            cast(Namespace, {**n, "path": f"/proc/{shim}/ns/net"}) if n["type"] == "network" else n
            for n in spec["linux"].get("namespaces", [])
        ]
        external = {
            **spec,
            "ociVersion": "1.0.2",  # the newest that all runtimes in use know
            "linux": {**spec["linux"], "namespaces": namespaces},
        }
        write_json(f"{self._bundle}/config.json", external, durable=False)

    def _create_with_console(self, words: list[str]) -> int:
        path = f"{self._bundle}/console.sock"
        if os.path.exists(path):
            os.unlink(path)
        folder = os.open(self._bundle, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with socket.socket(socket.AF_UNIX) as server:
                server.bind(f"/proc/self/fd/{folder}/console.sock")  # a path may be longer than an address
                server.listen(1)
                address = f"/proc/{os.getpid()}/fd/{folder}/console.sock"
                self._call([*words, "--console-socket", address, self._id])
                connection, _ = server.accept()
                with connection:
                    descriptors = socket.recv_fds(connection, 4096, 1)[1]
        finally:
            os.close(folder)
        return descriptors[0]

    def _call(self, words: Sequence[str], stdio: tuple[int, int, int] | None = None) -> None:
        """Run the runtime. What it says on its standard error goes to the container's, so it logs to a file."""
        log = f"{self._directory}/runtime.log"
        command = [self._program, "--root", self._state, "--log", log, "--log-format", "json", *words]
        if os.path.exists(log):
            os.unlink(log)
        pid = os.fork()
        if pid == 0:
            try:
                self._exec(command, stdio)
            finally:
                os._exit(127)
        _, status = os.waitpid(pid, 0)
        code = os.waitstatus_to_exitcode(status)
        if code != 0:
            raise _failure(self._program, words[0], code, _read_tail(log))

    def _exec(self, command: list[str], stdio: tuple[int, int, int] | None) -> None:
        null = os.open("/dev/null", os.O_RDWR)
        for number, fd in enumerate(stdio or (null, null, null)):
            os.dup2(fd, number)
        # A runtime takes its own network namespace for the host's.
        syscalls.setns(self._host_namespace, k.CLONE_NEWNET)
        syscalls.close_range(3)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if os.path.basename(self._program) == "crun":
            _hide_second_hierarchy()
        os.execv(self._program, command)


def _find_program(spec: Spec, name: str, environment: Sequence[str]) -> str:
    """The path execve is to get: looked up here, because an init has no words to say that there is none.

    What a volume may hold is taken as it is named. Raises StartError.
    """
    search = next((item[5:] for item in environment if item.startswith("PATH=")), DEFAULT_PATH)
    candidates = [name] if "/" in name else [f"{folder}/{name}" for folder in search.split(":") if folder]
    root = open_root(spec["root"]["path"])
    try:
        for path in candidates:
            mounted = any(path.startswith(f"{mount['destination']}/") for mount in spec.get("mounts", ()))
            if exists_in_root(root, path) or (mounted and path == name):
                return path
    finally:
        os.close(root)
    if not name.startswith("/") and "/" in name:
        return name  # relative to the working directory
    raise start_failure_of(lookup_failure(errno.ENOENT), name)


def _hide_second_hierarchy() -> None:
    """crun refuses to run where cgroup v1 and v2 are mounted side by side: it does not get to see v2."""
    layout = detect_layout()
    unified = layout.unified()
    if layout.mode == HYBRID and unified is not None:
        syscalls.unshare(k.CLONE_NEWNS)
        syscalls.umount2(unified.mount_point, k.MNT_DETACH)


def _read_tail(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()[-_MAX_OUTPUT_BYTES:].strip()
    except FileNotFoundError:
        return ""


def _failure(program: str, verb: str, code: int, said: str) -> StartError:
    """The runtime's words as our error: which program is missing or not executable shows in them alone."""
    try:
        text = str(json.loads(said.rpartition("\n")[2])["msg"])
    except (ValueError, KeyError, TypeError):
        text = said or f"exit code {code}"
    lower = text.lower()
    number = 0
    if "executable file" in lower or "no such file or directory" in lower:
        number = errno.ENOENT
    elif "permission denied" in lower:
        number = errno.EACCES
    step = "exec" if number else f"{os.path.basename(program)} {verb}"
    return StartError(f"{os.path.basename(program)} {verb} failed: {text}", step=step, errno=number)
