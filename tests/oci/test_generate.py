"""What each attribute of a container becomes in the OCI configuration."""

import json
from typing import Any

import pytest

from runtime.errors import EngineError, InvalidError
from runtime.oci.capabilities import DEFAULT, NAMES
from runtime.oci.container_spec import ContainerSpec, MountRequest, ResourceLimits, Ulimit
from runtime.oci.generate import MASKED_PATHS, READ_ONLY_PATHS, LookedUp, generate
from runtime.oci.image_config import ImageConfig
from runtime.oci.user import ResolvedUser

IMAGE = ImageConfig(
    env=("PATH=/image/bin", "FROM=image"), entrypoint=("/entry",), cmd=("serve",), working_dir="srv"
)


def spec_of(image: ImageConfig = IMAGE, extra: Any = (), options: Any = None, **fields: Any) -> Any:
    return generate(
        ContainerSpec("box", "image", **fields),
        image,
        container_id="0123456789abcdef",
        user=ResolvedUser(1000, 1000, (1000, 20), "/home/app", "app"),
        cgroups_path="/pycompose/x",
        rootfs_path="/r",
        extra_mounts=extra,
        **(options or {}),
    )


def test_the_defaults_are_dockers() -> None:
    spec = spec_of()
    assert json.loads(json.dumps(spec)) == spec
    assert spec["process"]["capabilities"]["bounding"] == list(DEFAULT)
    assert len(DEFAULT) == 14
    assert spec["linux"]["maskedPaths"] == list(MASKED_PATHS)
    assert len(MASKED_PATHS) == 12
    assert spec["linux"]["readonlyPaths"] == list(READ_ONLY_PATHS)
    assert "seccomp" in spec["linux"]
    assert spec["process"]["cwd"] == "/srv"
    assert spec["process"]["user"] == {"uid": 1000, "gid": 1000, "additionalGids": [1000, 20]}
    assert [mount["destination"] for mount in spec["mounts"]] == [
        "/proc",
        "/dev",
        "/dev/pts",
        "/sys",
        "/sys/fs/cgroup",
        "/dev/mqueue",
        "/dev/shm",
    ]
    assert {n["type"] for n in spec["linux"]["namespaces"]} == {
        "pid",
        "ipc",
        "uts",
        "mount",
        "cgroup",
        "network",
    }


@pytest.mark.parametrize(
    ("entrypoint", "command", "args"),
    [
        (None, None, ["/entry", "serve"]),
        (None, ("other",), ["/entry", "other"]),
        (None, (), ["/entry"]),
        (("mine",), None, ["mine"]),
        (("mine",), ("a", "b"), ["mine", "a", "b"]),
        ((), ("only", "this"), ["only", "this"]),
    ],
)
def test_entrypoint_and_command(entrypoint: Any, command: Any, args: list[str]) -> None:
    assert spec_of(entrypoint=entrypoint, command=command)["process"]["args"] == args


@pytest.mark.parametrize("fields", [{"entrypoint": ()}, {"entrypoint": ("",)}])
def test_nothing_to_run(fields: Any) -> None:
    with pytest.raises(InvalidError, match="no command specified"):
        spec_of(**fields)


def test_environment() -> None:
    env = spec_of(environment=(("FROM", "me"), ("NEW", "1"), ("HOSTNAME", None)), tty=True)["process"]["env"]
    assert env == ["PATH=/image/bin", "TERM=xterm", "FROM=me", "NEW=1", "HOME=/home/app"]
    env = spec_of(ImageConfig(), command=("x",), environment=(("HOME", "/h"),))["process"]["env"]
    assert env[0].startswith("PATH=/usr/local/sbin:")
    assert env[1:] == ["HOSTNAME=0123456789ab", "HOME=/h"]


@pytest.mark.parametrize(
    ("add", "drop", "expected"),
    [
        (("net_admin",), (), {*DEFAULT, "CAP_NET_ADMIN"}),
        ((), ("CAP_CHOWN", "kill"), set(DEFAULT) - {"CAP_CHOWN", "CAP_KILL"}),
        (("CHOWN",), ("ALL",), {"CAP_CHOWN"}),
        (("ALL",), ("SYS_ADMIN",), set(NAMES) - {"CAP_SYS_ADMIN"}),
        ((), ("all",), set()),
    ],
)
def test_capabilities(add: Any, drop: Any, expected: set[str]) -> None:
    assert set(spec_of(cap_add=add, cap_drop=drop)["process"]["capabilities"]["effective"]) == expected


def test_a_capability_we_do_not_have() -> None:
    options = {"available_capabilities": set(NAMES) - {"CAP_SYS_RESOURCE"}}
    with pytest.raises(InvalidError, match="CAP_SYS_RESOURCE cannot be given"):
        spec_of(cap_add=("SYS_RESOURCE",), options=options)
    bounding = spec_of(privileged=True, options=options)["process"]["capabilities"]["bounding"]
    assert len(bounding) == len(NAMES) - 1


