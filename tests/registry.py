"""A real registry server (Debian's docker-registry) on loopback, with and without TLS and passwords."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

import pytest

from tests.free_ports import free_port

USER, PASSWORD = "somebody", "s3cret:word"


class Registry:
    """`host` is what image names begin with. Stop it when done."""

    def __init__(self, folder: Path, *, tls: bool = False, password: bool = False) -> None:
        program = shutil.which("docker-registry")
        if program is None:
            pytest.skip("docker-registry is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        port = free_port()
        self.folder = folder
        self.host = f"127.0.0.1:{port}"
        self.authority = folder / "ca.crt"
        lines = ["version: 0.1", "log: {level: error}", "storage:",
                 f"  filesystem: {{rootdirectory: {folder}/data}}", "  delete: {enabled: true}",
                 "http:", f'  addr: "{self.host}"']  # fmt: skip
        if tls:
            make_certificate(folder)
            lines.append(f"  tls: {{certificate: {folder}/ca.crt, key: {folder}/key.pem}}")
        if password:
            entry = subprocess.check_output(["htpasswd", "-Bbn", USER, PASSWORD], text=True)
            (folder / "htpasswd").write_text(entry)
            lines.append(f"auth: {{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}")
        (folder / "config.yml").write_text("\n".join(lines) + "\n")
        self._process = subprocess.Popen(
            [program, "serve", str(folder / "config.yml")],
            stdout=subprocess.DEVNULL,
            stderr=(folder / "log").open("w"),
            env={"PATH": os.environ["PATH"], "OTEL_TRACES_EXPORTER": "none"},
        )
        self._wait(port)

    def _wait(self, port: int) -> None:
        deadline = time.monotonic() + 15
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise AssertionError(f"docker-registry did not start: {(self.folder / 'log').read_text()}")

    def blob(self, digest: str) -> Path:
        """The file of a blob in the server's storage."""
        name = digest.removeprefix("sha256:")
        return self.folder / f"data/docker/registry/v2/blobs/sha256/{name[:2]}/{name}/data"

    def stop(self) -> None:
        self._process.terminate()
        self._process.wait(timeout=10)


def make_certificate(folder: Path) -> None:
    """key.pem and ca.crt, the certificate of a server at 127.0.0.1 that vouches for itself."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-keyout", str(folder / "key.pem"), "-out", str(folder / "ca.crt"), "-days", "2",
         "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1"],
        check=True, capture_output=True,
    )  # fmt: skip


def skopeo(*words: str) -> str:
    """Output of skopeo, which stands for every other engine's way of moving images."""
    program = shutil.which("skopeo")
    if program is None:
        pytest.skip("skopeo is not installed")
    answer = subprocess.run([program, *words], capture_output=True, text=True, check=False, timeout=60)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout
