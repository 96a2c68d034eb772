"""A Dockerfile's stages: what each is based on and takes from others, and which of them a target needs. Pure."""

import re
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from runtime.build.dockerfile import Dockerfile, DockerfileError, Instruction, split_words
from runtime.build.expand import expand
from runtime.image.platform import Platform

SCRATCH = "scratch"
_STAGE_NAME = re.compile(r"[a-z][a-z0-9-_.]*\Z")


class Stage(NamedTuple):
    """One stage. `base` is an image, a named context or scratch, "" where `parent` is a stage's index."""

    number: int
    name: str
    base: str
    parent: int
    platform: str
    line: int
    instructions: tuple[Instruction, ...]
    needs: tuple[int, ...] = ()  # stages that must be built before

    @property
    def title(self) -> str:
        return self.name or f"stage-{self.number}"


class BuildPlan(NamedTuple):
    """Stages by index, the one that becomes the image, and all that it needs, in an order that can be built."""

    stages: tuple[Stage, ...]
    target: int
    order: tuple[int, ...]
    arguments: Mapping[str, str]  # what ARG before the first FROM declared


def platform_arguments(build: Platform, target: Platform, stage: str) -> dict[str, str]:
    """The arguments that BuildKit predefines (docs: automatic platform ARGs)."""
    found = {"TARGETSTAGE": stage or "default"}
    for prefix, platform in (("BUILD", build), ("TARGET", target)):
        found |= {
            f"{prefix}PLATFORM": str(platform),
            f"{prefix}OS": platform.os,
            f"{prefix}ARCH": platform.architecture,
            f"{prefix}VARIANT": platform.variant,
        }
    return found


def declare_argument(
    word: str,
    variables: Mapping[str, str],
    *,
    given: Mapping[str, str],
    known: Mapping[str, str],
    escape: str,
    line: int,
) -> tuple[str, str | None]:
    """The name and, if it has one, the value of `ARG NAME[=DEFAULT]` in a stage. Raises DockerfileError.

    `given` are --build-arg values; `known` those of arguments before the first FROM and automatic ones.
    """
    name, separator, default = word.partition("=")
    name = expand(name, variables, escape, line)
    if name in given:
        return name, given[name]
    if separator:
        return name, expand(default, variables, escape, line)
    return name, known.get(name)


def plan_build(
    dockerfile: Dockerfile,
    *,
    given: Mapping[str, str],
    automatic: Mapping[str, str],
    target: str = "",
    contexts: Collection[str] = (),
) -> BuildPlan:
    """Raises DockerfileError. `given` are --build-arg values, `contexts` names of additional contexts."""
    arguments: dict[str, str] = {}
    stages: list[Stage] = []
    body: list[Instruction] = []
    for instruction in dockerfile.instructions:
        if instruction.name == "FROM":
            if stages:
                stages[-1] = stages[-1]._replace(instructions=tuple(body))
            body = []
            stages.append(
                _parse_from(instruction, dockerfile.escape, {**automatic, **arguments}, stages, contexts)
            )
        elif stages:
            body.append(instruction)
        elif instruction.name == "ARG":
            _declare(instruction, dockerfile.escape, arguments, given, automatic)
        else:
            raise DockerfileError(f"{instruction.name} comes before the first FROM", instruction.line)
    if not stages:
        raise DockerfileError("there is no FROM", 1)
    stages[-1] = stages[-1]._replace(instructions=tuple(body))
    planned = tuple(stage._replace(needs=_needs(stage, stages)) for stage in stages)
    chosen = _find_target(planned, target)
    return BuildPlan(planned, chosen, _closure(planned, chosen), arguments)


def _declare(
    instruction: Instruction,
    escape: str,
    arguments: dict[str, str],
    given: Mapping[str, str],
    automatic: Mapping[str, str],
) -> None:
    for word in split_words(instruction.text, escape):
        name, separator, default = word.partition("=")
        if name in given:
            arguments[name] = given[name]
        elif separator:
            arguments[name] = expand(default, {**automatic, **arguments}, escape, instruction.line)
        elif name in automatic:
            arguments[name] = automatic[name]


