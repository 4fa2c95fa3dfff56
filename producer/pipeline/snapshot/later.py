"""Later readings: tables that are read beside the running stream, chunk by chunk, spliced in where they belong.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Snapshot".
The rule: a stream event is never left out, a snapshot row is, when a transaction that the reading's
snapshot does not show has touched its key and was produced before.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from producer import observe
from producer.clock import Clock
from producer.lsn import Lsn
from producer.pipeline.snapshot.marks import Marks
from producer.pipeline.snapshot.unread import Unread
from producer.source import visibility
from producer.source.catalog import Table
from producer.source.snapshot import TableReader
from producer.source.wire import Connection, Server, connect, explained

_log = observe.logger("producer.later")

# How far behind a stream that is caught up may be; further, the longer a table has waited for one that never is.
_BEHIND_SECONDS = 1.0
_BEHIND_SHARE = 0.5
# Between two tries of a reading that found the table locked, or transactions not visible yet.
_PAUSE_SECONDS = 0.2
_LOCK_TIMEOUT = "500ms"
# A reading that more keys than this were touched beside is given up and begun again.
_MOST_TOUCHED = 1_000_000
_FRAME = 5
# How old a snapshot may become: it holds back vacuum, and its lock whoever wants to change the table.
_YOUNG_SECONDS = 30.0
_WORRY_SECONDS = 30.0

Splice = Callable[[TableReader, Unread, Lsn, Callable[[bytes | None], bool] | None], bool]
"""Copies the next chunk's rows to the sink at a position, those left out that the function names; False: it did not."""


@dataclass(slots=True)
class Reading:
    """The reading of a table's next chunks, from its snapshot to where their rows are spliced in."""

    unread: Unread
    topic: str
    keyed: bool
    reader: TableReader
    snapshot: str
    """As txid_current_snapshot() prints it."""
    at: Lsn
    """Everything that the snapshot shows was committed before this."""
    taken: float = 0.0
    """When, by the clock."""
    due: bool = True
    """The next chunk has its turn; not before the stream has caught up with what came while another was sent."""
    touched: set[bytes] = field(default_factory=set)
    """Keys, as digests, of events that the snapshot does not show."""
    disturbed: bool = False
    """Something happened that rows cannot be told apart by: the reading is begun again."""

    def note(self, xid: int, keys: Iterable[bytes | None], *, insert: bool) -> None:
        """An event of the table goes out."""
        if not visibility.unfinished(xid, self.snapshot):
            return
        # Without a key it cannot be told which row a delete means; an insert means none that was read.
        self.disturbed |= not self.keyed and not insert
        self.touched.update(_digest(key) for key in keys if key is not None)
        self.disturbed |= len(self.touched) > _MOST_TOUCHED

    def leaves_out(self, key: bytes | None) -> bool:
        """Whether the topic knows better than the row with this key."""
        return key is not None and bool(self.touched) and _digest(key) in self.touched


def _digest(key: bytes) -> bytes:
    # Without its frame: the schema's id may differ, the key is the same.
    return blake2b(key[_FRAME:], digest_size=16).digest()


def near_enough(behind: float, waited: float) -> bool:
    """Whether a stream `behind` seconds behind counts as caught up for a table that has `waited` that many.

    A reading is right however far the stream is behind, but holds its snapshot open for as long.
    """
    return behind <= max(_BEHIND_SECONDS, waited * _BEHIND_SHARE)


