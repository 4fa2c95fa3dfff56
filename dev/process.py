"""One server as an ordinary process: started apart, recognised again, ended for certain.

Room: dev (IO).
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dev.install import StackError


class Process:
    """A server's process, known by a file that holds its pid and when it started."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._file = folder / f"{name}.pid"

    @property
    def pid(self) -> int | None:
        """The running process; None when it does not run, or when the pid is somebody else's now."""
        try:
            known = json.loads(self._file.read_text())
        except (OSError, ValueError):
            return None
        return known["pid"] if _started(known["pid"]) == known["started"] else None

    def start(self, command: Sequence[str], *, env: dict[str, str] | None = None, cwd: Path | None = None) -> None:
        """Start it in a session of its own, its output in the log."""
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                list(command), stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=env, cwd=cwd,
                start_new_session=True,
            )  # fmt: skip
        self._file.write_text(json.dumps({"pid": process.pid, "started": _started(process.pid)}))

    def wait_ready(self, ready: Callable[[], bool], seconds: float = 90) -> None:
        """Wait until `ready`.

        Raises:
            StackError: it ended or took too long; with the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not ready():
            if self.pid is None or time.monotonic() > deadline:
                tail = "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])
                raise StackError(f"{self.name} did not become ready; the end of {self.log}:\n{tail}")
            time.sleep(0.1)

    def end(self, how: signal.Signals, seconds: float = 20) -> None:
        """Signal the process and wait for its end; after `seconds`, or at once for SIGKILL, kill its group."""
        pid = self.pid
        if pid is None:
            return
        if how == signal.SIGKILL:
            _kill_group(pid)
        else:
            _signal(pid, how)
        deadline = time.monotonic() + seconds
        while self.pid is not None and time.monotonic() < deadline:
            _reap(pid)
            time.sleep(0.05)
        if self.pid is not None:
            _kill_group(pid)
            _reap(pid)
        self._file.unlink(missing_ok=True)


def _signal(pid: int, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)


def _kill_group(pid: int) -> None:
    # The whole session: PostgreSQL's children have process groups of their own.
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            fields = _stat(int(entry.name))
            if fields and int(fields[3]) == pid:
                _signal(int(entry.name), signal.SIGKILL)
    _signal(pid, signal.SIGKILL)


def _reap(pid: int) -> None:
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat behind the command's name: state, ppid, pgrp, session, ..."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _started(pid: int) -> int | None:
    """When the process started, in clock ticks since boot: with the pid it names one process."""
    fields = _stat(pid)
    return int(fields[19]) if fields and fields[0] != "Z" else None
