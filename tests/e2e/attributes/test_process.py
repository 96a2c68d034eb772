"""What service attributes do, read from inside the container."""

import os
import time
from itertools import pairwise

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


@pytest.mark.covers(
    "services.*",
    "environment working_dir user hostname extra_hosts dns sysctls init entrypoint command network_mode image",
)
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


@pytest.mark.covers(
    "services.*",
    "container_name domainname dns_opt dns_search group_add label_file labels env_file extends scale tty stdin_open"
    " stop_signal stop_grace_period platform healthcheck",
)
@pytest.mark.covers("", "name services include")
@pytest.mark.covers("include[]", "path env_file project_directory")
@pytest.mark.covers("services.*.env_file[]", "path required format")
@pytest.mark.covers("services.*.extends", "service file")
@pytest.mark.covers(
    "services.*.healthcheck", "disable test interval timeout retries start_period start_interval"
)
def test_what_a_program_sees(project: Project) -> None:
    (project.folder / "plain.env").write_text("FROM_FILE='quoted'\nBOTH=file\n")
    (project.folder / "raw.env").write_text("RAW='quoted'\n")
    (project.folder / "labels").write_text("from.file=yes\n")
    (project.folder / "part").mkdir()
    (project.folder / "part/values").write_text("VALUE=of the part\n")
    project.write(
        "services: {c: {image: IMAGE, command: sleep 1000, init: true, environment: {GOT: '${VALUE}'}, volumes: ['./x:/x']}}",
        "part/part.yaml",
    )
    project.write(
        "services: {base: {image: IMAGE, command: sleep 1000, domainname: base.test, environment: {INHERITED: '1'}}}",
        "base.yaml",
    )
    project.write(
        """
        name: project
        include: [{path: part/part.yaml, env_file: part/values, project_directory: part/elsewhere}]
        services:
          a:
            extends: {service: base, file: base.yaml}
            container_name: named
            init: true
            env_file: [plain.env, {path: raw.env, format: raw}, {path: missing.env, required: false}]
            environment: {BOTH: environment}
            label_file: labels
            labels: {own: label}
            dns_search: [one.test]
            dns_opt: ['ndots:3']
            group_add: [extra, "777"]
            user: worker
            platform: linux/PLATFORM
            healthcheck: {test: 'test -e /tmp/ok', interval: 50ms, timeout: 1s, retries: 2, start_period: 10s, start_interval: 50ms}
          b:
            image: IMAGE
            command: sh -c 'trap "echo got usr1; exit 5" USR1; while :; do sleep 0.05; done'
            tty: true
            stdin_open: true
            scale: 2
            stop_signal: SIGUSR1
            stop_grace_period: 20s
            healthcheck: {disable: true}
          deaf: {image: IMAGE, command: sleep 1000, stop_grace_period: 200ms}
        """.replace("PLATFORM", {"x86_64": "amd64", "aarch64": "arm64"}.get(os.uname().machine, "amd64"))
    )
    project.run("up", "-d")
    variables = project.exec("a", "env").splitlines()
    assert {"FROM_FILE=quoted", "BOTH=environment", "RAW='quoted'", "INHERITED=1"} <= {*variables}
    assert sorted(project.exec("a", "id", "-G").split()) == ["1001", "2000", "777"]
    assert project.exec("a", "cat", "/proc/sys/kernel/domainname") == "base.test\n"
    resolver = project.exec("a", "cat", "/etc/resolv.conf")
    assert "search one.test" in resolver and "ndots:3" in resolver
    assert (
        "from.file=yes" in project.ps()["named"]["Labels"] and "own=label" in project.ps()["named"]["Labels"]
    )
    assert project.ps()["named"]["Health"] == "starting"
    project.exec("a", "touch", "/tmp/ok")
    project.run("up", "-d", "--wait", "a")
    project.exec("a", "rm", "/tmp/ok")
    deadline = time.monotonic() + 10
    while project.ps()["named"]["Health"] != "unhealthy" and time.monotonic() < deadline:
        time.sleep(0.05)
    assert project.ps()["named"]["Health"] == "unhealthy"
    assert "GOT=of the part" in project.exec("c", "env")
    assert (project.folder / "part/elsewhere/x").is_dir()
    assert project.exec("b", "readlink", "/proc/1/fd/0").startswith("/dev/")
    assert sorted(name for name in project.ps() if "-b-" in name) == ["project-b-1", "project-b-2"]
    assert project.ps()["project-b-1"]["Health"] == ""
    project.run("stop", "b")
    assert project.ps()["project-b-1"]["ExitCode"] == 5
    assert "got usr1" in project.run("logs", "b").stdout
    begun = time.monotonic()
    project.run("stop", "deaf")
    assert project.ps()["project-deaf-1"]["ExitCode"] == 137
    assert 0.2 <= time.monotonic() - begun < 5
    project.run("down", "-t", "0")


def test_what_cannot_be_named(project: Project) -> None:
    project.write("services: {a: {image: IMAGE, command: sleep 1000, group_add: [nobody-knows]}}\n")
    assert "nobody-knows" in project.run("up", "-d", code=1).stderr
    project.run("down")


@pytest.mark.covers("services.*.deploy", "mode replicas restart_policy")
@pytest.mark.covers("services.*.deploy.restart_policy", "condition delay max_attempts")
@pytest.mark.covers("services.*.depends_on.*", "required restart")
def test_deploy(project: Project) -> None:
    project.write(
        """
        services:
          a: {image: IMAGE, command: sleep 1000, init: true, deploy: {mode: replicated, replicas: 2}}
          b:
            image: IMAGE
            command: sh -c 'cut -d" " -f1 /proc/uptime; exit 3'
            deploy: {restart_policy: {condition: on-failure, delay: 300ms, max_attempts: 2}}
            depends_on:
              a: {condition: service_started, restart: true}
              absent: {condition: service_started, required: false}
          absent: {image: IMAGE, profiles: [never]}
        """
    )
    project.run("up", "-d")
    assert {name for name in project.ps() if "-a-" in name} == {"project-a-1", "project-a-2"}
    deadline = time.monotonic() + 10
    while project.ps()["project-b-1"]["State"] != "exited" and time.monotonic() < deadline:
        time.sleep(0.1)
    times = [float(line) for line in project.run("logs", "--no-log-prefix", "b").stdout.split()]
    assert len(times) == 3, "max_attempts"
    assert all(later - sooner >= 0.28 for sooner, later in pairwise(times)), "delay"
    project.run("restart", "-t", "0", "a")
    deadline = time.monotonic() + 10
    while len(project.run("logs", "b").stdout.splitlines()) < 4 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert len(project.run("logs", "b").stdout.splitlines()) > 3, "its dependency was restarted"
    project.run("down", "-t", "0")
