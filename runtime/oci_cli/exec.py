"""`exec`: another process in a container, from a process.json or from the container's own process with changes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from runtime.container.bundle import load_process
from runtime.container.oci_exec import exec_in_container
from runtime.container.state import StateDirectory
from runtime.container.users import resolve_user
from runtime.errors import EngineError, InvalidError
from runtime.oci.capabilities import parse_capability
from runtime.oci.validate import check_process
from runtime.oci_cli.creating import check_console, preserved, send_console, write_pid_file
from runtime.oci_cli.main import Call
from runtime.oci_cli.options import FLAG, LIST, VALUE, Option, Parsed

if TYPE_CHECKING:
    from runtime.oci.spec import Process, Spec

HELP = (
    "exec [options] CONTAINER COMMAND [arguments]\n"
    "       pycompose-oci exec [options] --process FILE CONTAINER\n\nRuns another process in a container."
)
OPTIONS = {
    "process": Option(VALUE, "process.json to run instead of a command", "p"),
    "detach": Option(FLAG, "do not wait for its end", "d"),
    "tty": Option(FLAG, "give it a terminal", "t"),
    "console-socket": Option(VALUE, "socket that gets the terminal's master"),
    "pid-file": Option(VALUE, "file to write the process's pid to"),
    "cwd": Option(VALUE, "working directory"),
    "env": Option(LIST, "NAME=VALUE of its environment", "e"),
    "user": Option(VALUE, "UID[:GID], or names the container knows", "u"),
    "additional-gids": Option(LIST, "supplementary groups", "g"),
    "cap": Option(LIST, "add a capability", "c"),
    "no-new-privs": Option(FLAG, "set no_new_privs"),
    "apparmor": Option(VALUE, "AppArmor profile"),
    "process-label": Option(VALUE, "SELinux label"),
    "cgroup": Option(VALUE, "cgroup inside the container's to run it in"),
    "preserve-fds": Option(VALUE, "pass that many descriptors from 3 on"),
    "ignore-paused": Option(FLAG, "also in a paused container"),
}


def run(call: Call) -> int:
    """Run it; its exit code when waited for."""
    options = call.options
    if not options.arguments:
        raise InvalidError("a container id is needed")
    container_id, *command = options.arguments
    directory = StateDirectory(call.root, container_id)
    process = _process(directory, options, command)
    detach, console_socket = options.flag("detach"), options.text("console-socket")
    check_console(bool(process.get("terminal")), console_socket, not detach)
    if not detach:
        from runtime.oci_cli.foreground import hold_signals, wait_for

        signals = hold_signals()
    started = exec_in_container(
        directory,
        process,
        preserve_fds=preserved(options),
        sub_cgroup=options.text("cgroup"),
        ignore_paused=options.flag("ignore-paused"),
    )
    if console_socket:
        send_console(console_socket, started.console)
        started.console = -1
    write_pid_file(options.text("pid-file"), started.pid)
    if detach:
        return 0
    return wait_for(started.pid, started.pidfd, started.console, signals)


def _process(directory: StateDirectory, options: Parsed, command: list[str]) -> Process:
    record = directory.load()
    root = f"/proc/{record.pid}/root"
    if options.text("process"):
        process = load_process(options.text("process"))
        if options.flag("tty"):
            process["terminal"] = True
    else:
        if not command:
            raise InvalidError("a command is needed, or --process")
        process = _changed(directory.load_spec(), options, command, root)
    if not any(item.startswith("HOME=") for item in process.get("env", ())):
        process.setdefault("env", []).append(f"HOME={_home(root, process['user']['uid'])}")
    return check_process(process)


def _home(root: str, uid: int) -> str:
    try:
        return resolve_user(root, str(uid)).home
    except (EngineError, OSError):
        return "/"


def _changed(spec: Spec, options: Parsed, command: list[str], root: str) -> Process:
    """The container's own process with another command and what the options change."""
    process: Process = {**spec["process"], "args": command, "terminal": options.flag("tty")}
    process.pop("consoleSize", None)
    if options.text("cwd"):
        process["cwd"] = options.text("cwd")
    names = {item.partition("=")[0] for item in options.texts("env")}
    kept = [item for item in process.get("env", ()) if item.partition("=")[0] not in names]
    process["env"] = [*kept, *options.texts("env")]
    if options.text("user"):
        _change_user(process, options.text("user"), root)
    if options.texts("additional-gids"):
        gids = [
            int(text)
            for item in options.texts("additional-gids")
            for text in item.split(",")
            if text.isdigit()
        ]
        process["user"] = {**process["user"], "additionalGids": gids}
    if options.texts("cap"):
        _add_capabilities(process, options.texts("cap"))
    if options.flag("no-new-privs"):
        process["noNewPrivileges"] = True  # the container's own is kept in any case, as runc has it
    if options.text("apparmor"):
        process["apparmorProfile"] = options.text("apparmor")
    if options.text("process-label"):
        process["selinuxLabel"] = options.text("process-label")
    return process


def _change_user(process: Process, text: str, root: str) -> None:
    uid, _, gid = text.partition(":")
    if uid.isdigit() and (gid.isdigit() or not gid):  # numbers need no passwd, which may be anything
        process["user"] = {"uid": int(uid), "gid": int(gid or process["user"]["gid"])}
    else:
        found = resolve_user(root, text)
        groups = list(found.additional_gids)
        process["user"] = {"uid": found.uid, "gid": found.gid, "additionalGids": groups}
    process["env"] = [item for item in process.get("env", ()) if not item.startswith("HOME=")]


def _add_capabilities(process: Process, words: list[str]) -> None:
    """To the bounding, effective and permitted set, and to the ambient one of who is not root."""
    sets = dict(process.get("capabilities", {}))
    kinds = ["bounding", "effective", "permitted"]
    if process["user"]["uid"] != 0:
        kinds += ["inheritable", "ambient"]
    for kind in kinds:
        held = list(sets.get(kind, ()))  # type: ignore[call-overload]
        sets[kind] = held + [name for name in map(parse_capability, words) if name not in held]
    process["capabilities"] = sets  # type: ignore[typeddict-item]
