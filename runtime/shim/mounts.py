"""A container's mount requests as mounts of the OCI specification. Pure."""

from collections.abc import Sequence

from runtime.oci.container_spec import MountRequest
from runtime.oci.spec import Mount


def plan_mounts(
    requests: Sequence[MountRequest], etc_directory: str, *, read_only: bool = False
) -> list[Mount]:
    """OCI mounts, parents before what is mounted inside them.

    `etc_directory` holds the generated hosts, hostname and resolv.conf; a request for one of those paths wins.
    `read_only`: the root file system is, and so are they.
    """
    options = ["rbind", "rprivate", *(["ro"] if read_only else [])]
    taken = {request.target for request in requests}
    mounts = [
        _bind(f"{etc_directory}/{name}", f"/etc/{name}", options)
        for name in ("hosts", "hostname", "resolv.conf")
        if f"/etc/{name}" not in taken
    ]
    mounts += [_tmpfs(request) if request.type == "tmpfs" else _from_host(request) for request in requests]
    return sorted(mounts, key=lambda mount: mount["destination"].rstrip("/").count("/"))


def _bind(source: str, destination: str, options: list[str]) -> Mount:
    return {"destination": destination, "type": "bind", "source": source, "options": options}


def _from_host(request: MountRequest) -> Mount:
    kind = "bind" if request.recursive == "disabled" else "rbind"
    options = [kind, request.propagation or "rprivate"]
    if request.read_only:
        # Docker makes submounts read-only too unless "writable" is asked for.
        options.append("ro" if request.recursive in ("writable", "disabled") else "rro")
    return _bind(request.source, request.target, options)


def _tmpfs(request: MountRequest) -> Mount:
    options = list(request.options)
    for word, opposite in (("nosuid", "suid"), ("nodev", "dev"), ("noexec", "exec")):
        if opposite not in options and word not in options:
            options.append(word)
    if request.size_bytes:
        options.append(f"size={request.size_bytes}")
    if request.mode is not None:
        options.append(f"mode={request.mode:o}")
    if request.read_only:
        options.append("ro")
    return {"destination": request.target, "type": "tmpfs", "source": "tmpfs", "options": options}
