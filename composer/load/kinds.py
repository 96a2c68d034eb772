"""Attributes whose text stands for a number: durations, sizes, file modes. One table for both ways. Pure.

After `parse_kinds` the tree holds durations in nanoseconds, sizes in bytes, modes as numbers and commands as lists;
`format_kind` gives the text that `config` prints.
"""

import math
import re
from typing import Any

from composer.load.canonical import COMMANDS
from composer.load.command_line import split_command
from composer.load.origins import Document, Path, Report
from composer.load.rules import RuleTable, words
from composer.values import format_duration_ns, parse_duration_ns, parse_int, parse_size_bytes

DURATION, SIZE, WHOLE_SIZE, MODE, NUMBER, COUNT = "duration", "size", "whole size", "mode", "number", "count"

_DURATIONS = words(
    "services.*.stop_grace_period services.*.healthcheck.interval services.*.healthcheck.timeout"
    " services.*.healthcheck.start_period services.*.healthcheck.start_interval"
    " services.*.deploy.update_config.delay services.*.deploy.update_config.monitor"
    " services.*.deploy.rollback_config.delay services.*.deploy.rollback_config.monitor"
    " services.*.deploy.restart_policy.delay services.*.deploy.restart_policy.window"
)
_SIZES = words(
    "services.*.mem_limit services.*.mem_reservation services.*.memswap_limit services.*.mem_swappiness"
    " services.*.shm_size services.*.build.shm_size services.*.deploy.resources.limits.memory"
    " services.*.deploy.resources.reservations.memory"
    " services.*.blkio_config.device_read_bps.*.rate services.*.blkio_config.device_read_iops.*.rate"
    " services.*.blkio_config.device_write_bps.*.rate services.*.blkio_config.device_write_iops.*.rate"
)
# Where the schema wants a whole number: one with a fraction or an exponent is one that is too large.
_WHOLE_SIZES = ("services.*.volumes.*.tmpfs.size",)
_MODES = ("services.*.secrets.*.mode", "services.*.configs.*.mode", "services.*.build.secrets.*.mode")
_NUMBERS = ("services.*.blkio_config.weight", "services.*.blkio_config.weight_device.*.weight")
_COUNTS = ("services.*.scale", "services.*.deploy.replicas")

KINDS: RuleTable[str] = RuleTable(
    {
        **dict.fromkeys(_DURATIONS, DURATION),
        **dict.fromkeys(_SIZES, SIZE),
        **dict.fromkeys(_WHOLE_SIZES, WHOLE_SIZE),
        **dict.fromkeys(_MODES, MODE),
        **dict.fromkeys(_NUMBERS, NUMBER),
        **dict.fromkeys(_COUNTS, COUNT),
    }
)


def parse_kinds(document: Document, report: Report) -> Any:
    """A new tree with numbers in place of text. Malformed ones are problems."""
    return _walk(document.value, (), document, report)


def _walk(value: Any, path: Path, document: Document, report: Report) -> Any:
    if isinstance(value, dict):
        return {key: _walk(item, (*path, key), document, report) for key, item in value.items()}
    try:
        if COMMANDS.find(path):
            return split_command(value) if isinstance(value, str) else value
        kind = KINDS.find(path)
        if kind is not None and value is not None:
            return parse_kind(kind, value)
    except ValueError as error:
        report.add(str(error), path, document.marks)
        return None
    if isinstance(value, list):
        return [_walk(item, (*path, index), document, report) for index, item in enumerate(value)]
    return value


def parse_kind(kind: str, value: Any) -> int:
    """The number a value stands for: nanoseconds, bytes or a mode. Raises ValueError."""
    if kind == DURATION:
        return parse_duration_ns(value)
    if kind == COUNT and value < 0:
        raise ValueError(f"{value} is less than 0")
    if kind == NUMBER and isinstance(value, str):
        raise ValueError(f"a number is expected, not the text {value!r}")
    if not isinstance(value, str):
        if kind == SIZE and isinstance(value, float) and math.isfinite(value):
            return 0  # a number with a fraction or an exponent counts for nothing in the reference; `advise` tells
        if not abs(value) < 2**63:
            raise ValueError(f"the number {value} does not fit in 64 bits")
        return int(value)
    if kind in (SIZE, WHOLE_SIZE):
        return parse_size_bytes(value)
    if kind == MODE:
        if not re.fullmatch("[0-7]{1,12}", value):
            raise ValueError(f"{value!r} is not an octal file mode such as 0440")
        return int(value, 8)
    return parse_int(value)


def format_kind(kind: str, value: int) -> Any:
    """What `config` prints for a number of this kind; None leaves it out."""
    if kind == DURATION:
        return format_duration_ns(value)
    if kind in (SIZE, WHOLE_SIZE):
        # -1 (no limit) is only accepted as a number.
        return value if value < 0 else str(value) if value else None
    if kind == MODE:
        return f"0{value:o}"
    return value
