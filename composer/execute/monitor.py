"""Watches the containers of one batch of a rolling update: are they ready, and do they stay so for a while?"""

import time

from composer.errors import ExecutionError
from composer.execute.wait import check, last_words
from composer.plan.action import READY, Action
from runtime import Engine, EngineError, Subscription

_CONTINUE = "continue"


class Monitor:
    """One WAIT of condition UPDATED. Poll `filenos`, at most until `deadline`; then `look`; `done` at the end."""

    def __init__(self, engine: Engine, action: Action, container_ids: list[str], failed_before: int) -> None:
        """`failed_before` replicas of earlier batches have failed."""
        self._engine = engine
        self._policy = action.spec
        self._failed_before = failed_before
        self._subscriptions: dict[int, tuple[str, Subscription]] = {}
        self._open = set(container_ids)
        self._all = tuple(container_ids)
        self.failed: dict[str, str] = {}  # container id -> why
        self.done = False
        self.deadline = time.monotonic() + self._policy["monitor_ns"] / 1e9
        self._monitored = False
        for container_id in container_ids:
            subscription = engine.containers.subscribe(container_id)
            if subscription is not None:
                self._subscriptions[subscription.fileno()] = (container_id, subscription)

    def filenos(self) -> list[int]:
        return list(self._subscriptions)

    def handle(self, descriptor: int) -> None:
        """Take news from one container. Raises ExecutionError when the update has failed."""
        _, subscription = self._subscriptions[descriptor]
        if not subscription.take():
            del self._subscriptions[descriptor]
            subscription.close()
        self.look()

    def look(self) -> None:
        """See how far it is. Raises ExecutionError when the update has failed."""
        for container_id in self._all:
            if container_id not in self.failed:
                self._look_at(container_id)
        if self._monitored:
            self.done = time.monotonic() >= self.deadline
        elif not self._open and time.monotonic() >= self.deadline:
            self._judge()
            self._monitored = True
            self.deadline = time.monotonic() + self._policy["delay_ns"] / 1e9
            self.done = not self._policy["delay_ns"]

    def _look_at(self, container_id: str) -> None:
        try:
            container = self._engine.containers.get(container_id)
        except EngineError as error:
            self._fail(container_id, str(error))
            return
        try:
            if container.live is not None and container.live.restarts:
                raise ExecutionError(f"container {container.name} had to be restarted")
            if check(container, READY) is not None:
                self._open.discard(container_id)
        except ExecutionError as error:
            self._fail(container_id, f"{error}{last_words(self._engine, container)}")

    def _fail(self, container_id: str, why: str) -> None:
        self.failed[container_id] = why
        self._open.discard(container_id)

    def _judge(self) -> None:
        if not self.failed or self._policy["failure_action"] == _CONTINUE:
            return
        ratio = (self._failed_before + len(self.failed)) / self._policy["total"]
        if ratio > self._policy["max_failure_ratio"]:
            raise ExecutionError(f"the {self._policy['what']} failed: {next(iter(self.failed.values()))}")

    def close(self) -> None:
        for _, subscription in self._subscriptions.values():
            subscription.close()
        self._subscriptions.clear()
