"""PostgreSQL is the oracle: what a consumer decodes is what the server says, on both paths, in the same bytes.

`PRODUCER_TEST_SECONDS` is about how long the random part takes (default 8), `PRODUCER_TEST_SEED` repeats a run. A
value that fails is kept: write it into tests/golden/cases.py as the failure says, then `make golden`.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dev.stack import Stack
from producer.decode import pgoutput
from producer.decode.rewording import Relation, Rewording
from tests import builds, harness, tuples
from tests.budget import SECONDS, seeded
from tests.harness import Source, source_of
from tests.oracle import made, moded
from tests.oracle.kinds import REFUSED, Kind, comparable
from tests.paths import Reader, Walk, without_op

pytestmark = pytest.mark.matrix

_BUILDS = {"compiled": builds.compiled(), "uncompiled": builds.uncompiled()}
KINDS = [*made.KINDS, *moded.KINDS]
_JIT_SINCE = 110000
_INFINITE_NUMERICS_SINCE = 140000
_LONG_INTERVALS_SINCE = 150000
# An example is a dozen rows of one type, and takes about so long.
_EXAMPLE_SECONDS = 0.03
# Behind XLogData's header.
_HEADER = 25
_EXAMPLES = max(1, round(SECONDS / _EXAMPLE_SECONDS / len(KINDS)))


@dataclass(frozen=True)
class Logged:
    """What the log says of a row."""

    record: bytes
    """As wal2json prints it, or the general path words it."""
    tuple: tuple[Relation, bytes] | None = None
    """pgoutput's message, and what was told of the relation before."""


class Oracle:
    """A database with a table for each kind."""

    def __init__(self, source: Source) -> None:
        self.reader = Reader(source, harness.PLUGIN)
        # Compiling a query would take longer than running it.
        self._version = self.reader.connection.info.server_version
        self._run("SET search_path = public" + ("; SET jit = off" if self._version >= _JIT_SINCE else ""))
        known = self.reader.connection.execute(b"SELECT name FROM pg_available_extensions").fetchall()
        self._extensions = {str(name) for (name,) in known}
        statements = [*made.DDL]
        if self._version >= made.DOMAINS_OF_RECORDS_SINCE:
            statements += made.DDL_OF_RECORDS
        if "postgis" in self._extensions:
            statements.append("CREATE EXTENSION postgis")
        self.tables = {kind.id: (f"t{number}", kind.sql) for number, kind in enumerate(KINDS) if not self.lacks(kind)}
        statements += [f"CREATE TABLE {table} (id int PRIMARY KEY, v {kind})" for table, kind in self.tables.values()]
        self._run("; ".join(statements))
        self._relations = self.reader.relations()
        if harness.PLUGIN == "pgoutput":
            self.reader.publish()
        self.reader.begin()

    def lacks(self, kind: Kind) -> str:
        """Why the server has no such type; empty when it has."""
        if kind.extension and kind.extension not in self._extensions:
            return f"{kind.extension} is not installed on this server"
        return f"{kind.sql} came with PostgreSQL {kind.since // 10000}" if self._version < kind.since else ""

    def walks(self, kind: Kind) -> tuple[Walk, Walk]:
        """The kind's table in both builds."""
        relation = self._relations["public", self.tables[kind.id][0]]
        ways = self.reader.ways
        return (
            Walk(_BUILDS["compiled"], relation, kind.modes, ways),
            Walk(_BUILDS["uncompiled"], relation, kind.modes, ways),
        )

    def _run(self, statement: str) -> None:
        self.reader.connection.execute(statement.encode())

    def compare(self, kind: Kind, walks: tuple[Walk, Walk], literals: list[str]) -> None:
        """Store them, read them on both paths, ask the server, compare."""
        if self._version < _INFINITE_NUMERICS_SINCE:
            literals = [one for one in literals if not ("Infinity" in one and "numeric" in one)]
        if self._version < _LONG_INTERVALS_SINCE:
            literals = [one for one in literals if "2562047788 hours" not in one]
        table = f"public.{self.tables[kind.id][0]}"
        rows = ", ".join(f"({number}, {literal})" for number, literal in enumerate(literals))
        self._run(f"DELETE FROM {table}; INSERT INTO {table} VALUES {rows}")
        said = self._said(kind, table)
        # The producer's own session has no search path.
        self._run("SET search_path = ''")
        records = [logged for logged in self._logged() if logged.record.startswith(b'{"action":"I"')]
        lines = self.reader.lines(walks[0].schemas.relation, "id")
        self._run("SET search_path = public")
        for literal, logged, line, expected in zip(literals, records, lines, said, strict=True):
            kept = f"to keep it, add to tests/golden/cases.py: Case('name', {kind.sql!r}, {literal!r})"
            found = [_read(walk, logged, line) for walk in walks]
            assert found[0] == found[1], f"the builds differ; {kept}"
            assert found[0] == comparable(expected), kept

    def _logged(self) -> Iterator[Logged]:
        """What the log says since it was asked last."""
        if harness.PLUGIN == "wal2json":
            yield from map(Logged, self.reader.records())
            return
        rewording = Rewording(lambda _told: (), header=_HEADER)
        for message in map(tuples.framed, self.reader.messages()):
            for record in rewording.read(message, pgoutput.record_head(745)):
                assert isinstance(record, bytes)
                told = rewording.relation(int.from_bytes(message[_HEADER + 1 : _HEADER + 5]))
                yield Logged(record[_HEADER:], (told, message))

    def _said(self, kind: Kind, table: str) -> list[Any]:
        """What the server says of each row, in other words than those that the producer reads."""
        render = f"CASE WHEN v IS NOT DISTINCT FROM NULL THEN NULL ELSE to_json({kind.render('v')}) END"
        found = self.reader.connection.execute(f"SELECT ({render})::text FROM {table} ORDER BY id".encode()).fetchall()
        values = [None if text is None else json.loads(str(text), parse_float=Decimal) for (text,) in found]
        return [None if value is None else kind.expect(value) for value in values]


