"""Mounting with logic: option words to flags, binds through the new mount API, targets inside a root.

The bare calls are in `syscalls`. Targets are opened beneath a root by `paths` and used through descriptors.
"""

import os
from typing import NamedTuple

from runtime.linux import constants as k
from runtime.linux import syscalls

# mount(8) words: (bits to set, bits to clear) of mount(2).
_FLAG_WORDS: dict[str, tuple[int, int]] = {
    "defaults": (0, 0),
    "ro": (k.MS_RDONLY, 0),
    "rw": (0, k.MS_RDONLY),
    "nosuid": (k.MS_NOSUID, 0),
    "suid": (0, k.MS_NOSUID),
    "nodev": (k.MS_NODEV, 0),
    "dev": (0, k.MS_NODEV),
    "noexec": (k.MS_NOEXEC, 0),
    "exec": (0, k.MS_NOEXEC),
    "sync": (k.MS_SYNCHRONOUS, 0),
    "async": (0, k.MS_SYNCHRONOUS),
    "dirsync": (k.MS_DIRSYNC, 0),
    "mand": (k.MS_MANDLOCK, 0),
    "nomand": (0, k.MS_MANDLOCK),
    "remount": (k.MS_REMOUNT, 0),
    "noatime": (k.MS_NOATIME, 0),
    "atime": (0, k.MS_NOATIME),
    "nodiratime": (k.MS_NODIRATIME, 0),
    "diratime": (0, k.MS_NODIRATIME),
    "relatime": (k.MS_RELATIME, 0),
    "norelatime": (0, k.MS_RELATIME),
    "strictatime": (k.MS_STRICTATIME, 0),
    "nostrictatime": (0, k.MS_STRICTATIME),
    "lazytime": (k.MS_LAZYTIME, 0),
    "nolazytime": (0, k.MS_LAZYTIME),
    "nosymfollow": (k.MS_NOSYMFOLLOW, 0),
    "symfollow": (0, k.MS_NOSYMFOLLOW),
    "silent": (k.MS_SILENT, 0),
    "loud": (0, k.MS_SILENT),
    "bind": (k.MS_BIND, 0),
    "rbind": (k.MS_BIND | k.MS_REC, 0),
}

_PROPAGATION_WORDS: dict[str, int] = {
    "private": k.MS_PRIVATE,
    "rprivate": k.MS_PRIVATE | k.MS_REC,
    "slave": k.MS_SLAVE,
    "rslave": k.MS_SLAVE | k.MS_REC,
    "shared": k.MS_SHARED,
    "rshared": k.MS_SHARED | k.MS_REC,
    "unbindable": k.MS_UNBINDABLE,
    "runbindable": k.MS_UNBINDABLE | k.MS_REC,
}

