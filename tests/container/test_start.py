"""Containers started for real, seen from inside by a shell."""

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from runtime.cgroups.detect import V2, Layout, detect_layout
from runtime.cgroups.manager import open_cgroup
from runtime.container.start import plan_init
from runtime.errors import UnsupportedError
from runtime.linux.capabilities import mask_of
from runtime.linux.seccomp import load_program
from runtime.oci.capabilities import DEFAULT
from tests.container.shimplay import run

pytestmark = pytest.mark.root
Make = Callable[..., Any]


def shell(make_spec: Make, rootfs: str, cgroup_path: str, script: str, **fields: Any) -> str:
    outcome = run(make_spec("sh", "-c", script, **fields), rootfs, cgroup_path)
    assert outcome.error is None, f"{outcome.error} {outcome.error and outcome.error.hint}"
    assert outcome.code == 0, outcome.output
    return outcome.output


def test_it_is_pid_1_with_names_and_namespaces_of_its_own(
    make_spec: Make, rootfs: str, cgroup_path: str
) -> None:
    script = (
        "echo pid $$; hostname; ls /proc | grep -c '^[0-9]'; for n in pid ipc uts mnt net "
        "cgroup; do readlink /proc/self/ns/$n; done"
    )
    lines = shell(make_spec, rootfs, cgroup_path, script).split("\n")
    assert lines[0] == "pid 1"
    assert lines[1] == "box"
    assert int(lines[2]) <= 4
    for line in lines[3:9]:
        kind = line.partition(":")[0]
        assert line != os.readlink(f"/proc/self/ns/{kind}")


