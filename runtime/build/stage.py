"""Builds one stage: its instructions one after the other, each from the cache or carried out.

A step that touches files gets an overlay of all layers so far. The overlay's upper directory becomes the new layer as
it is; a child archives it (for its digests) while the next step runs already, and `_settle` gives it its place. What
COPY and RUN do in that overlay is steps_copy's and steps_run's.
"""

import os
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from runtime.build.cache import BuildCache, FileDigests, Layer, make_key
from runtime.build.config import (
    CHANGES,
    Config,
    absolute,
    describe_change,
    environment,
    set_environment,
)
from runtime.build.dockerfile import DockerfileError, Instruction, parse_dockerfile, split_words
from runtime.build.exchange import TrailStep
from runtime.build.graph import BuildPlan, Stage, declare_argument
from runtime.build.layers import PendingLayer, is_empty, settle
from runtime.build.request import BuildRequest
from runtime.build.sources import Sources
from runtime.build.witness import Witness
from runtime.image.intake import timestamp
from runtime.image.snapshot import SnapshotMount, mount_snapshot, prepare_layer_dir
from runtime.image.store import ImageStore
from runtime.linux import syscalls
from runtime.network.record import Endpoint
from runtime.oci.digest import chain_ids
from runtime.oci.generate import DEFAULT_PATH

Report = Callable[[Mapping[str, Any]], None]
COMMENT = "buildkit.dockerfile.v0"


class StageResult(NamedTuple):
    """A built stage, or an image that stages are based on. `key` is what the next step builds upon."""

    key: str
    layers: tuple[Layer, ...]
    config: Config
    history: tuple[Mapping[str, Any], ...] = ()
    created: str = ""
    author: str = ""
    trail: tuple[TrailStep, ...] = ()  # for cache_to

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "StageResult":
        return cls(
            **{
                **data,
                "trail": tuple(TrailStep(*item) for item in data["trail"]),
                "layers": tuple(Layer(*item) for item in data["layers"]),
                "history": tuple(data["history"]),
            }
        )


class Network(Protocol):
    """Where RUN steps get a name for their build, and their place in a network, from."""

    def begin(self) -> str: ...

    def endpoint(self, step: str) -> Endpoint: ...


class Surroundings(NamedTuple):
    """What all stages of one build share."""

    store: ImageStore
    cache: BuildCache
    digests: FileDigests
    request: BuildRequest
    plan: BuildPlan
    escape: str
    given: Mapping[str, str]  # --build-arg
    automatic: Mapping[str, str]  # TARGETPLATFORM and the like
    sources: Sources
    witness: Witness
    space: str  # a folder for this build
    epoch: int | None  # SOURCE_DATE_EPOCH


