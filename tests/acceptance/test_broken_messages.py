"""A message that cannot be read stops the producer with its LSN; it is never skipped, its values never shown."""

from __future__ import annotations

import re
from typing import Any

import pytest

from producer.lsn import Lsn
from tests.harness import Command, Source
from tests.proxy import doctored

TUPLES: dict[str, object] = {"plugin.name": "pgoutput", "database.sslmode": "disable"}
TABLE = "CREATE TABLE t (id int PRIMARY KEY, v text)"
# What the proxy makes of the row's value: no end, no string, no column.
BREAKS = {
    b'"value":"BREAK-ME"}': b'"value":"BREAK-ME\\}',
    b'"value":"BREAK-ME"': b'"value": BREAK-ME ',
    b',"value":"BREAK-ME"': b', value :"BREAK-ME"',
}


def test_a_tuple_broken_on_its_way(source: Source, command: Command) -> None:
    """pgoutput's row: exit 4, nothing of its values; on an operator's word what lies behind goes out."""
    source.execute(TABLE)
    assert command.run("run", "--once", settings=TUPLES).returncode == 0
    with source.connect() as session, session.transaction():
        for values in ("1, 'x'", "2, 'BREAK-ME'", "3, 'z'"):
            session.execute(f"INSERT INTO t VALUES ({values})".encode())
    with doctored(source.stack.postgres_port, b"t\0\0\0\x08BREAK-ME", b"x\0\0\0\x08BREAK-ME") as port:
        broken = {**TUPLES, "database.port": port}
        stopped = command.run("run", "--once", settings=broken)
        assert stopped.returncode == 4, stopped.stderr
        assert "kind 'I' cannot be read" in stopped.stderr
        assert "BREAK" not in stopped.stderr
        named = re.search(r"run --skip-position (\S+)", stopped.stderr)
        assert named is not None, stopped.stderr
        done = command.run("run", "--once", "--skip-position", named[1], settings=broken)
        assert done.returncode == 0, done.stderr
    everything: list[Any] = list(command.records())
    assert list(dict.fromkeys(record.key["id"] for record in everything)) == [1, 3]


@pytest.mark.wal2json
@pytest.mark.parametrize(("original", "tolerance"), list(zip(BREAKS, ("all", "none", "none"), strict=True)))
def test_a_row_broken_on_its_way(source: Source, command: Command, original: bytes, tolerance: str) -> None:
    """Exit 4, the LSN of its header, the table; nothing at or behind it is confirmed; mended, nothing is missing."""
    # Slots are the whole server's, and tests run beside each other.
    peek = f"peek_{source.name}"
    source.execute(TABLE, f"SELECT pg_create_logical_replication_slot('{peek}', 'test_decoding')")
    assert command.run("run", "--once").returncode == 0
    source.execute("INSERT INTO t VALUES (1, 'x')", "INSERT INTO t VALUES (2, 'BREAK-ME')", "INSERT INTO t VALUES (3)")
    (at,) = source.rows(
        f"SELECT lsn::text FROM pg_logical_slot_peek_changes('{peek}', NULL, NULL) WHERE data LIKE '%BREAK-ME%'"
    )
    for _ in range(2):
        with doctored(source.stack.postgres_port, original, BREAKS[original]) as port:
            settings = {"database.port": port, "database.sslmode": "disable", "errors.tolerance": tolerance}
            done = command.run("run", "--once", settings=settings)
        assert done.returncode == 4, done.stderr
        assert f"the message at {at[0]}" in done.stderr
        assert '"schema":"public","table":"t"' in done.stderr
        assert "BREAK" not in done.stderr
        assert Lsn.parse(source.confirmed_lsn() or "") <= Lsn.parse(at[0])
        records: list[Any] = list(command.records())
        assert {record.key["id"] for record in records} == {1}
    assert command.run("run", "--once").returncode == 0
    everything: list[Any] = list(command.records())
    assert list(dict.fromkeys(record.key["id"] for record in everything)) == [1, 2, 3]


@pytest.mark.wal2json
def test_a_broken_row_is_left_out_on_an_operator_s_word(source: Source, command: Command) -> None:
    """Issue D.5: its error names the position; with --skip-position what lies behind it goes out."""
    original = next(iter(BREAKS))
    source.execute(TABLE)
    assert command.run("run", "--once").returncode == 0
    with source.connect() as session, session.transaction():
        for values in ("1, 'x'", "2, 'BREAK-ME'", "3, 'z'"):
            session.execute(f"INSERT INTO t VALUES ({values})".encode())
    with doctored(source.stack.postgres_port, original, BREAKS[original]) as port:
        settings: dict[str, object] = {"database.port": port, "database.sslmode": "disable"}
        stopped = command.run("run", "--once", settings=settings)
        assert stopped.returncode == 4, stopped.stderr
        named = re.search(r"run --skip-position (\S+)", stopped.stderr)
        assert named is not None, stopped.stderr
        assert named[1].endswith(":2")
        done = command.run("run", "--once", "--skip-position", named[1], settings=settings)
    assert done.returncode == 0, done.stderr
    records: list[Any] = list(command.records())
    assert [(r.key["id"], r.value["source"]["ordinal"]) for r in records if r.value["source"]["ordinal"] != 2][-2:] == [
        (1, 1), (3, 3),
    ]  # fmt: skip
    assert 2 not in {record.key["id"] for record in records}


@pytest.mark.wal2json
def test_a_truncate_outside_of_a_transaction(source: Source, command: Command) -> None:
    """Which the plugin never sends: exit 4, nothing sent; read as it was written, the stream goes on."""
    source.execute(TABLE)
    settings: dict[str, object] = {"message.prefix.include.list": "public"}
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute("SELECT pg_logical_emit_message(false, 'public', 't')", "INSERT INTO t VALUES (1)")
    names = (b'"prefix":"public","content":"t"', b'"schema":"public",  "table":"t"')
    with (
        doctored(source.stack.postgres_port, b'"action":"M"', b'"action":"T"') as inner,
        doctored(inner, *names) as port,
    ):
        broken = {**settings, "database.port": port, "database.sslmode": "disable"}
        done = command.run("run", "--once", settings=broken)
    assert done.returncode == 4, done.stderr
    assert "outside of any transaction" in done.stderr
    assert command.records("public.t") == []
    assert command.run("run", "--once", settings=settings).returncode == 0
    records: list[Any] = command.records("public.t")
    assert [record.key["id"] for record in records] == [1]
