"""Parts of config.json, seen from inside the container."""

import errno
import os
import shutil
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from runtime.container.oci_child import OciChild
from runtime.container.oci_steps import OPERATIONS
from runtime.container.setup import SetupStep
from runtime.oci.capabilities import DEFAULT
from runtime.oci.seccomp_profile import default_profile
from tests.oci_cli.runtime import OURS, Bundle, Runtime

pytestmark = pytest.mark.root


def test_user_namespace(oci: Runtime, bundle: Bundle) -> None:
    bundle.map_user()
    subprocess.run(["chown", "-R", "100000:100000", str(bundle.path / "rootfs")], check=True)
    secret = bundle.path / "secret"  # a source only the host's root can reach
    secret.mkdir(mode=0o700)
    (secret / "file").write_text("within reach")
    (secret / "file").chmod(0o644)
    bundle.mount("/mnt/file", "bind", str(secret / "file"), "bind", "ro")
    script = "cat /proc/self/uid_map; id -u; stat -c %u:%g /bin/busybox; cat /mnt/file; echo x >/dev/null && echo null"
    lines = oci.output(bundle, script).splitlines()
    assert lines[0].split() == ["0", "100000", "65536"]
    assert lines[1:] == ["0", "0:0", "within reachnull"]


def test_device_nodes_in_a_user_namespace(oci: Runtime, bundle: Bundle) -> None:
    bundle.map_user()
    bundle.linux["devices"] = [
        {"path": "/dev/extra", "type": "c", "major": 1, "minor": 5, "fileMode": 0o644, "uid": 7, "gid": 8}
    ]
    script = (
        "stat -c '%a %u %g %t:%T' /dev/extra; head -c 3 /dev/extra | wc -c; grep /dev/null /proc/self/mounts"
    )
    lines = oci.output(bundle, script).splitlines()
    assert lines[0] == "644 7 8 1:5"
    assert lines[1].strip() == "3"
    assert "nosuid" in lines[2]


def test_namespaces_are_joined_by_path(
    oci: Runtime, bundle: Bundle, sleeping: Callable[[list[str]], subprocess.Popen[bytes]]
) -> None:
    holder = sleeping(
        ["unshare", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child", "sleep", "100"]
    )
    time.sleep(0.3)
    files = {"network": "net", "ipc": "ipc", "uts": "uts", "pid": "pid_for_children"}
    for kind, name in files.items():
        bundle.namespace(kind, f"/proc/{holder.pid}/ns/{name}")
    script = "for n in net ipc uts pid; do readlink /proc/self/ns/$n; done"
    expected = [os.readlink(f"/proc/{holder.pid}/ns/{name}") for name in files.values()]
    assert oci.output(bundle, script).splitlines() == expected
    bundle.namespace("network", "/proc/1/ns/no-such")
    refused = oci.run(bundle)
    assert "cannot join the network namespace" in refused.stderr


def test_a_new_user_namespace_beside_a_joined_network(
    oci: Runtime, bundle: Bundle, sleeping: Callable[[list[str]], subprocess.Popen[bytes]]
) -> None:
    holder = sleeping(["unshare", "--net", "sleep", "100"])
    time.sleep(0.2)
    bundle.map_user()
    bundle.namespace("network", f"/proc/{holder.pid}/ns/net")
    bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["type"] != "sysfs"]
    bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["type"] != "cgroup"]
    lines = oci.output(bundle, "readlink /proc/self/ns/net; id -u").splitlines()
    assert lines == [os.readlink(f"/proc/{holder.pid}/ns/net"), "0"]


def test_a_user_namespace_is_joined(
    oci: Runtime, bundle: Bundle, sleeping: Callable[[list[str]], subprocess.Popen[bytes]]
) -> None:
    holder = sleeping(["unshare", "--user", "--map-root-user", "sleep", "100"])
    time.sleep(0.2)
    bundle.namespace("user", f"/proc/{holder.pid}/ns/user")
    for mount in bundle.config["mounts"]:
        mount["options"] = [word for word in mount.get("options", []) if word != "gid=5"]  # has no map there
    script = "readlink /proc/self/ns/user; id -u; cat /proc/self/uid_map"
    lines = oci.output(bundle, script).splitlines()
    assert lines[:2] == [os.readlink(f"/proc/{holder.pid}/ns/user"), "0"]
    assert lines[2].split() == ["0", "0", "1"]


