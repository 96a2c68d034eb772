"""Short forms to long forms, on a tree that has passed the schema (Compose spec 05-services). Pure.

One row per attribute that has a short form; a value already in its long form is left alone, so that the stage can
run after every file.
"""

from collections.abc import Callable
from typing import Any

from composer.errors import LoadError
from composer.load.merge import KEYED, Pair, as_keys, as_list, as_mapping
from composer.load.mounts import parse_mount
from composer.load.origins import Document, Marks, Path, Report
from composer.load.ports import count_ports, parse_ports
from composer.load.rules import RuleTable, words
from composer.values import format_scalar

_MAX_PORTS = 3 * 65536  # every port of every protocol
Form = Callable[[Pair], Pair]


class _PartError(ValueError):
    """Bad short forms inside the value that is being converted: what is wrong with each and its keys."""

    def __init__(self, *parts: tuple[str, Path]) -> None:
        super().__init__(parts[0][0])
        self.parts = parts


def canonicalize(document: Document, report: Report, *, raw: bool = False) -> Document:
    """The tree in long forms, with marks moved along. Bad short forms are problems.

    `raw`: variables are not replaced, so that only forms that do not depend on their values are made, and values
    stay what they are. Raises LoadError for more ports than a project may have.
    """
    _limit_ports(document)
    marks = document.marks.copy()
    forms = RAW_FORMS if raw else FORMS
    return Document(_walk(document.value, marks, (), report, forms), marks, document.resets)


def _limit_ports(document: Document) -> None:
    """Short forms of a few bytes stand for thousands of ports: they are counted before they are expanded."""
    report = Report()
    total = 0
    for name, service in (document.value.get("services") or {}).items():
        for index, item in enumerate(service.get("ports") or () if isinstance(service, dict) else ()):
            total += count_ports(item) if isinstance(item, str) else 1
            if total > _MAX_PORTS:
                message = f"the project has more than {_MAX_PORTS} ports"
                report.add(message, ("services", name, "ports", index), document.marks)
                raise LoadError(report.problems)


def _walk(value: Any, marks: Marks, path: Path, report: Report, forms: RuleTable[Form]) -> Any:
    form = forms.find(path)
    if form is not None:
        try:
            value, moved = form((value, marks))
            marks.children = moved.children
        except ValueError as error:
            for message, keys in error.parts if isinstance(error, _PartError) else ((str(error), ()),):
                report.add_at(message, (*path, *keys), marks.at(keys))
    if isinstance(value, dict):
        return {
            key: _walk(item, _own(marks, key), (*path, key), report, forms) for key, item in value.items()
        }
    if isinstance(value, list):
        return [
            _walk(item, _own(marks, index), (*path, index), report, forms) for index, item in enumerate(value)
        ]
    return value


def _own(marks: Marks, key: str | int) -> Marks:
    return marks.children.setdefault(key, Marks(marks.origin))


def _single(convert: Callable[[Any], Any]) -> Form:
    def form(pair: Pair) -> Pair:
        return convert(pair[0]), pair[1]

    return form


def _keyed_text(pair: Pair) -> Pair:
    """Values as text; None is kept (a variable to be taken from the shell)."""
    value, marks = as_mapping(pair)
    if isinstance(value, dict):
        for key in value:
            if key != key.rstrip():
                raise _PartError((f"the name {key!r} ends with a space", (key,)))
        value = {key: None if item is None else format_scalar(item) for key, item in value.items()}
    return value, marks


def _keyed_label(pair: Pair) -> Pair:
    value, marks = _keyed_text(pair)
    return ({k: v or "" for k, v in value.items()} if isinstance(value, dict) else value), marks


def _contexts(pair: Pair) -> Pair:
    value, marks = _keyed_text(pair)
    for key, item in value.items() if isinstance(value, dict) else ():
        if item is None:
            raise _PartError((f"the context {key!r} says not where it is; write {key}=PATH", (key,)))
    return value, marks


def _ssh(pair: Pair) -> Pair:
    """A list names agents' sockets; only `default` goes without one."""
    for index, item in enumerate(pair[0] if isinstance(pair[0], list) else ()):
        if item != "default" and "=" not in str(item):
            raise _PartError((f"the ssh key {item!r} has no path; write {item}=PATH, or default", (index,)))
    return as_mapping(pair)


def _options(value: Any) -> Any:
    return {key: format_scalar(item) for key, item in value.items()} if isinstance(value, dict) else value


def _strings(value: Any) -> Any:
    return [format_scalar(item) for item in value] if isinstance(value, list) else value


