"""Programs that people use in their networks: iperf3, curl on IPv6, and resolvers of glibc, musl and busybox."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.e2e.test_networks import fetch
from tests.project import Project

SLEEP = "command: sleep 1000, init: true"
RESOLVE = """
#include <netdb.h>
#include <stdio.h>

int main(int count, char **names) {
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM}, *found;
    char text[64];
    int error = getaddrinfo(names[1], 0, &hints, &found);
    if (error) { puts(gai_strerror(error)); return 1; }
    for (; found; found = found->ai_next) {
        getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, 0, 0, NI_NUMERICHOST);
        puts(text);
    }
    return 0;
}
"""


def needs(*programs: str) -> None:
    for program in programs:
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


def received(answer: str) -> tuple[float, float]:
    """(bits per second, lost percent) that iperf3's receiver saw."""
    total = json.loads(answer)["end"]
    part = total.get("sum_received") or total["sum"]
    return float(part["bits_per_second"]), float(part.get("lost_percent", 0))


def test_iperf3(project: Project) -> None:
    """TCP and UDP, from container to container and by a published port, in both directions."""
    needs("iperf3")
    project.write(
        f"""
        services:
          server:
            image: host:/
            command: iperf3 -s
            init: true
            ports: ["PORT0:5201", "PORT0:5201/udp"]
          client: {{image: host:/, {SLEEP}}}
        """
    )
    project.run("up", "-d")
    udp, tcp = ("-u", "-b", "20M"), ("-n", "50M")
    inside = ("exec", "-T", "client", "iperf3", "-J", "-c", "server")
    outside = ("iperf3", "-J", "-c", "127.0.0.1", "-p", str(project.ports[0]))
    fetch_ready = [
        "sh",
        "-c",
        f"for i in $(seq 50); do {' '.join(outside)} -n 1K >/dev/null && exit; sleep 0.1; done; exit 1",
    ]
    subprocess.run(fetch_ready, check=True, timeout=30)
    for reverse in ((), ("-R",)):
        for kind in (tcp, (*udp, "-t", "1")):
            answers = [
                project.run(*inside, *kind, *reverse).stdout,
                subprocess.check_output([*outside, *kind, *reverse], text=True, timeout=60),
            ]
            for answer in answers:
                speed, lost = received(answer)
                assert speed > (15e6 if kind is not tcp else 50e6) and lost < 5, (kind, reverse)
    project.run("down", "-t", "0")


def test_curl_on_ipv6(project: Project) -> None:
    needs("curl")
    project.write(
        f"""
        services:
          web:
            image: IMAGE
            command: httpd -f -p [::]:80 -h /etc
            init: true
            ports: ["PORT0:80", "[::1]:PORT1:80"]
          client: {{image: host:/, {SLEEP}, networks: [default, elsewhere]}}
          stranger: {{image: host:/, {SLEEP}, networks: [elsewhere]}}
        networks:
          default: {{enable_ipv6: true, ipam: {{config: [{{subnet: "fd00:78::/64"}}]}}}}
          elsewhere: {{enable_ipv6: true}}
        """
    )
    project.run("up", "-d")
    fetch("::1", project.ports[0])
    curl = ("curl", "-6", "-sS", "-m", "5")
    everywhere = f"http://[fd00:78::1]:{project.ports[0]}/passwd"  # the host's own address
    for url in (
        f"http://[::1]:{project.ports[0]}/passwd",
        f"http://[::1]:{project.ports[1]}/passwd",
        everywhere,
    ):
        assert "root:x:0" in subprocess.check_output([*curl, url], text=True), url
    for url in ("http://web/passwd", "http://project-web-1.project_default/passwd", everywhere):
        assert "root:x:0" in project.exec("client", *curl, url), url
    assert "root:x:0" in project.exec("stranger", *curl, everywhere)
    # What is published on ::1 alone is nobody else's, and other networks' containers can't be reached.
    only_local = f"http://[fd00:78::1]:{project.ports[1]}/"
    project.run("exec", "-T", "stranger", *curl, only_local, code=7)
    (address,) = (
        line.split("/")[0].split()[1]
        for line in project.exec("web", "ip", "-6", "addr", "show", "eth0").splitlines()
        if "fd00:78::" in line
    )
    project.run("exec", "-T", "stranger", "curl", "-6", "-s", "-m", "1", f"http://[{address}]/", code=28)
    project.run("down", "-t", "0")


def test_resolvers(project: Project, tmp_path: Path) -> None:
    """glibc, musl and busybox agree, on both families, and on what there is not."""
    needs("musl-gcc", "getent")
    source = tmp_path / "resolve.c"
    source.write_text(RESOLVE)
    subprocess.run(["musl-gcc", "-static", "-o", str(project.folder / "resolve"), str(source)], check=True)
    project.write(
        f"""
        services:
          web: {{image: IMAGE, {SLEEP}, scale: 2, networks: {{default: {{aliases: [nick.example]}}}}}}
          glibc: {{image: host:/, {SLEEP}}}
          musl: {{image: IMAGE, {SLEEP}, volumes: ["./resolve:/resolve:ro"], dns_search: [project_default]}}
        networks: {{default: {{enable_ipv6: true}}}}
        """
    )
    project.run("up", "-d")
    for name in ("web", "nick.example", "web.project_default", "project-web-2"):
        glibc = {line.split()[0] for line in project.exec("glibc", "getent", "ahosts", name).splitlines()}
        musl = set(project.exec("musl", "/resolve", name).split())
        busybox = {
            line.split()[-1]
            for line in project.exec("musl", "nslookup", name).split("Name:", 1)[1].splitlines()
            if line.startswith("Address")
        }
        assert glibc == musl == busybox and len(musl) == (2 if name == "project-web-2" else 4), name
    project.run("exec", "-T", "musl", "/resolve", "nosuch", code=1)
    project.run("exec", "-T", "glibc", "getent", "ahosts", "nosuch.project_default", code=2)
    project.run("down", "-t", "0")
