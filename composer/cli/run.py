"""`run`: one command in a container of its own, made like those of a service."""

import os
import shlex
import sys
from collections.abc import Iterable
from typing import Any, NamedTuple

from composer.cli.carry_out import carry_out, obtain_images
from composer.cli.context import Context
from composer.cli.exec import report_start
from composer.cli.up import check_plan, image_options
from composer.errors import ComposeError, ExecutionError
from composer.plan.action import Kind, Plan, PlanBuilder
from composer.plan.desired import Desired
from composer.plan.observed import ObservedState
from composer.plan.run import RunOptions, one_off, plan_run
from composer.plan.selection import select_services
from runtime import Attachment, Container, EngineError, Session, StartError, parse_signal

_SLUG_BYTES = 32
_SHORT_SLUG = 12


class Arguments(NamedTuple):
    service: str = ""
    command: tuple[str, ...] = ()
    detach: bool = False
    rm: bool = False
    name: str = ""
    env: tuple[str, ...] = ()
    env_from_file: tuple[str, ...] = ()
    label: tuple[str, ...] = ()
    entrypoint: str | None = None
    user: str = ""
    workdir: str = ""
    volume: tuple[str, ...] = ()
    publish: tuple[str, ...] = ()
    service_ports: bool = False
    use_aliases: bool = False
    cap_add: tuple[str, ...] = ()
    cap_drop: tuple[str, ...] = ()
    no_tty: bool = False
    interactive: bool = True
    no_deps: bool = False
    build: bool = False
    pull: str = ""
    quiet: bool = False
    quiet_build: bool = False
    quiet_pull: bool = False
    remove_orphans: bool = False
    dry_run: bool = False


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `run`; the exit code of the command, 0 if it goes on in the background."""
    if arguments.service_ports and arguments.publish:
        raise ComposeError("--service-ports and --publish exclude each other")
    loaded = context.desired((arguments.service,))
    options = _options(context, loaded, arguments)
    desired = one_off(loaded, options)
    if not context.options.dry_run:
        services = select_services(desired, (arguments.service,), no_deps=arguments.no_deps)
        quiet = arguments.quiet or arguments.quiet_pull or arguments.quiet_build
        obtain_images(context, desired, services, options.images, quiet=quiet)
        options = options._replace(images=options.images._replace(ready=True))
    attachment = None
    if not arguments.detach and not context.options.dry_run:
        attachment = Attachment(tty=options.tty, interactive=options.interactive)
    try:
        carry_out(
            context,
            desired,
            lambda wanted, observed: plan_run(wanted, observed, options),
            check=lambda plan: check_plan(context, plan),
            attachments={} if attachment is None else {options.name: attachment},
            quiet=arguments.quiet,
        )
    except (ExecutionError, StartError) as error:
        _discard(context, desired, options)
        return report_start(context, error)
    if context.options.dry_run:
        return 0
    container = context.engine.containers.find(options.name)
    if container is None:
        return 0  # another command has removed it already
    if attachment is None:
        context.out.line(container.id)
        return 0
    return _follow(context, desired, options, container, attachment)


def _follow(
    context: Context, desired: Desired, options: RunOptions, container: Container, attachment: Attachment
) -> int:
    containers = context.engine.containers

    def kill() -> None:
        try:
            containers.signal(container, parse_signal("SIGKILL"))
        except EngineError:
            pass  # it has just ended

    code = Session(
        containers, container, attachment, interactive=options.interactive, on_impatience=kill
    ).run()
    if code is None:
        return 0
    if options.auto_remove:
        _discard(context, desired, options)
    return code


def _discard(context: Context, desired: Desired, options: RunOptions) -> None:
    """Remove the container with its anonymous volumes, if it is not to stay and is still there."""
    if not options.auto_remove or context.engine.containers.find(options.name) is None:
        return

    def plan(wanted: Desired, observed: ObservedState) -> Plan:
        builder = PlanBuilder(wanted.project)
        for container in observed.containers:
            if container.name == options.name and not container.live:
                builder.add(
                    Kind.REMOVE,
                    container.name,
                    "--rm",
                    service=container.service,
                    container_id=container.id,
                    anonymous_volumes=True,
                )
        return builder.plan()

    carry_out(context, desired, plan, quiet=True)


# ---- the command line


def _options(context: Context, desired: Desired, arguments: Arguments) -> RunOptions:
    slug = os.urandom(_SLUG_BYTES).hex()
    tty = not arguments.no_tty and sys.stdin.isatty() and sys.stdout.isatty()
    parts = (desired.project, arguments.service, "run", slug[:_SHORT_SLUG])
    return RunOptions(
        service=arguments.service,
        name=arguments.name or desired.separator.join(parts),
        slug=slug,
        command=arguments.command,
        entrypoint=None if arguments.entrypoint is None else _words(arguments.entrypoint),
        environment=tuple(_environment(context, desired, arguments).items()),
        user=arguments.user,
        working_dir=arguments.workdir,
        cap_add=arguments.cap_add,
        cap_drop=arguments.cap_drop,
        labels=dict(_label(word) for word in arguments.label),
        mounts=tuple(_mount(desired, word) for word in arguments.volume),
        ports=tuple(port for word in arguments.publish for port in _ports(word)),
        service_ports=arguments.service_ports,
        use_aliases=arguments.use_aliases,
        tty=tty,
        console_size=_console_size() if tty else (),
        interactive=arguments.interactive,
        auto_remove=arguments.rm,
        no_deps=arguments.no_deps,
        remove_orphans=arguments.remove_orphans,
        images=image_options(arguments.pull, build=arguments.build, no_build=False),
    )


def _console_size() -> tuple[int, ...]:
    try:
        size = os.get_terminal_size(sys.stdin.fileno())
    except OSError:
        return ()
    return size.lines, size.columns


def _words(text: str) -> tuple[str, ...]:
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise ComposeError(f"--entrypoint {text!r}: {error}") from None


def _label(word: str) -> tuple[str, str]:
    key, _, value = word.partition("=")
    if not key:
        raise ComposeError(f"--label {word!r} is not NAME=VALUE")
    return key, value


def _environment(context: Context, desired: Desired, arguments: Arguments) -> dict[str, str]:
    """--env-from-file, then --env; a bare NAME is taken from the shell or the project's .env, if it is set there."""
    found: dict[str, str] = {}
    for path in arguments.env_from_file:
        found.update(_read_env(path, required=True))
    outside: dict[str, str] | None = None
    for word in arguments.env:
        name, separator, value = word.partition("=")
        if not name:
            raise ComposeError(f"--env {word!r} is not NAME=VALUE")
        if separator:
            found[name] = value
        elif name in os.environ:
            found[name] = os.environ[name]
        else:
            if outside is None:
                outside = {}
                for path in context.options.env_file or (f"{desired.working_dir}/.env",):
                    outside.update(_read_env(path, required=False))
            if name in outside:
                found[name] = outside[name]
    return found


