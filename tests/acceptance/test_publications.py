"""Publications, by the command: no gap when tables come, nobody's UPDATE fails, what is missing is said or mended."""

from __future__ import annotations

import re
import signal

import psycopg
import pytest

from producer import crash_points
from tests.harness import Command, Source, folded, wait_for
from tests.scrape import PORT_FREE, Scrape

PGOUTPUT: dict[str, object] = {"plugin.name": "pgoutput"}


def rows_match(source: Source, command: Command, table: str = "t") -> bool:
    """Topic and table hold the same rows."""
    state = folded(command.records(f"public.{table}")).get(f"{command.prefix}.public.{table}", {})
    return sorted(row["id"] for row in state.values()) == [
        row[0] for row in source.rows(f"SELECT id FROM {table} ORDER BY 1")
    ]


def published(source: Source) -> set[str]:
    """The tables that the first publication names."""
    query = (
        "SELECT c.relname::text FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid "
        f"JOIN pg_class c ON c.oid = r.prrelid WHERE p.pubname = 'producer_{source.name}'"
    )
    return {row[0] for row in source.rows(query)}


def test_a_table_that_comes_while_somebody_writes_to_it(source: Source, command: Command) -> None:
    """What he wrote before it was published comes by the snapshot, which waits for him; nobody waits for us."""
    source.execute("CREATE TABLE first (id int PRIMARY KEY)", "INSERT INTO first VALUES (1)")
    running = command.start("run", settings=PGOUTPUT)
    running.wait_for("streaming")
    with source.connect() as writer:
        source.execute("CREATE TABLE t (id int PRIMARY KEY)")
        writer.execute("BEGIN")
        writer.execute("INSERT INTO t VALUES (1)")
        wait_for(lambda: "t" in published(source), what="it is published")
        writer.execute("INSERT INTO t VALUES (2)")
        source.execute("INSERT INTO t VALUES (3)")
        wait_for(lambda: len(command.records("public.t")) == 1, what="the stream has what came behind")
        writer.execute("COMMIT")
    source.execute("INSERT INTO t VALUES (4)", "DELETE FROM t WHERE id = 3")
    wait_for(lambda: rows_match(source, command), what=running.stderr)
    assert running.stop() == 0, running.stderr
    # Out of the selection, and out of the publication; then back, with what was changed meanwhile.
    done = command.run("run", "--once", settings={**PGOUTPUT, "table.include.list": "public.first"})
    assert done.returncode == 0, done.stderr
    assert published(source) == {"first"}
    source.execute("DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (5)")
    done = command.run("run", "--once", settings=PGOUTPUT)
    assert done.returncode == 0, done.stderr
    assert rows_match(source, command), running.stderr + done.stderr
    assert folded(command.records("public.first"))


def test_tables_without_identity(source: Source, command: Command) -> None:
    """Their writers notice nothing; `check` and `run` say what is lost; with an identity they are moved and mended."""
    source.execute("CREATE TABLE t (id int NOT NULL UNIQUE, v int)", "INSERT INTO t VALUES (1, 0), (2, 0)")
    checked = command.run("check", settings=PGOUTPUT)
    assert checked.returncode == 3
    assert "identity of public.t: no primary key" in checked.stdout
    assert f"publication: producer_{source.name} will be made by the first run" in checked.stdout
    running = command.start("run", settings=PGOUTPUT)
    running.wait_for("streaming")
    assert "not published, or they would fail" in running.stderr
    source.execute("UPDATE t SET v = 1", "DELETE FROM t WHERE id = 2", "INSERT INTO t VALUES (3, 0)")
    wait_for(lambda: len(command.records("public.t")) == 3, what="the insert has come")
    assert not rows_match(source, command)
    source.execute("ALTER TABLE t REPLICA IDENTITY FULL")
    wait_for(lambda: rows_match(source, command), 30, "what was lost is mended")
    source.execute("UPDATE t SET v = 2 WHERE id = 3", "DELETE FROM t WHERE id = 1")
    wait_for(lambda: rows_match(source, command), what="it is streamed")
    assert running.stop() == 0, running.stderr


