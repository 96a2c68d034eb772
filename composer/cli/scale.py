"""`scale`: change how many containers services have."""

from typing import NamedTuple

from composer.cli import up
from composer.cli.context import Context


class Arguments(NamedTuple):
    numbers: tuple[str, ...] = ()
    no_deps: bool = False
    timeout: int | None = None


def run(context: Context, arguments: Arguments) -> int:
    """Carry out `scale`: an `up` of these services that leaves the containers there are as they are."""
    services = tuple(dict.fromkeys(word.partition("=")[0] for word in arguments.numbers))
    return up.run(
        context,
        up.Arguments(
            services=services,
            scale=arguments.numbers,
            no_deps=arguments.no_deps,
            no_recreate=True,
            detach=True,
            timeout=arguments.timeout,
        ),
    )
