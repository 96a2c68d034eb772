"""Limits of a directory tree's size: project quotas of ext4 and XFS (quotactl(2), ioctl_xfs_fsgetxattr(2))."""

import errno
import fcntl
import struct

from runtime.linux import syscalls

# linux/fs.h
_FS_IOC_FSGETXATTR = 0x801C581F
_FS_IOC_FSSETXATTR = 0x401C5820
_FSXATTR = struct.Struct("=5I8x")  # struct fsxattr: xflags, extsize, nextents, projid, cowextsize
_FS_XFLAG_PROJINHERIT = 0x200
# linux/quota.h, linux/dqblk_xfs.h: a command is (number << 8) | kind.
_PRJQUOTA = 2
_Q_GETQUOTA = 0x800007 << 8 | _PRJQUOTA
_Q_SETQUOTA = 0x800008 << 8 | _PRJQUOTA
_Q_XGETQSTATV = 0x5808 << 8 | _PRJQUOTA
_QIF_BLIMITS = 1
# struct if_dqblk: hard and soft limit (blocks of 1 KiB), bytes used, the same for inodes, two times, what is set
_DQBLK = struct.Struct("=8QI4x")
_BLOCK_BYTES = 1024
_STATV_BYTES = 160  # struct fs_quota_statv: begins with its version and, at 2, flags
_STATV_VERSION = 1
_PROJECT_LIMITS_ENFORCED = 1 << 5  # FS_QUOTA_PDQ_ENFD


def are_enforced(fd: int) -> bool:
    """Whether the file system of a descriptor holds projects to their limits. Raises OSError."""
    buffer = bytearray(_STATV_BYTES)
    buffer[0] = _STATV_VERSION
    try:
        syscalls.quotactl_fd(fd, _Q_XGETQSTATV, 0, buffer)
    except OSError as error:
        if error.errno in (errno.ENOSYS, errno.ESRCH, errno.EINVAL, errno.ENOTBLK, errno.EOPNOTSUPP):
            return False
        raise
    return bool(int.from_bytes(buffer[2:4], "little") & _PROJECT_LIMITS_ENFORCED)


def is_unused(fd: int, project: int) -> bool:
    """Whether a project has neither files nor a limit on the file system of a descriptor. Raises OSError."""
    buffer = bytearray(_DQBLK.size)
    try:
        syscalls.quotactl_fd(fd, _Q_GETQUOTA, project, buffer)
    except OSError as error:
        if error.errno == errno.ENOENT:  # XFS: nobody has ever heard of it
            return True
        raise
    hard, soft, used_bytes, inodes_hard, inodes_soft, inodes, *_ = _DQBLK.unpack(buffer)
    return not (hard or soft or used_bytes or inodes_hard or inodes_soft or inodes)


def set_limit(fd: int, project: int, size_bytes: int) -> None:
    """The most a project's files may take together, 0 = no limit. Raises OSError."""
    blocks = -(-size_bytes // _BLOCK_BYTES)
    buffer = bytearray(_DQBLK.pack(blocks, blocks, 0, 0, 0, 0, 0, 0, _QIF_BLIMITS))
    syscalls.quotactl_fd(fd, _Q_SETQUOTA, project, buffer)


def set_project(fd: int, project: int) -> None:
    """Make a directory part of a project, and all that will be made in it. Raises OSError."""
    flags, extent, extents, _, copy_extent = _attributes(fd)
    attributes = _FSXATTR.pack(flags | _FS_XFLAG_PROJINHERIT, extent, extents, project, copy_extent)
    fcntl.ioctl(fd, _FS_IOC_FSSETXATTR, attributes)


def project_of(fd: int) -> int:
    """The project a file belongs to, 0 = none. Raises OSError where the file system knows no projects."""
    return _attributes(fd)[3]


def _attributes(fd: int) -> tuple[int, ...]:
    return _FSXATTR.unpack(fcntl.ioctl(fd, _FS_IOC_FSGETXATTR, bytes(_FSXATTR.size)))
