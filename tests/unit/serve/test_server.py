"""The socket: where it listens, who cannot have it, and clients that are slow or many."""

from __future__ import annotations

import contextlib
import socket
import urllib.request
from collections.abc import Iterator

import pytest
from waitress.channel import HTTPChannel

from producer.errors import OperatorError
from producer.observe import Counters
from producer.serve import listening
from producer.serve.server import Server
from producer.settings import load_settings
from tests.connector import StillClock
from tests.harness import wait_for


@contextlib.contextmanager
def server(listen: str) -> Iterator[Server]:
    settings = load_settings(None, ["topic.prefix=p", f"http.listen={listen}"], {}).settings
    made = Server(settings, Counters(), StillClock())
    try:
        yield made
    finally:
        made.close()


def health(address: str) -> int:
    with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:
        return int(answer.status)


def test_without_a_host_only_this_machine_is_answered() -> None:
    with server(":0") as made:
        assert made.address.startswith("http://127.0.0.1:")
        assert not made.address.endswith(":0")
        assert health(made.address) == 200


def test_nothing_listens_when_it_is_closed() -> None:
    with server(":0") as made:
        port = int(made.address.rpartition(":")[2])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), 5).close()
    assert not made._thread.is_alive()


def test_an_address_that_cannot_be_had_is_told_with_a_remedy() -> None:
    with server(":0") as made:
        port = made.address.rpartition(":")[2]
        with pytest.raises(OperatorError) as caught, server(f"127.0.0.1:{port}"):
            pass
    assert f"http.listen=127.0.0.1:{port}" in caught.value.message
    assert "in use" in caught.value.message
    assert "another port" in caught.value.remedy
    with pytest.raises(OperatorError, match=r"http\.listen=203\.0\.113\.1:1"), server("203.0.113.1:1"):
        pass


def test_nothing_is_begun_unless_it_is_asked_for() -> None:
    with listening(load_settings(None, ["topic.prefix=p"], {}).settings, Counters(), StillClock()):
        pass


def test_clients_that_say_nothing_or_half_a_request_keep_nobody_waiting() -> None:
    """More of them than there are threads; and all that there may be are given up in time."""
    with server(":0") as made, contextlib.ExitStack() as stack:
        where = ("127.0.0.1", int(made.address.rpartition(":")[2]))
        slow = [stack.enter_context(socket.create_connection(where, 5)) for _ in range(10)]
        for client in slow[:5]:
            client.sendall(b"GET /health HTTP/1.1\r\nHost: local")
        assert health(made.address) == 200
        for channel in list(made._channels.values()):
            if isinstance(channel, HTTPChannel):
                channel.creation_time -= 1000
        slow[0].settimeout(5)
        wait_for(lambda: slow[0].recv(1) == b"", 5, "the connection is given up")


def test_what_no_server_needs_to_take_is_refused() -> None:
    with server(":0") as made:
        where = ("127.0.0.1", int(made.address.rpartition(":")[2]))
        for request in (
            b"GET /health HTTP/1.1\r\nX: " + b"x" * 20_000,
            b"\x00\r\n\r\n",
            b"GET / HTTP/1.1\r\nA B\r\n\r\n",
        ):
            with socket.create_connection(where, 5) as client:
                client.sendall(request)
                assert client.recv(100).split()[1][:1] == b"4"
        assert health(made.address) == 200
