"""cgroups: the same table for v1, hybrid and v2 with temporary directories, and the machine's own for real."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from runtime.cgroups.detect import HYBRID, V1, V2, Hierarchy, Layout, plan_layout
from runtime.cgroups.manager import Cgroup, open_cgroup
from runtime.errors import InvalidError, StateError, UnsupportedError
from runtime.linux.procfs import parse_mountinfo
from runtime.oci.spec import LinuxResources

MIB = 1 << 20

# resources, files of v1, files of v2
TABLE: list[tuple[LinuxResources, dict[str, str], dict[str, str]]] = [
    (
        {"memory": {"limit": 64 * MIB, "swap": 128 * MIB}},
        {
            "memory/memory.limit_in_bytes": str(64 * MIB),
            "memory/memory.memsw.limit_in_bytes": str(128 * MIB),
        },
        {"memory.max": str(64 * MIB), "memory.swap.max": str(64 * MIB)},
    ),
    (
        {"memory": {"limit": 64 * MIB, "swap": -1, "reservation": 32 * MIB}},
        {
            "memory/memory.memsw.limit_in_bytes": "-1",
            "memory/memory.soft_limit_in_bytes": str(32 * MIB),
        },
        {"memory.swap.max": "max", "memory.low": str(32 * MIB)},
    ),
    (
        {"cpu": {"shares": 1024, "quota": 50000, "period": 100000}},
        {"cpu/cpu.shares": "1024", "cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"},
        {"cpu.weight": "100", "cpu.max": "50000 100000"},
    ),
    ({"cpu": {"quota": -1}}, {"cpu/cpu.cfs_quota_us": "-1"}, {"cpu.max": "max 100000"}),
    (
        {"cpu": {"cpus": "0-1", "mems": "0"}},
        {"cpuset/cpuset.cpus": "0-1", "cpuset/cpuset.mems": "0"},
        {"cpuset.cpus": "0-1", "cpuset.mems": "0"},
    ),
    ({"pids": {"limit": 20}}, {"pids/pids.max": "20"}, {"pids.max": "20"}),
    ({"pids": {"limit": -1}}, {"pids/pids.max": "max"}, {"pids.max": "max"}),
    (
        {"devices": [{"allow": False}, {"allow": True, "type": "c", "major": 1, "minor": 3, "access": "rw"}]},
        {"devices/devices.deny": "a", "devices/devices.allow": "c 1:3 rw"},
        {},
    ),
    ({"unified": {"memory.high": "5"}}, {}, {"memory.high": "5"}),
    (
        {"blockIO": {"weight": 505}},
        {"blkio/blkio.weight": "505"},
        {"io.weight": "default 5000"},
    ),
    (
        {"blockIO": {"weightDevice": [{"major": 8, "minor": 0, "weight": 10}]}},
        {"blkio/blkio.weight_device": "8:0 10"},
        {"io.weight": "8:0 1"},
    ),
    (
        {"blockIO": {"throttleReadBpsDevice": [{"major": 8, "minor": 16, "rate": 4096}]}},
        {"blkio/blkio.throttle.read_bps_device": "8:16 4096"},
        {"io.max": "8:16 rbps=4096"},
    ),
    (
        {"hugepageLimits": [{"pageSize": "2MB", "limit": 4 * MIB}]},
        {"hugetlb/hugetlb.2MB.limit_in_bytes": str(4 * MIB)},
        {"hugetlb.2MB.max": str(4 * MIB)},
    ),
    (
        {"network": {"classID": 7, "priorities": [{"name": "lo", "priority": 5}]}},
        {"net_cls/net_cls.classid": "7", "net_prio/net_prio.ifpriomap": "lo 5"},
        {},
    ),
    (
        {"rdma": {"mlx5_1": {"hcaHandles": 3, "hcaObjects": 10}}},
        {"rdma/rdma.max": "mlx5_1 hca_handle=3 hca_object=10"},
        {"rdma.max": "mlx5_1 hca_handle=3 hca_object=10"},
    ),
    (
        {"cpu": {"realtimePeriod": 1000000, "realtimeRuntime": 500000}},
        {"cpu/cpu.rt_period_us": "1000000", "cpu/cpu.rt_runtime_us": "500000"},
        {},
    ),
    ({"cpu": {"burst": 1000}}, {"cpu/cpu.cfs_burst_us": "1000"}, {"cpu.max.burst": "1000"}),
    (
        {"memory": {"kernel": 32 * MIB, "kernelTCP": 16 * MIB}},
        {
            "memory/memory.kmem.limit_in_bytes": str(32 * MIB),
            "memory/memory.kmem.tcp.limit_in_bytes": str(16 * MIB),
        },
        {},
    ),
]
ALL_FILES_V1 = {file for _, v1, _ in TABLE for file in v1}
ALL_FILES_V2 = {file for _, _, v2 in TABLE for file in v2}


def fake(tmp_path: Path, mode: str, *, lacking: str = "") -> Cgroup:
    """A cgroup whose directories exist with empty files, as the kernel would make them."""
    controllers = (
        "memory", "cpu", "cpuset", "pids", "devices", "freezer", "blkio", "hugetlb", "net_cls", "net_prio", "rdma",
    )  # fmt: skip
    hierarchies = []
    if mode != V2:
        hierarchies = [Hierarchy(1, str(tmp_path / name), (name,)) for name in controllers]
        hierarchies.append(Hierarchy(1, str(tmp_path / "systemd"), (), "systemd"))
    if mode != V1:
        hierarchies.append(Hierarchy(2, str(tmp_path / "unified")))
    for hierarchy in hierarchies:
        os.makedirs(f"{hierarchy.mount_point}/a/b")
        for name in ("cgroup.procs", "tasks") if hierarchy.version == 1 else ("cgroup.procs",):
            Path(f"{hierarchy.mount_point}/a/b/{name}").touch()
    for file in ALL_FILES_V1 if mode != V2 else ():
        controller, _, name = file.partition("/")
        if name != lacking:
            (tmp_path / controller / "a/b" / name).touch()
    for file in ALL_FILES_V2 if mode == V2 else ():
        if file != lacking:
            (tmp_path / "unified/a/b" / file).touch()
    return open_cgroup("a/b", layout=Layout(mode, tuple(hierarchies)))


@pytest.mark.parametrize("mode", [V1, HYBRID, V2])
@pytest.mark.parametrize("row", range(len(TABLE)))
def test_resources_become_files(tmp_path: Path, mode: str, row: int) -> None:
    resources, v1, v2 = TABLE[row]
    if mode == V2 and "devices" in resources:
        pytest.skip("a program in place of files, see test_devices")
    cgroup = fake(tmp_path, mode)
    expected = v2 if mode == V2 else v1
    # What a version has no file for is told, not forgotten.
    assert bool(cgroup.create(resources)) == (not expected and "unified" not in resources)
    for file, text in expected.items():
        path = (
            tmp_path
            / ("unified/a/b" if mode == V2 else file.replace("/", "/a/b/"))
            / (file if mode == V2 else "")
        )
        assert path.read_text() == text, file


@pytest.mark.parametrize(
    ("mode", "lacking", "resources"),
    [
        (V1, "memory.memsw.limit_in_bytes", {"memory": {"limit": 64 * MIB, "swap": 64 * MIB}}),
        (V2, "memory.swap.max", {"memory": {"limit": 64 * MIB, "swap": 64 * MIB}}),
        (V2, "memory.swappiness", {"memory": {"swappiness": 10}}),
    ],
)
def test_what_the_kernel_lacks_is_named(
    tmp_path: Path, mode: str, lacking: str, resources: LinuxResources
) -> None:
    (warning,) = fake(tmp_path, mode, lacking=lacking).create(resources)
    assert lacking in warning


def test_a_missing_controller_is_named(tmp_path: Path) -> None:
    cgroup = fake(tmp_path, V1)
    layout = Layout(V1, tuple(h for h in cgroup.layout.hierarchies if "pids" not in h.controllers))
    (warning,) = open_cgroup("a/b", layout=layout).create({"pids": {"limit": 5}})
    assert "no pids controller" in warning


def test_no_cgroups_at_all() -> None:
    with pytest.raises(UnsupportedError):
        open_cgroup("x", layout=Layout(V1, ())).create({})


@pytest.mark.parametrize("mode", [V1, HYBRID, V2])
def test_joining_writes_every_hierarchy(tmp_path: Path, mode: str) -> None:
    cgroup = fake(tmp_path, mode)
    cgroup.join()
    for hierarchy in cgroup.layout.hierarchies:
        file = "tasks" if hierarchy.version == 1 else "cgroup.procs"
        assert Path(f"{hierarchy.mount_point}/a/b/{file}").read_text() == "0"


@pytest.mark.parametrize("mode", [V1, HYBRID, V2])
def test_who_is_born_in_v2_joins_the_others_only(tmp_path: Path, mode: str) -> None:
    cgroup = fake(tmp_path, mode)
    birth = cgroup.open_for_birth()
    assert (birth >= 0) == (mode != V1)
    for fd in cgroup.open_for_joining(born=birth >= 0):
        os.write(fd, b"0")
        os.close(fd)
    if birth >= 0:
        os.close(birth)
    for hierarchy in cgroup.layout.hierarchies:
        if hierarchy.version == 2:
            assert Path(f"{hierarchy.mount_point}/a/b/cgroup.procs").read_text() == ""
        else:
            assert Path(f"{hierarchy.mount_point}/a/b/tasks").read_text() == "0"


@pytest.mark.parametrize(
    ("mode", "file", "text"),
    [
        (V1, "memory/a/b/memory.oom_control", "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"),
        (V2, "unified/a/b/memory.events", "low 0\noom 5\noom_kill 3\n"),
    ],
)
def test_oom_kills(tmp_path: Path, mode: str, file: str, text: str) -> None:
    cgroup = fake(tmp_path, mode)
    assert cgroup.oom_kills() == 0
    (tmp_path / file).write_text(text)
    assert cgroup.oom_kills() == 3


def test_v2_enables_controllers_down_the_path(tmp_path: Path) -> None:
    (tmp_path / "cgroup.controllers").write_text("cpu memory pids\n")
    (tmp_path / "cgroup.subtree_control").write_text("cpu\n")
    open_cgroup("a/b", layout=Layout(V2, (Hierarchy(2, str(tmp_path)),))).create({})
    assert (tmp_path / "a/b").is_dir()
    # A plain file shows the last write over the rest of the one before; "cpu" was on already.
    assert (tmp_path / "cgroup.subtree_control").read_text().startswith("+pids")


def test_v1_cpusets_are_filled_at_every_level(tmp_path: Path) -> None:
    (tmp_path / "cpuset.cpus").write_text("0-3\n")
    (tmp_path / "cpuset.mems").write_text("0\n")
    for level in ("a", "a/b"):
        (tmp_path / level).mkdir()
        for name in ("cpuset.cpus", "cpuset.mems"):
            (tmp_path / level / name).touch()
    open_cgroup("a/b", layout=Layout(V1, (Hierarchy(1, str(tmp_path), ("cpuset",)),))).create({})
    assert (tmp_path / "a/b/cpuset.cpus").read_text() == "0-3"
    assert (tmp_path / "a/cpuset.mems").read_text() == "0"


def test_layout_from_a_mount_table() -> None:
    text = (
        "1 0 0:1 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
        "2 0 0:2 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd\n"
        "3 0 0:3 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate\n"
        "4 0 0:3 / /elsewhere rw - cgroup2 cgroup2 rw\n"
    )
    layout = plan_layout(parse_mountinfo(text))
    assert layout.mode == HYBRID
    assert [h.mount_data() for h in layout.hierarchies] == ["cpu,cpuacct", "name=systemd", ""]
    assert Cgroup("x", layout).mounts()[0] == ("cpu,cpuacct", "cgroup", "cpu,cpuacct")
    assert plan_layout(parse_mountinfo(text.splitlines()[2])).mode == V2
    assert Cgroup("x", plan_layout(parse_mountinfo(text.splitlines()[2]))).mounts() == (("", "cgroup2", ""),)


# ---- for real


@pytest.fixture
def real() -> Iterator[Cgroup]:
    if os.geteuid() != 0:
        pytest.skip("needs root")
    cgroup = open_cgroup(f"pctest-{os.getpid()}/real-{time.monotonic_ns()}")
    yield cgroup
    cgroup.kill()
    assert cgroup.delete()
    assert not cgroup.exists()


@pytest.mark.root
def test_processes_for_real(real: Cgroup) -> None:
    assert real.create({"memory": {"limit": 64 * MIB}, "pids": {"limit": 10}}) == []
    sleepers = [subprocess.Popen(["sleep", "60"]) for _ in range(2)]
    try:
        for sleeper in sleepers:
            real.add(sleeper.pid)
        assert real.procs() == sorted(s.pid for s in sleepers)
        stats = real.stats()
        assert (stats.pids, stats.pids_limit, stats.memory_limit_bytes) == (2, 10, 64 * MIB)
        assert not real.delete(timeout_s=0.01)
        real.freeze(True)
        real.freeze(False)
        real.freeze(True)
        real.kill()  # also what is frozen
        assert [s.wait(5) for s in sleepers] == [-signal.SIGKILL] * 2
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait(5)


@pytest.mark.root
def test_a_refused_value_says_so(real: Cgroup) -> None:
    with pytest.raises(InvalidError, match=r"cpuset\.cpus = 4096"):
        real.create({"cpu": {"cpus": "4096"}})


@pytest.mark.root
def test_limits_of_a_live_cgroup_go_up_and_down(real: Cgroup) -> None:
    for size in (64, 128, 32):
        assert real.create({"memory": {"limit": size * MIB, "swap": size * MIB}}) == []


@pytest.mark.root
def test_an_oom_kill_is_counted(real: Cgroup) -> None:
    real.create({"memory": {"limit": 16 * MIB, "swap": 16 * MIB}})
    pid = os.fork()
    if pid == 0:
        try:
            real.join()
            bytearray(64 * MIB)
        finally:
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL
    assert real.oom_kills() == 1


def test_missing_is_fine() -> None:
    cgroup = open_cgroup(f"pctest-{os.getpid()}/never")
    assert cgroup.procs() == []
    assert cgroup.oom_kills() == 0
    cgroup.kill()
    assert cgroup.delete()


def test_kill_gives_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/cgroup.procs").write_text("999999999\n")
    monkeypatch.setattr("runtime.cgroups.manager._KILL_TIMEOUT_S", 0.02)
    with pytest.raises(StateError, match="do not die"):
        open_cgroup("x", layout=Layout(V1, (Hierarchy(1, str(tmp_path), ("pids",)),))).kill()
