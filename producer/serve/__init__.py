"""What the producer tells over HTTP: metrics, health, the status page. docs/metrics.md, docs/adr/0009-http.md."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from producer.clock import Clock
from producer.observe import Counters
from producer.settings import Settings


@contextlib.contextmanager
def listening(settings: Settings, counters: Counters, clock: Clock) -> Iterator[None]:
    """Answer at `http.listen`, where it is set, from a thread beside the caller's.

    Raises:
        OperatorError: the address cannot be had. Nothing was begun.
    """
    if not settings.http_listen:
        yield
        return
    # Not everybody pays for the libraries.
    from producer.serve.server import Server

    server = Server(settings, counters, clock)
    try:
        yield
    finally:
        server.close()
