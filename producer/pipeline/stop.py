"""The wish to stop: set by a signal, seen by every loop.

Room: pipeline (IO: signals).
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from producer import observe
from producer.clock import Clock
from producer.errors import Verdict

_log = observe.logger("producer.stop")

# Container engines send SIGKILL ten seconds after SIGTERM.
_SECONDS = 8.0
# A call that waits for a server without a limit of its own (a query, a lock) does not keep us longer than this.
_LAST_SECONDS = 9.3
_COMPLAINT_SECONDS = 0.2


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
        """Take the process's signals, in a thread of their own.

        The main thread may stand in a call of a driver that lets no handler run before a frozen server answers.
        """
        heard, written = os.pipe()
        os.set_blocking(written, False)
        signal.set_wakeup_fd(written, warn_on_full_buffer=False)
        for number in (signal.SIGINT, signal.SIGTERM):
            # What has a handler is written to the pipe.
            signal.signal(number, lambda _number, _frame: None)
        _aside(lambda: self._hear(heard))

    def expired(self) -> bool:
        """True when the time for an orderly stop is over."""
        return self.requested and self._clock.monotonic() > self._deadline

    def request(self) -> None:
        """Stop orderly, in bounded time."""
        self._deadline = self._clock.monotonic() + _SECONDS
        self.requested = True

    @contextmanager
    def interrupts(self, call: Callable[[], None]) -> Iterator[None]:
        """What is waited for inside may take for ever: told to stop, `call` cuts it short, from another thread."""
        self._interrupt = call
        try:
            yield
        finally:
            self._interrupt = None

    def _hear(self, heard: int) -> None:
        while numbers := os.read(heard, 1):
            if self.requested:
                os._exit(128 + numbers[0])
            self.request()
            for seconds, call in ((_LAST_SECONDS, _complain), (_LAST_SECONDS + _COMPLAINT_SECONDS, _give_up)):
                last = threading.Timer(seconds, call)
                last.daemon = True
                last.start()
            if self._interrupt is not None:
                _aside(self._interrupt)


def _aside(call: Callable[[], None]) -> None:
    """Call it beside what goes on, for as long as that does."""
    threading.Thread(target=call, daemon=True).start()


def _complain() -> None:
    _log.error(
        "told to stop, and a server does not answer",
        remedy="is it frozen, or is a table locked? nothing is lost: what is unconfirmed comes again at the next start",
    )


def _give_up() -> None:
    """End at once, also where whoever reads our log has stopped: nobody knows when it would be over."""
    os._exit(Verdict.RETRY.value)
