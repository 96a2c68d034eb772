"""Pull and push against a real registry server, and exchange with skopeo."""

import base64
import http.server
import json
import os
import subprocess
import sys
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest

from runtime.errors import EngineError, ImageError, NotFoundError
from runtime.image.intake import remove_abandoned
from runtime.image.listing import inspect_image, list_images
from runtime.image.pull import pull_image
from runtime.image.push import push_image
from runtime.image.registry.auth import AccessDenied, parse_challenge
from runtime.image.registry.credentials import find_credentials, forget_credentials
from runtime.image.registry.login import log_in
from runtime.image.store import SOURCE, ImageStore
from runtime.oci.reference import parse_reference
from runtime.store.paths import Paths
from tests.image.builder import Layout, digest, tar_of
from tests.registry import PASSWORD, USER, Registry, skopeo

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="unpacking sets owners and needs root")


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("DOCKER_CONFIG", "REGISTRY_AUTH_FILE", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CONTAINERS_REGISTRIES_CONF", str(tmp_path / "registries.conf"))
    return tmp_path / "home"


@pytest.fixture
def store(tmp_path: Path) -> ImageStore:
    return ImageStore(Paths(str(tmp_path / "data"), str(tmp_path / "state")))


@pytest.fixture(scope="module")
def layout(tmp_path_factory: pytest.TempPathFactory) -> Layout:
    made = Layout(tmp_path_factory.mktemp("layout") / "l")
    made.image(
        "one", [tar_of({"etc/": None, "etc/a": "1"}), tar_of({"etc/b": "2" * 300_000, "etc/.wh.a": ""})]
    )
    return made


def upload(layout: Layout, tag: str, registry: Registry, name: str, *words: str) -> str:
    target = f"{registry.host}/{name}"
    skopeo("copy", "-q", "--dest-tls-verify=false", *words, f"oci:{layout.path}:{tag}", f"docker://{target}")
    return target


@pytest.mark.parametrize("format", ["oci", "v2s2"])
@pytest.mark.parametrize("compression", ["gzip", "zstd"])
def test_pull_what_skopeo_pushed(
    store: ImageStore, registry: Registry, layout: Layout, format: str, compression: str
) -> None:
    if (format, compression) == ("v2s2", "zstd"):
        pytest.skip("Docker's format has no zstd")
    words = ("-f", format, "--dest-compress", "--dest-compress-format", compression)
    name = upload(layout, "one", registry, f"pull-{format}-{compression}:1", *words)
    pull_image(store, name)
    image = store.resolve(name)
    assert Path(image.layers[1], "etc/b").read_text() == "2" * 300_000
    assert image.config.cmd == ("sh",)
    seen = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))
    assert inspect_image(store, name)["RepoDigests"] == [f"{name.removesuffix(':1')}@{seen['Digest']}"]
    # By the digest the registry knows it is found too, and pulling again fetches nothing.
    assert store.resolve(f"{name.removesuffix(':1')}@{seen['Digest']}").id == image.id
    news: list[Any] = []
    pull_image(store, name, report=news.append)
    assert {item["status"] for item in news} == {"exists"}
    assert os.listdir(store.paths.downloads) == []


def test_push_is_the_same_again(store: ImageStore, registry: Registry, layout: Layout) -> None:
    name = upload(layout, "one", registry, "push-from:1", "-f", "v2s2")
    pull_image(store, name)
    target = f"{registry.host}/push-to/deeper:2"
    store.tag(name, parse_reference(target))
    news: list[Any] = []
    pushed = push_image(store, target, news.append)
    before = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{name}"))["Digest"]
    after = json.loads(skopeo("inspect", "--tls-verify=false", f"docker://{target}"))["Digest"]
    assert pushed == before == after
    # What the registry has in another repository is taken over there, not sent.
    assert {item["status"] for item in news if "layer" in item} == {"mounted"}


def test_the_store_is_read_by_skopeo_and_umoci(
    store: ImageStore, registry: Registry, layout: Layout, tmp_path: Path
) -> None:
    name = upload(layout, "one", registry, "layout-read:1", "-f", "v2s2")
    pull_image(store, name)
    skopeo("copy", "-q", f"oci:{store.paths.images}:{name}", f"docker-archive:{tmp_path}/saved.tar")
    listed = subprocess.check_output(["umoci", "ls", "--layout", store.paths.images], text=True)
    assert listed.split() == [name]


