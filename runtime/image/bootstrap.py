"""`image bootstrap`: a Debian or Ubuntu base image from the machine's own package sources, by mmdebstrap.

For machines that reach a package mirror but no registry. What apt here is told of mirrors and keys counts.
"""

import glob
import os
import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from runtime.errors import EngineError, InvalidError, NotFoundError
from runtime.image.intake import commit, config_document, take_layer, timestamp, workspace
from runtime.image.naming import parse_target
from runtime.image.store import ImageStore, encode_json
from runtime.image.stream import chunks
from runtime.oci.reference import parse_reference

_DISTRIBUTIONS = {"debian": "main", "ubuntu": "main,universe"}
# Numbers people use as tags.
_SUITES = {"debian:11": "bullseye", "debian:12": "bookworm", "debian:13": "trixie", "ubuntu:20.04": "focal",
           "ubuntu:22.04": "jammy", "ubuntu:24.04": "noble"}  # fmt: skip
_SUITE = re.compile(r"[a-z]+\Z")
_LEFT_OUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/locale/*", "/usr/share/info/*", "/usr/share/groff/*",
             "/usr/share/lintian/*", "/usr/share/linda/*")  # fmt: skip
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

Report = Callable[[Mapping[str, Any]], None]


class Source(NamedTuple):
    """One line of apt's sources."""

    uri: str
    suite: str
    components: tuple[str, ...]
    signed_by: str = ""

    def __str__(self) -> str:
        options = f"[signed-by={self.signed_by}] " if self.signed_by else ""
        return f"deb {options}{self.uri} {self.suite} {' '.join(self.components)}"


def bootstrap_image(store: ImageStore, name: str, packages: Iterable[str], report: Report) -> str:
    """Make NAME, such as debian:bookworm-slim; its id. Raises NotFoundError, InvalidError, EngineError."""
    reference = parse_target(name)
    distribution, suite, slim = parse_base(name)
    if shutil.which("mmdebstrap") is None:
        raise NotFoundError("mmdebstrap is not installed", hint="apt-get install mmdebstrap")
    command = ["mmdebstrap", "--variant=minbase", "--mode=root", "--format=tar",
               f"--components={_DISTRIBUTIONS[distribution]}"]  # fmt: skip
    if slim:
        command += [f"--dpkgopt=path-exclude={path}" for path in _LEFT_OUT]
        command += ["--dpkgopt=path-include=/usr/share/doc/*/copyright"]
    include = ",".join(packages)
    command += [f"--include={include}"] if include else []
    command += ['--aptopt=Acquire::Languages "none"', suite, "-"]
    command += [str(source) for source in find_sources(distribution, suite)]
    report({"status": f"asking the package mirrors for {distribution} {suite}"})
    with workspace(store) as space:
        layer = _run(command, f"{space}/1", report)
        created = timestamp()
        document = config_document(
            {"Env": [f"PATH={_PATH}"], "Cmd": ["bash"]},
            [layer.diff_id],
            [{"created": created, "created_by": " ".join(command[:4]), "comment": f"{distribution} {suite}"}],
            created,
        )
        os.sync()
        return commit(store, [reference], encode_json(document), [layer])


def _run(command: list[str], base: str, report: Report) -> Any:
    environ = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"}
    process = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environ,
        text=False,
    )
    assert process.stdout is not None and process.stderr is not None
    messages = _Messages(process.stderr.fileno(), report)
    try:
        messages.start()
        try:
            return take_layer(chunks(process.stdout), base)
        except EngineError as error:
            process.wait()
            messages.join()
            tail = "\n  ".join(messages.lines[-6:])
            raise EngineError(f"mmdebstrap failed ({process.returncode}):\n  {tail}") from error
    finally:
        if process.poll() is None:
            process.terminate()
        process.wait()
        messages.join()


class _Messages:
    """What mmdebstrap says of itself, read beside its archive by a forked child's pipe: a thread."""

    def __init__(self, descriptor: int, report: Report) -> None:
        import threading

        self._descriptor = descriptor
        self._report = report
        self.lines: list[str] = []
        self._thread = threading.Thread(target=self._read, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        self._thread.join(timeout=5)

    def _read(self) -> None:
        rest = b""
        while True:
            try:
                data = os.read(self._descriptor, 4096)
            except OSError:
                return
            if not data:
                return
            *lines, rest = (rest + data).replace(b"\r", b"\n").split(b"\n")
            for line in lines:
                text = line.decode(errors="replace").strip()
                if text and not text.startswith("done"):
                    self.lines.append(text)
                    if text.startswith("I:"):
                        self._report({"status": text.removeprefix("I:").strip()})


def parse_base(name: str) -> tuple[str, str, bool]:
    """(distribution, suite, slim) of a name. Raises InvalidError."""
    reference = parse_reference(name)
    distribution = reference.repository.rpartition("/")[2]
    if distribution not in _DISTRIBUTIONS:
        raise InvalidError(f"{name} can't be bootstrapped", hint="debian:SUITE[-slim] or ubuntu:SUITE")
    tag, slim = reference.tag.removesuffix("-slim"), reference.tag.endswith("-slim")
    suite = _SUITES.get(f"{distribution}:{tag}", tag)
    if suite in ("latest", ""):
        suite = "stable" if distribution == "debian" else "noble"
    if not _SUITE.match(suite):
        raise InvalidError(f"{tag} is not a release of {distribution}", hint="such as debian:bookworm-slim")
    return distribution, suite, slim


def find_sources(distribution: str, suite: str) -> list[Source]:
    """The machine's sources for a release; empty where it has none, then mmdebstrap takes the public mirror."""
    listed = [source for path in _files() for source in _read(path)]
    of_suite = [item for item in listed if item.suite in (suite, f"{suite}-updates", f"{suite}-security")]
    if any(item.suite == suite for item in of_suite):
        return [item._replace(components=("main",)) for item in of_suite if distribution in item.uri]
    same = [item for item in listed if f"/{distribution}" in item.uri and "security" not in item.uri]
    return [Source(same[0].uri, suite, ("main",))] if same else []


def _files() -> list[str]:
    return ["/etc/apt/sources.list", *sorted(glob.glob("/etc/apt/sources.list.d/*"))]


def _read(path: str) -> Iterable[Source]:
    try:
        with open(path, errors="replace") as file:
            text = file.read()
    except OSError:
        return
    if path.endswith(".sources"):
        for paragraph in re.split(r"\n\s*\n", text):
            yield from _read_paragraph(paragraph)
        return
    for line in text.splitlines():
        match = re.match(r"deb\s+(?:\[([^]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)", line)
        if match:
            signed = re.search(r"signed-by=(\S+)", match[1] or "")
            yield Source(match[2], match[3], tuple(match[4].split()), signed[1] if signed else "")


def _read_paragraph(text: str) -> Iterable[Source]:
    lines = (line for line in text.splitlines() if ":" in line and not line.startswith("#"))
    fields = {key.lower(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes") == "no":
        return
    signed = fields.get("signed-by", "")
    for uri in fields.get("uris", "").split():
        for suite in fields.get("suites", "").split():
            components = tuple(fields.get("components", "main").split())
            yield Source(uri, suite, components, signed if signed.startswith("/") else "")
