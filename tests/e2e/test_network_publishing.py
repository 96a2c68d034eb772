"""Published ports that depend on the network: its gateway mode, and networks that come and go while a container runs."""

import json
import os
import socket
import subprocess

import pytest

from tests.e2e.test_networks import SERVER, fetch
from tests.project import Project

GATEWAY_MODE = "com.docker.network.bridge.gateway_mode_ipv"
needs_ipv6 = pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="this kernel has no IPv6")


@needs_ipv6
@pytest.mark.covers("networks.*.ipam", "options")
def test_gateway_modes(project: Project) -> None:
    """IPv6 without translation, as for routable addresses, and IPv4 with it; a network without any; one for nobody."""
    bridge = f"pct{os.getpid() % 100000}"
    project.write(
        f"""
        services:
          mixed: {{image: IMAGE, command: "httpd -f -p [::]:80 -h /etc", init: true, ports: ["PORT0:80"], networks: [mixed]}}
          routed:
            image: IMAGE
            command: {SERVER}
            init: true
            scale: 2
            ports: ["PORT1:80"]
            networks: [routed]
          alone: {{image: IMAGE, command: {SERVER}, init: true, networks: [isolated]}}
          neighbour: {{image: IMAGE, command: sleep 1000, init: true, networks: [isolated]}}
        networks:
          mixed: {{enable_ipv6: true, driver_opts: {{{GATEWAY_MODE}6: routed}}}}
          routed:
            driver_opts: {{{GATEWAY_MODE}4: routed}}
            ipam: {{options: {{com.docker.network.ipam.serial: "true", other: x}}}}
          isolated:
            internal: true
            driver_opts: {{{GATEWAY_MODE}4: isolated, com.docker.network.bridge.name: {bridge}}}
        """
    )
    with socket.create_server(("", project.ports[1])):  # nobody needs this port of the host
        told = project.run("up", "-d").stderr
    assert told.count("warning") == 1 and "ipam.options.other is not an option" in told
    assert "root:x:0" in fetch("127.0.0.1", project.ports[0])
    with pytest.raises(OSError):
        fetch("::1", project.ports[0], timeout_s=0)
    assert f"0.0.0.0:{project.ports[0]}->80/tcp\n" in (shown := project.run("ps", "mixed").stdout)
    assert "   80/tcp, " in shown
    (inspected,) = json.loads(project.run("inspect", "project-mixed-1").stdout)
    assert inspected["NetworkSettings"]["Ports"]["80/tcp"] == [
        {"HostIp": "0.0.0.0", "HostPort": str(project.ports[0])},
        {"HostIp": "::", "HostPort": ""},
    ]
    address = inspected["NetworkSettings"]["Networks"]["project_mixed"]["GlobalIPv6Address"]
    assert "root:x:0" in fetch(address, 80)
    address, _, port = project.run("port", "routed", "80", "--index", "2").stdout.strip().partition(":")
    assert port == "80" and "root:x:0" in fetch(address, 80)
    project.run("up", "-d", "--force-recreate", "-t", "0", "routed")
    assert project.run("port", "routed", "80").stdout != f"{address}:80\n"
    # Only containers are in there: no address of the host is.
    assert "root:x:0" in project.exec("neighbour", "wget", "-qO-", "http://alone/passwd")
    (described,) = json.loads(project.run("network", "inspect", "project_isolated").stdout)
    assert "Gateway" not in described["IPAM"]["Config"][0]
    assert "inet " not in subprocess.check_output(["ip", "addr", "show", bridge], text=True)
    project.run("down", "-t", "0")


