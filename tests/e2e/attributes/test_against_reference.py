"""Differential: one attribute for each service, and what a program inside sees of it, here and on the reference.

All services are one stack; each prints what it sees and stays. Skipped where there is no reference engine.
"""

import os
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.project import Project
from tests.reference import need_reference, reference_project

IMAGE = "pycompose-attributes"
END = "-- end --"


class Case(NamedTuple):
    """The attributes of a service in YAML, and a shell script that prints what they do.

    `difference`: why the reference prints something else. Then it has to, or the line is out of date.
    """

    attributes: str
    script: str
    difference: str = ""


def _mounts(*targets: str) -> str:
    """The mounts at these places: their types and options, but for those that only tell of the kernel's defaults."""
    return (
        f"grep -E ' ({'|'.join(targets)}) ' /proc/mounts | cut -d' ' -f2-4"
        " | sed -E 's/,(inode64|seclabel|relatime)//g' | sort"
    )


CAPABILITIES = "grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status"
BLOCKED = "2>/dev/null && echo allowed || echo refused"

CASES = {
    "defaults": Case("labels: {a: b}", f"{CAPABILITIES}; id; pwd; env | cut -d= -f1 | sort; umask; ls -l /dev | awk '{{print $$1, $$3, $$4, $$NF}}' | sort; " + _mounts("/proc", "/dev", "/dev/pts", "/sys", "/dev/mqueue", "/dev/shm", "/proc/bus", "/proc/sys")),
    "cap_add": Case("cap_add: [NET_ADMIN, sys_ptrace, CAP_SYS_TIME]", CAPABILITIES),
    "cap_drop": Case("cap_drop: [ALL]\n    cap_add: [CHOWN]", CAPABILITIES),
    "cap-user": Case("user: '12'\n    cap_add: [NET_ADMIN]", CAPABILITIES),
    "user": Case("user: '12:34'", "id -u; id -g; id -G; echo $$HOME"),
    "user-name": Case("user: worker", "id; echo $$HOME"),
    "user-group": Case("user: worker:extra", "id; echo $$HOME"),
    "group_add": Case("user: worker\n    group_add: [extra, '777']", "id -G"),
    "working_dir": Case("working_dir: /some/where", "pwd; stat -c '%a %u' /some /some/where"),
    "environment": Case("environment: {A: one, EMPTY: '', PATH: /bin:/x, HOME: /there}", "env | grep -E '^(A|EMPTY|PATH|HOME)=' | sort"),
    "env_file": Case("env_file: [values.env]\n    environment: {B: outer}", "echo $$A $$B $$C"),
    "hostname": Case("hostname: box.example", "hostname; cat /etc/hostname; grep -o box.example /etc/hosts"),
    "domainname": Case("hostname: box\n    domainname: example.test", "cat /proc/sys/kernel/hostname /proc/sys/kernel/domainname; grep -o 'box.*' /etc/hosts"),
    "extra_hosts": Case("extra_hosts: ['other:10.1.2.3', 'six=fd00::1']", "grep -E 'other|six' /etc/hosts | sort"),
    "dns": Case("network_mode: none\n    dns: [10.9.9.9]\n    dns_search: [one.test, two.test]\n    dns_opt: ['ndots:3']", "grep -E '^(nameserver|search|options)' /etc/resolv.conf | sort"),
    "mac_address": Case("mac_address: 02:42:ac:11:00:99", "cat /sys/class/net/eth0/address"),
    "network-none": Case("network_mode: none", "ls /sys/class/net"),
    "network-host": Case("network_mode: host", "hostname; ls /sys/class/net | grep -c '^lo$$'"),
    "network-service": Case("network_mode: service:hostname", "hostname; cat /etc/hostname"),
    "ulimits": Case("ulimits: {nofile: {soft: 64, hard: 128}, core: 0, nproc: 99}", "ulimit -Sn; ulimit -Hn; ulimit -Sc; ulimit -Sp"),
    "sysctls": Case("sysctls: {net.core.somaxconn: 77, kernel.msgmax: 9000}", "cat /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax"),
    "shm_size": Case("shm_size: 3m", _mounts("/dev/shm")),
    "tmpfs": Case("tmpfs: ['/plain', '/sized:size=1m,mode=700,uid=5,gid=6', '/executable:exec,ro', /tmp]", f"{_mounts('/plain', '/sized', '/executable', '/tmp')}; stat -c '%a %u %g' /plain /sized /executable /tmp"),
    "read_only": Case("read_only: true\n    tmpfs: [/scratch]\n    volumes: [data:/data]", f"touch /x {BLOCKED}; touch /scratch/x {BLOCKED}; touch /data/x {BLOCKED}; touch /etc/hosts {BLOCKED}; touch /dev/x {BLOCKED}; touch /dev/shm/x {BLOCKED}"),
    "init": Case("init: true", "test $$$$ = 1 || echo not pid 1"),
    "tty": Case("tty: true", "tty; stty size; echo $$TERM; test -c /dev/console && echo console; ls -l /dev/console | cut -c1-10"),
    "stdin_open": Case("stdin_open: true", "readlink /proc/self/fd/0 | cut -d: -f1"),
    "stdin-closed": Case("labels: {a: b}", "readlink /proc/self/fd/0"),
    "ipc-none": Case("ipc: none", "grep -c /dev/shm /proc/mounts"),
    "ipc-private": Case("ipc: private", _mounts("/dev/shm")),
    "pid-host": Case("pid: host", "test -d /proc/2 && cat /proc/2/comm"),
    "pid-service": Case("pid: service:hostname", "tr '\\0' ' ' < /proc/1/cmdline | cut -c1-9"),
    "cgroup-private": Case("cgroup: private", "cut -d: -f3 /proc/self/cgroup | sort -u"),
    "oom_score_adj": Case("oom_score_adj: 321", "cat /proc/self/oom_score_adj"),
    "memory": Case("mem_limit: 64m\n    memswap_limit: 96m\n    mem_reservation: 32m\n    mem_swappiness: 10\n    oom_kill_disable: true", "cd /sys/fs/cgroup/memory && cat memory.limit_in_bytes memory.memsw.limit_in_bytes memory.soft_limit_in_bytes memory.swappiness && head -1 memory.oom_control || cat memory.max memory.low memory.swap.max"),
    "memory-alone": Case("mem_limit: 32m", "cd /sys/fs/cgroup/memory && cat memory.limit_in_bytes memory.memsw.limit_in_bytes || cat memory.max memory.swap.max"),
    "memory-swap": Case("mem_limit: 32m\n    memswap_limit: -1", "cd /sys/fs/cgroup/memory && cat memory.limit_in_bytes memory.memsw.limit_in_bytes || cat memory.max memory.swap.max"),
    "cpus": Case("cpus: 0.5\n    cpu_shares: 512\n    cpuset: '0'", "cd /sys/fs/cgroup/cpu && cat cpu.cfs_quota_us cpu.cfs_period_us cpu.shares ../cpuset/cpuset.cpus || cat cpu.max cpu.weight cpuset.cpus"),
    "cpu_quota": Case("cpu_quota: 20000\n    cpu_period: 50000", "cd /sys/fs/cgroup/cpu && cat cpu.cfs_quota_us cpu.cfs_period_us || cat cpu.max"),
    "pids_limit": Case("pids_limit: 33", "cat /sys/fs/cgroup/pids/pids.max || cat /sys/fs/cgroup/pids.max"),
    "pids-unlimited": Case("pids_limit: -1", "cat /sys/fs/cgroup/pids/pids.max || cat /sys/fs/cgroup/pids.max"),
    "deploy": Case("deploy: {resources: {limits: {cpus: '0.25', memory: 48m, pids: 44}, reservations: {memory: 16m}}}", "cd /sys/fs/cgroup/memory && cat memory.limit_in_bytes memory.soft_limit_in_bytes ../cpu/cpu.cfs_quota_us ../pids/pids.max || cat memory.max memory.low cpu.max pids.max"),
    "blkio": Case("blkio_config: {device_read_bps: [{path: DISK, rate: 1mb}], device_write_iops: [{path: DISK, rate: 30}]}", "cd /sys/fs/cgroup/blkio && cat blkio.throttle.read_bps_device blkio.throttle.write_iops_device || cat io.max"),
    "devices": Case("devices: ['/dev/loop7:/dev/disk:r', /dev/net]", f"ls -lR /dev/disk /dev/net | awk '{{print $$1, $$3, $$4, $$5, $$6, $$NF}}'; dd if=/dev/disk count=1 {BLOCKED}; dd if=/dev/zero of=/dev/disk count=1 {BLOCKED}; sort /sys/fs/cgroup/devices/devices.list"),
    "device_cgroup_rules": Case("device_cgroup_rules: ['c 10:200 rwm', 'b 259:* r']", f"sort /sys/fs/cgroup/devices/devices.list; mknod /tun c 10 200; (: < /tun) {BLOCKED}; mknod /kmsg c 1 11; (: < /kmsg) {BLOCKED}"),
    "no-new-privileges": Case("security_opt: ['no-new-privileges:true']", CAPABILITIES),
    "seccomp-unconfined": Case("security_opt: ['seccomp=unconfined']", CAPABILITIES),
    "seccomp-file": Case("security_opt: ['seccomp=profile.json']", f"{CAPABILITIES}; mkdir /x 2>&1"),
    "unmasked": Case("security_opt: ['systempaths=unconfined']", "wc -c < /proc/timer_list | grep -vx 0 >/dev/null && echo unmasked; grep -c ' /proc/' /proc/mounts"),
    "entrypoint": Case("entrypoint: [sh, -c]\n    command: ['echo one; echo " + END + "; sleep 1000']", ""),
    "entrypoint-text": Case("entrypoint: sh -c 'echo \"$$0\" $$1; echo " + END + "; sleep 1000'\n    command: two three", ""),
    "volumes": Case("volumes: [data:/data, './made/by:/made', './file:/one:ro', /anonymous, 'copied:/home', {type: volume, source: copied, target: /empty, volume: {nocopy: true}}]", f"{_mounts('/made', '/one')}; cat /one; stat -c '%a %u %g %F' /data /made /anonymous /home /home/worker; ls /home; touch /one {BLOCKED}"),
    "volumes-long": Case("volumes: [{type: bind, source: ./tree, target: /tree, read_only: true}, {type: tmpfs, target: /fast, tmpfs: {size: 1048576, mode: 0o711}}, {type: tmpfs, target: /usual}]", f"{_mounts('/tree', '/fast', '/usual')}; stat -c '%a %u' /fast /usual; touch /tree/x {BLOCKED}"),
    "filler": Case("volumes: ['filled:/home']\n    healthcheck: {test: 'test -e /home/worker', interval: 100ms, retries: 100, start_period: 1s}", "ls /home"),
    "volume-on-etc": Case("volumes: ['etc:/etc']\n    hostname: named", "cat /etc/hostname; grep -c localhost /etc/hosts; ls -l /etc/mtab | cut -c1-10; readlink /etc/mtab; ls /etc"),
    "volumes_from": Case("volumes_from: ['filler:ro']", f"ls /home; touch /home/x {BLOCKED}", "the reference forgets `:ro`"),
    "secrets": Case("secrets: [plain, {source: spoken, target: named}, {source: spoken, target: /etc/other, uid: '12', gid: '34', mode: 0o400}]", "cat /run/secrets/plain /run/secrets/named /etc/other; stat -c '%a %u %g' /run/secrets/named /etc/other"),
    "secrets-of-files": Case("secrets: [{source: plain, uid: '12', mode: 0o400}]", "stat -c '%a %u' /run/secrets/plain", "the reference binds the file itself, with its owner and mode"),
    "configs": Case("configs: [plain, {source: written, target: /etc/conf/one, mode: 0o440}]", "cat /plain /etc/conf/one; stat -c '%a %u %g' /etc/conf/one"),
    "labels": Case("label_file: labels.env\n    labels: {own: 'yes'}\n    annotations: {note: told}", "ls -a /; stat -c '%a %s' /.dockerenv"),
    "isolation": Case("isolation: default\n    userns_mode: host\n    uts: host", "hostname; cat /proc/self/uid_map"),
}  # fmt: skip

