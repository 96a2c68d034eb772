"""Hot commands load nothing heavy: what they would import is what every `ps` and `up` would pay for."""

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = (
    "typer", "click", "pydantic", "networkx", "pyroute2", "jsonschema", "yaml", "asyncio", "dataclasses",
    "inspect", "pathlib", "rich", "httpx", "argparse", "logging", "subprocess", "ipaddress",
)  # fmt: skip


@pytest.mark.parametrize(
    "command", ["up", "down", "ps", "logs", "exec", "start", "stop", "restart", "kill", "config", "version"]
)
def test_a_hot_command_imports_nothing_heavy(command: str) -> None:
    program = (
        "import sys, importlib; import composer.__main__; "
        f"importlib.import_module('composer.cli.{command}'); import runtime.engine.containers, "
        "runtime.engine.networks, runtime.engine.volumes, runtime.engine.images, runtime.shim.main; "
        f"print(*[name for name in {HEAVY!r} if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-S", "-P", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{Path(__file__).parent.parent}:{_packages()}", "PATH": "/usr/bin"},
    )
    assert answer.stdout.split() == []


@pytest.mark.parametrize("command", ["up", "down", "ps", "stop"])
def test_what_only_some_projects_need_is_loaded_for_them(command: str) -> None:
    needless = (
        "runtime.container.exec", "runtime.engine.attachment", "runtime.engine.job", "composer.plan.rolling",
        "composer.execute.monitor", "composer.execute.hook", "shlex", *(["socket"] if command == "ps" else []),
    )  # fmt: skip
    program = (
        f"import sys, composer.__main__, composer.cli.{command}, runtime.engine.containers; "
        f"print(*[name for name in {needless!r} if name in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-S", "-P", "-c", program],
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONPATH": f"{Path(__file__).parent.parent}:{_packages()}", "PATH": "/usr/bin"},
    )
    assert answer.stdout.split() == []


def _packages() -> str:
    import dnslib

    return str(Path(dnslib.__file__).parent.parent)
