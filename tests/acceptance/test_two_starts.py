"""Two of us while the first one copies: nobody reads the slot then, and yet it is not the second one's."""

from __future__ import annotations

import signal

import pytest

from tests.acceptance.test_resume import FILL, ROWS, TABLE, paused
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
    wait_for(lambda: 0 in values(command), what="the last row")
    assert values(command) == dict(source.rows("SELECT id, v FROM t"))


def values(command: Command) -> dict[int, int]:
    """The topic's final state."""
    state = folded(command.records("public.t")).get(f"{command.prefix}.public.t", {})
    return {row["id"]: row["v"] for row in state.values()}
