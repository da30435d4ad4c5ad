"""Wires between another host and a server on this one, which can be cut with everything on them."""

import ctypes
import os
import select
import shutil
import socket
import subprocess
import threading
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Protocol, Self

HOST = "127.0.0.1"
BLOCK = 1 << 16
CLONE_NEWNET = 0x40000000  # of Linux' sched.h


class Wire(Protocol):
    """Where another host finds the server, and what can be done to the way there."""

    host: str
    port: int
    # The network namespace that the other host is in; None: this one.
    namespace: str | None

    def cut(self) -> None:
        """From now on nothing comes through, and nobody is told."""
        ...

    def mend(self) -> None:
        """Let through what waits, and what comes."""
        ...


class BlackHole:
    """Forwards TCP connections to `port` on this machine, until it is cut.

    While cut, it keeps every socket open and says nothing on any; new connections get no answer.
    Once mended, what was on its way arrives, as TCP sends again what was lost.
    """

    host = HOST
    namespace = None

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
        """From now on nothing comes through, and nobody is told."""
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


class NotPermittedError(Exception):
    """This machine makes no network namespaces for us; the text says why."""


class Cable:
    """A network namespace for another host, and two virtual Ethernet devices between it and us.

    While cut, packets are dropped. Whoever lets a server listen to `network` says at which `port`.
    Raises NotPermittedError, FileNotFoundError where there is no `ip`.
    """

    def __init__(self) -> None:
        number = os.getpid()
        network = f"10.213.{number % 256}"
        self.host, self.network, self.port = f"{network}.1", f"{network}.0/30", 0
        self.namespace = f"batch_sync_{number}"
        self._ours, self._theirs = f"bs{number}o", f"bs{number}t"
        self._made = ExitStack()

    def __enter__(self) -> Self:
        if not shutil.which("ip"):
            raise FileNotFoundError("ip, of iproute2")
        with self._made as making:
            self._ip("netns", "add", self.namespace)
            making.callback(self._ip, "netns", "delete", self.namespace)
            self._ip("link", "add", self._ours, "type", "veth", "peer", "name", self._theirs)
            making.callback(self._ip, "link", "delete", self._ours)
            self._ip("link", "set", self._theirs, "netns", self.namespace)
            self._ip("address", "add", f"{self.host}/30", "dev", self._ours)
            self._ip("link", "set", self._ours, "up")
            there = ("-n", self.namespace)
            other = self.host.removesuffix("1") + "2"
            self._ip(*there, "address", "add", f"{other}/30", "dev", self._theirs)
            self._ip(*there, "link", "set", self._theirs, "up")
            self._made = making.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._made.close()

    def cut(self) -> None:
        """Pull it out."""
        self._ip("link", "set", self._ours, "down")

    def mend(self) -> None:
        """Plug it in again."""
        self._ip("link", "set", self._ours, "up")

    def _ip(self, *arguments: str) -> None:
        try:
            subprocess.run(("ip", *arguments), check=True, capture_output=True, text=True)
        except subprocess.CalledProcessError as error:
            raise NotPermittedError(f"ip {' '.join(arguments)}: {error.stderr.strip()}") from error


def enter(namespace: str) -> None:
    """From now on this thread, and those that it starts, are in a network namespace."""
    with Path("/run/netns", namespace).open() as file:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(file.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
