"""Users and groups of a container, by the passwd and group files of its own root filesystem.

The files are opened beneath the root by openat2; the host's are never read. Parsing is pure.
"""

import os
from collections.abc import Sequence
from typing import NamedTuple

from runtime.errors import InvalidError, NotFoundError
from runtime.linux import paths
from runtime.oci.user import ResolvedUser

_MAX_ID = (1 << 32) - 2
_MAX_FILE_BYTES = 4 << 20


class _Account(NamedTuple):
    name: str
    uid: int
    gid: int
    home: str


class _Group(NamedTuple):
    name: str
    gid: int
    members: tuple[str, ...]


def resolve_user(root: str, user: str, group_add: Sequence[str] = ()) -> ResolvedUser:
    """Resolve "name|uid[:group|gid]" inside the root filesystem mounted at `root`; "" is root.

    A number needs no entry in passwd. Raises NotFoundError for a name that is in neither file, InvalidError for an
    impossible number, OSError if a file is there and cannot be read.
    """
    root_fd = paths.open_root(root)
    try:
        accounts = parse_passwd(_load(root_fd, "etc/passwd"))
        groups = parse_group(_load(root_fd, "etc/group"))
    finally:
        os.close(root_fd)
    return plan_user(accounts, groups, user, group_add)


def plan_user(
    accounts: Sequence[_Account], groups: Sequence[_Group], user: str, group_add: Sequence[str] = ()
) -> ResolvedUser:
    """The same with both files parsed; Docker's rules. Pure."""
    wanted, colon, wanted_group = user.partition(":")
    wanted = wanted or "0"
    account = _find_account(accounts, wanted)
    if colon and wanted_group:
        gid, memberships = _find_gid(groups, wanted_group), []
    else:
        gid = account.gid
        memberships = [g.gid for g in groups if account.name and account.name in g.members]
    additional = [gid, *memberships, *(_find_gid(groups, name) for name in group_add)]
    return ResolvedUser(account.uid, gid, tuple(dict.fromkeys(additional)), account.home or "/", account.name)


def _find_account(accounts: Sequence[_Account], wanted: str) -> _Account:
    for account in accounts:
        if account.name == wanted:
            return account
    if not wanted.isdigit():
        raise NotFoundError(
            f"no user {wanted!r} in the container's /etc/passwd",
            hint="use a number, or a name that the image knows",
        )
    uid = _number(wanted, "user")
    for account in accounts:
        if account.uid == uid:
            return account
    return _Account("root" if uid == 0 else "", uid, 0, "/root" if uid == 0 and not accounts else "/")


def _find_gid(groups: Sequence[_Group], wanted: str) -> int:
    for group in groups:
        if group.name == wanted:
            return group.gid
    if wanted.isdigit():
        return _number(wanted, "group")
    raise NotFoundError(
        f"no group {wanted!r} in the container's /etc/group",
        hint="use a number, or a name that the image knows",
    )


def _number(text: str, what: str) -> int:
    if int(text) > _MAX_ID:
        raise InvalidError(f"{what} id {text} is out of range", hint=f"0 to {_MAX_ID}")
    return int(text)


def _load(root_fd: int, path: str) -> str:
    try:
        return paths.read_in_root(root_fd, path, _MAX_FILE_BYTES).decode("utf-8", "surrogateescape")
    except (FileNotFoundError, NotADirectoryError):
        return ""


def parse_passwd(text: str) -> list[_Account]:
    """passwd(5); lines that are not well-formed are skipped, as getpwent(3) does."""
    accounts: list[_Account] = []
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) >= 6 and fields[0] and fields[2].isdigit() and fields[3].isdigit():
            accounts.append(_Account(fields[0], int(fields[2]), int(fields[3]), fields[5]))
    return accounts


def parse_group(text: str) -> list[_Group]:
    """group(5); lines that are not well-formed are skipped."""
    groups: list[_Group] = []
    for line in text.splitlines():
        fields = line.split(":")
        if len(fields) >= 3 and fields[0] and fields[2].isdigit():
            members = tuple(name for name in fields[3].split(",") if name) if len(fields) > 3 else ()
            groups.append(_Group(fields[0], int(fields[2]), members))
    return groups
