"""HTTP to one server: TLS, proxies, plain HTTP where allowed, retries with back-off. Nothing of registries in here.

urllib3 rather than a client of the asyncio world: a body is read straight from the socket, which for layers of
some 100 MB is the difference between the network's speed and the interpreter's.
"""

import random
import ssl
import time
import urllib.request
from collections.abc import Mapping
from typing import Any
from urllib.parse import urljoin, urlsplit

import urllib3
from urllib3.exceptions import HTTPError, SSLError

from runtime.errors import EngineError, ImageError, UnsupportedError
from runtime.image.registry.endpoints import Endpoint

Response = urllib3.BaseHTTPResponse
ATTEMPTS = 5
_CONNECT_S, _READ_S = 20.0, 60.0
_TRANSIENT = frozenset((408, 429, 500, 502, 503, 504))
_LONGEST_PAUSE_S = 30.0
_MOST_REDIRECTS = 5


class ConnectionFailed(EngineError):
    """A server cannot be reached at all, or its certificate is not trusted."""


class Transport:
    """Requests to the server of one endpoint, and to wherever it redirects."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._scheme = endpoint.scheme
        self._pools: dict[str, Any] = {}

    def close(self) -> None:
        """Close all connections; the next request makes new ones."""
        for pool in self._pools.values():
            pool.clear()
        self._pools.clear()

    def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: Any = None,
        retry: bool = True,
        stream: bool = False,
    ) -> Response:
        """One request. `url` is absolute, or a path on the endpoint's host. Redirects of GET and HEAD are followed.

        Raises ConnectionFailed; any status is an answer. A body that is a file is sent from its position on.
        """
        attempt = 0
        while True:
            attempt += 1
            try:
                response = self._send(method, url, dict(headers or {}), body, stream)
            except (HTTPError, OSError) as error:
                if isinstance(error, SSLError) or not retry or attempt >= ATTEMPTS or _is_final(error):
                    raise self._failed(url, error) from error
                _pause(attempt, "")
                continue
            if response.status not in _TRANSIENT or not retry or attempt >= ATTEMPTS:
                return response
            response.drain_conn()
            _pause(attempt, response.headers.get("Retry-After", ""))

    def _send(self, method: str, url: str, headers: dict[str, str], body: Any, stream: bool) -> Response:
        target = self._absolute(url)
        for _ in range(_MOST_REDIRECTS):
            response = self._once(method, target, headers, body, stream)
            location = response.headers.get("Location")
            if (
                method not in ("GET", "HEAD")
                or response.status not in (301, 302, 303, 307, 308)
                or not location
            ):
                return response
            response.drain_conn()
            following = urljoin(target, location)
            if urlsplit(following).netloc != urlsplit(target).netloc:
                # A storage service gets a signed address, never the registry's token.
                headers.pop("Authorization", None)
            target = following
        raise ImageError(f"{self._endpoint.host} redirects in a circle")

    def _once(self, method: str, url: str, headers: dict[str, str], body: Any, stream: bool) -> Response:
        if self._scheme or not self._endpoint.insecure or "://" not in url or not url.startswith("https://"):
            return self._pooled(method, url, headers, body, stream)
        try:
            response = self._pooled(method, url, headers, body, stream)
            self._scheme = "https"
            return response
        except (HTTPError, OSError) as error:
            if "CERTIFICATE_VERIFY_FAILED" in str(error):
                raise
            # An insecure registry may have no TLS at all; what it speaks is kept for the next request.
            response = self._pooled(method, "http" + url.removeprefix("https"), headers, body, stream)
            self._scheme = "http"
            return response

    def _pooled(self, method: str, url: str, headers: dict[str, str], body: Any, stream: bool) -> Response:
        return self._pool(url).urlopen(  # type: ignore[no-any-return]
            method,
            url,
            headers={"User-Agent": "pycompose", **headers},
            body=body,
            preload_content=not stream,
            decode_content=False,
            redirect=False,
            retries=False,
            timeout=urllib3.Timeout(connect=_CONNECT_S, read=_READ_S),
        )

    def _absolute(self, url: str) -> str:
        return urljoin(f"{self._scheme or 'https'}://{self._endpoint.host}", url)

    def _pool(self, url: str) -> Any:
        parts = urlsplit(url)
        proxies = urllib.request.getproxies()
        proxy = proxies.get(parts.scheme) or proxies.get("all") or ""
        if proxy and urllib.request.proxy_bypass(parts.netloc.rpartition("@")[2]):
            proxy = ""
        # Certificates given for the registry are not for the storage it redirects to.
        own = parts.netloc == urlsplit(self._absolute("/")).netloc
        key = f"{proxy} {own}"
        if key not in self._pools:
            options: dict[str, Any] = {"ssl_context": self._tls(own), "num_pools": 4, "maxsize": 4}
            if not proxy:
                self._pools[key] = urllib3.PoolManager(**options)
            elif proxy.startswith("socks"):
                raise UnsupportedError(f"the proxy {proxy} speaks SOCKS", hint="use an HTTP proxy")
            else:
                proxy = proxy if "://" in proxy else f"http://{proxy}"
                self._pools[key] = urllib3.ProxyManager(proxy, proxy_headers=_proxy_headers(proxy), **options)
        return self._pools[key]

    def _tls(self, own: bool) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if not own:
            return context
        try:
            for path in self._endpoint.authorities:
                context.load_verify_locations(path)
            if self._endpoint.certificate:
                context.load_cert_chain(self._endpoint.certificate, self._endpoint.key)
        except (OSError, ssl.SSLError) as error:
            raise ImageError(f"a certificate for {self._endpoint.host} can't be used: {error}") from error
        if self._endpoint.insecure and not self._endpoint.authorities:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        return context

    def _failed(self, url: str, error: BaseException) -> EngineError:
        if isinstance(error, EngineError):
            return error
        host = urlsplit(self._absolute(url)).netloc
        reason = getattr(error, "reason", None) or error
        hint = "is the name right, and is there a network?"
        if "CERTIFICATE_VERIFY_FAILED" in str(reason):
            hint = f"put its authority's certificate into /etc/containers/certs.d/{host}/ca.crt"
        elif "WRONG_VERSION_NUMBER" in str(reason) or "HTTP request" in str(reason):
            hint = "it speaks plain HTTP: mark it `insecure = true` in registries.conf"
        return ConnectionFailed(f"registry {host} can't be reached: {_first_line(reason)}", hint=hint)


def _is_final(error: BaseException) -> bool:
    """A name that does not resolve, or a port that nobody listens on, will not get better in a second."""
    text = str(getattr(error, "reason", None) or error)
    return "Name or service not known" in text or "Connection refused" in text or "nodename" in text


def _first_line(reason: object) -> str:
    text = str(reason).splitlines()[0] if str(reason) else type(reason).__name__
    return text.rpartition(">: ")[2] or text


def _proxy_headers(proxy: str) -> dict[str, str]:
    parts = urlsplit(proxy)
    if not parts.username:
        return {}
    return dict(urllib3.make_headers(proxy_basic_auth=f"{parts.username}:{parts.password or ''}"))


def _pause(attempt: int, retry_after: str) -> None:
    """Twice as long after each failure; what a server that is flooded asks for counts more (RFC 9110 10.2.3)."""
    wanted = 0.25 * 2**attempt * (0.5 + random.random())
    if retry_after.isdigit():
        wanted = max(wanted, float(retry_after))
    time.sleep(min(wanted, _LONGEST_PAUSE_S))


def pause_before_retry(attempt: int) -> None:
    """For what retries above single requests, such as the rest of a blob."""
    _pause(attempt, "")


# Whether certificates are checked is decided in one place above, and said in the configuration.
urllib3.disable_warnings()
