"""The options `--format` that several commands have in common."""

from typing import Annotated

import typer

Format = Annotated[
    str,
    typer.Option("--format", help="table, json (one object per line), or a Go template: 'table {{.Name}}'."),
]
InspectFormat = Annotated[
    str, typer.Option("--format", "-f", help="json (in one line), or a Go template: '{{.Name}}'.")
]
