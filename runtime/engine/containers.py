"""Containers of an engine: made, started, stopped, looked at and removed."""

import json
import os
import sqlite3
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from runtime.errors import ConflictError, EngineError, NotFoundError, StateError
from runtime.oci import container_spec
from runtime.oci.container_spec import ContainerSpec, MountRequest, NetworkAttachment
from runtime.oci.labels import LABEL_ONEOFF
from runtime.shim.state import (
    CREATED,
    EXITED,
    ExitRecord,
    LiveState,
    ProbeResult,
    read_exit_record,
    read_live_state,
    read_probe_results,
)
from runtime.store.events import DESTROY, append_event
from runtime.store.locks import is_locked
from runtime.store.trash import discard

if TYPE_CHECKING:
    from runtime.engine.engine import Engine
    from runtime.engine.stopping import Stopping
    from runtime.engine.subscription import Subscription
    from runtime.network.record import Endpoint
    from runtime.shim.launch import Launch
    from runtime.shim.stdio import Streams

# What `docker` shows for a container that was running when its machine went down.
_LOST_WITH_MACHINE = 255
_LOST_WITH_SHIM = 137
# The intent of a container that is not to outlive its end.
ONCE = "once"
# What the user wants of a container that ran when its project was suspended: see `systemd`.
SUSPENDED = "suspended"


class Container(NamedTuple):
    """A container as it was at one moment. Times in ns since the epoch; `exit` tells of the last run's end."""

    id: str
    name: str
    project: str
    service: str
    number: int
    created_ns: int
    desired: str
    intent: str
    config_hash: str
    image_id: str
    image: str
    oneoff: bool
    spec_text: str
    fields_text: str
    status: str
    live: LiveState | None
    exit: ExitRecord | None

    @property
    def spec(self) -> ContainerSpec:
        return container_spec.from_json(json.loads(self.spec_text))

    @property
    def fields(self) -> dict[str, str]:
        """Attribute path -> short hash of what the container was made from."""
        return dict(json.loads(self.fields_text))

    def label(self, name: str) -> str:
        """One of its labels, "" if it does not have it."""
        return (
            str(json.loads(self.spec_text).get("labels", {}).get(name, "")) if name in self.spec_text else ""
        )

    def hooks(self, moment: str) -> tuple[Mapping[str, Any], ...]:
        """Its hooks of "post_start" or "pre_stop", each a HookSpec in JSON form."""
        return tuple(json.loads(self.spec_text).get(moment, ())) if f'"{moment}"' in self.spec_text else ()

    @property
    def leftover(self) -> bool:
        """Whether it is to be removed: a command was interrupted, or it does not run (any more) and is not kept.

        Tells the truth to whoever holds the project's lock; others may see a container that is about to start.
        """
        return not self.is_live if self.intent == ONCE else bool(self.intent)

    @property
    def is_live(self) -> bool:
        """Whether it has a shim: it runs, or will again by its restart policy."""
        return self.live is not None


