"""Living with the firewalls of others: chains that drop what is forwarded, in nf_tables and in the older iptables."""

import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import Host, run

from runtime.network.firewall import firewalld, legacy
from runtime.network.firewall.programs import run_program
from runtime.network.firewall.rules import NetworkRules, PublishedPort
from runtime.network.ipam import Subnet, parse_subnet
from runtime.network.record import NetworkRecord


def prefix(network: NetworkRecord) -> list[Subnet]:
    return [parse_subnet(pool.subnet) for pool in network.pools]


def test_foreign_chains_that_drop_let_our_bridges_through(host: Host) -> None:
    outside = host.outside()
    run("nft", "add table ip filter; add chain ip filter DOCKER-USER")
    run(
        "nft",
        "add chain ip filter FORWARD { type filter hook forward priority 0; policy drop; };"
        "add rule ip filter FORWARD jump DOCKER-USER; add rule ip filter DOCKER-USER return;"
        "add table inet wall;"
        "add chain inet wall forwarded { type filter hook forward priority 5; policy drop; }",
    )
    before = run("nft", "list", "ruleset")
    network = host.network("a", "172.18.0.0/20")
    host.firewall().ensure_network(NetworkRules(network.bridge, internal=False))
    container, (ip,), published = host.container(network)
    keep = [container.listen(80), outside.listen(80)]
    published.publish([PublishedPort("", 8080, "tcp", ip, 80)])
    assert outside.connects("198.51.100.1", 8080) and container.connects("198.51.100.2", 80)
    listed = run("nft", "list", "chain", "ip", "filter", "DOCKER-USER")
    assert listed.count('comment "pycompose br-a"') == 2
    assert run("nft", "list", "ruleset").count('comment "pycompose br-a"') == 4
    host.firewall().remove_network(network.bridge, prefix(network))
    assert run("nft", "list", "ruleset") == before
    assert len(keep) == 2


def test_iptables_legacy(host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A program that plays iptables-legacy: it has one chain and keeps its rules in a file."""
    loaded, state = tmp_path / "names", tmp_path / "rules"
    loaded.write_text("nat\nfilter\n")
    monkeypatch.setattr(legacy, "_LOADED", str(loaded))
    monkeypatch.setattr(legacy, "_SEARCHED", (str(tmp_path),))
    assert "not installed" in legacy.ensure_accepts("br-a")[0]
    program = tmp_path / "iptables-legacy"
    program.write_text(
        f"""#!/bin/sh
shift 2; verb=$1 chain=$2; shift 2
[ $chain = FORWARD ] || exit 1
case $verb in
-S) echo "-P FORWARD DROP"; /bin/cat {state} ;;
-C) /bin/grep -qxF -- "$*" {state} ;;
-I) echo "$*" >> {state} ;;
-D) /bin/grep -qxF -- "$*" {state} || exit 1
    /bin/grep -vxF -- "$*" {state} > {state}.new; /bin/cp {state}.new {state} ;;
