"""`--format`: the words that a command has for it, or a Go template. Light as long as no template is given. Pure."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from composer.errors import ComposeError
from composer.output.tables import render_table

if TYPE_CHECKING:
    from composer.output.template import Record

# What these names stand for is a map in Docker's API, not an object with fixed fields: a key may be missing.
_MAPS = frozenset((
    "Annotations", "AuxiliaryAddresses", "Containers", "DriverOpts", "ExposedPorts", "Labels", "Networks", "Options",
    "PortBindings", "Ports", "Sysctls", "Tmpfs", "Volumes",
))  # fmt: skip
_LISTS = frozenset((
    "Binds", "CapAdd", "CapDrop", "Cmd", "Entrypoint", "Env", "ExtraHosts", "GroupAdd", "OnBuild", "RepoDigests",
    "RepoTags", "SecurityOpt", "Shell", "VolumesFrom",
))  # fmt: skip
# Fields that an object may be without.
_OPTIONAL: Mapping[str, Sequence[str]] = {
    "State": ("Health",),
    "Config": (
        "Cmd", "Domainname", "Entrypoint", "Env", "ExposedPorts", "Healthcheck", "Hostname", "Labels", "OnBuild",
        "Shell", "StopSignal", "StopTimeout", "User", "Volumes", "WorkingDir",
    ),
}  # fmt: skip

_MIN_WIDTH = 10
_GAP = 3


def is_template(format: str) -> bool:
    """Whether this is a template, or `table` and one."""
    return "{{" in format or format.startswith("table ")


def check_format(format: str, words: Sequence[str] = ("table", "json")) -> None:
    """Raises ComposeError for what is neither one of `words` nor a template."""
    if format not in words and not is_template(format):
        raise ComposeError(
            f"--format {format!r} is not one of {', '.join(words)}",
            hint="or a Go template, such as '{{.Name}}'",
        )


def format_list(
    format: str,
    rows: Sequence[Mapping[str, Any]],
    headings: Mapping[str, str],
    columns: Sequence[str],
    labels: Sequence[Mapping[str, str]] = (),
) -> list[str]:
    """The lines of a list: a table of `columns`, `json` objects, or what a template makes of rows.

    `headings`: field -> heading. `labels`: those of each row, which a template asks for one by one (`.Label "name"`).
    Raises ComposeError.
    """
    if format == "json":
        return [json.dumps(row) for row in rows]
    if format == "table":
        cells = [[str(row[column]) for column in columns] for row in rows]
        return [render_table([headings[column] for column in columns], cells)]
    methods = [{"Label": _label_method(found)} for found in labels] if labels else [{}] * len(rows)
    return format_rows(
        format, [{**row, **method} for row, method in zip(rows, methods, strict=True)], headings
    )


def _label_method(labels: Mapping[str, str]) -> Callable[[str], str]:
    return lambda name: labels.get(name, "")


def format_rows(format: str, rows: Iterable[Mapping[str, Any]], headings: Mapping[str, str]) -> list[str]:
    """The lines that a template makes of rows; after `table ` in columns below `headings` (field -> heading).

    Raises ComposeError.
    """
    from composer.output.template import TemplateError, parse_template, render

    is_table = format.startswith("table ")
    text = (
        (format[len("table") :] if is_table else format).strip(" ").replace("\\t", "\t").replace("\\n", "\n")
    )
    try:
        nodes = parse_template(text)
        lines = [render(nodes, {"Label": _label_heading, **headings}, _on_headings)] if is_table else []
        lines += [render(nodes, to_record(row)) for row in rows]
    except TemplateError as error:
        raise _explain(text, error) from None
    return _columns(lines) if is_table else lines


def _label_heading(name: str) -> str:
    return name.rpartition(".")[2].replace("-", " ").replace("_", " ")


def format_object(format: str, document: Mapping[str, Any]) -> str:
    """What a template makes of one object. Raises ComposeError."""
    from composer.output.template import TemplateError, parse_template, render

    try:
        return render(parse_template(format), to_record(document))
    except TemplateError as error:
        raise _explain(format, error) from None


def format_objects(format: str, documents: Sequence[Mapping[str, Any]]) -> list[str]:
    """The lines of an `inspect`: a JSON list, with the format `json` in one line, or a template's text for each.

    Raises ComposeError.
    """
    if not format:
        return [json.dumps(documents, indent=4)]
    if format == "json":
        return [json.dumps(documents, separators=(",", ":"))]
    return [format_object(format, document) for document in documents]


def to_record(document: Mapping[str, Any], name: str = "") -> "Record":
    """A document of Docker's API for a template; `name` is the field that it stands in."""
    from composer.output.template import Record

    return Record({key: _to_value(value, key) for key, value in document.items()}, _OPTIONAL.get(name, ()))


def _to_value(value: Any, name: str) -> Any:
    from composer.output.template import NIL_LIST

    if isinstance(value, Mapping):
        if name in _MAPS:
            return {key: _to_value(item, "") for key, item in value.items()}
        return to_record(value, name)
    if isinstance(value, list | tuple):
        return [_to_value(item, "") for item in value]
    return NIL_LIST if value is None and name in _LISTS else value


def _on_headings(name: str, arguments: Sequence[Any]) -> Any:
    """Functions that would change or take apart a value leave a heading as it is."""
    from composer.output.template import call

    if name in ("json", "split", "join", "title", "lower", "upper", "truncate") and arguments:
        return arguments[0]
    return call(name, arguments)


def _columns(lines: Sequence[str]) -> list[str]:
    """Cells, which end with a tab, in columns."""
    rows = [line.split("\t") for text in lines for line in text.split("\n")]
    widths: dict[int, int] = {}
    for row in rows:
        for column, cell in enumerate(row[:-1]):
            widths[column] = max(widths.get(column, _MIN_WIDTH), len(cell) + _GAP)
    return [
        "".join(cell.ljust(widths[column]) for column, cell in enumerate(row[:-1])) + row[-1] for row in rows
    ]


def _explain(text: str, error: Any) -> ComposeError:
    where = ""
    if error.offset >= 0:
        before = text[: error.offset]
        line, column = before.count("\n") + 1, error.offset - before.rfind("\n")
        where = f" line {line}," if "\n" in text else ""
        where += f" character {column}:"
    return ComposeError(f"--format:{where or ' '} {error.message}".replace("  ", " "))
