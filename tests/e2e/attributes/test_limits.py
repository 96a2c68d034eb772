"""Limits, read from the files of the container's cgroup and from inside it."""

import os
import stat
import time
from pathlib import Path

import pytest

from tests.e2e.attributes.cgroup import UNIFIED, Limits
from tests.project import Project

DISK = next(
    (
        f"/dev/{name}"
        for name in sorted(os.listdir("/sys/block"))
        if not name.startswith(("loop", "zram", "ram"))
    ),
    "",
)


_LIMITS = """
services:
  a:
    image: IMAGE
    command: sleep 1000
    init: true
    mem_limit: 64m
    memswap_limit: 96m
    mem_reservation: 32m
    mem_swappiness: 10
    oom_kill_disable: true
    oom_score_adj: 123
    cpus: 0.5
    cpu_shares: 512
    cpuset: "0"
    pids_limit: 33
    ulimits: {nofile: {soft: 64, hard: 128}, core: 0}
    blkio_config:
      weight: 300
      weight_device: [{path: DISK, weight: 400}]
      device_read_bps: [{path: DISK, rate: 1mb}]
      device_read_iops: [{path: DISK, rate: 120}]
      device_write_bps: [{path: DISK, rate: 1024k}]
      device_write_iops: [{path: DISK, rate: 30}]
  b:
    image: IMAGE
    command: sleep 1000
    init: true
    cgroup_parent: /PARENT-other/below
    post_start: [{command: 'true'}]
    cpu_quota: 20000
    cpu_period: 50000
    cpu_rt_runtime: 1000
    cpu_rt_period: 10000
    deploy:
      resources:
        limits: {memory: 48m, pids: 44}
        reservations: {memory: 16m}
  c:
    image: IMAGE
    command: sleep 1000
    init: true
    cpu_shares: 2048
    deploy: {resources: {limits: {cpus: "0.25"}}}
"""


@pytest.mark.covers(
    "services.*",
    "mem_limit mem_reservation memswap_limit mem_swappiness oom_kill_disable oom_score_adj cpus cpu_shares cpuset"
    " cpu_period cpu_quota cpu_rt_period cpu_rt_runtime pids_limit cgroup_parent blkio_config deploy ulimits",
)
@pytest.mark.covers(
    "services.*.blkio_config",
    "device_read_bps device_read_iops device_write_bps device_write_iops weight weight_device",
)
@pytest.mark.covers("services.*.blkio_config.device_read_bps[]", "path rate")
@pytest.mark.covers("services.*.blkio_config.device_read_iops[]", "path rate")
@pytest.mark.covers("services.*.blkio_config.device_write_bps[]", "path rate")
@pytest.mark.covers("services.*.blkio_config.device_write_iops[]", "path rate")
@pytest.mark.covers("services.*.blkio_config.weight_device[]", "path weight")
@pytest.mark.covers("services.*.deploy", "resources")
@pytest.mark.covers("services.*.deploy.resources", "limits reservations")
@pytest.mark.covers("services.*.deploy.resources.limits", "cpus memory pids")
@pytest.mark.covers("services.*.deploy.resources.reservations", "memory")
@pytest.mark.covers("services.*.ulimits.*", "soft hard")
def test_limits(project: Project) -> None:
    parent = f"{project.paths.cgroup_parent}-other"
    text = _LIMITS.replace("DISK", DISK).replace("PARENT-other", parent)
    project.write(text)
    told = project.run("up", "-d", code=None).stderr
    if "cpu.rt_runtime_us" in told and "refuses" in told:
        # The parent cgroup has no real-time budget to give, as with the reference.
        project.write("".join(line for line in text.splitlines(keepends=True) if "cpu_rt_" not in line))
        told = project.run("up", "-d").stderr
    first = Limits(project, "project-a-1")
    _check_memory_and_processors(first, told)
    _check_block_limits(first, told)
    assert project.exec("a", "sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -Sc") == "64\n128\n0\n"
    assert project.exec("a", "cat", "/proc/1/oom_score_adj") == "123\n"
    _check_others(Limits(project, "project-b-1", f"{parent}/below"), Limits(project, "project-c-1"))
    project.run("down", "-t", "0")
    for folder in Path("/sys/fs/cgroup").glob(f"**/{parent}/below"):
        assert not [entry for entry in folder.iterdir() if entry.is_dir()], "only the parent itself is left"
        folder.rmdir()
        folder.parent.rmdir()


