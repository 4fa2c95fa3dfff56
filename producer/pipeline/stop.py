"""The wish to stop: set by a signal, seen by every loop.

Room: pipeline (IO: signals).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from producer import observe
from producer.clock import Clock
from producer.errors import Verdict

_log = observe.logger("producer.stop")

# Container engines send SIGKILL ten seconds after SIGTERM.
_SECONDS = 8.0
# A call that waits for a server without a limit of its own (a query, a lock) does not keep us longer than this.
_LAST_SECONDS = 9.3


class Stopped(Exception):
    """Told to stop in the midst of what the next start begins again."""


class Stop:
    """SIGINT or SIGTERM once: stop orderly. Twice: at once."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._deadline = 0.0
        self._interrupt: Callable[[], None] | None = None
        self.requested = False

    def listen(self) -> None:
        """Take the process's signals."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._handle)

    def expired(self) -> bool:
        """True when the time for an orderly stop is over."""
        return self.requested and self._clock.monotonic() > self._deadline

    def request(self) -> None:
        """Stop orderly, in bounded time."""
        self._deadline = self._clock.monotonic() + _SECONDS
        self.requested = True

    @contextmanager
    def interrupts(self, call: Callable[[], None]) -> Iterator[None]:
        """What is waited for inside may take for ever: told to stop, `call` cuts it short."""
        self._interrupt = call
        try:
            yield
        finally:
            self._interrupt = None

    def _handle(self, number: int, _frame: FrameType | None) -> None:
        if self.requested:
            os._exit(128 + number)
        self.request()
        last = threading.Timer(_LAST_SECONDS, _give_up)
        last.daemon = True
        last.start()
        if self._interrupt is not None:
            self._interrupt()


def _give_up() -> None:
    """End at once: a server does not answer, and nobody knows when it will."""
    _log.error(
        "told to stop, and a server does not answer",
        remedy="is it frozen, or is a table locked? nothing is lost: what is unconfirmed comes again at the next start",
    )
    os._exit(Verdict.RETRY.value)