class StageBuilder:
    """One stage under way."""

    def __init__(
        self, around: Surroundings, stage: Stage, base: StageResult, tell: Report, network: Network
    ) -> None:
        self.around = around
        self.network = network
        self.stage = stage
        self.tell = tell
        self.config: Config = {key: value for key, value in base.config.items() if key != "OnBuild"}
        if "PATH" not in environment(self.config):
            self.set_environment({"PATH": DEFAULT_PATH})
        self.arguments: dict[str, str] = {}
        self.step = ""
        self._triggers = tuple(base.config.get("OnBuild") or ())
        self._layers: list[Layer | PendingLayer] = list(base.layers)
        self._key = base.key
        self._history: list[Mapping[str, Any]] = list(base.history)
        self._created = base.created or self._now()
        self._author = base.author
        self._keep: list[tuple[str, dict[str, Any], int]] = []
        self._trail: list[TrailStep] = list(base.trail)
        self._command_set = False
        self._spaces = 0
        listed = around.request.no_cache_filter
        self._no_cache = around.request.no_cache or stage.title in listed or str(stage.number) in listed

    # ---- the whole

    def build(self) -> StageResult:
        """All instructions. Raises DockerfileError, StepError, EngineError."""
        triggers = [item for text in self._triggers for item in parse_dockerfile(text).instructions]
        todo = [*(item._replace(line=self.stage.line) for item in triggers), *self.stage.instructions]
        try:
            for number, instruction in enumerate(todo, 2):
                self.step = f"{self.stage.number + 1}.{number}"
                self.title = f"[{self.stage.title} {number}/{len(todo) + 1}] {instruction.original}"
                try:
                    self._instruction(instruction)
                except DockerfileError as error:
                    if not error.line:
                        raise DockerfileError(str(error), instruction.line, hint=error.hint) from error
                    raise
        finally:
            # What was finished before a step failed need not be done again.
            layers = settle(self.around.store, self._layers, self.around.cache, self._keep)
        return StageResult(
            self._key,
            tuple(layers),
            self.config,
            tuple(self._history),
            self._created,
            self._author,
            tuple(self._trail),
        )

    def _instruction(self, instruction: Instruction) -> None:
        from runtime.build.steps_copy import copy_files
        from runtime.build.steps_run import run_command

        if instruction.name == "RUN":
            run_command(self, instruction)
        elif instruction.name in ("COPY", "ADD"):
            copy_files(self, instruction)
        elif instruction.name == "ARG":
            self._declare(instruction)
        elif instruction.name == "MAINTAINER":
            self._author = instruction.text
            self._remember(instruction.original, empty=True)
        elif instruction.name == "FROM":
            raise DockerfileError("FROM can't be here", instruction.line)
        else:
            self._change(instruction)

    def _change(self, instruction: Instruction) -> None:
        CHANGES[instruction.name](self.config, instruction, self.variables, self.around.escape)
        if instruction.name == "CMD":
            self._command_set = True
        if instruction.name == "ENTRYPOINT" and not self._command_set:
            self.config.pop("Cmd", None)
        text = describe_change(instruction, self.config)
        if instruction.name == "WORKDIR" and self.config["WorkingDir"] != "/":
            path = self.config["WorkingDir"]
            self.file_step(
                make_key("directory", self._key, path), text, lambda root: _make_directory(root, path)
            )
        else:
            self._remember(text, empty=True)

    # ---- variables

    @property
    def variables(self) -> dict[str, str]:
        """What $NAME may be in an instruction; ENV counts more than ARG."""
        return {**self.arguments, **environment(self.config)}

    def _declare(self, instruction: Instruction) -> None:
        around = self.around
        for word in split_words(instruction.text, around.escape):
            name, value = declare_argument(
                word,
                self.variables,
                given=around.given,
                known={**around.automatic, **around.plan.arguments},
                escape=around.escape,
                line=instruction.line,
            )
            if value is not None:
                self.arguments[name] = value
        self._remember(instruction.original, empty=True)

    def path(self, text: str) -> str:
        """A path in the image; relative ones start from WORKDIR. A slash at the end stays."""
        return absolute(self.config, text) + (
            "/" if text.endswith(("/", "/.")) or text in (".", "..") else ""
        )

    def set_environment(self, values: Mapping[str, str]) -> None:
        set_environment(self.config, values)

    # ---- files

    def key(self, *parts: Any) -> str:
        """A key for what is done to the files as they are now."""
        return make_key(self._key, *parts)

    def lower(self) -> tuple[str, ...]:
        """The directories of all layers so far, the topmost first."""
        known = [item for item in self._layers if isinstance(item, Layer)]
        chains = chain_ids([layer.diff_id for layer in known])
        base = self.around.store.paths.layers
        paths = [f"{base}/{chain.removeprefix('sha256:')}" for chain in chains]
        paths += [item.directory for item in self._layers if isinstance(item, PendingLayer)]
        return tuple(reversed(paths))

    def new_space(self) -> str:
        """A folder for one step."""
        self._spaces += 1
        path = f"{self.around.space}/{self.stage.number}-{self._spaces}"
        os.makedirs(path, mode=0o700)
        return path

    def file_step(
        self,
        key: str,
        created_by: str,
        action: Callable[[str], None],
        *,
        mounted: bool = True,
        quiet: bool = False,
        alone: bool = False,
    ) -> None:
        """Take a step from the cache, or do it: `action` gets the root, or with mounted=False the step's folder.

        `alone`: the layer is made upon nothing (COPY --link).
        """
        begun = time.monotonic()
        if self._recall(key, created_by):
            self.tell({"step": self.step, "title": self.title, "status": "cached"})
            return
        if not quiet:
            self.tell({"step": self.step, "title": self.title, "status": "begun"})
        space = self.new_space()
        try:
            if mounted:
                self._act(space, action, alone=alone)
            else:
                action(space)
        except BaseException:
            self.tell({"step": self.step, "title": self.title, "status": "failed"})
            raise
        self._created = self._now()
        self._append(f"{space}/upper", key, created_by)
        seconds = time.monotonic() - begun
        self.tell({"step": self.step, "title": self.title, "status": "done", "seconds": seconds})

    def _act(self, space: str, action: Callable[[str], None], *, alone: bool) -> None:
        root = f"{space}/rootfs"
        os.makedirs(root)
        lower = () if alone else self.lower()
        snapshot = SnapshotMount(
            "/", lower or (self.around.sources.nothing,), f"{space}/upper", f"{space}/work"
        )
        prepare_layer_dir((snapshot,))
        mount_snapshot((snapshot,), root)
        try:
            action(root)
        finally:
            syscalls.umount2(root)

    def _recall(self, key: str, created_by: str) -> bool:
        if self._no_cache or any(isinstance(item, PendingLayer) for item in self._layers):
            return False
        record = self.around.cache.find(key)
        if record is None:
            return False
        layer = Layer(*record["layer"]) if record["layer"] else None
        known = [item.diff_id for item in self._layers if isinstance(item, Layer)]
        if record["chain"] != known + ([layer.diff_id] if layer else []):
            return False
        if layer is not None:
            self._layers.append(layer)
        self._key, self._created = key, record["created"]
        self._trail.append(TrailStep(key, self._created, len(self._layers), layer is not None))
        self._remember(created_by, empty=layer is None)
        return True

    def _append(self, upper: str, key: str, created_by: str) -> None:
        empty = is_empty(upper)
        if not empty:
            self._layers.append(PendingLayer(upper, latest=self.around.epoch))
        self._keep.append((key, {"created": self._created}, -1 if empty else len(self._layers) - 1))
        if empty:
            self._keep[-1][1]["after"] = len(self._layers)
        self._trail.append(TrailStep(key, self._created, len(self._layers), not empty))
        self._key = key
        self._remember(created_by, empty=empty)

    def _remember(self, created_by: str, *, empty: bool) -> None:
        entry: dict[str, Any] = {"created": self._created, "created_by": created_by, "comment": COMMENT}
        if empty:
            entry["empty_layer"] = True
        self._history.append(entry)

    def _now(self) -> str:
        return timestamp(self.around.epoch)


def _make_directory(root: str, path: str) -> None:
    from runtime.linux.paths import ensure_directory, open_root

    fd = open_root(root)
    try:
        os.close(ensure_directory(fd, path))
    finally:
        os.close(fd)
