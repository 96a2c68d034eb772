"""What the OCI command remembers of a container between its calls: a folder per container below --root.

    ROOT/ID/lock        held by the call that is changing the container
    ROOT/ID/config.json the checked configuration it was created with
    ROOT/ID/start.sock  while it waits to be started: whoever connects starts it
    ROOT/ID/status      this file: who it is

The status that users see is never stored: it follows from the first process, the socket and the freezer, so that
no killed call can leave a wrong one.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.errors import ConflictError, InvalidError, NotFoundError
from runtime.linux.procfs import is_zombie, start_time
from runtime.oci.version import OCI_VERSION
from runtime.store.files import remove_tree, write_file

if TYPE_CHECKING:
    from runtime.oci.spec import Spec

CREATING, CREATED, RUNNING, PAUSED, STOPPED = "creating", "created", "running", "paused", "stopped"
_MAX_ID_LENGTH = 1024


class Record(NamedTuple):
    """The contents of `status`. `pid_start` is the first process's start time in clock ticks since boot."""

    id: str
    pid: int
    pid_start: int
    bundle: str
    rootfs: str
    created: str
    owner: str
    cgroup_path: str
    cgroup_manager: str = "cgroupfs"
    scope: str = ""
    annotations: Mapping[str, str] = {}
    external_descriptors: str = (
        "[]"  # what 0, 1 and 2 were at its creation, as a JSON list; crun tells it too
    )


def new_record(**given: Any) -> Record:
    """The record of a container that is created now, by this process: what is not given follows from that."""
    return Record(
        created=time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{time.time_ns() % 10**9:09d}Z",
        owner="root" if os.geteuid() == 0 else str(os.geteuid()),
        external_descriptors=json.dumps([_target_of(number) for number in range(3)]),
        **given,
    )


def _target_of(descriptor: int) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    except OSError:
        return ""  # closed


class StateDirectory:
    """The folder of one container. Making the object touches nothing."""

    __slots__ = ("id", "path", "root")

    def __init__(self, root: str, container_id: str) -> None:
        check_id(container_id)
        self.root = root
        self.id = container_id
        self.path = os.path.join(root, container_id)

    def reserve(self) -> None:
        """Make the folder: from here on the id is taken. Raises ConflictError if it is already."""
        os.makedirs(self.root, mode=0o700, exist_ok=True)
        try:
            os.mkdir(self.path, 0o700)
        except FileExistsError:
            raise ConflictError(
                f"container {self.id} already exists", hint="choose another id, or delete it"
            ) from None

    def write(self, record: Record) -> None:
        """Store the record, atomically."""
        text = json.dumps({**record._asdict(), "annotations": dict(record.annotations)})
        write_file(f"{self.path}/status", text.encode(), mode=0o600, durable=False)

    def load(self) -> Record:
        """Raises NotFoundError for an unknown id, and for one whose creation was not finished."""
        try:
            with open(f"{self.path}/status", "rb") as file:
                return Record(**json.loads(file.read()))
        except (FileNotFoundError, NotADirectoryError):
            raise NotFoundError(
                f"container {self.id} does not exist", hint=f"`list` shows those of {self.root}"
            ) from None

    def write_spec(self, spec: Spec) -> None:
        """Keep the configuration: `exec`, `start` and `delete` need parts of it when the bundle may have changed."""
        with open(f"{self.path}/config.json", "w", encoding="utf-8") as file:
            file.write(json.dumps(spec))

    def load_spec(self) -> Spec:
        """The configuration the container was created with."""
        with open(f"{self.path}/config.json", "rb") as file:
            spec: Spec = json.loads(file.read())
        return spec

    @property
    def socket_path(self) -> str:
        """Where a created container waits to be started."""
        return f"{self.path}/start.sock"

    def remove(self) -> None:
        """Remove the folder; missing is fine."""
        remove_tree(self.path)

    def exists(self) -> bool:
        """Whether the id is taken."""
        return os.path.isdir(self.path)


def check_id(container_id: str) -> None:
    """An id is a file name: letters, digits and "_+-.", as runc and crun have it. Raises InvalidError."""
    plain = container_id.translate({ord(letter): None for letter in "_+-."})
    good = (
        container_id.isascii() and (not plain or plain.isalnum()) and 0 < len(container_id) <= _MAX_ID_LENGTH
    )
    if not good or container_id.startswith("."):
        raise InvalidError(
            f"invalid character or length of container ID {container_id!r}",
            hint="letters, digits, _ + - and .",
        )


def list_ids(root: str) -> list[str]:
    """The ids below a root, sorted; none if the root is not there."""
    try:
        with os.scandir(root) as entries:
            return sorted(
                entry.name for entry in entries if entry.is_dir() and not entry.name.startswith(".")
            )
    except FileNotFoundError:
        return []


def is_alive(record: Record) -> bool:
    """Whether the first process is still there (and is the recorded one)."""
    try:
        return start_time(record.pid) == record.pid_start and not is_zombie(record.pid)
    except ProcessLookupError:
        return False


def status_of(directory: StateDirectory, record: Record) -> str:
    """The container's status in the specification's words, and `paused`."""
    if not is_alive(record):
        return STOPPED
    if os.path.exists(directory.socket_path):
        return CREATED
    from runtime.container.oci_cgroup import open_recorded

    return PAUSED if open_recorded(record).is_frozen() else RUNNING


def state_json(record: Record, status: str) -> dict[str, Any]:
    """runtime.md: State, as `state` prints it and hooks read it."""
    state: dict[str, Any] = {
        "ociVersion": OCI_VERSION,
        "id": record.id,
        "status": status,
        "pid": 0 if status == STOPPED else record.pid,
        "bundle": record.bundle,
        "rootfs": record.rootfs,
        "created": record.created,
        "owner": record.owner,
    }
    if record.annotations:
        state["annotations"] = dict(record.annotations)
    return state
