"""`container run`: one container of an image, without a Compose file."""

import os
import sys
from collections.abc import Mapping
from typing import Any, NamedTuple

from composer.cli.carry_out import carry_out, obtain_images
from composer.cli.context import Context
from composer.cli.exec import report_start
from composer.cli.run import discard, follow_attached
from composer.cli.up import check_plan, image_options
from composer.cli.words import (
    console_size,
    parse_entrypoint,
    parse_environment,
    parse_label,
    parse_publish,
    parse_volume,
)
from composer.errors import ComposeError, ExecutionError
from composer.plan.action import Kind, Plan, PlanBuilder
from composer.plan.desired import Desired, DesiredNetwork, DesiredService
from composer.plan.observed import ObservedState
from composer.values import parse_nano_cpus, parse_size_bytes
from runtime import Attachment, StartError

# The network of containers that name none; it is made when the first one wants it.
DEFAULT_NETWORK = "bridge"
_RESTARTS = ("no", "always", "unless-stopped", "on-failure")


class Arguments(NamedTuple):
    image: str = ""
    command: tuple[str, ...] = ()
    interactive: bool = False
    tty: bool = False
    rm: bool = False
    detach: bool = False
    name: str = ""
    env: tuple[str, ...] = ()
    env_file: tuple[str, ...] = ()
    volume: tuple[str, ...] = ()
    mount: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    network_alias: tuple[str, ...] = ()
    user: str = ""
    workdir: str = ""
    entrypoint: str | None = None
    memory: str = ""
    cpus: str = ""
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    privileged: bool = False
    read_only: bool = False
    init: bool = False
    hostname: str = ""
    label: tuple[str, ...] = ()
    restart: str = "no"
    pull: str = "missing"
    quiet: bool = False


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `container run`; the program's exit code, 0 if it goes on in the background."""
    if arguments.rm and arguments.restart != "no":
        raise ComposeError("--rm and --restart exclude each other")
    if arguments.tty and not arguments.detach and not sys.stdin.isatty():
        raise ComposeError("--tty: standard input is no terminal", hint="leave out -t, or add -d")
    name = arguments.name or f"{_short(arguments.image)}-{os.urandom(4).hex()}"
    service = DesiredService(
        name="", scale=1, image=arguments.image, spec=container_spec(arguments, name), config_hash="", level=0
    )
    networks = () if _network_mode(arguments) or arguments.network else (DesiredNetwork("", DEFAULT_NETWORK),)
    desired = Desired("", os.getcwd(), (), (service,), networks=networks)
    images = image_options(arguments.pull, build=False, no_build=True)
    if not context.options.dry_run:
        obtain_images(context, desired, (service,), images, quiet=arguments.quiet)
    attachment = None
    if not arguments.detach and not context.options.dry_run:
        attachment = Attachment(tty=arguments.tty, interactive=arguments.interactive)
    try:
        carry_out(
            context,
            desired,
            lambda wanted, observed: _plan(wanted, observed, name),
            check=lambda plan: check_plan(context, desired, plan),
            attachments={} if attachment is None else {name: attachment},
            quiet=True,
        )
    except (ExecutionError, StartError) as error:
        if arguments.rm:
            discard(context, desired, name)
        return report_start(context, error)
    container = context.engine.containers.find(name)
    if container is None or context.options.dry_run:
        return 0
    if attachment is None:
        context.out.line(container.id)
        return 0
    return follow_attached(
        context, desired, container, attachment, interactive=arguments.interactive, auto_remove=arguments.rm
    )


def _plan(desired: Desired, observed: ObservedState, name: str) -> Plan:
    builder = PlanBuilder(desired.project)
    (service,) = desired.services
    needs = [
        builder.add(Kind.CREATE_NETWORK, network.name, "new")
        for network in desired.networks
        if network.name not in observed.networks
    ]
    made = builder.add(Kind.CREATE, name, "new", needs=tuple(needs), spec=service.spec)
    builder.add(Kind.START, name, "new", needs=(made,))
    return builder.plan()


def _short(image: str) -> str:
    """The part of an image's name that a container can be named after."""
    last = image.rstrip("/").rpartition("/")[2].partition("@")[0].partition(":")[0]
    return last if last.replace("-", "").replace("_", "").replace(".", "").isalnum() else "container"


