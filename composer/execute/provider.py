"""Asks the program of a `provider`, by the protocol that Docker Compose has for it (its docs/extension.md).

    PROGRAM compose metadata                                              which options it knows, if it likes
    PROGRAM compose --project-name=PROJECT up|down --OPTION=VALUE SERVICE

It answers in lines of JSON, {"type": T, "message": M}: info and error for the user, setenv and rawsetenv with
NAME=VALUE for the services that depend on it, debug.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping
from typing import IO, Any

from composer.plan.action import DOWN, Action
from composer.plan.providers import PREFIXED, RAW
from runtime import InvalidError, Job, NotFoundError, StateError, die_with

_PLUGIN_FOLDERS = (
    "/usr/local/lib/docker/cli-plugins",
    "/usr/local/libexec/docker/cli-plugins",
    "/usr/lib/docker/cli-plugins",
    "/usr/libexec/docker/cli-plugins",
)
_LAST_BYTES = 2000  # of what it says on its standard error, told when it fails


def begin_provider(project: str, action: Action, environment: Mapping[str, str]) -> Job:
    """Ask for what a PROVIDE says. `environment` are variables for the program besides our own, which win.

    News are {"line": TEXT}, the outcome is the Answer of `plan.providers`.
    """
    variables = {**environment, **os.environ}

    def work(report: Any) -> dict[str, dict[str, str]]:
        program = find_provider(action.spec["type"], variables)
        options = action.spec.get("options", {})
        words = _options(program, action, options, variables)
        command = [program, "compose", f"--project-name={project}", action.condition, *words, action.name]
        return _run(command, action, variables, report)

    return Job(f"provider of {action.name}", work)


def find_provider(kind: str, variables: Mapping[str, str]) -> str:
    """The program of a provider: the plug-in docker-KIND, or KIND. Raises NotFoundError, InvalidError."""
    if kind == "compose":
        raise InvalidError("provider.type 'compose' cannot be: that is this program")
    own = variables.get("DOCKER_CONFIG") or f"{variables.get('HOME', '')}/.docker"
    plugins = os.pathsep.join((f"{own}/cli-plugins", *_PLUGIN_FOLDERS))
    search = variables.get("PATH", os.defpath)
    found = (
        ("/" not in kind and (shutil.which(f"docker-{kind}", path=plugins) or ""))
        or shutil.which(kind, path=search)
        or ("/" not in kind and shutil.which(f"docker-{kind}", path=search))
    )
    if not found:
        raise NotFoundError(
            f"provider.type {kind!r}: there is no such program",
            hint=f"install {kind}, or the plug-in docker-{kind}, where PATH leads",
        )
    return found


def _options(
    program: str, action: Action, options: Mapping[str, list[str]], variables: Mapping[str, str]
) -> list[str]:
    """--NAME=VALUE words: those it says it knows, all where it says nothing. Raises InvalidError."""
    described = _metadata(program, variables)
    known = described.get(action.condition)
    parameters = known.get("parameters") if isinstance(known, dict) else None
    names = {item.get("name"): item for item in parameters or () if isinstance(item, dict)}
    for name, item in names.items():
        if item.get("required") and name not in options:
            raise InvalidError(
                f"service {action.name}: provider {action.spec['type']} needs the option {name!r}",
                hint=f"set provider.options.{name}",
            )
    return [
        f"--{name}={value}"
        for name, values in options.items()
        for value in values
        if not described or name in names
    ]


def _metadata(program: str, variables: Mapping[str, str]) -> dict[str, Any]:
    """What it says of itself, {} if nothing: it may, it need not."""
    try:
        answer = subprocess.run(
            [program, "compose", "metadata"],
            env=dict(variables),
            stdin=subprocess.DEVNULL,
            capture_output=True,
        )
        found = json.loads(answer.stdout) if answer.returncode == 0 else {}
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _run(
    command: list[str], action: Action, variables: Mapping[str, str], report: Any
) -> dict[str, dict[str, str]]:
    answer: dict[str, dict[str, str]] = {PREFIXED: {}, RAW: {}}
    parent = os.getpid()
    with tempfile.TemporaryFile() as said:
        try:
            process = subprocess.Popen(
                command,
                env=dict(variables),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=said,
                preexec_fn=lambda: die_with(parent),
            )
        except OSError as error:
            raise StateError(f"{command[0]}: {error.strerror}") from error
        with process:
            try:
                assert process.stdout is not None
                for line in process.stdout:
                    _take(line, action, answer, report)
            except BaseException:
                process.kill()
                raise
        if process.returncode:
            what = "remove" if action.condition == DOWN else "create"
            raise StateError(
                f"failed to {what} service {action.name}: {command[0]} ended with {process.returncode}{_tail(said)}"
            )
    return answer


def _take(line: bytes, action: Action, answer: dict[str, dict[str, str]], report: Any) -> None:
    """One line of what it says. Raises StateError for an error, and for what is no message."""
    if not line.strip():
        return
    try:
        message = json.loads(line)
        kind, text = message["type"], str(message.get("message", ""))
    except (ValueError, TypeError, KeyError, AttributeError):
        raise StateError(f"provider of {action.name}: {line[:200]!r} is no message of the protocol") from None
    if kind == "error":
        raise StateError(f"provider of {action.name}: {text}")
    if kind == "info":
        report({"line": text.partition("\n")[0]})
    elif kind in answer:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise StateError(f"provider of {action.name}: {kind} {text!r} is not NAME=VALUE")
        answer[kind][name] = value
    elif kind != "debug":
        raise StateError(f"provider of {action.name}: messages of type {kind!r} are not known")


def _tail(said: IO[bytes]) -> str:
    said.seek(max(0, said.seek(0, os.SEEK_END) - _LAST_BYTES))
    lines = said.read().decode(errors="replace").splitlines()
    return "".join(f"\n  | {line}" for line in lines)
