"""A client at a container's standard streams: attached to its start, or to a program that runs already."""

import errno
import os
import select
import signal
import socket
from collections.abc import Callable
from typing import TYPE_CHECKING

from runtime.errors import EngineError, StateError
from runtime.shim import control
from runtime.shim.stdio import Streams

if TYPE_CHECKING:
    from runtime.engine.containers import Container, Containers
    from runtime.engine.subscription import Subscription

_READ_BYTES = 1 << 16
# ctrl-p ctrl-q, as Docker has it.
DETACH_KEYS = b"\x10\x11"
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)


class Attachment:
    """Our ends of the streams: `stdin` is written to, `stdout` and `stderr` are read; -1 = not there.

    With a terminal `stdin` is the program's terminal, and `stderr` part of `stdout`.
    """

    __slots__ = ("_interactive", "_theirs", "stderr", "stdin", "stdout", "tty")

    def __init__(self, *, tty: bool, interactive: bool = True) -> None:
        """`interactive`: a program started with it gets its input from here, and the input's end."""
        self._interactive = interactive
        self.tty = tty
        self.stdin = -1
        self.stderr = -1
        self.stdout, stdout = _pair()
        self._theirs = Streams(stdout=stdout)
        if not tty:
            self.stderr, stderr = _pair()
            self._theirs = self._theirs._replace(stderr=stderr)

    def for_start(self) -> Streams:
        """The shim's ends for `Containers.begin_starts`; `started` is to be called after it."""
        if self._interactive and not self.tty:
            reader, self.stdin = os.pipe2(os.O_CLOEXEC)
            self._theirs = self._theirs._replace(stdin=reader)
        return self._theirs

    def started(self) -> None:
        """The shim has its ends, or never will: let go of our copies."""
        for descriptor in self._theirs:
            if descriptor >= 0:
                os.close(descriptor)
        self._theirs = Streams()

    def close(self) -> None:
        self.started()
        for name in ("stdin", "stdout", "stderr"):
            self.close_stream(name)

    def close_stream(self, name: str) -> None:
        """Close "stdin", "stdout" or "stderr" if it is open."""
        descriptor = getattr(self, name)
        if descriptor >= 0:
            setattr(self, name, -1)
            os.close(descriptor)


def _pair() -> tuple[int, int]:
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    return ours.detach(), theirs.detach()


def attach(containers: "Containers", container: "Container", *, stdin: bool) -> Attachment:
    """Attach to a running container. Raises StateError."""
    attachment = Attachment(tty=container.spec.tty, interactive=False)
    connection = control.connect(containers.live_directory(container.id))
    answer = None
    descriptors: list[int] = []
    if connection is not None:
        with connection:
            streams = attachment.for_start()
            given = [descriptor for descriptor in streams if descriptor >= 0]
            try:
                control.send(connection, {"op": "attach"}, given)
                answer, descriptors = control.receive_with_descriptors(connection)
            except BrokenPipeError:
                pass  # it has just ended
    attachment.started()
    if answer is None or "error" in answer:
        attachment.close()
        raise StateError(
            str(answer["error"]) if answer is not None else f"container {container.name} is not running"
        )
    for descriptor in descriptors:
        if attachment.tty or stdin:
            attachment.stdin = descriptor
        else:
            os.close(descriptor)
    return attachment


