"""What a load gives."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from composer.load.origins import Marks

if TYPE_CHECKING:
    from composer.model.project import Project


class Selected(NamedTuple):
    """What is known of a project besides its tree: the active services, its directory and files."""

    active: tuple[str, ...]
    working_dir: str
    config_files: tuple[str, ...]


class LoadResult:
    """A loaded project.

    `tree` is what `config` prints, `canonical` the tree that `project` is bound from and `marks` where its values
    were written. Every file read or looked for is in `inputs` as (path, exists), every environment variable
    consulted in `variables`; `warnings` are complete lines.
    """

    def __init__(
        self,
        tree: Mapping[str, Any],
        canonical: Mapping[str, Any],
        marks: Marks,
        selected: Selected,
        *,
        warnings: Sequence[str],
        inputs: Sequence[tuple[str, bool]],
        variables: Sequence[str],
    ) -> None:
        self.tree = tree
        self.canonical = canonical
        self.marks = marks
        self.selected = selected
        self.warnings = tuple(warnings)
        self.inputs = tuple(inputs)
        self.variables = tuple(variables)

    @cached_property
    def project(self) -> "Project":
        """The typed project. Made when it is asked for: `config` prints the tree without it."""
        from composer.load.bind import bind_project

        return bind_project(self.canonical, *self.selected)
