"""What a terminal shows of long work: a bar for each thing under way, and one for all of them, however many there are.

Room: display (IO: the terminal). Where there is no terminal, `observe` writes log lines instead.
"""

from __future__ import annotations

import functools
import sys
from collections import deque
from collections.abc import Callable
from datetime import timedelta

from rich import filesize
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.table import Column
from rich.text import Text

# Bars that are shown at once: those that ended go first.
_SHOWN = 8
_NAME_WIDTH = 40
_REFRESHES_PER_SECOND = 4


@functools.cache
def _console() -> Console:
    return Console(stderr=True)


def usable() -> bool:
    """Whether standard error is a terminal that can be drawn on."""
    return sys.stderr.isatty() and _console().is_interactive


def coloured() -> bool:
    """Whether it shows colours, and nobody has asked for none (NO_COLOR, TERM=dumb)."""
    return sys.stderr.isatty() and _console().color_system is not None and not _console().no_color


_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), *range(0x7F, 0xA0))}


def printable(text: str) -> str:
    """A text that a name may be part of, in one line, and with nothing in it that a terminal obeys."""
    return text.translate(_CONTROLS)


def rows(number: float) -> str:
    """An amount of rows."""
    return f"{number:,.0f} rows"


def size(number: float) -> str:
    """An amount of bytes."""
    return filesize.decimal(int(number))


class _Amount(ProgressColumn):
    def __init__(self, words: Callable[[float], str]) -> None:
        super().__init__(Column(no_wrap=True, justify="right"))
        self._words = words

    def render(self, task: Task) -> Text:
        """How much of how much."""
        total = "" if task.total is None or task.finished else f" of {self._words(task.total)}"
        return Text(self._words(task.completed) + total, style="progress.download")


class _Rate(ProgressColumn):
    def __init__(self, words: Callable[[float], str]) -> None:
        super().__init__(Column(no_wrap=True, justify="right"))
        self._words = words

    def render(self, task: Task) -> Text:
        """How fast."""
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{self._words(speed)}/s", style="progress.data.speed")


class _Time(ProgressColumn):
    # Often enough for a reader, and not so often that the last digit flickers.
    max_refresh = 0.5

    def __init__(self) -> None:
        super().__init__(Column(no_wrap=True))

    def render(self, task: Task) -> Text:
        """How long it still takes, or took."""
        if task.finished:
            return Text(f"in {_clock(task.finished_time or 0)}", style="progress.elapsed")
        left = task.time_remaining
        return Text("" if left is None else f"{_clock(left)} left", style="progress.remaining")


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))


class Bars:
    """Drawn from the first `begin` to `close`: the sum of all, then what is under way and the last that ended."""

    def __init__(self, words: Callable[[float], str]) -> None:
        self._words = words
        self._progress: Progress | None = None
        self._tasks: dict[str, Task] = {}
        self._ended: deque[str] = deque()
        self._sum: Task | None = None
        self._expected = (0, 0.0, "")
        self._done = 0

    def expect(self, things: int, total: float, kind: str) -> None:
        """So many things of that kind, of about so much together; the sum is drawn where there are several."""
        self._expected = (things, total, kind)

    def begin(self, name: str, total: float, done: float = 0) -> None:
        """A thing is under way; total 0: not known."""
        progress = self._started()
        self._remove(name)
        while self._ended and len(self._tasks) >= _SHOWN:
            self._remove(self._ended[0])
        self._tasks[name] = _add(progress, name, total, done)

    def advance(self, name: str, more: float) -> None:
        """So much more of it is done; nothing of what was not begun."""
        if self._progress is None or name not in self._tasks:
            return
        for task in (self._tasks[name], self._sum):
            if task is None:
                continue
            if task.total is not None and task.completed + more >= task.total:
                # It was an estimate: what is done is known when it ends.
                task.total = None
            self._progress.update(task.id, advance=more)

    def finish(self, name: str) -> None:
        """All of it is done."""
        if self._progress is None or name not in self._tasks:
            return
        task = self._tasks[name]
        task.total = task.completed
        self._progress.update(task.id, completed=task.completed)
        self._ended.append(name)
        self._done += 1
        if self._sum is not None:
            self._progress.update(self._sum.id, description=self._sum_words())
            if self._done >= self._expected[0]:
                self._sum.total = self._sum.completed
                self._progress.update(self._sum.id, completed=self._sum.completed)

    def close(self) -> None:
        """Leave what was drawn last."""
        if self._progress is not None:
            self._progress.stop()
            self._progress = self._sum = None
            self._tasks.clear()
            self._ended.clear()

    def _started(self) -> Progress:
        if self._progress is None:
            self._progress = progress = Progress(
                TextColumn(
                    "{task.description}", markup=False,
                    table_column=Column(no_wrap=True, overflow="ellipsis", max_width=_NAME_WIDTH),
                ),
                BarColumn(bar_width=20),
                _Amount(self._words),
                _Rate(self._words),
                _Time(),
                console=_console(), refresh_per_second=_REFRESHES_PER_SECOND,
            )  # fmt: skip
            progress.start()
            things, total, _ = self._expected
            if things > 1:
                self._sum = _add(progress, self._sum_words(), total, 0)
        return self._progress

    def _sum_words(self) -> str:
        things, _, kind = self._expected
        return f"{self._done:,} of {things:,} {kind}"

    def _remove(self, name: str) -> None:
        task = self._tasks.pop(name, None)
        if task is not None and self._progress is not None:
            self._progress.remove_task(task.id)
        if name in self._ended:
            self._ended.remove(name)


def _add(progress: Progress, name: str, total: float, done: float) -> Task:
    made = progress.add_task(printable(name), total=total or None, completed=int(done))
    return next(task for task in progress.tasks if task.id == made)
