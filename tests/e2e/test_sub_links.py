"""macvlan and ipvlan: links of an interface of the host, and the interfaces that such networks make for themselves."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_network_features import SLEEP, addresses
from tests.e2e.test_networks import SERVER
from tests.project import Project


@pytest.fixture
def parent() -> Iterator[str]:
    """An interface of the host that is up; its peer is there for nobody."""
    name = f"pcm{os.getpid() % 100000}"
    subprocess.run(["ip", "link", "add", name, "type", "veth", "peer", f"{name}p"], check=True)
    for end in (name, f"{name}p"):
        subprocess.run(["ip", "link", "set", end, "up"], check=True)
    yield name
    subprocess.run(["ip", "link", "del", name], check=True)


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_links_of_an_interface_of_the_host(project: Project, parent: str, driver: str) -> None:
    project.write(
        f"""
        services:
          web: {{image: IMAGE, command: {SERVER}, init: true, networks: [lan]}}
          client: {{image: IMAGE, {SLEEP}, networks: [lan]}}
        networks:
          lan:
            driver: {driver}
            driver_opts: {{parent: {parent}}}
            ipam: {{config: [{{subnet: 10.79.0.0/24, gateway: 10.79.0.1, ip_range: 10.79.0.32/27}}]}}
        """
    )
    up_or_skip(project, driver)
    assert addresses(project, "web") == ["10.79.0.32/24"] or addresses(project, "client") == ["10.79.0.32/24"]
    assert "root:x:0" in project.exec("client", "wget", "-qO-", "http://web/passwd")
    assert "via 10.79.0.1" in project.exec("client", "ip", "route", "show", "default")
    # With the same addresses, which the link of a namespace that is just vanishing still has.
    project.run("restart", "-t", "0", "web")
    assert "root:x:0" in project.exec("client", "wget", "-qO-", "http://web/passwd")
    os.kill(shim_of(project, "web"), signal.SIGKILL)
    project.run("up", "-d")
    assert "root:x:0" in project.exec("client", "wget", "-qO-", "http://web/passwd")
    project.run("down", "-t", "0")


@pytest.mark.parametrize("driver", ["macvlan", "ipvlan"])
def test_parents_that_networks_make(project: Project, parent: str, driver: str) -> None:
    """A dummy for who names no interface or wants no way out, a VLAN for INTERFACE.NUMBER."""
    project.write(
        f"""
        services:
          web: {{image: IMAGE, command: {SERVER}, init: true, networks: [apart, tagged]}}
          client: {{image: IMAGE, {SLEEP}, networks: [apart, tagged]}}
        networks:
          apart: {{driver: {driver}, internal: true, driver_opts: {{parent: {parent}}}}}
          tagged: {{driver: {driver}, driver_opts: {{parent: {parent}.50}}}}
        """
    )
    up_or_skip(project, driver)
    shown = subprocess.check_output(["ip", "-d", "link", "show", f"{parent}.50"], text=True)
    assert "vlan protocol 802.1Q id 50" in shown and "UP" in shown
    assert "dummy" in subprocess.check_output(["ip", "-d", "link", "show", "type", "dummy"], text=True)
    for interface in ("eth0", "eth1"):
        (address,) = addresses(project, "web", interface)
        assert "root:x:0" in project.exec(
            "client", "wget", "-qO-", f"http://{address.partition('/')[0]}/passwd"
        )
    routes = project.exec("client", "ip", "route").splitlines()
    (route,) = [line for line in routes if line.startswith("default")]
    assert "dev eth1" in route
    project.run("network", "create", "-d", driver, "-o", f"parent={parent}.50", "second")
    project.run("down", "-t", "0")
    assert os.path.exists(f"/sys/class/net/{parent}.50"), "the second network has it"
    project.run("network", "rm", "second")
    assert not os.path.exists(f"/sys/class/net/{parent}.50") and os.path.exists(f"/sys/class/net/{parent}")
    assert (
        "is not there"
        in project.run("network", "create", "-d", driver, "-o", f"parent={parent}.0", "x", code=1).stderr
    )


def up_or_skip(project: Project, driver: str) -> None:
    """Start a project whose networks this kernel may not be able to make."""
    answer = project.run("up", "-d", code=None)
    if answer.returncode and (
        "not supported" in answer.stderr or "can't make the interface" in answer.stderr
    ):
        assert "load the module" in answer.stderr
        project.run("down")
        pytest.skip(f"this kernel has not all that {driver} needs")
    assert answer.returncode == 0, answer.stderr


def shim_of(project: Project, service: str) -> int:
    """The process that looks after a service's only container."""
    id = project.ps()[f"project-{service}-1"]["ID"]
    (path,) = Path(project.paths.state).glob(f"containers/{id}*/state.json")
    return int(json.loads(path.read_text())["shim_pid"])
