"""Waits for a condition of a service's containers, told by their shims: nothing is polled."""

from collections.abc import Iterable, Mapping

from composer.errors import ExecutionError
from composer.plan.action import READY, Action
from composer.plan.desired import COMPLETED, HEALTHY
from runtime import Container, Engine, LogReader, Subscription

_PENDING = None
_LAST_LINES = 10


def check(container: Container, condition: str) -> bool | None:
    """Whether the condition holds; None while that is open. Raises ExecutionError when it can't hold any more."""
    ended = container.exit
    health = container.live.health if container.live else ""
    if condition == COMPLETED:
        if ended is None:
            return _PENDING
        if ended.code == 0 and not ended.error:
            return True
        raise ExecutionError(f"container {container.name} didn't complete successfully: exit {ended.code}")
    if ended is not None:
        if condition == READY and ended.code == 0 and container.spec.restart.name in ("", "no"):
            return True
        raise ExecutionError(f"container {container.name} exited ({ended.code})")
    if container.live is None:
        raise ExecutionError(f"container {container.name} is not running")
    if health == "unhealthy":
        raise ExecutionError(f"container {container.name} is unhealthy")
    if health == "healthy":
        return True
    if not health and container.status == "running":
        if condition == HEALTHY:
            raise ExecutionError(
                f"container {container.name} has no healthcheck", hint="give its service a healthcheck"
            )
        return True
    return _PENDING


def last_words(engine: Engine, container: Container) -> str:
    """What the container said last, indented, each line on one of its own: its health check's output, then its log."""
    live = container.live
    lines = []
    if live is not None and live.health == "unhealthy" and live.health_output:
        lines.append(f"health check: {live.health_output.strip()}")
    reader = LogReader(engine.containers.log_path(container.id))
    try:
        tail = [*reader.skip_to_tail(_LAST_LINES), *reader.rest()][-_LAST_LINES:]
    finally:
        reader.close()
    lines += [line.text.decode(errors="replace") for line in tail]
    return "".join(f"\n  | {line}" for line in lines)


def describe_unready(engine: Engine, actions: Iterable[Action], ids: Mapping[str, str]) -> str:
    """What of the services of READY waits is not ready, and why: a table below a message; "" if there is nothing."""
    rows = [("CONTAINER", "STATE", "NOT READY BECAUSE")]
    for name in (name for action in actions for name in action.containers):
        container = engine.containers.find(ids.get(name, name))
        if container is None:
            rows.append((name, "-", "it was not made"))
            continue
        health = container.live.health if container.live else ""
        state = f"{container.status} ({health})" if health else container.status
        why = "its health check has not succeeded yet" if health else "it was not waited for any longer"
        try:
            if check(container, READY) is not None:
                continue
        except ExecutionError as error:
            why = str(error).removeprefix(f"container {container.name} ")
            if container.status == "created":
                why = "it was not started"
        rows.append((name, state, why))
    if len(rows) == 1:
        return ""
    widths = [max(len(row[column]) for row in rows) for column in range(2)]
    return "".join(
        f"\n  {name.ljust(widths[0])}  {state.ljust(widths[1])}  {why}" for name, state, why in rows
    )


class Waiter:
    """One WAIT action under way. `filenos` to poll, `handle` what became readable; `done` at the end."""

    def __init__(self, engine: Engine, action: Action, container_ids: list[str]) -> None:
        self._engine = engine
        self._condition = action.condition
        self._pending: dict[int, tuple[str, Subscription]] = {}
        for container_id in container_ids:
            self._look(container_id)

    @property
    def done(self) -> bool:
        return not self._pending

    def filenos(self) -> list[int]:
        return list(self._pending)

    def handle(self, descriptor: int) -> None:
        """Take news from one container. Raises ExecutionError when the condition can't hold any more."""
        container_id, subscription = self._pending[descriptor]
        ended = not subscription.take()
        if self._check(container_id) is not _PENDING or ended:
            del self._pending[descriptor]
            subscription.close()
            if ended:
                self._look(container_id)

    def _look(self, container_id: str) -> None:
        # Subscribe first: a change after the look below is then news.
        subscription = self._engine.containers.subscribe(container_id)
        try:
            outcome = self._check(container_id)
        except ExecutionError:
            if subscription is not None:
                subscription.close()
            raise
        if subscription is None:
            if outcome is _PENDING:
                raise ExecutionError(f"a container of the service is gone: {container_id[:12]}")
        elif outcome is _PENDING:
            self._pending[subscription.fileno()] = (container_id, subscription)
        else:
            subscription.close()

    def _check(self, container_id: str) -> bool | None:
        container = self._engine.containers.get(container_id)
        try:
            return check(container, self._condition)
        except ExecutionError as error:
            raise ExecutionError(f"{error}{last_words(self._engine, container)}", hint=error.hint) from None

    def close(self) -> None:
        for _, subscription in self._pending.values():
            subscription.close()
        self._pending.clear()
