"""`config`: print the project in its canonical form, or a part of what is known of it. Needs neither root nor engine.

What was printed is kept beside what it was made of, so that the next `config` of an unchanged project loads nothing.
"""

import sys
from typing import NamedTuple

from composer.cli import load_cache
from composer.cli.context import Context
from composer.errors import ComposeError
from composer.load.options import LoadOptions
from composer.output.errors import print_warning


class Arguments(NamedTuple):
    services: tuple[str, ...] = ()
    format: str = ""
    quiet: bool = False
    list_services: bool = False
    list_volumes: bool = False
    list_networks: bool = False
    list_images: bool = False
    list_profiles: bool = False
    list_models: bool = False
    list_hashes: str = ""
    list_environment: bool = False
    list_variables: bool = False
    explain: str = ""
    origins: bool = False
    no_interpolate: bool = False
    no_normalize: bool = False
    no_path_resolution: bool = False
    no_env_resolution: bool = False
    no_consistency: bool = False
    resolve_image_digests: bool = False
    lock_image_digests: bool = False
    output: str = ""


class Rendered(NamedTuple):
    """What a load gave for one command line."""

    text: str
    warnings: tuple[str, ...]
    inputs: tuple[str, ...]
    variables: tuple[str, ...]


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `config`; the exit code."""
    _check(arguments)
    options = _load_options(context, arguments)
    text, warnings = _text(context, options, arguments)
    for warning in warnings:
        print_warning(context.err, warning)
    if arguments.quiet:
        return 0
    if arguments.output and context.only_tells(f"write {arguments.output}"):
        return 0
    if arguments.output:
        with open(arguments.output, "w", encoding="utf-8") as stream:
            stream.write(text)
    else:
        sys.stdout.write(text)
    return 0


def _check(arguments: Arguments) -> None:
    if arguments.format not in ("", "yaml", "json"):
        raise ComposeError(f"--format {arguments.format!r} is not one of yaml, json")
    if arguments.origins and arguments.format == "json":
        raise ComposeError("JSON has no comments", hint="use --origins with YAML")


def _load_options(context: Context, arguments: Arguments) -> LoadOptions:
    # Lists of names are about the whole project, as in the reference.
    whole = (
        arguments.list_services
        or arguments.list_volumes
        or arguments.list_networks
        or arguments.list_models
        or bool(arguments.list_hashes)
    )
    return context.load_options(() if whole else arguments.services)._replace(
        interpolate=not arguments.no_interpolate and not arguments.list_variables,
        # In its compatibility mode the reference prints the model as it is before this step.
        normalize=not arguments.no_normalize and not context.compatibility,
        resolve_paths=not arguments.no_path_resolution,
        resolve_env=not arguments.no_env_resolution,
        consistency=not arguments.no_consistency,
    )


def _text(context: Context, options: LoadOptions, arguments: Arguments) -> tuple[str, tuple[str, ...]]:
    # What is printed may depend on more than files and variables: on the whole environment, or on registries.
    pinned = arguments.resolve_image_digests or arguments.lock_image_digests
    folder = "" if arguments.list_environment or pinned else context.cache_folder
    separator = "_" if context.compatibility else "-"
    path = load_cache.entry(folder, "config", options, separator, *arguments._replace(output=""))
    known = load_cache.look_up(path, options)
    if known is not None and isinstance(known.get("text"), str) and isinstance(known.get("warnings"), list):
        return known["text"], tuple(known["warnings"])
    started_ns = load_cache.now_ns()
    from composer.cli.config_render import render

    made = render(options, arguments, separator)
    content = {"text": made.text, "warnings": made.warnings}
    load_cache.keep(path, options, started_ns, made.inputs, made.variables, content)
    return made.text, made.warnings
