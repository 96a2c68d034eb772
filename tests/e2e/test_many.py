"""A hundred services at once: within the bound on parallel work, and with little memory for each."""

import json
from pathlib import Path

from tests.project import Project

NUMBER = 100
BOUND = 8
MOST_PSS_KIB = 6 * 1024


def test_a_hundred_services(project: Project) -> None:
    services = "".join(
        f"  s{number}: {{image: IMAGE, command: sleep 1000, init: true}}\n" for number in range(NUMBER)
    )
    project.write(f"services:\n{services}")
    text = project.run("--parallel", str(BOUND), "up", "-d", timeout_s=240).stderr
    under_way = most = 0
    for line in text.splitlines():
        under_way += ("Starting" in line) - ("Started" in line)
        most = max(most, under_way)
    assert most == BOUND and under_way == 0
    assert len(project.ps()) == NUMBER
    shims = [
        json.loads(path.read_text())["shim_pid"]
        for path in Path(project.paths.state).glob("containers/*/state.json")
    ]
    assert len(shims) == NUMBER
    assert sum(map(pss_kib, shims)) / NUMBER < MOST_PSS_KIB
    project.run("down", "-t", "0", timeout_s=240)
    assert not project.ps("-a")


def pss_kib(pid: int) -> int:
    """Proportional set size of a process (proc_pid_smaps(5))."""
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1])
    raise AssertionError("no Pss in smaps_rollup")
