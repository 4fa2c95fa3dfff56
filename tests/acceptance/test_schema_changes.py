"""Schema changes: every event has the shape of its own moment, and is compared with the row of that moment.

Each family of cases runs while the producer runs, while it is stopped, and with each case in one
transaction (made while it runs, and while it is stopped).
"""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests import harness
from tests.harness import Command, Source, wait_for
from tests.history import Case, History, allow_any, count

pytestmark = pytest.mark.matrix

COLUMNS = (
    Case(
        "added",
        ("CREATE TABLE added (id int PRIMARY KEY, v text)", "INSERT INTO added VALUES (1, 'a')"),
        (
            "INSERT INTO added VALUES (2, 'b')",
            "ALTER TABLE added ADD COLUMN n int",
            "INSERT INTO added VALUES (3, 'c', 3)",
            "UPDATE added SET v = 'd' WHERE id = 1",
            "ALTER TABLE added ADD COLUMN filled text DEFAULT 'x'",
            "UPDATE added SET v = 'e' WHERE id = 1",
            "DELETE FROM added WHERE id = 2",
            "INSERT INTO added VALUES (4, 'f')",
        ),
    ),
    Case(
        "dropped",
        ("CREATE TABLE dropped (id int PRIMARY KEY, v text, n numeric(6,2), w text)",),
        (
            "INSERT INTO dropped VALUES (1, 'a', 1.25, 'w')",
            "ALTER TABLE dropped DROP COLUMN v",
            "INSERT INTO dropped VALUES (2, 2.50, 'w')",
            "UPDATE dropped SET n = 3.75 WHERE id = 1",
            "ALTER TABLE dropped DROP COLUMN n, ADD COLUMN v int",
            "INSERT INTO dropped VALUES (3, 'w', 5)",
            "DELETE FROM dropped WHERE id = 1",
            "ALTER TABLE dropped DROP COLUMN w, ADD COLUMN w text",
            "INSERT INTO dropped VALUES (4, 6, 'x')",
        ),
    ),
    Case(
        "renamed",
        ("CREATE TABLE renamed (id int PRIMARY KEY, v text, n int)",),
        (
            "INSERT INTO renamed VALUES (1, 'a', 1)",
            "ALTER TABLE renamed RENAME COLUMN v TO title",
            "INSERT INTO renamed VALUES (2, 'b', 2)",
            "UPDATE renamed SET n = 3 WHERE id = 1",
            "ALTER TABLE renamed RENAME COLUMN n TO v",
            "INSERT INTO renamed VALUES (3, 'c', 4)",
            "DELETE FROM renamed WHERE id = 1",
        ),
    ),
    Case(
        "key_renamed",
        ("CREATE TABLE key_renamed (id int PRIMARY KEY, v text)",),
        (
            "INSERT INTO key_renamed VALUES (1, 'a')",
            "UPDATE key_renamed SET v = 'b' WHERE id = 1",
            "ALTER TABLE key_renamed RENAME COLUMN id TO number",
            "INSERT INTO key_renamed VALUES (2, 'c')",
            "UPDATE key_renamed SET v = 'd' WHERE number = 1",
            "DELETE FROM key_renamed WHERE number = 1",
        ),
        ("public.key_renamed-key", "public.key_renamed-value"),
    ),
)
TYPES = (
    Case(
        "widened",
        ("CREATE TABLE widened (id int PRIMARY KEY, n int, v varchar(10))",),
        (
            "INSERT INTO widened VALUES (1, 1, 'a')",
            "ALTER TABLE widened ALTER COLUMN n TYPE bigint",
            "INSERT INTO widened VALUES (2, 5000000000, 'b')",
            "UPDATE widened SET v = 'c' WHERE id = 1",
            "ALTER TABLE widened ALTER COLUMN v TYPE text",
            "INSERT INTO widened VALUES (3, 3, 'longer than before')",
            "DELETE FROM widened WHERE id = 2",
        ),
    ),
    Case(
        "retyped",
        ("CREATE TABLE retyped (id int PRIMARY KEY, n int)",),
        (
            "INSERT INTO retyped VALUES (1, 1)",
            "ALTER TABLE retyped ALTER COLUMN n TYPE text",
            "INSERT INTO retyped VALUES (2, 'b')",
            "UPDATE retyped SET n = 'c' WHERE id = 1",
            "ALTER TABLE retyped ALTER COLUMN n TYPE int USING length(n)",
            "INSERT INTO retyped VALUES (3, 3)",
            "DELETE FROM retyped WHERE id = 1",
        ),
        ("public.retyped-value",),
    ),
    Case(
        "modified",
        ("CREATE TABLE modified (id int PRIMARY KEY, n numeric(6,2), at timestamp(3), b bit(1))",),
        (
            "INSERT INTO modified VALUES (1, 1.25, '2026-01-02 03:04:05.678')",
            "ALTER TABLE modified ALTER COLUMN n TYPE numeric(12,2)",
            "INSERT INTO modified VALUES (2, 12345678.12)",
            "ALTER TABLE modified ALTER COLUMN n TYPE numeric(12,4)",
            "INSERT INTO modified VALUES (3, 1.2345)",
            "ALTER TABLE modified ALTER COLUMN at TYPE timestamp",
            "ALTER TABLE modified DROP COLUMN b",
            "INSERT INTO modified VALUES (4, 1.5, '2026-01-02 03:04:05.678912')",
            "UPDATE modified SET n = 2 WHERE id = 1",
        ),
        ("public.modified-value",),
    ),
    Case(
        "narrowed",
        ("CREATE TABLE narrowed (id int PRIMARY KEY, n numeric(12,4))",),
        (
            "INSERT INTO narrowed VALUES (1, 1.2345)",
            "ALTER TABLE narrowed ALTER COLUMN n TYPE numeric(6,1)",
            "INSERT INTO narrowed VALUES (2, 1.5)",
            "UPDATE narrowed SET n = 2.5 WHERE id = 1",
        ),
        ("public.narrowed-value",),
    ),
    Case(
        "composite",
        (
            "CREATE TYPE pair AS (a int, b text)",
            "CREATE TABLE composite (id int PRIMARY KEY, p pair)",
            "INSERT INTO composite VALUES (1, '(1,x)')",
        ),
        (
            "INSERT INTO composite VALUES (2, '(2,y)')",
            "ALTER TYPE pair ADD ATTRIBUTE c int",
            "INSERT INTO composite VALUES (3, '(3,z,3)')",
            "UPDATE composite SET p.a = 5 WHERE id = 2",
            "ALTER TYPE pair DROP ATTRIBUTE b",
            "INSERT INTO composite VALUES (4, '(4,4)')",
            "UPDATE composite SET p.c = 6 WHERE id = 1",
        ),
        ("public.composite-value",),
    ),
)
NULLS = (
    Case(
        "not_null",
        ("CREATE TABLE not_null (id int PRIMARY KEY, v text)",),
        (
            "INSERT INTO not_null VALUES (1, NULL)",
            "UPDATE not_null SET v = 'a' WHERE id = 1",
            "ALTER TABLE not_null ALTER COLUMN v SET NOT NULL",
            "INSERT INTO not_null VALUES (2, 'b')",
            "ALTER TABLE not_null ALTER COLUMN v DROP NOT NULL",
            "INSERT INTO not_null VALUES (3, NULL)",
            "UPDATE not_null SET v = 'c' WHERE id = 3",
            "ALTER TABLE not_null ALTER COLUMN v SET NOT NULL",
            "INSERT INTO not_null VALUES (4, 'd')",
        ),
        ("public.not_null-value",),
    ),
)
ENUMS = (
    Case(
        "moods",
        ("CREATE TYPE mood AS ENUM ('sad', 'ok')", "CREATE TABLE moods (id int PRIMARY KEY, m mood, all_m mood[])"),
        (
            "INSERT INTO moods VALUES (1, 'sad', '{ok}')",
            "ALTER TYPE mood ADD VALUE 'fine'",
            "INSERT INTO moods VALUES (2, 'fine', '{sad,fine}')",
            "ALTER TYPE mood RENAME VALUE 'sad' TO 'blue'",
            "INSERT INTO moods VALUES (3, 'blue', '{blue}')",
            "UPDATE moods SET m = 'ok' WHERE id = 1",
        ),
    ),
)
RENAMED_LABELS = (
    Case(
        "labels",
        ("CREATE TYPE label AS ENUM ('sad', 'ok')", "CREATE TABLE labels (id int PRIMARY KEY, l label)"),
        (
            "INSERT INTO labels VALUES (1, 'sad')",
            "ALTER TYPE label RENAME VALUE 'sad' TO 'blue'",
            "INSERT INTO labels VALUES (2, 'blue')",
            "UPDATE labels SET l = 'ok' WHERE id = 1",
        ),
    ),
)
KEYS = (
    Case(
        "rekeyed", ("CREATE TABLE rekeyed (id int PRIMARY KEY, code text NOT NULL, v text)",),
        (
            "INSERT INTO rekeyed VALUES (1, 'k1', 'a')", "UPDATE rekeyed SET v = 'b' WHERE id = 1",
            "ALTER TABLE rekeyed DROP CONSTRAINT rekeyed_pkey, ADD PRIMARY KEY (code)",
            "INSERT INTO rekeyed VALUES (2, 'k2', 'c')", "UPDATE rekeyed SET v = 'd' WHERE id = 1",
            "DELETE FROM rekeyed WHERE id = 1",
            "ALTER TABLE rekeyed DROP CONSTRAINT rekeyed_pkey, ADD PRIMARY KEY (code, id)",
            "INSERT INTO rekeyed VALUES (3, 'k3', 'e')", "DELETE FROM rekeyed WHERE id = 3",
        ),
        ("public.rekeyed-key", "public.rekeyed-value"),
    ),
    Case(
        "identity", ("CREATE TABLE identity (id int PRIMARY KEY, v text, n int)",),
        (
            "INSERT INTO identity VALUES (1, 'a', 1)", "UPDATE identity SET v = 'b' WHERE id = 1",
            "ALTER TABLE identity REPLICA IDENTITY FULL", "INSERT INTO identity VALUES (2, 'a', 2)",
            "UPDATE identity SET v = 'c' WHERE id = 1", "DELETE FROM identity WHERE id = 2",
            "ALTER TABLE identity REPLICA IDENTITY DEFAULT", "UPDATE identity SET v = 'd' WHERE id = 1",
            "ALTER TABLE identity ADD COLUMN w int", "DELETE FROM identity WHERE id = 1",
            "ALTER TABLE identity REPLICA IDENTITY NOTHING", "INSERT INTO identity VALUES (3, 'x', 3)",
        ),
    ),
    Case(
        "by_index", ("CREATE TABLE by_index (id int PRIMARY KEY, code text NOT NULL, v text)",),
        (
            "INSERT INTO by_index VALUES (1, 'k1', 'a')", "UPDATE by_index SET v = 'b' WHERE id = 1",
            "CREATE UNIQUE INDEX by_code ON by_index (code)",
            "ALTER TABLE by_index REPLICA IDENTITY USING INDEX by_code",
            "UPDATE by_index SET v = 'c' WHERE id = 1", "INSERT INTO by_index VALUES (2, 'k2', 'd')",
            "DELETE FROM by_index WHERE id = 1",
        ),
        ("public.by_index-key", "public.by_index-value"),
    ),
)  # fmt: skip
NAMES = (
    Case(
        "swapped",
        (
            "CREATE TABLE swap_a (id int PRIMARY KEY, v text)",
            "CREATE TABLE swap_b (code text PRIMARY KEY, n int)",
            "INSERT INTO swap_a VALUES (1, 'a')",
            "INSERT INTO swap_b VALUES ('k', 1)",
        ),
        (
            "INSERT INTO swap_a VALUES (2, 'b')",
            "INSERT INTO swap_b VALUES ('l', 2)",
            "ALTER TABLE swap_a RENAME TO swap_c",
            "ALTER TABLE swap_b RENAME TO swap_a",
            "ALTER TABLE swap_c RENAME TO swap_b",
            "INSERT INTO swap_a VALUES ('m', 3)",
            "INSERT INTO swap_b VALUES (3, 'c')",
            "UPDATE swap_a SET n = 9 WHERE code = 'k'",
            "DELETE FROM swap_b WHERE id = 1",
        ),
        ("public.swap_a-key", "public.swap_a-value", "public.swap_b-key", "public.swap_b-value"),
    ),
    Case(
        "remade",
        ("CREATE TABLE remade (id int PRIMARY KEY, v text)", "INSERT INTO remade VALUES (1, 'a')"),
        (
            "INSERT INTO remade VALUES (2, 'b')",
            "DROP TABLE remade",
            "CREATE TABLE remade (n bigint, id int PRIMARY KEY, v text)",
            "INSERT INTO remade VALUES (5, 3, 'c')",
            "UPDATE remade SET v = 'd' WHERE id = 3",
        ),
    ),
)
FAMILIES = {"columns": COLUMNS, "types": TYPES, "enums": ENUMS, "keys": KEYS, "names": NAMES}
# What wal2json 2.3 does not tell of keys makes these a clear stop there.
KEY_CHANGES = frozenset({"key_renamed", "rekeyed", "by_index", "swapped"})
# The value that ADD VALUE makes cannot be used in the same transaction.
IN_A_TRANSACTION = {**FAMILIES, "enums": RENAMED_LABELS}


