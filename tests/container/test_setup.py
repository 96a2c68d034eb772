"""The list of set-up steps, as text: order is what matters."""

from typing import Any

import pytest

from runtime.container.setup import plan_identity, plan_setup
from runtime.oci.container_spec import ContainerSpec
from runtime.oci.generate import generate
from runtime.oci.image_config import ImageConfig
from runtime.oci.user import ResolvedUser


def spec_of(**fields: Any) -> Any:
    container = ContainerSpec("box", "x", command=("true",), **fields)
    return generate(
        container,
        ImageConfig(),
        container_id="0123456789abcdef",
        user=ResolvedUser(),
        cgroups_path="/x",
        rootfs_path="/root",
    )


def words(**fields: Any) -> list[str]:
    return [step.describe() for step in plan_setup(spec_of(**fields), rootfs="/r")]


def test_the_order_of_a_plain_container() -> None:
    steps = words(read_only=True, tty=True, sysctls={"net.core.somaxconn": "1"}, domainname="d")
    landmarks = [
        "set propagation of /",
        "open root /r",
        "mount proc on /proc",
        "mount tmpfs on /dev",
        "mount devpts on /dev/pts",
        "mount cgroups on /sys/fs/cgroup",
        "mount shm on /dev/shm",
        "make device /dev/null",
        "link pts/ptmx on /dev/ptmx",
        "change root to /r",
        "set host name 0123456789ab",
        "set domain name d",
        "set sysctl net.core.somaxconn",
        "open console /dev/console",
        "make working directory /",
        "make read-only /proc/sys",
        "mask /proc/kcore",
        "make root read-only /",
    ]
    positions = [steps.index(landmark) for landmark in landmarks]
    assert positions == sorted(positions)
    assert steps[-1] == landmarks[-1]


def test_a_bound_dev_is_left_alone() -> None:
    spec = spec_of()
    spec["mounts"].append({"destination": "/dev/", "type": "bind", "source": "/dev", "options": ["rbind"]})
    assert not [s for s in plan_setup(spec, rootfs="/r") if s.op in ("make device", "link")]


@pytest.mark.parametrize("no_new_privileges", [False, True])
def test_privileges_go_last_and_death_comes_after_credentials(no_new_privileges: bool) -> None:
    spec = spec_of(security_opt=("no-new-privileges",) if no_new_privileges else ())
    steps = plan_identity(spec["process"], seccomp=b"filter", permitted=(1 << 41) - 1, die_with_parent=True)
    order = [step.op for step in steps]
    assert order.index("become user") < order.index("die with parent")
    early = order.index("load seccomp filter") < order.index("become user")
    assert early is not no_new_privileges
    assert order.count("load seccomp filter") == 1


def test_capabilities_that_cannot_be_given_are_left_out() -> None:
    steps = plan_identity(spec_of()["process"], seccomp=None, permitted=1, die_with_parent=True)
    identity = next(step.value for step in steps if step.op == "become user")
    assert identity.bounding == identity.effective == identity.permitted == 1