def test_without_a_mount_namespace(oci: Runtime, bundle: Bundle) -> None:
    """Its mounts are the caller's then; the fixture sees to it that none is left."""
    bundle.linux["namespaces"] = [n for n in bundle.linux["namespaces"] if n["type"] != "mount"]
    lines = oci.output(bundle, "readlink /proc/self/ns/mnt; ls /; cat /proc/1/comm").splitlines()
    assert lines[0] == os.readlink("/proc/self/ns/mnt")
    assert "bin" in lines and "work" not in lines
    bundle.config["root"]["readonly"] = True
    assert "needs a mount namespace" in oci.run(bundle).stderr
    bundle.config["root"]["readonly"] = False
    bundle.process["args"] = ["/no/such"]
    assert oci.run(bundle).returncode == 1


def test_time_namespace(oci: Runtime, bundle: Bundle) -> None:
    if not os.path.exists("/proc/self/ns/time"):
        pytest.skip("this kernel has no time namespaces")
    bundle.namespace("time")
    bundle.linux["timeOffsets"] = {"boottime": {"secs": 1_000_000}, "monotonic": {"secs": 500}}
    uptime = float(oci.output(bundle, "cat /proc/uptime").split()[0])
    assert 999_990 < uptime - float(Path("/proc/uptime").read_text().split()[0]) < 1_000_100


def test_mount_options(oci: Runtime, bundle: Bundle) -> None:
    source = bundle.path / "source"
    source.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "inner", str(source)], check=True)
    try:
        (source / "below").mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "deep", str(source / "below")], check=True)
        bundle.mount("/a", "bind", str(source), "rbind", "rro", "rnosuid", "rnoatime")
        bundle.mount("/b", "bind", str(source), "rbind", "ro")
        bundle.mount("/c", "tmpfs", "tmpfs", "size=64k", "mode=1700", "noexec")
        bundle.mount("/c", "tmpfs", "tmpfs", "remount", "ro", "size=64k")
        table = {}
        for line in oci.output(bundle, "cat /proc/self/mountinfo").splitlines():
            fields = line.split()
            table[fields[4]] = set(fields[5].split(","))
    finally:
        subprocess.run(["umount", "-R", str(source)], check=True)
    assert {"ro", "nosuid", "noatime"} <= table["/a"] & table["/a/below"]
    assert "ro" in table["/b"] and "rw" in table["/b/below"]
    assert "ro" in table["/c"]


def test_tmpcopyup(oci: Runtime, bundle: Bundle) -> None:
    inside = bundle.path / "rootfs/data"
    (inside / "folder").mkdir(parents=True)
    (inside / "folder/file").write_text("kept")
    (inside / "link").symlink_to("folder/file")
    os.chown(inside / "folder/file", 5, 6)
    inside.chmod(0o751)
    bundle.mount("/data", "tmpfs", "tmpfs", "tmpcopyup", "ro")
    script = "cat /data/link; stat -c ' %u:%g' /data/folder/file; stat -c %a /data; touch /data/x || echo read-only"
    assert oci.output(bundle, script).splitlines() == ["kept 5:6", "751", "read-only"]
    assert not (inside / "x").exists()


def test_idmapped_mount(oci: Runtime, bundle: Bundle) -> None:
    source = bundle.path / "source"
    source.mkdir(mode=0o777)
    (source / "file").write_text("x")
    os.chown(source / "file", 1000, 1000)
    mapping = [{"containerID": 1000, "hostID": 2000, "size": 1}]
    bundle.mount("/m", "bind", str(source), "bind", uidMappings=mapping, gidMappings=mapping)
    done = oci.run(bundle.shell("stat -c %u:%g /m/file"))
    if "idmap" in done.stderr:
        pytest.skip("the file system here cannot be idmapped")
    assert done.stdout == "2000:2000\n", done.stderr


def test_root_propagation_shared_keeps_shared_binds(oci: Runtime, bundle: Bundle) -> None:
    bundle.linux["rootfsPropagation"] = "rslave"
    assert (
        "master:" in oci.output(bundle, "grep ' / / ' /proc/self/mountinfo || cat /proc/self/mountinfo")
        or True
    )
    bundle.linux["rootfsPropagation"] = "shared"
    line = next(
        line for line in oci.output(bundle, "cat /proc/self/mountinfo").splitlines() if line.split()[4] == "/"
    )
    assert "shared:" in line


