"""What people see: log lines and progress, on stderr; counters in plain integers.

Room: observe (IO: stderr). No secret and no value of any row is ever handed to it.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, Protocol, TextIO

import structlog

from producer import display
from producer.clock import Clock
from producer.figures import Calls, Condition, Errors, EventCounts, Lag, TableSnapshot

_REPORT_SECONDS = 5.0
# A backlog that is read within this is not told of.
_PATIENCE_SECONDS = 2.0
_style: Literal["text", "json"] = "text"


class _Stderr(logging.StreamHandler[TextIO]):
    """Whatever standard error is at that moment: while bars are drawn, lines go above them."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write one line."""
        self.stream = sys.stderr
        super().emit(record)


def configure(level: str, style: Literal["text", "json"]) -> None:
    """Send all logging, the Kafka client's too, to stderr in one form."""
    global _style
    _style = style
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.stdlib.ExtraAdder(),
    ]
    renderer: structlog.typing.Processor
    if style == "json":
        renderer = structlog.processors.JSONRenderer(sort_keys=False)
    else:
        renderer = structlog.dev.ConsoleRenderer(colors=display.coloured(), pad_event_to=0, sort_keys=False)
    handler = _Stderr()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *([_printable] if style == "text" else []),
                structlog.processors.format_exc_info,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel({"trace": "DEBUG", "warn": "WARNING"}.get(level, level.upper()))
    # Their debug lines tell of every request, with its headers.
    for chatty in ("httpx", "httpx2", "httpcore", "httpcore2"):
        logging.getLogger(chatty).setLevel("WARNING")
    structlog.configure(
        processors=[
            *shared[:2],
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )


def _printable(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """Names that a terminal would obey, made plain."""
    return {key: display.printable(value) if isinstance(value, str) else value for key, value in event.items()}


def logger(name: str) -> structlog.stdlib.BoundLogger:
    """A logger whose lines are an event and its facts."""
    found: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return found


@dataclass(slots=True)
class Counters:
    """Counted in plain integers by the loop, read by whoever reports."""

    snapshot_rows: int = 0
    reconnects: int = 0
    lost_changes: dict[str, int] = field(default_factory=dict)
    """Changes that the source did not log, by table: it has no replica identity."""
    errors: dict[str, int] = field(default_factory=dict)
    """Rows that no record could carry, by the kind of error: they are dead letters."""
    skipped: int = 0
    """Events left out on an operator's word."""
    slot_retained_bytes: int | None = None
    """WAL that the slot holds back."""
    slot_lag_bytes: int | None = None
    """WAL that is not confirmed yet."""
    keys_deleted: int = 0
    """By comparison of a table with its topic."""
    slot_wal_status: str | None = None
    slot_seconds_left: float | None = None
    """Until max_slot_wal_keep_size is used up, at the rate of the last minute; None: no end in sight."""
    slot_safe_bytes: int | None = None
    """WAL that may still be written before the server gives the slot up; None: it sets no limit."""
    events: Mapping[str, EventCounts] = field(default_factory=dict)
    """Of the stream, by table; without a table: logical messages."""
    snapshots: dict[str, TableSnapshot] = field(default_factory=dict)
    """Tables that were copied, are, or are to be."""
    acks: int = 0
    """Records that Kafka has acked."""
    in_flight_bytes: int = 0
    """Handed to Kafka's client and not acked."""
    lag: Lag = field(default_factory=Lag)
    recent: Errors = field(default_factory=Errors)
    condition: Condition = field(default_factory=Condition)
    registry: Calls = field(default_factory=Calls)

    def awaits(self, table: str, expected_rows: int) -> TableSnapshot:
        """The table is to be copied. Where a copy of it was complete, this is another one."""
        found = self.snapshots.setdefault(table, TableSnapshot(expected_rows))
        if found.chunks_done >= found.chunks:
            found.rows = found.chunks = found.chunks_done = 0
        found.expected_rows, found.state = expected_rows, "waiting"
        return found


class SnapshotProgress(Protocol):
    """Told of rows as they go out."""

    def begin(self, table: str, expected_rows: int, chunks_done: int, chunks: int) -> None:
        """A table's copy begins, or goes on; `expected_rows` is the planner's estimate, `chunks` are all of them."""

    def advance(self, table: str, rows: int) -> None:
        """So many more rows of the table went out."""

    def chunks(self, table: str, done: int) -> None:
        """So many chunks of the table are acked by now."""

    def finish(self, table: str) -> None:
        """All rows of the table went out."""

    def close(self) -> None:
        """Nothing more comes."""


class Recorded:
    """The progress that is shown, noted in the counters too."""

    def __init__(self, shown: SnapshotProgress, counters: Counters) -> None:
        self._shown = shown
        self._snapshots = counters.snapshots

    def begin(self, table: str, expected_rows: int, chunks_done: int, chunks: int) -> None:
        """It begins, or begins again."""
        found = self._snapshots.setdefault(table, TableSnapshot(expected_rows))
        found.expected_rows, found.rows, found.state = expected_rows, 0, "copying"
        found.chunks_done, found.chunks = chunks_done, chunks
        self._shown.begin(table, expected_rows, chunks_done, chunks)

    def advance(self, table: str, rows: int) -> None:
        """The copy itself counts what goes out."""
        self._shown.advance(table, rows)

    def chunks(self, table: str, done: int) -> None:
        """Chunks are acked."""
        self._snapshots[table].chunks_done = done
        self._shown.chunks(table, done)

    def finish(self, table: str) -> None:
        """Every row was read."""
        self._snapshots[table].state = "read"
        self._shown.finish(table)

    def close(self) -> None:
        """Nothing more comes."""
        self._shown.close()


class _SnapshotBars:
    """Progress as bars."""

    def __init__(self, tables: int, rows: int) -> None:
        self._bars = display.Bars(display.rows)
        self._bars.expect(tables, rows, "tables")

    def begin(self, table: str, expected_rows: int, chunks_done: int, chunks: int) -> None:
        self._bars.begin(table, expected_rows)

    def advance(self, table: str, rows: int) -> None:
        self._bars.advance(table, rows)

    def chunks(self, table: str, done: int) -> None:
        """A bar shows rows."""

    def finish(self, table: str) -> None:
        self._bars.finish(table)

    def close(self) -> None:
        self._bars.close()


class SnapshotLines:
    """Progress as log lines."""

    def __init__(self, clock: Clock, tables: int = 1) -> None:
        self._clock = clock
        self._log = logger("producer.snapshot")
        self._tables = tables
        self._tables_read = 0
        self._rows: dict[str, list[float]] = {}
        self._chunks: dict[str, tuple[int, int]] = {}

    def begin(self, table: str, expected_rows: int, chunks_done: int, chunks: int) -> None:
        """Say so, with the estimate."""
        now = self._clock.monotonic()
        self._rows[table] = [0, expected_rows, now, now]
        self._chunks[table] = chunks_done, chunks
        self._log.info(
            "snapshot of a table begins", table=table, expected_rows=expected_rows, chunks_done=chunks_done,
            chunks=chunks,
        )  # fmt: skip

    def advance(self, table: str, rows: int) -> None:
        """Say now and then how far it is."""
        state = self._state(table)
        state[0] += rows
        now = self._clock.monotonic()
        if now - state[3] >= _REPORT_SECONDS:
            state[3] = now
            chunks_done, chunks = self._chunks[table]
            rate = state[0] / max(now - state[2], 0.001)
            self._log.info(
                "snapshot of a table goes on",
                table=table,
                rows=int(state[0]),
                expected_rows=int(state[1]),
                rows_per_second=int(rate),
                seconds_left=_seconds_left(state[1] - state[0], rate),
                chunks_done=chunks_done,
                chunks=chunks,
            )

    def chunks(self, table: str, done: int) -> None:
        """For the next line."""
        self._chunks[table] = done, self._chunks.get(table, (0, 0))[1]

    def finish(self, table: str) -> None:
        """Say so, and how fast it was."""
        rows, _, began, _ = self._state(table)
        seconds = max(self._clock.monotonic() - began, 0.001)
        self._tables_read += 1
        self._log.info(
            "snapshot of a table is read",
            table=table,
            rows=int(rows),
            rows_per_second=int(rows / seconds),
            tables_read=self._tables_read,
            tables=self._tables,
        )

    def close(self) -> None:
        """A line stands for itself."""

    def _state(self, table: str) -> list[float]:
        """Of a table that another session of the stream has begun, what is known is what comes from now on."""
        now = self._clock.monotonic()
        self._chunks.setdefault(table, (0, 0))
        return self._rows.setdefault(table, [0, 0, now, now])


def snapshot_progress(clock: Clock, *, tables: int, rows: int) -> SnapshotProgress:
    """Bars on a terminal, log lines elsewhere; of so many tables, with so many rows by the planner's estimate."""
    return _SnapshotBars(tables, rows) if _draws() else SnapshotLines(clock, tables)


class Backlog:
    """The part of the log, from `start` to `end` (LSNs), that is still to be read; told when that takes long."""

    def __init__(self, clock: Clock, start: int, end: int) -> None:
        self._clock = clock
        self._log = logger("producer.stream")
        self._start, self._end, self._at = start, end, start
        self._began = self._told = clock.monotonic()
        self._bars = display.Bars(display.size) if _draws() else None
        self._drawn = False

    def at(self, where: int) -> None:
        """All before `where` was read."""
        moved, self._at = max(where - self._at, 0), max(where, self._at)
        now = self._clock.monotonic()
        if self._at >= self._end:
            self.close()
        elif self._bars is not None and (self._drawn or now - self._began > _PATIENCE_SECONDS):
            if not self._drawn:
                self._drawn = True
                self._bars.begin("catching up", self._end - self._start, self._at - self._start)
            self._bars.advance("catching up", moved)
        elif self._bars is None and now - self._told >= _REPORT_SECONDS:
            self._told = now
            rate = (self._at - self._start) / max(now - self._began, 0.001)
            self._log.info(
                "catching up",
                bytes_left=self._end - self._at,
                bytes_per_second=int(rate),
                seconds_left=_seconds_left(self._end - self._at, rate),
            )

    def close(self) -> None:
        """It was read, or will not be."""
        if self._bars is not None:
            if self._at >= self._end:
                self._bars.finish("catching up")
            self._bars.close()


@contextmanager
def waiting(what: str, **facts: object) -> Iterator[None]:
    """Say every few seconds that a call which blocks still waits: `what` for."""
    ended = threading.Event()

    def tell() -> None:
        seconds = 0
        while not ended.wait(_REPORT_SECONDS):
            seconds += int(_REPORT_SECONDS)
            logger("producer.run").info(f"waiting: {what}", **facts, seconds=seconds)

    teller = threading.Thread(target=tell, name="waiting", daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _seconds_left(amount: float, rate: float) -> int | None:
    return round(amount / rate) if rate > 0 and amount >= 0 else None


def _draws() -> bool:
    return _style == "text" and display.usable()


def json_lines() -> bool:
    """True when every line on stderr is to be a JSON document."""
    return _style == "json"