def container_spec(arguments: Arguments, name: str) -> dict[str, Any]:
    """The options as a ContainerSpec in JSON form. Raises ComposeError."""
    tty = arguments.tty
    mode = _network_mode(arguments)
    networks = () if mode else arguments.network or (DEFAULT_NETWORK,)
    spec: dict[str, Any] = {
        "name": name,
        "image": arguments.image,
        "labels": dict(parse_label(word) for word in arguments.label),
        "environment": list(parse_environment(arguments.env, arguments.env_file).items()),
        "working_dir": arguments.workdir,
        "user": arguments.user,
        "hostname": arguments.hostname,
        "tty": tty,
        "console_size": console_size() if tty else (),
        "stdin_open": arguments.interactive,
        "init": arguments.init,
        "read_only": arguments.read_only,
        "privileged": arguments.privileged,
        "cap_add": arguments.cap_add,
        "cap_drop": arguments.cap_drop,
        "resources": _resources(arguments),
        "mounts": [*map(parse_volume, arguments.volume), *map(parse_mount_option, arguments.mount)],
        "network_mode": mode,
        "networks": [{"network": item, "aliases": arguments.network_alias} for item in networks],
        "ports": [port for word in arguments.publish for port in parse_publish(word)],
        "restart": _restart(arguments.restart),
        "auto_remove": arguments.rm,
    }
    if arguments.entrypoint is not None:
        spec["entrypoint"], spec["command"] = parse_entrypoint(arguments.entrypoint), ()
    if arguments.command:
        spec["command"] = arguments.command
    return spec


def _network_mode(arguments: Arguments) -> str:
    """--network host, none or container:NAME; "" for networks. Raises ComposeError."""
    modes = [item for item in arguments.network if item in ("host", "none") or item.startswith("container:")]
    if modes and len(arguments.network) > 1:
        raise ComposeError(f"--network {modes[0]} excludes other networks")
    if modes and arguments.network_alias:
        raise ComposeError(
            f"--network-alias is for networks, not for --network {modes[0]}", hint="leave out one of them"
        )
    return modes[0] if modes else ""


def _resources(arguments: Arguments) -> dict[str, int]:
    try:
        return {
            **({"memory_bytes": parse_size_bytes(arguments.memory)} if arguments.memory else {}),
            **({"nano_cpus": parse_nano_cpus(arguments.cpus)} if arguments.cpus else {}),
        }
    except ValueError as error:
        raise ComposeError(f"--memory, --cpus: {error}") from None


def _restart(text: str) -> dict[str, Any]:
    name, colon, number = text.partition(":")
    if name not in _RESTARTS or (colon and (name != "on-failure" or not number.isdigit())):
        raise ComposeError(
            f"--restart {text!r} is not a policy", hint="no, always, unless-stopped, on-failure[:NUMBER]"
        )
    return {"name": name, "max_retries": int(number or 0)}


_MOUNT_KEYS = {"src": "source", "dst": "target", "destination": "target", "ro": "readonly"}
_MOUNT_FLAGS = ("readonly", "volume-nocopy")
# What Go's strconv.ParseBool takes, and nothing else: the reference's words.
_TRUTHS = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}


def parse_mount_option(text: str) -> dict[str, Any]:
    """--mount type=bind,source=PATH,target=PATH[,readonly], as a MountRequest. Raises ComposeError."""
    values: dict[str, str] = {"type": "volume"}
    for word in text.split(","):
        name, separator, value = word.partition("=")
        key = _MOUNT_KEYS.get(name, name)
        if not separator and key not in _MOUNT_FLAGS:
            raise ComposeError(f"--mount {text!r}: {name!r} has no value", hint=f"write {name}=VALUE")
        values[key] = value if separator else "true"
    taken = {key: values.pop(key, "") for key in ("type", "source", "target")}
    kind, target = taken["type"], taken["target"]
    if kind not in ("bind", "volume", "tmpfs") or not target:
        raise ComposeError(f"--mount {text!r}: needs type=bind, volume or tmpfs, and a target")
    request: dict[str, Any] = {"type": kind, "target": target, "read_only": _flag(values, "readonly")}
    if kind == "bind" and not taken["source"]:
        raise ComposeError(f"--mount {text!r}: a bind needs a source", hint="add source=PATH")
    if kind == "tmpfs" and taken["source"]:
        raise ComposeError(f"--mount {text!r}: a tmpfs has no source", hint="leave it out")
    if kind == "bind":
        request["source"] = os.path.abspath(os.path.expanduser(taken["source"]))
        request["propagation"] = values.pop("bind-propagation", "")
    elif kind == "volume":
        request["source"] = taken["source"]
        request["nocopy"] = _flag(values, "volume-nocopy")
        request["subpath"] = values.pop("volume-subpath", "")
    else:
        request.update(_tmpfs(values))
    if values:
        raise ComposeError(f"--mount {text!r}: {next(iter(values))!r} is not known for {kind}")
    return request


def _flag(values: dict[str, str], key: str) -> bool:
    word = values.pop(key, "false")
    if word not in _TRUTHS:
        raise ComposeError(f"--mount: {key}={word} is neither true nor false", hint="write true or false")
    return _TRUTHS[word]


def _tmpfs(values: dict[str, str]) -> Mapping[str, Any]:
    found: dict[str, Any] = {}
    try:
        if "tmpfs-size" in values:
            found["size_bytes"] = parse_size_bytes(values.pop("tmpfs-size"))
        if "tmpfs-mode" in values:
            found["mode"] = int(values.pop("tmpfs-mode"), 8)
    except ValueError as error:
        raise ComposeError(f"--mount: {error}") from None
    return found
