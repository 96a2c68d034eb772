"""The stand-ins for the standard library's modules: the same answers, and the module proper for everything else."""

import json
import subprocess
import sys
from pathlib import Path

from tests.oci_cli.runtime import OURS, REPOSITORY, Bundle, Runtime

LIGHT = REPOSITORY / "runtime/oci_cli/light"

DOCUMENT = {"a": [1, -2.5, None, True, "\u00e4\n"], "b": {}}
LAID_OUT = json.dumps({**DOCUMENT, "c": [[], [{"d": ()}]]}, indent=2)
SCRIPT = f"""
import sys
sys.path.insert(0, {str(LIGHT)!r})
import collections.abc, json, signal, socket, typing

LAID_OUT = {LAID_OUT!r}

assert not {{"re", "enum", "functools", "collections.OrderedDict"}} & sys.modules.keys()

class Row(typing.NamedTuple):
    name: "str"
    size: "int" = 3
    def twice(self): return self.size * 2

row = Row("a")
assert row == ("a", 3) and row.twice() == 6 and row._replace(size=4) == Row("a", size=4)
assert repr(row) == "Row(name='a', size=3)" and row._asdict() == {{"name": "a", "size": 3}}
for wrong in (lambda: Row(), lambda: Row("a", 1, 2), lambda: Row("a", other=1), lambda: Row("a", name="b")):
    try:
        wrong()
    except TypeError:
        continue
    raise SystemExit("a wrong call was taken")

document = {DOCUMENT!r}
assert json.loads(json.dumps(document)) == document == json.loads(b"  " + json.dumps(document).encode() + b"\\n")
assert json.dumps({{**document, "c": [[], [{{"d": ()}}]]}}, indent=2) == LAID_OUT
left, right = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
with left, right:
    socket.send_fds(left, [b"x"], [0])
    message, descriptors, _, _ = socket.recv_fds(right, 10, 1)
    assert message == b"x" and len(descriptors) == 1
assert not {{"re", "enum", "functools"}} & sys.modules.keys()

for text in ("", "{{", "[1] 2", "nan"):
    try:
        json.loads(text)
    except json.JSONDecodeError:
        continue
    raise SystemExit(f"not JSON: {{text}}")
assert json.dumps([1], indent=1) == "[\\n 1\\n]"
assert signal.Signals(9).name == "SIGKILL" and typing.Optional[int] and collections.OrderedDict
assert socket.create_connection and sys.modules["json"].__file__.endswith("json/__init__.py")
import inspect, dataclasses, subprocess, logging
print(json.dumps("done"))
"""


def test_the_stand_ins() -> None:
    done = subprocess.run([sys.executable, "-IS", "-c", SCRIPT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == "done"


def test_what_a_call_loads(oci: Runtime, bundle: Bundle, tmp_path: Path) -> None:
    # Each takes as long as a third of the runtime's own modules; one `import re` anywhere brings four of them.
    slow = {"re", "enum", "functools", "contextlib", "dataclasses", "inspect", "subprocess"}
    traced = [*OURS[:1], "-X", "importtime", *OURS[1:], "--root", str(oci.root)]
    path, waits, runs = str(bundle.shell("sleep 60").write()), oci.name(), oci.name()
    for words in (
        ["create", "--bundle", path, waits],
        ["state", waits],
        ["start", waits],
        ["kill", waits, "KILL"],
        ["delete", "--force", waits],
        ["run", "--detach", "--bundle", path, runs],
        ["exec", runs, "true"],
        ["list"],
        ["delete", "--force", runs],
    ):
        with open(tmp_path / "loaded", "w+") as loaded:
            quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL}
            subprocess.run([*traced, *words], check=True, stderr=loaded, **quiet)
            loaded.seek(0)
            names = {line.rpartition("|")[2].strip() for line in loaded}
        assert "runtime.oci_cli.main" in names
        assert not slow & names, words
