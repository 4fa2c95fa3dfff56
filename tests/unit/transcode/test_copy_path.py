"""A snapshot's fast path: every row but the last goes out once, in its order, and is counted."""

from __future__ import annotations

from typing import Any

import pytest

from producer.transcode.plan import ColumnPlan, Form, TablePlan, ValuePlan

Build = dict[str, Any]
PLAN = TablePlan(
    topic="t", columns=(ColumnPlan(name="v", head=b"", value=ValuePlan(form=Form.LONG), nullable=False),), key=(0,),
    key_frame=b"K", value_frame=b"V", names=b"N", json_names=b"n",
)  # fmt: skip


class Lane:
    """A path, the rows that wait for it, and the keys of what it sent."""

    def __init__(self, build: Build) -> None:
        self.codes = build["fast_path"]
        self.path = build["copy_path"].CopyPath(build["walker"].Walker())
        self.waiting: list[bytes] = []
        self.sent: list[bytes | None] = []

    def get(self, _asynchronous: int) -> tuple[int, memoryview]:
        if not self.waiting:
            return 0, memoryview(b"")
        row = self.waiting.pop(0)
        return (len(row), memoryview(row)) if row else (-1, memoryview(b""))

    def produce(self, topic: str, value: bytes | None, key: bytes | None, partition: int, ack: object) -> None:
        assert (topic, partition, ack) == ("t", -1, None)
        assert value is not None
        if len(self.sent) == 5:
            raise BufferError("full")
        self.sent.append(key)

    def run(self, *rows: bytes, most: int = 100, most_bytes: int = 1_000_000) -> int:
        self.waiting += rows
        code: int = self.path.run(
            self.get, self.produce, None, PLAN, 7, self.path.held, most, most_bytes,
        )  # fmt: skip
        return code


@pytest.fixture
def lane(build: Build) -> Lane:
    return Lane(build)


def test_the_last_row_is_held_until_there_is_another(lane: Lane) -> None:
    assert lane.run(b"1\n", b"2\n", b"3\n") == lane.codes.EMPTY
    assert lane.sent == [b"K\x02", b"K\x04"]
    assert (lane.path.held, lane.path.records) == (b"3\n", 2)
    assert lane.run(b"4\n", b"") == lane.codes.ENDED
    assert lane.sent == [b"K\x02", b"K\x04", b"K\x06"]
    assert (lane.path.held, lane.path.records) == (b"4\n", 1)


def test_it_stops_at_so_many_rows_and_at_so_many_bytes(lane: Lane) -> None:
    assert lane.run(b"1\n", b"2\n", b"3\n", b"4\n", most=1) == lane.codes.FULL
    assert lane.run(most_bytes=1) == lane.codes.FULL
    assert lane.path.held == b"3\n"
    assert lane.path.size > 1


def test_a_row_that_cannot_be_carried_is_held_with_nothing_sent_of_it(lane: Lane, build: Build) -> None:
    with pytest.raises(build["plan"].FormError):
        lane.run(b"1\n", b"no number\n", b"3\n")
    assert (lane.path.held, lane.path.records) == (b"no number\n", 1)


def test_a_record_that_the_sink_refuses_is_not_counted(lane: Lane) -> None:
    with pytest.raises(BufferError):
        lane.run(*(b"%d\n" % number for number in range(9)))
    assert (lane.path.held, lane.path.records) == (b"5\n", 5)