def test_taken_out_and_put_back_by_somebody(source: Source, command: Command) -> None:
    """While it runs: seen within seconds, and compared."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 5)")
    running = command.start("run", settings=PGOUTPUT)
    running.wait_for("streaming")
    name = f"producer_{source.name}"
    source.execute(
        f"ALTER PUBLICATION {name} DROP TABLE t", "DELETE FROM t WHERE id = 1", "INSERT INTO t VALUES (6)",
        # Not ADD: the producer may have put it back by now.
        f"ALTER PUBLICATION {name} SET TABLE t",
    )  # fmt: skip
    wait_for(lambda: rows_match(source, command), 40, running.stderr)
    assert running.stop() == 0, running.stderr


def test_taken_out_while_the_first_snapshot_is_copied(
    source: Source, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The table was read by then, and we die: what the publication missed of it is compared."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 5)")
    with monkeypatch.context() as dying:
        dying.setenv(crash_points.VARIABLE, "snapshot_done")
        assert command.run("run", "--once", settings=PGOUTPUT).returncode == -signal.SIGKILL
    source.execute(f"ALTER PUBLICATION producer_{source.name} DROP TABLE t", "DELETE FROM t WHERE id = 1")
    source.execute("INSERT INTO t VALUES (6)")
    done = command.run("run", "--once", settings=PGOUTPUT)
    assert done.returncode == 0, done.stderr
    assert rows_match(source, command), done.stderr


@pytest.mark.parametrize("recovers", [False, True])
def test_a_publication_that_was_dropped(recovers: bool, source: Source, command: Command) -> None:
    """And made anew, with a change in between that no slot can give: exit 3, or a recovery."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 5)")
    settings = {**PGOUTPUT, "snapshot.mode": "when_needed" if recovers else "initial"}
    assert command.run("run", "--once", settings=settings).returncode == 0
    source.execute(
        f"DROP PUBLICATION producer_{source.name}, producer_{source.name}_inserts", "DELETE FROM t WHERE id = 1"
    )
    source.execute("INSERT INTO t VALUES (6)")
    if not recovers:
        done = command.run("run", "--once", settings=settings)
        assert done.returncode == 3, done.stderr
        assert "there is no publication" in done.stderr
        assert source.rows("SELECT FROM pg_publication") == []
    source.publish()
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == (0 if recovers else 3), done.stderr
    if recovers:
        assert rows_match(source, command)
    else:
        assert "snapshot.mode=when_needed" in done.stderr


def test_a_publication_that_was_dropped_under_two_of_us(source: Source, command: Command) -> None:
    """Both find it lost; the one that did not recover waits for the other's new slot, and does not make another."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t SELECT generate_series(1, 5)")
    settings = {**PGOUTPUT, "snapshot.mode": "when_needed"}
    first = command.start("run", settings={**settings, **PORT_FREE})
    scrape = Scrape(first)
    first.wait_for("streaming")
    second = command.start("run", settings=settings)
    second.wait_for("a temporary fault")
    # Its walsender finds it lost and lets go of the slot; it hears of that once the other has recovered.
    first.process.send_signal(signal.SIGSTOP)
    # At once: whoever looks while there is no publication stops, or makes one.
    source.publish(
        f"DROP PUBLICATION producer_{source.name}, producer_{source.name}_inserts;", "INSERT INTO t VALUES (6);"
    )
    second.wait_for("the topic was compared")
    first.process.send_signal(signal.SIGCONT)
    # It says that the slot is the other's half a minute later.
    scrape.wait_for("phase", "standby", value=1)
    assert "made anew" not in first.stderr
    assert second.stop() == 0, second.stderr
    wait_for(lambda: first.stderr.count("streaming") > 1, what="it takes over")
    source.execute("DELETE FROM t WHERE id = 1")
    wait_for(lambda: rows_match(source, command), what=first.stderr)
    assert first.stop() == 0, first.stderr
    assert "made anew" not in first.stderr


def test_by_an_administrator(source: Source, command: Command) -> None:
    """`grants`, run by one, is all that a role without rights on publications needs; `slot drop` says what stays."""
    role = f"role_{source.name}"
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE keyless (id int)", "INSERT INTO t VALUES (1)")
    settings = {
        **PGOUTPUT, "database.user": role, "database.password": "p", "database.dbname": source.name,
        "publication.autocreate.mode": "disabled",
    }  # fmt: skip
    statements = command.run("grants", settings=settings).stdout
    try:
        for _ in range(2):
            # As psql would: each by itself.
            source.execute(*re.split(r"^-- The slot:.*$", statements, flags=re.MULTILINE))
        source.execute(f"ALTER ROLE {role} PASSWORD 'p'", "INSERT INTO keyless VALUES (1)", "UPDATE keyless SET id = 2")
        done = command.run("run", "--once", settings=settings)
        assert done.returncode == 0, done.stderr
        assert rows_match(source, command)
        source.execute("CREATE TABLE u (id int PRIMARY KEY)", f"GRANT SELECT ON u TO {role}")
        done = command.run("run", "--once", settings=settings)
        assert done.returncode == 3, done.stderr
        assert f'ALTER PUBLICATION "producer_{source.name}" ADD TABLE ONLY "public"."u";' in done.stderr
        dropped = command.run("slot", "drop", "--yes", settings=settings)
        assert f'the publication stays: DROP PUBLICATION "producer_{source.name}";' in dropped.stdout
    finally:
        source.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_all_tables_by_an_administrator(source: Source, command: Command) -> None:
    """What `grants` prints breaks nobody's UPDATE either: it refuses as `run` does, then `run` takes what it made."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)", "INSERT INTO t VALUES (1)", 'CREATE TABLE "Keyless" (id int)')
    settings = {**PGOUTPUT, "publication.autocreate.mode": "all_tables", "table.include.list": "public.t"}
    script = re.split(r"^-- The slot:.*$", command.run("grants", settings=settings).stdout, flags=re.MULTILINE)[0]
    with pytest.raises(psycopg.errors.RaiseException, match=r'would fail: public\."Keyless"'):
        source.execute(script)
    assert source.rows("SELECT FROM pg_publication") == []
    source.execute('ALTER TABLE "Keyless" REPLICA IDENTITY FULL', script, 'UPDATE "Keyless" SET id = 2')
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    assert rows_match(source, command)