class Session:
    """Copies between this process's standard streams and an attached container's until that ends or the user leaves.

    `detach_keys` are the bytes that leave it, with a terminal. Signals are passed on if `proxy_signals`.
    """

    def __init__(
        self,
        containers: "Containers",
        container: "Container",
        attachment: Attachment,
        *,
        interactive: bool = True,
        detach_keys: bytes = DETACH_KEYS,
        proxy_signals: bool = True,
        on_impatience: Callable[[], None] | None = None,
    ) -> None:
        """`on_impatience` is called for the third interrupt, instead of passing it on."""
        self._containers = containers
        self._container = container
        self._attachment = attachment
        self._interactive = interactive
        self._keys = detach_keys
        self._matched = 0
        self._proxy_signals = proxy_signals
        self._on_impatience = on_impatience
        self._interrupts = 0
        self._pending = b""
        self._poll = select.poll()
        self._outputs: dict[int, tuple[str, int]] = {}
        self._detached = False

    def run(self) -> int | None:
        """To the end of the program: its exit code, or None if the user has detached. Closes the attachment."""
        news = self._containers.subscribe(self._container.id)
        usual = {}
        if self._proxy_signals:
            usual = {number: signal.signal(number, self._on_signal) for number in _FORWARDED}
        try:
            if self._attachment.tty and self._interactive and os.isatty(0):
                from runtime.engine.terminal_relay import raw_terminal

                with raw_terminal(0, self._attachment.stdin):
                    self._copy()
            else:
                self._copy()
            if self._detached:
                return None
            return self._exit_code(news)
        finally:
            for number, handler in usual.items():
                signal.signal(number, handler)
            if news is not None:
                news.close()
            self._attachment.close()

    def _on_signal(self, number: int, _: object) -> None:
        self._interrupts += number in (signal.SIGINT, signal.SIGTERM)
        if self._interrupts >= 3 and self._on_impatience is not None:
            self._on_impatience()
            return
        try:
            self._containers.signal(self._container, number)
        except EngineError:
            pass  # it has just ended

    # ---- copying

    def _copy(self) -> None:
        attachment = self._attachment
        self._outputs = {attachment.stdout: ("stdout", 1)}
        if attachment.stderr >= 0:
            self._outputs[attachment.stderr] = ("stderr", 2)
        for descriptor in self._outputs:
            self._poll.register(descriptor, select.POLLIN)
        if self._interactive and attachment.stdin >= 0:
            os.set_blocking(attachment.stdin, False)
            self._poll.register(0, select.POLLIN)
        while self._outputs and not self._detached:
            for descriptor, _ in self._poll.poll():
                if descriptor in self._outputs:
                    self._read_output(descriptor)
                elif descriptor == 0:
                    self._read_input()
                elif descriptor == attachment.stdin:
                    self._write_input()

    def _read_output(self, descriptor: int) -> None:
        name, target = self._outputs[descriptor]
        try:
            data = os.read(descriptor, _READ_BYTES)
        except ConnectionResetError:
            data = b""
        if data:
            _write_all(target, data)
            return
        del self._outputs[descriptor]
        self._poll.unregister(descriptor)
        self._attachment.close_stream(name)

    def _read_input(self) -> None:
        self._poll.unregister(0)
        try:
            data = os.read(0, _READ_BYTES)
        except OSError as error:
            if error.errno not in (errno.EIO, errno.EBADF):
                raise
            data = b""
        if not data:
            if not self._attachment.tty:
                self._attachment.close_stream("stdin")
            return
        self._pending = self._without_detach_keys(data) if self._attachment.tty else data
        if not self._detached:
            self._write_input()

    def _write_input(self) -> None:
        """Pass on what was read; more is read once all of it is gone."""
        stdin = self._attachment.stdin
        try:
            if self._pending:
                self._pending = self._pending[os.write(stdin, self._pending) :]
        except BlockingIOError:
            pass
        except OSError:
            # The program has closed its input or ended: no more of ours is wanted.
            self._pending = b""
            self._forget(stdin)
            return
        if self._pending:
            self._poll.register(stdin, select.POLLOUT)
        else:
            self._forget(stdin)
            self._poll.register(0, select.POLLIN)

    def _forget(self, descriptor: int) -> None:
        try:
            self._poll.unregister(descriptor)
        except KeyError:
            pass

    def _without_detach_keys(self, data: bytes) -> bytes:
        """What of the typed bytes goes to the program. Keys of an unfinished sequence are held back."""
        passed = bytearray()
        for byte in data:
            if not self._keys:
                passed.append(byte)
            elif byte == self._keys[self._matched]:
                self._matched += 1
                if self._matched == len(self._keys):
                    self._detached = True
                    break
            else:
                passed += self._keys[: self._matched]
                self._matched = int(byte == self._keys[0])
                if not self._matched:
                    passed.append(byte)
        return bytes(passed)

    # ---- the end

    def _exit_code(self, news: "Subscription | None") -> int:
        """The exit code; where no restart policy may start the program again, once all of its container has ended."""
        restarts = self._container.spec.restart.name not in ("", "no")
        code = None
        while news is not None:
            message = news.receive()
            if message is None:
                break
            if "exit" in message:
                code = int(message["exit"])
                if restarts:
                    return code
        ended = self._containers.get(self._container.id).exit
        return ended.code if ended is not None else code or 0


def parse_detach_keys(text: str) -> bytes:
    """ "ctrl-p,ctrl-q" as bytes: letters, or ctrl- and a letter or one of @ [ \\ ] ^ _. Raises ValueError."""
    keys = bytearray()
    for word in text.split(","):
        if len(word) == 1 and word.isascii():
            keys += word.encode()
            continue
        letter = word[5:].lower()
        if (
            not word.lower().startswith("ctrl-")
            or len(letter) != 1
            or not ("a" <= letter <= "z" or letter in "@[\\]^_")
        ):
            raise ValueError(f"{word!r} is neither a character nor ctrl- and a letter")
        keys.append(ord(letter.upper()) & 0x1F)
    return bytes(keys)


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
