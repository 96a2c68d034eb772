"""Where everything lies on disk. No other module knows a path. Pure.

DATA (/var/lib/pycompose, `--root`, PYCOMPOSE_ROOT) survives a reboot:

    pycompose.db            index of objects and allocations (SQLite, WAL; store/database.py)
    cache/                  what loading a project gave, by hash of its inputs (composer), and seccomp programs
    cache/remote/           Compose files of `-f oci://…` and of git repositories (composer/cli/remote.py):
                            VERSION/PROJECT/, made once, never changed; KEY.new and KEY.new.lock on the way
    images/                 an OCI image layout: oci-layout, index.json, blobs/sha256/HEX
    layers/CHAINID-HEX/     one unpacked layer each, shared by all containers
    downloads/HEX.part      blobs on their way; HEX.lock is held by the pull that writes one
    build/                  the build cache: records, whole builds, cache mounts (runtime/build/cache.py)
    base/                   what every container has (runtime/image/snapshot.py)
    host/KEY/               skeleton and /etc mask of `host:/`
    containers/ID/          config.json (the OCI spec), rootfs (mount point), layer/ (upper and work
                            directories), granted/ (secrets and configs), sources/ (where volumes, subpaths and
                            images are mounted for it, in its shim's namespace), log (or ID-json.log, and those
                            rotated), exit (once it has exited: code, time, OOM, boot id);
                            on another OCI runtime also bundle/ and runtime.log
    volumes/NAME/           _data (a named volume's content), options.json (driver_opts, if it has any) and, while
                            it is filled, .filling, .fill, .filled or .import (runtime/volume/store.py)
    trash/                  renamed here, deleted in the background
    locks/                  project-NAME.lock, build.ID.lock
    events.jsonl            what happened to containers (store/events.py); events.1.jsonl is the file before

STATE (/run/pycompose, `--state`, PYCOMPOSE_STATE) does not:

    containers/ID/          written by that container's shim alone: lock (held for the shim's life),
                            state.json, control.sock, etc/hosts, etc/hostname, etc/resolv.conf
    networks/ID/zone/CID    one file per endpoint: names and addresses the DNS responders answer with
    volumes/NAME            the containers that have a volume with driver_opts mounted (runtime/volume/mounting.py)
    other-runtime/          what other OCI runtimes keep of their containers

Several roots live on one machine: names of kernel objects carry `root_id`.
"""

from hashlib import sha256
from typing import NamedTuple

DEFAULT_DATA = "/var/lib/pycompose"
DEFAULT_STATE = "/run/pycompose"
BUILD_PREFIX = "build."  # of the locks, networks and cgroups of builds that are under way


class Paths(NamedTuple):
    """The two roots, absolute, and every path below them."""

    data: str = DEFAULT_DATA
    state: str = DEFAULT_STATE

    @property
    def root_id(self) -> str:
        """Four hexadecimal digits that tell this DATA root from others on the machine."""
        return sha256(self.data.encode()).hexdigest()[:4]

    @property
    def nft_table(self) -> str:
        """Name of this root's nftables table."""
        return "pycompose" if self.data == DEFAULT_DATA else f"pycompose_{self.root_id}"

    @property
    def cgroup_parent(self) -> str:
        """cgroup below which all containers and shims of this root live, without a leading slash."""
        return "pycompose" if self.data == DEFAULT_DATA else f"pycompose_{self.root_id}"

    def cgroup(self, container_id: str, parent: str = "") -> str:
        """cgroup of one container. `parent` is one to use instead of the root's, "a-b.slice" as systemd nests it."""
        return f"{_spelled_out(parent.strip('/')) or self.cgroup_parent}/{container_id}"

    @property
    def database(self) -> str:
        return f"{self.data}/pycompose.db"

    @property
    def cache(self) -> str:
        return f"{self.data}/cache"

    @property
    def images(self) -> str:
        return f"{self.data}/images"

    @property
    def layers(self) -> str:
        return f"{self.data}/layers"

    @property
    def downloads(self) -> str:
        return f"{self.data}/downloads"

    @property
    def build(self) -> str:
        return f"{self.data}/build"

    @property
    def base(self) -> str:
        return f"{self.data}/base"

    @property
    def host(self) -> str:
        return f"{self.data}/host"

    @property
    def containers(self) -> str:
        return f"{self.data}/containers"

    @property
    def volumes(self) -> str:
        return f"{self.data}/volumes"

    @property
    def trash(self) -> str:
        return f"{self.data}/trash"

    @property
    def events(self) -> str:
        return f"{self.data}/events.jsonl"

    @property
    def old_events(self) -> str:
        return f"{self.data}/events.1.jsonl"

    @property
    def locks(self) -> str:
        return f"{self.data}/locks"

    def container(self, container_id: str) -> str:
        """DATA directory of one container."""
        return f"{self.data}/containers/{container_id}"

    def granted(self, container_id: str) -> str:
        """Folder with what a container's secrets and configs hold, one file each by its number."""
        return f"{self.data}/containers/{container_id}/granted"

    def live(self, container_id: str) -> str:
        """STATE directory of one running container."""
        return f"{self.state}/containers/{container_id}"

    def volume(self, name: str) -> str:
        """DATA directory of one named volume; its content is in `_data` below."""
        return f"{self.data}/volumes/{name}"

    def zone(self, network_id: str) -> str:
        """STATE directory of one network's DNS zone."""
        return f"{self.state}/networks/{network_id}/zone"

    def bridge(self, network_id: str) -> str:
        """Name of a network's bridge (at most 15 characters)."""
        return f"pc{self.root_id}-{network_id[:8]}"

    def veth(self, container_id: str, index: int) -> str:
        """Name of the host's end of a container's `index`-th endpoint, 0 to 35 (at most 15 characters)."""
        return f"pv{self.root_id}{container_id[:8]}{'0123456789abcdefghijklmnopqrstuvwxyz'[index]}"


def _spelled_out(parent: str) -> str:
    """ "a-b.slice" lies in "a.slice" (systemd.slice(5)); any other path is as it is."""
    if not parent.endswith(".slice") or "/" in parent:
        return parent
    words = parent.removesuffix(".slice").split("-")
    return "/".join(f"{'-'.join(words[: count + 1])}.slice" for count in range(len(words)))
