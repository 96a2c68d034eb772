"""What a rule of `build --check` is: a function of a Dockerfile that yields what it found. Pure."""

from collections.abc import Callable, Iterator

from runtime.build.dockerfile import Dockerfile, Instruction

Found = Iterator[tuple[Instruction, str]]
Rule = Callable[[Dockerfile], Found]
