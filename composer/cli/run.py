"""`run`: one command in a container of its own, made like those of a service."""

import os
import sys
from typing import NamedTuple

from composer.cli.carry_out import ask_providers, obtain_images
from composer.cli.context import Context
from composer.cli.run_container import Manner, run_container
from composer.cli.up import image_options
from composer.cli.words import (
    console_size,
    parse_entrypoint,
    parse_environment,
    parse_label,
    parse_publish,
    parse_volume,
)
from composer.errors import ComposeError
from composer.plan.desired import Desired
from composer.plan.run import RunOptions, one_off, plan_run
from composer.plan.selection import select_services

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
    tty: bool = False
    interactive: bool = True
    no_deps: bool = False
    build: bool = False
    pull: str = ""
    quiet: bool = False
    quiet_build: bool = False
    quiet_pull: bool = False
    remove_orphans: bool = False


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `run`; the exit code of the command, 0 if it goes on in the background."""
    if arguments.service_ports and arguments.publish:
        raise ComposeError("--service-ports and --publish exclude each other")
    loaded = context.desired((arguments.service,))
    options = _options(context, loaded, arguments)
    if not context.options.dry_run:
        wanted = select_services(loaded, (arguments.service,), no_deps=arguments.no_deps)
        loaded = ask_providers(context, loaded, wanted, quiet=arguments.quiet)
    desired = one_off(loaded, options)
    if not context.options.dry_run:
        services = select_services(desired, (arguments.service,), no_deps=arguments.no_deps)
        quiet = arguments.quiet or arguments.quiet_pull or arguments.quiet_build
        obtain_images(context, desired, services, options.images, quiet=quiet)
        options = options._replace(images=options.images._replace(ready=True))
    manner = Manner(
        tty=options.tty,
        interactive=options.interactive,
        detach=arguments.detach,
        auto_remove=options.auto_remove,
        quiet=arguments.quiet,
    )
    return run_container(
        context, desired, options.name, lambda wanted, observed: plan_run(wanted, observed, options), manner
    )


# ---- the command line


def _options(context: Context, desired: Desired, arguments: Arguments) -> RunOptions:
    named = {volume.key: volume.name for volume in desired.volumes}

    def real_name(source: str) -> str:
        own = f"{desired.project}_{source}"
        return named.get(source) or (own if own in desired.all_volumes else source)

    slug = os.urandom(_SLUG_BYTES).hex()
    tty = not arguments.no_tty and sys.stdin.isatty() and sys.stdout.isatty()
    if arguments.tty and not tty and not arguments.no_tty:
        raise ComposeError("--tty: standard input and output are no terminal", hint="leave out -t")
    parts = (desired.project, arguments.service, "run", slug[:_SHORT_SLUG])
    return RunOptions(
        service=arguments.service,
        name=arguments.name or desired.separator.join(parts),
        slug=slug,
        command=arguments.command,
        entrypoint=None if arguments.entrypoint is None else parse_entrypoint(arguments.entrypoint),
        environment=tuple(
            parse_environment(
                arguments.env,
                arguments.env_from_file,
                context.options.env_file or (f"{desired.working_dir}/.env",),
            ).items()
        ),
        user=arguments.user,
        working_dir=arguments.workdir,
        cap_add=arguments.cap_add,
        cap_drop=arguments.cap_drop,
        labels=dict(parse_label(word) for word in arguments.label),
        mounts=tuple(parse_volume(word, real_name) for word in arguments.volume),
        ports=tuple(port for word in arguments.publish for port in parse_publish(word)),
        service_ports=arguments.service_ports,
        use_aliases=arguments.use_aliases,
        tty=tty,
        console_size=console_size() if tty else (),
        interactive=arguments.interactive,
        auto_remove=arguments.rm,
        no_deps=arguments.no_deps,
        remove_orphans=context.removes_orphans(arguments.remove_orphans),
        images=image_options(arguments.pull, build=arguments.build, no_build=False),
    )
