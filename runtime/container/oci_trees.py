"""Source trees of mounts that are opened before a container's child is born, with the privileges of the host.

A user namespace may not reach its sources, nobody inside one can make an idmapped mount or a device node.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING

from runtime.container.oci_setup import is_idmapped, prepared_mounts
from runtime.errors import StartError
from runtime.linux import constants as k
from runtime.linux import mounts, syscalls

if TYPE_CHECKING:
    from runtime.container.setup import SetupStep
    from runtime.oci.spec import Mount, Spec


def open_trees(
    spec: Spec, steps: Sequence[SetupStep], user_namespace: int, device_folder: str
) -> tuple[int, ...]:
    """Detached trees of mounts, then those of device nodes made in `device_folder`, as the steps number them.

    `user_namespace` is the one to be joined, or -1. Raises StartError.
    """
    trees: list[int] = []
    source = ""
    try:
        for number in prepared_mounts(spec):
            mount = spec["mounts"][number]
            source = mount["source"]
            options = mounts.parse_options(mount.get("options", []))
            flags = k.OPEN_TREE_CLONE | (k.AT_RECURSIVE if options.flags & k.MS_REC else 0)
            flags |= k.AT_SYMLINK_NOFOLLOW if "src-nofollow" in options.extensions else 0
            trees.append(syscalls.open_tree(k.AT_FDCWD, source, flags))
            if is_idmapped(mount):
                recursive = k.AT_RECURSIVE if "ridmap" in options.extensions else 0
                _map_owners(spec, mount, trees[-1], user_namespace, recursive)
        devices = [step.value[0] for step in steps if step.op == "bind device"]
        if devices:
            from runtime.container.user_namespace import make_device_trees

            linux = spec["linux"]
            uids, gids = linux.get("uidMappings", []), linux.get("gidMappings", [])
            trees += make_device_trees(device_folder, devices, uids, gids)
    except OSError as error:
        for fd in trees:
            os.close(fd)
        raise StartError(
            f"could not prepare the mount of {error.filename or source}: {error.strerror}",
            step="prepare mounts",
            errno=error.errno or 0,
        ) from None
    return tuple(trees)


def _map_owners(spec: Spec, mount: Mount, tree: int, user_namespace: int, recursive: int) -> None:
    from runtime.container.user_namespace import open_mapped

    linux = spec["linux"]
    if mount.get("uidMappings"):
        namespace = open_mapped(mount["uidMappings"], mount["gidMappings"])
    elif linux.get("uidMappings"):
        namespace = open_mapped(linux["uidMappings"], linux.get("gidMappings", []))
    elif user_namespace >= 0:
        namespace = os.dup(user_namespace)
    else:
        where = mount["destination"]
        raise OSError(errno.EINVAL, "idmap without mappings and without a user namespace", where)
    try:
        flags = k.AT_EMPTY_PATH | recursive
        syscalls.mount_setattr(tree, "", flags, attr_set=k.MOUNT_ATTR_IDMAP, userns_fd=namespace)
    except OSError as error:
        raise OSError(error.errno, f"idmap: {error.strerror}", mount["source"]) from None
    finally:
        os.close(namespace)
