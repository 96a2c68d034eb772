"""What instructions that touch no file do to an image's configuration. Pure."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from posixpath import join, normpath
from typing import Any

from runtime.build.dockerfile import DockerfileError, Instruction, parse_json_form, split_words
from runtime.build.expand import expand, expand_words

DEFAULT_SHELL = ("/bin/sh", "-c")
_UNIT_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,
    "ms": 1_000_000,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ns|us|µs|ms|s|m|h)")
_PORT = re.compile(r"(\d+)(?:-(\d+))?(?:/(tcp|udp|sctp))?\Z", re.IGNORECASE)

Config = dict[str, Any]
Variables = Mapping[str, str]


def environment(config: Mapping[str, Any]) -> dict[str, str]:
    """`Env` as a mapping."""
    return dict(item.partition("=")[::2] for item in config.get("Env") or ())


def set_environment(config: Config, values: Mapping[str, str]) -> None:
    config["Env"] = [f"{name}={value}" for name, value in {**environment(config), **values}.items()]


def shell_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(config.get("Shell") or DEFAULT_SHELL)


def command_words(instruction: Instruction, config: Mapping[str, Any]) -> list[str]:
    """The exec form as it is, the shell form in the image's shell."""
    words = parse_json_form(instruction.text)
    return list(words) if words is not None else [*shell_of(config), instruction.text]


def parse_pairs(
    instruction: Instruction, variables: Variables, escape: str, *, legacy: bool = True
) -> dict[str, str]:
    """`KEY=value KEY="other value"`, or the old `KEY value to the end`."""
    words = split_words(instruction.text, escape)
    if "=" not in words[0]:
        key, _, rest = instruction.text.partition(" ")
        if not legacy or not rest:
            raise DockerfileError(
                f"{instruction.name} {instruction.text}: a value is missing", instruction.line
            )
        return {expand(key, variables, escape, instruction.line): expand(rest.strip(), variables, escape)}
    found = {}
    for word in words:
        key, separator, value = word.partition("=")
        name = expand(key, variables, escape, instruction.line)
        if not separator or not name:
            raise DockerfileError(f"{instruction.name}: {word!r} is not KEY=VALUE", instruction.line)
        found[name] = expand(value, variables, escape, instruction.line)
    return found


def _set_env(config: Config, instruction: Instruction, variables: Variables, escape: str) -> None:
    set_environment(config, parse_pairs(instruction, variables, escape))


def _set_label(config: Config, instruction: Instruction, variables: Variables, escape: str) -> None:
    config["Labels"] = {**(config.get("Labels") or {}), **parse_pairs(instruction, variables, escape)}


def _set_user(config: Config, instruction: Instruction, variables: Variables, escape: str) -> None:
    config["User"] = expand(instruction.text, variables, escape, instruction.line)


def _set_workdir(config: Config, instruction: Instruction, variables: Variables, escape: str) -> None:
    path = expand(instruction.text, variables, escape, instruction.line)
    config["WorkingDir"] = absolute(config, path)


def absolute(config: Mapping[str, Any], path: str) -> str:
    """A path in the image, relative ones from its WORKDIR."""
    return normpath(join("/", config.get("WorkingDir") or "/", path)).replace("//", "/")


def _set_cmd(config: Config, instruction: Instruction, variables: Variables, escape: str) -> None:
    del variables, escape
    config["Cmd"] = command_words(instruction, config) if instruction.text else []


def _set_entrypoint(config: Config, instruction: Instruction, variables: Variables, escape: str) -> None:
    del variables, escape
    config["Entrypoint"] = command_words(instruction, config) if instruction.text else []


def _set_shell(config: Config, instruction: Instruction, variables: Variables, escape: str) -> None:
    del variables, escape
    words = parse_json_form(instruction.text)
    if not words:
        raise DockerfileError('SHELL wants a list, such as ["/bin/bash", "-c"]', instruction.line)
    config["Shell"] = list(words)


def _set_stop_signal(config: Config, instruction: Instruction, variables: Variables, escape: str) -> None:
    config["StopSignal"] = expand(instruction.text, variables, escape, instruction.line)