def told(source: Source, cases: Sequence[Case]) -> Sequence[Case]:
    """Those that the server's plugin tells enough of."""
    if harness.PLUGIN == "pgoutput":
        # A table that is made anew has to be published first: what was done to it before comes by a snapshot.
        return [case for case in cases if case.name != "remade"]
    return cases if source.major() > 13 else [case for case in cases if case.name not in KEY_CHANGES]


def begun(source: Source, command: Command, cases: Sequence[Case], settings: dict[str, object] | None = None) -> None:
    """The tables are there, their schemas registered, their slot made."""
    for case in cases:
        source.execute(*case.setup)
    first = command.run("run", "--once", settings=settings)
    assert first.returncode == 0, first.stderr
    for case in cases:
        for subject in case.incompatible:
            allow_any(command.stack.registry_url, f"{command.prefix}.{subject}")


def happened(source: Source, cases: Sequence[Case], *, together: bool) -> History:
    """Every case's statements, each by itself or all of a case in one transaction."""
    history = History()
    with source.connect() as session:
        for case in cases:
            if together:
                with session.transaction():
                    history.run(session, case.statements)
            else:
                history.run(session, case.statements)
    return history


def while_running(
    source: Source,
    command: Command,
    cases: Sequence[Case],
    *,
    together: bool,
    settings: dict[str, object] | None = None,
) -> None:
    begun(source, command, cases, settings)
    running = command.start("run", settings=settings)
    running.wait_for("streaming")
    history = happened(source, cases, together=together)

    def arrived() -> bool:
        assert running.process.poll() is None, running.stderr
        return count(command.records()) >= len(history.events)

    wait_for(arrived, 40, running.stderr)
    history.check(command.records(), command.prefix)
    assert running.stop() == 0


