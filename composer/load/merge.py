"""How a later file (or an extending service) is laid over an earlier one (Compose spec 13-merge). Pure.

Mappings merge key by key, lists are appended, scalars are replaced; the table lists what differs. Marks move along:
the winner keeps its place.
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from composer.load.origins import Document, Marks, Path, Report
from composer.load.rules import RuleTable, words
from composer.values import format_scalar

Pair = tuple[Any, Marks]


class Run(NamedTuple):
    """One merge: where problems go, and whether variables have been left in (`raw`), so that lists stay lists."""

    report: Report
    raw: bool = False


Rule = Callable[[Pair, Pair, Path, Run], Pair]


def merge_documents(base: Document, over: Document, run: Run) -> Document:
    """`over` laid over `base`. Kinds that cannot be merged are problems at the later one's place."""
    value, marks = merge((base.value, base.marks), (over.value, over.marks), (), run)
    return Document(value, marks)


def merge(base: Pair, over: Pair, path: Path, run: Run) -> Pair:
    """One value laid over another at `path`; the marks remember both places."""
    value, marks = _merge(base, over, path, run)
    if base[0] is not None and marks is not base[1] and path:
        marks = marks.after(base[1])
    return value, marks


def _merge(base: Pair, over: Pair, path: Path, run: Run) -> Pair:
    rule = RULES.find(path) or _plain
    return rule(base, over, path, run)


def _plain(base: Pair, over: Pair, path: Path, run: Run) -> Pair:
    """Mappings key by key, lists appended, anything else replaced."""
    if base[0] is None:
        return over
    if over[0] is None and isinstance(base[0], dict | list):
        return base
    if isinstance(base[0], dict):
        if not isinstance(over[0], dict):
            return _refuse(base, over, path, run, "a mapping")
        return _merge_mappings(base, over, path, run)
    if isinstance(base[0], list):
        if not isinstance(over[0], list):
            return _refuse(base, over, path, run, "a list")
        return _append(base, over)
    return over


def _refuse(base: Pair, over: Pair, path: Path, run: Run, expected: str) -> Pair:
    where = base[1].origin
    message = f"{expected} is expected, because {where} gives one" if where else f"{expected} is expected"
    run.report.add_at(message, path, over[1].origin, kept=True)
    return base


def _merge_mappings(base: Pair, over: Pair, path: Path, run: Run) -> Pair:
    value = dict(base[0])
    children = dict(base[1].children)
    for key, item in over[0].items():
        pair = (item, over[1].child(key))
        if key in value:
            pair = merge((value[key], base[1].child(key)), pair, (*path, key), run)
        value[key], children[key] = pair
    return value, over[1].holding(children)


def _append(base: Pair, over: Pair) -> Pair:
    children = dict(base[1].children)
    for index in range(len(over[0])):
        children[len(base[0]) + index] = over[1].child(index)
    return base[0] + over[0], base[1].holding(children)


def as_mapping(pair: Pair) -> Pair:
    """`KEY=value` list to mapping (None without `=`), the last of equal keys wins; other kinds stay as they are."""
    value, marks = pair
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return pair
    out: dict[str, Any] = {}
    children: dict[str | int, Marks] = {}
    for index, item in enumerate(value):
        key, equals, text = item.partition("=")
        out[key] = text if equals else None
        children[key] = marks.child(index)
    return out, marks.holding(children)


def as_texts(pair: Pair) -> Pair:
    """A mapping to the `KEY=value` list that means the same, sorted; other kinds stay as they are."""
    value, marks = pair
    if not isinstance(value, dict):
        return pair
    keys = sorted(value, key=lambda key: _text(key, value[key]))
    children: dict[str | int, Marks] = {index: marks.child(key) for index, key in enumerate(keys)}
    return [_text(key, value[key]) for key in keys], marks.holding(children)


def _text(key: str, value: Any) -> str:
    return key if value is None else f"{key}={format_scalar(value)}"


def as_keys(pair: Pair) -> Pair:
    """A list of names to a mapping name -> None; other kinds stay as they are."""
    value, marks = pair
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return pair
    children: dict[str | int, Marks] = {item: marks.child(index) for index, item in enumerate(value)}
    return dict.fromkeys(value), marks.holding(children)


def as_list(pair: Pair) -> Pair:
    """One scalar or mapping to a list of it."""
    value, marks = pair
    if value is None:
        return [], marks
    return pair if isinstance(value, list) else ([value], marks.holding({0: Marks(marks.origin)}))


def _depends(pair: Pair) -> Pair:
    value, marks = as_keys(pair)
    if isinstance(pair[0], list) and isinstance(value, dict):
        return {key: {"condition": "service_started", "required": True} for key in value}, marks
    return value, marks


def _hosts(pair: Pair) -> Pair:
    value, marks = pair
    if not isinstance(value, dict):
        return as_list(pair)
    out: list[Any] = []
    children: dict[str | int, Marks] = {}
    for name, addresses in value.items():
        for address in addresses if isinstance(addresses, list) else [addresses]:
            children[len(out)] = marks.child(name)
            out.append(f"{name}={format_scalar(address)}")
    order = sorted(range(len(out)), key=lambda index: str(out[index]))
    out, children = [out[i] for i in order], {new: children[old] for new, old in enumerate(order)}
    return out, marks.holding(children)


