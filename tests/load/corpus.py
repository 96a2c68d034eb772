"""Runs the cases of a corpus folder through the command and compares with the answers that lie beside them.

A case is a folder with Compose files, `case.json` (arguments, environment, "ok" or "error") and `expected.json`, what
`docker compose config --format json` printed. Each runs in a child of its own, forked after the imports.
"""

import json
import os
import shutil
import sys
import tempfile
import traceback
from pathlib import Path
from typing import Any

TOKEN = "${CASE_DIR}"
# Maps whose keys are the user's: null means something there.
_USER_KEYED = frozenset(
    [
        "services",
        "networks",
        "volumes",
        "secrets",
        "configs",
        "models",
        "environment",
        "args",
        "labels",
        "annotations",
        "sysctls",
        "driver_opts",
        "options",
        "extra_hosts",
        "aux_addresses",
        "storage_opt",
        "ulimits",
        "depends_on",
        "additional_contexts",
    ]
)
_SECTIONS = frozenset(("services", "networks", "volumes", "secrets", "configs", "models"))
_EMPTY_IS_MISSING = frozenset(("ipam", "resources", "placement", "bind", "volume", "tmpfs", "image"))


def run_case(folder: Path) -> str:
    """What is wrong with the command's answer; "" if nothing is."""
    case = json.loads((folder / "case.json").read_text())
    with tempfile.TemporaryDirectory(prefix="pycompose-corpus-") as name:
        work = Path(name) / folder.name
        shutil.copytree(folder, work)
        words = [text.replace(TOKEN, str(work)) for text in case.get("args", ())]
        words += ["config", "--format", "json", *case.get("config_args", ())]
        environ = {
            "PATH": os.environ["PATH"],
            "HOME": os.environ.get("HOME", "/root"),
            "PYCOMPOSE_ROOT": name,
        }
        environ |= {key: text.replace(TOKEN, str(work)) for key, text in case.get("env", {}).items()}
        stdin = work / case["stdin"] if case.get("stdin") else Path("/dev/null")
        status = _in_child(words, environ, work, stdin, Path(name))
        output, errors = (Path(name) / "out").read_text(), (Path(name) / "err").read_text()
    if case["expect"] == "error":
        fine = 0 < status < 90 and errors and "Traceback" not in errors
        return "" if fine else f"an error is expected, not status {status}: {errors[-500:]}"
    if status != 0:
        return f"status {status}: {errors[-500:]}"
    expected = json.loads((folder / "expected.json").read_text())
    answer = _with_token(json.loads(output), str(work))
    return "; ".join(differences(normalise(expected), normalise(answer))[:5])


def _in_child(words: list[str], environ: dict[str, str], folder: Path, stdin: Path, logs: Path) -> int:
    child = os.fork()
    if child == 0:
        try:
            os.chdir(folder)
            os.environ.clear()
            os.environ.update(environ)
            for number, path in ((1, logs / "out"), (2, logs / "err")):
                os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), number)
            os.dup2(os.open(stdin, os.O_RDONLY), 0)
            sys.stdin, sys.stdout, sys.stderr = (os.fdopen(n, m) for n, m in ((0, "r"), (1, "w"), (2, "w")))
            sys.argv = ["pycompose", *words]
            from composer.__main__ import main

            main()
        except SystemExit as end:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(end.code if isinstance(end.code, int) else 0)
        except BaseException:
            traceback.print_exc(file=sys.stderr)
            sys.stderr.flush()
        os._exit(99)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _with_token(value: Any, folder: str) -> Any:
    if isinstance(value, str):
        return value.replace(folder, TOKEN)
    if isinstance(value, list):
        return [_with_token(item, folder) for item in value]
    if isinstance(value, dict):
        return {_with_token(key, folder): _with_token(item, folder) for key, item in value.items()}
    return value


def normalise(value: Any, path: tuple[Any, ...] = ()) -> Any:
    """Without the differences that mean nothing: null for a missing key, {} for null, the case in blkio_config."""
    if isinstance(value, list):
        return [normalise(item, (*path, index)) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return value
    extension = any(
        isinstance(key, str) and key.startswith("x-") and not (index == 1 and path[0] in _SECTIONS)
        for index, key in enumerate(path)
    )
    user = extension or (bool(path) and path[-1] in _USER_KEYED)
    out = {}
    for key, item in value.items():
        inner = normalise(item, (*path, key))
        name = key.lower() if "blkio_config" in path and not extension else key
        if inner is None and len(path) == 3 and path[0] == "services" and path[2] in ("networks", "models"):
            inner = {}
        if inner is None and not user and not key.startswith("x-"):
            continue
        if inner == {} and key in _EMPTY_IS_MISSING and not user:
            continue
        out[name] = inner
    return out


def differences(want: Any, got: Any, path: str = "") -> list[str]:
    """Where two documents differ; the order of keys does not count, numbers compare by value."""
    if isinstance(want, dict) and isinstance(got, dict):
        found = []
        for key in sorted(set(want) | set(got), key=str):
            where = f"{path}.{key}" if path else str(key)
            if key not in got or key not in want:
                found.append(f"{where}: {'missing' if key not in got else 'unexpected'}")
            else:
                found += differences(want[key], got[key], where)
        return found
    if isinstance(want, list) and isinstance(got, list) and len(want) == len(got):
        pairs = enumerate(zip(want, got, strict=True))
        return [text for index, (a, b) in pairs for text in differences(a, b, f"{path}[{index}]")]
    numbers = all(isinstance(value, int | float) and not isinstance(value, bool) for value in (want, got))
    same = want == got and (numbers or type(want) is type(got))
    return [] if same else [f"{path}: {got!r}, expected {want!r}"]