def while_stopped(
    source: Source,
    command: Command,
    cases: Sequence[Case],
    *,
    together: bool,
    settings: dict[str, object] | None = None,
) -> None:
    begun(source, command, cases, settings)
    history = happened(source, cases, together=together)
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    history.check(command.records(), command.prefix)


@pytest.mark.parametrize("family", FAMILIES)
def test_while_it_runs(family: str, source: Source, command: Command) -> None:
    while_running(source, command, told(source, FAMILIES[family]), together=False)


@pytest.mark.parametrize("family", FAMILIES)
def test_while_it_is_stopped(family: str, source: Source, command: Command) -> None:
    while_stopped(source, command, told(source, FAMILIES[family]), together=False)


@pytest.mark.parametrize("family", IN_A_TRANSACTION)
def test_in_one_transaction(family: str, source: Source, command: Command) -> None:
    while_running(source, command, told(source, IN_A_TRANSACTION[family]), together=True)


@pytest.mark.parametrize("family", IN_A_TRANSACTION)
def test_in_one_transaction_while_it_is_stopped(family: str, source: Source, command: Command) -> None:
    while_stopped(source, command, told(source, IN_A_TRANSACTION[family]), together=True)


TABLE_NULLS: dict[str, object] = {"value.nullability": "table"}


def test_not_null_comes_and_goes_while_it_runs(source: Source, command: Command) -> None:
    """value.nullability=table: what the catalogue said a moment ago is no promise for this row."""
    while_running(source, command, NULLS, together=False, settings=TABLE_NULLS)


@pytest.mark.parametrize("together", [False, True])
def test_not_null_comes_and_goes_while_it_is_stopped(together: bool, source: Source, command: Command) -> None:
    while_stopped(source, command, NULLS, together=together, settings=TABLE_NULLS)
