"""How a registry wants to be told who asks: Basic, or a token from its token server.

distribution's docs/spec/auth/token.md and oauth.md; RFC 9110 11.6.1 for the challenge.
"""

import base64
import re
import time
from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from runtime.errors import EngineError, ImageError
from runtime.image.manifest import parse_json
from runtime.image.registry.credentials import Credentials
from runtime.image.registry.transport import Transport

_PARAMETER = re.compile(r'([A-Za-z_]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s,"]+))')
_CLIENT = "pycompose"
# The specification's default, and what is left for clocks that differ.
_TOKEN_LIFE_S, _MARGIN_S = 60.0, 10.0


class AccessDenied(EngineError):
    """The registry does not let these credentials do this."""


class Challenge(NamedTuple):
    """One WWW-Authenticate header."""

    scheme: str  # "bearer" or "basic"
    parameters: Mapping[str, str]


def parse_challenge(header: str) -> Challenge | None:
    """The first challenge of a header we can answer; Bearer before Basic."""
    found: dict[str, Challenge] = {}
    for part in re.split(r",\s*(?=(?:bearer|basic)\b)", header, flags=re.IGNORECASE):
        scheme, _, rest = part.strip().partition(" ")
        parameters = {
            match[1].lower(): re.sub(r"\\(.)", r"\1", match[2]) if match[2] is not None else match[3]
            for match in _PARAMETER.finditer(rest)
        }
        found.setdefault(scheme.lower(), Challenge(scheme.lower(), parameters))
    return found.get("bearer") or found.get("basic")


class Authenticator:
    """The Authorization header for one server; asks for tokens when it is challenged and keeps them."""

    def __init__(self, transport: Transport, credentials: Credentials | None) -> None:
        self._transport = transport
        self._credentials = credentials
        self._challenge: Challenge | None = None
        self._tokens: dict[str, tuple[str, float]] = {}

    def header(self, scopes: tuple[str, ...]) -> str:
        """What to send; "" before the first challenge. Raises AccessDenied, EngineError."""
        challenge = self._challenge
        if challenge is None:
            return ""
        if challenge.scheme == "basic":
            return self._basic()
        key = " ".join(scopes)
        token, expires = self._tokens.get(key, ("", 0.0))
        if not token or time.monotonic() > expires:
            token, life = self._fetch(challenge, scopes)
            self._tokens[key] = (token, time.monotonic() + life)
        return f"Bearer {token}"

    def challenged(self, header: str) -> bool:
        """Take note of a challenge; whether answering it may help."""
        challenge = parse_challenge(header)
        if challenge is None or (challenge.scheme == "basic" and self._credentials is None):
            return False
        self._challenge = challenge
        self._tokens.clear()
        return True

    def _basic(self) -> str:
        known = self._credentials or Credentials()
        return "Basic " + base64.b64encode(f"{known.username}:{known.password}".encode()).decode()

    def _fetch(self, challenge: Challenge, scopes: tuple[str, ...]) -> tuple[str, float]:
        realm = challenge.parameters.get("realm", "")
        if not realm.startswith(("http://", "https://")):
            raise ImageError(f"the registry names no token server: {realm!r}")
        query = [("scope", scope) for scope in scopes]
        if challenge.parameters.get("service"):
            query.insert(0, ("service", challenge.parameters["service"]))
        if self._credentials is not None and self._credentials.identity_token:
            form = [("grant_type", "refresh_token"), ("client_id", _CLIENT),
                    ("refresh_token", self._credentials.identity_token)]  # fmt: skip
            query = [("scope", " ".join(scopes)), *(item for item in query if item[0] != "scope")]
            response = self._transport.request(
                "POST",
                realm,
                headers={"Content-Type": "application/x-www-form-urlencoded"},
                body=urlencode([*form, *query]),
            )
        else:
            headers = {"Authorization": self._basic()} if self._credentials is not None else {}
            separator = "&" if "?" in realm else "?"
            response = self._transport.request(
                "GET", f"{realm}{separator}{urlencode(query)}", headers=headers
            )
        if response.status in (400, 401, 403):
            raise AccessDenied(
                "the token server refuses the user name or the password",
                hint="log in again with `pycompose login`",
            )
        if response.status != 200:
            raise EngineError(f"the token server {realm} answered {response.status}")
        answer = parse_json(response.data, "the token server's answer")
        token = str(answer.get("token") or answer.get("access_token") or "")
        if not token:
            raise ImageError(f"the token server {realm} gave no token")
        life = answer.get("expires_in")
        seconds = float(life) if isinstance(life, int | float) else _TOKEN_LIFE_S
        return token, max(seconds - _MARGIN_S, 1.0)
