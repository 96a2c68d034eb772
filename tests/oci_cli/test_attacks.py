"""The known ways out of a container, each tried."""

import ctypes
import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

from tests.oci_cli.runtime import OURS, REPOSITORY, Bundle, Runtime

pytestmark = pytest.mark.root


def copy_of_python(folder: Path) -> list[str]:
    """Our command run by an interpreter that nothing else uses, so that its file could be written (no ETXTBSY)."""
    interpreter = folder / "interpreter"
    real = Path(os.path.realpath("/proc/self/exe"))
    shutil.copy(real, interpreter)
    home = real.parent.parent  # an interpreter in another place has to be told where its library is
    program = f"import sys; sys.path.append({str(REPOSITORY)!r}); from runtime.oci_cli.main import main_and_exit; main_and_exit()"
    return ["env", f"PYTHONHOME={home}", str(interpreter), "-s", "-S", "-P", "-c", program]


@pytest.mark.parametrize("verb", ["run", "exec"])
def test_an_entrypoint_that_is_the_runtime_itself(
    oci: Runtime, bundle: Bundle, tmp_path: Path, verb: str
) -> None:
    """CVE-2019-5736: `#!/proc/self/exe` runs, and then overwrites, the program that execs it."""
    mine = Runtime(oci.root, copy_of_python(tmp_path))
    interpreter = tmp_path / "interpreter"
    before = interpreter.read_bytes()
    script = bundle.path / "rootfs/bin/evil"
    script.write_text("#!/proc/self/exe\n")
    script.chmod(0o755)
    # A second process waits in the container for any process whose executable it can open for writing.
    watch = (
        "while :; do for p in /proc/[0-9]*; do f=$(readlink $p/exe 2>/dev/null);"
        ' case "$f" in *interpreter*) echo pwned >$p/exe && echo written;; esac; done; done'
    )
    if verb == "run":
        bundle.process["args"] = ["/bin/evil"]
        done = mine.run(bundle)
        assert done.returncode != 0
    else:
        name = oci.name()
        with open(os.devnull, "w") as nowhere:
            path = str(bundle.shell(f"({watch}) & sleep 100").write())
            mine.call("run", "-d", "-b", path, name, stdout=nowhere, stderr=nowhere, capture_output=False)
        for _ in range(5):
            assert mine.call("exec", name, "/bin/evil", check=False).returncode != 0
            mine.call("exec", name, "true")
    assert interpreter.read_bytes() == before


