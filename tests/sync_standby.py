"""A synchronous standby that stalls: commits are in the log, and decoded, before anybody sees them."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import threading
from pathlib import Path

from dev.install import PG_BIN
from tests.harness import Source, wait_for

_NAME = "stalling"


class StallingStandby:
    """`pg_receivewal --synchronous` of a server of the test's own, stopped and continued at random."""

    def __init__(self, source: Source, folder: Path, seed: int) -> None:
        self._source = source
        self._chance = random.Random(seed)
        self._folder = folder
        folder.mkdir()
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._stall)
        self.stalls = 0

    def __enter__(self) -> StallingStandby:
        command = [
            str(PG_BIN / "pg_receivewal"), "--directory", str(self._folder), "--synchronous", "--no-loop",
            "--dbname", f"{self._source.stack.postgres_dsn()} application_name={_NAME}",
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_for(self._connected, what="the standby to be there")
        self._source.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{_NAME}'", "SELECT pg_reload_conf()")
        wait_for(lambda: self._connected("sync"), what="the standby to be waited for")
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()
        with self._source.connect() as admin:
            # Nobody else is there any more, and this one must not wait.
            admin.execute("SET synchronous_commit = local")
            admin.execute("ALTER SYSTEM RESET synchronous_standby_names")
            admin.execute("SELECT pg_reload_conf()")
        self._process.terminate()
        self._process.wait(10)

    def _connected(self, state: str = "") -> bool:
        found = self._source.rows(f"SELECT sync_state FROM pg_stat_replication WHERE application_name = '{_NAME}'")
        return bool(found) and state in found[0][0]

    def _stall(self) -> None:
        while not self._done.wait(self._chance.uniform(0.02, 0.3)):
            os.kill(self._process.pid, signal.SIGSTOP)
            self._done.wait(self._chance.uniform(0.05, 0.6))
            os.kill(self._process.pid, signal.SIGCONT)
            self.stalls += 1