def _build(value: Any) -> Any:
    return {"context": value} if isinstance(value, str) else value


def _depends(pair: Pair) -> Pair:
    value, marks = as_keys(pair)
    if not isinstance(value, dict):
        return value, marks
    if isinstance(pair[0], list):
        return {key: {"condition": "service_started", "required": True} for key in value}, marks
    return {k: {"required": True, **v} if isinstance(v, dict) else v for k, v in value.items()}, marks


def _ports(pair: Pair, raw: bool = False) -> Pair:
    value, marks = pair
    out: list[Any] = []
    children: dict[str | int, Marks] = {}
    wrong: list[tuple[str, Path]] = []
    for index, item in enumerate(value if isinstance(value, list) else ()):
        try:
            entries = _port(item, raw)
        except ValueError as error:
            wrong.append((str(error), (index,)))
            continue
        for entry in entries:
            children[len(out)] = marks.child(index)
            out.append(entry)
    if wrong:
        raise _PartError(*wrong)
    return out, marks.holding(children)


def _port(item: Any, raw: bool) -> list[Any]:
    if isinstance(item, float):
        raise ValueError(f"the port {item} is not a whole number")
    if isinstance(item, str | int) and not isinstance(item, bool):
        return list(parse_ports(str(item)))
    if not isinstance(item, dict):
        return [item]
    entry = {"mode": "ingress", "protocol": "tcp", **item}
    if "published" in item and not raw:
        entry["published"] = format_scalar(item["published"])
    return [entry]


def _mount(value: Any) -> Any:
    return parse_mount(value) if isinstance(value, str) else value


def _device(value: Any) -> Any:
    if not isinstance(value, str):
        return (
            {"permissions": "rwm", "target": value.get("source"), **value}
            if isinstance(value, dict)
            else value
        )
    source, *rest = value.split(":")
    if len(rest) > 2:
        raise ValueError(f"the device {value!r} has too many colons")
    target = rest[0] if rest else source
    return {"source": source, "target": target, "permissions": rest[1] if len(rest) == 2 else "rwm"}


def _grant(value: Any) -> Any:
    return {"source": value} if isinstance(value, str) else value


def _env_file(value: Any) -> Any:
    if isinstance(value, str):
        return {"path": value, "required": True}
    return {"required": True, **value} if isinstance(value, dict) else value


def _dns(pair: Pair) -> Pair:
    value, marks = as_list(pair)
    return ([item for item in value if item != ""] if isinstance(value, list) else value), marks


def _hosts(pair: Pair) -> Pair:
    """A list of NAME=ADDRESS, sorted; brackets of IPv6 addresses removed."""
    value, marks = pair
    found: list[tuple[str, str | int]] = []
    entries: list[tuple[str | int, str, Any]] = []
    if isinstance(value, dict):
        entries = [(k, k, a) for k, v in value.items() for a in (v if isinstance(v, list) else [v])]
    else:
        for index, item in enumerate(value or ()):
            cut = "=" if "=" in item else ":"
            name, separator, address = item.partition(cut)
            if not name:
                raise _PartError((f"{item!r} has no name; write NAME=ADDRESS", (index,)))
            if not separator:
                raise _PartError((f"{item!r} has no address; write NAME=ADDRESS", (index,)))
            entries.append((index, name, address))
    for key, name, address in entries:
        text = format_scalar(address)
        if text.startswith("[") and text.endswith("]"):
            text = text[1:-1]
        found.extend((f"{name}={part}", key) for part in text.split(","))
    found.sort(key=lambda pair: pair[0])
    children: dict[str | int, Marks] = {i: marks.child(key) for i, (_, key) in enumerate(found)}
    return [text for text, _ in found], marks.holding(children)


def _gpus(value: Any) -> Any:
    return [{"count": "all"}] if value == "all" else value


def _count(value: Any) -> Any:
    if value == "all":
        return -1
    if isinstance(value, str):
        if not value.lstrip("-").isdigit():
            raise ValueError(f"{value!r} is neither a number nor 'all'")
        return int(value)
    return value


def _external(value: Any) -> Any:
    """{external: {name: N}} is the older spelling of {external: true, name: N}."""
    if not isinstance(value, dict) or not isinstance(value.get("external"), dict):
        return value
    legacy = value["external"].get("name")
    if legacy and value.get("name") and value["name"] != legacy:
        raise ValueError("`name` and `external.name` differ; use only `name`")
    return {**value, "external": True, **({"name": legacy} if legacy else {})}


