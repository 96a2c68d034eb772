"""The command pycompose-oci: global options, then one module per verb (`VERBS`), loaded when it is called.

A verb's module has HELP (usage, what it does), OPTIONS and `run(call) -> exit code`. Exit codes are runc's: 0, 1 for
an error, the program's own for `run` and `exec` that wait.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple, NoReturn

from runtime.errors import EngineError, InvalidError
from runtime.oci_cli.log import Log
from runtime.oci_cli.options import FLAG, VALUE, Option, Parsed, describe, parse

VERBS = {
    "create": "create a container",
    "start": "start a created container",
    "run": "create and start a container",
    "state": "print the state of a container",
    "kill": "send a signal to a container",
    "delete": "delete a container",
    "exec": "run another process in a container",
    "list": "list containers",
    "ps": "list the processes in a container",
    "pause": "suspend all processes in a container",
    "resume": "resume a paused container",
    "update": "change a container's resource limits",
    "events": "print a container's resource usage",
    "spec": "write a configuration to begin with",
    "features": "print what this runtime supports",
}

_GLOBALS = {
    "root": Option(VALUE, "directory for the state of containers (default /run/pycompose-oci)"),
    "log": Option(VALUE, "file to append errors and warnings to"),
    "log-format": Option(VALUE, "text (default) or json"),
    "log-level": Option(VALUE, "debug, or error (default)"),
    "debug": Option(FLAG, "tell what is done"),
    "cgroup-manager": Option(VALUE, "cgroupfs (default), systemd or disabled"),
    "systemd-cgroup": Option(FLAG, "the same as --cgroup-manager systemd"),
    "rootless": Option(VALUE, "true, false or auto: taken from the caller in any case"),
    "version": Option(FLAG, "print the version", "v"),
    "help": Option(FLAG, "print this text", "h"),
}


class Call(NamedTuple):
    """One call of a verb."""

    options: Parsed
    root: str
    manager: str
    log: Log

    def only_id(self) -> str:
        """The container's id, when that is all there is. Raises InvalidError."""
        if len(self.options.arguments) != 1:
            raise InvalidError("exactly one container id is needed")
        return self.options.arguments[0]


def main(words: Sequence[str] | None = None) -> int:
    """Run the command; its exit code."""
    words = sys.argv[1:] if words is None else words
    log, failure = Log(), 1
    try:
        globals_ = parse(words, _GLOBALS, in_order=True)
        log = _open_log(globals_)
        if globals_.flag("version"):
            return _print_version()
        if globals_.flag("help") or not globals_.arguments or globals_.arguments[0] == "help":
            print(_help_text())
            return 0
        if globals_.arguments[0] == "exec":
            failure = 255  # tells a failed `exec` from a program's own 1, as runc has it
        return _run_verb(globals_, log)
    except EngineError as error:
        log.error(error.message, error.hint)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    except OSError as error:
        place = f"{error.filename}: " if error.filename else ""
        log.error(f"{place}{error.strerror or error}")
    except KeyboardInterrupt:
        return 130
    except (
        Exception
    ) as error:  # of a configuration that is not of the specification's types, or our own mistake
        import traceback

        log.debug(traceback.format_exc())
        problem = f"{type(error).__name__}: {error}"
        log.error(f"cannot carry this out: {problem}", "is a value of the wrong type? --debug tells where")
    return failure


def main_and_exit() -> NoReturn:
    """Run the command and leave without taking the interpreter apart, which takes a tenth of a call's time.

    The kernel closes and frees all there is: nothing is registered to run at exit, and only stdout is buffered.
    """
    code = main()
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:  # its disk is full, or nobody reads it any more
        if not isinstance(error, BrokenPipeError):
            Log().error(f"standard output: {error.strerror}")
        code = code or 1
    os._exit(code)


def _open_log(globals_: Parsed) -> Log:
    style = globals_.text("log-format") or "text"
    if style not in ("text", "json"):
        raise InvalidError(f"unknown log format {style!r}", hint="text or json")
    path = _log_path(globals_.text("log"))
    debug = globals_.flag("debug") or globals_.text("log-level") == "debug"
    return Log(path, as_json=style == "json", debug=debug)


def _log_path(text: str) -> str:
    """A path, or "file:PATH" as podman writes it. Raises InvalidError for another kind of log."""
    kind, colon, path = text.partition(":")
    if not colon or "/" in kind:
        return text
    if kind != "file":
        raise InvalidError(f"unknown kind of log {kind!r}", hint="--log takes a path, or file:PATH")
    return path


def _run_verb(globals_: Parsed, log: Log) -> int:
    verb, *rest = globals_.arguments
    if verb not in VERBS:
        raise InvalidError(f"unknown command {verb!r}", hint=f"known: {', '.join(VERBS)}")
    module = __import__(f"runtime.oci_cli.{verb}", fromlist=["run"])
    if any(word in ("--help", "-h") for word in rest[: 1 if verb == "exec" else None]):
        print(f"Usage: pycompose-oci [global options] {module.HELP}\n\n{describe(module.OPTIONS)}")
        return 0
    options = parse(rest, module.OPTIONS, in_order=verb == "exec")
    root = globals_.text("root") or default_root()
    code: int = module.run(Call(options, os.path.abspath(root), _manager(globals_), log))
    return code


def _manager(globals_: Parsed) -> str:
    manager = "systemd" if globals_.flag("systemd-cgroup") else globals_.text("cgroup-manager") or "cgroupfs"
    if manager not in ("cgroupfs", "systemd", "disabled"):
        raise InvalidError(f"unknown cgroup manager {manager!r}", hint="cgroupfs, systemd or disabled")
    return manager


def default_root() -> str:
    """/run/pycompose-oci, or the user's own runtime directory for who is not root."""
    directory = os.environ.get("XDG_RUNTIME_DIR", "")
    return "/run/pycompose-oci" if os.geteuid() == 0 or not directory else f"{directory}/pycompose-oci"


def _print_version() -> int:
    from runtime.oci.version import OCI_VERSION
    from runtime.oci_cli.version import VERSION

    print(f"pycompose-oci version {VERSION}\nspec: {OCI_VERSION}\n+SECCOMP +CAP +EBPF +APPARMOR +SELINUX")
    return 0


def _help_text() -> str:
    verbs = "\n".join(f"  {name:10} {text}" for name, text in VERBS.items())
    return (
        "Usage: pycompose-oci [global options] COMMAND [options] [arguments]\n\n"
        f"Runs containers from OCI bundles.\n\nCommands:\n{verbs}\n\nGlobal options:\n{describe(_GLOBALS)}\n\n"
        "`pycompose-oci COMMAND --help` explains a command."
    )