def test_platforms(store: ImageStore, registry: Registry, layout: Layout) -> None:
    for architecture in ("amd64", "arm64"):
        layout.image(architecture, [tar_of({"arch": architecture})])
        upload(layout, architecture, registry, f"multi:{architecture}")
    entries = []
    for architecture in ("amd64", "arm64"):
        raw = skopeo(
            "inspect", "--raw", "--tls-verify=false", f"docker://{registry.host}/multi:{architecture}"
        )
        entries.append(
            {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": digest(raw.encode()),
             "size": len(raw), "platform": {"os": "linux", "architecture": architecture}}
        )  # fmt: skip
    index = {"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}
    request = urllib.request.Request(
        f"http://{registry.host}/v2/multi/manifests/all", data=json.dumps(index).encode(), method="PUT",
        headers={"Content-Type": index["mediaType"]},
    )  # fmt: skip
    urllib.request.urlopen(request).close()
    name = f"{registry.host}/multi:all"
    for platform in ("linux/arm64", "linux/amd64"):
        pull_image(store, name, platform)
        assert Path(store.resolve(name).layers[0], "arch").read_text() == platform.partition("/")[2]
    assert digest(json.dumps(index).encode()) in inspect_image(store, name)["RepoDigests"][0]
    with pytest.raises(NotFoundError, match="does not exist for linux/s390x") as caught:
        pull_image(store, name, "linux/s390x")
    assert "linux/amd64, linux/arm64" in caught.value.hint


def test_tls_and_passwords(store: ImageStore, layout: Layout, tmp_path: Path, home: Path) -> None:
    server = Registry(tmp_path / "registry", tls=True, password=True)
    try:
        name = upload(layout, "one", server, "closed:1", "--dest-creds", f"{USER}:{PASSWORD}")
        certificates = home / f".config/containers/certs.d/{server.host}"
        certificates.mkdir(parents=True)
        certificates.joinpath("ca.crt").write_bytes(server.authority.read_bytes())
        with pytest.raises(AccessDenied, match="denies access") as caught:
            pull_image(store, name)
        assert "pycompose login" in caught.value.hint
        with pytest.raises(AccessDenied, match="refuses user"):
            log_in(server.host, USER, "wrong")
        assert not (home / ".docker/config.json").exists()
        assert log_in(server.host, USER, PASSWORD) == str(home / ".docker/config.json")
        assert (home / ".docker/config.json").stat().st_mode & 0o777 == 0o600
        pull_image(store, name)
        store.tag(name, parse_reference(f"{server.host}/closed:2"))
        push_image(store, f"{server.host}/closed:2")
        forget_credentials(server.host)
        with pytest.raises(NotFoundError, match="not logged in"):
            forget_credentials(server.host)
        certificates.joinpath("ca.crt").write_bytes(Path("/etc/ssl/certs/ca-certificates.crt").read_bytes())
        with pytest.raises(EngineError, match="CERTIFICATE_VERIFY_FAILED"):
            pull_image(store, name)
    finally:
        server.stop()


class _TokenServer(http.server.BaseHTTPRequestHandler):
    """Hands out tokens that a front (`_Front`) wants to see; both are in this process."""

    registry = ""
    asked: ClassVar[list[dict[str, list[str]]]] = []
    failures = 0
    cut = 0

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        parts = urllib.parse.urlsplit(self.path)
        if parts.path == "/token":
            type(self).asked.append(
                {**urllib.parse.parse_qs(parts.query), "auth": [self.headers.get("Authorization", "")]}
            )
            self._send(200, json.dumps({"token": "good", "expires_in": 300}).encode())
        elif self.headers.get("Authorization") != "Bearer good":
            challenge = (
                f'Bearer realm="http://{self.headers["Host"]}/token",service="s",scope="repository:x:pull"'
            )
            self._send(401, b"{}", {"WWW-Authenticate": challenge})
        elif "/blobs/" in self.path and type(self).failures:
            type(self).failures -= 1
            self._send(503, b"", {"Retry-After": "0"})
        else:
            self._pass_on()

    def _pass_on(self) -> None:
        headers = {k: v for k, v in self.headers.items() if k in ("Accept", "Range")}
        request = urllib.request.Request(f"http://{self.registry}{self.path}", headers=headers)
        with urllib.request.urlopen(request) as answer:
            data = answer.read()
            kept = {k: answer.headers[k] for k in ("Content-Type", "Content-Range") if answer.headers[k]}
            if "/blobs/" in self.path and len(data) > 1000 and type(self).cut:
                type(self).cut -= 1
                # Half of what was promised: the connection breaks.
                self.send_response(answer.status)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data[: len(data) // 2])
                self.close_connection = True
                return
            self._send(answer.status, data, kept)

    def _send(self, status: int, data: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)


@pytest.fixture
def front(registry: Registry) -> Iterator[str]:
    """A registry behind a token server, which can be made to fail."""
    _TokenServer.registry, _TokenServer.asked = registry.host, []
    _TokenServer.failures = _TokenServer.cut = 0
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), _TokenServer)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_tokens(store: ImageStore, registry: Registry, layout: Layout, front: str, home: Path) -> None:
    upload(layout, "one", registry, "token:1")
    (home / ".config/containers").mkdir(parents=True)
    known = base64.b64encode(b"me:mine").decode()
    (home / ".config/containers/auth.json").write_text(json.dumps({"auths": {front: {"auth": known}}}))
    pull_image(store, f"{front}/token:1")
    assert _TokenServer.asked[0]["scope"] == ["repository:token:pull"]
    assert _TokenServer.asked[0]["service"] == ["s"]
    assert _TokenServer.asked[0]["auth"] == [f"Basic {known}"]