def _read(walk: Walk, logged: Logged, line: bytes) -> Any:
    """What a consumer decodes of a row; REFUSED when all paths refuse."""
    try:
        code = walk.record(logged.record)
    except walk.form_error:
        with pytest.raises(walk.form_error):
            walk.line(line, 0)
        if logged.tuple is not None:
            with pytest.raises(walk.form_error):
                _walk_tuple(walk, *logged.tuple)
        return REFUSED
    assert code == 1
    lsn, suspects, streamed = walk.walker.lsn, walk.walker.suspects, walk.walker.value
    if logged.tuple is not None:
        assert _walk_tuple(walk, *logged.tuple) == 1
        assert walk.walker.value == streamed, "the tuple's bytes differ"
    if suspects:
        # wal2json 2.5 prints NaN as null: the row is to be read again, and COPY is how.
        try:
            walk.line(line, lsn)
        except walk.form_error:
            return REFUSED
    else:
        walk.line(line, lsn)
        assert without_op(walk.walker.value) == without_op(streamed), "the paths differ"
    return comparable(walk.decoded(walk.walker.value)["after"]["v"])


def _walk_tuple(walk: Walk, told: Relation, message: bytes) -> int:
    assert walk.walker.bind(told.logged.oid, told.names, list(told.heads), told.in_identity, told.tail)
    return walk.tuple(message, _HEADER)


@pytest.fixture(scope="module")
def oracle(stack: Stack) -> Iterator[Oracle]:
    """Once for the module."""
    with source_of(stack, f"t{secrets.token_hex(5)}") as source:
        found = Oracle(source)
        yield found
        found.reader.close()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_values_are_what_postgresql_says(oracle: Oracle, kind: Kind) -> None:
    """Extremes and specials, then random values."""
    if oracle.lacks(kind):
        pytest.skip(oracle.lacks(kind))
    walks = oracle.walks(kind)
    oracle.compare(kind, walks, [*kind.extremes, "NULL"])

    @settings(
        max_examples=_EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        derandomize=False,
    )  # fmt: skip
    @given(literals=st.lists(kind.literals, min_size=6, max_size=12))
    def of_random_values(literals: list[str]) -> None:
        oracle.compare(kind, walks, literals)

    seeded(of_random_values)()
