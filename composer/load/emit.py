"""The tree that `config` prints, from the canonical one: numbers as text again, nothing that says nothing. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from composer.load.kinds import KINDS, format_kind
from composer.load.merge import KEYED
from composer.load.normalize import NAMED_SECTIONS
from composer.load.origins import Path
from composer.load.rules import RuleTable, words
from composer.load.select import used_resources

# Maps whose keys are the user's: every value of them is kept as it is.
USER_MAPS = (
    *KEYED,
    *words(
        "services.*.build.args services.*.storage_opt services.*.logging.options services.*.depends_on"
        " services.*.networks services.*.networks.*.driver_opts services.*.models services.*.ulimits"
        " services.*.build.ulimits services.*.provider.options services.*.gpus.*.options"
        " services.*.deploy.resources.reservations.devices.*.options networks.*.driver_opts"
        " networks.*.ipam.config.*.aux_addresses volumes.*.driver_opts secrets.*.driver_opts"
        " services networks volumes secrets configs models"
    ),
)
_USER: RuleTable[bool] = RuleTable(dict.fromkeys(USER_MAPS, True))
# Values that mean something even when they are 0, false or empty, and parts that are printed once they are given.
_KEEP: RuleTable[bool] = RuleTable(
    dict.fromkeys(
        words(
            "services.*.command services.*.entrypoint services.*.init services.*.scale services.*.attach"
            " services.*.deploy services.*.deploy.replicas services.*.deploy.resources.limits"
            " services.*.deploy.resources.reservations services.*.deploy.update_config"
            " services.*.deploy.update_config.parallelism services.*.deploy.rollback_config"
            " services.*.deploy.rollback_config.parallelism services.*.deploy.restart_policy"
            " services.*.deploy.restart_policy.max_attempts services.*.healthcheck services.*.healthcheck.retries"
            " services.*.logging services.*.build services.*.develop services.*.develop.watch.*.exec"
            " services.*.blkio_config.device_read_bps.*.path services.*.blkio_config.device_read_iops.*.path"
            " services.*.blkio_config.device_write_bps.*.path services.*.blkio_config.device_write_iops.*.path"
            " services.*.blkio_config.weight_device.*.path"
            " services.*.credential_spec services.*.blkio_config services.*.provider services.*.depends_on.*.required"
            " services.*.volumes.*.bind services.*.volumes.*.volume services.*.volumes.*.tmpfs"
            " services.*.volumes.*.image networks.*.enable_ipv4 networks.*.enable_ipv6 services.*.ports.*.target"
            " services.*.post_start.*.command services.*.pre_stop.*.command"
            " services.*.pre_start.*.command"
            " services.*.build.context services.*.build.dockerfile"
            " configs.*.content"
            " services.*.ulimits.*.soft services.*.ulimits.*.hard"
            " services.*.build.ulimits.*.soft services.*.build.ulimits.*.hard"
        ),
        True,
    )
)
_ZERO_OMITTED: RuleTable[bool] = RuleTable(
    {
        f"services.*.deploy.{part}.{key}": True
        for part in ("update_config", "rollback_config")
        for key in ("delay", "monitor")
    }
)
_DROP = ("env_file", "label_file")


def emit(
    tree: Mapping[str, Any], services: Iterable[str], *, double_dollars: bool, all_resources: bool
) -> dict[str, Any]:
    """The printable tree of the given services and, unless `all_resources`, of what they use."""
    names = list(services)
    used = used_resources(tree, names)
    out: dict[str, Any] = {"name": tree["name"], "services": {}}
    for name in names:
        service = {k: v for k, v in tree["services"][name].items() if k not in _DROP}
        out["services"][name] = _plain(service, ("services", name), double_dollars)
    for section in (*NAMED_SECTIONS, "models"):
        keys = used[section]
        items = tree.get(section) or {}
        chosen = {key: item for key, item in items.items() if all_resources or key in keys}
        if chosen:
            out[section] = {
                key: _resource(tree["name"], section, key, item, double_dollars)
                for key, item in chosen.items()
            }
    for key, item in tree.items():
        if key.startswith("x-"):
            out[key] = _text(item, double_dollars)
    return out


def _resource(project: str, section: str, key: str, item: Any, double: bool) -> dict[str, Any]:
    shown: dict[str, Any] = _plain(item or {}, (section, key), double)
    if section == "models" and shown.get("name") == f"{project}_{key}":
        del shown["name"]
    return shown


def _plain(value: Any, path: Path, double: bool) -> Any:
    kind = KINDS.find(path)
    if kind is not None and isinstance(value, int):
        return None if value == 0 and _ZERO_OMITTED.find(path) else format_kind(kind, value)
    if isinstance(value, list):
        return [_plain(item, (*path, index), double) for index, item in enumerate(value)]
    if not isinstance(value, dict):
        return _text(value, double)
    user = _USER.find(path)
    out: dict[str, Any] = {}
    for key, item in value.items():
        if key.startswith("x-") and not user:
            out[key] = _text(item, double)
            continue
        inner = (*path, key)
        shown = _plain(item, inner, double)
        if user or not _empty(shown) or (_KEEP.find(inner) and item is not None):
            out[key] = shown
    if path[-1] == "ssh" and "build" in path:
        return [key if item is None else f"{key}={item}" for key, item in out.items()]
    return out


def _empty(value: Any) -> bool:
    return value is None or value is False or value == "" or value == 0 or value in ([], {})


def _text(value: Any, double: bool) -> Any:
    if isinstance(value, str):
        return value.replace("$", "$$") if double else value
    if isinstance(value, list):
        return [_text(item, double) for item in value]
    if isinstance(value, dict):
        return {key: _text(item, double) for key, item in value.items()}
    return value


def raw_tree(tree: Mapping[str, Any]) -> dict[str, Any]:
    """The tree for `config --no-interpolate`: long forms, every resource, values as written."""
    for key, model in (tree.get("models") or {}).items():
        if model.get("name") == f"{tree['name']}_{key}":
            del model["name"]
    order = ("name", "services", "networks", "volumes", "secrets", "configs", "models")
    return {
        **{key: tree[key] for key in order if tree.get(key) is not None},
        **{k: v for k, v in tree.items() if k not in order and k != "version"},
    }