def test_failures_on_the_way(store: ImageStore, registry: Registry, layout: Layout, front: str) -> None:
    upload(layout, "one", registry, "shaky:1")
    _TokenServer.failures, _TokenServer.cut = 2, 1
    pull_image(store, f"{front}/shaky:1")
    assert Path(store.resolve(f"{front}/shaky:1").layers[1], "etc/b").stat().st_size == 300_000


def test_a_mirror_comes_first(store: ImageStore, registry: Registry, layout: Layout, tmp_path: Path) -> None:
    upload(layout, "one", registry, "mirrored/app:1")
    (tmp_path / "registries.conf").write_text(
        f"""
        [[registry]]
        prefix = "nowhere.invalid/team"
        location = "nowhere.invalid/team"
        [[registry.mirror]]
        location = "{registry.host}/mirrored"
        insecure = true
        """
    )
    pull_image(store, "nowhere.invalid/team/app:1")
    assert store.resolve("nowhere.invalid/team/app:1").layers
    # One that lags behind is asked for digests only.
    digest = store.find_entry("nowhere.invalid/team/app:1")["annotations"][SOURCE]
    (tmp_path / "registries.conf").write_text(
        f"""
        [[registry]]
        location = "127.0.0.1:1/team"
        [[registry.mirror]]
        location = "{registry.host}/mirrored"
        pull-from-mirror = "digest-only"
        """
    )
    with pytest.raises(EngineError, match="can't be reached"):
        pull_image(store, "127.0.0.1:1/team/app:1")
    pull_image(store, f"127.0.0.1:1/team/app@{digest}")
    (tmp_path / "registries.conf").write_text('[[registry]]\nlocation = "bad.invalid"\nblocked = true\n')
    with pytest.raises(EngineError, match="is blocked"):
        pull_image(store, "bad.invalid/x")