def _add_volumes(config: Config, instruction: Instruction, variables: Variables, escape: str) -> None:
    listed = parse_json_form(instruction.text)
    words: Sequence[str] = (
        listed if listed is not None else expand_words(instruction.text, variables, escape, instruction.line)
    )
    paths = [expand(word, variables, escape, instruction.line) for word in words] if listed else list(words)
    if not all(paths):
        raise DockerfileError("VOLUME has an empty path", instruction.line)
    config["Volumes"] = {**(config.get("Volumes") or {}), **{path: {} for path in paths}}


def _add_ports(config: Config, instruction: Instruction, variables: Variables, escape: str) -> None:
    ports = dict(config.get("ExposedPorts") or {})
    for word in expand_words(instruction.text, variables, escape, instruction.line):
        # An address or a port of the host says nothing here; the checks warn of it, as BuildKit's do.
        match = _PORT.match(word.rpartition(":")[2])
        if match is None:
            raise DockerfileError(
                f"EXPOSE {word}: not a port", instruction.line, hint="80, 53/udp, 8000-8010"
            )
        first, last = int(match[1]), int(match[2] or match[1])
        if not 0 < first <= last < 65536:
            raise DockerfileError(f"EXPOSE {word}: there is no such port", instruction.line)
        ports |= {f"{number}/{(match[3] or 'tcp').lower()}": {} for number in range(first, last + 1)}
    config["ExposedPorts"] = dict(sorted(ports.items()))


def _set_healthcheck(config: Config, instruction: Instruction, variables: Variables, escape: str) -> None:
    del variables, escape
    word, _, rest = instruction.text.partition(" ")
    if word.upper() == "NONE":
        config["Healthcheck"] = {"Test": ["NONE"]}
        return
    if word.upper() != "CMD" or not rest.strip():
        raise DockerfileError("HEALTHCHECK wants NONE or CMD and a command", instruction.line)
    listed = parse_json_form(rest.strip())
    check: dict[str, Any] = {"Test": ["CMD", *listed] if listed else ["CMD-SHELL", rest.strip()]}
    names = {"interval": "Interval", "timeout": "Timeout", "start-period": "StartPeriod",
             "start-interval": "StartInterval"}  # fmt: skip
    for name, value in instruction.flags:
        if name in names:
            check[names[name]] = parse_duration_ns(value, instruction.line)
        elif name == "retries" and value.isdigit():
            check["Retries"] = int(value)
        else:
            raise DockerfileError(f"HEALTHCHECK --{name}={value}: not known", instruction.line)
    config["Healthcheck"] = check


def parse_duration_ns(text: str, line: int = 0) -> int:
    """A Go duration, "1m30s"."""
    parts = _DURATION.findall(text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise DockerfileError(f"{text!r} is not a duration", line, hint="30s, 1m30s, 500ms")
    return int(sum(float(number) * _UNIT_NS[unit] for number, unit in parts))


def _add_onbuild(config: Config, instruction: Instruction, variables: Variables, escape: str) -> None:
    del variables, escape
    name = instruction.text.partition(" ")[0].upper()
    if name in ("ONBUILD", "FROM", "MAINTAINER"):
        raise DockerfileError(f"{name} can't be an ONBUILD trigger", instruction.line)
    config["OnBuild"] = [*(config.get("OnBuild") or ()), trigger_text(instruction)]


def trigger_text(instruction: Instruction) -> str:
    """What an ONBUILD keeps for the images built on this one."""
    return instruction.text + "".join(f"\n{item.content}{item.name}" for item in instruction.heredocs)


Change = Callable[[Config, Instruction, Variables, str], None]
# Instructions that only change the configuration.
CHANGES: dict[str, Change] = {
    "ENV": _set_env,
    "LABEL": _set_label,
    "USER": _set_user,
    "WORKDIR": _set_workdir,
    "CMD": _set_cmd,
    "ENTRYPOINT": _set_entrypoint,
    "SHELL": _set_shell,
    "STOPSIGNAL": _set_stop_signal,
    "VOLUME": _add_volumes,
    "EXPOSE": _add_ports,
    "HEALTHCHECK": _set_healthcheck,
    "ONBUILD": _add_onbuild,
}


def describe_change(instruction: Instruction, config: Mapping[str, Any]) -> str:
    """`created_by` of the image's history, as BuildKit writes it."""
    if instruction.name in ("CMD", "ENTRYPOINT"):
        key = {"CMD": "Cmd", "ENTRYPOINT": "Entrypoint"}[instruction.name]
        return f"{instruction.name} {json.dumps(config.get(key) or [])}"
    return instruction.original
