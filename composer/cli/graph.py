"""`graph`: the dependencies between services, as a tree, a picture or data. Needs neither root nor engine."""

import sys
from typing import NamedTuple

from composer.cli.context import Context
from composer.errors import ComposeError
from composer.output.errors import print_warning

FORMATS = ("tree", "dot", "mermaid", "svg", "json")


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    format: str = "tree"
    output: str = ""


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `graph`; the exit code."""
    if arguments.format not in FORMATS:
        raise ComposeError(f"--format {arguments.format!r} is not one of {', '.join(FORMATS)}")
    text = _render(context, arguments)
    if arguments.output and context.only_tells(f"write {arguments.output}"):
        return 0
    if arguments.output:
        with open(arguments.output, "w", encoding="utf-8") as stream:
            stream.write(text)
    else:
        sys.stdout.write(text)
    return 0


def _render(context: Context, arguments: Arguments) -> str:
    from dataclasses import replace

    from composer.load.pipeline import load_project
    from composer.load.select import with_dependencies
    from composer.output import graph_text
    from composer.topology import analyse

    result = load_project(context.load_options(arguments.services))
    for warning in result.warnings:
        print_warning(context.err, warning)
    project = result.project
    if arguments.services:
        names = with_dependencies(result.canonical["services"], arguments.services)
        chosen = {name: project.services[name] for name in names if name in project.services}
        project = replace(project, services=chosen)
    topology = analyse(project)
    if arguments.format == "svg":
        from composer.output.graph_svg import render_svg

        return render_svg(topology)
    if arguments.format == "tree":
        return graph_text.render_tree(topology, context.out)
    formats = {
        "dot": graph_text.render_dot,
        "mermaid": graph_text.render_mermaid,
        "json": graph_text.render_json,
    }
    return formats[arguments.format](topology)