def test_a_symbolic_link_as_mount_target(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    for number, link in enumerate((str(outside), "../../../../../../../../.." + str(outside))):
        (bundle.path / f"rootfs/link{number}").symlink_to(link)
        bundle.mount(f"/link{number}/made", "tmpfs", "tmpfs")
        bundle.linux.setdefault("devices", []).append(
            {"path": f"/link{number}/node{number}", "type": "c", "major": 1, "minor": 3}
        )
    assert oci.output(bundle, "echo up") == "up\n"
    assert list(outside.iterdir()) == []


def test_a_target_that_changes_while_it_is_mounted(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """CVE-2021-30465: another container swaps a directory for a link out of the root, again and again."""
    outside = tmp_path / "outside"
    outside.mkdir()
    shared = bundle.path / "rootfs/shared"
    shared.mkdir()
    (shared / "a").mkdir()
    (shared / "b").symlink_to(str(outside))
    swap = ctypes.CDLL(None, use_errno=True).renameat2
    stop = threading.Event()
    first, second = str(shared / "a").encode(), str(shared / "b").encode()

    def race() -> None:
        while not stop.is_set():
            swap(-100, first, -100, second, 2)  # RENAME_EXCHANGE

    thread = threading.Thread(target=race)
    thread.start()
    try:
        for _ in range(15):
            bundle.config["mounts"] = [m for m in bundle.config["mounts"] if "shared" not in m["destination"]]
            bundle.mount("/shared/a", "tmpfs", "tmpfs")
            bundle.mount("/shared/a/deep", "tmpfs", "tmpfs")
            oci.run(bundle.shell("true"))
            assert list(outside.iterdir()) == []
    finally:
        stop.set()
        thread.join()


@pytest.mark.parametrize("number", range(3, 12))
def test_a_working_directory_through_a_leaked_descriptor(oci: Runtime, bundle: Bundle, number: int) -> None:
    """CVE-2024-21626: cwd = /proc/self/fd/N, where N is a directory of the host the runtime has open."""
    bundle.process["cwd"] = f"/proc/self/fd/{number}"
    done = oci.run(bundle.shell("pwd; ls ../../../../../.."))
    assert done.returncode != 0
    assert "rootfs" not in done.stdout


def test_exec_with_a_working_directory_through_a_descriptor(oci: Runtime, bundle: Bundle) -> None:
    name = oci.detached(bundle.shell("sleep 100"))
    for number in range(3, 16):
        done = oci.call("exec", "--cwd", f"/proc/self/fd/{number}", name, "ls", "..", check=False)
        assert done.returncode != 0, done.stdout


def test_no_descriptor_leaks(oci: Runtime, bundle: Bundle) -> None:
    with open("/etc/passwd") as leaked:
        os.set_inheritable(leaked.fileno(), True)
        done = oci.run(bundle.shell("ls /proc/self/fd"), check=True, close_fds=False)
        assert done.stdout.split() == ["0", "1", "2", "3"]  # 3 is the folder that ls reads
        name = oci.detached(bundle.shell("sleep 100"))
        done = oci.call("exec", name, "ls", "/proc/self/fd", close_fds=False)
        assert done.stdout.split() == ["0", "1", "2", "3"]


def test_a_hostile_passwd(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    passwd = bundle.path / "rootfs/etc/passwd"
    name = oci.detached(bundle.shell("sleep 100"))
    os.unlink(passwd)
    os.mkfifo(passwd)  # must not make us wait
    assert oci.call("exec", "-u", "7", name, "grep", "Uid", "/proc/self/status").stdout.split()[1] == "7"
    os.unlink(passwd)
    passwd.symlink_to("/proc/self/../../../../../etc/passwd")  # stays inside
    assert oci.call("exec", "-u", "daemon", name, "id", check=False).returncode == 255
    os.unlink(passwd)
    passwd.write_bytes(
        b"\xff\xfe:::\n" + b"x" * 100_000 + b"\nroot:x:-1:4294967296::\nworker:x:5:6:w:/w:/bin/sh\n"
    )
    assert oci.call("exec", "-u", "worker", name, "grep", "Uid", "/proc/self/status").stdout.split()[1] == "5"
    bundle.process["env"] = ["PATH=/bin"]
    os.unlink(passwd)
    os.symlink("/dev/zero", passwd)
    assert oci.output(bundle, "echo $HOME") == "/root\n"


def test_mounting_over_proc(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    """CVE-2019-16884, CVE-2019-19921: what a runtime writes to /proc must not go to a file of the container's."""
    fake = tmp_path / "fake"
    (fake / "self/attr").mkdir(parents=True)
    bundle.mount("/proc/self", "bind", str(fake / "self"), "bind")
    refused = oci.run(bundle)
    assert refused.returncode == 1
    assert "inside /proc" in refused.stderr
    bundle.config["mounts"].pop()
    bundle.config["mounts"] = [m for m in bundle.config["mounts"] if m["destination"] != "/proc"]
    (fake / "sys/kernel").mkdir(parents=True)
    (fake / "sys/kernel/msgmax").write_text("untouched")
    (fake / "self/oom_score_adj").write_text("untouched")
    bundle.config["mounts"].insert(
        0, {"destination": "/proc", "type": "bind", "source": str(fake), "options": ["bind"]}
    )
    bundle.process["oomScoreAdj"] = 55
    bundle.linux.update(sysctl={"kernel.msgmax": "1234"}, maskedPaths=[], readonlyPaths=[])
    refused = oci.run(bundle)
    assert "not a file of procfs" in refused.stderr
    assert (fake / "sys/kernel/msgmax").read_text() == "untouched"
    del bundle.linux["sysctl"]
    name = oci.detached(bundle.shell("sleep 100"))
    pid = oci.state(name)["pid"]
    assert Path(f"/proc/{pid}/oom_score_adj").read_text() == "55\n"
    oci.call("exec", name, "true")
    assert (fake / "self/oom_score_adj").read_text() == "untouched"


@pytest.mark.parametrize("name", ["dev", "proc", "sys"])
def test_a_system_folder_that_is_a_link(oci: Runtime, bundle: Bundle, tmp_path: Path, name: str) -> None:
    (bundle.path / "rootfs" / name).rmdir()
    (bundle.path / "rootfs" / name).symlink_to(tmp_path / "outside")
    refused = oci.run(bundle)
    assert refused.returncode == 1
    assert "is a symbolic link" in refused.stderr
    assert not (tmp_path / "outside").exists()


def test_the_keyring_is_its_own(oci: Runtime, bundle: Bundle) -> None:
    """A key only its possessor may see, in the session keyring of whoever calls the runtime, is not seen inside."""
    if not os.path.exists("/proc/keys") or os.uname().machine != "x86_64":
        pytest.skip("needs keyrings, and knows the numbers of their calls on x86-64 only")
    program = (
        "import ctypes, os, sys; call = ctypes.CDLL(None).syscall; call(250, 1, None);"
        "key = call(248, b'user', b'pctest-secret', b'x', 1, -3); call(250, 5, key, 0x3f000000);"
        "assert 'pctest-secret' in open('/proc/keys').read(); os.execvp(sys.argv[1], sys.argv[1:])"
    )
    bundle.linux["maskedPaths"] = []
    with_key = Runtime(oci.root, [sys.executable, "-c", program, *OURS])
    assert "pctest-secret" not in with_key.run(bundle.shell("cat /proc/keys"), check=True).stdout
    seen = with_key.run(bundle.shell("cat /proc/keys"), "--no-new-keyring", check=True).stdout
    assert "pctest-secret" in seen  # without one of its own it is: the test can tell
