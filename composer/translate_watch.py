"""`develop.watch` of a service as what `watch` works with. Pure."""

from typing import Any

from composer.model.parts import WatchRule
from composer.model.service import Service


def translate_watch(service: Service) -> tuple[dict[str, Any], ...]:
    """The rules in JSON form; what is not given is left out."""
    return tuple(_rule(rule) for rule in service.develop.watch) if service.develop else ()


def _rule(rule: WatchRule) -> dict[str, Any]:
    out: dict[str, Any] = {"path": rule.path, "action": rule.action}
    for key, value in (("target", rule.target), ("initial_sync", rule.initial_sync)):
        if value:
            out[key] = value
    for key, patterns in (("ignore", rule.ignore), ("include", rule.include)):
        if patterns:
            out[key] = list(patterns)
    if rule.exec is not None:
        out["exec"] = {
            "command": list(rule.exec.command or ()),
            "user": rule.exec.user,
            "privileged": rule.exec.privileged,
            "working_dir": rule.exec.working_dir,
            "environment": [f"{k}={v}" for k, v in rule.exec.environment.items() if v is not None],
        }
    return out