def _read_env(path: str, *, required: bool) -> dict[str, str]:
    from composer.load.dotenv import DotenvError, parse_dotenv

    try:
        with open(path, encoding="utf-8") as file:
            return parse_dotenv(file.read(), os.environ.get).values
    except FileNotFoundError:
        if required:
            raise ComposeError(f"the env file {path}: not found") from None
        return {}
    except (DotenvError, UnicodeDecodeError) as error:
        raise ComposeError(f"the env file {path}: {error}") from None


def _mount(desired: Desired, text: str) -> dict[str, Any]:
    """A short volume as a MountRequest. Relative paths start from the current folder."""
    from composer.load.mounts import parse_mount

    try:
        mount = parse_mount(text)
    except ValueError as error:
        raise ComposeError(f"--volume: {error}") from None
    source = str(mount.get("source", ""))
    request = {"target": mount["target"], "read_only": bool(mount.get("read_only"))}
    if mount["type"] == "bind":
        bind = mount["bind"]
        path = os.path.abspath(os.path.expanduser(source))
        return {
            **request,
            "type": "bind",
            "source": path,
            "create_host_path": True,
            "propagation": bind.get("propagation", ""),
        }
    named = {volume.key: volume.name for volume in desired.volumes}
    own = f"{desired.project}_{source}"
    if source:
        request["source"] = named.get(source) or (own if own in desired.all_volumes else source)
    return {**request, "type": "volume", "nocopy": bool(mount["volume"].get("nocopy"))}


def _ports(text: str) -> Iterable[dict[str, Any]]:
    from composer.load.ports import parse_ports

    try:
        ports = parse_ports(text)
    except ValueError as error:
        raise ComposeError(f"--publish: {error}") from None
    for port in ports:
        first, dash, last = port.get("published", "").partition("-")
        yield {
            "container_port": port["target"],
            "protocol": port["protocol"],
            "host_ip": port.get("host_ip", "").strip("[]"),
            "host_port": int(first or 0),
            "host_port_end": int(last) if dash else 0,
        }