esac
"""
    )
    program.chmod(0o755)
    state.touch()
    for _ in range(2):
        assert legacy.ensure_accepts("br-a") == ()
    assert [line.split()[:2] for line in state.read_text().splitlines()] == [["-i", "br-a"], ["-o", "br-a"]]
    legacy.remove_accepts("br-a")
    assert state.read_text() == ""


@pytest.mark.skipif(
    not os.path.exists("/usr/sbin/iptables-legacy"), reason="iptables-legacy is not installed"
)
def test_iptables_legacy_for_real(host: Host) -> None:
    done = subprocess.run(["iptables-legacy", "-P", "FORWARD", "DROP"], capture_output=True, timeout=20)
    if done.returncode:
        pytest.skip("the kernel has no iptables-legacy")
    outside = host.outside()
    network = host.network("a", "172.18.0.0/20")
    container, _, _ = host.container(network)
    keep = outside.listen(80)
    assert container.connects("198.51.100.2", 80)
    host.firewall().remove_network(network.bridge, prefix(network))
    assert run("iptables-legacy", "-S") == "-P INPUT ACCEPT\n-P FORWARD DROP\n-P OUTPUT ACCEPT\n"
    keep.close()


def test_firewalld_rejects_at_the_end_of_a_chain_that_accepts(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(firewalld, "_PROGRAM", "no-such-program")  # else the machine's own would be told
    outside = host.outside()
    run(
        "nft",
        "add table inet firewalld;"
        "add chain inet firewalld filter_FORWARD { type filter hook forward priority 10; policy accept; };"
        "add rule inet firewalld filter_FORWARD ct state established,related accept;"
        "add rule inet firewalld filter_FORWARD reject with icmpx admin-prohibited",
    )
    before = run("nft", "list", "ruleset")
    network = host.network("a", "172.18.0.0/20", "fd00:1::/64")
    container, _, _ = host.container(network)
    keep = [outside.listen(80), outside.listen(81, "::")]
    assert container.connects("198.51.100.2", 80) and container.connects("2001:db8::2", 81)
    assert run("nft", "list", "ruleset").count('comment "pycompose br-a"') == 2
    host.firewall().remove_network(network.bridge, [])
    host.firewall6().remove_network(network.bridge, [])
    assert run("nft", "list", "ruleset") == before
    assert len(keep) == 2


def test_dockers_chains_of_both_families(host: Host) -> None:
    outside = host.outside()
    for family in ("ip", "ip6"):
        run(
            "nft",
            f"add table {family} filter; add chain {family} filter DOCKER-USER;"
            f"add chain {family} filter FORWARD {{ type filter hook forward priority 0; policy drop; }};"
            f"add rule {family} filter FORWARD jump DOCKER-USER; add rule {family} filter DOCKER-USER return",
        )
    network = host.network("a", "172.18.0.0/20", "fd00:1::/64")
    container, _, _ = host.container(network)
    keep = [outside.listen(80), outside.listen(81, "::")]
    assert container.connects("198.51.100.2", 80) and container.connects("2001:db8::2", 81)
    for family in ("ip", "ip6"):
        assert run("nft", "list", "chain", family, "filter", "DOCKER-USER").count("pycompose br-a") == 2
    assert len(keep) == 2


def test_next_to_a_running_dockerd(host: Host, tmp_path: Path) -> None:
    """The real one, in the test's own "host": it sets the policy of forwarding to DROP, in chains of its own."""
    if shutil.which("dockerd") is None:
        pytest.skip("dockerd is not installed (package docker.io)")
    outside = host.outside()
    before = host.network("a", "172.18.0.0/20")
    # It sets the policy only where it is the one to switch forwarding on.
    Path("/proc/sys/net/ipv4/ip_forward").write_text("0")
    with (tmp_path / "log").open("w") as log:
        daemon = subprocess.Popen(
            ["dockerd", "--data-root", tmp_path / "data", "--exec-root", tmp_path / "exec", "--pidfile", tmp_path / "pid",
             "-H", f"unix://{tmp_path}/socket", "--bip", "10.213.0.1/24"],
            stdout=log, stderr=log,
        )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while "-P FORWARD DROP" not in run("iptables", "-S", "FORWARD"):
            assert time.monotonic() < deadline, (tmp_path / "log").read_text()
            time.sleep(0.2)
        after = host.network("b", "172.18.16.0/20")
        for network in (before, after):
            host.firewall().ensure_network(NetworkRules(network.bridge))  # as the next command does
            container, (ip,), published = host.container(network)
            server = container.listen(80)
            published.publish([PublishedPort("", 8080, "tcp", ip, 80)])
            keep = outside.listen(80)
            assert container.connects("198.51.100.2", 80), network.name
            assert outside.connects("198.51.100.1", 8080), network.name
            published.unpublish([PublishedPort("", 8080, "tcp", ip, 80)])
            server.close()
            keep.close()
            host.firewall().remove_network(network.bridge, prefix(network))
        assert "pycompose" not in run("iptables", "-S")
    finally:
        daemon.terminate()
        daemon.wait(timeout=30)


def test_exit_codes_where_the_kernel_reaps() -> None:
    """A command lets the kernel reap its children once it has started shims."""
    usual = signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    try:
        assert run_program("/bin/sh", "-c", "echo out; exit 3") == (3, "out\n")
        assert signal.getsignal(signal.SIGCHLD) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGCHLD, usual)
