"""Both paths in one process: a server's own COPY lines and wal2json records, walked by the producer's own plan."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from typing import Any, TypedDict

import fastavro
import psycopg
from psycopg import sql

from producer.decode import pgoutput, wal2json
from producer.decode.type_names import TypeNames
from producer.events import Relation
from producer.lsn import Lsn
from producer.schema.avro import TableSchema, table_schema
from producer.schema.plan import table_plan
from producer.schema.types import Modes
from producer.settings import load_settings
from producer.source import catalog, pg_types
from producer.source.wire import Connection, Server, connect
from producer.transcode.plan import TablePlan
from producer.transcode.source_block import SourceBlock
from tests.harness import Source

PREFIX = "shop"
COMMIT_US = 1_795_343_146_000_000
_FRAME = 5
# The end of an envelope whose times are null: op's length, op, three nulls.
_TAIL = 4


def server(source: Source) -> Server:
    """The test's database, as the producer is told of it."""
    where = source.stack.environment(source.name)
    return Server(
        host=where["PRODUCER_DATABASE_HOSTNAME"],
        port=int(where["PRODUCER_DATABASE_PORT"]),
        user=where["PRODUCER_DATABASE_USER"],
        password=where["PRODUCER_DATABASE_PASSWORD"],
        dbname=source.name,
        application_name="tests",
    )


_NO_FILTERS = load_settings(None, ["topic.prefix=p"], {}).settings


class Ways(TypedDict, total=False):
    """How a plugin prints, as a plan is told."""

    nan_is_null: bool
    signed_oids: bool
    primary_told: bool


class Reader:
    """A session that is pinned like the producer's, and a slot of its own."""

    def __init__(self, source: Source, plugin: str = "wal2json") -> None:
        """With `plugin` pgoutput, wal2json is not asked: there are `messages` alone."""
        self._slot = source.slot
        self.plugin = plugin
        self._more: dict[str, str] = {}
        self._names: TypeNames | None = None
        self._publication = ""
        self._server = server(source)
        self.connection: Connection = connect(self._server)

    def publish(self) -> None:
        """Have pgoutput tell of all tables, too."""
        self._publication = f"producer_{self._slot}"
        self.connection.execute(f"CREATE PUBLICATION {self._publication} FOR ALL TABLES".encode())

    def begin(self) -> None:
        """Make the slots: what happened before is not decoded."""
        if self.plugin == "wal2json":
            self._begin_records()
        if self._publication:
            self.connection.execute(b"SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", (self._publication,))

    def _begin_records(self) -> None:
        self.connection.execute(b"SELECT pg_create_logical_replication_slot(%s, 'wal2json')", (self._slot,))
        self._more = dict(wal2json.NEWER)
        for optional in list(self._more):
            try:
                self.records()
                break
            except psycopg.errors.InvalidParameterValue:
                # An older wal2json.
                del self._more[optional]
        self.connection.execute(b"CREATE TABLE public.seen (id int); INSERT INTO public.seen VALUES (1)")
        if not any(b'"typeoid"' in record for record in self.records()):
            # wal2json 2.3.
            self._names = TypeNames(lambda name: pg_types.type_oid(self.connection, name))
        self.connection.execute(b"DROP TABLE public.seen")

    @property
    def ways(self) -> Ways:
        """The plugin's."""
        if self.plugin == "pgoutput":
            return {"nan_is_null": False, "signed_oids": False}
        return {
            "nan_is_null": wal2json.NUMBERS_AS_STRINGS not in self._more,
            "signed_oids": wal2json.EMPTY_TRANSACTIONS not in self._more,
            "primary_told": self._names is None,
        }

    def close(self) -> None:
        """End the session; the slot goes with its database."""
        self.connection.close()

    def relations(self) -> dict[tuple[str, str], Relation]:
        """The shapes that all tables have now."""
        found = catalog.relations(self.connection, catalog.tables(self.connection), _NO_FILTERS)
        return {(relation.schema, relation.name): relation for relation in found.values()}

    def end(self) -> None:
        """Drop the slots, and leave no transaction of before to the next one."""
        self.connection.execute(
            b"SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE slot_name = ANY (%s::text[])",
            ([self._slot, self._publication],),
        )

    def messages(self) -> list[bytes]:
        """What pgoutput says of relations and rows, read once."""
        options = [part for pair in pgoutput.options([self._publication]).items() for part in pair]
        query = (
            b"SELECT encode(data, 'hex') FROM pg_logical_slot_get_binary_changes(%s, NULL, NULL, VARIADIC %s::text[])"
        )
        # In a session of its own: older servers decode by pgoutput ten times in one.
        with connect(self._server) as session:
            found = session.execute(query, (self._publication, options)).fetchall()
        messages = [bytes.fromhex(str(data)) for (data,) in found]
        return [message for message in messages if message[:1] in (b"R", b"I", b"U", b"D")]

    def records(self, changed: Mapping[str, str] | None = None) -> list[bytes]:
        """What the slot holds, read once; with the producer's own options, some of them changed."""
        pairs = {**wal2json.options(None, type_names=self._names is not None), **self._more, **(changed or {})}
        options = [part for pair in pairs.items() for part in pair]
        query = b"SELECT data FROM pg_logical_slot_get_changes(%s, NULL, NULL, VARIADIC %s::text[])"
        found = self.connection.execute(query, (self._slot, options)).fetchall()
        rows = [str(data).encode() for (data,) in found if not str(data).startswith(('{"action":"B"', '{"action":"C"'))]
        return rows if self._names is None else [self._names.with_oids(row) for row in rows]

    def lines(self, relation: Relation, order: str) -> list[bytes]:
        """What COPY says of a table: the statement of `source.snapshot`, in an order."""
        statement = sql.SQL("COPY (SELECT {} FROM ONLY {} ORDER BY {}) TO STDOUT").format(
            sql.SQL(", ").join(sql.Identifier(column.name) for column in relation.columns),
            sql.Identifier(relation.schema, relation.name),
            sql.Identifier(order),
        )
        with self.connection.cursor() as cursor, cursor.copy(statement) as copy:
            return [bytes(line) for line in copy]


