"""Carries out a Plan: every action once all it needs has succeeded, many at a time, in one loop without threads.

What the kernel or a shim does in the background (starts, stops, waits) is a descriptor in that loop. The executor
decides nothing: it walks the plan. The project's lock is given back while there is nothing left but waits.
"""

import select
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from composer.errors import ComposeError, DeadlineError, ExecutionError
from composer.execute.effects import Effects
from composer.execute.event import Event, Phase
from composer.execute.wait import Waiter, describe_unready
from composer.plan.action import READY, UPDATED, Action, Kind, Plan
from composer.plan.desired import Desired
from runtime import (
    Engine,
    EngineError,
    FileLock,
    StateError,
    build_from_json,
)

if TYPE_CHECKING:
    from composer.execute.hook import HookOutput
    from composer.execute.monitor import Monitor
    from runtime import Attachment, Job, Launch, Stopping

DEFAULT_PARALLEL = 16
_WITHOUT_LOCK = (Kind.WAIT, Kind.PULL, Kind.BUILD, Kind.PUSH, Kind.HOOK, Kind.PROVIDE)


class Failure(NamedTuple):
    """An action that did not succeed."""

    action: Action
    message: str
    error: Exception

    @property
    def hint(self) -> str:
        return str(getattr(self.error, "hint", ""))


