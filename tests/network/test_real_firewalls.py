"""Next to the real firewalld, ufw and podman, each in the test's own "host" and with a configuration of its own."""

import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from conftest import Host, run

from runtime.network.firewall import firewalld
from runtime.network.firewall.rules import NetworkRules, PublishedPort
from runtime.network.record import NetworkRecord

BUS = """<busconfig><type>system</type><listen>{address}</listen><auth>EXTERNAL</auth><policy context="default">
<allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"""


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@contextmanager
def running(*command: str | Path) -> Iterator[None]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.1)


def succeeds(*command: str) -> bool:
    return subprocess.run(command, capture_output=True, timeout=20, check=False).returncode == 0


def ensure(host: Host, network: NetworkRecord) -> None:
    """As the next command does."""
    for firewall in (host.firewall(), host.firewall6()):
        firewall.ensure_network(NetworkRules(network.bridge))


class Traffic:
    """A container with a published port and a machine outside; `flows` tries all ways between them."""

    def __init__(self, host: Host, network: NetworkRecord) -> None:
        self.outside = host.outside()
        self.container, (self.ip, self.ip6), self.ports = host.container(network)
        self.keep = [self.container.listen(80), self.outside.listen(80), self.outside.listen(81, "::")]
        self.ports.publish([PublishedPort("", 8080, "tcp", self.ip, 80)])

    def flows(self) -> bool:
        return (
            self.container.connects("198.51.100.2", 80)
            and self.container.connects("2001:db8::2", 81)
            and self.outside.connects("198.51.100.1", 8080)
            and not self.outside.connects(self.ip, 80, 0.4)
        )


@pytest.fixture
def firewall_cmd(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., bool]]:
    needs("firewalld", "dbus-daemon")
    address = f"unix:path={tmp_path}/bus"
    (tmp_path / "bus.conf").write_text(BUS.format(address=address))
    shutil.copytree("/etc/firewalld", tmp_path / "configuration")
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", address)

    def tell(*words: str) -> bool:
        return succeeds("firewall-cmd", "-q", *words)

    with ExitStack() as stack:
        stack.enter_context(
            running("dbus-daemon", f"--config-file={tmp_path}/bus.conf", "--nofork", "--nopidfile")
        )
        wait((tmp_path / "bus").exists)
        folder, log = str(tmp_path / "configuration"), str(tmp_path / "log")
        words = ("--nofork", "--nopid", "--system-config", folder, "--log-file", log)
        stack.enter_context(running("firewalld", *words))
        wait(lambda: tell("--state"))
        yield tell


def test_firewalld(host: Host, firewall_cmd: Callable[..., bool]) -> None:
    network = host.network("a", "172.18.0.0/20", "fd00:1::/64")
    traffic = Traffic(host, network)
    assert traffic.flows()
    # It makes all its rules anew, without a command of ours in between.
    assert firewall_cmd("--reload")
    assert traffic.flows()
    began = time.monotonic()
    ensure(host, network)
    assert time.monotonic() - began < 0.15, "what is there is not asked for again"
    for firewall in (host.firewall(), host.firewall6()):
        firewall.remove_network(network.bridge, [])
    for kind in ((), ("--permanent",)):
        assert not firewall_cmd(*kind, "--zone=trusted", f"--query-interface={network.bridge}")
    assert network.bridge not in run("nft", "list", "ruleset")


def test_firewalld_that_cannot_be_asked(
    host: Host, firewall_cmd: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firewalld, "_PROGRAM", "no-such-program")
    network = host.network("a", "172.18.0.0/20", "fd00:1::/64")
    traffic = Traffic(host, network)
    assert traffic.flows()
    assert firewall_cmd("--reload")
    assert not traffic.flows()
    ensure(host, network)
    assert traffic.flows()
    host.firewall().remove_network(network.bridge, [])
    assert "pycompose br-a" not in run("nft", "list", "ruleset")


def test_a_table_that_only_its_owner_may_change(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """firewalld's since 2.1, where it can't be asked: a warning, and the network works as far as it may."""
    monkeypatch.setattr(firewalld, "_PROGRAM", "no-such-program")
    owner = subprocess.Popen(["nft", "-i"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    assert owner.stdin is not None
    owner.stdin.write(
        "add table inet firewalld { flags owner; }\n"
        "add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; policy drop; }\n"
    )
    owner.stdin.flush()
    wait(lambda: succeeds("nft", "list", "chain", "inet", "firewalld", "filter_FORWARD"))
    (warning,) = host.firewall().ensure_network(NetworkRules("br-a"))
    assert "firewalld" in warning and "br-a" in warning
    host.firewall().remove_network("br-a", [])
    owner.stdin.close()
    owner.wait(timeout=20)


@pytest.fixture
def ufw(host: Host, tmp_path: Path) -> Iterator[Callable[..., str]]:
    needs("ufw")
    shutil.copytree("/etc/ufw", tmp_path / "ufw")

    def tell(*words: str) -> str:
        script = f'mount --bind {tmp_path}/ufw /etc/ufw && exec ufw "$@"'
        return run("unshare", "-m", "sh", "-c", script, "sh", *words)

    yield tell
    tell("--force", "disable")


def test_ufw(host: Host, ufw: Callable[..., str]) -> None:
    before = host.network("a", "172.18.0.0/20", "fd00:1::/64")
    ufw("--force", "enable")
    assert "-P FORWARD DROP" in run("iptables", "-S", "FORWARD")
    ensure(host, before)
    traffic = Traffic(host, before)
    assert traffic.flows()
    ufw("reload")
    assert traffic.flows()
    ufw("deny", "9999/tcp")  # it still reads the chains that our rules are in
    for firewall in (host.firewall(), host.firewall6()):
        firewall.remove_network(before.bridge, [])
    for program in ("iptables", "ip6tables"):
        assert before.bridge not in run(program, "-S")


def test_podman(host: Host, tmp_path: Path, busybox_root: Path) -> None:
    needs("podman", "conmon", "netavark")
    network = host.network("a", "172.18.0.0/20", "fd00:1::/64")
    traffic = Traffic(host, network)
    rootfs = tmp_path / "rootfs"
    shutil.copytree(busybox_root, rootfs, symlinks=True)
    podman = (
        "podman", f"--root={tmp_path}/root", f"--runroot={tmp_path}/run", f"--tmpdir={tmp_path}/tmp",
        f"--network-config-dir={tmp_path}/networks", "--storage-driver=vfs", "--cgroup-manager=cgroupfs",
        "--events-backend=file",
    )  # fmt: skip
    limits = ("--cgroups=disabled", "--ulimit=nofile=1024:1024", "--ulimit=nproc=4096:4096")
    try:
        run(
            *podman, "run", "-d", *limits, "-p", "8090:80", "--rootfs", str(rootfs), "httpd", "-f", "-p", "80"
        )
        wait(lambda: traffic.outside.connects("198.51.100.1", 8090, 1))
        assert traffic.flows()
        assert traffic.container.connects("198.51.100.1", 8090), "its port, called from a container of ours"
        ensure(host, network)
        host.firewall().remove_network(network.bridge, [])
        assert traffic.outside.connects("198.51.100.1", 8090)
    finally:
        subprocess.run([*podman, "rm", "-fa", "-t", "0"], capture_output=True, timeout=60, check=False)
