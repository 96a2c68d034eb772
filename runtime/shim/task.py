"""What a shim is told when it is made: all it needs, so that it never opens the database."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from runtime.image.record import image_from_json, image_to_json
from runtime.image.store import ResolvedImage
from runtime.network.record import Endpoint, endpoint_from_json, endpoint_to_json
from runtime.oci import container_spec
from runtime.oci.container_spec import ContainerSpec, MountRequest
from runtime.store.paths import Paths


class ShimTask(NamedTuple):
    """One start of one container. In `mounts` the sources of volumes are folders on the host already."""

    paths: Paths
    container_id: str
    spec: ContainerSpec
    image: ResolvedImage
    mounts: tuple[MountRequest, ...] = ()
    endpoints: tuple[Endpoint, ...] = ()
    host_gateway: str = ""  # the address extra_hosts' "host-gateway" stands for
    images: Mapping[str, ResolvedImage] = {}  # those that are mounted, by reference
    joined: Mapping[str, str] = {}  # "ipc", "pid" -> id of the container whose namespace it is
    network_owner: str = ""  # id of the container whose network namespace is joined, "" = one of its own


def task_to_json(task: ShimTask) -> dict[str, Any]:
    """A JSON object, for a shim that starts in a fresh interpreter."""
    return {
        "paths": list(task.paths),
        "container_id": task.container_id,
        "spec": container_spec.to_json(task.spec),
        "image": image_to_json(task.image),
        "mounts": [list(mount) for mount in task.mounts],
        "endpoints": [endpoint_to_json(endpoint) for endpoint in task.endpoints],
        "host_gateway": task.host_gateway,
        "images": {name: image_to_json(image) for name, image in task.images.items()},
        "joined": dict(task.joined),
        "network_owner": task.network_owner,
    }


def task_from_json(data: Mapping[str, Any]) -> ShimTask:
    """The inverse of `task_to_json`."""
    return ShimTask(
        paths=Paths(*data["paths"]),
        container_id=data["container_id"],
        spec=container_spec.from_json(data["spec"]),
        image=image_from_json(data["image"]),
        mounts=tuple(MountRequest(*_tuples(mount)) for mount in data["mounts"]),
        endpoints=tuple(endpoint_from_json(endpoint) for endpoint in data["endpoints"]),
        host_gateway=data["host_gateway"],
        images={name: image_from_json(image) for name, image in data["images"].items()},
        joined=data["joined"],
        network_owner=data["network_owner"],
    )


def _tuples(values: list[Any]) -> list[Any]:
    return [tuple(value) if isinstance(value, list) else value for value in values]
