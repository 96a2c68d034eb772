"""What `build --print` shows: the builds of a plan as a bake file (docs.docker.com/build/bake/reference). Pure."""

from collections.abc import Mapping, Sequence
from typing import Any

from composer.plan.action import Kind, Plan

# Fields of a build that a bake target has under another name, or as they are.
_SAME = {
    "context": "context", "dockerfile": "dockerfile", "dockerfile_inline": "dockerfile-inline", "args": "args",
    "labels": "labels", "names": "tags", "cache_from": "cache-from", "cache_to": "cache-to", "target": "target",
    "platforms": "platforms", "additional_contexts": "contexts", "pull": "pull", "no_cache": "no-cache",
    "no_cache_filter": "no-cache-filter", "network": "network", "entitlements": "entitlements",
}  # fmt: skip
_LOCAL_IMAGE = "local-image://"


def bake_file(plan: Plan, *, push: bool) -> dict[str, Any]:
    """One target for each build, all in the group `default`."""
    builds = [action for action in plan.actions if action.kind is Kind.BUILD]
    targets = {action.name: action.service for action in builds}
    return {
        "group": {"default": {"targets": sorted(targets.values())}},
        "target": {action.service: _target(action.spec or {}, targets, push=push) for action in builds},
    }


def _target(spec: Mapping[str, Any], targets: Mapping[str, str], *, push: bool) -> dict[str, Any]:
    found = {bake: spec[ours] for ours, bake in _SAME.items() if spec.get(ours)}
    if "dockerfile-inline" not in found:
        found.setdefault("dockerfile", "Dockerfile")
    if "contexts" in found:
        found["contexts"] = {name: _context(value, targets) for name, value in found["contexts"].items()}
    if spec.get("secrets"):
        found["secret"] = [_secret(*secret) for secret in spec["secrets"]]
    if spec.get("ssh"):
        found["ssh"] = [f"{name}={value}" if value else name for name, value in spec["ssh"].items()]
    if spec.get("shm_size_bytes"):
        found["shm-size"] = str(spec["shm_size_bytes"])
    if spec.get("ulimits"):
        found["ulimits"] = [f"{name}={soft}:{hard}" for name, soft, hard in spec["ulimits"]]
    if spec.get("extra_hosts"):
        found["extra-hosts"] = dict(spec["extra_hosts"])
    if spec.get("privileged"):
        found["entitlements"] = _with(found.get("entitlements", ()), "security.insecure")
    found["output"] = ["type=registry" if push else "type=docker"]
    return found


def _context(value: str, targets: Mapping[str, str]) -> str:
    image = value.removeprefix(_LOCAL_IMAGE)
    if image == value:
        return value
    return f"target:{targets[image]}" if image in targets else f"docker-image://{image}"


def _secret(name: str, file: str = "", environment: str = "") -> str:
    return f"id={name},type=file,src={file}" if file else f"id={name},type=env,env={environment}"


def _with(values: Sequence[str], more: str) -> list[str]:
    return [*values, *([] if more in values else [more])]