_COMMAND = """    command: ['sh', '-c', '{ SCRIPT; } 2>&1; echo END; exec sleep 1000']
"""
_TOP = """
volumes: {data: {}, etc: {}, copied: {}, filled: {}}
secrets: {plain: {file: file}, spoken: {environment: SPOKEN}}
configs: {plain: {file: file}, written: {content: written here}}
"""


_DISK = next(
    (f"/dev/{name}" for name in sorted(os.listdir("/sys/block")) if name[:2] in ("sd", "vd", "nv")), ""
)


def _compose_file() -> str:
    """Every case as a service; what none of them says is the image and, if it has a script, the command."""
    services = []
    for name, case in CASES.items():
        script = case.script.replace("'", "''")
        command = _COMMAND.replace("SCRIPT", script).replace("END", END) if script else ""
        attributes = case.attributes.replace("DISK", _DISK)
        services.append(
            f"  {name}:\n    image: IMAGE\n    stop_grace_period: 0s\n    {attributes}\n{command}"
        )
    return "services:\n" + "".join(services) + _TOP


def _prepare(project: Project) -> None:
    for name, text in {
        "file": "of the file\n",
        "labels.env": "from.file=yes\n",
        "values.env": "A=plain\nB=inner\nC='quoted'\n",
        "profile.json": '{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["mkdir", "mkdirat"],'
        ' "action": "SCMP_ACT_ERRNO", "errnoRet": 28}]}',
    }.items():
        (project.folder / name).write_text(text)
    (project.folder / "tree").mkdir()
    project.environ["SPOKEN"] = "of the environment"
    project.write(_compose_file())