class Executor:
    """Runs one plan. `keep_going`: a failure stops only what needs the failed action (for taking things down)."""

    def __init__(
        self,
        engine: Engine,
        desired: Desired,
        lock: FileLock,
        *,
        notify: Callable[[Event], None],
        parallel: int = DEFAULT_PARALLEL,
        keep_going: bool = False,
        deadline: float | None = None,
        attachments: "Mapping[str, Attachment] | None" = None,
    ) -> None:
        """`attachments`: container name -> what is attached to it from its start on."""
        self._attachments = attachments or {}
        self._engine = engine
        self._lock = lock
        self._notify = notify
        self._parallel = parallel
        self._keep_going = keep_going
        self._deadline = deadline
        self._effects = Effects(engine, desired)
        self._project = desired.project
        self._environment = desired.environment
        self._poll = select.poll()
        self._ids: dict[str, str] = {}
        self._pending: dict[int, Action] = {}
        self._done: set[int] = set()
        self._launches: dict[int, tuple[Action, Launch]] = {}
        self._stops: dict[int, tuple[Action, Stopping]] = {}
        self._waits: dict[int, tuple[Action, Waiter | Monitor]] = {}
        self._jobs: dict[int, tuple[Action, Job]] = {}
        self._monitors: dict[str, list[Monitor]] = {}  # service -> of its batches
        self._timed: list[tuple[Action, Monitor]] = []
        self._hooks: dict[int, HookOutput] = {}
        self.answers: dict[str, Any] = {}  # service -> what its provider has answered
        self.failures: list[Failure] = []
        self.warnings: list[str] = []

    def run(self, plan: Plan) -> None:
        """Carry out the whole plan. Raises ExecutionError, with the first failure's text, if not all succeeded."""
        self._pending = {action.id: action for action in plan.actions}
        self._ids = {
            container.name: container.id for container in self._engine.containers.list(self._project)
        }
        try:
            while self._pending or self._busy:
                self._begin_ready()
                if (
                    self.failures
                    and not self._keep_going
                    and not (self._launches or self._stops or self._jobs)
                ):
                    break  # what is only waited for does not change the outcome
                if self._busy:
                    self._serve()
                elif self._pending and not self._any_ready():
                    break
        finally:
            for _, waiter in self._waits.values():
                waiter.close()
            for _, job in self._jobs.values():
                job.cancel()
        if self.failures:
            first = self.failures[0]
            unready = [
                action
                for action in plan.actions
                if action.kind is Kind.WAIT and action.condition == READY and action.id not in self._done
            ]
            updates = (
                failure.action.service
                for failure in self.failures
                if failure.action.condition == UPDATED and not isinstance(failure.error, DeadlineError)
            )
            table = describe_unready(self._engine, unready, self._ids)
            raise ExecutionError(
                f"{first.message}{table}", hint=first.hint, services=tuple(dict.fromkeys(updates))
            ) from first.error

    @property
    def _busy(self) -> bool:
        return bool(self._launches or self._stops or self._waits or self._jobs or self._timed)

    def _any_ready(self) -> bool:
        return any(self._is_ready(action) for action in self._pending.values())

    def _is_ready(self, action: Action) -> bool:
        return self._done.issuperset(action.needs)

    # ---- beginning

    def _begin_ready(self) -> None:
        starts: list[Action] = []
        progress = True
        while progress:
            progress = False
            for action in list(self._pending.values()):
                if self.failures and not self._keep_going:
                    self._pending.clear()
                    break
                under_way = len(self._launches) + len(self._stops) + len(self._jobs) + len(starts)
                if not self._is_ready(action) or (
                    under_way >= self._parallel and action.kind is not Kind.WAIT
                ):
                    continue
                del self._pending[action.id]
                progress = True
                if action.kind is Kind.START:
                    starts.append(action)
                else:
                    self._begin(action)
        self._begin_starts(starts)

    def _begin_starts(self, actions: list[Action]) -> None:
        if not actions:
            return
        self._ensure_lock()
        for action in actions:
            self._notify(Event(Phase.BEGUN, action))
        attached = {self._id(item): item.name for item in actions if item.name in self._attachments}
        clients = {identifier: self._attachments[name].for_start() for identifier, name in attached.items()}
        outcomes = self._engine.containers.begin_starts([self._id(action) for action in actions], clients)
        for name in attached.values():
            self._attachments[name].started()
        for action, outcome in zip(actions, outcomes, strict=True):
            if isinstance(outcome, EngineError):
                self._fail(action, outcome)
            else:
                self._launches[outcome.fileno()] = (action, outcome)
                self._poll.register(outcome.fileno(), select.POLLIN)

    def _ensure_lock(self) -> None:
        if not self._lock.held:
            self._lock.acquire()

    def _begin(self, action: Action) -> None:
        if action.kind not in _WITHOUT_LOCK:
            self._ensure_lock()
        self._notify(Event(Phase.BEGUN, action))
        try:
            if not self._begin_in_background(action):
                self._effects.do(action, self._ids)
                self._succeed(action)
        except (EngineError, ComposeError, OSError) as error:
            self._fail(action, error)

    def _begin_in_background(self, action: Action) -> bool:
        """Begin what takes time and register its descriptor; False for an action that `_do` does at once."""
        if action.kind is Kind.STOP:
            grace_ns = None if action.grace_ns < 0 else action.grace_ns
            container = self._engine.containers.get(self._id(action))
            stopping = self._engine.containers.begin_stop(
                container, grace_ns=grace_ns, resumable=action.resumable
            )
            if stopping.fileno() < 0:
                stopping.finish()
                return False
            self._stops[stopping.fileno()] = (action, stopping)
            self._poll.register(stopping.fileno(), select.POLLIN)
        elif action.kind is Kind.WAIT:
            ids = [self._ids[name] for name in action.containers if name in self._ids]
            if action.condition == UPDATED:
                self._watch(action, self._monitor(action, ids))
            else:
                self._watch(action, Waiter(self._engine, action, ids))
        elif action.kind is Kind.PULL:
            self._follow(action, self._engine.images.begin_pull(action.name, action.platform))
        elif action.kind is Kind.PUSH:
            self._follow(action, self._engine.images.begin_push(action.name))
        elif action.kind is Kind.HOOK:
            from composer.execute.hook import HookOutput, begin_hook  # few plans have hooks

            try:
                job = begin_hook(self._engine, self._engine.containers.get(self._id(action)), action)
            except StateError as error:
                if not action.optional:
                    raise
                self._skip(action, error)
            else:
                self._hooks[action.id] = HookOutput(action)
                self._follow(action, job)
        elif action.kind is Kind.PROVIDE:
            from composer.execute.provider import begin_provider  # few projects have providers

            self._follow(action, begin_provider(self._project, action, self._environment))
        elif action.kind is Kind.BUILD:
            if action.if_missing and self._engine.images.find(action.name):
                self._done.add(action.id)
                self._notify(Event(Phase.SKIPPED, action))
            else:
                self._follow(action, self._engine.begin_build(build_from_json(action.spec)))
        else:
            return False
        return True

    def _id(self, action: Action) -> str:
        return action.container_id or self._ids[action.name]

    # ---- pulls and builds

    def _follow(self, action: Action, job: "Job") -> None:
        self._jobs[job.fileno()] = (action, job)
        self._poll.register(job.fileno(), select.POLLIN)

    def _read_job(self, descriptor: int) -> None:
        action, job = self._jobs[descriptor]
        for news in job.read():
            if action.id in self._hooks:
                self._hooks[action.id].take(news)
            self._notify(Event(Phase.NEWS, action, news=news))
        if not job.done:
            return
        del self._jobs[descriptor]
        self._poll.unregister(descriptor)
        try:
            outcome = job.finish()
        except EngineError as error:
            if action.optional and (action.kind is Kind.PULL or isinstance(error, StateError)):
                self._skip(action, error)
            else:
                self._fail(action, error)
        else:
            if action.id in self._hooks and outcome:
                self._fail(action, self._hooks[action.id].failure(outcome))
            else:
                if action.kind is Kind.PROVIDE:
                    self.answers[action.service] = outcome
                self._succeed(action)

    def _skip(self, action: Action, error: Exception) -> None:
        self._done.add(action.id)
        self._notify(Event(Phase.SKIPPED, action, str(error)))

    # ---- waiting

    def _monitor(self, action: Action, container_ids: list[str]) -> "Monitor":
        from composer.execute.monitor import Monitor  # few plans have rolling updates

        before = sum(len(monitor.failed) for monitor in self._monitors.get(action.service, ()))
        monitor = Monitor(self._engine, action, container_ids, before)
        self._monitors.setdefault(action.service, []).append(monitor)
        monitor.look()
        if not monitor.done:
            self._timed.append((action, monitor))
        return monitor

    def _look_at_monitors(self, now: float) -> None:
        for action, monitor in list(self._timed):
            error: ExecutionError | None = None
            if monitor.deadline <= now and not monitor.done:
                try:
                    monitor.look()
                except ExecutionError as caught:
                    error = caught
            if not monitor.done and error is None:
                continue
            self._timed.remove((action, monitor))
            for descriptor in monitor.filenos():
                self._waits.pop(descriptor, None)
                self._poll.unregister(descriptor)
            monitor.close()
            if error is not None:
                self._fail(action, error)
            elif action.id not in self._done:
                self._succeed(action)

    def _watch(self, action: Action, waiter: "Waiter | Monitor") -> None:
        if waiter.done:
            self._succeed(action)
            return
        for descriptor in waiter.filenos():
            self._waits[descriptor] = (action, waiter)
            self._poll.register(descriptor, select.POLLIN)

    def _serve(self) -> None:
        if not self._launches and not self._stops and self._lock.held:
            self._lock.release()
        for descriptor, _ in self._poll.poll(self._timeout_ms()):
            if descriptor in self._launches:
                self._finish_launch(descriptor)
            elif descriptor in self._stops:
                self._finish_stop(descriptor)
            elif descriptor in self._jobs:
                self._read_job(descriptor)
            elif descriptor in self._waits:
                self._handle_wait(descriptor)
        now = time.monotonic()
        for descriptor, (_, stopping) in list(self._stops.items()):
            if stopping.deadline <= now:
                self._finish_stop(descriptor)
        self._look_at_monitors(now)
        if self._deadline is not None and self._deadline <= now:
            self._time_out()

    def _timeout_ms(self) -> float | None:
        deadlines = [stopping.deadline for _, stopping in self._stops.values()]
        # One that is over its time waits for its containers to get ready: they tell.
        now = time.monotonic()
        deadlines += [monitor.deadline for _, monitor in self._timed if monitor.deadline > now]
        if self._deadline is not None:
            deadlines.append(self._deadline)
        return max(0.0, (min(deadlines) - time.monotonic()) * 1000 + 1) if deadlines else None

    def _finish_launch(self, descriptor: int) -> None:
        action, launch = self._launches.pop(descriptor)
        self._poll.unregister(descriptor)
        try:
            launch.finish()
            if launch.console >= 0:
                self._attachments[action.name].stdin = launch.console
            self.warnings += [f"container {launch.name}: {text}" for text in launch.warnings]
            self._engine.containers.started(self._id(action))
        except EngineError as error:
            self._fail(action, error)
        else:
            self._succeed(action)

    def _finish_stop(self, descriptor: int) -> None:
        action, stopping = self._stops.pop(descriptor)
        self._poll.unregister(descriptor)
        try:
            stopping.finish()
        except (EngineError, OSError) as error:
            self._fail(action, error)
        else:
            self._succeed(action)

    def _handle_wait(self, descriptor: int) -> None:
        action, waiter = self._waits[descriptor]
        before = set(waiter.filenos())
        error: Exception | None = None
        try:
            waiter.handle(descriptor)
        except (EngineError, ComposeError) as caught:
            error = caught
        after = set() if error else set(waiter.filenos())
        for gone in before - after:
            del self._waits[gone]
            self._poll.unregister(gone)
        for new in after - before:
            self._waits[new] = (action, waiter)
            self._poll.register(new, select.POLLIN)
        if error is not None:
            waiter.close()
            self._timed = [item for item in self._timed if item[1] is not waiter]
            self._fail(action, error)
        elif waiter.done and action.condition != UPDATED:
            self._succeed(action)

    def _time_out(self) -> None:
        self._deadline = None
        late = {action.id: (action, waiter) for action, waiter in (*self._waits.values(), *self._timed)}
        self._timed.clear()
        for action, waiter in late.values():
            for descriptor in waiter.filenos():
                if self._waits.pop(descriptor, None) is not None:
                    self._poll.unregister(descriptor)
            waiter.close()
            self._fail(action, DeadlineError(f"service {action.service} was not ready in time"))

    # ---- outcomes

    def _succeed(self, action: Action) -> None:
        self._done.add(action.id)
        self._notify(Event(Phase.DONE, action))

    def _fail(self, action: Action, error: Exception) -> None:
        message = str(error)
        if action.kind is Kind.WAIT and action.condition not in (READY, UPDATED):
            cause = "pre_start failed" if action.name != action.service else "dependency failed to start"
            message = f"{cause}: {message}"
        if action.kind is Kind.WAIT and action.optional:
            self.warnings.append(f"optional {message}")
            self._skip(action, error)
            return
        self.failures.append(Failure(action, message, error))
        self._notify(Event(Phase.FAILED, action, message))

    def kill_stopping(self) -> None:
        """The user has no patience: kill what is being stopped."""
        for _, stopping in self._stops.values():
            stopping.kill()
