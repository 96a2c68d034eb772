"""What comes from elsewhere: files by http, git repositories (by the `git` program), tar contexts."""

import os
import re
import shutil
import subprocess
from hashlib import sha256
from urllib.parse import unquote, urlsplit

from runtime.build.dockerfile import DockerfileError
from runtime.errors import EngineError, NotFoundError

_GIT_SCP = re.compile(r"[\w.-]+@[\w.-]+:")
_GIT_URL = re.compile(r"(?:git|ssh)://|https?://[^#?]+\.git(?:[#?]|\Z)|github\.com/")
_GIT_TIMEOUT_S = 600
_CHUNK = 1 << 20


def is_url(text: str) -> bool:
    """Whether something is fetched by http."""
    return text.startswith(("http://", "https://")) and not is_git_url(text)


def is_git_url(text: str) -> bool:
    """As Docker tells them apart: git:// and ssh:// URLs, user@host:path, https://….git, github.com/…"""
    return bool(_GIT_URL.match(text) or _GIT_SCP.match(text))


def download(url: str, space: str, *, checksum: str = "", keep_git: bool = False, line: int = 0) -> str:
    """Bring a file or repository into a folder; the file's name, "" for a repository's tree."""
    if is_git_url(url):
        clone(url, space, keep_git=keep_git)
        return ""
    name = os.path.basename(unquote(urlsplit(url).path)) or "index"
    path = f"{space}/{name}"
    digest, modified = fetch_file(url, path)
    if checksum and checksum.removeprefix("sha256:") != digest:
        raise DockerfileError(f"{url} has the checksum sha256:{digest}, not {checksum}", line)
    os.chmod(path, 0o600)
    os.utime(path, (modified, modified))
    return name


def fetch_file(url: str, path: str) -> tuple[str, float]:
    """(sha256, modification time) of what was fetched. Raises NotFoundError, EngineError."""
    from email.utils import parsedate_to_datetime

    from runtime.image.registry.endpoints import Endpoint
    from runtime.image.registry.transport import Transport

    parts = urlsplit(url)
    transport = Transport(Endpoint(parts.netloc, "", scheme=parts.scheme))
    try:
        response = transport.request("GET", url, stream=True)
        if response.status == 404:
            raise NotFoundError(f"{url} is not there")
        if response.status != 200:
            raise EngineError(f"{url}: the server answered {response.status}")
        digest = sha256()
        with open(path, "wb") as file:
            while chunk := response.read(_CHUNK):
                digest.update(chunk)
                file.write(chunk)
        modified = response.headers.get("Last-Modified", "")
        response.close()
    finally:
        transport.close()
    try:
        return digest.hexdigest(), parsedate_to_datetime(modified).timestamp()
    except (TypeError, ValueError):
        return digest.hexdigest(), 0.0


def clone(url: str, folder: str, *, keep_git: bool = False) -> None:
    """A git repository, URL#REF:SUBFOLDER, into an empty folder. Raises NotFoundError without the git program."""
    if shutil.which("git") is None:
        raise NotFoundError("git is not installed", hint=f"it is needed for {url}: apt-get install git")
    address, _, fragment = url.partition("#")
    if address.startswith("github.com/"):
        address = f"https://{address}"
    reference, _, below = fragment.partition(":")
    work = f"{folder}.git-work"
    os.makedirs(work)
    environ = {**os.environ, "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1"}
    try:
        _git(["init", "--quiet"], work, environ)
        _git(["fetch", "--quiet", "--depth", "1", "--", address, reference or "HEAD"], work, environ)
        _git(["checkout", "--quiet", "FETCH_HEAD"], work, environ)
        if not keep_git:
            shutil.rmtree(f"{work}/.git")
        root = os.path.realpath(work)
        source = os.path.realpath(f"{work}/{below}")
        if source != root and not source.startswith(f"{root}/"):
            raise EngineError(f"{url}: {below} leads out of the repository")
        if not os.path.isdir(source):
            raise NotFoundError(f"{url}: there is no folder {below}")
        for name in os.listdir(source):
            os.rename(f"{source}/{name}", f"{folder}/{name}")
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _git(arguments: list[str], folder: str, environ: dict[str, str]) -> None:
    try:
        answer = subprocess.run(
            ["git", "-c", "protocol.ext.allow=never", *arguments],
            cwd=folder,
            env=environ,
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"git {arguments[0]} took longer than {_GIT_TIMEOUT_S} s") from error
    if answer.returncode != 0:
        raise EngineError(f"git {arguments[0]} failed: {answer.stderr.strip().splitlines()[-1:]}")
