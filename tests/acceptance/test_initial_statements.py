"""database.initial.statements: run on each ordinary session, not on the replication one."""

from __future__ import annotations

from tests.harness import Command, Source

SESSIONS = "CREATE TABLE sessions (pid int, kind text, words text)"
NOTE = "INSERT INTO public.sessions SELECT pid, backend_type, 'a;;b' FROM pg_stat_activity WHERE pid = pg_backend_pid()"


def test_they_run_once_on_each_ordinary_session(source: Source, command: Command) -> None:
    """The catalogue's and every snapshot reader's; `;;` is a semicolon, and the settings of a session hold."""
    source.execute(SESSIONS, "CREATE TABLE t AS SELECT 1 AS id", "CREATE TABLE u AS SELECT 1 AS id")
    settings: dict[str, object] = {
        "database.initial.statements": f"SET ROLE postgres;{NOTE}; ", "table.include.list": "public.(t|u)",
        "snapshot.max.threads": 2,
    }  # fmt: skip
    done = command.run("run", "--once", settings=settings)
    assert done.returncode == 0, done.stderr
    rows = source.rows("SELECT pid, kind, words FROM sessions")
    assert len(rows) >= 3, "one looks, two copy"
    assert len({pid for pid, _, _ in rows}) == len(rows)
    assert {(kind, words) for _, kind, words in rows} == {("client backend", "a;b")}


def test_one_that_fails_is_named(source: Source, command: Command) -> None:
    """Exit 3, and nothing was begun."""
    source.execute("CREATE TABLE t (id int PRIMARY KEY)")
    done = command.run("run", "--once", settings={"database.initial.statements": "SET ROLE nobody"})
    assert done.returncode == 3
    assert "database.initial.statements" in done.stderr
    assert 'role "nobody" does not exist' in done.stderr
    assert source.confirmed_lsn() is None


def test_one_that_fails_is_not_repeated(source: Source, command: Command) -> None:
    """It may hold a secret, and the server would show its line."""
    done = command.run("run", "--once", settings={"database.initial.statements": "SELECT nothing('a secret')"})
    assert done.returncode == 3
    assert "function nothing(unknown) does not exist" in done.stderr
    assert "secret" not in done.stderr
