"""A build from request to image: context, plan, base images, stages side by side, export.

    request ─► context, Dockerfile ─► plan_build ─► base images ─► one process per stage ─► names

Runs in a process of its own (engine/job.py), so that nothing of it reaches the command.
"""

import os
import re
import shutil
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from typing import Any

from runtime.build.bases import Bases
from runtime.build.cache import BuildCache, FileDigests, bound_cache
from runtime.build.check import check_dockerfile, failing, look_at_stages
from runtime.build.config import trigger_text
from runtime.build.context import Context, load_context, load_named
from runtime.build.dockerfile import Dockerfile, DockerfileError, Instruction, parse_dockerfile
from runtime.build.exchange import CACHE_KEY, export_cache, import_cache
from runtime.build.graph import SCRATCH, BuildPlan, Stage, add_triggers, plan_build, platform_arguments
from runtime.build.outcomes import keep_outcome
from runtime.build.request import BuildRequest
from runtime.build.sources import Sources
from runtime.build.stage import Network, Report, StageBuilder, StageResult, Surroundings
from runtime.build.steps_run import PROXIES
from runtime.build.tree import Tree
from runtime.build.witness import Witness
from runtime.errors import EngineError, InvalidError, UnsupportedError
from runtime.image.intake import NewLayer, commit, config_document, timestamp, workspace
from runtime.image.naming import parse_target
from runtime.image.platform import Platform, host_platform, parse_platform
from runtime.image.store import ImageStore, encode_json
from runtime.image.workers import run_parallel
from runtime.linux import constants as k
from runtime.linux import syscalls
from runtime.store.paths import Paths

# BuildKit's own frontend, whatever its release and registry.
_DOCKERFILE_SYNTAX = re.compile(r"(?:[^/]+/)?docker/dockerfile(?:-upstream)?(?:[:@]|\Z)")
_IMAGE_CONTEXTS = ("docker-image://", "oci-layout://", "local-image://")


NetworkMaker = Callable[[Paths], AbstractContextManager[Network]]


def build_image(paths: Paths, request: BuildRequest, networks: NetworkMaker, report: Report) -> str:
    """Build an image and give it its names; its id. Raises EngineError, DockerfileError, StepError."""
    store = ImageStore(paths)
    names = [parse_target(name) for name in request.names]
    platform = _platform(request)
    with workspace(store) as space:
        try:
            # Mounts of this process and its children are nobody else's, and end with them.
            syscalls.unshare(k.CLONE_NEWNS)
            syscalls.mount(None, "/", None, k.MS_REC | k.MS_SLAVE, None)
            news: list[Mapping[str, Any]] = []

            def tell(item: Mapping[str, Any]) -> None:
                news.append(item)
                report(item)

            build = _Build(store, request, platform, space, networks, tell)
            config, layers = build.run()
            image_id = commit(store, names, config, layers, annotations={})
            export_cache(store, image_id, request.cache_to, report)
            bound_cache(store)
            with suppress(OSError):  # the image is made: what only saves time must not fail that
                keep_outcome(store, request, build.witness, build.steps, image_id, news)
            return image_id
        finally:
            _leave(space)


def _leave(space: str) -> None:
    """What is still mounted in this process's own namespace must not be deleted through its mount points."""
    with open("/proc/self/mountinfo") as file:
        mounted = [line.split()[4] for line in file if line.split()[4].startswith(f"{space}/")]
    for path in reversed(mounted):
        syscalls.umount2(path, k.MNT_DETACH)
    shutil.rmtree(f"{space}/context", ignore_errors=True)


def _platform(request: BuildRequest) -> Platform:
    host = host_platform(os.uname().machine)
    wanted = [parse_platform(text, host) for text in request.platforms] or [host]
    if any(item[:2] != host[:2] for item in wanted):
        others = ", ".join(str(item) for item in wanted if item[:2] != host[:2])
        raise UnsupportedError(f"{others} can't be built on {host}", hint=f"build for {host} only")
    return wanted[0]


