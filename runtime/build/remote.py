"""What comes from elsewhere: files by http, git repositories (by the `git` program), tar contexts."""

import os
import re
import shutil
import subprocess
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import parse_qsl, unquote, urlsplit

from runtime.build.dockerfile import DockerfileError
from runtime.errors import EngineError, InvalidError, NotFoundError

_GIT_SCP = re.compile(r"[\w.-]+@[\w.-]+:")
_GIT_URL = re.compile(r"(?:git|ssh)://|https?://[^#?]+\.git(?:[#?]|\Z)|github\.com/")
_COMMIT = re.compile(r"[0-9a-f]{7,64}\Z")
_WHOLE_COMMIT = re.compile(r"(?:[0-9a-f]{40}|[0-9a-f]{64})\Z")
_REFERENCES = {"ref": "", "branch": "refs/heads/", "tag": "refs/tags/"}
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
        commit = clone(url, space, keep_git=keep_git)
        if not commit.startswith(checksum):
            raise DockerfileError(f"{url} is at commit {commit}, not {checksum}", line)
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


class GitSource(NamedTuple):
    """What a git URL asks for."""

    address: str
    reference: str = ""  # a branch, tag or commit; "" = what the server's HEAD is
    below: str = ""  # a folder in the repository
    checksum: str = ""  # the beginning of the commit's id
    keep_git: bool = False
    submodules: bool = True


def parse_git_url(url: str) -> GitSource:
    """URL#REF:SUBFOLDER, or as BuildKit's documentation prefers, URL?branch=NAME&subdir=FOLDER. Raises InvalidError."""
    plain, _, fragment = url.partition("#")
    address, _, query = plain.partition("?")
    if address.startswith("github.com/"):
        address = f"https://{address}"
    reference, _, below = fragment.partition(":")
    if not query:
        return GitSource(address, reference, below)
    if fragment:
        raise InvalidError(f"{url} has a query and a fragment", hint="say all of it in the query")
    options = dict(parse_qsl(query, keep_blank_values=True))
    checksum = options.pop("checksum", "") or options.pop("commit", "")
    given = ((options.pop(name, ""), prefix) for name, prefix in _REFERENCES.items())
    references = [f"{prefix}{value}" for value, prefix in given if value]
    if len(references) > 1:
        raise InvalidError(f"{url}: only one of ref, branch and tag can be asked for")
    source = GitSource(
        address,
        "".join(references) or checksum,
        options.pop("subdir", ""),
        checksum,
        _is_on(url, options.pop("keep-git-dir", "false")),
        _is_on(url, options.pop("submodules", "true")),
    )
    if options:
        known = "ref, branch, tag, checksum, subdir, keep-git-dir, submodules"
        raise InvalidError(f"{url}: {next(iter(options))} is not known", hint=f"known are {known}")
    return source


def _is_on(url: str, text: str) -> bool:
    if text.lower() not in ("", "1", "t", "true", "0", "f", "false"):
        raise InvalidError(f"{url}: {text!r} is neither true nor false")
    return text.lower() in ("", "1", "t", "true")


def commit_of(url: str) -> str:
    """The commit that a git URL means now, "" if only a clone can tell. Raises NotFoundError, EngineError."""
    _need_git(url)
    wanted = parse_git_url(url)
    if _WHOLE_COMMIT.match(wanted.reference):
        return wanted.reference
    named = wanted.reference or "HEAD"
    # A tag with a message of its own (^{}) stands for the commit it is on.
    listed = _git(["ls-remote", "--", wanted.address, named, f"{named}^{{}}"], "/")
    found = {name: commit for commit, _, name in (line.partition("\t") for line in listed.splitlines())}
    for place in ("", "refs/", "refs/tags/", "refs/heads/"):  # in git's order (gitrevisions(7))
        name = f"{place}{named}"
        if name in found:
            return found.get(f"{name}^{{}}", found[name])
    return ""


def _need_git(url: str) -> None:
    if shutil.which("git") is None:
        raise NotFoundError("git is not installed", hint=f"it is needed for {url}: apt-get install git")


def clone(url: str, folder: str, *, keep_git: bool = False) -> str:
    """A git repository (`parse_git_url`) into an empty folder; its commit. Raises NotFoundError, EngineError."""
    _need_git(url)
    wanted = parse_git_url(url)
    below = wanted.below
    work = f"{folder}.git-work"
    os.makedirs(work)
    try:
        _git(["init", "--quiet"], work)
        _check_out(wanted.address, wanted.reference, work)
        commit = _git(["rev-parse", "HEAD"], work).strip()
        if not commit.startswith(wanted.checksum):
            raise EngineError(f"{url} is at commit {commit}, not {wanted.checksum}")
        if wanted.submodules and os.path.exists(f"{work}/.gitmodules"):
            _git(["submodule", "--quiet", "update", "--init", "--recursive"], work)
        if not (keep_git or wanted.keep_git):
            shutil.rmtree(f"{work}/.git")
        root = os.path.realpath(work)
        source = os.path.realpath(f"{work}/{below.lstrip('/')}")
        if source != root and not source.startswith(f"{root}/"):
            raise EngineError(f"{url}: {below} leads out of the repository")
        if not os.path.isdir(source):
            raise NotFoundError(f"{url}: there is no folder {below}")
        for name in os.listdir(source):
            os.rename(f"{source}/{name}", f"{folder}/{name}")
        return commit
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _check_out(address: str, reference: str, work: str) -> None:
    """Fetch one commit where the server can give just that, else the whole history."""
    _git(["remote", "add", "--", "origin", address], work)
    try:
        _git(["fetch", "--quiet", "--depth", "1", "--", "origin", reference or "HEAD"], work)
    except EngineError as error:
        # Plain file servers know no shallow fetch, and short commit ids are for the client to look up.
        if "shallow" not in str(error) and not _COMMIT.match(reference):
            raise
        everything = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
        _git(["fetch", "--quiet", "origin", *everything], work)
        if not _COMMIT.match(reference):
            _git(["fetch", "--quiet", "--", "origin", reference or "HEAD"], work)
            reference = "FETCH_HEAD"
        _git(["checkout", "--quiet", "--detach", reference], work)
    else:
        _git(["checkout", "--quiet", "--detach", "FETCH_HEAD"], work)


def _git(arguments: list[str], folder: str) -> str:
    """What the command printed. Nobody is asked for passwords, nor whether to trust a host's key."""
    quiet = {"GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_NOSYSTEM": "1", "LC_ALL": "C"}
    if "GIT_SSH" not in os.environ:
        quiet["GIT_SSH_COMMAND"] = f"{os.environ.get('GIT_SSH_COMMAND', 'ssh')} -o BatchMode=yes"
    try:
        answer = subprocess.run(
            ["git", "-c", "protocol.ext.allow=never", *arguments],
            cwd=folder,
            env={**os.environ, **quiet},
            capture_output=True,
            text=True,
            timeout=_GIT_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EngineError(f"git {arguments[0]} took longer than {_GIT_TIMEOUT_S} s") from error
    if answer.returncode != 0:
        last = answer.stderr.strip().splitlines()[-1:]
        raise EngineError(f"git {arguments[0]} failed: {last[0] if last else answer.returncode}")
    return answer.stdout