def test_privileged() -> None:
    device: Any = {"path": "/dev/fuse", "type": "c", "major": 10, "minor": 229}
    spec = spec_of(privileged=True, options={"host_devices": [device]})
    linux = spec["linux"]
    assert linux["devices"] == [device]
    assert linux["resources"]["devices"] == [{"allow": True, "access": "rwm"}]
    assert not linux["maskedPaths"]
    assert not linux["readonlyPaths"]
    assert "seccomp" not in linux
    assert all("ro" not in mount["options"] for mount in spec["mounts"])


@pytest.mark.parametrize(
    ("words", "check"),
    [
        (("no-new-privileges",), lambda s: s["process"]["noNewPrivileges"]),
        (("no-new-privileges:false",), lambda s: not s["process"]["noNewPrivileges"]),
        (("seccomp=unconfined",), lambda s: "seccomp" not in s["linux"]),
        (("seccomp:unconfined",), lambda s: "seccomp" not in s["linux"]),
        (("systempaths=unconfined",), lambda s: not s["linux"]["maskedPaths"]),
        (("label=disable", "apparmor=unconfined"), lambda s: "seccomp" in s["linux"]),
    ],
)
def test_security_options(words: Any, check: Any) -> None:
    assert check(spec_of(security_opt=words))


def test_sysctls() -> None:
    assert spec_of(sysctls={"net.core.somaxconn": "9"})["linux"]["sysctl"] == {
        "net.ipv4.ip_unprivileged_port_start": "0",
        "net.ipv4.ping_group_range": "0 2147483647",
        "net.core.somaxconn": "9",
    }
    assert spec_of(network_mode="host")["linux"]["sysctl"] == {}


@pytest.mark.parametrize(
    "fields",
    [
        {"sysctls": {"kernel.panic": "1"}},
        {"sysctls": {"vm.swappiness": "1"}},
        {"sysctls": {"net.core.somaxconn": "1"}, "network_mode": "host"},
        {"sysctls": {"fs.mqueue.../../kernel.panic": "1"}},
        {"sysctls": {"net/../kernel/panic": "1"}},
        {"cap_add": ("NOPE",)},
        {"security_opt": ("seccomp=/profile.json",)},
        {"ulimits": (Ulimit("nope", 1, 1),)},
        {"ulimits": (Ulimit("nofile", 9, 1),)},
        {"environment": (("A=B", "x"),)},
        {"command": ("a\0b",)},
        {"resources": ResourceLimits(memory_bytes=1024)},
        {"resources": ResourceLimits(memory_swap_bytes=1 << 30)},
        {"resources": ResourceLimits(memory_bytes=1 << 30, memory_swap_bytes=1 << 20)},
        {"resources": ResourceLimits(nano_cpus=1, cpu_quota_us=1)},
    ],
)
def test_what_is_refused(fields: Any) -> None:
    with pytest.raises(InvalidError) as caught:
        spec_of(**fields)
    assert isinstance(caught.value, EngineError)


def test_ulimits_are_lowered_to_what_can_be_given() -> None:
    warnings: list[str] = []
    spec = spec_of(
        ulimits=(Ulimit("nofile", 4096, -1), Ulimit("core", -1, -1)),
        options={"hard_limits": {"RLIMIT_NOFILE": 1000}, "warnings": warnings},
    )
    assert spec["process"]["rlimits"] == [
        {"type": "RLIMIT_NOFILE", "soft": 1000, "hard": 1000},
        {"type": "RLIMIT_CORE", "soft": (1 << 64) - 1, "hard": (1 << 64) - 1},
    ]
    assert len(warnings) == 1


def test_resources() -> None:
    limits = ResourceLimits(
        memory_bytes=64 << 20, nano_cpus=1_500_000_000, cpu_shares=512, cpuset_cpus="0", pids_limit=9
    )
    resources = spec_of(resources=limits)["linux"]["resources"]
    assert resources["memory"] == {"limit": 64 << 20, "swap": 128 << 20}
    assert resources["cpu"] == {"shares": 512, "period": 100000, "quota": 150000, "cpus": "0"}
    assert resources["pids"] == {"limit": 9}
    assert resources["devices"][0] == {"allow": False, "access": "rwm"}


def test_a_mount_of_the_users_replaces_a_standard_one() -> None:
    mine: Any = {"destination": "/dev/shm/", "type": "tmpfs", "source": "tmpfs", "options": ["size=1"]}
    mounts = spec_of(extra=[mine])["mounts"]
    assert [m for m in mounts if m["destination"].startswith("/dev/shm")] == [mine]


def test_names() -> None:
    spec = spec_of(domainname="example.org", hostname="web", read_only=True, shm_size_bytes=1024)
    assert (spec["hostname"], spec["domainname"], spec["root"]["readonly"]) == ("web", "example.org", True)
    assert "size=1024" in spec["mounts"][-1]["options"]


@pytest.mark.parametrize("selinux", [False, True])
def test_a_label_that_nobody_sets_is_told_where_it_counts(selinux: bool) -> None:
    warnings: list[str] = []
    mount = MountRequest("bind", "/data", "/srv/data", selinux="z")
    spec_of(mounts=(mount,), options={"looked_up": LookedUp(selinux=selinux), "warnings": warnings})
    assert [text.split(" for ")[0] for text in warnings] == ["/srv/data is not relabelled"] * selinux
