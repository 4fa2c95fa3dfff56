"""A TCP proxy before a server, whose wire can be cut, held and slowed."""

from __future__ import annotations

import random
import socket
import struct
import threading
import time
from collections.abc import Callable
from contextlib import suppress

from tests.proxy import Doctor

_PIECE = 65536
_SLOW_PIECE = 2048
_RESET = struct.pack("ii", 1, 0)
TO_SERVER, TO_CLIENT = "to server", "to client"


class Link:
    """Leads to a server on 127.0.0.1. What is held is kept, as TCP would: it arrives once the wire is whole again."""

    def __init__(self, port: int, doctor: Callable[[int], Doctor] | None = None, seed: object = None) -> None:
        """`doctor` is given our own port: what the server says to its clients is changed on its way."""
        self._target = port
        self._doctor = doctor
        self._chance = random.Random(f"{seed}")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open = threading.Event()
        self._lock = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._free = {TO_SERVER: threading.Event(), TO_CLIENT: threading.Event()}
        for event in self._free.values():
            event.set()
        self._rate = 0
        self._torn = threading.Event()
        threading.Thread(target=self._accept, daemon=True, name=f"link {self.port}").start()

    def cut(self, seconds: float = 3) -> None:
        """Pass on a part of what comes next, then reset every connection; an idle wire is cut as it is."""
        self._torn.set()
        deadline = time.monotonic() + seconds
        while self._torn.is_set() and time.monotonic() < deadline:
            time.sleep(0.01)
        self._torn.clear()
        self.reset()

    def hold(self, *directions: str) -> None:
        """A black hole: connections stay, nothing passes."""
        for direction in directions or self._free:
            self._free[direction].clear()

    def release(self) -> None:
        """The wire is whole again, and fast."""
        self._rate = 0
        for event in self._free.values():
            event.set()

    def slow(self, bytes_per_second: int) -> None:
        """Until `release`."""
        self._rate = bytes_per_second

    def reset(self) -> None:
        """End every connection; what was held is lost."""
        with self._lock:
            pairs, self._pairs = self._pairs, set()
        for pair in pairs:
            for end in pair:
                _reset(end)
        self.release()

    def close(self) -> None:
        """Lead nowhere any more."""
        self._listener.close()
        self.reset()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                # A server that is away: the client is refused, a little later than usual.
                try:
                    server = socket.create_connection(("127.0.0.1", self._target), timeout=5)
                except OSError:
                    _reset(client)
                    continue
                server.settimeout(None)
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                pair = (client, server)
                with self._lock:
                    self._pairs.add(pair)
                doctor = self._doctor(self.port) if self._doctor else None
                half_open = [True]
                for source, target, direction, change in (
                    (client, server, TO_SERVER, None),
                    (server, client, TO_CLIENT, doctor),
                ):
                    threading.Thread(
                        target=self._carry, args=(pair, half_open, source, target, direction, change), daemon=True
                    ).start()

    def _carry(
        self,
        pair: tuple[socket.socket, socket.socket],
        half_open: list[bool],
        source: socket.socket,
        target: socket.socket,
        direction: str,
        doctor: Doctor | None,
    ) -> None:
        """One direction to its end; the first that ends orderly leaves the other open."""
        with suppress(OSError):
            if self._pass_on(source, target, direction, doctor):
                # An orderly end does not pass through a black hole either.
                self._free[direction].wait()
                target.shutdown(socket.SHUT_WR)
                with self._lock:
                    if half_open:
                        half_open.pop()
                        return
        with self._lock:
            self._pairs.discard(pair)
        for end in pair:
            _reset(end)

    def _pass_on(self, source: socket.socket, target: socket.socket, direction: str, doctor: Doctor | None) -> bool:
        """Until its end, which is true, or until it is cut."""
        while piece := source.recv(_SLOW_PIECE if self._rate else _PIECE):
            self._free[direction].wait()
            text = doctor(piece) if doctor else piece
            if self._torn.is_set() and len(text) > 1:
                target.sendall(text[: self._chance.randrange(1, len(text))])
                self._torn.clear()
                return False
            if self._rate:
                time.sleep(len(text) / self._rate)
            target.sendall(text)
        return True


def to_kafka(port: int, seed: object = None) -> Link:
    """A link to a broker, which tells its clients to come through the link."""

    def doctor(own: int) -> Doctor:
        return Doctor(_address(port), _address(own))

    return Link(port, doctor, seed)


def _address(port: int) -> bytes:
    """A broker as a metadata answer names it."""
    return b"127.0.0.1" + struct.pack("!i", port)


def _reset(end: socket.socket) -> None:
    with suppress(OSError):
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    with suppress(OSError):
        # Wakes the thread that reads from it.
        end.shutdown(socket.SHUT_RDWR)
    end.close()
