"""Cleans up what a shim that was killed left behind. Whoever can take a shim's lock knows that it is gone."""

import json
import os
import time
from typing import TYPE_CHECKING

from runtime.cgroups.manager import open_cgroup
from runtime.network.dns.entries import remove_entry
from runtime.network.endpoint import HostNetwork
from runtime.shim.published import translations
from runtime.shim.state import ExitRecord, read_exit_record, read_live_state, write_exit_record
from runtime.store.files import remove_tree
from runtime.store.locks import FileLock

if TYPE_CHECKING:
    from runtime.engine.engine import Engine

_CODE_LOST = 137


def reclaim(engine: "Engine", container_id: str) -> None:
    """Take away processes, cgroup, published ports, zone entries and STATE of a dead shim's container.

    Does nothing while the shim lives.
    """
    paths = engine.paths
    directory = paths.live(container_id)
    lock = FileLock(f"{directory}/lock")
    try:
        if not lock.acquire(timeout_s=0.0):
            return
    except FileNotFoundError:
        return
    try:
        row = engine.database.row("SELECT spec FROM containers WHERE id = ?", container_id)
        parent = json.loads(row["spec"]).get("cgroup_parent", "") if row is not None else ""
        cgroup = open_cgroup(paths.cgroup(container_id, parent))
        cgroup.kill()
        cgroup.delete(keep=parent != "")
        _withdraw(engine, container_id)
        _record_loss(paths.container(container_id), directory)
        for name in os.listdir(directory):
            if name != "lock":
                remove_tree(f"{directory}/{name}")
    finally:
        lock.release()
    try:
        os.rmdir(directory)
    except OSError:
        # A new shim of this container is starting in it.
        pass


def _withdraw(engine: "Engine", container_id: str) -> None:
    rows = engine.database.rows("SELECT network_id FROM endpoints WHERE container_id = ?", container_id)
    for row in rows:
        remove_entry(engine.paths.zone(row["network_id"]), container_id)
    live = read_live_state(engine.paths.live(container_id))
    translated = translations(live.ports) if live is not None else []
    if not translated:
        return
    host = HostNetwork(engine.paths.nft_table)
    try:
        host.unpublish(translated)
    finally:
        host.close()


def _record_loss(data: str, directory: str) -> None:
    live = read_live_state(directory)
    if live is None or read_exit_record(data) is not None or not os.path.isdir(data):
        return
    write_exit_record(
        data,
        ExitRecord(_CODE_LOST, live.started_ns, time.time_ns(), error="its supervisor was killed"),
    )