def _check_memory_and_processors(limits: Limits, told: str) -> None:
    assert limits.text("memory/memory.limit_in_bytes", "memory.max") == str(64 << 20)
    if UNIFIED:
        assert limits.text("", "memory.swap.max") == str(32 << 20)
        assert limits.text("", "memory.low") == str(32 << 20)
        assert limits.text("", "cpu.weight") == "59"
        assert limits.text("", "cpu.max") == "50000 100000"
        assert "memory.swappiness" in told and "memory.oom_control" in told
    else:
        assert limits.text("memory/memory.memsw.limit_in_bytes", "") == str(96 << 20)
        assert limits.text("memory/memory.soft_limit_in_bytes", "") == str(32 << 20)
        assert limits.text("memory/memory.swappiness", "") == "10"
        assert "oom_kill_disable 1" in limits.text("memory/memory.oom_control", "")
        assert limits.text("cpu/cpu.shares", "") == "512"
        assert limits.text("cpu/cpu.cfs_quota_us", "") == "50000"
    assert limits.text("cpuset/cpuset.cpus", "cpuset.cpus") == "0"
    assert limits.text("pids/pids.max", "pids.max") == "33"


def _check_others(second: Limits, third: Limits) -> None:
    assert second.text("memory/memory.limit_in_bytes", "memory.max") == str(48 << 20)
    assert second.text("memory/memory.soft_limit_in_bytes", "memory.low") == str(16 << 20)
    assert second.text("pids/pids.max", "pids.max") == "44"
    if UNIFIED:
        assert second.text("", "cpu.max") == "20000 50000"
        assert third.text("", "cpu.weight") == "174"
    else:
        assert second.text("cpu/cpu.cfs_quota_us", "") == "20000"
        assert second.text("cpu/cpu.cfs_period_us", "") == "50000"
        assert third.text("cpu/cpu.cfs_quota_us", "") == "25000"


def _check_block_limits(limits: Limits, told: str) -> None:
    status = os.stat(DISK)
    assert stat.S_ISBLK(status.st_mode)
    number = f"{os.major(status.st_rdev)}:{os.minor(status.st_rdev)}"
    if UNIFIED:
        words = limits.text("", "io.max")
        assert words == f"{number} rbps=1048576 wbps=1048576 riops=120 wiops=30"
        return
    for file, value in (
        ("read_bps", 1 << 20),
        ("write_bps", 1 << 20),
        ("read_iops", 120),
        ("write_iops", 30),
    ):
        assert limits.text(f"blkio/blkio.throttle.{file}_device", "") == f"{number} {value}"
    folder = limits.directory("blkio")
    if (folder / "blkio.bfq.weight").exists():
        assert "300" in (folder / "blkio.bfq.weight").read_text()
    elif not (folder / "blkio.weight").exists():
        assert "blkio.weight" in told or "blkio.bfq.weight" in told, "what the kernel lacks is named"


def test_out_of_memory_is_seen(project: Project) -> None:
    project.write(
        """
        services:
          hungry:
            image: IMAGE
            command: sh -c 'tail /dev/zero'
            mem_limit: 16m
            memswap_limit: 16m
        """
    )
    project.run("up", "-d")
    deadline = time.monotonic() + 20
    while (state := project.ps()["project-hungry-1"])["State"] != "exited" and time.monotonic() < deadline:
        time.sleep(0.1)
    assert (state["ExitCode"], state["OOMKilled"]) == (137, True)
    told = Path(project.paths.events).read_text()
    assert 0 < told.index('"oom"') < told.index('"die"')
    project.run("down")


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("mem_limit: 99999999999999g", "range"),
        ("mem_limit: 1m", "at least 6 MiB"),
        ("blkio_config: {weight: 5}", "10 to 1000"),
        ("blkio_config: {device_read_bps: [{path: /dev/null, rate: 1}]}", "no block device"),
        ("blkio_config: {device_read_bps: [{path: /no/such, rate: 1}]}", "no such file"),
        ("cgroup_parent: ../../x", "leads out"),
        ("cpuset: '900-999'", "cpuset.cpus"),
        ("shm_size: 99999999999999999g", "range"),
        ("tmpfs: ['/x:size=99999999999999999999g']", "range"),
        ("cpus: 10000000000000", "range"),
        ("ulimits: {nofile: {soft: 10, hard: 5}}", "above hard"),
        ("sysctls: {kernel.hostname: x}", "would change the whole machine"),
        ("sysctls: {net.core.somaxconn: 1}\n    network_mode: host", "would change the host's network"),
    ],
)
def test_impossible_limits_are_refused(project: Project, attribute: str, message: str) -> None:
    project.write(f"services:\n  a:\n    image: IMAGE\n    command: sleep 1000\n    {attribute}\n")
    answer = project.run("up", "-d", code=1)
    assert message in answer.stderr
    project.run("down", "-t", "0")