def _build(pair: Pair) -> Pair:
    value, marks = pair
    return (
        ({"context": value}, marks.holding({"context": Marks(marks.origin)}))
        if isinstance(value, str)
        else pair
    )


def _through(convert: Callable[[Pair], Pair]) -> Rule:
    """A rule that brings both sides to one form first, then merges as usual."""

    def rule(base: Pair, over: Pair, path: Path, run: Run) -> Pair:
        if over[0] is None:
            return base
        if base[0] is None:
            return over
        left, right = convert(base), convert(over)
        if isinstance(left[0], dict) and isinstance(right[0], dict):
            return _merge_mappings(left, right, path, run)
        if isinstance(left[0], list) and isinstance(right[0], list):
            return _append(left, right)
        return _refuse(left, right, path, run, "a list" if isinstance(left[0], list) else "a mapping")

    return rule


_as_mappings = _through(as_mapping)
_as_texts = _through(as_texts)


def _keyed(base: Pair, over: Pair, path: Path, run: Run) -> Pair:
    """The later of equal keys wins. With variables left in, the reference gives a list: so do we."""
    return (_as_texts if run.raw else _as_mappings)(base, over, path, run)


def _resource_labels(base: Pair, over: Pair, path: Path, run: Run) -> Pair:
    """With variables left in, lists and mappings are not mixed here."""
    if not run.raw:
        return _as_mappings(base, over, path, run)
    mixed = {type(base[0]), type(over[0])} == {list, dict}
    if mixed or path[0] != "volumes":
        return _plain(base, over, path, run)
    return _as_texts(base, over, path, run)


def _ssh(base: Pair, over: Pair, path: Path, run: Run) -> Pair:
    return (_plain if run.raw else _as_mappings)(base, over, path, run)


def _replace(base: Pair, over: Pair, path: Path, run: Run) -> Pair:
    return over


def _logging(base: Pair, over: Pair, path: Path, run: Run) -> Pair:
    if not isinstance(over[0], dict) or not isinstance(base[0], dict):
        return base if over[0] is None else over
    old, new = base[0].get("driver"), over[0].get("driver")
    return _merge_mappings(base, over, path, run) if not old or not new or old == new else over


def _ulimit(base: Pair, over: Pair, path: Path, run: Run) -> Pair:
    both = isinstance(base[0], dict) and isinstance(over[0], dict)
    return _merge_mappings(base, over, path, run) if both else over


def _ipam_config(base: Pair, over: Pair, path: Path, run: Run) -> Pair:
    """Pools of one subnet are merged, others appended."""
    if not isinstance(base[0], list) or not isinstance(over[0], list):
        return over if over[0] is not None else base
    out, children = list(base[0]), dict(base[1].children)
    subnets = {repr(item.get("subnet")): i for i, item in enumerate(out) if isinstance(item, dict)}
    for index, item in enumerate(over[0]):
        found = subnets.get(repr(item.get("subnet"))) if isinstance(item, dict) else None
        if found is None:
            children[len(out)] = over[1].child(index)
            out.append(item)
            continue
        old = (out[found], base[1].child(found))
        out[found], children[found] = _merge_mappings(old, (item, over[1].child(index)), path, run)
    return out, base[1].holding(children)


KEYED = words(
    "services.*.annotations services.*.build.additional_contexts services.*.build.args services.*.build.labels"
    " services.*.deploy.labels services.*.environment services.*.labels services.*.sysctls services.*.build.ssh"
    " services.*.volumes.*.volume.labels services.*.post_start.*.environment services.*.pre_stop.*.environment"
    " services.*.pre_start.*.environment"
    " services.*.develop.watch.*.exec.environment networks.*.labels volumes.*.labels secrets.*.labels"
    " configs.*.labels"
)
LISTS = words(
    "services.*.dns services.*.dns_opt services.*.dns_search services.*.env_file services.*.label_file"
    " services.*.tmpfs"
)

RULES: RuleTable[Rule] = RuleTable(
    {
        **dict.fromkeys(KEYED, _keyed),
        **dict.fromkeys(("volumes.*.labels", "secrets.*.labels", "configs.*.labels"), _resource_labels),
        "services.*.build.ssh": _ssh,
        **dict.fromkeys(LISTS, _through(as_list)),
        "services.*.build": _through(_build),
        "services.*.build.extra_hosts": _through(_hosts),
        "services.*.extra_hosts": _through(_hosts),
        "services.*.command": _replace,
        "services.*.entrypoint": _replace,
        "services.*.healthcheck.test": _replace,
        "services.*.depends_on": _through(_depends),
        "services.*.networks": _through(as_keys),
        "services.*.models": _through(as_keys),
        "services.*.logging": _logging,
        "services.*.ulimits.*": _ulimit,
        "services.*.build.ulimits.*": _ulimit,
        "networks.*.ipam.config": _ipam_config,
    }
)
