"""`systemd`: a unit per project that brings back after a boot what was running before."""

import os
import shutil
import subprocess
import sys

from composer.cli.carry_out import carry_out
from composer.cli.context import Context
from composer.errors import ComposeError, ProjectGoneError
from composer.plan.lifecycle import plan_resume, plan_stop
from runtime import containers_to_resume

UNITS = "/etc/systemd/system"
_STOP_S = 300


def install(context: Context, *, directory: str, show: bool) -> int:
    """Write and enable the unit of the project; with another `directory` only write it, with `show` only print it."""
    desired = context.existing()
    text = unit_text(desired.project, _command(context, desired.project))
    if show or context.options.dry_run:
        context.out.line(text.rstrip("\n"))
        return 0
    name = unit_name(desired.project)
    path = f"{directory or UNITS}/{name}"
    try:
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(f"{path}.new", path)
    except OSError as error:
        raise ComposeError(f"{path}: {error.strerror}", hint="only root can install a unit") from None
    if not directory:
        _systemctl("daemon-reload")
        _systemctl("enable", "--now", name)
    context.err.line(f" Unit {path}  Installed")
    return 0


def remove(context: Context, *, directory: str) -> int:
    """Disable and remove the unit; containers go on."""
    name = unit_name(context.options.project_name or context.existing().project)
    path = f"{directory or UNITS}/{name}"
    if not os.path.exists(path):
        raise ComposeError(f"there is no {path}", hint="nothing was installed for this project")
    if context.only_tells(f"remove {path}"):
        return 0
    if not directory:
        # Not --now: that would stop the containers.
        _systemctl("disable", name)
    os.unlink(path)
    if not directory:
        _systemctl("daemon-reload")
    context.err.line(f" Unit {path}  Removed")
    return 0


def resume(context: Context) -> int:
    """What the unit does after a boot; nothing for a project of which nothing is left."""
    try:
        desired = context.existing()
    except ProjectGoneError:
        return 0
    wanted = containers_to_resume(context.engine, desired.project)
    carry_out(context, desired, lambda project, now: plan_resume(project, now, wanted), keep_going=True)
    return 0


def suspend(context: Context) -> int:
    """What the unit does before a shutdown: stop in order, to come back after it."""
    try:
        desired = context.existing()
    except ProjectGoneError:
        return 0
    carry_out(
        context,
        desired,
        lambda project, now: plan_stop(project, now, resumable=True),
        keep_going=True,
    )
    return 0


def unit_name(project: str) -> str:
    return f"pycompose-{project}.service"


def unit_text(project: str, command: str) -> str:
    """The unit (systemd.service(5)). Containers are no part of it: their shims have a cgroup of their own."""
    return f"""[Unit]
Description=Containers of the project {project}
Wants=network-online.target
After=network-online.target local-fs.target

[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart={command} systemd resume
ExecStop={command} systemd suspend
TimeoutStartSec=infinity
TimeoutStopSec={_STOP_S}

[Install]
WantedBy=multi-user.target
"""


def _command(context: Context, project: str) -> str:
    paths = context.engine.paths
    words = [
        sys.executable, "-m", "composer", "--root", paths.data, "--state", paths.state, "-p", project
    ]  # fmt: skip
    return " ".join(map(_quoted, words))


def _quoted(word: str) -> str:
    """A word of a command line as systemd.service(5) reads it. Raises ComposeError for one that no unit can hold."""
    if not word.isprintable():
        raise ComposeError(
            f"{word!r} can't be written into a unit", hint="use a path without control characters"
        )
    text = word.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%").replace("$", "$$")
    return f'"{text}"' if any(char in text for char in " \t'\"") else text


def _systemctl(*words: str) -> None:
    if shutil.which("systemctl") is None:
        raise ComposeError("systemctl was not found", hint="does systemd run this machine?")
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    if done.returncode:
        raise ComposeError(f"systemctl {' '.join(words)}: {done.stderr.strip()}")
