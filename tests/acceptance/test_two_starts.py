"""Two of us while the first one copies: nobody reads the slot then, and yet it is not the second one's."""

from __future__ import annotations

import signal

import pytest

from producer.lsn import Lsn
from tests.acceptance.test_resume import FILL, ROWS, TABLE, paused, remembered
from tests.harness import Command, Source, folded, wait_for
from tests.links import FAULT


@pytest.mark.parametrize("how", [signal.SIGCONT, signal.SIGKILL])
def test_a_second_start_while_the_first_one_copies(source: Source, command: Command, how: signal.Signals) -> None:
    """Contract 7: it would stream what is younger, and the snapshot's rows would follow; so it waits."""
    source.execute(TABLE, FILL)
    first = paused(command)
    second = command.start("run")
    second.wait_for(FAULT)
    assert "its first snapshot copied" in second.stderr
    assert "streaming" not in second.stderr
    source.execute(f"UPDATE t SET v = -1 WHERE id > {ROWS - 50}")
    first.process.send_signal(how)
    if how == signal.SIGCONT:
        first.wait_for("the snapshot is complete", 60)
    wait_for(lambda: "streaming" in first.stderr + second.stderr, what="one of them streams")
    source.execute("INSERT INTO t VALUES (0, 0)")
    # A successor reads what is left beside its stream: this row may be out before those.
    wait_for(lambda: values(command) == dict(source.rows("SELECT id, v FROM t")), 60, "the topic's last words")


def values(command: Command) -> dict[int, int]:
    """The topic's final state."""
    state = folded(command.records("public.t")).get(f"{command.prefix}.public.t", {})
    return {row["id"]: row["v"] for row in state.values()}


def test_a_standby_stores_nothing_where_a_table_is_selected_again(source: Source, command: Command) -> None:
    """While the first one still compares it: a position that is behind the slot would be exit 3."""
    source.execute(
        "CREATE TABLE t (id int PRIMARY KEY)", "CREATE TABLE z (id int PRIMARY KEY)", "INSERT INTO z VALUES (1)"
    )
    # What is published stays as it is: to alter that, the table's lock would be wanted.
    published: dict[str, object] = {"publication.autocreate.mode": "all_tables"}
    for settings in ({}, {"table.exclude.list": "public.z"}):
        done = command.run("run", "--once", settings={**published, **settings})
        assert done.returncode == 0, done.stderr
    with source.connect() as holder:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE z IN ACCESS EXCLUSIVE MODE")
        first = command.start("run", settings=published)
        first.wait_for("streaming")
        second = command.start("run", settings=published)
        second.wait_for(FAULT)
        for row in range(50):
            source.execute(f"INSERT INTO t VALUES ({row})")
            holder.execute("SELECT pg_sleep(0.05)")
            confirmed = Lsn.parse(source.confirmed_lsn() or "0/0")
            stored = remembered(command).offset
            assert stored is not None
            assert stored.lsn >= confirmed
        holder.execute("COMMIT")
    assert second.process.poll() is None, second.stderr
    first.wait_for("the topic was compared")
    assert second.stop() == 0, second.stderr
    assert first.stop() == 0, first.stderr
