"""Gets the `Desired` of a project: from the cache, or from a child that loads, validates and translates it.

The child's imports (YAML, JSON Schema, networkx) never reach this process, from which shims are forked.
"""

import errno
import gc
import json
import os
from typing import Any, NoReturn

from composer.cli import load_cache
from composer.errors import ComposeError, LoadError, NoFileError, Origin, Problem, SelectionError
from composer.load.options import LoadOptions
from composer.plan.desired import Desired, from_json, to_json


def load_desired(options: LoadOptions, cache: str) -> Desired:
    """The project as the planner wants it. `cache` is a folder, "" = none. Raises LoadError, ComposeError."""
    path = load_cache.entry(cache, "plan", options)
    found = load_cache.look_up(path, options)
    if found is not None:
        try:
            return from_json(found)
        except (ValueError, TypeError, KeyError):
            pass  # damaged: it is made anew
    started_ns = load_cache.now_ns()
    answer = _load_in_child(options)
    load_cache.keep(path, options, started_ns, answer["inputs"], answer["variables"], answer["desired"])
    return from_json(answer["desired"])


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
        problems = [_problem(item) for item in answer["problems"]]
        raise NoFileError(problems) if answer["no_file"] else LoadError(problems)
    if "error" in answer:
        kind = SelectionError if answer.get("selection") else ComposeError
        raise kind(answer["error"], hint=answer["hint"])
    return answer


def _problem(item: list[Any]) -> Problem:
    message, origin, path, hint, snippet = item
    return Problem(message, Origin(*origin) if origin else None, path, hint, snippet)


def _load_and_exit(options: LoadOptions, writer: int) -> NoReturn:
    import signal

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
    from composer.load.contents import load_contents
    from composer.load.pipeline import load_project
    from composer.translate import translate_project

    gc.disable()  # trees have no cycles to look for, and this process ends soon
    try:
        result = load_project(options)
        contents = load_contents(result)
        desired = translate_project(result, contents.items)
        if any(service.provider for service in desired.services):
            known = result.sources.environment
            desired = desired._replace(
                environment={name: known[name] for name in known.keys() - options.environ.keys()}
            )
    except LoadError as error:
        problems = [list(problem) for problem in error.problems]
        return {"problems": problems, "no_file": isinstance(error, NoFileError)}
    except ComposeError as error:
        message = f"{error.origin}: {error}" if error.origin else str(error)
        return {"error": message, "hint": error.hint, "selection": isinstance(error, SelectionError)}
    return {
        "desired": to_json(desired),
        "inputs": [*(path for path, _ in result.sources.inputs), *contents.inputs],
        "variables": [*result.sources.variables, *contents.variables],
    }