class _Build:
    def __init__(
        self,
        store: ImageStore,
        request: BuildRequest,
        platform: Platform,
        space: str,
        networks: NetworkMaker,
        report: Report,
    ) -> None:
        self._store = store
        self._request = request
        self._platform = platform
        self._space = space
        self._networks = networks
        self._report = report
        self._cache = BuildCache(store)
        self._digests = FileDigests(store.paths)
        self.witness = Witness()
        self.steps: list[str] = []  # keys of all steps
        self._bases = Bases(
            store, str(platform) if request.platforms else "", request.pull, report, self.witness
        )
        self._given = request.given

    def run(self) -> tuple[bytes, list[NewLayer]]:
        """The image's configuration and layers, all in the store."""
        context = load_context(self._request, self._space, self.witness)
        import_cache(self._store, self._cache, self._request.cache_from, self._report)
        try:
            dockerfile = parse_dockerfile(context.dockerfile)
            plan, bases = self._with_triggers(self._plan(dockerfile))
            warnings = self._check(context, dockerfile, plan)
            result = self._build_stages(context, dockerfile, plan, bases)
        except DockerfileError as error:
            raise _located(error, context) from error
        self._digests.save()
        for text in (*warnings, *self._unused(dockerfile)):
            self._report({"status": f"warning: {text}"})
        config, layers = self._export(result)
        return config, layers

    def _check(self, context: Context, dockerfile: Dockerfile, plan: BuildPlan) -> list[str]:
        """What the language advises against. Raises InvalidError where the file says that it must not be."""
        stages, _ = look_at_stages(self._store, self._request, dockerfile, plan, context.tree.ignore)
        found = [
            f"{item.rule}: {item.message} (line {item.line})" for item in check_dockerfile(dockerfile, stages)
        ]
        if found and failing(dockerfile, stages):
            raise InvalidError(
                f"{context.name}: check=error=true, and there are warnings: {'; '.join(found)}"
            )
        syntax = self._given.get("BUILDKIT_SYNTAX") or dict(dockerfile.directives).get("syntax", "")
        if syntax and not _DOCKERFILE_SYNTAX.match(syntax):
            found.append(f"syntax={syntax}: other languages than the Dockerfile's are not known")
        return found

    def _plan(self, dockerfile: Dockerfile) -> BuildPlan:
        host = host_platform(os.uname().machine)
        automatic = platform_arguments(host, self._platform, self._request.target)
        contexts = self._request.additional_contexts
        return plan_build(
            dockerfile,
            given=self._given,
            automatic=automatic,
            target=self._request.target,
            contexts=tuple(contexts),
        )

    def _with_triggers(self, plan: BuildPlan) -> tuple[BuildPlan, dict[int, StageResult | None]]:
        """The base of every stage that is needed. ONBUILD triggers in one may need further stages."""
        bases: dict[int, StageResult | None] = {}
        triggers: dict[int, list[Instruction]] = {}
        while missing := [number for number in plan.order if number not in bases]:
            for number in missing:
                stage = plan.stages[number]
                base = bases[number] = self._base(stage)
                if base is not None:
                    texts = base.config.get("OnBuild") or ()
                else:
                    own = plan.stages[stage.parent].instructions
                    texts = [trigger_text(item) for item in own if item.name == "ONBUILD"]
                triggers[number] = [item for text in texts for item in parse_dockerfile(text).instructions]
            plan = add_triggers(plan, triggers)
        return plan, bases

    def _build_stages(
        self,
        context: Context,
        dockerfile: Dockerfile,
        plan: BuildPlan,
        bases: Mapping[int, StageResult | None],
    ) -> StageResult:
        host = host_platform(os.uname().machine)
        around = Surroundings(
            store=self._store,
            cache=self._cache,
            digests=self._digests,
            request=self._request,
            plan=plan,
            escape=dockerfile.escape,
            given=self._given,
            automatic=platform_arguments(host, self._platform, self._request.target),
            sources=self._sources(context),
            witness=self.witness,
            space=self._space,
            epoch=_source_date_epoch(self._given),
        )
        results: dict[int, StageResult] = {}
        waiting = list(plan.order)
        while waiting:
            ready = [
                number for number in waiting if all(need in results for need in plan.stages[number].needs)
            ]
            waiting = [number for number in waiting if number not in ready]
            stages = [plan.stages[number] for number in ready]
            for stage, result in zip(stages, self._side_by_side(around, stages, bases, results), strict=True):
                results[stage.number] = result
                self.steps += [step.key for step in result.trail if step.key not in self.steps]
                around.sources.built(stage.number, result)
        return results[plan.target]

    def _side_by_side(
        self,
        around: Surroundings,
        stages: list[Stage],
        bases: Mapping[int, StageResult | None],
        results: Mapping[int, StageResult],
    ) -> list[StageResult]:
        def work(stage: Stage, tell: Report) -> dict[str, Any]:
            base = bases[stage.number] or results[stage.parent]
            syscalls.unshare(k.CLONE_NEWNS)
            with self._networks(self._store.paths) as network:
                builder = StageBuilder(around, stage, base, tell, network)
                result = builder.build()
            around.digests.save()
            return {"stage": result._asdict(), "seen": around.witness.to_json()}

        answers = run_parallel(stages, work, self._report, workers=max(2, os.cpu_count() or 1))
        for answer in answers:
            self.witness.add(answer["seen"])
        return [StageResult.from_json(answer["stage"]) for answer in answers]

    def _sources(self, context: Context) -> Sources:
        trees: dict[str, Tree] = {}
        for name, value in self._request.additional_contexts.items():
            if not value.startswith(_IMAGE_CONTEXTS):
                trees[name] = load_named(value, f"{self._space}/context-{len(trees)}", self.witness)
        return Sources(
            self._store.paths.layers,
            self._space,
            context.tree,
            trees,
            lambda name: self._bases.find(self._named(name)),
        )

    def _named(self, name: str) -> str:
        """An image, or the one that an additional context of this name stands for."""
        return self._request.additional_contexts.get(name, name)

    def _base(self, stage: Stage) -> StageResult | None:
        """What a stage starts from; None for another stage."""
        if stage.parent >= 0:
            return None
        if stage.base == SCRATCH:
            return StageResult("scratch", (), {})
        try:
            return self._bases.find(self._named(stage.base), stage.platform)
        except EngineError as error:
            raise DockerfileError(f"FROM {stage.base}: {error}", stage.line, hint=error.hint) from error

    def _unused(self, dockerfile: Dockerfile) -> list[str]:
        text = " ".join(item.text for item in dockerfile.instructions if item.name == "ARG")
        unused = [name for name in self._given if name not in text and name not in PROXIES
                  and name != "SOURCE_DATE_EPOCH" and not name.startswith("BUILDKIT_")]  # fmt: skip
        return [f"no ARG takes the build argument {', '.join(sorted(unused))}"] if unused else []

    def _export(self, result: StageResult) -> tuple[bytes, list[NewLayer]]:
        config = dict(result.config)
        if self._request.labels:
            config["Labels"] = {**(config.get("Labels") or {}), **self._request.labels}
        created = result.created or timestamp(_source_date_epoch(self._given))
        document = config_document(
            config, [layer.diff_id for layer in result.layers], result.history, created
        )
        if result.author:
            document["author"] = result.author
        if self._request.cache_to or self._given.get("BUILDKIT_INLINE_CACHE") == "1":
            document[CACHE_KEY] = [list(step) for step in result.trail]
        layers = [NewLayer(item.digest, item.size, item.diff_id, item.media_type) for item in result.layers]
        return encode_json(document), layers


def _located(error: DockerfileError, context: Context) -> EngineError:
    """With the Dockerfile's name, line and text."""
    if not error.line:
        return InvalidError(f"{context.name}: {error}", hint=error.hint)
    lines = context.dockerfile.splitlines()
    text = lines[error.line - 1].strip() if error.line <= len(lines) else ""
    return InvalidError(f"{context.name}:{error.line}: {error}\n  {error.line} | {text}", hint=error.hint)


def _source_date_epoch(given: Mapping[str, str]) -> int | None:
    text = given.get("SOURCE_DATE_EPOCH") or os.environ.get("SOURCE_DATE_EPOCH") or ""
    if not text:
        return None
    if not text.isdigit():
        raise InvalidError(f"SOURCE_DATE_EPOCH={text!r} is not a number of seconds")
    return int(text)
