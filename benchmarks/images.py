"""Pull, cold build and build without changes, against podman, docker and buildah where they are installed.

    python3 benchmarks/images.py [--runs N] [--megabytes 500] [--pycompose PATH]

Root on Debian, with docker-registry and skopeo; the registry runs on loopback for the time of the run. `docker` is
compared where DOCKER_HOST (or the default socket) answers. Engines take turns within a run; medians are printed.
"""

import argparse
import gzip
import hashlib
import io
import json
import os
import shutil
import socket
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

LAYERS = 20
STEPS = 20


def make_image(folder: Path, megabytes: int) -> None:
    """An OCI layout of files from /usr, in 20 gzip layers of equal size."""
    (folder / "blobs/sha256").mkdir(parents=True)
    (folder / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')

    def blob(data: bytes) -> dict[str, object]:
        digest = hashlib.sha256(data).hexdigest()
        (folder / "blobs/sha256" / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    files = (path for top in ("/usr/lib", "/usr/share", "/usr/bin") for path in sorted(Path(top).rglob("*")))
    layers, diff_ids = [], []
    for _ in range(LAYERS):
        buffer, size = io.BytesIO(), 0
        with tarfile.open(fileobj=buffer, mode="w") as tar:
            for path in files:
                if path.is_file() and not path.is_symlink() and path.stat().st_size < 20_000_000:
                    tar.add(path, filter=whole_seconds)
                    size += path.stat().st_size
                if size > megabytes * 1_000_000 / LAYERS:
                    break
        diff_ids.append(f"sha256:{hashlib.sha256(buffer.getvalue()).hexdigest()}")
        packed = gzip.compress(buffer.getvalue(), 6, mtime=0)
        layers.append({"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", **blob(packed)})
    config = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Cmd": ["true"]},
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    }
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {
            "mediaType": "application/vnd.oci.image.config.v1+json",
            **blob(json.dumps(config).encode()),
        },
        "layers": layers,
    }
    entry = {"mediaType": manifest["mediaType"], **blob(json.dumps(manifest).encode())}
    entry["annotations"] = {"org.opencontainers.image.ref.name": "1"}
    (folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))


def whole_seconds(info: tarfile.TarInfo) -> tarfile.TarInfo:
    """As other engines write layers: without fractions, which would want a second header for each file."""
    info.mtime = int(info.mtime)
    return info


def start_registry(folder: Path) -> tuple["subprocess.Popen[bytes]", str]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host = f"127.0.0.1:{server.getsockname()[1]}"
    folder.mkdir()
    (folder / "config.yml").write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f'http: {{addr: "{host}"}}\n'
    )
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(
        ["docker-registry", "serve", str(folder / "config.yml")], stdout=quiet, stderr=quiet
    )
    time.sleep(2)
    return process, host


class Engines:
    """Commands of each engine, with stores of their own below one folder."""

    def __init__(self, folder: Path, pycompose: str) -> None:
        self.folder = folder
        self._pycompose = pycompose
        self.environ = {
            **os.environ,
            "PYCOMPOSE_ROOT": str(folder / "pycompose"),
            "PYCOMPOSE_STATE": str(folder / "pycompose-state"),
            "BUILDAH_ISOLATION": "chroot",
        }

    def command(self, engine: str, *words: str) -> list[str]:
        if engine == "pycompose":
            return [self._pycompose, *words]
        if engine == "docker":
            return ["docker", *words]
        store = self.folder / "containers"
        return [
            engine,
            "--root",
            f"{store}/root",
            "--runroot",
            f"{store}/run",
            "--storage-driver",
            "overlay",
            *words,
        ]

    def run(self, engine: str, *words: str, folder: Path | None = None) -> float:
        """Seconds that a command took. Raises CalledProcessError."""
        begun = time.perf_counter()
        answer = subprocess.run(
            self.command(engine, *words), env=self.environ, capture_output=True, check=False, cwd=folder
        )
        seconds = time.perf_counter() - begun
        if answer.returncode != 0:
            sys.exit(f"{engine} {words} failed:\n{answer.stderr.decode(errors='replace')[-2000:]}")
        return seconds

    def there(self) -> list[str]:
        """Engines that can be compared with, ours first."""
        found = ["pycompose"] + [name for name in ("podman", "buildah") if shutil.which(name)]
        if shutil.which("docker"):
            answer = subprocess.run(["docker", "version"], env=self.environ, capture_output=True, check=False)
            found += ["docker"] if answer.returncode == 0 else []
        return found