class Walk:
    """A relation's plan in a walker of one build, and the schemas that a consumer decodes by."""

    def __init__(
        self,
        build: dict[str, Any],
        relation: Relation,
        modes: Modes | None = None,
        ways: Ways | None = None,
    ) -> None:
        modes = modes or Modes(prefix=PREFIX)
        self.schemas: TableSchema = table_schema(relation, modes=modes)
        self.plan: TablePlan = table_plan(
            relation,
            topic=self.schemas.topic,
            key_id=None if self.schemas.key_schema is None else 1,
            value_id=2,
            modes=modes,
            **(ways or Ways(nan_is_null=True)),
        )
        self.walker = build["walker"].Walker()
        self.form_error: type[Exception] = build["plan"].FormError
        self.walker.install(self.plan)
        self._value = fastavro.parse_schema(_numbers(json.loads(self.schemas.value_schema)))
        self._key = (
            None if self.schemas.key_schema is None else fastavro.parse_schema(json.loads(self.schemas.key_schema))
        )

    def record(self, message: bytes) -> int:
        """Walk a record; the walker's code."""
        head_end = message.index(b'"lsn":"') + len(b'"lsn":"')
        parts = SourceBlock(version="1", name=PREFIX, database="d").transaction(
            record_head=message[message.index(b',"xid"') : head_end],
            xid=1,
            commit_lsn=Lsn(1),
            commit_us=COMMIT_US,
            previous=-1,
        )
        self.walker.begin(parts)
        code: int = self.walker.row(message, 0, 0)
        return code

    def tuple(self, message: bytes, start: int) -> int:
        """Walk pgoutput's row by what it was bound to; the walker's code."""
        code: int = self.walker.tuple_row(message, start, 0)
        return code

    def line(self, line: bytes, lsn: int) -> None:
        """Walk a COPY line as if it stood at `lsn`, with the source block of `record`: only op tells them apart."""
        parts = SourceBlock(version="1", name=PREFIX, database="d").transaction(
            record_head=b"", xid=1, commit_lsn=Lsn(1), commit_us=COMMIT_US, previous=-1
        )
        self.walker.begin(parts)
        self.walker.copy_row(line, self.plan, lsn)

    def decoded(self, value: bytes) -> Any:
        """The whole envelope, as a consumer reads it; nothing may be left over."""
        stream = io.BytesIO(value[_FRAME:])
        found = fastavro.schemaless_reader(stream, self._value, None)
        assert not stream.read()
        return found

    def decoded_key(self, key: bytes) -> Any:
        """The key."""
        stream = io.BytesIO(key[_FRAME:])
        assert self._key is not None
        found = fastavro.schemaless_reader(stream, self._key, None)
        assert not stream.read()
        return found


def _numbers(schema: Any) -> Any:
    """Without Avro's own dates and times: Python's have not their range."""
    if isinstance(schema, list):
        return [_numbers(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {name: item for name, item in schema.items() if name != "logicalType" or item == "decimal"}
    return {name: _numbers(item) for name, item in kept.items()}


def without_op(value: bytes) -> bytes:
    """An envelope but for its op."""
    return value[:-_TAIL] + value[-_TAIL + 1 :]
