"""Gets the `Desired` of a project: from the cache, or from a child that loads, validates and translates it.

The child's imports (YAML, JSON Schema, networkx) never reach this process, from which shims are forked.

A cache entry is DATA/cache/plan-KEY.json, KEY a hash of the version, the working directory and the options.
It lists every file that was read or looked for in vain, and every environment variable that was consulted,
and holds only while all of them are as they were. Deleting the cache changes nothing but time.
"""

import errno
import json
import os
import signal
import time
from hashlib import sha256
from typing import Any, NoReturn

from composer.errors import ComposeError, LoadError, Origin, Problem, SelectionError
from composer.load.options import LoadOptions
from composer.plan.desired import Desired, from_json, to_json
from composer.version import VERSION
from runtime import read_json, write_json

_FORMAT = 1
# A file changed this recently may change again without a new mtime: its content is compared too.
_YOUNG_NS = 2_000_000_000
# The clock that stamps files runs in ticks; a change this close to the start may have come after it.
_TICK_NS = 20_000_000
_KEPT_ENTRIES = 64


def load_desired(options: LoadOptions, cache: str) -> Desired:
    """The project as the planner wants it. `cache` is a folder, "" = none. Raises LoadError, ComposeError."""
    path = "" if options.stdin_text is not None or not cache else f"{cache}/plan-{_key(options)}.json"
    if path:
        found = _look_up(path, options)
        if found is not None:
            return found
    started_ns = time.time_ns() - _TICK_NS
    answer = _load_in_child(options)
    desired = from_json(answer["desired"])
    if path:
        _keep(path, answer, options, started_ns)
    return desired


def _key(options: LoadOptions) -> str:
    environ = {name: value for name, value in options.environ.items() if name.startswith("COMPOSE_")}
    parts = [_FORMAT, VERSION, *options._replace(environ=environ)]
    return sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32]


# ---- the cache


def _look_up(path: str, options: LoadOptions) -> Desired | None:
    try:
        entry = read_json(path)
        if entry is None:
            return None
        if any(_hash_value(options.environ.get(name)) != known for name, known in entry["variables"].items()):
            return None
        if any(not _is_unchanged(*known) for known in entry["inputs"]):
            return None
        return from_json(entry["desired"])
    except (OSError, ValueError, TypeError, KeyError):
        # Damaged or of another release: it is simply made anew.
        return None


def _keep(path: str, answer: dict[str, Any], options: LoadOptions, started_ns: int) -> None:
    inputs = []
    for name in answer["inputs"]:
        known = _describe_file(name)
        if known[1] is not None and known[1] >= started_ns:
            return
        inputs.append(known)
    variables = {name: _hash_value(options.environ.get(name)) for name in answer["variables"]}
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        write_json(
            path, {"inputs": inputs, "variables": variables, "desired": answer["desired"]}, durable=False
        )
        _forget_old(folder)
    except OSError:
        # A cache that can't be written costs time at the next command, nothing else.
        return


def _forget_old(folder: str) -> None:
    entries = [entry for entry in os.scandir(folder) if entry.name.startswith("plan-")]
    if len(entries) > _KEPT_ENTRIES:
        entries.sort(key=lambda entry: entry.stat().st_mtime_ns)
        for entry in entries[: len(entries) - _KEPT_ENTRIES]:
            os.unlink(entry.path)


def _hash_value(value: str | None) -> str | None:
    return None if value is None else sha256(value.encode(errors="surrogateescape")).hexdigest()


def _describe_file(name: str) -> list[Any]:
    """[path, mtime (ns) or None where there is no such file, size, inode, content hash or None]."""
    try:
        status = os.stat(name)
    except OSError:
        return [name, None, 0, 0, None]
    young = time.time_ns() - status.st_mtime_ns < _YOUNG_NS
    return [name, status.st_mtime_ns, status.st_size, status.st_ino, _hash_file(name) if young else None]


def _hash_file(name: str) -> str:
    try:
        with open(name, "rb") as stream:
            return sha256(stream.read()).hexdigest()
    except IsADirectoryError:
        return ""


def _is_unchanged(name: str, mtime_ns: int | None, size: int, inode: int, content: str | None) -> bool:
    try:
        status = os.stat(name)
    except OSError:
        return mtime_ns is None
    if (status.st_mtime_ns, status.st_size, status.st_ino) != (mtime_ns, size, inode):
        return False
    return content is None or _hash_file(name) == content


# ---- the child


def _load_in_child(options: LoadOptions) -> dict[str, Any]:
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        _load_and_exit(options, writer)
    os.close(writer)
    with os.fdopen(reader, "rb") as stream:
        data = stream.read()
    try:
        os.waitpid(child, 0)
    except OSError as error:
        if error.errno != errno.ECHILD:
            raise
    if not data:
        raise ComposeError("the process that loads the project died", hint="is there enough memory?")
    answer: dict[str, Any] = json.loads(data)
    if "problems" in answer:
        raise LoadError([_problem(item) for item in answer["problems"]])
    if "error" in answer:
        kind = SelectionError if answer.get("selection") else ComposeError
        raise kind(answer["error"], hint=answer["hint"])
    return answer


def _problem(item: list[Any]) -> Problem:
    message, origin, path, hint, snippet = item
    return Problem(message, Origin(*origin) if origin else None, path, hint, snippet)


def _load_and_exit(options: LoadOptions, writer: int) -> NoReturn:
    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        data = json.dumps(_load(options)).encode()
        with os.fdopen(writer, "wb") as stream:
            stream.write(data)
        code = 0
    except Exception:
        import traceback

        traceback.print_exc()
    finally:
        os._exit(code)


def _load(options: LoadOptions) -> dict[str, Any]:
    from composer.load.pipeline import load_project
    from composer.translate import translate_project

    try:
        result = load_project(options)
        desired = translate_project(result)
    except LoadError as error:
        return {"problems": [list(problem) for problem in error.problems]}
    except ComposeError as error:
        message = f"{error.origin}: {error}" if error.origin else str(error)
        return {"error": message, "hint": error.hint, "selection": isinstance(error, SelectionError)}
    return {
        "desired": to_json(desired),
        "inputs": [path for path, _ in result.inputs],
        "variables": list(result.variables),
    }
