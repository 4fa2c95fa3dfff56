"""One table compared with its topic, as of one moment: by hashes first, then row by row where those differ.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "Verify".
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from producer import observe
from producer.clock import Clock
from producer.errors import NotSettled
from producer.pipeline.reconcile import topic_keys
from producer.pipeline.snapshot import poison
from producer.pipeline.tables.plans import Plans, Shape
from producer.pipeline.verify.moment import Moment
from producer.pipeline.verify.passing import Passing
from producer.pipeline.verify.progress import Steps
from producer.pipeline.verify.result import KINDS, MOST_KEYS, TableResult
from producer.pipeline.verify.sides.images import Images
from producer.pipeline.verify.sides.table_look import Hashing, TableLook
from producer.pipeline.verify.sides.texts import MOST_BUCKETS
from producer.pipeline.verify.sides.topic_state import TopicState
from producer.schema import avro
from producer.schema.types import Modes
from producer.settings import Settings
from producer.sink.consume import Follower
from producer.sink.kafka import KafkaSink
from producer.source.catalog import Table
from producer.source.wire import Server
from producer.transcode.plan import FormError
from producer.transcode.walker import Walker

_log = observe.logger("producer.verify")

_STALL_SECONDS = 30.0
_ROWS_A_BUCKET = 500
# For a table never analysed, too: its size is not known.
_FEWEST_BUCKETS = 1024
# After so many looks at the same keys, each at another moment, the rest is left to another time.
_LOOKS = 6

_TABLES = (
    "CREATE TABLE rows (key BLOB PRIMARY KEY, a INT, b INT, hidden TEXT) WITHOUT ROWID",
    "CREATE TABLE held (key BLOB PRIMARY KEY, a INT, b INT, hidden TEXT) WITHOUT ROWID",
    "CREATE TABLE chosen (bucket INTEGER PRIMARY KEY)",
    "CREATE TABLE differing (key BLOB PRIMARY KEY, kind TEXT, told INT) WITHOUT ROWID",
    "CREATE TABLE open (key BLOB PRIMARY KEY) WITHOUT ROWID",
    "CREATE TABLE found (key BLOB PRIMARY KEY, kind TEXT) WITHOUT ROWID",
)
# A key that two partitions hold (their number was raised) is what its youngest record says.
_HOLD = "INSERT OR REPLACE INTO held SELECT key, a, b, hidden FROM state {} ORDER BY lsn"
# A row that lacks columns which the record did not lack when it was read is looked at again.
_DIFFERING = """
INSERT INTO differing
SELECT key, kind, again = 0 AND key NOT IN (SELECT key FROM moving) FROM (
    SELECT r.key AS key,
           CASE WHEN r.a IS NULL THEN 'not carried' WHEN s.key IS NULL THEN 'missing' ELSE 'different' END AS kind,
           s.key IS NOT NULL AND r.hidden IS NOT s.hidden AS again
      FROM rows r LEFT JOIN held s ON s.key = r.key WHERE s.key IS NULL OR (r.a, r.b) IS NOT (s.a, s.b)
    UNION ALL
    SELECT s.key, 'extra', 0 FROM held s WHERE NOT EXISTS (SELECT 1 FROM rows r WHERE r.key = s.key)
)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ground:
    """What all tables' comparisons stand on."""

    settings: Settings
    clock: Clock
    server: Server
    sink: KafkaSink
    plans: Plans
    passing: Passing
    steps: Steps