def test_cgroup_namespace_shows_the_container_as_root(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    output = shell(make_spec, rootfs, cgroup_path, "cat /proc/self/cgroup; ls /sys/fs/cgroup")
    for line in output.splitlines():
        if line.count(":") == 2:
            assert line.endswith(":/")


def test_on_a_v2_machine_it_is_born_in_its_cgroup(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    unified = detect_layout().unified()
    if unified is None:
        pytest.skip("needs a cgroup v2 tree, with or without controllers")
    spec = make_spec(
        "sh", "-c", "grep ^0: /proc/self/cgroup; grep cgroup /proc/mounts; cat /sys/fs/cgroup/cgroup.procs"
    )
    outcome = run(spec, rootfs, cgroup_path, layout=Layout(V2, (unified,)))
    assert outcome.error is None, outcome.error
    own, mount, *pids = outcome.output.splitlines()
    assert own == "0::/"
    assert mount.startswith("cgroup2 /sys/fs/cgroup cgroup2 ro,nosuid,nodev,noexec,relatime")
    assert pids[0] == "1"


def test_descriptors_to_preserve_follow_from_3(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"handed over\n")
        outcome = run(
            make_spec("sh", "-c", "head -n1 <&3; ls /proc/self/fd"), rootfs, cgroup_path, preserve=(reader,)
        )
    finally:
        os.close(reader)
        os.close(writer)
    assert outcome.output.split("\n", 1)[0] == "handed over"
    assert outcome.output.split()[2:] == ["0", "1", "2", "3", "4"]  # 4 is ls's own


@pytest.mark.parametrize("namespace", [{"type": "user"}, {"type": "mount", "path": "/proc/1/ns/mnt"}])
def test_namespaces_that_cannot_be_had_are_refused(make_spec: Make, namespace: Any) -> None:
    spec = make_spec("true")
    spec["linux"]["namespaces"].append(namespace)
    with pytest.raises(UnsupportedError, match=namespace["type"]):
        plan_init(spec, rootfs="/r", cgroup=open_cgroup("x"), seccomp_program=None)


def test_docker_capabilities_seccomp_and_no_other_descriptors(
    make_spec: Make, rootfs: str, cgroup_path: str, tmp_path: Path
) -> None:
    spec = make_spec("sh", "-c", "cat /proc/self/status; ls /proc/self/fd; umask")
    program = load_program(spec["linux"].get("seccomp"), str(tmp_path))
    outcome = run(spec, rootfs, cgroup_path, seccomp=program)
    assert outcome.error is None, outcome.error
    status = dict(line.split(":\t", 1) for line in outcome.output.splitlines() if ":\t" in line)
    expected = f"{mask_of(DEFAULT):016x}"
    assert status["CapBnd"] == status["CapEff"] == status["CapPrm"] == expected
    assert status["CapInh"] == status["CapAmb"] == "0" * 16
    assert status["Seccomp"].strip() == "2"
    assert status["NoNewPrivs"].strip() == "0"
    assert outcome.output.splitlines()[-5:-1] == ["0", "1", "2", "3"]  # 3 is ls's own
    assert outcome.output.splitlines()[-1] == "0022"


def test_seccomp_refuses_what_the_profile_leaves_out(
    make_spec: Make, rootfs: str, cgroup_path: str, tmp_path: Path
) -> None:
    spec = make_spec("sh", "-c", "unshare -m true; echo $?; unshare -U true; echo $?", cap_add=())
    outcome = run(
        spec, rootfs, cgroup_path, seccomp=load_program(spec["linux"].get("seccomp"), str(tmp_path))
    )
    assert "not permitted" in outcome.output
    assert outcome.output.count("1\n") == 2


def test_no_new_privileges(make_spec: Make, rootfs: str, cgroup_path: str, tmp_path: Path) -> None:
    spec = make_spec(
        "grep",
        "-E",
        "NoNewPrivs|Seccomp:",
        "/proc/self/status",
        security_opt=("no-new-privileges",),
        user="app",
    )
    outcome = run(
        spec, rootfs, cgroup_path, seccomp=load_program(spec["linux"].get("seccomp"), str(tmp_path))
    )
    assert outcome.output == "NoNewPrivs:\t1\nSeccomp:\t2\n"


def test_cap_drop_all_and_add_one(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    output = shell(
        make_spec, rootfs, cgroup_path, "grep CapEff /proc/self/status", cap_drop=("ALL",), cap_add=("chown",)
    )
    assert output == "CapEff:\t0000000000000001\n"


def test_masked_and_read_only_paths(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    script = (
        "cat /proc/keys | wc -c; ls /sys/firmware | wc -l; echo x > /proc/sys/kernel/hostname; "
        "mkdir /sys/fs/cgroup/x; touch /sys/x; true"
    )
    output = shell(make_spec, rootfs, cgroup_path, script)
    assert output.startswith("0\n0\n")
    assert output.count("Read-only file system") == 3, output


def test_read_only_root_with_writable_mounts(
    make_spec: Make, rootfs: str, cgroup_path: str, tmp_path: Path
) -> None:
    (tmp_path / "a").write_text("from the host")
    mounts = [
        {"destination": "/data", "type": "bind", "source": str(tmp_path), "options": ["rbind", "rprivate"]},
        {"destination": "/ro", "type": "bind", "source": str(tmp_path), "options": ["rbind", "rro"]},
        {"destination": "/etc/one", "type": "bind", "source": str(tmp_path / "a"), "options": ["bind", "ro"]},
        {"destination": "/tmp", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "size=1048576"]},
    ]
    script = (
        "cat /data/a /ro/a /etc/one; echo; echo x > /data/b; echo x > /ro/c; echo x > /etc/one; echo x > /top; "
        "stat -c %a /tmp; echo x > /tmp/t && grep ' /tmp ' /proc/mounts"
    )
    output = shell(make_spec, rootfs, cgroup_path, script, mounts=mounts, read_only=True)
    assert output.startswith("from the host" * 3)
    assert output.count("Read-only file system") == 3
    assert "\n1777\n" in output
    assert "size=1024k" in output
    assert (tmp_path / "b").read_text() == "x\n"


def test_links_of_the_image_cannot_lead_a_mount_out(
    make_spec: Make, rootfs: str, cgroup_path: str, tmp_path: Path
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for name, target in (("absolute", str(outside)), ("dots", "../../../../../../.." + str(outside))):
        os.symlink(target, f"{rootfs}/{name}")
    mounts = [
        {"destination": f"/{name}/new", "type": "tmpfs", "source": "tmpfs", "options": []}
        for name in ("absolute", "dots")
    ]
    try:
        outcome = run(make_spec("true", mounts=mounts), rootfs, cgroup_path)
    finally:
        for name in ("absolute", "dots"):
            os.unlink(f"{rootfs}/{name}")
    # What the links name is made inside the root, nothing outside.
    assert outcome.error is None
    assert os.path.isdir(f"{rootfs}{outside}/new")
    assert not list(outside.iterdir())


def test_user_by_name_with_groups_and_home(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    output = shell(make_spec, rootfs, cgroup_path, "id; pwd; echo $HOME", user="app", working_dir="/home/app")
    assert output == "uid=1000(app) gid=1000(app) groups=1000(app),2000(extra)\n/home/app\n/home/app\n"


def test_user_can_reopen_its_output(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    assert shell(make_spec, rootfs, cgroup_path, "echo hi > /dev/stdout", user="app") == "hi\n"


def test_limits_of_the_cgroup_and_of_the_process(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    from runtime.oci.container_spec import ResourceLimits, Ulimit

    v2 = detect_layout().mode == V2
    files = (
        "memory.max pids.max cpu.max cpu.weight"
        if v2
        else "memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us cpu/cpu.shares"
    )
    output = shell(
        make_spec,
        rootfs,
        cgroup_path,
        f"cd /sys/fs/cgroup; cat {files}; ulimit -n; ulimit -Hn",
        resources=ResourceLimits(memory_bytes=64 << 20, pids_limit=20, nano_cpus=500_000_000, cpu_shares=512),
        ulimits=(Ulimit("nofile", 100, 200),),
    )
    cpu = ["50000", "100000", "20"] if v2 else ["50000", "512"]
    assert output.split() == [str(64 << 20), "20", *cpu, "100", "200"]


def test_sysctls_of_its_namespaces(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    output = shell(
        make_spec,
        rootfs,
        cgroup_path,
        "cat /proc/sys/net/ipv4/ip_unprivileged_port_start /proc/sys/kernel/msgmax /proc/sys/net/core/somaxconn",
        sysctls={"kernel.msgmax": "4096", "net.core.somaxconn": "77"},
    )
    assert output.split() == ["0", "4096", "77"]


def test_devices(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    script = (
        "echo x > /dev/null; head -c 3 /dev/zero | wc -c; mknod /dev/mem2 c 1 1 && cat "
        "/dev/mem2 | head -c1; ls -l /dev/fd"
    )
    output = shell(make_spec, rootfs, cgroup_path, script)
    assert output.startswith("3\n")
    assert "Operation not permitted" in output
    assert "/proc/self/fd" in output


@pytest.mark.parametrize("init", [False, True])
@pytest.mark.parametrize(
    ("args", "number", "word"),
    [
        (("nosuchprogram",), errno.ENOENT, "not found"),
        (("/bin/nosuch",), errno.ENOENT, "not found"),
        (("noexec",), errno.EACCES, "denied"),
        (("/etc",), errno.EACCES, "denied"),
    ],
)
def test_a_program_that_cannot_run_says_why(
    make_spec: Make,
    rootfs: str,
    cgroup_path: str,
    args: tuple[str, ...],
    number: int,
    word: str,
    init: bool,
) -> None:
    outcome = run(make_spec(*args), rootfs, cgroup_path, init=init)
    assert outcome.error is not None
    assert outcome.error.errno == number
    assert outcome.error.step == "exec"
    assert word in outcome.error.message
    assert args[0] in outcome.error.message
    assert outcome.error.hint


def test_a_nul_in_the_environment_is_an_error(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    spec = make_spec("true")
    spec["process"]["env"].append("BAD=a\0b")
    outcome = run(spec, rootfs, cgroup_path)
    assert outcome.error is not None
    assert outcome.error.errno == errno.EINVAL


def test_a_failed_step_is_named(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    mounts = [{"destination": "/x", "type": "bind", "source": "/nosuch/source", "options": ["rbind"]}]
    outcome = run(make_spec("true", mounts=mounts), rootfs, cgroup_path)
    assert outcome.error is not None
    assert outcome.error.step == "bind /nosuch/source on /x"
    assert outcome.error.errno == errno.ENOENT
    assert outcome.error.message == (
        "could not bind /nosuch/source on /x: open_tree: No such file or directory"
    )


@pytest.mark.parametrize(("script", "code"), [("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143)])
def test_init_process_gives_the_programs_exit_code(
    make_spec: Make, rootfs: str, cgroup_path: str, script: str, code: int
) -> None:
    assert run(make_spec("sh", "-c", script), rootfs, cgroup_path, init=True).code == code


def test_init_process_reaps_and_forwards(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    script = (
        "trap 'echo got; exit 3' USR1; echo $$; (sh -c 'sleep 0.05 & exit' &); sleep 0.3;"
        "ps | grep -c '[Z]'; kill -USR1 1; while :; do sleep 0.02; done"
    )
    outcome = run(make_spec("sh", "-c", script), rootfs, cgroup_path, init=True)
    assert outcome.output.splitlines()[0] == "2"
    assert outcome.output.splitlines()[-1] == "got"
    assert outcome.code == 3


def test_nobody_inside_can_look_into_the_init_process(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    outcome = run(make_spec("readlink", "/proc/1/exe"), rootfs, cgroup_path, init=True)
    assert outcome.output == ""
    assert outcome.code == 1


def test_proc_self_exe_of_a_script_is_never_the_hosts_python(
    make_spec: Make, rootfs: str, cgroup_path: str
) -> None:
    path = f"{rootfs}/bin/trick"
    with open(path, "w") as file:
        file.write("#!/proc/self/exe\n")
    os.chmod(path, 0o755)

    try:
        # Its interpreter is the trampoline, which notices that it is run a second time.
        outcome = run(make_spec("/bin/trick"), rootfs, cgroup_path)
    finally:
        os.unlink(path)
    assert (outcome.code, outcome.output) == (127, "")


def test_tty(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    script = (
        "tty; test -t 0 && test -t 1 && test -t 2 && echo yes; echo $TERM; stat -c %U "
        "/dev/console; echo x > /dev/tty"
    )
    spec = make_spec("sh", "-c", script, tty=True, user="app")
    outcome = run(spec, rootfs, cgroup_path)
    assert outcome.error is None, outcome.error
    assert outcome.output.split() == ["/dev/pts/0", "yes", "xterm", "app", "x"]


def test_tty_under_an_init_process(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    outcome = run(
        make_spec("sh", "-c", "tty; cat /dev/tty & sleep 0.05; kill $!", tty=True),
        rootfs,
        cgroup_path,
        init=True,
    )
    assert outcome.output.split()[0] == "/dev/pts/0"
    assert outcome.code == 0


def test_privileged(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    hierarchy = "" if detect_layout().mode == V2 else "pids/"
    script = (
        "mkdir /t && mount -t tmpfs t /t && echo mounted; "
        f"mkdir /sys/fs/cgroup/{hierarchy}x && busybox rmdir /sys/fs/cgroup/{hierarchy}x && echo rw"
    )
    try:
        output = shell(make_spec, rootfs, cgroup_path, script, privileged=True)
    finally:
        os.rmdir(f"{rootfs}/t")
    assert output == "mounted\nrw\n"


def test_start_is_quick(make_spec: Make, rootfs: str, cgroup_path: str) -> None:
    begun = time.monotonic()
    run(make_spec("true"), rootfs, cgroup_path)
    assert time.monotonic() - begun < 2.0