def measure(name: str, runs: int, jobs: dict[str, Callable[[], float]], between: Callable[[], None]) -> None:
    """Take turns, print medians and how ours compares; `between` runs are no part of the time."""
    times: dict[str, list[float]] = {engine: [] for engine in jobs}
    for number in range(runs):
        for engine, job in jobs.items():
            times[engine].append(job())
        if number < runs - 1:
            between()
    medians = {engine: statistics.median(values) for engine, values in times.items()}
    ours = medians.pop("pycompose")
    print(
        f"{name}: pycompose {ours:.2f} s",
        *(f"{e} {s:.2f} s (ratio {ours / s:.2f})" for e, s in medians.items()),
    )


def measure_pull(engines: Engines, image: str, runs: int) -> None:
    there = [engine for engine in engines.there() if engine != "buildah"]  # which has podman's store

    def job(engine: str) -> Callable[[], float]:
        words = {
            "pycompose": ("image", "pull", "-q", image),
            "docker": ("pull", "-q", image),
        }.get(engine, ("pull", "-q", "--tls-verify=false", image))

        def pull() -> float:
            os.sync()
            return engines.run(engine, *words)

        return pull

    def forget() -> None:
        for engine in there:
            remove = ("image", "rm", image) if engine == "pycompose" else ("rmi", image)
            engines.run(engine, *remove)
        os.sync()
        # ext4 gives no inode away again within a minute, and searches longer the more were freed.
        time.sleep(63)

    measure("pull", runs, {engine: job(engine) for engine in there}, forget)


def measure_builds(engines: Engines, base_tar: Path, runs: int) -> None:
    folder = engines.folder / "context"
    folder.mkdir()
    lines = ["FROM benchbase:1"]
    for number in range(STEPS - 1):
        (folder / f"file{number}").write_text(str(number))
        lines.append(f"COPY file{number} /" if number % 2 else f"RUN echo {number} >/made{number}")
    (folder / "Dockerfile").write_text("\n".join(lines) + "\n")
    (folder / "compose.yaml").write_text("services: {bench: {build: ., image: bench}}\n")
    engines.run("pycompose", "image", "import", str(base_tar), "benchbase:1")
    jobs = {"pycompose": ("build", "-q")}
    if "buildah" in engines.there():
        engines.run("pycompose", "image", "save", "benchbase:1", "-o", f"{folder}.base.tar")
        engines.run("buildah", "pull", "-q", f"docker-archive:{folder}.base.tar")
        jobs["buildah"] = ("bud", "-q", "--layers", "-t", "bench", ".")
    if "docker" in engines.there():
        engines.run("docker", "import", str(base_tar), "benchbase:1")
        jobs["docker"] = ("build", "-q", "-t", "bench", ".")
    for name, extra in (("cold build", ("--no-cache",)), ("build without changes", ())):
        for engine, words in jobs.items():
            engines.run(engine, *words, folder=folder)
        measure(
            f"{name} of {STEPS} steps",
            runs,
            {
                engine: lambda engine=engine, words=words, extra=extra: engines.run(  # type: ignore[misc]
                    engine, words[0], *extra, *words[1:], folder=folder
                )
                for engine, words in jobs.items()
            },
            lambda: None,
        )


def make_base(folder: Path) -> Path:
    """A root filesystem with just busybox."""
    path = folder / "base.tar"
    busybox = shutil.which("busybox") or sys.exit("busybox-static is needed")
    with tarfile.open(path, "w") as tar:
        tar.add(busybox, arcname="bin/busybox")
        for applet in subprocess.check_output([busybox, "--list"], text=True).split():
            if applet != "busybox":
                info = tarfile.TarInfo(f"bin/{applet}")
                info.type, info.linkname = tarfile.SYMTYPE, "busybox"
                tar.addfile(info)
    return path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--megabytes", type=int, default=500)
    parser.add_argument("--pycompose", default=str(Path(sys.executable).parent / "pycompose"))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/var/tmp") as name:
        folder = Path(name)
        engines = Engines(folder, options.pycompose)
        make_image(folder / "layout", options.megabytes)
        registry, host = start_registry(folder / "registry")
        try:
            image = f"{host}/bench:1"
            subprocess.run(
                [
                    "skopeo",
                    "copy",
                    "-q",
                    "--dest-tls-verify=false",
                    f"oci:{folder}/layout:1",
                    f"docker://{image}",
                ],
                check=True,
            )
            measure_pull(engines, image, options.runs)
        finally:
            registry.terminate()
        measure_builds(engines, make_base(folder), options.runs)
        subprocess.run(["umount", "-q", f"{folder}/containers/root/overlay"], check=False)


if __name__ == "__main__":
    main()