def _parse_from(
    instruction: Instruction,
    escape: str,
    variables: Mapping[str, str],
    stages: Sequence[Stage],
    contexts: Collection[str],
) -> Stage:
    line = instruction.line
    platform = ""
    for name, value in instruction.flags:
        if name != "platform":
            raise DockerfileError(f"FROM knows no --{name}", line)
        platform = expand(value, variables, escape, line)
    words = [expand(word, variables, escape, line) for word in split_words(instruction.text, escape)]
    if len(words) not in (1, 3) or (len(words) == 3 and words[1].upper() != "AS"):
        raise DockerfileError(f"FROM {instruction.text}: write it as FROM IMAGE [AS NAME]", line)
    base, name = words[0], words[2].lower() if len(words) == 3 else ""
    if not base:
        raise DockerfileError(
            f"FROM {instruction.text}: the image's name is empty", line, hint="give the ARG in it a value"
        )
    if name and not _STAGE_NAME.match(name):
        raise DockerfileError(f"{words[2]!r} is not a name for a stage", line)
    if name and any(stage.name == name for stage in stages):
        raise DockerfileError(f"there are two stages {name}", line)
    parent = -1 if base in contexts else find_stage(base, stages)
    return Stage(len(stages), name, "" if parent >= 0 else base, parent, platform, line, ())


def find_stage(name: str, stages: Sequence[Stage], *, by_number: bool = False) -> int:
    """The index of an earlier stage by name (or number, in COPY --from), -1 if there is none."""
    for stage in reversed(stages):
        if stage.name and stage.name == name.lower():
            return stage.number
    if by_number and name.isdigit() and int(name) < len(stages):
        return int(name)
    return -1


def sources_of(instruction: Instruction) -> list[str]:
    """What an instruction takes files from, besides the context: --from of COPY, from= of mounts."""
    if instruction.name == "ONBUILD":
        return []
    found = []
    for name, value in instruction.flags:
        if name == "from" and instruction.name in ("COPY", "ADD"):
            found.append(value)
        elif name == "mount" and instruction.name == "RUN":
            options = dict(item.partition("=")[::2] for item in value.split(","))
            if options.get("from"):
                found.append(options["from"])
    return found


def _needs(stage: Stage, stages: Sequence[Stage]) -> tuple[int, ...]:
    earlier = stages[: stage.number]
    found = [stage.parent] if stage.parent >= 0 else []
    return tuple(dict.fromkeys([*found, *_taken_from(stage.instructions, earlier)]))


def _taken_from(instructions: Sequence[Instruction], earlier: Sequence[Stage]) -> list[int]:
    return [
        index
        for instruction in instructions
        for source in sources_of(instruction)
        if (index := find_stage(source, earlier, by_number=True)) >= 0
    ]


def add_triggers(plan: BuildPlan, triggers: Mapping[int, Sequence[Instruction]]) -> BuildPlan:
    """The plan with what ONBUILD triggers take files from; they are by the stage that runs them."""
    stages = tuple(
        stage._replace(needs=tuple(dict.fromkeys([*stage.needs, *_taken_from(found, plan.stages[:number])])))
        for number, stage in enumerate(plan.stages)
        for found in (triggers.get(number, ()),)
    )
    return plan._replace(stages=stages, order=_closure(stages, plan.target))


def _find_target(stages: Sequence[Stage], target: str) -> int:
    if not target:
        return len(stages) - 1
    found = find_stage(target, stages, by_number=True)
    if found < 0:
        named = ", ".join(stage.name for stage in stages if stage.name)
        raise DockerfileError(f"there is no stage {target}", hint=f"there are: {named}" if named else "")
    return found


def _closure(stages: Sequence[Stage], target: int) -> tuple[int, ...]:
    needed, waiting = set(), [target]
    while waiting:
        index = waiting.pop()
        if index not in needed:
            needed.add(index)
            waiting += stages[index].needs
    return tuple(sorted(needed))
