"""What a load gives."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

from composer.load.origins import Marks
from composer.load.source import ServiceFile

if TYPE_CHECKING:
    from composer.model.project import Project


class Selected(NamedTuple):
    """What is known of a project besides its tree: the active services, its directory and files."""

    active: tuple[str, ...]
    working_dir: str
    config_files: tuple[str, ...]


class Sources(NamedTuple):
    """What a project was loaded from."""

    inputs: tuple[tuple[str, bool], ...]  # every file read or looked for, and whether it exists
    variables: tuple[str, ...]  # every environment variable consulted
    environment: Mapping[str, str]  # all variables that a reference could name
    texts: Mapping[str, str]  # the files' texts by path
    compose_files: tuple[str, ...]  # the Compose files among them: named, included, extended
    service_files: tuple[ServiceFile, ...]  # the active services' env and label files that exist


class LoadResult:
    """A loaded project.

    `tree` is what `config` prints, `canonical` the tree that `project` is bound from and `marks` where its values
    were written; `warnings` are complete lines.
    """

    def __init__(
        self,
        tree: Mapping[str, Any],
        canonical: Mapping[str, Any],
        marks: Marks,
        selected: Selected,
        sources: Sources,
        warnings: Sequence[str],
        *,
        all_resources: bool = False,
    ) -> None:
        self.tree = tree
        self.canonical = canonical
        self.marks = marks
        self.selected = selected
        self.sources = sources
        self.warnings = tuple(warnings)
        self.all_resources = all_resources  # what no active service uses is wanted too

    @cached_property
    def project(self) -> "Project":
        """The typed project. Made when it is asked for: `config` prints the tree without it."""
        from composer.load.bind import bind_project

        return bind_project(self.canonical, *self.selected)
