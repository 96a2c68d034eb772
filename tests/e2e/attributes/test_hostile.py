"""Input that wants to get out or to break something: a clear error, nothing outside touched, nothing lost."""

import os
import signal
import subprocess
import tarfile
import time
from pathlib import Path

import pytest

from tests.project import Project

SLEEP = "image: IMAGE, command: sleep 1000, init: true, stop_grace_period: 0s"


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A folder of the host that nothing may change."""
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "mine").write_text("mine")
    return folder


def untouched(folder: Path) -> bool:
    return os.listdir(folder) == ["mine"] and (folder / "mine").read_text() == "mine"


def test_links_lead_nowhere(project: Project, outside: Path) -> None:
    project.write(f"services: {{a: {{{SLEEP}, volumes: ['vol:/vol']}}}}\nvolumes: {{vol: {{}}}}\n")
    project.run("up", "-d")
    project.exec(
        "a",
        "sh",
        "-c",
        f"ln -s {outside} /vol/away; ln -s ../../../../../../../..{outside} /vol/up; mkdir /vol/in",
    )
    for subpath, message in (
        ("away", "cannot mount 'away' of volume project_vol"),
        ("up", "cannot mount 'up' of volume project_vol"),
        ("../../../..", ""),  # stays at the volume's root
        ("missing/one", "cannot mount 'missing/one'"),
    ):
        project.write(
            f"services: {{b: {{{SLEEP}, volumes: [{{type: volume, source: vol, target: /x, volume: {{subpath: '{subpath}'}}}}]}}}}\n"
            "volumes: {vol: {}}\n",
            "other.yaml",
        )
        answer = project.run("-f", "other.yaml", "up", "-d", "b", code=1 if message else 0)
        assert message in answer.stderr
        if not message:
            assert "in" in project.run("-f", "other.yaml", "exec", "-T", "b", "ls", "/x").stdout.split()
    assert untouched(outside)
    # Targets below a link of the image or of a volume stay inside as well.
    project.write(
        f"services: {{a: {{{SLEEP}, volumes: ['vol:/vol', '/vol/away/deep', '/vol/up/file']}}}}\nvolumes: {{vol: {{}}}}\n"
    )
    project.run("up", "-d", code=None)
    assert untouched(outside)
    project.run("-f", "other.yaml", "down", "--remove-orphans", "-v")


def test_a_link_that_changes_all_the_time(project: Project, outside: Path) -> None:
    """The path is checked and used in one step: whoever swaps it meanwhile gains nothing."""
    project.write(f"services: {{a: {{{SLEEP}, volumes: ['vol:/vol']}}}}\nvolumes: {{vol: {{}}}}\n")
    project.run("up", "-d")
    swap = f"mkdir /vol/dir; ln -s {outside} /vol/link; while :; do mv /vol/dir /vol/sub; mv /vol/sub /vol/dir; mv /vol/link /vol/sub; mv /vol/sub /vol/link; done"
    project.run("exec", "-d", "a", "sh", "-c", swap)
    mount = "{type: volume, source: vol, target: /x, volume: {subpath: sub}}"
    project.write(
        f"services: {{b: {{image: IMAGE, command: sh -c 'ls /x; touch /x/planted', volumes: [{mount}]}}}}\nvolumes: {{vol: {{}}}}\n",
        "other.yaml",
    )
    for _ in range(6):
        project.run("-f", "other.yaml", "up", "-d", "--force-recreate", "b", code=None)
        assert untouched(outside)
    project.run("-f", "other.yaml", "down", "--remove-orphans", "-v", "-t", "0")


@pytest.mark.parametrize(
    ("file", "message"),
    [
        ("services: {a: {image: IMAGE, volumes: ['vol:/x']}}\nvolumes: {vol: {name: ../../escape}}", "valid volume name"),
        ("services: {a: {image: IMAGE, volumes: ['vol:/x']}}\nvolumes: {vol: {name: a/b}}", "valid volume name"),
        ("services: {a: {image: IMAGE, volumes: ['vol:/x']}}\nvolumes: {vol: {driver: other}}", "compose.yaml:2:"),
        ("services: {a: {image: IMAGE, volumes: ['vol:/x']}}\nvolumes: {vol: {driver_opts: {type: none, o: bind}}}", "'device'"),
        ("services: {a: {image: IMAGE, volumes: ['vol:/x']}}\nvolumes: {vol: {driver_opts: {nonsense: x}}}", "'nonsense'"),
        ("services: {a: {image: IMAGE, volumes: ['vol:/x']}}\nvolumes: {vol: {driver_opts: {type: none, o: remount, device: /}}}", "remount"),
        ("services: {a: {image: IMAGE, volumes: ['vol:/x']}}\nvolumes: {vol: {driver_opts: {type: none, o: bind, device: /no/such}}}", "/no/such"),
        ("services: {a: {image: IMAGE, volumes: ['vol:/x']}}\nvolumes: {vol: {driver_opts: {type: nosuchfs, device: x}}}", "nosuchfs"),
        ("services: {a: {image: IMAGE, volumes: [{type: image, source: 'rootfs:/no/such', target: /x}]}}", "/no/such"),
        ("services: {a: {image: IMAGE, volumes: [{type: tmpfs, target: /x, tmpfs: {size: 9999999p}}]}}", "range"),
        ("services: {a: {image: IMAGE, volumes_from: ['container:nobody']}}", "nobody"),
    ],
)  # fmt: skip
def test_impossible_volumes(project: Project, outside: Path, file: str, message: str) -> None:
    project.write(
        file.replace("image: IMAGE", "image: IMAGE, command: sleep 1000, stop_grace_period: 0s") + "\n"
    )
    answer = project.run("up", "-d", code=1)
    assert message in answer.stderr
    assert not [name for name, item in project.ps().items() if item["State"] == "running"]
    assert not (Path(project.paths.data).parent / "escape").exists()
    project.run("down", "-v")


def test_a_thousand_mounts(project: Project, tmp_path: Path) -> None:
    (tmp_path / "many").mkdir()
    mounts = "\n".join(f"      - {tmp_path}/many:/many/{number}:ro" for number in range(1000))
    project.write(
        f"services:\n  a:\n    image: IMAGE\n    command: sleep 1000\n    stop_grace_period: 0s\n    volumes:\n{mounts}\n"
    )
    project.run("up", "-d")
    assert project.exec("a", "grep", "-c", " /many/", "/proc/mounts") == "1000\n"
    project.run("down")


def test_kill_9_while_a_volume_is_filled(project: Project, tmp_path: Path, busybox_root: Path) -> None:
    """Killed at any moment: the next start has the whole content, and what was written before is still there."""
    root = tmp_path / "image"
    subprocess.run(["cp", "-a", f"{busybox_root}/.", root], check=True)
    wanted = set()
    for number in range(3000):
        file = root / f"data/{number % 50}/{number}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(str(number))
        wanted.add(f"{number % 50}/{number}")
    bound = tmp_path / "bound"
    bound.mkdir()
    project.write(
        f"""
        services:
          a:
            image: rootfs:{root}
            command: sleep 1000
            init: true
            stop_grace_period: 0s
            volumes: ["plain:/data", "bound:/more/../data2", {{type: volume, source: bound, target: /data/49}}]
        volumes:
          plain: {{}}
          bound: {{driver_opts: {{type: none, o: bind, device: {bound}}}}}
        """
    )
    for delay in (0.15, 0.25, 0.3, 0.35, 0.4, 0.5):
        command = project.popen("up", "-d", start_new_session=True)
        time.sleep(delay)
        for shim in _shims(project):
            os.kill(shim, signal.SIGKILL)
        os.killpg(command.pid, signal.SIGKILL)
        command.communicate()
        (bound / "of-the-host").write_text("stays")
    project.run("up", "-d")
    data = Path(project.paths.data, "volumes/project_plain/_data")
    found = {str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()}
    assert found == wanted
    assert not [path for path in data.parent.iterdir() if path.name != "_data"]
    assert (bound / "of-the-host").read_text() == "stays"
    project.run("down", "-v")
    assert (bound / "of-the-host").read_text() == "stays"


def _shims(project: Project) -> list[int]:
    text = next(Path("/sys/fs/cgroup").glob(f"*/{project.paths.cgroup_parent}/shim/cgroup.procs"), None)
    text = text or Path(f"/sys/fs/cgroup/{project.paths.cgroup_parent}/shim/cgroup.procs")
    try:
        return [int(line) for line in text.read_text().split()]
    except FileNotFoundError:
        return []


def test_kill_9_while_things_are_removed(project: Project) -> None:
    """`down -v` and a recreate that are cut off take only what was asked for, and the next command ends them."""
    project.write(
        f"services: {{a: {{{SLEEP}, volumes: ['vol:/vol', '/anonymous']}}}}\nvolumes: {{vol: {{}}, other: {{}}}}\n"
    )
    project.write(
        f"name: bystander\nservices: {{b: {{{SLEEP}, volumes: ['vol:/vol']}}}}\nvolumes: {{vol: {{}}}}\n",
        "bystander.yaml",
    )
    project.run("-f", "bystander.yaml", "up", "-d")
    project.run("-f", "bystander.yaml", "exec", "-T", "b", "touch", "/vol/theirs")
    theirs = Path(project.paths.data, "volumes/bystander_vol/_data/theirs")
    for delay in (0.1, 0.25):
        project.run("up", "-d")
        project.exec("a", "sh", "-c", "touch /vol/ours /anonymous/ours")
        command = project.popen("up", "-d", "--force-recreate")
        time.sleep(delay)
        command.kill()
        command.communicate()
        project.run("up", "-d")
        assert project.exec("a", "ls", "/vol", "/anonymous").split() == [
            "/anonymous:",
            "ours",
            "/vol:",
            "ours",
        ]
        command = project.popen("down", "-v")
        time.sleep(delay)
        command.kill()
        command.communicate()
        project.run("down", "-v")
        volumes = Path(project.paths.data, "volumes")
        assert [name for name in os.listdir(volumes) if name.startswith("project_")] == []
        assert theirs.exists()
    project.run("-f", "bystander.yaml", "down", "-v")


def test_kill_9_while_a_volume_is_exported(project: Project) -> None:
    """The backup of yesterday is there until that of today is whole, and the volume is as it was."""
    script = "for n in $(seq 1000); do mkdir /vol/$n; echo $n > /vol/$n/file; done"
    project.write(f"services: {{a: {{{SLEEP}, volumes: ['vol:/vol']}}}}\nvolumes: {{vol: {{}}}}\n")
    project.run("up", "-d")
    project.exec("a", "sh", "-c", script)
    backup = project.folder / "backup.tar"
    for delay in (0.15, 0.25, 0.35, 0.6):
        backup.write_text("of yesterday")
        command = project.popen("volume", "export", "-o", "backup.tar", "project_vol")
        time.sleep(delay)
        command.kill()
        command.communicate()
        if backup.read_bytes() != b"of yesterday":
            with tarfile.open(backup) as archive:
                assert len(archive.getmembers()) == 2000
    project.run("volume", "export", "-o", "backup.tar", "project_vol")
    project.run("down", "-v")
    project.run("volume", "import", "project_vol", "backup.tar")
    assert sum(1 for _ in Path(project.paths.data, "volumes/project_vol/_data").rglob("*")) == 2000
    project.run("down", "-v")
