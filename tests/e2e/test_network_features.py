"""What networks of a Compose file can be asked for, seen from inside the containers and from the kernel."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.e2e.test_networks import SERVER, fetch
from tests.project import Project

# At most 500 under way at once; prints how many were answered with one address.
QUESTIONS = """
import os, socket, struct
question = b"\\1a\\0" + struct.pack("!HH", 1, 1)
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
sock.connect(("127.0.0.11", 53))
sock.settimeout(30)
sock.setsockopt(socket.SOL_SOCKET, 33, 4 << 20)  # SO_RCVBUFFORCE: what is answered while we do not run
sent = answered = 0
while answered < 10000:
    while sent < 10000 and sent - answered < 500:
        if sent % 100 == 0:
            sock.send(os.urandom(sent % 300))
        sock.send(struct.pack("!HHHHHH", 0x7000 + sent % 4096, 0x100, 1, 0, 0, 0) + question)
        sent += 1
    message = sock.recv(512)
    if message[0] & 0xF0 == 0x70 and struct.unpack("!H", message[6:8])[0] == 1:
        answered += 1
print(answered)
"""
SLEEP = "command: sleep 1000, init: true"
needs_ipv6 = pytest.mark.skipif(not os.path.exists("/proc/net/if_inet6"), reason="this kernel has no IPv6")


def addresses(project: Project, service: str, interface: str = "eth0") -> list[str]:
    """Addresses of an interface with their prefix lengths, the link-local IPv6 one left out."""
    shown = project.exec(service, "ip", "addr", "show", interface).splitlines()
    found = [line.split()[1] for line in shown if line.split()[0] in ("inet", "inet6")]
    return [address for address in found if not address.startswith("fe80::42:")]


def resolve(project: Project, service: str, name: str, kind: str = "a") -> set[str]:
    answer = project.exec(service, "nslookup", f"-type={kind}", name).split("Name:", 1)[-1]
    return {line.split()[-1] for line in answer.splitlines() if line.startswith("Address")}


@needs_ipv6
@pytest.mark.covers("services.*.networks.*", "ipv4_address ipv6_address")
def test_both_families(project: Project) -> None:
    project.write(
        f"""
        services:
          web:
            image: IMAGE
            command: httpd -f -p [::]:80 -h /etc
            init: true
            ports: ["PORT0:80"]
            networks: {{dual: {{ipv4_address: 10.77.0.7, ipv6_address: "fd00:77::99"}}}}
          client: {{image: IMAGE, {SLEEP}, networks: [dual]}}
        networks:
          dual:
            enable_ipv6: true
            ipam: {{config: [{{subnet: 10.77.0.0/24}}, {{subnet: "fd00:77::/64", gateway: "fd00:77::5"}}]}}
        """
    )
    project.run("up", "-d")
    assert addresses(project, "web") == ["10.77.0.7/24", "fd00:77::99/64"]
    assert resolve(project, "client", "web", "aaaa") == {"fd00:77::99"}
    assert resolve(project, "client", "web") == {"10.77.0.7"}
    assert "web" in project.exec("client", "nslookup", "fd00:77::99")
    assert "root:x:0" in project.exec("client", "wget", "-qO-", "http://[fd00:77::99]/passwd")
    assert "via fd00:77::5" in project.exec("client", "ip", "-6", "route", "show", "default")
    for address in ("127.0.0.1", "::1"):
        assert "root:x:0" in fetch(address, project.ports[0])
    assert [item["URL"] for item in project.ps()["project-web-1"]["Publishers"]] == ["0.0.0.0", "::"]
    (found,) = json.loads(project.run("network", "inspect", "project_dual").stdout)
    assert found["EnableIPv6"] and found["IPAM"]["Config"][1] == {
        "Subnet": "fd00:77::/64",
        "Gateway": "fd00:77::5",
    }
    assert {item["IPv6Address"] for item in found["Containers"].values()} >= {"fd00:77::99/64"}
    project.run("down", "-t", "0")


@needs_ipv6
@pytest.mark.covers("networks.*", "enable_ipv4 enable_ipv6")
def test_only_ipv6_and_a_subnet_of_its_own(project: Project) -> None:
    project.write(
        f"""
        services:
          web: {{image: IMAGE, command: "httpd -f -p [::]:80 -h /etc", init: true, ports: ["PORT0:80"], networks: [six]}}
          client: {{image: IMAGE, {SLEEP}, networks: [six]}}
        networks: {{six: {{enable_ipv4: false, enable_ipv6: true}}}}
        """
    )
    project.run("up", "-d")
    (address,) = addresses(project, "web")
    assert address.startswith("fd") and address.endswith("/64")
    assert "root:x:0" in project.exec("client", "wget", "-qO-", "http://web/passwd")
    for host in ("127.0.0.1", "::1"):  # the first one through the proxy, from one family to the other
        assert "root:x:0" in fetch(host, project.ports[0])
    project.run("down", "-t", "0")


def test_a_port_answers_on_ipv6_without_ipv6_in_the_network(project: Project) -> None:
    project.write(
        f"services: {{web: {{image: IMAGE, command: {SERVER}, init: true, ports: ['PORT0:80', '[::1]::80']}}}}\n"
    )
    project.run("up", "-d")
    assert "root:x:0" in fetch("::1", project.ports[0])
    assert project.run("port", "web", "80").stdout == f"0.0.0.0:{project.ports[0]}\n"
    assert "no port 81/tcp" in project.run("port", "web", "81", code=1).stderr
    published = project.ps()["project-web-1"]["Publishers"]
    assert [item["URL"] for item in published] == ["0.0.0.0", "::", "::1"]
    assert "root:x:0" in fetch("::1", published[2]["PublishedPort"])
    project.run("down", "-t", "0")


def test_the_network_of_another_service(project: Project) -> None:
    project.write(
        f"""
        services:
          web: {{image: IMAGE, command: {SERVER}, init: true, hostname: shared}}
          side: {{image: IMAGE, {SLEEP}, network_mode: "service:web"}}
          other: {{image: IMAGE, {SLEEP}, network_mode: "container:project-web-1", depends_on: [web]}}
        """
    )
    project.run("up", "-d")
    for service in ("side", "other"):
        assert "root:x:0" in project.exec(service, "wget", "-qO-", "http://127.0.0.1/passwd")
        assert addresses(project, service) == addresses(project, "web")
        assert project.exec(service, "cat", "/etc/hostname").strip() == "shared"
        assert project.exec(service, "hostname").strip() == "shared"
        assert resolve(project, service, "web")
    # A new namespace: those in it are started anew.
    project.run("restart", "-t", "0", "web")
    assert "root:x:0" in project.exec("side", "wget", "-qO-", "http://127.0.0.1/passwd")
    project.run("up", "-d", "--force-recreate", "-t", "0")
    assert "root:x:0" in project.exec("side", "wget", "-qO-", "http://127.0.0.1/passwd")
    project.run("down", "-t", "0")


def test_ports_without_a_network_of_their_own(project: Project) -> None:
    project.write(
        f"""
        services:
          web: {{image: IMAGE, {SLEEP}}}
          side: {{image: IMAGE, {SLEEP}, network_mode: "service:web", ports: ["PORT0:80"]}}
        """
    )
    assert "can't have ports of its own" in project.run("up", "-d", code=1).stderr
    assert project.ps() == {}
    project.write(f"services: {{web: {{image: IMAGE, {SLEEP}, network_mode: host, ports: ['PORT0:80']}}}}\n")
    with socket.create_server(("127.0.0.1", project.ports[0])):  # no reason to refuse what isn't published
        assert "compose.yaml:1:" in (warning := project.run("up", "-d").stderr) and "no effect" in warning
    project.run("down", "-t", "0")


def test_ten_thousand_questions(project: Project) -> None:
    """All are answered, however fast they come, and garbage in between changes nothing."""
    project.write("services: {a: {image: IMAGE, command: sleep 1000, init: true}}\n")
    project.run("up", "-d")
    (shim,) = [
        json.loads(path.read_text())["shim_pid"]
        for path in Path(project.paths.state).glob("containers/*/state.json")
    ]
    child = subprocess.run(
        ["nsenter", "-t", str(shim), "-n", sys.executable, "-I", "-c", QUESTIONS],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert child.stdout.split() == ["10000"]
    assert resolve(project, "a", "a")
    project.run("down", "-t", "0")


def test_joining_what_does_not_run(project: Project) -> None:
    project.write("services: {a: {image: IMAGE, command: sleep 9, network_mode: 'container:nosuch'}}\n")
    assert "there is no container nosuch" in project.run("up", "-d", code=1).stderr
    project.run("down")


@pytest.mark.covers("services.*", "links external_links")
def test_links_are_names_for_one_container_only(project: Project) -> None:
    project.write(
        f"""
        services:
          db: {{image: IMAGE, {SLEEP}}}
          web: {{image: IMAGE, {SLEEP}, links: ["db:database"], external_links: ["project-other-1:third"]}}
          other: {{image: IMAGE, {SLEEP}}}
        """
    )
    project.run("up", "-d")
    assert resolve(project, "web", "database") == resolve(project, "other", "db")
    assert resolve(project, "web", "third") == resolve(project, "other", "other")
    assert "NXDOMAIN" in project.run("exec", "-T", "other", "nslookup", "-type=a", "database", code=1).stdout
    project.run("down", "-t", "0")


@pytest.mark.covers("services.*", "mac_address")
@pytest.mark.covers(
    "services.*.networks.*", "driver_opts gw_priority interface_name link_local_ips mac_address priority"
)
@pytest.mark.covers("networks.*", "driver_opts ipam")
@pytest.mark.covers("networks.*.ipam", "config")
@pytest.mark.covers("networks.*.ipam.config[]", "subnet ip_range gateway aux_addresses")
def test_details_of_an_endpoint(project: Project) -> None:
    bridge = f"pct{os.getpid() % 100000}"
    project.write(
        f"""
        services:
          one:
            image: IMAGE
            {SLEEP.replace(", ", chr(10) + "            ")}
            networks:
              a: {{priority: 1, mac_address: "02:11:22:33:44:55", link_local_ips: [169.254.7.7]}}
              c: {{driver_opts: {{com.docker.network.endpoint.ifname: spare}}}}
              b:
                interface_name: lan
                gw_priority: 10
                driver_opts: {{com.docker.network.endpoint.sysctls: "net.ipv4.conf.IFNAME.log_martians=1"}}
          two: {{image: IMAGE, {SLEEP}, mac_address: "02:11:22:33:44:66", networks: [a]}}
        networks:
          a: {{driver_opts: {{com.docker.network.driver.mtu: "1234"}}}}
          c: {{driver_opts: {{com.docker.network.bridge.inhibit_ipv4: "true", com.docker.network.bridge.name: {bridge}}}}}
          b: {{ipam: {{config: [{{subnet: 10.78.0.0/24, gateway: 10.78.0.254, ip_range: 10.78.0.64/28, aux_addresses: {{x: 10.78.0.64}}}}]}}}}
        """
    )
    project.run("up", "-d")
    assert "169.254.7.7/16" in addresses(project, "one")
    assert addresses(project, "one", "lan") == ["10.78.0.65/24"]
    shown = project.exec("one", "ip", "link", "show", "eth0")
    assert "02:11:22:33:44:55" in shown and "mtu 1234" in shown
    assert "02:11:22:33:44:66" in project.exec("two", "ip", "link", "show", "eth0")
    assert "via 10.78.0.254 dev lan" in project.exec("one", "ip", "route", "show", "default")
    assert project.exec("one", "cat", "/proc/sys/net/ipv4/conf/lan/log_martians").strip() == "1"
    assert len(addresses(project, "one", "spare")) == 1
    assert "inet " not in subprocess.check_output(["ip", "addr", "show", bridge], text=True)
    told = project.run(
        "network", "connect", "--driver-opt", "x=y", "project_c", "project-two-1", code=1
    ).stderr
    assert "--driver-opt x is not supported" in told
    options = (
        "com.docker.network.endpoint.ifname=late",
        "com.docker.network.endpoint.sysctls=net.ipv4.conf.IFNAME.forwarding=0",
    )
    words = [word for option in options for word in ("--driver-opt", option)]
    project.run("network", "connect", *words, "project_c", "project-two-1")
    assert len(addresses(project, "two", "late")) == 1
    assert project.exec("two", "cat", "/proc/sys/net/ipv4/conf/late/forwarding").strip() == "0"
    project.run("down", "-t", "0")


def test_options_of_a_bridge(project: Project) -> None:
    bridge = f"pct{os.getpid() % 100000}"
    project.write(
        f"""
        services:
          web: {{image: IMAGE, command: {SERVER}, init: true, ports: ["PORT0:80"], networks: [apart, named]}}
          client: {{image: IMAGE, {SLEEP}, networks: [apart]}}
        networks:
          apart:
            driver_opts: {{com.docker.network.bridge.enable_icc: "false", com.docker.network.bridge.host_binding_ipv4: 127.0.0.2}}
          named: {{driver_opts: {{com.docker.network.bridge.name: {bridge}, com.docker.network.bridge.enable_ip_masquerade: "false"}}}}
        """
    )
    project.run("up", "-d")
    assert os.path.isdir(f"/sys/class/net/{bridge}/bridge")
    project.run("exec", "-T", "client", "ping", "-c1", "-W1", "web", code=1)
    assert "root:x:0" in fetch("127.0.0.2", project.ports[0])
    with pytest.raises(OSError):
        fetch("127.0.0.1", project.ports[0], timeout_s=0)
    unmasked = subprocess.check_output(
        ["nft", "list", "set", "ip", project.paths.nft_table, "unmasked"], text=True
    )
    assert bridge in unmasked
    assert (
        f"interface {bridge} already"
        in project.run(
            "network", "create", "-o", f"com.docker.network.bridge.name={bridge}", "second", code=1
        ).stderr
    )
    project.run("down", "-t", "0")
    assert not os.path.exists(f"/sys/class/net/{bridge}")


def test_network_commands(project: Project) -> None:
    alone = f"{{image: IMAGE, {SLEEP}, network_mode: none}}"
    project.write(
        f"services: {{a: {{image: IMAGE, {SLEEP}}}, b: {{image: IMAGE, {SLEEP}}}, none: {alone}}}\n"
    )
    project.run("up", "-d")
    made = project.run(
        "network",
        "create",
        "--subnet",
        "10.80.0.0/24",
        "--aux-address",
        "x=10.80.0.2",
        "--label",
        "k=v",
        "extra",
    ).stdout.strip()
    assert len(made) == 64
    assert project.run("network", "ls", "-q", "--no-trunc", "-f", "label=k=v").stdout.strip() == made
    assert (
        json.loads(project.run("network", "ls", "--format", "json", "-f", "name=extra").stdout)["Driver"]
        == "bridge"
    )
    project.run("network", "connect", "--alias", "nick", "extra", "project-a-1")
    project.run("network", "connect", "--ip", "10.80.0.99", made[:12], "project-b-1")
    assert addresses(project, "a", "eth1") == ["10.80.0.3/24"]
    assert "10.80.0.3\t" in project.exec("a", "cat", "/etc/hosts")
    assert resolve(project, "b", "nick") == {"10.80.0.3"}
    assert "project-b-1.extra" in project.exec("a", "nslookup", "10.80.0.99")
    project.exec("a", "ping", "-c1", "-W1", "10.80.0.99")
    assert (
        "is in network extra already"
        in project.run("network", "connect", "extra", "project-a-1", code=1).stderr
    )
    refused = project.run("network", "connect", "extra", "project-none-1", code=1).stderr
    assert "has network_mode none" in refused
    assert "in use by" in project.run("network", "rm", "extra", code=1).stderr
    # It stays so over a restart, and its default route too.
    project.run("restart", "-t", "0", "a")
    assert addresses(project, "a", "eth1") == ["10.80.0.3/24"] and resolve(project, "b", "nick") == {
        "10.80.0.3"
    }
    project.run("network", "disconnect", "project_default", "project-a-1")
    assert "via 10.80.0.1 dev eth1" in project.exec("a", "ip", "route", "show", "default")
    project.run("network", "connect", "project_default", "project-a-1")
    for name in ("project-a-1", "project-b-1"):
        project.run("network", "disconnect", "extra", name)
    assert "eth1" not in project.exec("b", "ip", "link")
    assert "10.80.0." not in project.exec("b", "cat", "/etc/hosts")
    assert "NXDOMAIN" in project.run("exec", "-T", "b", "nslookup", "-type=a", "nick", code=1).stdout
    assert "extra" in project.run("network", "prune", "-f").stdout
    assert "not found" in project.run("network", "inspect", "extra", code=1).stderr
    # Stopped containers can be connected as well.
    project.run("network", "create", "late")
    project.run("stop", "-t", "0", "a")
    project.run("network", "connect", "late", "project-a-1")
    project.run("start", "a")
    assert "late" in project.ps()["project-a-1"]["Networks"]
    project.run("down", "-t", "0")
    project.run("network", "rm", "late")


def test_ports_follow_the_default_route(project: Project) -> None:
    project.write(
        f"""
        services:
          web: {{image: IMAGE, command: {SERVER}, init: true, ports: ["PORT0:80"], networks: {{a: {{gw_priority: 1}}, b: }}}}
          inner: {{image: IMAGE, command: {SERVER}, init: true, ports: ["PORT1:80"], networks: [c], dns: 10.83.0.1}}
        networks: {{a: {{ipam: {{config: [{{subnet: 10.83.0.0/24}}]}}}}, b: , c: {{internal: true}}}}
        """
    )
    told = project.run("up", "-d").stderr
    assert "compose.yaml:4:" in told and "published ports have no effect in internal" in told
    with pytest.raises(OSError):
        fetch("127.0.0.1", project.ports[1], timeout_s=0)
    for verb, options in (("disconnect", ()), ("connect", ("--gw-priority", "2"))):
        project.run("network", verb, *options, "project_a", "project-web-1")
        for host in ("127.0.0.1", "::1") if os.path.exists("/proc/net/if_inet6") else ("127.0.0.1",):
            assert "root:x:0" in fetch(host, project.ports[0]), (verb, host)
    # Names of the world outside are asked for as soon as there is a way out.
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asked:
        asked.bind(("10.83.0.1", 53))
        asked.settimeout(5)
        nslookup = ("exec", "-T", "inner", "nslookup", "-type=a", "example.org")
        assert "SERVFAIL" in project.run(*nslookup, code=1).stdout
        project.run("network", "connect", "project_a", "project-inner-1")
        client = project.popen(*nslookup)
        assert b"example" in asked.recv(512)
        client.kill()
        client.communicate()
    project.run("down", "-t", "0")


def test_pools_of_the_users_choice(project: Project) -> None:
    project.environ["PYCOMPOSE_ADDRESS_POOLS"] = "10.81.0.0/16:26,fd00:81::/56:64"
    project.write(
        f"services: {{a: {{image: IMAGE, {SLEEP}, networks: [n]}}}}\nnetworks: {{n: {{enable_ipv6: true}}}}\n"
    )
    project.run("up", "-d")
    assert addresses(project, "a") == ["10.81.0.2/26", "fd00:81::2/64"]
    project.run("down", "-t", "0")
    project.environ["PYCOMPOSE_ADDRESS_POOLS"] = "10.81.0.0/16"
    assert "is not a pool of addresses" in project.run("up", "-d", code=1).stderr
    project.run("down")


def test_the_hosts_name_servers_are_followed(project: Project, tmp_path: Path) -> None:
    """resolv.conf of the host is read when a question comes, so that a laptop may change its network."""
    project.write(f"services: {{a: {{image: IMAGE, {SLEEP}}}}}\n")
    project.run("up", "-d")
    asked = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        asked.bind(("127.0.0.53", 53))
    except OSError:
        pytest.skip("something listens on 127.0.0.53:53")
    asked.settimeout(5)
    # Bound in the shim's own mount namespace only: the host's file stays as it is.
    replaced = tmp_path / "resolv.conf"
    replaced.write_text("nameserver 127.0.0.53\n")
    (shim,) = [
        json.loads(path.read_text())["shim_pid"]
        for path in Path(project.paths.state).glob("containers/*/state.json")
    ]
    mount = [
        "nsenter",
        "-t",
        str(shim),
        "-m",
        "mount",
        "--bind",
        str(replaced),
        os.path.realpath("/etc/resolv.conf"),
    ]
    subprocess.run(mount, check=True)
    client = project.popen("exec", "-T", "a", "nslookup", "-type=a", "example.org")
    question, _ = asked.recvfrom(512)
    assert b"example" in question
    client.kill()
    client.communicate()
    asked.close()
    project.run("down", "-t", "0")


def test_unknown_options_are_announced(project: Project) -> None:
    project.write(
        f"services: {{a: {{image: IMAGE, {SLEEP}}}}}\nnetworks: {{default: {{driver_opts: {{foo: bar}}}}}}\n"
    )
    warnings = project.run("up", "-d").stderr
    assert "compose.yaml:2:" in warnings and "driver_opts.foo is not honoured" in warnings
    project.run("down", "-t", "0")


def test_many_services_in_several_networks(project: Project) -> None:
    """50 services in 5 networks: each finds its neighbours and nobody else."""
    lines = ["services:"]
    for number in range(50):
        lines.append(f"  s{number}: {{image: IMAGE, {SLEEP}, networks: [n{number % 5}]}}")
    lines.append("networks: {" + ", ".join(f"n{number}: " for number in range(5)) + "}")
    project.write("\n".join(lines) + "\n")
    begun = time.monotonic()
    project.run("up", "-d", timeout_s=120)
    assert time.monotonic() - begun < 60
    assert resolve(project, "s0", "s45") and resolve(project, "s3", "s48")
    project.exec("s0", "ping", "-c1", "-W2", "s5")
    assert (
        "NXDOMAIN" in project.run("exec", "-T", "s0", "nslookup", "-type=a", "s1.project_n0", code=1).stdout
    )
    project.run("down", "-t", "0", timeout_s=120)


def test_a_proxy_follows_a_service_as_it_scales(project: Project) -> None:
    """nginx with `resolver 127.0.0.11`, as configurations in the wild have it; getent and dig agree with it."""
    for program in ("nginx", "dig", "curl"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    (project.folder / "nginx.conf").write_text(
        """
        daemon off; error_log stderr; pid /tmp/nginx.pid;
        events {}
        http {
          access_log off;
          resolver 127.0.0.11 valid=1s;
          server { listen 8000; location / { set $up http://app:8000; proxy_pass $up; proxy_connect_timeout 1s; } }
        }
        """
    )
    project.write(
        """
        services:
          front:
            image: host:/
            command: nginx -c /nginx.conf
            init: true
            stop_signal: SIGTERM
            volumes: ["./nginx.conf:/nginx.conf:ro"]
            tmpfs: [/var/lib/nginx, /var/log/nginx]
            ports: ["PORT0:8000"]
          app:
            image: host:/
            command: sh -c 'mkdir /w && hostname > /w/index.html && exec python3 -m http.server -d /w 8000'
            init: true
            scale: 2
        """
    )
    project.run("up", "-d")

    def fetched() -> str:
        command = ["curl", "-sf", "-m", "3", f"http://127.0.0.1:{project.ports[0]}/"]
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()

    def answering(number: int) -> set[str]:
        """Who answers, asked until there are so many of them."""
        deadline = time.monotonic() + 20
        seen: set[str] = set()
        while len(seen) < number and time.monotonic() < deadline:
            seen |= {fetched()} - {""}
        return seen

    assert len(answering(2)) == 2
    project.run("up", "-d", "--scale", "app=3")
    assert len(answering(3)) == 3
    project.run("up", "-d", "--scale", "app=1", "-t", "0")
    time.sleep(1.5)  # what nginx may remember
    assert len({fetched() for _ in range(5)}) == 1
    (one,) = project.exec("front", "dig", "+short", "app").split()
    assert project.exec("front", "dig", "+tcp", "+short", "app").split() == [one]
    assert project.exec("front", "getent", "ahostsv4", "app").split()[0] == one
    assert "NXDOMAIN" in project.exec("front", "dig", "nosuch.project_default")
    project.run("down", "-t", "0")
