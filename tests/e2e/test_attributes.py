"""What service attributes do, read from inside the container."""

import time
from pathlib import Path

import pytest

from tests.project import Project

CASES = {
    "environment": ("environment: {A: one, B: two}", "echo $$A$$B", "onetwo"),
    "working_dir": ("working_dir: /some/where", "pwd", "/some/where"),
    "user": ("user: worker", "id -u; id -g; id -G", "1000\n1001\n1001 2000"),
    "user-number": ("user: '12:34'", "id -u; id -g", "12\n34"),
    "hostname": ("hostname: box", "hostname; cat /etc/hostname", "box\nbox"),
    "read_only": ("read_only: true", "touch /x 2>/dev/null || echo refused", "refused"),
    "tmpfs": ("tmpfs: ['/scratch:size=1m,mode=700']", "grep /scratch /proc/mounts | cut -d' ' -f1,3; stat -c %a /scratch", "tmpfs tmpfs\n700"),
    "extra_hosts": ("extra_hosts: ['other:10.1.2.3']", "grep other /etc/hosts | tr '\\t' ' '", "10.1.2.3 other"),
    "dns": ("dns: [10.9.9.9]\n            network_mode: none", "grep nameserver /etc/resolv.conf", "nameserver 10.9.9.9"),
    "ulimits": ("ulimits: {nofile: {soft: 64, hard: 128}}", "ulimit -Sn; ulimit -Hn", "64\n128"),
    "sysctls": ("sysctls: {net.core.somaxconn: 77}", "cat /proc/sys/net/core/somaxconn", "77"),
    "cap_drop": ("cap_drop: [ALL]", "grep CapEff /proc/self/status | tr -d '\\t'", "CapEff:0000000000000000"),
    "cap_add": ("cap_drop: [ALL]\n            cap_add: [NET_ADMIN]", "grep CapEff /proc/self/status | tr -d '\\t'", "CapEff:0000000000001000"),
    "caps-default": ("labels: {x: y}", "grep CapEff /proc/self/status | tr -d '\\t'", "CapEff:00000000a80425fb"),
    "privileged": ("privileged: true", "grep -c 'CapEff:.*000001ffffffffff\\|CapEff:.*000001fffeffffff' /proc/self/status; grep Seccomp: /proc/self/status | tr -d '\\t'", "1\nSeccomp:0"),
    "seccomp": ("labels: {x: y}", "grep Seccomp: /proc/self/status | tr -d '\\t'", "Seccomp:2"),
    "no-new-privileges": ("security_opt: ['no-new-privileges:true']", "grep NoNewPrivs /proc/self/status | tr -d '\\t'", "NoNewPrivs:1"),
    "init": ("init: true", "echo $$$$ | grep -v '^1$$' >/dev/null && echo not pid 1", "not pid 1"),
    "pid-namespace": ("labels: {x: y}", "echo $$$$", "1"),
    "shm_size": ("shm_size: 1m", "grep /dev/shm /proc/mounts | grep -o 'size=1024k'", "size=1024k"),
    "entrypoint": ("entrypoint: [echo, from, entrypoint]", "", "from entrypoint"),
    "masked": ("labels: {x: y}", "wc -c < /proc/timer_list; touch /proc/sys/kernel/x 2>/dev/null || echo refused", "0\nrefused"),
    "devices": ("labels: {x: y}", "ls /dev | grep -v core | tr '\\n' ' '", "fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero "),
    "network-none": ("network_mode: none", "ls /sys/class/net | tr '\\n' ' '", "lo "),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_attribute(project: Project, case: str) -> None:
    attributes, script, expected = CASES[case]
    command = f"command: [sh, -c, {script!r}]" if script else ""
    if script:
        command = 'command: [sh, -c, "' + script.replace("\\", "\\\\").replace('"', '\\"') + '"]'
    project.write(
        f"""
        services:
          a:
            image: IMAGE
            {attributes}
            {command}
        """
    )
    project.run("up", "-d")
    project.run("logs", "-f")
    output = project.run("logs", "--no-log-prefix").stdout
    project.run("down")
    assert output.rstrip("\n") == expected.rstrip("\n")


def test_limits_are_in_the_cgroup(project: Project) -> None:
    project.write(
        """
        services:
          a:
            image: IMAGE
            command: sleep 1000
            init: true
            mem_limit: 32m
            memswap_limit: 32m
            cpus: 0.5
            cpu_shares: 512
            cpuset: "0"
            pids_limit: 33
          b:
            image: IMAGE
            command: sleep 1000
            init: true
            deploy:
              resources:
                limits: {memory: 48m, cpus: "0.25", pids: 44}
        """
    )
    project.run("up", "-d")
    values = {name: _limits(project, name) for name in ("a", "b")}
    project.run("down", "-t", "0")
    assert values["a"] == {"memory": 32 << 20, "cpu": 0.5, "pids": 33, "cpus": "0"}
    assert values["b"]["memory"] == 48 << 20
    assert (values["b"]["cpu"], values["b"]["pids"]) == (0.25, 44)


def _limits(project: Project, service: str) -> dict[str, object]:
    identifier = next(c for n, c in _ids(project).items() if n == f"project-{service}-1")
    path = f"{project.paths.cgroup_parent}/{identifier}"
    base = Path("/sys/fs/cgroup")
    if (base / "cgroup.controllers").exists():
        folder = base / path
        quota, period = (folder / "cpu.max").read_text().split()
        return {
            "memory": int((folder / "memory.max").read_text()),
            "cpu": int(quota) / int(period),
            "pids": int((folder / "pids.max").read_text()),
            "cpus": (folder / "cpuset.cpus").read_text().strip(),
        }
    quota = (base / "cpu" / path / "cpu.cfs_quota_us").read_text()
    period = (base / "cpu" / path / "cpu.cfs_period_us").read_text()
    return {
        "memory": int((base / "memory" / path / "memory.limit_in_bytes").read_text()),
        "cpu": int(quota) / int(period),
        "pids": int((base / "pids" / path / "pids.max").read_text()),
        "cpus": (base / "cpuset" / path / "cpuset.cpus").read_text().strip(),
    }


def _ids(project: Project) -> dict[str, str]:
    ids = project.run("ps", "-a", "-q").stdout.split()
    names = [line.split()[0] for line in project.run("ps", "-a").stdout.splitlines()[1:]]
    return dict(zip(names, ids, strict=True))


def test_out_of_memory_is_seen(project: Project) -> None:
    project.write(
        """
        services:
          hungry:
            image: IMAGE
            command: sh -c 'tail /dev/zero'
            mem_limit: 16m
            memswap_limit: 16m
        """
    )
    project.run("up", "-d")
    deadline = time.monotonic() + 20
    while (state := project.ps()["project-hungry-1"])["State"] != "exited" and time.monotonic() < deadline:
        time.sleep(0.1)
    project.run("down")
    assert (state["ExitCode"], state["OOMKilled"]) == (137, True)


def test_volumes(project: Project) -> None:
    (project.folder / "conf").mkdir()
    (project.folder / "conf/file").write_text("from host\n")
    project.write(
        """
        services:
          a:
            image: IMAGE
            command: sh -c 'cat /conf/file; cat /one; touch /conf/x 2>/dev/null || echo read-only; touch /made/y'
            volumes:
              - ./conf:/conf:ro
              - ./conf/file:/one
              - data:/data
              - type: volume
                source: copied
                target: /etc
              - ./made/by/us:/made
        volumes: {data: {}, copied: {}}
        """
    )
    (project.folder / "conf/other").write_text("")
    project.run("up", "-d")
    deadline = time.monotonic() + 10
    while project.ps()["project-a-1"]["State"] != "exited" and time.monotonic() < deadline:
        time.sleep(0.05)
    logs = project.run("logs", "--no-log-prefix").stdout.splitlines()
    assert logs[:3] == ["from host", "from host", "read-only"]
    assert (project.folder / "made/by/us/y").exists()
    copied = project.folder.parent / "data/volumes/project_copied/_data/passwd"
    assert copied.read_text().startswith("root:"), "an empty volume gets what the image has there"
    project.run("down", "-v")
