"""`config`: print the project in its canonical form. Needs neither root nor an engine."""

import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from composer.cli.context import Context
from composer.errors import ComposeError
from composer.output.errors import print_warning


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    format: str = "yaml"
    quiet: bool = False
    list_services: bool = False
    list_volumes: bool = False
    list_networks: bool = False
    list_images: bool = False
    list_profiles: bool = False
    no_interpolate: bool = False
    no_normalize: bool = False
    no_path_resolution: bool = False
    no_env_resolution: bool = False
    no_consistency: bool = False
    output: str = ""


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `config`; the exit code."""
    if arguments.format not in ("yaml", "json"):
        raise ComposeError(f"--format {arguments.format!r} is not one of yaml, json")
    from composer.load.pipeline import load_project
    from composer.output.config_text import render_config

    options = context.load_options(arguments.services)._replace(
        interpolate=not arguments.no_interpolate,
        normalize=not arguments.no_normalize,
        resolve_paths=not arguments.no_path_resolution,
        resolve_env=not arguments.no_env_resolution,
        consistency=not arguments.no_consistency,
    )
    result = load_project(options)
    for warning in result.warnings:
        print_warning(context.err, warning)
    if arguments.quiet:
        return 0
    listed = _listed(arguments, result.tree)
    text = (
        "".join(f"{line}\n" for line in listed)
        if listed is not None
        else render_config(result.tree, format=arguments.format)
    )
    if arguments.output:
        with open(arguments.output, "w", encoding="utf-8") as stream:
            stream.write(text)
    else:
        sys.stdout.write(text if text.endswith("\n") or not text else f"{text}\n")
    return 0


def _listed(arguments: Arguments, tree: Mapping[str, Any]) -> list[str] | None:
    """What --services, --volumes, … print; None if the whole model is wanted."""
    services = tree.get("services") or {}
    if arguments.list_services:
        return sorted(services)
    if arguments.list_volumes:
        return sorted(tree.get("volumes") or {})
    if arguments.list_networks:
        return sorted(tree.get("networks") or {})
    if arguments.list_images:
        return [
            service.get("image") or f"{tree.get('name', '')}-{name}"
            for name, service in sorted(services.items())
        ]
    if arguments.list_profiles:
        return sorted({profile for service in services.values() for profile in service.get("profiles") or ()})
    return None
