"""What a topic says of each key: at its end, and as of a moment of the source.

Room: pipeline (IO: a temporary file). SQLite, "Temporary Databases"; docs/DESIGN.md, "Verify".
A topic is folded by its order within a partition, as its consumers and compaction do. Memory does not grow with it.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

from producer.pipeline.verify.moment import Moment
from producer.pipeline.verify.sides.images import Held, Images
from producer.sink.protocol import RawRecord

_COLUMNS = "key BLOB, part INT, lsn INT, xid INT, a INT, b INT, bucket INT, hidden TEXT, live INT"
_PLACES = "?, ?, ?, ?, ?, ?, ?, ?, ?"
_CACHE_KIB = 65536

_State = tuple[bytes, int, int, int | None, int, int, int, str | None, int]
Sums = dict[int, tuple[int, int, int]]
"""By bucket: rows, and the sums of the two halves of their digests."""


class TopicState:
    """One table's topic, folded: `last` at the end that was read, `aside` where that is not what the moment saw.

    Before the first moment the fold forgets what is gone, unless `start` does not show that it went.
    """

    def __init__(self, images: Images, start: Moment, *, compacted: bool) -> None:
        self._images = images
        self._start = start
        self._compacted = compacted
        self._moment: Moment | None = None
        self.hides = False
        """Some record did not hold all its columns."""
        # An empty name is a file of its own that nobody else sees.
        self.file = sqlite3.connect("", isolation_level=None)
        """`last`, `aside`, `moving`; a comparison has its own tables beside them."""
        self.file.execute("PRAGMA journal_mode = OFF")
        self.file.execute("PRAGMA synchronous = OFF")
        self.file.execute(f"PRAGMA cache_size = -{_CACHE_KIB}")
        for name in ("last", "aside"):
            self.file.execute(f"CREATE TABLE {name} ({_COLUMNS}, PRIMARY KEY (key, part)) WITHOUT ROWID")
        self.file.execute("CREATE TABLE moving (key BLOB PRIMARY KEY) WITHOUT ROWID")
        self.file.execute(
            "CREATE VIEW state AS SELECT * FROM aside WHERE live UNION ALL SELECT * FROM last WHERE live "
            "AND NOT EXISTS (SELECT 1 FROM aside WHERE aside.key = last.key AND aside.part = last.part)"
        )
        self.file.execute("BEGIN")

    def close(self) -> None:
        """The file is gone."""
        self.file.close()

    def take(self, records: Sequence[RawRecord]) -> None:
        """Fold what was read.

        Raises:
            OperatorError, DecodeError: a record is none of ours.
        """
        if self._moment is None:
            self._fold(records)
            return
        for record in records:
            self._follow(record, self._moment)

    def begin(self, moment: Moment) -> None:
        """From now on `state` is what the topic says as of the moment; all that is read further is compared with it.

        `moving` are the keys of which that cannot be told: they are to be looked at again, at another moment.
        """
        self._moment = moment
        self.file.create_function("shows", 2, moment.shows)
        self.file.execute("DELETE FROM aside")
        self.file.execute("DELETE FROM moving")
        self.file.execute("INSERT OR IGNORE INTO moving SELECT key FROM last WHERE NOT shows(xid, lsn)")

    def sums(self) -> Sums:
        """Of the buckets that hold a key."""
        rows: Counter[int] = Counter()
        first: Counter[int] = Counter()
        second: Counter[int] = Counter()
        for bucket, a, b in self.file.execute("SELECT bucket, a, b FROM state"):
            rows[bucket] += 1
            first[bucket] += a
            second[bucket] += b
        return {bucket: (rows[bucket], first[bucket], second[bucket]) for bucket in rows}

    def hidden(self, key: bytes) -> str | None:
        """The columns that the key's last record does not hold."""
        if not self.hides:
            return None
        found = self.file.execute("SELECT hidden FROM last WHERE key = ? AND hidden IS NOT NULL", (key,)).fetchone()
        return None if found is None else str(found[0])

    def _fold(self, records: Sequence[RawRecord]) -> None:
        fold: dict[tuple[bytes, int], _State] = {}
        for record in records:
            part = record.partition
            if record.key is None:
                # Read before the table was locked for the first moment: what it emptied was empty by then.
                self._images.emptied(record)
                fold = {place: state for place, state in fold.items() if place[1] != part}
                self.file.execute("DELETE FROM last WHERE part = ?", (part,))
                continue
            key = self._images.key(record)
            if record.value is not None:
                fold[key, part] = self._state(key, part, self._images.held(record))
            elif (fold[key, part][-1] if (key, part) in fold else self._live(key, part)) != 0:
                fold[key, part] = _gone(key, part)
        kept = [state for state in fold.values() if state[-1] or not self._start.shows(state[3], state[2])]
        gone = [state[:2] for state in fold.values() if not state[-1] and self._start.shows(state[3], state[2])]
        self.file.executemany("DELETE FROM last WHERE key = ? AND part = ?", gone)
        self.file.executemany(_KEEP.format("last"), kept)

    def _follow(self, record: RawRecord, moment: Moment) -> None:
        part = record.partition
        if record.key is None:
            emptied = self._images.emptied(record)
            if moment.shows(emptied.xid, emptied.lsn):
                self.file.execute("DELETE FROM aside WHERE part = ?", (part,))
            else:
                self.file.execute("INSERT OR IGNORE INTO aside SELECT * FROM last WHERE part = ?", (part,))
            self.file.execute("DELETE FROM last WHERE part = ?", (part,))
            return
        key = self._images.key(record)
        if record.value is None:
            # Behind its delete a tombstone says nothing new.
            if self._live(key, part) != 0:
                self._keep(_gone(key, part))
            return
        held = self._images.held(record)
        state, shown = self._state(key, part, held), moment.shows(held.xid, held.lsn)
        if shown:
            self._keep(state)
        else:
            self.file.execute("INSERT OR IGNORE INTO aside SELECT * FROM last WHERE key = ? AND part = ?", state[:2])
            self.file.execute(f"INSERT OR IGNORE INTO aside VALUES ({_PLACES})", _gone(key, part))
            self.file.execute(_KEEP.format("last"), state)
        if held.reread or (not shown and (held.xid is None or self._compacted)):
            # Younger than its transaction; read at we know not which moment; or what was before it is compacted away.
            self.file.execute("INSERT OR IGNORE INTO moving VALUES (?)", (key,))

    def _keep(self, state: _State) -> None:
        """What the moment shows; it may come again behind what the moment does not show."""
        self.file.execute(_KEEP.format("last"), state)
        if self.file.execute("SELECT 1 FROM aside WHERE key = ? AND part = ?", state[:2]).fetchone():
            self.file.execute(_KEEP.format("aside"), state)

    def _live(self, key: bytes, part: int) -> int | None:
        found = self.file.execute("SELECT live FROM last WHERE key = ? AND part = ?", (key, part)).fetchone()
        return None if found is None else int(found[0])

    def _state(self, key: bytes, part: int, held: Held) -> _State:
        self.hides |= held.hidden is not None
        if held.digest is None:
            return (key, part, held.lsn, held.xid, 0, 0, 0, None, 0)
        return (key, part, held.lsn, held.xid, *held.digest, self._images.bucket(key), held.hidden, 1)


_KEEP = f"INSERT OR REPLACE INTO {{}} VALUES ({_PLACES})"


def _gone(key: bytes, part: int) -> _State:
    """A key that nothing is known of, or that a tombstone alone has ended."""
    return (key, part, 0, None, 0, 0, 0, None, 0)
