"""Which containers come back after a boot: those that Docker's restart policies bring back with its daemon."""

from typing import TYPE_CHECKING

from runtime.engine.containers import SUSPENDED
from runtime.linux.procfs import boot_id

if TYPE_CHECKING:
    from runtime.engine.containers import Container
    from runtime.engine.engine import Engine


def containers_to_resume(engine: "Engine", project: str) -> frozenset[str]:
    """Ids of the project's containers that are to run and do not: those of an earlier boot, and suspended ones."""
    return frozenset(
        container.id for container in engine.containers.list(project) if _comes_back(container, boot_id())
    )


def _comes_back(container: "Container", boot: str) -> bool:
    if container.is_live or container.leftover or container.status == "created":
        return False
    ended = container.exit
    suspended = container.desired == SUSPENDED
    if ended is not None and ended.boot_id == boot and not suspended:
        return False
    policy = container.spec.restart.name
    if policy == "always":
        return True
    if container.desired != "running" and not suspended:
        return False
    # With `on-failure` what has done its work stays done.
    return policy == "unless-stopped" or (policy == "on-failure" and ended is not None and ended.code != 0)
