"""What is there: one snapshot of a project's containers, networks, volumes and images, as the planner sees it. Pure."""

from collections.abc import Mapping
from typing import Any, NamedTuple

CREATED = "created"
RUNNING = "running"
RESTARTING = "restarting"
PAUSED = "paused"
EXITED = "exited"

_LIVE = frozenset((RUNNING, RESTARTING, PAUSED))


class ObservedContainer(NamedTuple):
    """One container of the project. `health` is "" without a health check, `exit_code` -1 while none is known."""

    id: str
    name: str
    service: str
    number: int
    status: str
    health: str = ""
    exit_code: int = -1
    config_hash: str = ""
    image_id: str = ""
    fields: Mapping[str, str] = {}
    networks: tuple[str, ...] = ()  # real names
    oneoff: bool = False
    leftover: bool = False  # an interrupted command was removing or replacing it
    hook: str = ""  # "pre_start" = it is the container of such a step
    spec_text: str = ""  # its ContainerSpec as JSON
    post_start: tuple[Mapping[str, Any], ...] = ()  # its own hooks, in JSON form
    pre_stop: tuple[Mapping[str, Any], ...] = ()

    @property
    def live(self) -> bool:
        return self.status in _LIVE


class ObservedState(NamedTuple):
    """Everything a plan is made against. Networks and volumes are by real name, with their config hash."""

    containers: tuple[ObservedContainer, ...] = ()
    networks: Mapping[str, str] = {}
    project_networks: tuple[str, ...] = ()  # those made for this project
    volumes: Mapping[str, str] = {}
    images: Mapping[str, str] = {}  # reference -> id; "" where there is no such image
    pulled_ns: Mapping[str, int] = {}  # reference -> when it was last pulled; only where a policy asks for it
    now_ns: int = 0

    def of_service(self, service: str) -> tuple[ObservedContainer, ...]:
        """The service's containers by number, without one-off and leftover ones."""
        return tuple(c for c in self.containers if c.service == service and not c.oneoff and not c.leftover)
