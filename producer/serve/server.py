"""The socket and the threads: requests in, answers out, beside the connector's one thread.

Room: serve (IO: HTTP). docs/adr/0009-http.md; waitress, "Arguments to waitress.serve".
Nothing that a client does is waited for by the connector: one thread reads and writes all sockets without
blocking, two make answers, a connection is given up after half a minute, and there are thirty at most.
"""

from __future__ import annotations

import ipaddress
import os
import secrets
import socket
import threading
import time
from typing import Any

from waitress import wasyncore
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server

from producer import observe
from producer.clock import Clock
from producer.errors import OperatorError
from producer.observe import Counters
from producer.serve.answers import Answers
from producer.serve.history import History
from producer.serve.metrics import Subject
from producer.settings import Settings

_log = observe.logger("producer.http")

_THREADS = 2
_CONNECTIONS = 30
# A connection is given up after so long, whatever it does: a client that stays comes again.
_LONGEST_SECONDS = 30
_IDLE_SECONDS = 10
_HEADER_BYTES = 16_384
_BODY_BYTES = 65_536
_TICK_SECONDS = 0.5
_LAST_SECONDS = 1


class Server:
    """Answers from its making on, until it is closed."""

    def __init__(self, settings: Settings, counters: Counters, clock: Clock) -> None:
        """Take the address.

        Raises:
            OperatorError: it cannot be had.
        """
        listener = _listen(settings.http_listen)
        host, port = listener.getsockname()[:2]
        self.address = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        subject = Subject(settings, counters, clock, clock.time_us() // 1000)
        self._history = History(counters, clock)
        loopback = ipaddress.ip_address(host).is_loopback
        answers = Answers(subject, self._history, secrets.token_hex(8), loopback_only=loopback)
        self._channels: dict[int, Any] = {}
        """Waitress's own: the connections, by descriptor, and what accepts and wakes."""
        made = create_server(
            answers, map=self._channels, sockets=[listener], threads=_THREADS, connection_limit=_CONNECTIONS,
            channel_timeout=_IDLE_SECONDS, cleanup_interval=_IDLE_SECONDS, max_request_header_size=_HEADER_BYTES,
            max_request_body_size=_BODY_BYTES, ident=None, clear_untrusted_proxy_headers=True,
        )  # fmt: skip
        # Of several sockets it would be another.
        assert isinstance(made, BaseWSGIServer)
        self._waitress = made
        self._closing = False
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)
        self._thread.start()
        _log.info("answering over HTTP", address=self.address, metrics="/metrics", health="/health", page="/")
        if not loopback and settings.http_basic_auth_user_info is None:
            _log.warning("whoever reaches http.listen may ask: http.basic.auth.user.info asks for a login")

    def close(self) -> None:
        """Answer no more."""
        self._closing = True
        self._waitress.pull_trigger()
        self._thread.join(2 * _LAST_SECONDS)

    def _serve(self) -> None:
        while not self._closing:
            wasyncore.loop(timeout=_TICK_SECONDS, use_poll=True, map=self._channels, count=1)
            self._history.tick()
            self._give_up_old()
        self._waitress.task_dispatcher.shutdown(timeout=_LAST_SECONDS)
        self._waitress.close()
        wasyncore.close_all(self._channels, ignore_all=True)

    def _give_up_old(self) -> None:
        """Waitress asks whether a client has said something lately: one that says a byte now and then would stay."""
        oldest = time.time() - _LONGEST_SECONDS
        for channel in list(self._channels.values()):
            if isinstance(channel, HTTPChannel) and channel.creation_time < oldest and not channel.requests:
                channel.will_close = True


def _listen(address: str) -> socket.socket:
    """A socket at `host:port`; no host is this machine alone."""
    host, _, port = address.rpartition(":")
    host = host.strip("[]") or "127.0.0.1"
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            host, int(port), type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(where)
            listener.listen()
        except BaseException:
            listener.close()
            raise
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise OperatorError(
            f"http.listen={address}: the address cannot be had: {reason}",
            remedy="does another program listen there (ss -ltnp)? set another port, or 0 for any that is free; the "
            "host must be this machine's",
        ) from error
    return listener
