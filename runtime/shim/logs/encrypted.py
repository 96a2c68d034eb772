"""Messages on their way to a syslog daemon by TLS (RFC 5425). Loaded only for a container whose log goes there."""

import socket
import ssl

from runtime.errors import StartError
from runtime.oci.logging import Address, Encryption
from runtime.shim.logs.remote import Outgoing
from runtime.shim.loop import READ, WRITE, Loop

_HANDSHAKE_NS = 10_000_000_000
_GOODBYE_S = 1.0


class EncryptedOutgoing(Outgoing):
    """As `Outgoing`; nothing is sent before both sides have agreed on a key."""

    __slots__ = ("_context", "_name", "_ready")

    def __init__(self, loop: Loop, address: Address, buffer_bytes: int, encryption: Encryption) -> None:
        """Raises StartError if the daemon can't be reached, or is not the one it should be."""
        self._context = _open_context(encryption)
        self._name = address.host
        self._ready = True  # the first connection is made in one go
        super().__init__(loop, address, buffer_bytes)

    def _secure(self, connection: socket.socket) -> socket.socket:
        return self._context.wrap_socket(connection, server_hostname=self._name)

    def _try(self, message: bytes) -> bool:
        return self._ready and super()._try(message)

    @staticmethod
    def _send(connection: socket.socket, message: bytes) -> int:
        try:
            return connection.send(message)
        except (ssl.SSLWantWriteError, ssl.SSLWantReadError) as error:
            raise BlockingIOError from error

    def _begin(self) -> None:
        if self._socket is None:
            return
        self._loop.forget(self._socket.fileno())
        self._socket = self._context.wrap_socket(
            self._socket, server_hostname=self._name, do_handshake_on_connect=False
        )
        self._loop.at("log daemon", _HANDSHAKE_NS, self._give_up)
        self._shake_hands()

    def _give_up(self) -> None:
        self._lost(b"")

    def _shake_hands(self) -> None:
        connection = self._socket
        if not isinstance(connection, ssl.SSLSocket):
            return
        self._loop.forget(connection.fileno())
        try:
            connection.do_handshake()
        except ssl.SSLWantReadError:
            self._loop.watch(connection.fileno(), self._shake_hands, READ)
        except ssl.SSLWantWriteError:
            self._loop.watch(connection.fileno(), self._shake_hands, WRITE)
        except OSError:
            self._lost(b"")
        else:
            self._loop.cancel("log daemon")
            self._ready = True
            super()._begin()

    def _lost(self, message: bytes) -> bool:
        self._ready = False
        return super()._lost(message)

    def _say_goodbye(self, connection: socket.socket) -> None:
        """Closed with something unread (a session's ticket), a connection would take back what it has sent."""
        if isinstance(connection, ssl.SSLSocket) and self._ready:
            try:
                connection.settimeout(_GOODBYE_S)
                connection.unwrap()
            except OSError:
                pass


def _open_context(encryption: Encryption) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=encryption.authorities or None)
        if not encryption.verified:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if encryption.certificate or encryption.key:
            context.load_cert_chain(encryption.certificate, encryption.key or None)
    except OSError as error:
        files = ", ".join(filter(None, encryption[:3])) or "the system's authorities"
        raise StartError(
            f"the certificates for the log daemon ({files}) can't be used: {error.strerror or error}",
            hint="see the logging options syslog-tls-ca-cert, syslog-tls-cert and syslog-tls-key",
        ) from None
    return context
