"""Where a registry is reached, and how: mirrors, plain HTTP, certificates.

Read are the files that podman and Docker read, so that a machine set up for one of them is set up for us:

    $CONTAINERS_REGISTRIES_CONF, ~/.config/containers/registries.conf, /etc/containers/registries.conf (+ .d)
        [[registry]] prefix, location, insecure, blocked, mirror-by-digest-only, and [[registry.mirror]] location,
        insecure, pull-from-mirror (containers-registries.conf(5))
    /etc/docker/daemon.json         registry-mirrors (for docker.io), insecure-registries
    /etc/docker/certs.d/HOST, /etc/containers/certs.d/HOST, ~/.config/containers/certs.d/HOST
        *.crt: authorities to trust; NAME.cert and NAME.key: who we are (containers-certs.d(5))
"""

import glob
import ipaddress
import json
import os
import tomllib
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from runtime.errors import InvalidError

DOCKER_HUB = "docker.io"
_HUB_HOST = "registry-1.docker.io"


# What `pull-from-mirror` may say: a mirror that lags behind is for digests only.
ALL, DIGESTS, TAGS = "all", "digest-only", "tag-only"


class Endpoint(NamedTuple):
    """One server to ask. `repository` may differ from the image's where a mirror keeps it elsewhere.

    `insecure`: certificates are not checked, and plain HTTP is tried where there is no TLS.
    """

    host: str
    repository: str
    insecure: bool = False
    scheme: str = ""  # "" = https, and http where it is insecure
    mirror: bool = False
    serves: str = ALL  # what a mirror is asked for
    authorities: tuple[str, ...] = ()
    certificate: str = ""
    key: str = ""


def find_endpoints(registry: str, repository: str, environ: Mapping[str, str]) -> tuple[Endpoint, ...]:
    """Every server to try for a repository, in order; the registry itself is the last. Raises InvalidError."""
    entry = _find_entry(f"{registry}/{repository}", environ)
    docker = _read_daemon_json()
    insecure = _is_insecure(registry, docker)
    found: list[Endpoint] = []
    if entry is not None:
        if entry.get("blocked"):
            raise InvalidError(f"registry {registry} is blocked by registries.conf")
        prefix = str(entry.get("prefix") or entry.get("location") or "")
        rest = f"{registry}/{repository}".removeprefix(prefix) if not prefix.startswith("*.") else ""
        for mirror in entry.get("mirror") or ():
            location = str(mirror.get("location", "")) + rest
            made = _endpoint(location, bool(mirror.get("insecure")), docker, mirror=True)
            found.append(made._replace(serves=_served(entry, mirror)))
        insecure = insecure or bool(entry.get("insecure"))
        if entry.get("location") and not prefix.startswith("*."):
            return (*found, _endpoint(str(entry["location"]) + rest, insecure, docker))
    elif registry == DOCKER_HUB:
        for url in docker.get("registry-mirrors") or ():
            scheme, _, host = str(url).rstrip("/").rpartition("://")
            made = _endpoint(f"{host}/{repository}", _is_insecure(host, docker), docker, mirror=True)
            found.append(made._replace(scheme=scheme))
    return (*found, _endpoint(f"{registry}/{repository}", insecure, docker))


def _served(entry: Mapping[str, Any], mirror: Mapping[str, Any]) -> str:
    """Raises InvalidError."""
    default = DIGESTS if entry.get("mirror-by-digest-only") else ALL
    found = str(mirror.get("pull-from-mirror") or default)
    if found not in (ALL, DIGESTS, TAGS):
        raise InvalidError(f"registries.conf: pull-from-mirror = {found!r} is not {ALL}, {DIGESTS} or {TAGS}")
    return found


def _endpoint(location: str, insecure: bool, docker: Mapping[str, Any], *, mirror: bool = False) -> Endpoint:
    host, _, repository = location.partition("/")
    insecure = insecure or _is_insecure(host, docker)
    authorities, certificate, key = _certificates(host)
    return Endpoint(
        _HUB_HOST if host == DOCKER_HUB else host,
        repository,
        insecure,
        mirror=mirror,
        authorities=authorities,
        certificate=certificate,
        key=key,
    )


def _is_insecure(host: str, docker: Mapping[str, Any]) -> bool:
    """As Docker has it: what is on this machine itself, and what the machine's owner named."""
    name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
    name = name.strip("[]")
    if name == "localhost":
        return True
    try:
        address = ipaddress.ip_address(name)
    except ValueError:
        address = None
    if address is not None and address.is_loopback:
        return True
    for item in docker.get("insecure-registries") or ():
        if item in (host, name):
            return True
        try:
            if address is not None and address in ipaddress.ip_network(str(item), strict=False):
                return True
        except (ValueError, TypeError):
            continue
    return False


def _read_daemon_json() -> dict[str, Any]:
    try:
        with open("/etc/docker/daemon.json", "rb") as file:
            document = json.load(file)
    except (OSError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def _find_entry(name: str, environ: Mapping[str, str]) -> Mapping[str, Any] | None:
    """The [[registry]] with the longest matching prefix."""
    best: tuple[int, Mapping[str, Any]] | None = None
    for entry in _entries(environ):
        prefix = str(entry.get("prefix") or entry.get("location") or "")
        if _matches(name, prefix) and (best is None or len(prefix) > best[0]):
            best = (len(prefix), entry)
    return best[1] if best else None


def _matches(name: str, prefix: str) -> bool:
    if prefix.startswith("*."):
        return name.partition("/")[0].endswith(prefix[1:])
    return bool(prefix) and (name == prefix or (name.startswith(prefix) and name[len(prefix)] in "/:@"))


def _entries(environ: Mapping[str, str]) -> Iterable[Mapping[str, Any]]:
    for path in _configuration_files(environ):
        try:
            with open(path, "rb") as file:
                document = tomllib.load(file)
        except FileNotFoundError:
            continue
        except (OSError, tomllib.TOMLDecodeError) as error:
            raise InvalidError(f"{path} can't be read: {error}") from error
        for entry in document.get("registry") or ():
            if isinstance(entry, Mapping):
                yield entry


def _configuration_files(environ: Mapping[str, str]) -> list[str]:
    given = environ.get("CONTAINERS_REGISTRIES_CONF")
    if given:
        return [given]
    home = environ.get("XDG_CONFIG_HOME") or f"{environ.get('HOME', '')}/.config"
    own = f"{home}/containers/registries.conf"
    if os.path.exists(own):
        return [own, *sorted(glob.glob(f"{own}.d/*.conf"))]
    system = "/etc/containers/registries.conf"
    return [system, *sorted(glob.glob(f"{system}.d/*.conf"))]


def _certificates(host: str) -> tuple[tuple[str, ...], str, str]:
    """(authorities, client certificate, its key) of a server."""
    home = os.environ.get("XDG_CONFIG_HOME") or f"{os.environ.get('HOME', '')}/.config"
    authorities: list[str] = []
    certificate = key = ""
    for base in (f"{home}/containers/certs.d", "/etc/containers/certs.d", "/etc/docker/certs.d"):
        authorities += sorted(glob.glob(f"{glob.escape(f'{base}/{host}')}/*.crt"))
        for path in sorted(glob.glob(f"{glob.escape(f'{base}/{host}')}/*.cert")):
            if not certificate and os.path.exists(f"{path.removesuffix('.cert')}.key"):
                certificate, key = path, f"{path.removesuffix('.cert')}.key"
    return tuple(authorities), certificate, key
