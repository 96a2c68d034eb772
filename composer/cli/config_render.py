"""What `config` prints where nothing is cached: loads the project and makes the text that was asked for."""

import gc
from collections.abc import Mapping
from typing import Any

from composer.cli.config import Arguments, Rendered
from composer.errors import SelectionError
from composer.load.options import LoadOptions
from composer.load.pipeline import load_project
from composer.load.result import LoadResult
from composer.output.config_text import render_config, render_plain_json


def render(options: LoadOptions, arguments: Arguments, separator: str) -> Rendered:
    """`separator` stands between the parts of an image's name. Raises LoadError, SelectionError."""
    # Trees have no cycles: looking for them again and again would double the time of a large project.
    gc.disable()
    result = load_project(options)
    return Rendered(
        text=_text(result, arguments, separator),
        warnings=result.warnings,
        inputs=tuple(path for path, _ in result.sources.inputs),
        variables=result.sources.variables,
    )


def _text(result: LoadResult, arguments: Arguments, separator: str) -> str:
    if arguments.quiet:
        return ""
    if arguments.list_hashes:
        return _lines(_hashes(result, arguments.list_hashes))
    if arguments.list_environment:
        return _lines(f"{name}={value}" for name, value in sorted(result.sources.environment.items()))
    if arguments.list_variables:
        from composer.output.variables import render_variables

        return render_variables(result.canonical, as_json=arguments.format == "json")
    if arguments.explain:
        from composer.output.origins import explain

        return explain(result, arguments.explain)
    names = _names(arguments, result, separator)
    if names is not None:
        return _lines(names)
    tree = _pinned(result.tree, arguments)
    if arguments.no_interpolate and arguments.format == "json":
        return render_plain_json(tree)
    text = render_config(tree, format=arguments.format or "yaml")
    if arguments.origins:
        from composer.output.origins import annotate

        return annotate(text, result.marks)
    return text


def _pinned(tree: Mapping[str, Any], arguments: Arguments) -> Mapping[str, Any]:
    """With digests for the tags of images where that is asked for. Raises EngineError."""
    if not (arguments.resolve_image_digests or arguments.lock_image_digests):
        return tree
    from runtime import pin_image

    images = {name: service["image"] for name, service in tree["services"].items() if service.get("image")}
    pins = {image: pin_image(image) for image in dict.fromkeys(images.values())}
    if arguments.lock_image_digests:
        return {"services": {name: {"image": pins[image]} for name, image in images.items()}}
    services = {
        name: {**service, "image": pins[images[name]]} if name in images else service
        for name, service in tree["services"].items()
    }
    return {**tree, "services": services}


def _lines(lines: Any) -> str:
    return "".join(f"{line}\n" for line in lines)


def _names(arguments: Arguments, result: LoadResult, separator: str) -> list[str] | None:
    """What --services, --volumes, … print; None if the whole model is wanted."""
    tree: Mapping[str, Any] = result.tree
    services = tree.get("services") or {}
    if arguments.list_services:
        return sorted(services)
    if arguments.list_volumes:
        return sorted(tree.get("volumes") or {})
    if arguments.list_networks:
        return sorted(tree.get("networks") or {})
    if arguments.list_models:
        models = result.canonical.get("models") or {}
        used = sorted({key for service in services.values() for key in service.get("models") or ()})
        return [models[key]["model"] for key in used if key in models]
    if arguments.list_images:
        return [
            service.get("image") or f"{tree.get('name', '')}{separator}{name}"
            for name, service in sorted(services.items())
        ]
    if arguments.list_profiles:
        every = result.canonical["services"]
        return sorted({profile for service in every.values() for profile in service.get("profiles") or ()})
    return None


def _hashes(result: LoadResult, wanted: str) -> list[str]:
    """`SERVICE HASH` of the services named (`*` = all): the hash that decides whether `up` recreates containers."""
    from composer.translate import translate_project

    services = {service.name: service for service in translate_project(result).services}
    names = list(services) if wanted == "*" else wanted.split(",")
    for name in names:
        if name not in services:
            raise SelectionError(f"no such service: {name}", hint="services: " + ", ".join(sorted(services)))
    return [f"{name} {services[name].config_hash}" for name in sorted(set(names))]
