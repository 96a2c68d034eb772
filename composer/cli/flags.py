"""Command lines that the reference takes, in the form that typer takes: switches with a value, as `--build=true` and
`--menu=false`, and options that scripts still have though they mean nothing any more.
"""

from collections.abc import Callable
from typing import Any

# As Go's strconv.ParseBool.
TRUTH = {
    **dict.fromkeys(("1", "t", "T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("0", "f", "F", "false", "False", "FALSE"), False),
}
# Command -> options without a meaning today, and what stands for them. The reference warns and goes on.
_RETIRED: dict[str | None, dict[str, list[str]]] = {
    "pycompose": {"--no-ansi": ["--ansi", "never"], "--verbose": [], "--workdir": ["--project-directory"]},
    "build": {key: [] for key in ("--compress", "--force-rm", "--no-rm", "--parallel")},
    "pull": {key: [] for key in ("--parallel", "--no-parallel")},
    "rm": {key: [] for key in ("--all", "-a")},
}


def spell_out(words: list[str], command: Any, warn: Callable[[str], None] = lambda text: None) -> list[str]:
    """The words of a command line for typer: a switch that is off is left out, or its opposite stands there.

    `command` is the root of typer's commands. What is no switch, or has another value, stays as it is. `warn` is told
    of retired options.
    """
    out: list[str] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            return [*out, word, *rest]
        if not word.startswith("-") or word == "-":
            out.append(word)
            below = getattr(command, "commands", {}).get(word)
            if below is None and not command.context_settings.get("allow_interspersed_args", True):
                return [*out, *rest]  # from here on it is the container's command line
            command = below or command
            continue
        name, equals, value = word.partition("=")
        found = next((item for item in command.params if name in (*item.opts, *item.secondary_opts)), None)
        instead = _RETIRED.get(command.name, {}).get(name)
        if found is None and instead is not None:
            warn(
                f"the option {name} is out of date{f', use {instead[0]}' if instead else ' and has no effect'}"
            )
            out += [*instead, *([value] if instead and equals else [])]
        elif found is None or not getattr(found, "is_flag", False):
            out.append(word)
            if found is not None and not equals and rest:
                out.append(rest.pop(0))
        elif value not in TRUTH:
            out.append(word)
        elif TRUTH[value]:
            out.append(name)
        else:
            out += (found.secondary_opts if name in found.opts else found.opts)[:1]
    return out
