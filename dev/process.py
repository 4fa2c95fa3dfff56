"""One server as an ordinary process: started apart, recognised again, ended for certain.

Room: dev (IO). proc(5).

A server is known by its pid file: the pid and the moment the process started, which together name one
process until the machine starts anew. Where the file is lost, a server is recognised by its working
folder, which is its data folder. No other process is ever signalled.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from dev.shell import StackError, tail

_PROC = Path("/proc")
_BINARIES = ("postgres", "java")
# Kept so that they can be reaped, and so that none is warned about as forgotten.
_children: dict[int, subprocess.Popen[bytes]] = {}


class Process:
    """A server's process, and those that it started."""

    def __init__(self, name: str, folder: Path, data: Path) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        self._file = folder / f"{name}.pid"
        self._data = data
        self._log_before = 0

    @property
    def pid(self) -> int | None:
        """The running server; None when it does not run, whoever has its pid now."""
        _reap(list(_children))
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            known = json.loads(self._file.read_text())
            if known["started"] is not None and known["started"] == _moment(known["pid"]):
                return int(known["pid"])
        at_work = self._at_work()
        # Orphans of a dead postmaster are not a server.
        return next((pid for pid in at_work if _is_leader(pid)), None)

    def start(self, command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> None:
        """Start it in a session of its own, in its data folder, its output in the log."""
        with self.log.open("ab") as log:
            self._log_before = log.tell()
            process = subprocess.Popen(
                [str(word) for word in command], stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env=env, cwd=self._data, start_new_session=True,
            )  # fmt: skip
        _children[process.pid] = process
        unfinished = self._file.with_suffix(".pid.tmp")
        unfinished.write_text(json.dumps({"pid": process.pid, "started": _moment(process.pid)}))
        unfinished.replace(self._file)

    def wait_ready(self, ready: Callable[[], bool], seconds: float = 90) -> None:
        """Wait until `ready`; a server that does not get there is ended.

        Raises:
            StackError: it ended or took too long; with the end of its log.
        """
        deadline = time.monotonic() + seconds
        while not (ready() and self.pid is not None):
            ended = self.pid is None
            if ended or time.monotonic() > deadline:
                what = "ended at its start" if ended else f"was not ready after {seconds:.0f} s"
                self.end(signal.SIGKILL)
                raise StackError(f"{self.name} {what}; the end of {self.log}:\n{self._last_words()}")
            time.sleep(0.1)

    def end(self, how: signal.Signals, seconds: float = 30) -> None:
        """Signal the server and wait until it and its children are gone; after `seconds`, kill them.

        Raises:
            StackError: some cannot be killed.
        """
        pid = self.pid
        if pid is not None and how != signal.SIGKILL:
            _signal(pid, how)
            self._wait_gone(seconds)
        gone = False
        deadline = time.monotonic() + 10
        # Again and again: a process may have started another in the meantime.
        while not gone and time.monotonic() < deadline:
            for member in self._members():
                _signal(member, signal.SIGKILL)
            gone = self._wait_gone(0.5)
        if not gone:
            raise StackError(f"{self.name} cannot be killed: look at processes {self._members()}")
        self._file.unlink(missing_ok=True)

    def _last_words(self) -> str:
        """The end of the log of this run."""
        if not self.log.exists():
            return ""
        return tail(self.log.read_bytes()[self._log_before :].decode(errors="replace"))

    def _wait_gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while members := self._members():
            if time.monotonic() > deadline:
                return False
            _reap(members)
            time.sleep(0.02)
        return True

    def _members(self) -> list[int]:
        """The server first, so that it cannot start children anew; then what it left at work."""
        pid = self.pid
        first = [] if pid is None else [pid]
        return first + [other for other in self._at_work() if other != pid]

    def _at_work(self) -> list[int]:
        """The servers' processes whose working folder is the data folder."""
        folders = {str(self._data), str(self._data.resolve())}
        found = []
        for entry in _PROC.iterdir():
            if entry.name.isdigit():
                # Other users' processes cannot be looked at, and are not ours.
                with contextlib.suppress(OSError):
                    folder = os.readlink(entry / "cwd").removesuffix(" (deleted)")
                    if folder in folders and (entry / "comm").read_text().strip() in _BINARIES:
                        found.append(int(entry.name))
        return sorted(found)


def is_alive(pid: int) -> bool:
    """True for a process that still runs: not for one that only waits for its parent to look."""
    return _moment(pid) is not None


def _signal(pid: int, how: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, how)
    _reap([pid])


def _reap(pids: Sequence[int]) -> None:
    for pid in pids:
        child = _children.get(pid)
        if child is not None and child.poll() is not None:
            _children.pop(pid, None)


def _is_leader(pid: int) -> bool:
    """True for the server itself; PostgreSQL names its children `postgres: what they do`."""
    with contextlib.suppress(OSError):
        return not (_PROC / str(pid) / "cmdline").read_bytes().startswith(b"postgres: ")
    return False


def _moment(pid: int) -> str | None:
    """When a process started: which boot of the machine, and clock ticks since; None when it is gone."""
    with contextlib.suppress(OSError):
        boot = (_PROC / "sys/kernel/random/boot_id").read_text().strip()
        # Behind the command's name, which may hold anything, fields count from 3 (proc(5)).
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        # A killed JVM may be a zombie whose threads still end, and hold its ports until then.
        if fields[0] not in ("Z", "X") or int(fields[17]) > 1:
            return f"{boot} {fields[19]}"
    return None
