"""A steady load: one insert a transaction, committed at an even pace. Also what runs in that process.

`python -m bench.pace RATE EVENTS SESSIONS` inserts into orders of the database that PG… name, and prints a line for
each event: its number, when its INSERT was sent, and when its commit returned (the monotonic clock, which all processes
of a machine share). The event carries its number as text, which every format writes as it is.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg

from bench.database import Database
from bench.tables import ORDER_FIELDS

_SESSIONS = 8
_MARK = re.compile(rb"mark:(\d+);")
_INSERT = (
    f"INSERT INTO orders ({ORDER_FIELDS}) VALUES (%s, 'shipped', 1, 17.5, %s, repeat('x', 70), "
    "ARRAY['red', 'green', 'big blue'], '{\"a\": 1, \"b\": \"text\", \"c\": [1, 2, 3]}')"
)


class Load:
    """Events on their way."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.commits: dict[int, tuple[float, float]] = {}
        """When each event was sent, and when its commit returned; there when the load is over."""

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def over(self) -> bool:
        """All is committed."""
        return self._process.poll() is not None

    def wait(self) -> None:
        """Wait until all is committed.

        Raises:
            SystemExit: the load failed.
        """
        if code := self._process.wait():
            raise SystemExit(f"the load ended with {code}")


@contextmanager
def paced(database: Database, rate: int, events: int) -> Iterator[Load]:
    """So many events at so many a second, from now on, in another process."""
    command = [sys.executable, "-m", "bench.pace", str(rate), str(events), str(_SESSIONS)]
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(command, env=database.client_environment(), stdout=out, text=True)
        load = Load(process)
        try:
            yield load
            load.wait()
            out.seek(0)
            for line in out:
                number, sent, committed = line.split()
                load.commits[int(number)] = (float(sent), float(committed))
        finally:
            if process.poll() is None:
                process.kill()
                process.wait()


def number_of(value: bytes) -> int | None:
    """An event's number, wherever it stands in the record's value."""
    found = _MARK.search(value)
    return int(found[1]) if found else None


def main() -> None:
    """Several sessions take turns, so that one commit's wait for the disc holds up no other."""
    rate, events, sessions = map(int, sys.argv[1:])
    lines: list[list[str]] = [[] for _ in range(sessions)]
    begin = time.monotonic() + 0.5
    threads = [
        threading.Thread(target=_session, args=(range(first, events, sessions), begin, rate, lines[first]))
        for first in range(sessions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if sum(map(len, lines)) != events:
        raise SystemExit("not all was committed")
    for part in lines:
        sys.stdout.writelines(part)


def _session(numbers: range, begin: float, rate: int, lines: list[str]) -> None:
    with psycopg.connect("", autocommit=True) as connection:
        for number in numbers:
            time.sleep(max(0.0, begin + number / rate - time.monotonic()))
            sent = time.monotonic()
            connection.execute(_INSERT, (number % 1_000_000, f"mark:{number};"), prepare=True)
            lines.append(f"{number} {sent} {time.monotonic()}\n")


if __name__ == "__main__":
    main()