def test_a_credential_helper(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    helper = tmp_path / "bin/docker-credential-test"
    helper.parent.mkdir()
    helper.write_text(
        '#!/bin/sh\nread host\n[ "$host" = known.invalid ] || { echo "credentials not found"; exit 1; }\n'
        'echo \'{"Username":"u","Secret":"p"}\'\n'
    )
    helper.chmod(0o755)
    monkeypatch.setenv("PATH", f"{helper.parent}:{os.environ['PATH']}")
    (home / ".docker").mkdir(parents=True)
    (home / ".docker/config.json").write_text('{"credsStore": "test"}')
    found = find_credentials("known.invalid")
    assert found is not None and (found.username, found.password) == ("u", "p")
    assert find_credentials("other.invalid") is None


def test_challenges() -> None:
    found = parse_challenge('Basic realm="x", Bearer realm="https://t/a?b=c,d",service="s"')
    assert found is not None and found.scheme == "bearer"
    assert found.parameters == {"realm": "https://t/a?b=c,d", "service": "s"}
    assert parse_challenge("Negotiate") is None


def test_what_is_not_there(store: ImageStore, registry: Registry) -> None:
    with pytest.raises(NotFoundError, match="is not in the registry"):
        pull_image(store, f"{registry.host}/nothing:1")
    with pytest.raises(EngineError, match="can't be reached"):
        pull_image(store, "127.0.0.1:1/x")


def test_damaged_in_the_registry(store: ImageStore, registry: Registry, layout: Layout) -> None:
    layout.image("bad", [tar_of({"x": "unlike any other layer"})])
    name = upload(layout, "bad", registry, "damaged:1")
    raw = json.loads(skopeo("inspect", "--raw", "--tls-verify=false", f"docker://{name}"))
    blob = registry.blob(raw["layers"][0]["digest"])
    whole = blob.read_bytes()
    blob.write_bytes(whole[:-9] + b"x" + whole[-8:])
    with pytest.raises(ImageError, match="other content than its manifest says"):
        pull_image(store, name)
    assert list_images(store) == []
    blob.write_bytes(whole)
    pull_image(store, name)


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"layers": "x"}, "no list of layers"),
        ({"layers": [{"digest": "sha256:../../etc/passwd", "size": 1}]}, "not a digest"),
        ({"layers": [{"digest": "sha256:" + "a" * 64, "size": -1}]}, "impossible size"),
        ({"layers": [{"digest": "sha256:" + "a" * 64, "size": 1 << 60}]}, "impossible size"),
        (
            {"config": {"mediaType": "text/plain", "digest": "sha256:" + "a" * 64, "size": 1}},
            "no image to run",
        ),
        ({"config": None}, "no descriptor"),
        ({"manifests": []}, "an image and an index at once"),
    ],
)
def test_absurd_manifests(tmp_path: Path, change: dict[str, Any], match: str) -> None:
    from runtime.image.load import load_archive

    made = Layout(tmp_path / "layout")
    made.image("x", [tar_of({"a": "b"})], change=change)
    store = ImageStore(Paths(str(tmp_path / "data"), str(tmp_path / "state")))
    with pytest.raises(EngineError, match=match):
        load_archive(store, str(tmp_path / "layout"))
    assert list_images(store) == []


def test_a_configuration_that_lies_about_its_layers(
    store: ImageStore, registry: Registry, tmp_path: Path
) -> None:
    made = Layout(tmp_path / "layout")
    made.image("x", [tar_of({"a": "lie"})], diff_ids=["sha256:" + "b" * 64])
    name = upload(made, "x", registry, "liar:1")
    with pytest.raises(ImageError, match="the image's configuration says"):
        pull_image(store, name)
    assert list_images(store) == []


def test_a_killed_pull_leaves_nothing_visible_and_goes_on_where_it_was(
    store: ImageStore, registry: Registry, tmp_path: Path, front: str
) -> None:
    made = Layout(tmp_path / "layout")
    layers = [tar_of({f"file{n}": os.urandom(4_000_000).hex()}) for n in range(3)]
    made.image("big", layers, packed=False)
    name = upload(made, "big", registry, "killed:1")
    program = f"import sys; from runtime.image.pull import pull_image; from runtime.image.store import ImageStore; from runtime.store.paths import Paths; pull_image(ImageStore(Paths({store.paths.data!r}, 'x')), {name!r}, report=lambda m: (print(m, flush=True)))"
    for _ in range(3):
        child = subprocess.Popen(
            [sys.executable, "-c", program], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert child.stdout is not None
        child.stdout.readline()
        child.kill()
        child.wait()
        child.stdout.close()
        assert list_images(store) == []
        assert all(item.startswith(".new-") for item in os.listdir(store.paths.layers))
    left = sum(item.stat().st_size for item in Path(store.paths.downloads).glob("*.part"))
    time.sleep(0.1)
    pull_image(store, name)
    assert left > 0 and Path(store.resolve(name).layers[2], "file2").stat().st_size == 8_000_000
    for item in os.listdir(store.paths.layers):
        if item.startswith(".new-"):
            os.utime(f"{store.paths.layers}/{item}", (1, 1))
    remove_abandoned(store.paths.layers)
    assert len(os.listdir(store.paths.layers)) == 3


def test_two_pulls_at_once_fetch_each_layer_once(
    store: ImageStore, registry: Registry, layout: Layout
) -> None:
    name = upload(layout, "one", registry, "twice:1")
    outcomes: list[str] = []
    threads = [
        threading.Thread(target=lambda: outcomes.append(_pull_in_child(store, name))) for _ in range(2)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes == [store.resolve(name).id] * 2


def _pull_in_child(store: ImageStore, name: str) -> str:
    program = f"from runtime.image.pull import pull_image; from runtime.image.store import ImageStore; from runtime.store.paths import Paths; print(pull_image(ImageStore(Paths({store.paths.data!r}, 'x')), {name!r}))"
    return subprocess.check_output(
        [sys.executable, "-c", program], text=True, cwd=Path(__file__).parents[2], timeout=60
    ).strip()
