"""Which attributes take a number or a truth value, so that text given for them is converted. Pure.

Only text is converted (a literal number is already one); the conversion happens with the interpolation, because
that is where text for such an attribute comes from.
"""

from collections.abc import Callable

from composer.load.rules import RuleTable, words
from composer.values import parse_float, parse_int

_TRUE = {"true", "y", "yes", "on"}
_FALSE = {"false", "n", "no", "off"}


def parse_bool(text: str) -> bool:
    """A truth value in any of YAML 1.1's words. Raises ValueError."""
    word = text.lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError(f"{text!r} is not true or false")


Caster = Callable[[str], int | float | bool]

_INT = words(
    "services.*.cpu_count services.*.cpu_period services.*.cpu_quota services.*.cpu_rt_period"
    " services.*.cpu_rt_runtime services.*.cpu_shares services.*.deploy.replicas"
    " services.*.deploy.update_config.parallelism services.*.deploy.rollback_config.parallelism"
    " services.*.deploy.restart_policy.max_attempts services.*.deploy.placement.max_replicas_per_node"
    " services.*.deploy.resources.reservations.generic_resources.*.discrete_resource_spec.value"
    " services.*.deploy.resources.limits.pids services.*.healthcheck.retries services.*.oom_score_adj"
    " services.*.pids_limit services.*.ports.*.target services.*.scale services.*.ulimits.*"
    " services.*.ulimits.*.soft services.*.ulimits.*.hard services.*.build.ulimits.*"
    " services.*.build.ulimits.*.soft services.*.build.ulimits.*.hard services.*.networks.*.priority"
    " services.*.networks.*.gw_priority"
)
_FLOAT = words(
    "services.*.cpus services.*.cpu_percent services.*.deploy.resources.limits.cpus"
    " services.*.deploy.resources.reservations.cpus services.*.deploy.update_config.max_failure_ratio"
    " services.*.deploy.rollback_config.max_failure_ratio"
)
_BOOL = words(
    "services.*.init services.*.privileged services.*.read_only services.*.stdin_open services.*.tty"
    " services.*.attach services.*.use_api_socket services.*.oom_kill_disable services.*.healthcheck.disable"
    " services.*.depends_on.*.required services.*.depends_on.*.restart services.*.env_file.*.required"
    " services.*.volumes.*.read_only services.*.volumes.*.bind.create_host_path"
    " services.*.volumes.*.volume.nocopy services.*.build.no_cache services.*.build.privileged"
    " services.*.build.pull services.*.post_start.*.privileged services.*.pre_stop.*.privileged"
    " services.*.pre_start.*.privileged services.*.pre_start.*.per_replica"
    " networks.*.external networks.*.internal networks.*.attachable networks.*.enable_ipv4 networks.*.enable_ipv6"
    " volumes.*.external secrets.*.external configs.*.external"
)

CASTS: RuleTable[Caster] = RuleTable(
    {
        **dict.fromkeys(_INT, parse_int),
        **dict.fromkeys(_FLOAT, parse_float),
        **dict.fromkeys(_BOOL, parse_bool),
    }
)
