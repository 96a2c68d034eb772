"""What a container's `logging` asks for: driver and options as Docker names them, checked. Pure.

Sources: Docker's documentation of its logging drivers (json-file, local, syslog, journald, none).
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from runtime.errors import InvalidError
from runtime.oci.container_spec import LogRequest

OWN, JSON_FILE, LOCAL, NONE, SYSLOG, JOURNALD = "", "json-file", "local", "none", "syslog", "journald"
DRIVERS = (JSON_FILE, LOCAL, SYSLOG, JOURNALD, NONE)
RFC3164, RFC5424, RFC5424_MICRO = "rfc3164", "rfc5424", "rfc5424micro"

_NAMING = frozenset(("labels", "labels-regex", "env", "env-regex", "tag"))
_FILES = frozenset(("max-size", "max-file", "compress"))
_DELIVERY = frozenset(("mode", "max-buffer-size"))
_TLS = frozenset(
    ("syslog-tls-ca-cert", "syslog-tls-cert", "syslog-tls-key", "syslog-tls-skip-verify")
)  # files of the host
OPTIONS: Mapping[str, frozenset[str]] = {
    JSON_FILE: _FILES | _NAMING | _DELIVERY,
    LOCAL: _FILES | _DELIVERY,
    SYSLOG: _NAMING | _DELIVERY | _TLS | {"syslog-address", "syslog-facility", "syslog-format"},
    JOURNALD: _NAMING | _DELIVERY,
}
_FACILITIES = (
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp",
    "", "", "", "",
    "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
)  # fmt: skip
_UNITS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4, "p": 5}
_SIZE = re.compile(r"(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?")
_TAG = re.compile(r"{{\s*\.(\w*)\s*}}")
_MIB = 1 << 20


class Address(NamedTuple):
    """Where syslog messages go. `kind` is udp, tcp, tcp+tls, unix or unixgram; of the last two `host` is the path."""

    kind: str
    host: str
    port: int = 0


class Encryption(NamedTuple):
    """How a connection is encrypted: paths on the host, "" = the system's authorities and no certificate of our own."""

    authorities: str = ""
    certificate: str = ""
    key: str = ""
    verified: bool = True  # whether the server has to prove who it is


class LogPlan(NamedTuple):
    """A checked request. `max_bytes` 0 = never rotated, `tag` None = none given."""

    driver: str = OWN
    max_bytes: int = 0
    max_files: int = 1  # the one that is written included
    compress: bool = False
    labels: tuple[str, ...] = ()
    labels_regex: str = ""
    env: tuple[str, ...] = ()
    env_regex: str = ""
    tag: str | None = None
    address: Address = Address("unix", "/dev/log")
    encryption: Encryption = Encryption()
    facility: int = 3  # daemon
    format: str = RFC3164
    buffer_bytes: int = _MIB


def plan_logging(request: LogRequest) -> LogPlan:
    """What to do with output. Raises InvalidError for a driver or an option that is not known, with what is."""
    options = request.options
    driver = request.driver or (JSON_FILE if options else OWN)
    if driver == OWN:
        return LogPlan()
    if driver not in DRIVERS:
        raise InvalidError(f"there is no logging driver {driver!r}", hint=f"use one of {', '.join(DRIVERS)}")
    if driver == NONE:
        return LogPlan(
            driver=NONE
        )  # with any options, as Docker has it: there is nothing that they could change
    for name in options:
        if name not in OPTIONS[driver]:
            raise InvalidError(
                f"the logging driver {driver} has no option {name!r}",
                hint=f"it has {', '.join(sorted(OPTIONS[driver]))}",
            )
    if options.get("mode", "blocking") not in ("blocking", "non-blocking"):
        raise InvalidError(f"the logging mode {options['mode']!r} is neither blocking nor non-blocking")
    for name in ("labels-regex", "env-regex"):
        _check_pattern(name, options.get(name, ""))
    if "tag" in options:
        expand_tag(options["tag"], {})
    plan = LogPlan(
        driver=driver,
        labels=_words(options.get("labels", "")),
        labels_regex=options.get("labels-regex", ""),
        env=_words(options.get("env", "")),
        env_regex=options.get("env-regex", ""),
        tag=options.get("tag"),
        buffer_bytes=_size("max-buffer-size", options.get("max-buffer-size", "1m")),
    )
    if driver in (JSON_FILE, LOCAL):
        return _with_files(plan, options)
    plan = plan._replace(max_bytes=20 * _MIB, max_files=5, compress=True)
    return _with_syslog(plan, options) if driver == SYSLOG else plan


