"""`inspect`: all that is known of containers, images, networks and volumes, by Docker's field names."""

from collections.abc import Callable
from typing import Any, NamedTuple

from composer.cli.context import Context
from composer.cli.network import describe_network
from composer.errors import ComposeError
from composer.output.errors import print_error
from composer.output.formats import format_objects
from composer.output.inspect import Surroundings, describe_container, describe_volume
from runtime import Container, InvalidError, NotFoundError


class Arguments(NamedTuple):
    names: tuple[str, ...] = ()
    type: str = ""
    format: str = ""


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `inspect`; 1 if one of the names means nothing."""
    kinds = _KINDS
    if arguments.type:
        if arguments.type not in _KINDS:
            raise ComposeError(f"--type {arguments.type!r} is not one of {', '.join(_KINDS)}")
        kinds = {arguments.type: _KINDS[arguments.type]}
    found, code = [], 0
    for name in arguments.names:
        document = next(filter(None, (describe(context, name) for describe in kinds.values())), None)
        if document is None:
            print_error(context.err, ComposeError(f"no such {arguments.type or 'object'}: {name}"))
            code = 1
        else:
            found.append(document)
    for line in format_objects(arguments.format, found):
        context.out.line(line)
    return code


def container_document(context: Context, container: Container) -> dict[str, Any]:
    """A container with its surroundings."""
    containers, volumes = context.engine.containers, context.engine.volumes
    return describe_container(
        container,
        Surroundings(
            endpoints=containers.endpoints(container),
            volumes={
                target: (name, volumes.folder(name))
                for target, name in containers.mounted_volumes(container.id).items()
            },
            image=containers.inherited(container.id),
            log_path=containers.log_path(container.id),
            stop_signal=containers.stop_signal(container),
            probes=containers.probe_results(container.id),
        ),
    )


def _container(context: Context, name: str) -> dict[str, Any] | None:
    found = context.engine.containers.find(name)
    return None if found is None else container_document(context, found)


def _image(context: Context, name: str) -> dict[str, Any] | None:
    try:
        return context.engine.images.inspect(name)
    except (NotFoundError, InvalidError):
        return None


def _network(context: Context, name: str) -> dict[str, Any] | None:
    found = context.engine.networks.find(name)
    return None if found is None else describe_network(context, found)


def _volume(context: Context, name: str) -> dict[str, Any] | None:
    found = [volume for volume in context.engine.volumes.list() if volume.name == name]
    return describe_volume(found[0], context.engine.volumes.options(name)) if found else None


_KINDS: dict[str, Callable[[Context, str], dict[str, Any] | None]] = {
    "container": _container,
    "image": _image,
    "network": _network,
    "volume": _volume,
}
