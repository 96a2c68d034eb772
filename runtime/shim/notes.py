"""The lines that a container's shim and builder add to the events."""

from runtime.oci.labels import LABEL_PROJECT, LABEL_SERVICE
from runtime.shim.task import ShimTask
from runtime.store.events import append_event


def note(task: ShimTask, action: str, **details: str) -> None:
    """Note that something has happened to the task's container."""
    spec = task.spec
    append_event(
        task.paths,
        action,
        task.container_id,
        project=spec.labels.get(LABEL_PROJECT, ""),
        service=spec.labels.get(LABEL_SERVICE, ""),
        attributes={"image": spec.image, "name": spec.name, **details},
    )
