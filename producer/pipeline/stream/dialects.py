"""What the two plugins say, for one way to take it: a message's parts, and what takes its plain ones.

Room: pipeline (IO: the catalogue). docs/DESIGN.md, "pgoutput".
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Protocol

from producer.decode.pgoutput import LoggedRelation
from producer.decode.rewording import Rewording
from producer.decode.wal2json import Record, Truncate
from producer.lsn import Lsn
from producer.pipeline.connector import Connector
from producer.pipeline.stream.misfits import NOT_OURS
from producer.pipeline.tables.tables import Tables
from producer.source import catalog
from producer.source.catalog import Table
from producer.source.replication import XLOG_HEADER
from producer.source.wire import Connection
from producer.transcode.fast_path import FastPath
from producer.transcode.tuple_path import TuplePath
from producer.transcode.walker import Walker

_KINDS = {"c": b"I", "u": b"U", "d": b"D"}


class Dialect(Protocol):
    """One plugin's, of one stream."""

    def fast_path(self, connector: Connector, previous: Lsn | None) -> FastPath:
        """What takes the plain messages; `previous` is the commit before the first, where known."""

    def parts(self, message: bytes, record_head: bytes) -> Iterable[bytes | Record]:
        """What a message says, in order: a row, or anything that is to be decoded, as wal2json's record.

        Raises:
            DecodeError: it cannot be read.
        """

    def walked(self, result: int) -> None:
        """The row that was given last came to this, one of the walker's codes."""

    def ahead(self, messages: Iterable[bytes], record_head: bytes) -> Iterable[bytes]:
        """Rows among messages that have arrived behind the one at hand, as wal2json's records."""


class Records(Dialect):
    """wal2json's: each message is one record."""

    def fast_path(self, connector: Connector, previous: Lsn | None) -> FastPath:
        """What takes the plain messages; `previous` is the commit before the first, where known."""
        return FastPath(
            connector.walker, connector.block, connector.unseen,
            previous=previous, tombstones=connector.settings.tombstones_on_delete,
        )  # fmt: skip

    def parts(self, message: bytes, record_head: bytes) -> Iterable[bytes | Record]:
        """The message itself."""
        return (message,)

    def walked(self, result: int) -> None:
        """Each record says all of itself."""

    def ahead(self, messages: Iterable[bytes], record_head: bytes) -> Iterable[bytes]:
        """The messages themselves."""
        return messages


class Tuples(Dialect):
    """pgoutput's: a relation is told of once, and its rows name it by its OID."""

    def __init__(self, walker: Walker, skipped: Collection[str], connection: Connection, tables: Tables) -> None:
        """`skipped` operations are left out: what the publication gives is for others, too."""
        self._walker = walker
        self._connection = connection
        self._tables = tables
        self._skipped = b"".join(kind for operation, kind in _KINDS.items() if operation in skipped)
        self._rewording = Rewording(self._primary, skipped, header=XLOG_HEADER)
        self._oid = 0

    def fast_path(self, connector: Connector, previous: Lsn | None) -> FastPath:
        """What takes the plain messages; `previous` is the commit before the first, where known."""
        return TuplePath(
            connector.walker, connector.block, connector.unseen,
            previous=previous, tombstones=connector.settings.tombstones_on_delete, skipped=self._skipped,
        )  # fmt: skip

    def parts(self, message: bytes, record_head: bytes) -> Iterable[bytes | Record]:
        """A relation message tells nothing of its own, one TRUNCATE something of each table."""
        kind = message[XLOG_HEADER : XLOG_HEADER + 1]
        self._oid = int.from_bytes(message[XLOG_HEADER + 1 : XLOG_HEADER + 5], "big")
        if kind == b"R":
            self._walker.unbind(self._oid)
        found = self._rewording.read(message, record_head)
        return self._with_roots(list(found)) if kind == b"T" else found

    def walked(self, result: int) -> None:
        """Let the fast path take the relation's rows from now on, where the row's plan says the same as the relation.

        A row of a table that is not selected is passed over from now on.
        """
        if result == NOT_OURS:
            self._walker.pass_over(self._oid)
            return
        told = self._rewording.relation(self._oid)
        self._walker.bind(self._oid, told.names, list(told.heads), told.in_identity, told.tail)

    def ahead(self, messages: Iterable[bytes], record_head: bytes) -> Iterable[bytes]:
        """The updates among them."""
        return self._rewording.ahead(messages, record_head)

    def _with_roots(self, emptied: list[bytes | Record]) -> Iterator[bytes | Record]:
        """A partitioned table that was emptied whole before its partitions: pgoutput tells of these alone.

        Whole means every partition that there is now: one that was made since makes it a comparison of the table with
        its topic, which says the same in more words.
        """
        names = {(record.schema, record.table) for record in emptied if isinstance(record, Truncate)}
        every = catalog.tables(self._connection)
        leaves: dict[int, set[tuple[str, str]]] = {}
        roots: dict[tuple[str, str], Table] = {}
        by_oid = {table.oid: table for table in every}
        for oid, root in catalog.leaves(every, self._tables.chosen).items():
            leaf = (by_oid[oid].schema, by_oid[oid].name)
            leaves.setdefault(root.oid, set()).add(leaf)
            roots[leaf] = root
        told: set[int] = set()
        for record in emptied:
            if isinstance(record, Truncate):
                found = roots.get((record.schema, record.table))
                if found is not None and found.oid not in told and leaves[found.oid] <= names:
                    told.add(found.oid)
                    yield replace(record, schema=found.schema, table=found.name)
            yield record

    def _primary(self, told: LoggedRelation) -> Sequence[tuple[str, int]]:
        """The primary key of a relation whose message does not tell it: the catalogue's, which may be ahead.

        What is no column of the relation yet is none of its key: then as it was known before.
        """
        columns = {(column.name, column.type_oid) for column in told.columns}
        known = self._tables.remembered(told.schema, told.table)
        before = known.primary if known is not None else None
        for primary in (catalog.primary(self._connection, told.oid), before):
            if primary is not None and columns.issuperset(primary):
                return primary
        return ()
