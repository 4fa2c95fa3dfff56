"""How far a comparison is: bars on a terminal, a log line now and then elsewhere.

Room: pipeline (IO: the terminal).
"""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Self

from producer import display, observe
from producer.clock import Clock

_log = observe.logger("producer.verify")

_REPORT_SECONDS = 10.0


class Steps:
    """One step after the other, each with something that is counted."""

    def __init__(self, clock: Clock, log_format: str) -> None:
        self._clock = clock
        drawn = display.usable() and log_format == "text"
        self._bars = display.Bars(lambda number: f"{number:,.0f}") if drawn else None
        self._what = ""
        self._done = 0
        self._said = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bars is not None:
            if error is None:
                self._bars.finish(self._what)
            self._bars.close()

    def begin(self, what: str) -> Callable[[int], None]:
        """A step begins, the one before has ended; the function is told of what is done."""
        if self._bars is not None:
            self._bars.finish(self._what)
            self._bars.begin(what, 0)
        self._what, self._done, self._said = what, 0, self._clock.monotonic()
        return self._advance

    def _advance(self, number: int) -> None:
        self._done += number
        if self._bars is not None:
            self._bars.advance(self._what, number)
        elif self._clock.monotonic() - self._said >= _REPORT_SECONDS:
            self._said = self._clock.monotonic()
            _log.info(self._what, done=self._done)
