"""Two of us for one slot: one reads, the other waits and takes over."""

from __future__ import annotations

import signal
import time

import pytest

from tests.harness import Command, Source, wait_for
from tests.links import FAULT, TABLE, Watched, ids, patient


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGKILL, signal.SIGSTOP])
def test_a_standby_takes_over(source: Source, command: Command, how: signal.Signals) -> None:
    """Contract 7: within seconds, without a repeated confirmed event; one that was suspended waits in its turn."""
    source.execute(TABLE)
    patient(source, 2)
    first = command.start("run")
    first.wait_for("streaming")
    watched = Watched(source, command, first)
    watched.insert(5)
    watched.arrived()
    walsender = watched.walsender()
    standby = command.start("run")
    standby.wait_for(FAULT)
    assert source.slot in standby.stderr
    assert str(walsender) in standby.stderr
    since = time.monotonic()
    first.process.send_signal(how)
    watched.insert()
    standby.wait_for("streaming", 15)
    watched.arrived()
    assert time.monotonic() - since < 10, "within seconds"
    if how != signal.SIGSTOP:
        assert first.process.wait(10) == (0 if how == signal.SIGTERM else -how)
        assert standby.stop() == 0
        return
    # It wakes, and finds that the slot is another's: it stores nothing, and waits.
    first.process.send_signal(signal.SIGCONT)
    first.wait_for(FAULT)
    watched.insert()
    watched.arrived()
    assert standby.stop() == 0, standby.stderr
    wait_for(lambda: first.stderr.count("streaming") > 1, 15, "it takes over again")
    watched.insert()
    watched.arrived()
    assert ids(command) == list(range(8))
    assert first.stop() == 0, first.stderr
