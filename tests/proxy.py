"""TCP proxies before a server, for faults that no server makes by itself."""

from __future__ import annotations

import math
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Doctor:
    """Replaces some bytes of a stream by as many others, wherever it is cut into pieces."""

    def __init__(self, original: bytes, other: bytes) -> None:
        assert len(original) == len(other)
        self._original = original
        self._other = other
        self._held = b""

    def __call__(self, piece: bytes) -> bytes:
        """What may be passed on; a tail that could be the beginning of it is held back."""
        text = (self._held + piece).replace(self._original, self._other)
        size = next((n for n in range(len(self._original) - 1, 0, -1) if text.endswith(self._original[:n])), 0)
        self._held = text[len(text) - size :]
        return text[: len(text) - size]


@contextmanager
def doctored(port: int, original: bytes, other: bytes) -> Iterator[int]:
    """A port that leads to `port`; what the server says is changed on its way."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        threading.Thread(target=_accept, args=(listener, port, original, other), daemon=True).start()
        yield listener.getsockname()[1]


def _accept(listener: socket.socket, port: int, original: bytes, other: bytes) -> None:
    with suppress(OSError):
        while True:
            client, _ = listener.accept()
            server = socket.create_connection(("127.0.0.1", port))
            for source, target, doctor in ((client, server, None), (server, client, Doctor(original, other))):
                threading.Thread(target=_pass_on, args=(source, target, doctor), daemon=True).start()


def _pass_on(source: socket.socket, target: socket.socket, doctor: Doctor | None) -> None:
    with suppress(OSError), source, target:
        while piece := source.recv(65536):
            target.sendall(doctor(piece) if doctor else piece)
        target.shutdown(socket.SHUT_WR)


class Link:
    """A port that leads to a server's, and can be disturbed."""

    def __init__(self, target: int) -> None:
        self.target = target
        self.delay = 0.0
        """Seconds before each piece is passed on."""
        self.bytes_per_second = math.inf
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._flows = threading.Event()
        self._flows.set()
        self._down = False
        self._left: int | None = None
        self._ends: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def down(self) -> None:
        """Nobody gets through, and who did is cut off."""
        self._down = True
        self._cut()

    def cut(self, *, after: int) -> None:
        """Cut all connections once the server has said so many more bytes: in the middle of a message."""
        self._left = after

    def hole(self) -> None:
        """Connections are taken and stay, and nothing passes."""
        self._flows.clear()

    def up(self) -> None:
        """All is well; what was swallowed is lost, and its connections."""
        if not self._flows.is_set():
            self._cut()
        self._down, self._left = False, None
        self._flows.set()

    def close(self) -> None:
        """No more of it."""
        self._listener.close()
        self.down()
        self._flows.set()

    def _cut(self) -> None:
        for end in list(self._ends):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                if self._down:
                    client.close()
                    continue
                try:
                    server = socket.create_connection(("127.0.0.1", self.target))
                except OSError:
                    client.close()
                    continue
                self._ends |= {client, server}
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=(source, target, source is server), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, from_server: bool) -> None:
        with suppress(OSError), source, target:
            while piece := source.recv(65536):
                self._flows.wait()
                time.sleep(self.delay + len(piece) / self.bytes_per_second)
                target.sendall(self._shortened(piece) if from_server else piece)
            target.shutdown(socket.SHUT_WR)
        self._ends -= {source, target}

    def _shortened(self, piece: bytes) -> bytes:
        """What of it passes before the cut."""
        if self._left is None:
            return piece
        if len(piece) < self._left:
            self._left -= len(piece)
            return piece
        self._left = None
        self._cut()
        return b""