class Containers:
    """The containers of one engine. Methods that change one expect the caller to hold its project's lock."""

    def __init__(self, engine: "Engine") -> None:
        self._engine = engine
        self._paths = engine.paths
        self._database = engine.database

    # ---- looking

    def list(self, project: str | None = None) -> list[Container]:
        """All containers, or those of one project, by service and number. Takes no lock."""
        if project is None:
            rows = self._database.rows(
                "SELECT * FROM containers ORDER BY project, service, number, created_ns"
            )
        else:
            rows = self._database.rows(
                "SELECT * FROM containers WHERE project = ? ORDER BY service, number, created_ns", project
            )
        return [self._observe(row) for row in rows]

    def get(self, container_id: str) -> Container:
        """One container by its full id. Raises NotFoundError."""
        row = self._database.row("SELECT * FROM containers WHERE id = ?", container_id)
        if row is None:
            raise NotFoundError(f"no such container: {container_id[:12]}", hint="it was removed meanwhile")
        return self._observe(row)

    def find(self, name: str) -> Container | None:
        """A container by its name, its id or the beginning of its id; None if there is none or several."""
        row = self._database.row("SELECT * FROM containers WHERE name = ? OR id = ?", name, name)
        if row is None and len(name) >= 4 and all(char in "0123456789abcdef" for char in name):
            rows = self._database.rows("SELECT * FROM containers WHERE substr(id, 1, ?) = ?", len(name), name)
            row = rows[0] if len(rows) == 1 else None
        return None if row is None else self._observe(row)

    def _observe(self, row: sqlite3.Row) -> Container:
        directory = self._paths.live(row["id"])
        # In this order: a shim that ends between the two reads has written `exit` before it lets the lock go.
        live = read_live_state(directory)
        if live is not None and is_locked(f"{directory}/lock"):
            return self._container(row, live.status, live, None)
        ended = read_exit_record(self._paths.container(row["id"]))
        if ended is None and live is not None:
            ended = ExitRecord(
                _LOST_WITH_SHIM, live.started_ns, time.time_ns(), error="its supervisor was killed"
            )
        if ended is None and row["desired"] != CREATED:
            ended = ExitRecord(_LOST_WITH_MACHINE, 0, 0, error="the machine went down while it ran")
        return self._container(row, CREATED if ended is None else EXITED, None, ended)

    def _container(
        self, row: sqlite3.Row, status: str, live: LiveState | None, ended: ExitRecord | None
    ) -> Container:
        spec_text = row["spec"]
        document = json.loads(spec_text)
        return Container(
            id=row["id"],
            name=row["name"],
            project=row["project"],
            service=row["service"],
            number=row["number"],
            created_ns=row["created_ns"],
            desired=row["desired"],
            intent=row["intent"],
            config_hash=row["config_hash"],
            image_id=row["image_id"],
            image=document["image"],
            oneoff=document.get("labels", {}).get(LABEL_ONEOFF) == "True",
            spec_text=spec_text,
            fields_text=row["fields"],
            status=status,
            live=live,
            exit=ended,
        )

    def cgroup_path(self, container: Container) -> str:
        """A container's cgroup, relative to every hierarchy's mount point."""
        parent = json.loads(container.spec_text).get("cgroup_parent", "")
        return self._paths.cgroup(container.id, parent)

    def live_directory(self, container_id: str) -> str:
        """The STATE directory, where the shim of a running container answers."""
        return self._paths.live(container_id)

    def probe_results(self, container_id: str) -> tuple[ProbeResult, ...]:
        """The last results of a running container's health check, the newest last."""
        return read_probe_results(self._paths.live(container_id))

    def log_path(self, container_id: str) -> str:
        """The file that `shim.logs.reader.LogReader` reads."""
        folder = self._paths.container(container_id)
        docker = f"{folder}/{container_id}-json.log"
        return docker if os.path.exists(docker) else f"{folder}/log"

    def addresses(self, container_id: str) -> dict[str, str]:
        """Network name -> address of a container, the IPv4 one if it has one."""
        rows = self._database.rows(
            "SELECT networks.name, coalesce(address, address6) AS address FROM endpoints"
            " JOIN networks ON networks.id = network_id WHERE container_id = ? ORDER BY position",
            container_id,
        )
        return {row["name"]: row["address"] for row in rows}

    def endpoints(self, container: Container) -> "Sequence[Endpoint]":
        """The places of a container in its networks."""
        from runtime.engine.addresses import endpoints

        return endpoints(self._engine, container.id, container.spec)

    def mounted_volumes(self, container_id: str) -> dict[str, str]:
        """Target -> name of all volumes of a container, named or anonymous."""
        rows = self._database.rows("SELECT target, volume FROM mounts WHERE container_id = ?", container_id)
        return {row["target"]: row["volume"] for row in rows}

    def inherited(self, container_id: str) -> dict[str, Any]:
        """The image's configuration that a container was made with, with the specification's names of its fields."""
        row = self._database.row("SELECT image FROM containers WHERE id = ?", container_id)
        config = json.loads(row["image"])["config"] if row else {}
        names = ("env", "entrypoint", "cmd", "user", "working_dir", "exposed_ports", "labels")
        return {"".join(map(str.capitalize, name.split("_"))): config.get(name) for name in names}

    def oci_spec(self, container_id: str) -> dict[str, Any]:
        """The OCI spec of the current or last run (config.json). Raises NotFoundError before the first."""
        from runtime.store.files import read_json

        document = read_json(f"{self._paths.container(container_id)}/config.json")
        if document is None:
            raise NotFoundError(f"container {container_id[:12]} has never been started")
        return document

    # ---- making and removing

    def create(
        self,
        spec: ContainerSpec,
        *,
        fields: Mapping[str, str] | None = None,
        replaces: str = "",
        keep_volumes: bool = True,
        contents: Mapping[str, bytes] | None = None,
    ) -> str:
        """Make a container; its id. Nothing runs yet.

        `contents` are what the spec's `files` hold; they lie in files that only root can read.

        `fields` are kept for telling later what changed. `replaces` is the id of a stopped container whose name
        this one takes and, with `keep_volumes`, its anonymous volumes; it is left for `remove`. Raises
        ConflictError for a taken name, NotFoundError for an image or network that is not there, StartError for a
        program the image can't have, InvalidError for a mount that cannot be.
        """
        from runtime.engine.creating import create_container

        return create_container(
            self._engine,
            spec,
            fields=fields or {},
            replaces=replaces,
            keep_volumes=keep_volumes,
            contents=contents or {},
        )

    def check(self, spec: ContainerSpec) -> None:
        """Refuse what can never start, before anything is made. Raises NotFoundError, StartError, InvalidError."""
        from runtime.engine.creating import check_spec

        check_spec(self._engine, spec)

    def mounts(self, container: Container) -> tuple[MountRequest, ...]:
        """What a container mounts, the image's volumes included; volumes by their real names."""
        rows = self._database.rows("SELECT target, volume FROM mounts WHERE container_id = ?", container.id)
        names = {row["target"]: row["volume"] for row in rows}
        asked = container.spec.mounts
        named = [
            mount._replace(source=names.pop(mount.target, mount.source)) if mount.type == "volume" else mount
            for mount in asked
        ]
        return (*named, *(MountRequest("volume", target, name) for target, name in names.items()))

    def anonymous_volumes(self, container_id: str) -> dict[str, str]:
        """Target -> name of the anonymous volumes of a container."""
        rows = self._database.rows(
            "SELECT target, volume FROM mounts JOIN volumes ON volumes.name = volume"
            " WHERE container_id = ? AND anonymous = 1",
            container_id,
        )
        return {row["target"]: row["volume"] for row in rows}

    def remove(self, container_id: str, *, volumes: bool = False) -> None:
        """Remove a container that does not run, with `volumes` also its anonymous ones. Raises ConflictError."""
        container = self.get(container_id)
        if container.is_live:
            raise ConflictError(f"container {container.name} is running", hint="stop it first")
        self.repair(container_id)
        anonymous = self.anonymous_volumes(container_id) if volumes else {}
        self._database.execute("UPDATE containers SET intent = 'removing' WHERE id = ?", container_id)
        if '"storage_bytes"' in container.spec_text:
            from runtime.engine.storage import release_storage

            release_storage(f"{self._paths.container(container_id)}/layer")
        discard(self._paths, self._paths.container(container_id))
        self._database.execute("DELETE FROM containers WHERE id = ?", container_id)
        append_event(
            self._paths,
            DESTROY,
            container_id,
            project=container.project,
            service=container.service,
            attributes={"image": container.image, "name": container.name},
        )
        for name in anonymous.values():
            if not self._engine.volumes.users(name):
                self._engine.volumes.remove(name)

    def drop_empty_cgroups(self) -> None:
        """Take away the cgroups above containers once there is no container in this root."""
        if self._database.row("SELECT 1 FROM containers") is None:
            from runtime.cgroups.manager import open_cgroup

            for path in (f"{self._paths.cgroup_parent}/shim", self._paths.cgroup_parent):
                open_cgroup(path).delete()

    # ---- starting

    def begin_start(self, container_id: str) -> "Launch":
        """Start a container's shim; returns at once. `Launch.finish` tells the outcome, then call `started`.

        Raises ConflictError if it runs already, NotFoundError if it is gone.
        """
        (outcome,) = self.begin_starts((container_id,))
        if isinstance(outcome, EngineError):
            raise outcome
        return outcome

    def begin_starts(
        self, container_ids: Sequence[str], clients: "Mapping[str, Streams] | None" = None
    ) -> "Sequence[Launch | EngineError]":
        """`begin_start` for several at once, which costs less time and memory than one after the other.

        `clients`: container id -> streams of a client that is attached from the start; see `Attachment`.
        """
        from runtime.engine.starting import begin_starts

        return begin_starts(self._engine, container_ids, clients)

    def started(self, container_id: str) -> None:
        """Record that the user wants the container running."""
        self._database.execute("UPDATE containers SET desired = 'running' WHERE id = ?", container_id)

    # ---- stopping

    def begin_stop(
        self, container: Container, *, grace_ns: int | None = None, resumable: bool = False
    ) -> "Stopping":
        """Ask a container to stop; returns at once, `Stopping.finish` waits for the end of all it had.

        `grace_ns` None means the container's own stop_grace_period. After it the program is killed. `resumable`: not
        because somebody wants it stopped, but for as long as the machine is down.
        """
        spec = container.spec
        if grace_ns is None:
            grace_ns = spec.stop_grace_period_ns
        wanted = SUSPENDED if resumable else "stopped"
        self._database.execute("UPDATE containers SET desired = ? WHERE id = ?", wanted, container.id)
        from runtime.engine.stopping import Stopping

        return Stopping(self, container, grace_ns=grace_ns)

    def stop_signal(self, container: Container) -> str:
        """The name of the signal that asks the container's program to end."""
        if container.spec.stop_signal:
            return container.spec.stop_signal
        from runtime.image.record import image_from_json

        row = self._database.row("SELECT image FROM containers WHERE id = ?", container.id)
        return (image_from_json(json.loads(row["image"])).config.stop_signal if row else "") or "SIGTERM"

    def signal(self, container: Container, number: int) -> None:
        """Send a signal to the container's first process. Raises StateError if it does not run."""
        answer = self._ask(container, {"op": "kill", "signal": number})
        if answer is None or "error" in answer:
            raise StateError(f"container {container.name} is not running")

    def pause(self, container: Container, *, paused: bool = True) -> None:
        """Freeze all processes of a container, or let them go on. Raises StateError if it is not in that state."""
        answer = self._ask(container, {"op": "pause" if paused else "resume"})
        if answer is None:
            raise StateError(f"container {container.name} is not running")
        if "error" in answer:
            raise StateError(str(answer["error"]))

    def _ask(self, container: Container, message: dict[str, Any]) -> dict[str, Any] | None:
        # Looking at containers is done without a socket, and socket is slow to load.
        from runtime.shim import control

        return control.request(self._paths.live(container.id), message)

    def processes(self, container: Container) -> Sequence[int]:
        """The pids of a running container on the host, [] if it does not run."""
        from runtime.cgroups.manager import open_cgroup

        return open_cgroup(self.cgroup_path(container)).procs() if container.is_live else []

    def subscribe(self, container_id: str) -> "Subscription | None":
        """News of a container; None if it has no shim."""
        from runtime.engine.subscription import subscribe

        return subscribe(self, container_id)

    # ---- networks

    def connect(self, container: Container, attachment: NetworkAttachment) -> None:
        """Put a container into a network, at once if it runs. Raises ConflictError, NotFoundError, StateError."""
        from runtime.engine.connecting import connect

        connect(self._engine, container, attachment)

    def disconnect(self, container: Container, network: str) -> None:
        """Take a container out of a network, at once if it runs. Raises NotFoundError, StateError."""
        from runtime.engine.connecting import disconnect

        disconnect(self._engine, container, network)

    # ---- repairing

    def repair(self, container_id: str) -> None:
        """Clean up after a shim that was killed; does nothing where none was."""
        directory = self._paths.live(container_id)
        if not os.path.isdir(directory):
            return
        from runtime.engine.repair import reclaim

        reclaim(self._engine, container_id)