class Comparison:
    """Of one table; its topic is read once, and later on from there."""

    def __init__(self, ground: Ground, table: Table, shape: avro.TableSchema) -> None:
        """The table has a key, and its topic's keys can be known: see `demand`."""
        self._ground = ground
        settings, modes = ground.settings, Modes.of(ground.settings)
        self._shape = shape
        self._plan = ground.plans.trial(shape.relation, shape.topic, exact=False)
        masked = {column.name for column in self._plan.columns if column.masked}
        buckets = max(_FEWEST_BUCKETS, min(MOST_BUCKETS, table.rows // _ROWS_A_BUCKET))
        self._hashing = Hashing.of(shape.relation, modes, masked, buckets)
        self._images = Images(shape, ground.plans.schema_text, buckets if self._hashing is not None else 1)
        self._look = TableLook(ground.server, settings, table, shape.relation)
        self._walker = Walker()
        self._state = TopicState(
            self._images, ground.passing.start(), compacted=topic_keys.compacted(ground.sink, shape.topic)
        )
        self._file = self._state.file
        for statement in _TABLES:
            self._file.execute(statement)
        self._follower = Follower(ground.sink.consumer, shape.topic, _STALL_SECONDS)
        self._read: Callable[[int], None] = lambda _: None
        self.result = TableResult(
            table=table.qualified_name, topic=shape.topic, hashed=self._hashing is not None, buckets=buckets
        )

    def close(self) -> None:
        """Forget what was read."""
        self._follower.close()
        self._state.close()

    def run(self) -> None:
        """Fill the result.

        Raises:
            NotSettled: some keys changed with each look at them.
            ConversionError: a row that no record can carry, unless errors.tolerance lets it be.
        """
        name = self.result.table
        self._follow(f"{name}: reading its topic")
        suspects = None
        if self._hashing is not None:
            self._ground.steps.begin(f"{name}: hashing")
            moment, sums = self._look.sums(self._hashing)
            self.result.rows = sum(rows for rows, _, _ in sums.values())
            self._catch_up(moment)
            topic = self._state.sums()
            suspects = {bucket for bucket in sums.keys() | topic.keys() if sums.get(bucket) != topic.get(bucket)}
            self.result.buckets_read = len(suspects)
        if suspects is None or suspects:
            self._compare_rows(suspects)
        for kind, total in self._file.execute("SELECT kind, count(*) FROM found GROUP BY kind").fetchall():
            if kind in KINDS:
                self.result.totals[kind] = total
            else:
                self.result.not_carried = total
        for kind in KINDS:
            keys = self._file.execute("SELECT key FROM found WHERE kind = ? ORDER BY key LIMIT ?", (kind, MOST_KEYS))
            self.result.keys[kind] = [self._images.key_json(key) for (key,) in keys]

    def repairable(self) -> Iterator[bytes]:
        """The keys that differ, without their frame; not those whose deletes are not to be sent."""
        left_out = ("not carried", "extra" if "d" in self._ground.settings.skipped_operations else "")
        for (key,) in self._file.execute("SELECT key FROM found WHERE kind NOT IN (?, ?)", left_out):
            yield key

    def _compare_rows(self, suspects: set[int] | None) -> None:
        """Row by row, in some buckets or all; what cannot be told as of one moment is looked at as of another."""
        file = self._file
        for look in range(_LOOKS):
            for table in ("rows", "held", "chosen", "differing"):
                file.execute(f"DELETE FROM {table}")
            self._read = self._ground.steps.begin(f"{self.result.table}: reading rows")
            read_before = self.result.rows_read
            self._catch_up(self._look.rows(self._hashing, suspects, self._take))
            if self._hashing is None:
                self.result.rows = self.result.rows_read - read_before
            if suspects is not None:
                file.executemany("INSERT INTO chosen VALUES (?)", [(bucket,) for bucket in suspects])
            file.execute(_HOLD.format("" if suspects is None else "WHERE bucket IN (SELECT bucket FROM chosen)"))
            file.execute(_DIFFERING)
            if look:
                file.execute("DELETE FROM differing WHERE key NOT IN (SELECT key FROM open)")
            file.execute("INSERT INTO found SELECT key, kind FROM differing WHERE told")
            file.execute("DELETE FROM open")
            file.execute("INSERT INTO open SELECT key FROM differing WHERE NOT told")
            left = [key for (key,) in file.execute("SELECT key FROM open")]
            if not left:
                return
            _log.info("keys that are changing are looked at again", table=self.result.table, keys=len(left))
            if suspects is not None:
                suspects = {self._images.bucket(key) for key in left}
        raise NotSettled(
            f"table {self.result.table}: {len(left)} keys were changed at each of {_LOOKS} looks at them: whether they "
            "differ cannot be told",
            remedy="verify again, at a quieter time; a topic that is not compacted can be compared at any time",
        )

    def _catch_up(self, moment: Moment) -> None:
        """Read on until the topic has everything that the moment shows."""
        self.result.position = str(moment.end)
        self._state.begin(moment)
        self._ground.steps.begin(f"{self.result.table}: waiting for the producer to pass {moment.end}")
        self._ground.passing.passed(moment.end)
        self._follow(f"{self.result.table}: reading on")

    def _follow(self, what: str) -> None:
        read = self._ground.steps.begin(what)
        for records in self._follower.to_end():
            self._state.take(records)
            read(len(records))

    def _take(self, moment: Moment, rows: Sequence[memoryview]) -> None:
        """Keep the digests of rows in COPY's text format."""
        found: list[tuple[bytes | None, int | None, int | None, str | None]] = []
        for row in rows:
            data = bytes(row)
            try:
                self._walker.copy_row(data, self._plan, moment.end)
            except FormError as error:
                found.append((self._not_carried(data, error, moment), None, None, None))
                continue
            key, value = self._walker.key, self._walker.value
            assert key is not None
            assert value is not None
            hidden = self._state.hidden(key[topic_keys.FRAME :])
            found.append((key[topic_keys.FRAME :], *self._images.row(value, hidden), hidden))
        self.result.rows_read += len(rows)
        self._file.executemany("INSERT OR REPLACE INTO rows VALUES (?, ?, ?, ?)", found)
        self._read(len(rows))

    def _not_carried(self, row: bytes, error: FormError, moment: Moment) -> bytes:
        """The key of a row that no record can carry.

        Raises:
            ConversionError: such rows are not to be, or it has no key.
        """
        shape = Shape(relation=self._shape.relation, schemas=self._shape, plan=self._plan)
        refused = poison.refused(self._walker, shape, error, moment.end)
        key = poison.key_of(self._walker, shape, row, moment.end)
        if self._ground.settings.errors_tolerance != "all" or key is None:
            raise refused from error
        return key[topic_keys.FRAME :]
