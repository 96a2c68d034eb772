"""The same bundle under our runtime, crun and runc: what a probe prints inside is the same."""

import os
import re
from collections.abc import Callable

import pytest

from tests.oci_cli.runtime import Bundle, Runtime

pytestmark = pytest.mark.root

PROBE = r"""
echo "# identity"; id; umask; pwd; hostname; env | sort | grep -v -e SHLVL -e '^_='
echo "# status"; grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/self/status
cat /proc/self/uid_map /proc/self/gid_map /proc/self/setgroups
echo "# limits"; cat /proc/self/limits /proc/self/oom_score_adj
echo "# devices"; cd /dev; for f in $(find . | sort); do stat -c '%N %F %a %u:%g %t:%T' $f; done 2>/dev/null; cd /
echo "# mounts"; cat /proc/self/mountinfo
echo "# namespaces"; for n in pid net ipc uts mnt user cgroup time; do readlink /proc/self/ns/$n; done
echo "# masked"; for f in /proc/kcore /proc/keys /proc/timer_list; do head -c 1 $f 2>&1 | wc -c; done
ls -A /proc/scsi /sys/firmware /proc/acpi 2>/dev/null | wc -l
for f in /proc/sys/kernel/hostname /proc/sysrq-trigger /sys/kernel/x; do (echo x >$f) 2>/dev/null && echo wrote $f; done
echo "# cgroup"; cat /proc/self/cgroup | sed 's/pctest[^/]*/ID/' | sort
for f in memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes cpu/cpu.shares cpu/cpu.cfs_quota_us \
    cpu/cpu.cfs_period_us pids/pids.max cpuset/cpuset.cpus memory.max cpu.max pids.max; do
    test -f /sys/fs/cgroup/$f && echo $f $(cat /sys/fs/cgroup/$f); done
echo "# devices cgroup"; mknod /tmp/allowed c 1 3 && head -c 0 /tmp/allowed && echo may null
mknod /tmp/denied c 10 200 && (head -c 0 /tmp/denied) 2>&1
echo "# descriptors"; ls /proc/self/fd
true
"""


def plain(bundle: Bundle) -> None:
    pass


def limited(bundle: Bundle) -> None:
    bundle.linux["resources"].update(
        memory={"limit": 64 << 20, "swap": 96 << 20},
        cpu={"shares": 300, "quota": 40_000, "period": 80_000, "cpus": "0"},
        pids={"limit": 44},
    )
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 99, "hard": 111}]
    bundle.process["oomScoreAdj"] = 300


def another_user(bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 1000, "gid": 1001, "additionalGids": [5, 2000], "umask": 0o27}
    bundle.process["cwd"] = "/home"
    bundle.process["env"] += ["ONE=1", "EMPTY=", "SPACE=a b"]
    sets = ["CAP_CHOWN", "CAP_NET_BIND_SERVICE"]
    bundle.process["capabilities"] = dict.fromkeys(
        ("bounding", "permitted", "effective", "inheritable", "ambient"), sets
    )


def in_user_namespace(bundle: Bundle) -> None:
    bundle.map_user()


def read_only_with_mounts(bundle: Bundle) -> None:
    bundle.config["root"]["readonly"] = True
    bundle.mount("/tmp", "tmpfs", "tmpfs", "nosuid", "size=100k", "mode=1777")
    bundle.mount("/mnt/etc", "bind", "/usr/share", "rbind", "ro", "nodev", "noexec")
    bundle.mount("/home", "tmpfs", "tmpfs", "tmpcopyup", "noexec")
    bundle.linux["rootfsPropagation"] = "private"


def filtered(bundle: Bundle) -> None:
    rule = {"names": ["keyctl", "swapon"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38}
    bundle.linux["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}
    bundle.process["noNewPrivileges"] = False


def with_devices(bundle: Bundle) -> None:
    bundle.linux["devices"] = [
        {"path": "/dev/more", "type": "c", "major": 1, "minor": 5, "fileMode": 0o640, "uid": 3, "gid": 4},
        {"path": "/dev/fifo", "type": "p", "fileMode": 0o600},
    ]
    bundle.linux["resources"]["devices"].append(
        {"allow": True, "type": "c", "major": 10, "minor": 200, "access": "rw"}
    )


def host_namespaces(bundle: Bundle) -> None:
    bundle.linux["namespaces"] = [
        n for n in bundle.linux["namespaces"] if n["type"] not in ("ipc", "uts", "pid")
    ]
    bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["type"] != "mqueue"]
    del bundle.config["hostname"]


SCENES = (
    plain,
    limited,
    another_user,
    in_user_namespace,
    read_only_with_mounts,
    filtered,
    with_devices,
    host_namespaces,
)


def sections(output: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in output.splitlines():
        if line.startswith("# "):
            lines = found.setdefault(line[2:], [])
        else:
            lines.append(line)
    return {name: normalised(name, lines) for name, lines in found.items()}


def normalised(name: str, lines: list[str]) -> list[str]:
    """Without what differs by nature: numbers of mounts and namespaces, and what stands in no specification."""
    if name == "namespaces":
        return [
            re.sub(r"\d+", "N" if own else "host", line)
            for line, own in zip(lines, [True] * len(lines), strict=True)
        ]
    if name == "mounts":
        return sorted(filter(None, map(_mount, lines)))
    if name == "devices":
        # /dev/core, /dev/console: each runtime's own choice. The size of a folder is the file system's.
        # In a user namespace others bind the host's nodes, whose owner has no number there.
        lines = [line.replace(" 65534:65534 ", " 0:0 ") if " special " in line else line for line in lines]
        # crun gives the /dev/null it was called with to the container's user; runc leaves a group unmapped.
        own_choice = r"\./core|\./console|\./pts|\./null|\./mqueue"
        return [line for line in lines if not re.search(own_choice, line)]
    if name == "identity":
        return [line for line in lines if not line.startswith("HOME=")]
    return lines


def _mount(line: str) -> str:
    before, _, after = line.partition(" - ")
    fields, kind = before.split(), after.split()[0]
    target, options = fields[4], fields[5]
    if target.startswith("/sys/fs/cgroup"):
        return ""  # compared by what is in them; crun sees no v2 tree here
    if target in ("/", "/mnt/etc"):
        kind = "any"
    if target.startswith(("/proc/", "/sys/")):
        options = options.replace(",relatime", "")  # masks and read-only paths: each mounts them its own way
        options = ",".join(sorted(word for word in options.split(",") if word in ("ro", "rw")))
        kind = "any"
    if kind == "devtmpfs" or re.fullmatch("/dev/(null|zero|full|tty|u?random)", target):
        return target  # in a user namespace: the host's node, or one made for the container
    if kind == "any" and os.path.isfile(target) and target.startswith("/proc/"):
        return target  # masked by /dev/null, read-only or not
    return f"{target} {kind} {options}"


@pytest.mark.parametrize("reference", ["crun", "runc"])
@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.__name__)
def test_the_same_inside(
    oci: Runtime,
    other: Callable[[str], Runtime],
    bundle: Bundle,
    reference: str,
    scene: Callable[[Bundle], None],
) -> None:
    theirs = other(reference)
    scene(bundle)
    bundle.config["ociVersion"] = "1.0.2"  # crun 1.8 knows no later one
    # Under the same name: cgroups and host names would tell them apart.
    expected = sections(theirs.output(bundle, PROBE))
    found = sections(oci.output(bundle, PROBE))
    for name, lines in expected.items():
        assert found[name] == lines, (
            f"{name}: ours {set(found[name]) - set(lines)}, {reference} {set(lines) - set(found[name])}"
        )
