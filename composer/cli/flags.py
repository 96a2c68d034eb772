"""Switches with a value, `--build=true` and `--menu=false`, as the reference takes them."""

from typing import Any

# As Go's strconv.ParseBool.
TRUTH = {
    **dict.fromkeys(("1", "t", "T", "true", "True", "TRUE"), True),
    **dict.fromkeys(("0", "f", "F", "false", "False", "FALSE"), False),
}


def spell_out(words: list[str], command: Any) -> list[str]:
    """The words of a command line in the form that typer takes: a switch that is off is left out, or its opposite.

    `command` is the root of typer's commands. What is no switch, or has another value, stays as it is.
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
        if found is None or not getattr(found, "is_flag", False):
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
