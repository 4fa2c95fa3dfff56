"""`make demo`, as a newcomer would see it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from dev.stack import Stack
from tests import harness


def test_the_demo_shows_a_snapshot_and_then_events(stack: Stack, tmp_path: Path) -> None:
    """Servers, shop, snapshot, live events; and nothing of it is left behind."""
    folder = tmp_path / "stack"
    own = {"DEV_STACK_DIR": str(folder), "DEV_CACHE_DIR": str(stack.cache), "PRODUCER_PLUGIN_NAME": harness.PLUGIN}
    environment = {**os.environ, **own}
    done = subprocess.run(
        [sys.executable, "-m", "dev.demo", "--seconds", "4"], env=environment, capture_output=True, text=True,
        timeout=150, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "the snapshot is complete" in done.stderr
    events = [line for line in done.stdout.splitlines() if line.startswith("shop.public.")]
    assert len(events) > 3, done.stdout + done.stderr
    assert not (tmp_path / "demo").exists()
