"""ResourceLimits -> OCI resources, with Docker's device rules. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from runtime.errors import InvalidError
from runtime.oci.container_spec import BlockLimits, ResourceLimits
from runtime.oci.devices import DENY_ALL, standard_device_rules
from runtime.oci.spec import Cpu, DeviceRule, LinuxResources, Memory

if TYPE_CHECKING:
    from runtime.oci.spec_extra import BlockIO

_DEFAULT_PERIOD_US = 100_000
_MIN_MEMORY_BYTES = 6 << 20
LARGEST = (1 << 63) - 1  # what the kernel's files take


def plan_resources(
    limits: ResourceLimits,
    *,
    privileged: bool,
    device_rules: Sequence[DeviceRule] = (),
    block: BlockLimits = BlockLimits(),  # noqa: B008 (a tuple)
    block_numbers: Mapping[str, tuple[int, int]] | None = None,
) -> LinuxResources:
    """cgroup limits in OCI's words. `block_numbers` are (major, minor) of the devices that `block` names.

    Raises InvalidError for limits that contradict each other.
    """
    _check_range(limits)
    resources: LinuxResources = {
        "devices": [*_device_rules(privileged), *(() if privileged else device_rules)]
    }
    block_io = _block_io(block, block_numbers or {})
    if block_io:
        resources["blockIO"] = block_io
    memory = _memory(limits)
    if memory:
        resources["memory"] = memory
    cpu = _cpu(limits)
    if cpu:
        resources["cpu"] = cpu
    if limits.pids_limit > 0:
        resources["pids"] = {"limit": limits.pids_limit}
    return resources


def _device_rules(privileged: bool) -> list[DeviceRule]:
    if privileged:
        return [{"allow": True, "access": "rwm"}]
    return [DENY_ALL, *standard_device_rules()]


def _check_range(limits: ResourceLimits) -> None:
    for name, value in limits._asdict().items():
        if isinstance(value, int) and not -1 <= value <= LARGEST:
            raise InvalidError(f"{name} {value} is out of range", hint=f"-1 to {LARGEST}")


def _block_io(limits: BlockLimits, numbers: Mapping[str, tuple[int, int]]) -> BlockIO:
    """blkio_config; weights of 10 to 1000 as Docker has them."""
    block: dict[str, Any] = {}
    for weight in (limits.weight, *(value for _, value in limits.weight_devices)):
        if weight and not 10 <= weight <= 1000:
            raise InvalidError(f"block I/O weight {weight} is out of range", hint="10 to 1000")
    if limits.weight:
        block["weight"] = limits.weight
    if limits.weight_devices:
        block["weightDevice"] = [
            {"major": numbers[path][0], "minor": numbers[path][1], "weight": value}
            for path, value in limits.weight_devices
        ]
    for key, group in (
        ("throttleReadBpsDevice", limits.read_bps),
        ("throttleReadIOPSDevice", limits.read_iops),
        ("throttleWriteBpsDevice", limits.write_bps),
        ("throttleWriteIOPSDevice", limits.write_iops),
    ):
        if group:
            block[key] = [
                {"major": numbers[path][0], "minor": numbers[path][1], "rate": rate} for path, rate in group
            ]
    return cast("BlockIO", block)


def _memory(limits: ResourceLimits) -> Memory:
    memory: Memory = {}
    if limits.memory_bytes:
        if limits.memory_bytes < _MIN_MEMORY_BYTES:
            raise InvalidError(
                f"memory limit of {limits.memory_bytes} bytes is too small", hint="at least 6 MiB"
            )
        memory["limit"] = limits.memory_bytes
        # Docker: without a word about swap, as much swap as memory.
        memory["swap"] = limits.memory_swap_bytes or 2 * limits.memory_bytes
        if 0 < memory["swap"] < limits.memory_bytes:
            raise InvalidError(
                f"memory plus swap ({memory['swap']} bytes) is below the memory limit",
                hint="memswap_limit counts both: equal to mem_limit means no swap",
            )
    elif limits.memory_swap_bytes > 0:
        raise InvalidError("a limit of memory plus swap needs a memory limit", hint="set mem_limit as well")
    if limits.memory_reservation_bytes:
        if limits.memory_bytes and limits.memory_reservation_bytes > limits.memory_bytes:
            raise InvalidError("the memory reservation is above the memory limit")
        memory["reservation"] = limits.memory_reservation_bytes
    if limits.memory_swappiness is not None and limits.memory_swappiness >= 0:
        if limits.memory_swappiness > 100:
            raise InvalidError(f"memory swappiness {limits.memory_swappiness} is not between 0 and 100")
        memory["swappiness"] = limits.memory_swappiness
    if limits.oom_kill_disable:
        memory["disableOOMKiller"] = True
    return memory


def _cpu(limits: ResourceLimits) -> Cpu:
    cpu: Cpu = {}
    if limits.cpu_shares:
        cpu["shares"] = limits.cpu_shares
    if limits.nano_cpus:
        if limits.cpu_quota_us or limits.cpu_period_us:
            raise InvalidError("cpus and cpu_quota or cpu_period contradict each other", hint="give only one")
        cpu["period"] = _DEFAULT_PERIOD_US
        cpu["quota"] = max(1000, limits.nano_cpus * _DEFAULT_PERIOD_US // 1_000_000_000)
    else:
        if limits.cpu_period_us:
            cpu["period"] = limits.cpu_period_us
        if limits.cpu_quota_us:
            cpu["quota"] = limits.cpu_quota_us
    if limits.cpu_rt_period_us:
        cpu["realtimePeriod"] = limits.cpu_rt_period_us
    if limits.cpu_rt_runtime_us:
        cpu["realtimeRuntime"] = limits.cpu_rt_runtime_us
    if limits.cpuset_cpus:
        cpu["cpus"] = limits.cpuset_cpus
    if limits.cpuset_mems:
        cpu["mems"] = limits.cpuset_mems
    return cpu