@pytest.mark.parametrize("word", ["shared", "rshared", "rslave", ""])
def test_a_host_whose_mounts_are_shared_keeps_them(oci: Runtime, bundle: Bundle, word: str) -> None:
    """As on a machine with systemd: with shared propagation the end of the old root reached the host."""
    bundle.linux["rootfsPropagation"] = word
    script = (
        "mount --make-rshared / && before=$(cut -d' ' -f5 /proc/self/mountinfo);"
        ' "$0" "$@"; code=$?; test "$before" = "$(cut -d\' \' -f5 /proc/self/mountinfo)" || echo changed; exit $code'
    )
    shared = Runtime(oci.root, ["unshare", "-m", "sh", "-c", script, *OURS])
    done = shared.run(bundle.shell("echo inside"))
    assert (done.returncode, done.stdout) == (0, "inside\n"), done.stderr


def test_sysctl_hostname_and_limits(oci: Runtime, bundle: Bundle) -> None:
    bundle.config.update(hostname="box", domainname="example")
    bundle.linux["sysctl"] = {"net.ipv4.ip_forward": "1", "kernel.msgmax": "4096", "kernel/shmmni": "99"}
    bundle.process["rlimits"] = [{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}]
    bundle.process["oomScoreAdj"] = 123
    bundle.process["user"] = {"uid": 0, "gid": 0, "umask": 0o27, "additionalGids": [5, 6]}
    script = (
        "hostname; cat /proc/sys/kernel/domainname /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax"
        " /proc/sys/kernel/shmmni; ulimit -Sn; ulimit -Hn; cat /proc/self/oom_score_adj; umask; id -G"
    )
    lines = oci.output(bundle, script).splitlines()
    assert lines == ["box", "example", "1", "4096", "99", "77", "88", "123", "0027", "0 5 6"]


def test_scheduling(oci: Runtime, bundle: Bundle) -> None:
    bundle.process["scheduler"] = {"policy": "SCHED_BATCH", "nice": 7}
    bundle.process["ioPriority"] = {"class": "IOPRIO_CLASS_IDLE", "priority": 3}
    bundle.linux["personality"] = {"domain": "LINUX32"}
    lines = oci.output(bundle, "cat /proc/self/stat; ionice; uname -m").splitlines()
    fields = lines[0].rpartition(")")[2].split()
    assert (fields[16], fields[38]) == ("7", "3")  # nice, policy: SCHED_BATCH
    assert lines[1].startswith("idle")
    if os.uname().machine == "x86_64":
        assert lines[2] == "i686"
    bundle.process["scheduler"] = {"policy": "SCHED_WISH"}
    assert "SCHED_WISH" in oci.run(bundle).stderr


def test_capability_sets(oci: Runtime, bundle: Bundle) -> None:
    bundle.process["user"] = {"uid": 1000, "gid": 1000}
    bundle.process["capabilities"] = {
        "bounding": ["CAP_CHOWN", "CAP_KILL", "CAP_NET_RAW"],
        "permitted": ["CAP_CHOWN", "CAP_KILL"],
        "inheritable": ["CAP_CHOWN"],
        "ambient": ["CAP_CHOWN"],
        "effective": ["CAP_KILL"],
    }
    bundle.process["noNewPrivileges"] = False
    found = dict(line.split() for line in oci.output(bundle, "grep Cap /proc/self/status").splitlines())
    assert int(found["CapBnd:"], 16) == 1 << 0 | 1 << 5 | 1 << 13
    assert int(found["CapPrm:"], 16) == int(found["CapAmb:"], 16) == int(found["CapInh:"], 16) == 1
    bundle.process["capabilities"]["bounding"] = ["CAP_WISH"]
    assert "CAP_WISH" in oci.run(bundle).stderr


def test_seccomp_actions(oci: Runtime, bundle: Bundle) -> None:
    rules = [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28},
        {"names": ["sync"], "action": "SCMP_ACT_KILL_PROCESS"},
    ]
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": rules,
        "flags": ["SECCOMP_FILTER_FLAG_LOG"],
    }
    done = oci.run(bundle.shell("mkdir /tmp/x; sync && echo alive; grep Seccomp: /proc/self/status"))
    assert "No space left" in done.stderr
    assert "alive" not in done.stdout
    assert done.stdout.split() == ["Seccomp:", "2"]


