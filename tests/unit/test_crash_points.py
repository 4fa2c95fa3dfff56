"""Named moments to die at: only where the environment says so, at the right reaching; chaos knows them all."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

from producer.crash_points import VARIABLE
from tests.chaos.faults import POINTS

_PRODUCER = Path(__file__).resolve().parents[2] / "producer"
_REACH = "from producer.crash_points import reach\nfor _ in range(4):\n reach('a'); print('.', end='', flush=True)"


def _died(at: str) -> tuple[int, str]:
    run = subprocess.run(
        [sys.executable, "-c", _REACH], env={**os.environ, VARIABLE: at}, capture_output=True, text=True, check=False
    )
    return run.returncode, run.stdout


def test_the_process_dies_at_the_reaching_that_was_asked_for() -> None:
    """kill -9; nothing happens at another point, or without the variable."""
    assert _died("a:3") == (-signal.SIGKILL, "..")
    assert _died("a") == (-signal.SIGKILL, "")
    assert _died("b:1") == (0, "....")
    assert _died("") == (0, "....")


def test_chaos_knows_every_point() -> None:
    """A point that nobody dies at proves nothing; one that is in no code cannot be reached."""
    reached = [
        name
        for file in _PRODUCER.rglob("*.py")
        for name in re.findall(r'crash_points\.reach\("(\w+)"\)', file.read_text())
    ]
    assert sorted(reached) == sorted(POINTS)
