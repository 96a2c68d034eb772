"""A terminal of the container itself: opened from its own /dev/pts, its master handed to the parent."""

import fcntl
import os
import struct

from runtime.container.child import Child
from runtime.container.setup import SetupStep
from runtime.linux import constants as k
from runtime.linux import syscalls

_TIOCGPTN = 0x80045430
_TIOCSWINSZ = 0x5414


def open_console(child: Child, step: SetupStep) -> None:
    """Make a terminal, bind it to `step.target` if given, and put it on descriptors 0, 1 and 2.

    The master stays in `child.console`, to be sent to the parent. Raises OSError (pty(7), tty_ioctl(4)).
    """
    uid, (rows, columns) = step.value
    master = os.open("/dev/pts/ptmx", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    fcntl.ioctl(master, k.TIOCSPTLCK, struct.pack("i", 0))
    # By the master and not by name: nobody in the container can put another terminal there meanwhile.
    terminal = fcntl.ioctl(master, k.TIOCGPTPEER, os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    os.fchown(terminal, uid, -1)
    os.fchmod(terminal, 0o620)
    if rows and columns:
        fcntl.ioctl(terminal, _TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    if step.target:
        number = struct.unpack("I", fcntl.ioctl(master, _TIOCGPTN, bytes(4)))[0]
        os.close(os.open(step.target, os.O_CREAT | os.O_WRONLY | os.O_NOCTTY | os.O_CLOEXEC, 0o600))
        tree = syscalls.open_tree(k.AT_FDCWD, f"/dev/pts/{number}", k.OPEN_TREE_CLONE)
        try:
            syscalls.move_mount(tree, "", k.AT_FDCWD, step.target, k.MOVE_MOUNT_F_EMPTY_PATH)
        finally:
            os.close(tree)
    for number in (0, 1, 2):
        os.dup2(terminal, number)
    os.close(terminal)
    child.console = master
