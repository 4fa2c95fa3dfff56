"""A TCP proxy before a server, for faults that no server makes by itself."""

from __future__ import annotations

import socket
import threading
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
