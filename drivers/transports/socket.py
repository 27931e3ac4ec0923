"""A connected stream socket as a port: how a rig reaches the control port that its sentinel owns."""

from __future__ import annotations

import socket

from drivers.transports.descriptor import READ_BYTES, DescriptorTransport, check_baud


class SocketTransport(DescriptorTransport):
    """A `Transport` over a connected socket, which it owns from now on. End of file is `Unplugged`."""

    def __init__(self, sock: socket.socket, name: str) -> None:
        sock.setblocking(False)
        super().__init__(sock.fileno(), name)
        self._socket = sock

    async def set_baud(self, baud: int) -> None:
        """Does nothing: a socket has no rate."""
        check_baud(baud)
        self._check()

    async def discard_input(self) -> None:
        self._check()
        try:
            while self._socket.recv(READ_BYTES):
                continue
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._lose(str(error))
            self._check()
        self._lose("hung up")
        self._check()

    def _read(self, limit: int) -> bytes:
        return self._socket.recv(limit)

    def _write(self, data: bytes | memoryview) -> int:
        return self._socket.send(data)

    async def _close(self) -> None:
        self._socket.close()