def _with_files(plan: LogPlan, options: Mapping[str, str]) -> LogPlan:
    local = plan.driver == LOCAL
    size = options.get("max-size", "20m" if local else "-1")
    max_bytes = 0 if size == "-1" else _size("max-size", size)
    text = options.get("max-file", "5" if local else "1")
    if not text.isdigit() or not int(text):
        raise InvalidError(f"the logging option max-file: {text!r} is not a number above 0")
    compress = _truth(options.get("compress", "true" if local else "false"))
    if (int(text) < 2 or not max_bytes) and compress:
        if "compress" in options:
            raise InvalidError("the logging option compress needs a max-size, and a max-file of 2 or more")
        compress = False
    if int(text) > 1 and not max_bytes and not local and "max-file" in options:
        # As Docker has it: what never grows too large is never rotated.
        return plan._replace(max_files=int(text))
    return plan._replace(max_bytes=max_bytes, max_files=int(text), compress=compress)


def _with_syslog(plan: LogPlan, options: Mapping[str, str]) -> LogPlan:
    form = options.get("syslog-format", "") or RFC3164
    if form not in (RFC3164, RFC5424, RFC5424_MICRO):
        raise InvalidError(f"the syslog-format {form!r} is not one of rfc3164, rfc5424, rfc5424micro")
    return plan._replace(
        format=form,
        facility=_facility(options.get("syslog-facility", "daemon")),
        address=_address(options.get("syslog-address", "")),
        encryption=Encryption(
            options.get("syslog-tls-ca-cert", ""),
            options.get("syslog-tls-cert", ""),
            options.get("syslog-tls-key", ""),
            # As Docker has it: whatever it says.
            not options.get("syslog-tls-skip-verify"),
        ),
    )


def _address(text: str) -> Address:
    if not text:
        return Address("unix", "/dev/log")
    kind, separator, rest = text.partition("://")
    if not separator or kind not in ("udp", "tcp", "tcp+tls", "unix", "unixgram"):
        raise InvalidError(
            f"the syslog-address {text!r} is not like udp://, tcp://, tcp+tls:// or unix://ADDRESS"
        )
    if kind in ("unix", "unixgram"):
        if not rest.startswith("/"):
            raise InvalidError(f"the syslog-address {text!r} has no absolute path")
        return Address(kind, rest)
    host, colon, port = rest.rpartition(":")
    if not colon or rest.endswith("]"):
        host, port = rest, "6514" if kind == "tcp+tls" else "514"
    if not port.isdigit() or not 0 < int(port) < 65536 or not host:
        raise InvalidError(f"the syslog-address {text!r} is not like {kind}://HOST:PORT")
    return Address(kind, host.strip("[]"), int(port))


def _facility(text: str) -> int:
    if text.isdigit() and int(text) < len(_FACILITIES):
        return int(text)
    if not text or text not in _FACILITIES:
        raise InvalidError(
            f"the syslog-facility {text!r} is not known", hint="daemon, user, local0 to local7, …"
        )
    return _FACILITIES.index(text)


def _size(name: str, text: str) -> int:
    found = _SIZE.fullmatch(text.lower())
    if found is None or not float(found[1]):
        raise InvalidError(
            f"the logging option {name}: {text!r} is not a size", hint="write it like 10m or 512k"
        )
    return int(float(found[1]) * 1024 ** _UNITS[found[2]])


def _truth(text: str) -> bool:
    if text.lower() not in ("true", "false", "1", "0"):
        raise InvalidError(f"the logging option compress: {text!r} is neither true nor false")
    return text.lower() in ("true", "1")


def _words(text: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in text.split(",") if word.strip())


def _check_pattern(name: str, text: str) -> None:
    try:
        re.compile(text)
    except re.error as error:
        raise InvalidError(f"the logging option {name}: {text!r} is not a pattern: {error}") from None


# ---- what a message carries

TAG_FIELDS = ("ID", "FullID", "Name", "ImageName", "ImageID", "ImageFullID", "DaemonName")


def expand_tag(text: str, values: Mapping[str, str]) -> str:
    """A tag with its {{.Name}} filled in. Raises InvalidError for a name that is not in TAG_FIELDS."""

    def fill(found: re.Match[str]) -> str:
        if found[1] not in TAG_FIELDS:
            raise InvalidError(
                f"the logging option tag: there is no {{{{.{found[1]}}}}}",
                hint=f"there is {', '.join(TAG_FIELDS)}",
            )
        return values.get(found[1], "")

    filled = _TAG.sub(fill, text)
    if "{{" in _TAG.sub("", text):
        raise InvalidError(
            f"the logging option tag: {text!r} is not understood", hint="write it like {{.Name}}"
        )
    return filled


def attributes(plan: LogPlan, labels: Mapping[str, str], variables: Mapping[str, str]) -> dict[str, str]:
    """What `labels`, `env` and their patterns choose, by name."""
    chosen = {name: labels[name] for name in plan.labels if name in labels}
    if plan.labels_regex:
        chosen |= {name: text for name, text in labels.items() if re.search(plan.labels_regex, name)}
    chosen |= {name: variables[name] for name in plan.env if name in variables}
    if plan.env_regex:
        chosen |= {name: text for name, text in variables.items() if re.search(plan.env_regex, name)}
    return chosen