class LaterReadings:
    """The tables of one stream that are still to be read, one after the other, a chunk whenever the stream caught up.

    `unseen` are the transactions (32-bit ids) that were produced and not yet seen to be visible: a
    commit is in the log, and decoded, before a snapshot shows it. `ready` tells whether a snapshot of a
    table would show all that the stream does not hold; the others, by OID, will be asked for.
    """

    def __init__(
        self,
        *,
        server: Server,
        clock: Clock,
        catalog: Connection,
        wanted: Sequence[Unread],
        marks: Marks,
        topic: Callable[[Table], str],
        keyed: Callable[[Table], bool],
        unseen: set[int],
        splice: Splice,
        ready: Callable[[Table, Collection[int]], bool],
    ) -> None:
        self._server = server
        self._clock = clock
        self._catalog = catalog
        self._wanted = deque(sorted(wanted, key=lambda unread: unread.table.rows))
        self._marks = marks
        self._topic = topic
        self._keyed = keyed
        self._unseen = unseen
        self._splice = splice
        self._ready = ready
        self._probe: tuple[Lsn, float] | None = None
        self._not_before = 0.0
        self._turn_since: float | None = None
        self._waiting_since: float | None = None
        self.reading: Reading | None = None

    @property
    def pending(self) -> bool:
        """True while a table is still to be read."""
        return bool(self._wanted)

    def want(self, unread: Unread) -> None:
        """Read this table too."""
        if all(unread.table.oid != other.table.oid for other in self._wanted):
            self._wanted.append(unread)

    def consider(self, streamed: Lsn) -> None:
        """Begin the next reading, or go on with it, once the stream, which is at `streamed`, has caught up."""
        now = self._clock.monotonic()
        if not self._wanted or (self.reading is not None and self.reading.due) or now < self._not_before:
            return
        if self._turn_since is None:
            self._turn_since = now
        if self._probe is not None and streamed >= self._probe[0]:
            caught_up = near_enough(now - self._probe[1], now - self._turn_since)
            self._probe = None
            if caught_up and self.reading is not None:
                self.reading.due = True
            elif caught_up and self._ready(self._wanted[0].table, [unread.table.oid for unread in self._wanted]):
                self._begin(self._wanted[0])
            elif caught_up:
                self._worry(
                    "those who wrote to it before it was published have not ended",
                    "SELECT pid, xact_start, query FROM pg_stat_activity WHERE backend_xid IS NOT NULL; "
                    "SELECT * FROM pg_prepared_xacts;  -- end what is left open",
                    table=self._wanted[0].table.qualified_name,
                )
                self._not_before = now + _PAUSE_SECONDS
                # Another may be.
                self._wanted.rotate(-1)
            if caught_up:
                return
        if self._probe is None:
            with explained(self._server, "asking for the end of the log"):
                self._probe = (visibility.flush_lsn(self._catalog), now)

    def due(self, streamed: Lsn) -> bool:
        """Whether the stream is where the reading's rows belong: all before is out, and nothing behind."""
        return self.reading is not None and self.reading.due and streamed >= self.reading.at

    def splice(self) -> None:
        """Send the reading's rows; between two transactions only."""
        reading = self.reading
        assert reading is not None
        self.reading = None
        try:
            if reading.disturbed:
                _log.info("the table is read again: it changed meanwhile", table=reading.unread.table.qualified_name)
                self._not_before = self._clock.monotonic() + _PAUSE_SECONDS
            elif self._splice(
                reading.reader, reading.unread, reading.at, reading.leaves_out if reading.touched else None
            ):
                if not reading.unread.waiting:
                    self._wanted.popleft()
                elif self._clock.monotonic() - reading.taken < _YOUNG_SECONDS:
                    # Its rule holds for the chunks that wait, too: what it does not show is noted.
                    reading.due = False
                    self.reading = reading
                    self._turn_since = None
                if not self._wanted:
                    _log.info("the snapshot is complete")
        finally:
            if self.reading is None:
                reading.reader.close()

    def truncated(self, topic: str, xid: int) -> None:
        """A table is emptied: rows that were read before it are not to be sent."""
        reading = self.reading
        if reading is not None and reading.topic == topic and visibility.unfinished(xid, reading.snapshot):
            reading.disturbed = True

    def close(self) -> None:
        """Give an unfinished reading up."""
        if self.reading is not None:
            self.reading.reader.close()
            self.reading = None

    def _begin(self, unread: Unread) -> None:
        connection = connect(self._server)
        reader = TableReader(connection, self._server)
        try:
            reading = self._read(unread, connection, reader)
        except BaseException:
            reader.close()
            raise
        if reading is None:
            reader.close()
            self._not_before = self._clock.monotonic() + _PAUSE_SECONDS
        self.reading = reading

    def _read(self, unread: Unread, connection: Connection, reader: TableReader) -> Reading | None:
        """Take a snapshot that shows all that was produced so far; None: not now."""
        table = unread.table
        found = reader.lock(table, _LOCK_TIMEOUT)
        if found == "gone":
            _log.info("the table is gone", table=table.qualified_name)
            self._wanted.popleft()
            # What it is when it comes back, under this name, is not known.
            self._marks.forget(unread)
        if found != "same":
            return None
        taken = self._clock.monotonic()
        with explained(self._server, f"reading table {table.qualified_name}"):
            snapshot = visibility.snapshot(connection)
            at = visibility.insert_lsn(connection)
        hidden = [xid for xid in self._unseen if visibility.unfinished(xid, snapshot)]
        if hidden:
            self._worry(
                "transactions that may be in the stream are not visible yet",
                "SELECT pid, xact_start, wait_event, query FROM pg_stat_activity WHERE backend_xid IS NOT NULL;  "
                "-- those of this database have run since our start, or wait for a synchronous standby that is away",
                transactions=len(hidden),
            )
            return None
        self._turn_since = self._waiting_since = None
        return Reading(unread, self._topic(table), self._keyed(table), reader, snapshot, at, taken)

    def _worry(self, why: str, remedy: str, **more: object) -> None:
        now = self._clock.monotonic()
        if self._waiting_since is None:
            self._waiting_since = now
        if now - self._waiting_since > _WORRY_SECONDS:
            self._waiting_since = now
            _log.warning(f"a table's reading waits: {why}", **more, remedy=remedy)