# Words that hold for a whole tree (config.md: Linux mount options), as mount_setattr(2) bits to set and to clear.
_RECURSIVE_WORDS: dict[str, tuple[int, int]] = {
    "rro": (k.MOUNT_ATTR_RDONLY, 0),
    "rrw": (0, k.MOUNT_ATTR_RDONLY),
    "rnosuid": (k.MOUNT_ATTR_NOSUID, 0),
    "rsuid": (0, k.MOUNT_ATTR_NOSUID),
    "rnodev": (k.MOUNT_ATTR_NODEV, 0),
    "rdev": (0, k.MOUNT_ATTR_NODEV),
    "rnoexec": (k.MOUNT_ATTR_NOEXEC, 0),
    "rexec": (0, k.MOUNT_ATTR_NOEXEC),
    "rnodiratime": (k.MOUNT_ATTR_NODIRATIME, 0),
    "rdiratime": (0, k.MOUNT_ATTR_NODIRATIME),
    "rrelatime": (k.MOUNT_ATTR_RELATIME, k.MOUNT_ATTR__ATIME),
    "rnorelatime": (0, k.MOUNT_ATTR__ATIME),
    "rnoatime": (k.MOUNT_ATTR_NOATIME, k.MOUNT_ATTR__ATIME),
    "ratime": (0, k.MOUNT_ATTR__ATIME),
    "rstrictatime": (k.MOUNT_ATTR_STRICTATIME, k.MOUNT_ATTR__ATIME),
    "rnostrictatime": (0, k.MOUNT_ATTR__ATIME),
    "rnosymfollow": (k.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "rsymfollow": (0, k.MOUNT_ATTR_NOSYMFOLLOW),
}

# Words that ask the runtime, not the kernel, for something.
EXTENSION_WORDS = frozenset(("tmpcopyup", "idmap", "ridmap", "copy-symlink", "src-nofollow", "dest-nofollow"))

_MS_TO_ATTR = (
    (k.MS_RDONLY, k.MOUNT_ATTR_RDONLY),
    (k.MS_NOSUID, k.MOUNT_ATTR_NOSUID),
    (k.MS_NODEV, k.MOUNT_ATTR_NODEV),
    (k.MS_NOEXEC, k.MOUNT_ATTR_NOEXEC),
    (k.MS_NODIRATIME, k.MOUNT_ATTR_NODIRATIME),
    (k.MS_NOSYMFOLLOW, k.MOUNT_ATTR_NOSYMFOLLOW),
)


class MountOptions(NamedTuple):
    """Option words taken apart. `flags` and `propagation` are MS_* bits, `tree_*` MOUNT_ATTR_* bits."""

    flags: int = 0
    cleared: int = 0
    propagation: int = 0
    tree_set: int = 0
    tree_clear: int = 0
    data: str = ""
    extensions: frozenset[str] = frozenset()


def option_words() -> tuple[str, ...]:
    """Every word `parse_options` knows, for `features`."""
    known = {*_FLAG_WORDS, *_PROPAGATION_WORDS, *_RECURSIVE_WORDS, *EXTENSION_WORDS}
    return tuple(sorted(known - {"silent", "loud"}))


def parse_options(words: list[str] | tuple[str, ...]) -> MountOptions:
    """mount(8) option words; what is no flag goes to `data`, as the file system's own option. Later words win."""
    flags = cleared = propagation = tree_set = tree_clear = 0
    data: list[str] = []
    extensions: frozenset[str] = frozenset()
    for word in words:
        if word in _FLAG_WORDS:
            bits, off = _FLAG_WORDS[word]
            flags = flags & ~off | bits
            cleared = cleared & ~bits | off
        elif word in _PROPAGATION_WORDS:
            propagation = _PROPAGATION_WORDS[word]
        elif word in _RECURSIVE_WORDS:
            bits, off = _RECURSIVE_WORDS[word]
            tree_set = tree_set & ~off | bits
            # The whole field of access times is cleared when one of its values is set.
            tree_clear = tree_clear & ~(bits & ~off) | off
        elif word in EXTENSION_WORDS:
            extensions |= {word}
        else:
            data.append(word)
    return MountOptions(flags, cleared, propagation, tree_set, tree_clear, ",".join(data), extensions)


def attributes(flags: int) -> int:
    """MS_* bits as MOUNT_ATTR_* bits; those that mount_setattr(2) does not know are dropped."""
    result = 0
    for ms, attr in _MS_TO_ATTR:
        if flags & ms:
            result |= attr
    if flags & k.MS_NOATIME:
        result |= k.MOUNT_ATTR_NOATIME
    elif flags & k.MS_STRICTATIME:
        result |= k.MOUNT_ATTR_STRICTATIME
    return result


def bind(source: str, target_fd: int, options: MountOptions) -> None:
    """Bind `source` onto the opened target with its flags, visible only when complete (open_tree(2)).

    Raises OSError naming the call's path. The tree is private unless `options.propagation` says otherwise.
    """
    recursive = k.AT_RECURSIVE if options.flags & k.MS_REC else 0
    tree = syscalls.open_tree(k.AT_FDCWD, source, k.OPEN_TREE_CLONE | recursive)
    try:
        place_tree(tree, target_fd, options)
    finally:
        os.close(tree)


def place_tree(tree: int, target_fd: int, options: MountOptions) -> None:
    """Give a detached tree its attributes and attach it to the opened target."""
    wanted = attributes(options.flags)
    clear = attributes(options.cleared) & ~wanted
    if wanted & k.MOUNT_ATTR__ATIME:
        clear |= k.MOUNT_ATTR__ATIME  # the kernel wants the whole field cleared when one of its values is set
    if wanted or clear:
        syscalls.mount_setattr(tree, "", k.AT_EMPTY_PATH, attr_set=wanted, attr_clr=clear)
    propagation = options.propagation or k.MS_PRIVATE | k.MS_REC
    reach = k.AT_RECURSIVE if propagation & k.MS_REC else 0
    if options.tree_set or options.tree_clear:
        syscalls.mount_setattr(
            tree, "", k.AT_EMPTY_PATH | k.AT_RECURSIVE, attr_set=options.tree_set, attr_clr=options.tree_clear
        )
    syscalls.mount_setattr(tree, "", k.AT_EMPTY_PATH | reach, propagation=propagation & ~k.MS_REC)
    syscalls.move_mount(tree, "", target_fd, "", k.MOVE_MOUNT_F_EMPTY_PATH | k.MOVE_MOUNT_T_EMPTY_PATH)


def make_read_only(path: str) -> None:
    """Bind `path` onto itself read-only, whatever it is; submounts come along read-only too."""
    tree = syscalls.open_tree(k.AT_FDCWD, path, k.OPEN_TREE_CLONE | k.AT_RECURSIVE)
    try:
        syscalls.mount_setattr(tree, "", k.AT_EMPTY_PATH | k.AT_RECURSIVE, attr_set=k.MOUNT_ATTR_RDONLY)
        syscalls.move_mount(tree, "", k.AT_FDCWD, path, k.MOVE_MOUNT_F_EMPTY_PATH)
    finally:
        os.close(tree)