def _seen(project: Project) -> dict[str, list[str]]:
    """What each service has printed, once all are through."""
    project.run("up", "-d", timeout_s=180)
    deadline = time.monotonic() + 20
    while True:
        seen: dict[str, list[str]] = {}
        for line in project.run("logs", "--no-color").stdout.splitlines():
            name, _, text = line.partition("|")
            seen.setdefault(name.strip().rpartition("-")[0], []).append(text.strip())
        if all(END in seen.get(name, ()) for name in CASES) or time.monotonic() > deadline:
            return seen
        time.sleep(0.2)


@pytest.fixture
def image_root(tmp_path: Path, busybox_root: Path) -> Path:
    """The root file system of both sides' image, with a home that a volume can be filled from."""
    root = tmp_path / "image"
    subprocess.run(["cp", "-a", f"{busybox_root}/.", root], check=True)
    (root / "home/worker").mkdir(mode=0o750)
    (root / "home/worker/file").write_text("of the image\n")
    os.chown(root / "home/worker", 1000, 1001)
    return root


@pytest.fixture
def reference(tmp_path: Path, image_root: Path) -> Iterator[Project]:
    need_reference()
    tar = subprocess.Popen(["tar", "-C", image_root, "-c", "."], stdout=subprocess.PIPE)
    subprocess.run(["docker", "import", "-", IMAGE], stdin=tar.stdout, capture_output=True)
    tar.communicate()
    with reference_project(tmp_path / "reference", IMAGE) as made:
        yield made
    subprocess.run(["docker", "image", "rm", "-f", IMAGE], capture_output=True)


def test_attributes_do_what_they_do_on_the_reference(
    project: Project, reference: Project, image_root: Path
) -> None:
    project.image = f"rootfs:{image_root}"
    seen = []
    for each in (project, reference):
        _prepare(each)
        seen.append(_seen(each))
    ours, theirs = seen
    wrong = {
        name: (ours.get(name), theirs.get(name))
        for name, case in CASES.items()
        if (ours.get(name) == theirs.get(name)) is bool(case.difference)
    }
    project.run("down", "-v", "-t", "0")
    assert not wrong, "\n".join(
        f"{name}:\n  here  {here}\n  there {there}" for name, (here, there) in wrong.items()
    )
