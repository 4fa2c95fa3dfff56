"""Sessions that change a table at random, and the judge of what its topic says of it."""

from __future__ import annotations

import random
import threading
from collections.abc import Sequence
from typing import Any

import psycopg

from producer.sink.reader import Record
from tests.harness import Command, Source, folded

KEYS = 60


class Writers:
    """Sessions that change table t at random, some of it rolled back, until they are stopped."""

    def __init__(self, source: Source, seed: int, count: int = 3, keys: Sequence[int] = range(1, KEYS + 1)) -> None:
        self._source = source
        self._keys = keys
        self._stop = threading.Event()
        self.transactions = 0
        self._failure: Exception | None = None
        self._threads = [
            threading.Thread(target=self._work, args=(random.Random(seed * 100 + number),)) for number in range(count)
        ]

    def __enter__(self) -> Writers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()
        assert self._failure is None, self._failure

    def _work(self, chance: random.Random) -> None:
        try:
            with self._source.connect() as connection:
                # They lock in any order: by default all of them would stand still for a second again and again.
                connection.execute("SET deadlock_timeout = '20ms'")
                while not self._stop.is_set():
                    self._transaction(connection, chance)
        except psycopg.Error as error:
            self._failure = error

    def _transaction(self, connection: psycopg.Connection[Any], chance: random.Random) -> None:
        try:
            with connection.transaction() as whole:
                for _ in range(chance.randint(1, 4)):
                    with connection.transaction() as part:
                        self._change(connection, chance)
                        if chance.random() < 0.1:
                            raise psycopg.Rollback(part)
                if chance.random() < 0.2:
                    raise psycopg.Rollback(whole)
        except (psycopg.errors.UniqueViolation, psycopg.errors.DeadlockDetected):
            return
        self.transactions += 1

    def _change(self, connection: psycopg.Connection[Any], chance: random.Random) -> None:
        one, other, value = chance.choice(self._keys), chance.choice(self._keys), chance.randint(0, 10**9)
        kind = chance.random()
        if kind < 0.35:
            connection.execute(
                "INSERT INTO t (id, v) VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET v = excluded.v", (one, value)
            )
        elif kind < 0.65:
            connection.execute("UPDATE t SET v = %s WHERE id = %s", (value, one))
        elif kind < 0.8:
            connection.execute("DELETE FROM t WHERE id = %s", (one,))
        else:
            connection.execute("UPDATE t SET id = %s WHERE id = %s", (other, one))


def judge(
    source: Source, command: Command, settings: dict[str, object] | None = None, *, killed: bool = False
) -> list[Any]:
    """Read to the end after a stop: per key the positions rise, and folding gives the table.

    Stopped inside a transaction, a run leaves its first events to be sent again by the next; one that
    was `killed` leaves more of them.
    """
    before_stop = len(list(command.records("public.t")))
    assert command.run("run", "--once", settings=settings or {}).returncode == 0
    records = command.records("public.t")
    judge_records(records, table_of(source), once=0 if killed else before_stop)
    return records


def table_of(source: Source) -> dict[int, int]:
    """The table's rows."""
    return {row[0]: row[1] for row in source.rows("SELECT id, v FROM t")}


def judge_records(records: Sequence[Record], rows: dict[int, int], once: int) -> None:
    """No step back for any key; a consumer in order, and one that goes by positions, have the table's rows.

    The first `once` records do not repeat each other. Behind a snapshot's row nothing older follows, be it repeated;
    the row itself may come again, as it was: where nobody writes, two readings stand at one place.
    """
    latest: dict[int, tuple[int, int]] = {}
    copied: dict[int, tuple[tuple[int, int], Any]] = {}
    sent: set[tuple[int, tuple[int, int]]] = set()
    highest: dict[int, int | None] = {}
    for number, record in enumerate(records):
        value: Any = record.value
        key: Any = record.key
        if value is None:
            continue
        position = (value["source"]["commit_lsn"], value["source"]["ordinal"])
        if value["op"] == "t":
            # What it emptied is older: it comes in the order of the log, but for what is repeated.
            highest = {id_: v for id_, v in highest.items() if latest[id_] > position}
            continue
        id_ = key["id"]
        if id_ in copied and position != copied[id_][0]:
            assert position > copied[id_][0], (id_, copied[id_], position, value["op"])
        elif id_ in copied:
            assert (value["op"], value["after"]) == ("r", copied[id_][1]), (id_, copied[id_], position, value)
        if value["op"] == "r":
            copied[id_] = position, value["after"]
        if (id_, position) in sent and number >= once:
            continue
        sent.add((id_, position))
        assert id_ not in latest or position > latest[id_], (id_, latest[id_], position, value["op"])
        latest[id_] = position
        highest[id_] = None if value["op"] == "d" else value["after"]["v"]
    (state,) = folded(list(records)).values() if records else ({},)
    assert {row["id"]: row["v"] for row in state.values()} == rows
    assert {id_: v for id_, v in highest.items() if v is not None} == rows
