"""The stand-ins for the standard library's modules: the same answers, and the module proper for everything else."""

import json
import subprocess
import sys

from tests.oci_cli.runtime import REPOSITORY

LIGHT = REPOSITORY / "runtime/oci_cli/light"

SCRIPT = f"""
import sys
sys.path.insert(0, {str(LIGHT)!r})
import collections.abc, json, signal, socket, typing

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

document = {{"a": [1, -2.5, None, True, "\\u00e4\\n"], "b": {{}}}}
assert json.loads(json.dumps(document)) == document == json.loads(b"  " + json.dumps(document).encode() + b"\\n")
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