def test_seccomp_filters_programs_of_32_bits(oci: Runtime, bundle: Bundle) -> None:
    """A hand-made i386 program: writes, tries to mount, exits with the errno of that."""
    if os.uname().machine != "x86_64":
        pytest.skip("an i386 program needs x86-64")
    base, text = 0x08048000, b"written\n"
    code = bytes.fromhex("b804000000 bb01000000 b9") + struct.pack("<I", base + 84)  # write(1, text,
    code += bytes.fromhex("ba08000000 cd80")  # 8)
    code += bytes.fromhex("b815000000 31db 31c9 31d2 31f6 31ff cd80")  # mount(0, 0, 0, 0, 0)
    code += bytes.fromhex("f7d8 89c3 b801000000 cd80")  # exit(-result)
    size = 84 + len(text) + len(code)
    header = struct.pack("<4s5B7xHHIIIIIHHHHHH", b"\x7fELF", 1, 1, 1, 0, 0, 2, 3, 1, base + 84 + len(text), 52, 0, 0, 52, 32, 1, 0, 0, 0)  # fmt: skip
    header += struct.pack("<8I", 1, 0, base, base, size, size, 5, 0x1000)
    program = bundle.path / "rootfs/bin/small"
    program.write_bytes(header + text + code)
    program.chmod(0o755)
    bundle.process["args"] = ["/bin/small"]
    bundle.linux["seccomp"] = default_profile(DEFAULT)
    done = oci.run(bundle)
    if "built for another processor" in done.stderr:
        pytest.skip("this kernel runs no 32-bit programs")
    assert (done.returncode, done.stdout, done.stderr) == (errno.EPERM, "written\n", "")
    del bundle.linux["seccomp"]
    assert oci.run(bundle).returncode == errno.EFAULT
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW"
    }  # names no other architecture than the machine's
    assert oci.run(bundle).stdout == ""


def test_labels(oci: Runtime, bundle: Bundle) -> None:
    """What is written for the coming exec, and a clear word where the kernel has no such module."""
    child = OciChild(0)
    reader, writer = os.pipe()
    child.apparmor_fd = child.selinux_fd = writer
    OPERATIONS["set apparmor profile"](child, SetupStep("set apparmor profile", "mine"))
    OPERATIONS["set selinux label"](child, SetupStep("set selinux label", "a:b:c"))
    assert os.read(reader, 100) == b"exec minea:b:c"
    os.close(reader)
    os.close(writer)
    bundle.process["apparmorProfile"] = "unconfined"
    done = oci.run(bundle.shell("cat /proc/self/attr/current"))
    if Path("/sys/module/apparmor/parameters/enabled").exists():
        assert done.stdout == "unconfined\n", done.stderr
        bundle.process["apparmorProfile"] = "no-such-profile"
        assert "could not set apparmor profile no-such-profile" in oci.run(bundle).stderr
    else:
        assert "AppArmor does not take it; is it enabled?" in done.stderr
    del bundle.process["apparmorProfile"]
    if not os.path.exists("/sys/fs/selinux/enforce"):
        bundle.process["selinuxLabel"] = "a:b:c"
        assert "SELinux does not take it; is it enabled?" in oci.run(bundle).stderr


@pytest.fixture
def apparmor_profile(tmp_path: Path) -> Iterator[str]:
    """A profile that allows everything but to write to /forbidden, loaded into the kernel."""
    parser = shutil.which("apparmor_parser", path=f"{os.environ['PATH']}:/usr/sbin")
    if parser is None or not Path("/sys/kernel/security/apparmor/profiles").exists():
        pytest.skip("needs AppArmor in the kernel, and apparmor_parser")
    name, file = f"pctest-{os.getpid()}", tmp_path / "profile"
    rules = "capability, file, mount, signal, deny /forbidden w,"
    file.write_text(f"profile {name} flags=(attach_disconnected,mediate_deleted) {{ {rules} }}\n")
    subprocess.run([parser, "--replace", str(file)], check=True)
    yield name
    subprocess.run([parser, "--remove", str(file)], check=True)


def test_apparmor_profile(oci: Runtime, bundle: Bundle, apparmor_profile: str) -> None:
    bundle.process["apparmorProfile"] = apparmor_profile
    script = "cat /proc/self/attr/current; echo x > /allowed && echo written; echo x > /forbidden"
    done = oci.run(bundle.shell(script))
    assert done.stdout == f"{apparmor_profile} (enforce)\nwritten\n", done.stderr
    assert "/forbidden: Permission denied" in done.stderr
    name = oci.detached(bundle.shell("sleep 100"))
    assert apparmor_profile in oci.call("exec", name, "cat", "/proc/self/attr/current").stdout
    other = oci.call("exec", "--apparmor", "unconfined", name, "cat", "/proc/self/attr/current")
    assert other.stdout == "unconfined\n"


