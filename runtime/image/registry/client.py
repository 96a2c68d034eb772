"""The OCI Distribution Specification's client: manifests, blobs, uploads, tags of one repository.

`Repository` asks the mirrors first and the registry itself last; what writes goes to the registry alone.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import IO, Any, NamedTuple, TypeVar
from urllib.parse import urlencode

from runtime.errors import EngineError, ImageError, NotFoundError
from runtime.image.manifest import ACCEPTED, MOST_MANIFEST_BYTES, Descriptor, parse_json
from runtime.image.registry.auth import AccessDenied, Authenticator
from runtime.image.registry.credentials import find_credentials
from runtime.image.registry.endpoints import DIGESTS, TAGS, Endpoint, find_endpoints
from runtime.image.registry.transport import (
    ATTEMPTS,
    ConnectionFailed,
    Response,
    Transport,
    pause_before_retry,
)
from runtime.oci.digest import digest_of

_T = TypeVar("_T")
PULL, PUSH = "pull", "pull,push"
_CHUNK = 1 << 20


class Fetched(NamedTuple):
    """A manifest as its server sent it, checked against its digest."""

    data: bytes
    media_type: str
    digest: str


class Server:
    """One repository on one server."""

    def __init__(self, endpoint: Endpoint, registry: str) -> None:
        self.endpoint = endpoint
        self._transport = Transport(endpoint)
        credentials = find_credentials(endpoint.host if endpoint.mirror else registry, endpoint.repository)
        self._auth = Authenticator(self._transport, credentials)

    def close(self) -> None:
        self._transport.close()

    def request(
        self,
        method: str,
        path: str,
        *,
        access: str = PULL,
        also: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        stream: bool = False,
    ) -> Response:
        """A request below /v2/REPOSITORY/, or to a location the server gave; answers one challenge.

        `also` are other repositories to be read. Raises AccessDenied, EngineError.
        """
        url = path if path.startswith(("/", "http")) else f"/v2/{self.endpoint.repository}/{path}"
        scopes = tuple(
            sorted(
                {f"repository:{self.endpoint.repository}:{access}", *(f"repository:{r}:pull" for r in also)}
            )
        )
        start = body.tell() if hasattr(body, "tell") else 0
        for attempt in (1, 2):
            sent = dict(headers or {})
            authorization = self._auth.header(scopes)
            if authorization:
                sent["Authorization"] = authorization
            response = self._transport.request(
                method, url, headers=sent, body=body, stream=stream, retry=not hasattr(body, "read")
            )
            if response.status != 401 or attempt == 2:
                break
            response.drain_conn()
            if not self._auth.challenged(response.headers.get("WWW-Authenticate", "")):
                break
            if hasattr(body, "seek"):
                body.seek(start)
        if response.status in (401, 403):
            raise AccessDenied(
                f"{self.endpoint.host} denies access to {self.endpoint.repository}{_said(response)}",
                hint=f"does it exist? If it is private: pycompose login {self.endpoint.host}",
            )
        return response


class Repository:
    """A repository of a registry, wherever it is reached."""

    def __init__(self, registry: str, repository: str) -> None:
        self.registry = registry
        self.name = repository
        endpoints = find_endpoints(registry, repository, os.environ)
        self._servers = [Server(endpoint, registry) for endpoint in endpoints]

    def close(self) -> None:
        for server in self._servers:
            server.close()

    # ---- reading

    def manifest(self, reference: str) -> Fetched:
        """The manifest or index of a tag or digest. Raises NotFoundError, ImageError, EngineError."""
        headers = {"Accept": ", ".join(ACCEPTED)}

        def read(server: Server) -> Fetched:
            response = server.request("GET", f"manifests/{reference}", headers=headers, stream=True)
            self._check(response, 200, f"image {self._describe(reference)}")
            data = response.read(MOST_MANIFEST_BYTES + 1)
            response.release_conn()
            if len(data) > MOST_MANIFEST_BYTES:
                raise ImageError(f"the manifest of {self._describe(reference)} is absurdly large")
            digest = str(digest_of(data))
            if reference.startswith("sha256:") and digest != reference:
                raise ImageError(
                    f"{self._describe(reference)}: the registry sent another manifest ({digest})"
                )
            return Fetched(data, response.headers.get("Content-Type", ""), digest)

        return self._first(read, reference)

    def digest_of_tag(self, reference: str) -> str:
        """The digest that a tag has now, "" where there is none; without fetching the manifest where possible."""

        def ask(server: Server) -> str:
            headers = {"Accept": ", ".join(ACCEPTED)}
            response = server.request("HEAD", f"manifests/{reference}", headers=headers)
            if response.status == 404:
                return ""
            self._check(response, 200, f"image {self._describe(reference)}")
            return response.headers.get("Docker-Content-Digest") or self.manifest(reference).digest

        return self._first(ask, reference)

    def blob(self, descriptor: Descriptor, start: int = 0) -> Iterator[bytes]:
        """The bytes of a blob from `start` on. A connection that breaks is made again for the rest.

        Raises ImageError where the blob is longer or shorter than it says, EngineError.
        """
        position, attempt = start, 0
        while position < descriptor.size:
            before = position
            try:
                for chunk in self._stream(descriptor, position):
                    position += len(chunk)
                    if position > descriptor.size:
                        raise ImageError(f"blob {descriptor.digest} is longer than its manifest says")
                    yield chunk
                failure = ImageError(
                    f"blob {descriptor.digest} ends after {position} of {descriptor.size} bytes"
                )
            except ConnectionFailed as error:
                failure = ImageError(str(error), hint=error.hint)
            attempt = 1 if position > before else attempt + 1
            if position < descriptor.size:
                if attempt >= ATTEMPTS:
                    raise failure
                pause_before_retry(attempt)

    def _stream(self, descriptor: Descriptor, start: int) -> Iterator[bytes]:
        from urllib3.exceptions import HTTPError

        headers = {"Range": f"bytes={start}-"} if start else {}

        def ask(server: Server) -> Response:
            response = server.request("GET", f"blobs/{descriptor.digest}", headers=headers, stream=True)
            if response.status == 206 and start:
                return response
            self._check(response, 200, f"blob {descriptor.digest} of {self.registry}/{self.name}")
            return response

        response = self._first(ask)
        skip = start if response.status == 200 else 0
        try:
            while chunk := response.read(_CHUNK):
                if skip:  # the server knows no ranges
                    chunk, skip = chunk[skip:], max(0, skip - len(chunk))
                    if not chunk:
                        continue
                yield chunk
        except (HTTPError, OSError) as error:
            raise ConnectionFailed(f"the connection to {self.registry} broke: {error}") from error
        finally:
            response.close()

    def small_blob(self, descriptor: Descriptor) -> bytes:
        """A blob that fits into memory, checked. Raises ImageError."""
        data = b"".join(self.blob(descriptor))
        if str(digest_of(data)) != descriptor.digest:
            raise ImageError(f"blob {descriptor.digest} of {self.registry}/{self.name} has other content")
        return data

    def tags(self) -> list[str]:
        """All tags of the repository."""

        def ask(server: Server) -> list[str]:
            found: list[str] = []
            url = "tags/list"
            while url:
                response = server.request("GET", url)
                self._check(response, 200, f"repository {self.registry}/{self.name}")
                found += parse_json(response.data, "the list of tags").get("tags") or []
                link = response.headers.get("Link", "")
                url = link.partition("<")[2].partition(">")[0] if 'rel="next"' in link else ""
            return found

        return self._first(ask)

    # ---- writing

    @property
    def _origin(self) -> Server:
        return self._servers[-1]

    def has_blob(self, digest: str) -> bool:
        return self._origin.request("HEAD", f"blobs/{digest}", access=PUSH).status == 200

    def mount(self, digest: str, source: str) -> bool:
        """Take a blob over from another repository of this registry; False where that is not possible."""
        query = urlencode({"mount": digest, "from": source})
        response = self._origin.request("POST", f"blobs/uploads/?{query}", access=PUSH, also=(source,))
        if response.status == 201:
            return True
        if response.status == 202:
            # An upload was begun instead; it is not wanted.
            self._origin.request("DELETE", response.headers.get("Location", ""), access=PUSH)
        return False

    def upload(
        self, descriptor: Descriptor, file: IO[bytes], progress: Callable[[int], None] = lambda _: None
    ) -> None:
        """Send a blob in one piece, again from the start after a failure. Raises EngineError."""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                file.seek(0)
                self._upload_once(descriptor, _Counted(file, descriptor.size, progress))
                return
            except ConnectionFailed:
                if attempt == ATTEMPTS:
                    raise
                pause_before_retry(attempt)

    def _upload_once(self, descriptor: Descriptor, body: "_Counted") -> None:
        response = self._origin.request("POST", "blobs/uploads/", access=PUSH)
        self._check(response, 202, f"an upload to {self.registry}/{self.name}")
        location = response.headers.get("Location", "")
        separator = "&" if "?" in location else "?"
        response = self._origin.request(
            "PUT",
            f"{location}{separator}{urlencode({'digest': descriptor.digest})}",
            access=PUSH,
            headers={"Content-Type": "application/octet-stream", "Content-Length": str(descriptor.size)},
            body=body,
        )
        self._check(response, 201, f"the upload of {descriptor.digest}")

    def put_manifest(self, reference: str, data: bytes, media_type: str) -> str:
        """Store a manifest under a tag or digest; its digest."""
        response = self._origin.request(
            "PUT", f"manifests/{reference}", access=PUSH, headers={"Content-Type": media_type}, body=data
        )
        self._check(response, 201, f"the manifest of {self._describe(reference)}")
        return "sha256:" + hashlib.sha256(data).hexdigest()

    # ---- all

    def _first(self, ask: "Callable[[Server], _T]", reference: str = "") -> "_T":
        """The answer of the first server that has one; the registry's own failure where none has.

        Mirrors that are not for such a `reference`, a tag or a digest, are passed over.
        """
        unfit = TAGS if ":" in reference else DIGESTS
        for server in self._servers[:-1]:
            if reference and server.endpoint.serves == unfit:
                continue
            try:
                return ask(server)
            except EngineError:
                continue
        return ask(self._origin)

    def _describe(self, reference: str) -> str:
        name = (
            self.name.removeprefix("library/")
            if self.registry == "docker.io"
            else f"{self.registry}/{self.name}"
        )
        return f"{name}{'@' if ':' in reference else ':'}{reference}"

    def _check(self, response: Response, wanted: int, what: str) -> None:
        if response.status == wanted:
            return
        said = _said(response)
        response.close()
        if response.status == 404:
            raise NotFoundError(f"{what} is not in the registry{said}", hint="check its name and tag")
        if response.status == 429:
            raise EngineError(f"{what}: the registry has had too many requests", hint="log in, or wait")
        raise EngineError(f"{what}: the registry answered {response.status}{said}")


class _Counted:
    """A file that tells how much of it has been sent."""

    def __init__(self, file: IO[bytes], size: int, progress: Callable[[int], None]) -> None:
        self._file = file
        self._size = size
        self._progress = progress

    def __len__(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(_CHUNK if size < 0 else max(size, 1 << 16))
        self._progress(self._file.tell())
        return data

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, position: int, whence: int = 0) -> int:
        return self._file.seek(position, whence)


def _said(response: Response) -> str:
    """What the registry says of an error (distribution-spec: error codes), to be appended."""
    try:
        errors = parse_json(response.data, "an error")["errors"]
        text = "; ".join(str(item.get("message") or item.get("code")) for item in errors)
    except (ImageError, KeyError, TypeError, AttributeError):
        return ""
    return f": {text}" if text else ""
