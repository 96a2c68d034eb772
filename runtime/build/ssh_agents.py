"""The agents that RUN --mount=type=ssh leads to: one of the user's, or one of our own that holds keys from files."""

import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from runtime.errors import EngineError, NotFoundError
from runtime.image.workers import die_with, end_child


def is_socket(path: str) -> bool:
    """Whether there is a socket; False if there is nothing."""
    try:
        return stat.S_ISSOCK(os.stat(path).st_mode)
    except OSError:
        return False


@contextmanager
def agent_of_keys(keys: Sequence[str], path: str) -> Iterator[None]:
    """OpenSSH's agent at the socket `path`, with private keys from files. Raises NotFoundError, EngineError."""
    if shutil.which("ssh-agent") is None:
        raise NotFoundError("ssh-agent is not installed", hint="keys need it: apt-get install openssh-client")
    # With a command, the agent ends when the command does; `cat` ends with us, however we end.
    agent = subprocess.Popen(
        ["ssh-agent", "-a", path, "sh", "-c", "echo $SSH_AGENT_PID; exec cat"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
    )  # fmt: skip
    assert agent.stdin is not None and agent.stdout is not None
    number = agent.stdout.readline().strip()
    try:
        if not number.isdigit():
            raise EngineError("ssh-agent did not start")
        for key in keys:
            answer = subprocess.run(
                ["ssh-add", "-q", key], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                env={**os.environ, "SSH_AUTH_SOCK": path, "SSH_ASKPASS_REQUIRE": "never", "LC_ALL": "C"},
            )  # fmt: skip
            if answer.returncode:
                raise EngineError(
                    f"the key {key} can't be used: {answer.stderr.strip()}",
                    hint="a key with a passphrase goes into an agent of yours: ssh-add KEY",
                )
        yield
    finally:
        if number.isdigit():
            os.kill(int(number), signal.SIGTERM)
        agent.stdin.close()
        agent.stdout.close()
        agent.wait()


@contextmanager
def relay(agent: str, path: str) -> Iterator[None]:
    """A socket of our own at `path` that leads to the agent's: its owner and mode are ours to choose."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        parent = os.getpid()
        pid = os.fork()
        if pid == 0:
            try:
                die_with(parent)
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                while True:
                    client, _ = listener.accept()
                    threading.Thread(target=_carry, args=(client, agent), daemon=True).start()
            finally:
                os._exit(0)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGTERM)
        end_child(pid)


def _carry(client: socket.socket, agent: str) -> None:
    """Bytes in both directions until one side ends."""
    with client, socket.socket(socket.AF_UNIX) as server:
        try:
            server.connect(agent)
            while True:
                for source in select.select([client, server], [], [])[0]:
                    data = source.recv(1 << 16)
                    if not data:
                        return
                    (server if source is client else client).sendall(data)
        except OSError:
            return
