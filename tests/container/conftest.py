"""Fixtures for tests that start containers for real: a busybox root filesystem, a spec, a cgroup path of their own."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from runtime.container.users import resolve_user
from runtime.linux.capabilities import permitted_names
from runtime.linux.limits import load_hard_limits
from runtime.oci.container_spec import ContainerSpec
from runtime.oci.generate import generate
from runtime.oci.image_config import ImageConfig
from tests.container.shimplay import make_rootfs


@pytest.fixture(scope="session")
def rootfs(tmp_path_factory: pytest.TempPathFactory) -> str:
    if os.geteuid() != 0 or not os.path.exists("/bin/busybox"):
        pytest.skip("needs root and a static /bin/busybox")
    return make_rootfs(str(tmp_path_factory.mktemp("container")))


@pytest.fixture
def cgroup_path(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    path = f"pctest-{os.getpid()}/{abs(hash(request.node.name)) % 10**8}"
    yield path
    hierarchies = ("", *os.listdir("/sys/fs/cgroup"))  # the first is that of a pure v2 machine
    left = [d or "/" for d in hierarchies if os.path.isdir(f"/sys/fs/cgroup/{d}/{path}")]
    assert not left, f"cgroup {path} is left in {left}"


@pytest.fixture
def make_spec(rootfs: str, cgroup_path: str) -> Callable[..., Any]:
    """make_spec(*args, mounts=…, **fields of ContainerSpec) -> Spec"""

    def make(*args: str, mounts: Any = (), user: str = "", **fields: Any) -> Any:
        container = ContainerSpec("box", "rootfs:/", command=args, hostname="box", **fields)
        return generate(
            container,
            ImageConfig(),
            container_id="0123456789abcdef",
            user=resolve_user(rootfs, user),
            cgroups_path=f"/{cgroup_path}",
            extra_mounts=mounts,
            rootfs_path=rootfs,
            available_capabilities=permitted_names(),
            hard_limits=load_hard_limits(),
        )

    return make
