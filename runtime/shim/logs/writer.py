"""Where a container's output is kept: the engine's own format, and nowhere. drivers.py has the others."""

import time
from typing import Protocol

from runtime.shim.logs.files import LogFile
from runtime.shim.logs.record import pack_header, plan_record


class Writer(Protocol):
    """What the shim does with output. None of it ever blocks."""

    def write(self, stream: int, data: bytes) -> None: ...

    def finish_run(self) -> None: ...

    def close(self) -> None: ...


class LogWriter:
    """The engine's own format (record.py): the default, the driver `local`, and what `logs` reads of daemons' logs."""

    __slots__ = ("_file",)

    def __init__(self, file: LogFile) -> None:
        self._file = file

    def write(self, stream: int, data: bytes) -> None:
        now_ns = time.time_ns()
        while data:
            taken, padding = plan_record(self._file.position(), len(data))
            self._file.append(pack_header(now_ns, stream, taken, padding), data[:taken], bytes(padding))
            data = data[taken:]

    def finish_run(self) -> None:
        pass

    def close(self) -> None:
        self._file.close()


class NoWriter:
    """The driver `none`."""

    __slots__ = ()

    def write(self, stream: int, data: bytes) -> None:
        pass

    def finish_run(self) -> None:
        pass

    def close(self) -> None:
        pass
