"""A registry that refuses a shape: exit 3 before anything of it is produced, and a clean resume once mended."""

from __future__ import annotations

from typing import Any, NamedTuple

import pytest

from producer.lsn import Lsn
from tests.harness import Command, Source
from tests.history import History, allow_any

TABLE = "CREATE TABLE t (id int PRIMARY KEY, code text NOT NULL, n int, price numeric(6,2))"


class Refused(NamedTuple):
    level: str
    change: str
    insert: str
    subject: str
    words: tuple[str, ...]


RETYPED = "ALTER TABLE t ALTER COLUMN n TYPE text"
REFUSED = {
    "backward-type": Refused(
        "BACKWARD", RETYPED, "INSERT INTO t VALUES (3, 'c', 'x', 1.25)", "value",
        ("column n was of type int4 and is text",),
    ),
    "full-wider-type": Refused(
        "FULL", "ALTER TABLE t ALTER COLUMN n TYPE bigint", "INSERT INTO t VALUES (3, 'c', 3, 1.25)", "value",
        ("column n was of type int4 and is int8",),
    ),
    "backward-key": Refused(
        "BACKWARD", "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (code)",
        "INSERT INTO t VALUES (3, 'c', 3, 1.25)", "key", ("the key was (id) and is (code)",),
    ),
    "backward-unconstrained": Refused(
        "BACKWARD", "ALTER TABLE t ALTER COLUMN price TYPE numeric", "INSERT INTO t VALUES (3, 'c', 3, 12345.678)",
        "value", ("column price was of type numeric(6,2) and is numeric",),
    ),
}  # fmt: skip
ACCEPTED = {
    "backward-wider-type": ("BACKWARD", "ALTER TABLE t ALTER COLUMN n TYPE bigint"),
    "backward-drop": ("BACKWARD", "ALTER TABLE t DROP COLUMN price, ADD COLUMN price numeric(6,2)"),
    "full-add": ("FULL", "ALTER TABLE t ADD COLUMN extra text"),
    "none-type": ("NONE", RETYPED),
}


def begun(source: Source, command: Command, level: str) -> None:
    source.execute(TABLE)
    first = command.run("run", "--once")
    assert first.returncode == 0, first.stderr
    for part in ("key", "value"):
        allow_any(command.stack.registry_url, f"{command.prefix}.public.t-{part}", level)


def once_each(command: Command) -> list[Any]:
    """The records without those that came again: (commit_lsn, ordinal) tells."""
    found: dict[tuple[int, int, bool], Any] = {}
    for record in command.records("public.t"):
        value: Any = record.value
        found.setdefault((value["source"]["commit_lsn"], value["source"]["ordinal"], True), record)
    return list(found.values())


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("running", [False, True])
def test_refused(case: str, running: bool, source: Source, command: Command) -> None:
    """Table, subject, what changed and the registry's words; then mended."""
    refused = REFUSED[case]
    begun(source, command, refused.level)
    history = History()
    background = command.start("run") if running else None
    if background is not None:
        background.wait_for("streaming")
    with source.connect() as session:
        history.run(session, ["INSERT INTO t VALUES (1, 'a', 1, 1.25)", "INSERT INTO t VALUES (2, 'b', 2, 2.5)"])
        history.run(session, [refused.change])
        before = session.execute(b"SELECT pg_current_wal_insert_lsn()::text").fetchone()
        history.run(session, [refused.insert])
    if background is not None:
        assert background.process.wait(40) == 3
        text = background.stderr
    else:
        done = command.run("run", "--once")
        assert done.returncode == 3, done.stderr
        text = done.stderr
    subject = f"{command.prefix}.public.t-{refused.subject}"
    for words in ("table public.t", subject, "409", "remedy:", *refused.words):
        assert words in text
    assert "Traceback" not in text
    # What was before it may have come, all or the first of it; it has not, and is not confirmed.
    came = [record.key for record in once_each(command)]
    assert came == [{"id": 1}, {"id": 2}][: len(came)]
    assert before is not None
    assert Lsn.parse(source.confirmed_lsn() or "0/0") <= Lsn.parse(before[0])
    assert command.run("run", "--once").returncode == 3
    # The value holds the key's columns too: another key changes both.
    for part in ("key", "value") if refused.subject == "key" else ("value",):
        allow_any(command.stack.registry_url, f"{command.prefix}.public.t-{part}")
    resumed = command.run("run", "--once")
    assert resumed.returncode == 0, resumed.stderr
    history.check(once_each(command), command.prefix)


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(case: str, source: Source, command: Command) -> None:
    """The registry's answer alone decides."""
    level, change = ACCEPTED[case]
    begun(source, command, level)
    history = History()
    with source.connect() as session:
        history.run(session, ["INSERT INTO t VALUES (1, 'a', 1, 1.25)", change, "INSERT INTO t VALUES (2, 'b', 2)"])
        history.run(session, ["UPDATE t SET n = n WHERE id = 1"])
    done = command.run("run", "--once")
    assert done.returncode == 0, done.stderr
    history.check(command.records("public.t"), command.prefix)
