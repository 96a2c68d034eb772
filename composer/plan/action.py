"""A Plan: actions, each with its cause and what must be done before it. A value, made by planners. Pure."""

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, NamedTuple


class Kind(StrEnum):
    """What an action does."""

    PULL = "pull image"
    BUILD = "build image"
    PUSH = "push image"
    REMOVE_IMAGE = "remove image"
    CREATE_NETWORK = "create network"
    REMOVE_NETWORK = "remove network"
    CREATE_VOLUME = "create volume"
    REMOVE_VOLUME = "remove volume"
    CREATE = "create container"
    START = "start container"
    STOP = "stop container"
    KILL = "kill container"
    PAUSE = "pause container"
    UNPAUSE = "unpause container"
    REMOVE = "remove container"
    WAIT = "wait for service"
    HOOK = "run hook in container"
    PROVIDE = "ask provider of service"


class Action(NamedTuple):
    """One step. `needs` are the ids of the actions that must have succeeded before it."""

    id: int
    kind: Kind
    name: str  # of the container, network, volume or image; for WAIT of the service
    cause: str
    needs: tuple[int, ...] = ()
    service: str = ""
    container_id: str = ""  # of an existing container
    spec: Mapping[
        str, Any
    ] = {}  # CREATE: a ContainerSpec, BUILD: a BuildRequest, HOOK: a HookSpec, PROVIDE: a provider, in JSON form
    fields: Mapping[str, str] = {}  # CREATE: attribute path -> hash
    replaces: str = ""  # CREATE: id of the container it takes the place of
    shares: str = ""  # CREATE: name of the container whose anonymous volumes it sees
    condition: str = (
        ""  # WAIT: service_healthy, service_completed_successfully or "ready"; PROVIDE: "up" or "down"
    )
    containers: tuple[str, ...] = ()  # WAIT: names of the containers waited for
    number: int = 0  # KILL: the signal
    grace_ns: int = -1  # STOP: -1 = the container's own
    resumable: bool = False  # STOP: the container is to run again after a boot
    anonymous_volumes: bool = False  # REMOVE: take them along; CREATE: make them anew
    replaced: bool = False  # REMOVE: another container has taken its place
    detach: bool = False  # REMOVE_NETWORK: its containers are replaced in this plan
    platform: str = ""  # PULL
    optional: bool = False  # PULL: the image can be built too; HOOK: the container may have ended;
    # WAIT: those who wait are started even if it fails
    if_missing: bool = False  # BUILD: nothing to do if a pull brought the image
    destructive: bool = False  # it takes away something that cannot be made again


READY = "ready"
UP, DOWN = "up", "down"  # PROVIDE
UPDATED = "updated"  # WAIT: a batch of a rolling update is ready, and stays so for a while


class Plan(NamedTuple):
    """Actions in an order in which needs come first, and what the user should know about them."""

    project: str
    actions: tuple[Action, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to change (waiting changes nothing)."""
        return all(action.kind is Kind.WAIT for action in self.actions)


class PlanBuilder:
    """Collects actions and numbers them."""

    __slots__ = ("_actions", "_warnings", "project")

    def __init__(self, project: str) -> None:
        self.project = project
        self._actions: list[Action] = []
        self._warnings: list[str] = []

    @property
    def actions(self) -> tuple[Action, ...]:
        """What was planned so far."""
        return tuple(self._actions)

    def add(self, kind: Kind, name: str, cause: str, *, needs: tuple[int, ...] = (), **details: Any) -> int:
        """Append an action; its id."""
        number = len(self._actions)
        self._actions.append(Action(number, kind, name, cause, tuple(dict.fromkeys(needs)), **details))
        return number

    def warn(self, text: str) -> None:
        self._warnings.append(text)

    def plan(self) -> Plan:
        return Plan(self.project, tuple(self._actions), tuple(self._warnings))
