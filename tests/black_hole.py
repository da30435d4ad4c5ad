"""A wire between a process and a server that can be cut, with everything on it."""

import select
import socket
import threading
from contextlib import suppress
from typing import Self

HOST = "127.0.0.1"
BLOCK = 1 << 16


class BlackHole:
    """Forwards TCP connections to `port` on this machine, until it is cut.

    While cut, it keeps every socket open and says nothing on any; new connections get no answer.
    Once mended, what was on its way arrives, as TCP sends again what was lost.
    """

    def __init__(self, port: int) -> None:
        self._server = (HOST, port)
        self._whole = threading.Event()
        self._whole.set()
        self._listener = socket.create_server((HOST, 0))
        self.port: int = self._listener.getsockname()[1]
        self._sockets: set[socket.socket] = set()
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.mend()
        # Closing alone wakes nobody who waits on a socket.
        for each in (self._listener, *self._sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        self._listener.close()

    def cut(self) -> None:
        """From now on nothing comes through."""
        self._whole.clear()

    def mend(self) -> None:
        """Let through what waits, and what comes."""
        self._whole.set()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._sockets.add(client)
                thread = threading.Thread(target=self._carry, args=(client,), daemon=True)
                self._threads.append(thread)
                thread.start()

    def _carry(self, client: socket.socket) -> None:
        self._whole.wait()
        with client, suppress(OSError), socket.create_connection(self._server) as server:
            self._sockets.add(server)
            other = {client: server, server: client}
            while True:
                readable, _, _ = select.select(list(other), (), ())
                for one in readable:
                    data = one.recv(BLOCK)
                    self._whole.wait()
                    if not data:
                        return
                    other[one].sendall(data)