def _test(value: Any) -> Any:
    if isinstance(value, str):
        return ["CMD-SHELL", value]
    if isinstance(value, list) and value and value[0] not in ("NONE", "CMD", "CMD-SHELL"):
        raise ValueError(f"a test starts with CMD, CMD-SHELL or NONE, not {value[0]!r}")
    return value


def _provider_options(value: Any) -> Any:
    if not isinstance(value, dict):
        return value
    return {k: _strings(v) if isinstance(v, list) else [format_scalar(v)] for k, v in value.items()}


_LABELS = [row for row in KEYED if row.endswith("labels")]
_HOOKS = (
    "services.*.pre_start.*",
    "services.*.post_start.*",
    "services.*.pre_stop.*",
    "services.*.develop.watch.*.exec",
)

FORMS: RuleTable[Form] = RuleTable(
    {
        **dict.fromkeys(KEYED, _keyed_text),
        **dict.fromkeys(_LABELS, _keyed_label),
        "services.*.annotations": _keyed_label,
        "services.*.sysctls": _keyed_label,
        "services.*.build": _single(_build),
        "services.*.build.additional_contexts": _contexts,
        "services.*.build.ssh": _ssh,
        "services.*.build.extra_hosts": _hosts,
        "services.*.build.no_cache_filter": as_list,
        "services.*.build.secrets.*": _single(_grant),
        "services.*.build.provenance": _single(format_scalar),
        "services.*.build.sbom": _single(format_scalar),
        "services.*.configs.*": _single(_grant),
        "services.*.depends_on": _depends,
        "services.*.deploy.resources.reservations.devices.*.count": _single(_count),
        "services.*.deploy.resources.reservations.devices.*.options": _keyed_label,
        "services.*.develop.watch.*.ignore": as_list,
        "services.*.develop.watch.*.include": as_list,
        "services.*.devices.*": _single(_device),
        "services.*.dns": _dns,
        "services.*.dns_search": as_list,
        "services.*.env_file": as_list,
        "services.*.env_file.*": _single(_env_file),
        "services.*.expose": _single(_strings),
        "services.*.extra_hosts": _hosts,
        "services.*.gpus": _single(_gpus),
        "services.*.gpus.*.count": _single(_count),
        "services.*.gpus.*.options": _keyed_label,
        "services.*.group_add": _single(_strings),
        "services.*.healthcheck.test": _single(_test),
        "services.*.label_file": as_list,
        "services.*.logging.options": _single(_options),
        "services.*.models": as_keys,
        "services.*.networks": as_keys,
        "services.*.networks.*.driver_opts": _single(_options),
        "services.*.ports": _ports,
        "services.*.provider.options": _single(_provider_options),
        "services.*.secrets.*": _single(_grant),
        "services.*.storage_opt": _single(_options),
        "services.*.tmpfs": as_list,
        "services.*.volumes.*": _single(_mount),
        "networks.*": _single(_external),
        "networks.*.driver_opts": _single(_options),
        "volumes.*": _single(_external),
        "volumes.*.driver_opts": _single(_options),
        "secrets.*": _single(_external),
        "secrets.*.driver_opts": _single(_options),
        "configs.*": _single(_external),
    }
)


def _ports_or_raw(pair: Pair) -> Pair:
    """Long forms, or the list as it is where a variable stands for a part of one."""
    try:
        return _ports(pair, raw=True)
    except ValueError:
        return [_port(item, True)[0] if isinstance(item, dict) else item for item in pair[0]], pair[1]


# What the reference brings to its long form although variables are not replaced.
_RAW_ROWS = words(
    "services.*.build services.*.build.secrets.* services.*.configs.* services.*.depends_on services.*.devices.*"
    " services.*.dns services.*.env_file services.*.env_file.* services.*.gpus services.*.label_file services.*.models"
    " services.*.networks services.*.secrets.* services.*.volumes.* services.*.build.provenance"
    " services.*.build.sbom networks.* volumes.* secrets.* configs.*"
)
RAW_FORMS: RuleTable[Form] = RuleTable(
    {
        **{row: form for row in _RAW_ROWS if (form := FORMS.find(tuple(row.split(".")))) is not None},
        "services.*.build.additional_contexts": as_mapping,
        "services.*.build.ssh": _ssh,
        "services.*.ports": _ports_or_raw,
    }
)

COMMANDS: RuleTable[bool] = RuleTable(
    {
        "services.*.command": True,
        "services.*.entrypoint": True,
        **{f"{hook}.command": True for hook in _HOOKS},
    }
)