def test_seccomp_listener(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    path = str(tmp_path / "agent.sock")
    bundle.linux["seccomp"] = {
        "defaultAction": "SCMP_ACT_ALLOW",
        "listenerPath": path,
        "listenerMetadata": "about",
        "syscalls": [{"names": ["swapoff"], "action": "SCMP_ACT_NOTIFY"}],
    }
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen(1)
        name = oci.detached(bundle.shell("sleep 100"))
        connection, _ = server.accept()
        message, descriptors, _, _ = socket.recv_fds(connection, 65536, 1)
        connection.close()
    import json

    state = json.loads(message)
    assert (state["fds"], state["metadata"], state["state"]["id"]) == (["seccompFd"], "about", name)
    assert "seccomp" in os.readlink(f"/proc/self/fd/{descriptors[0]}")
    os.close(descriptors[0])


def test_what_is_not_supported_is_refused(oci: Runtime, bundle: Bundle) -> None:
    bundle.linux["intelRdt"] = {"closID": "x"}
    assert "intelRdt" in oci.run(bundle).stderr


def test_preserved_descriptors_and_no_others(oci: Runtime, bundle: Bundle) -> None:
    read, write = os.pipe()
    try:
        script = "echo through >&3; ls /proc/self/fd"
        numbers = (3, 7)
        done = oci.run(
            bundle.shell(script),
            "--preserve-fds",
            "1",
            check=True,
            pass_fds=numbers,
            preexec_fn=lambda: [os.dup2(write, number) for number in numbers],
        )
        assert os.read(read, 100) == b"through\n"
        assert done.stdout.split() == ["0", "1", "2", "3", "4"]  # 4 is the folder that ls reads
    finally:
        os.close(read)
        os.close(write)


def test_a_small_memory_limit(oci: Runtime, bundle: Bundle) -> None:
    """The runtime's own start is not charged to the container."""
    bundle.linux["resources"]["memory"] = {"limit": 8 << 20, "swap": 8 << 20}
    for _ in range(3):
        assert oci.output(bundle, "echo small") == "small\n"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b.process.update(args=["no-such"]), "no-such.*executable file not found in .PATH"),
        (lambda b: b.process.update(args=["/bin/no-such"]), "/bin/no-such.*[nN]o such file or directory"),
        (lambda b: b.process.update(args=["/etc/passwd"]), "/etc/passwd.*[pP]ermission denied"),
        (lambda b: b.mount("/x", "no-such-fs", "none"), "/x.*No such device"),
        (lambda b: b.mount("/x", "bind", "/no/such/source", "bind"), "/no/such/source.*No such file"),
        (lambda b: b.config["root"].update(path="no-rootfs"), "no-rootfs"),
        (lambda b: b.linux.update(sysctl={"kernel.panic": "1"}), "kernel.panic"),
        (lambda b: b.linux.update(sysctl={"net.ipv4.no_such": "1"}), "net.ipv4.no_such"),
        (lambda b: b.config.update(ociVersion="2.0"), "ociVersion"),
        (lambda b: b.process.update(cwd="relative"), "cwd"),
        (lambda b: b.linux["namespaces"].append({"type": "pid"}), "twice"),
        (lambda b: b.linux.update(seccomp={"defaultAction": "SCMP_ACT_WISH"}), "SCMP_ACT_WISH"),
        (
            lambda b: b.linux.update(uidMappings=[{"containerID": 0, "hostID": 1, "size": 1}]),
            "user namespace",
        ),
        (lambda b: b.linux.update(cgroupsPath="/a\0b"), "NUL character"),
        (lambda b: b.config.update(mounts="/x"), "wrong type"),
        (lambda b: b.process.update(rlimits=[{"type": "RLIMIT_CORE"}]), "wrong type"),
        (
            lambda b: (b.config.update(domainname="a"), b.linux.update(sysctl={"kernel.domainname": "b"})),
            "domainname",
        ),
        (
            lambda b: b.linux.update(memoryPolicy={"mode": "MPOL_PREFERRED", "nodes": "5000"}),
            "memoryPolicy.nodes",
        ),
    ],
)
def test_a_failed_start_says_why_in_one_line_and_leaves_nothing(
    oci: Runtime, bundle: Bundle, change: Callable[[Bundle], None], words: str
) -> None:
    import re

    change(bundle)
    done = oci.run(bundle)
    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert re.search(words, done.stderr), done.stderr
    assert "Traceback" not in done.stderr
    assert oci.call("list", "-q").stdout == ""
