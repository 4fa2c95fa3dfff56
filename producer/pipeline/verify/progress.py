"""How far a comparison is: a bar on a terminal, a log line now and then elsewhere.

Room: pipeline (IO: the terminal).
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from producer import observe
from producer.clock import Clock

_log = observe.logger("producer.verify")

_REPORT_SECONDS = 10.0


class Steps:
    """One step after the other, each with something that is counted."""

    def __init__(self, clock: Clock, log_format: str) -> None:
        self._clock = clock
        self._bar: Progress | None = None
        if sys.stderr.isatty() and log_format == "text":
            self._bar = Progress(
                TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(),
                TimeRemainingColumn(compact=True, elapsed_when_finished=True), console=Console(stderr=True),
            )  # fmt: skip
        self._task: TaskID | None = None
        self._what = ""
        self._done = 0
        self._said = 0.0

    def __enter__(self) -> Self:
        if self._bar is not None:
            self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def begin(self, what: str, expected: int | None = None) -> Callable[[int], None]:
        """A step begins, the one before has ended; the function is told of what is done."""
        self._end()
        self._what, self._done, self._said = what, 0, self._clock.monotonic()
        if self._bar is not None:
            self._task = self._bar.add_task(what, total=expected)
        return self._advance

    def _advance(self, number: int) -> None:
        self._done += number
        if self._bar is not None and self._task is not None:
            self._bar.advance(self._task, number)
        elif self._clock.monotonic() - self._said >= _REPORT_SECONDS:
            self._said = self._clock.monotonic()
            _log.info(self._what, done=self._done)

    def _end(self) -> None:
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=self._done, completed=self._done)
        self._task = None