def test_ports_come_and_go_with_the_networks(project: Project) -> None:
    project.write(
        f"""
        services:
          web: {{image: IMAGE, command: {SERVER}, init: true, ports: ["PORT0:80", "80"], networks: [inner]}}
        networks: {{inner: {{internal: true}}, outer: {{}}}}
        """
    )
    with socket.create_server(("", project.ports[0])):
        project.run("up", "-d")  # in internal networks it has no ports
        project.run("network", "create", "outside")
        refused = project.run("network", "connect", "outside", "project-web-1", code=1).stderr
        assert f"{project.ports[0]}/tcp is already taken by" in refused
    assert "->" not in project.run("ps").stdout
    assert "eth1" not in project.exec("web", "ip", "link")
    families = ("127.0.0.1", "::1") if os.path.exists("/proc/net/if_inet6") else ("127.0.0.1",)
    for _ in range(2):
        project.run("network", "connect", "outside", "project-web-1")
        published = project.ps()["project-web-1"]["Publishers"]
        numbers = {item["PublishedPort"] for item in published}
        assert len(numbers) == 2 and project.ports[0] in numbers
        for number in numbers:
            for host in families:
                assert "root:x:0" in fetch(host, number)
        project.run("network", "disconnect", "outside", "project-web-1")
        assert project.ps()["project-web-1"]["Publishers"] == []
        assert "no port 80/tcp" in project.run("port", "web", "80", code=1).stderr
        for host in families:
            with pytest.raises(OSError):
                fetch(host, project.ports[0], timeout_s=0)
        with socket.create_server(("", project.ports[0])):
            pass
    project.run("network", "disconnect", "project_inner", "project-web-1")
    assert project.ps()["project-web-1"]["State"] == "running"
    project.run("network", "connect", "outside", "project-web-1")
    project.run("restart", "-t", "0", "web")
    assert "root:x:0" in fetch("127.0.0.1", project.ports[0])
    project.run("down", "-t", "0")
    project.run("network", "rm", "outside")


def test_more_options_of_the_network_commands(project: Project) -> None:
    project.write("services: {a: {image: IMAGE, command: sleep 1000, init: true, scale: 2}}\n")
    project.run("up", "-d")
    serial = "com.docker.network.ipam.serial=true"
    words = ("--ipam-driver", "default", "--ipam-opt", serial, "--scope", "local", "--subnet", "10.82.0.0/29")
    project.run("network", "create", *words, "extra")
    (described,) = json.loads(project.run("network", "inspect", "extra").stdout)
    assert described["IPAM"]["Options"] == dict([serial.split("=")])
    given = []
    for _ in range(2):
        project.run("network", "connect", "--link", "project-a-2:second", "extra", "project-a-1")
        inspected = json.loads(project.run("network", "inspect", "extra").stdout)[0]["Containers"]
        given += [item["IPv4Address"] for item in inspected.values()]
        if len(given) < 2:
            project.run("network", "disconnect", "extra", "project-a-1")
    assert given == ["10.82.0.2/29", "10.82.0.3/29"]
    assert "Name:" in project.exec_in("a", "1", "nslookup", "-type=a", "second")
    project.run("exec", "-T", "--index", "2", "a", "nslookup", "-type=a", "second", code=1)
    project.run("network", "disconnect", "extra", "project-a-1")
    project.run("exec", "-T", "--index", "1", "a", "nslookup", "-type=a", "second", code=1)
    assert "is not in network" in project.run("network", "disconnect", "extra", "project-a-1", code=1).stderr
    for container in ("project-a-1", "nobody"):
        project.run("network", "disconnect", "-f", "extra", container)
    for option, value in (("--ipam-driver", "dhcp"), ("--ipam-opt", "x=y"), ("--scope", "swarm")):
        assert (
            "scope" in project.run("network", "create", option, value, "n", code=1).stderr or value != "swarm"
        )
    assert project.run("network", "ls", "-q", "-f", "dangling=true").stdout.split() == [described["Id"][:12]]
    assert project.run("network", "prune", "-f", "--filter", "until=1h").stdout == ""
    assert "extra" in project.run("network", "prune", "-f", "--filter", "label!=keep").stdout
    project.run("down", "-t", "0")


def test_more_ports_than_one_message_or_the_soft_limit_of_files_allows(project: Project) -> None:
    project.command = ["sh", "-c", 'ulimit -Sn 300; exec "$@"', "sh", *project.command]
    many = "127.0.0.77:21000-21449"
    project.write(
        f"""
        services:
          a: {{image: IMAGE, command: sh -c 'ulimit -n; exec sleep 1000', ports: ["{many}:21000-21449/udp"], stop_signal: KILL}}
        """
    )
    project.run("up", "-d")
    assert f"{many}->21000-21449/udp\n" in project.run("ps").stdout
    project.run("restart", "a")
    project.run("network", "create", "other")
    project.run("network", "disconnect", "project_default", "project-a-1")
    project.run("network", "connect", "other", "project-a-1")
    assert f"{many}->21000-21449/udp\n" in project.run("ps").stdout
    assert project.run("logs", "--no-log-prefix").stdout == "300\n300\n"
    project.run("down")
    project.run("network", "rm", "other")
