"""What a load gives."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from composer.load.origins import Marks
from composer.model.project import Project


class LoadResult(NamedTuple):
    """A loaded project.

    `tree` is what `config` prints, `canonical` the tree that `project` was bound from and `marks` where its values
    were written. Every file read or looked for is in `inputs`, every environment variable consulted in `variables`.
    """

    project: Project
    tree: Mapping[str, Any]
    warnings: tuple[str, ...]  # complete lines
    inputs: tuple[tuple[str, bool], ...]  # (path, exists)
    variables: tuple[str, ...]
    canonical: Mapping[str, Any]
    marks: Marks
