"""Where errors and warnings go: standard error, and the file that an engine names with --log and reads."""

from __future__ import annotations

import os
import sys
import time


class Log:
    """One call's log. Nothing is opened before there is something to say."""

    __slots__ = ("_debug", "_json", "_path")

    def __init__(self, path: str = "", *, as_json: bool = False, debug: bool = False) -> None:
        self._path = path
        self._json = as_json
        self._debug = debug

    def error(self, message: str, hint: str = "") -> None:
        """What ends the call: one line. The hint is for people and stays out of the file."""
        if self._path:
            self._write("error", message)
        line = f"pycompose-oci: {message}" + (f" ({hint})" if hint else "")
        if not self._path or sys.stderr.isatty():
            print(line, file=sys.stderr)
        else:
            print(message, file=sys.stderr)

    def warning(self, message: str) -> None:
        """What the user should know although the call goes on."""
        if self._path:
            self._write("warning", message)
        else:
            print(f"pycompose-oci: warning: {message}", file=sys.stderr)

    def debug(self, message: str) -> None:
        """What --debug shows."""
        if self._debug:
            if self._path:
                self._write("debug", message)
            else:
                print(f"pycompose-oci: {message}", file=sys.stderr)

    def _write(self, level: str, message: str) -> None:
        now = time.time()
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now))
        if self._json:
            import json

            moment = f"{stamp}.{int(now % 1 * 1e9):09d}Z"
            line = json.dumps({"level": level, "msg": message, "time": moment})
        else:
            quoted = message.replace("\\", "\\\\").replace('"', '\\"')
            line = f'time="{stamp}Z" level={level} msg="{quoted}"'
        try:
            fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
        except OSError as error:
            print(f"pycompose-oci: cannot write the log {self._path}: {error.strerror}", file=sys.stderr)
            return
        try:
            os.write(fd, f"{line}\n".encode())
        finally:
            os.close(fd)
