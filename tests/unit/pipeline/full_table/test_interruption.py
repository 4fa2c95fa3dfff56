"""Design "Full table": when an interrupted run is gone on with, and what of it stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from producer.lsn import Lsn
from producer.pipeline.full_table.interruption import finished, goes_on
from producer.sink.offsets import Loaded, Offset, TableMark
from producer.source.catalog import Table
from producer.source.slot import Identity

MINUTE = 60_000_000
BEGAN = 1_000 * MINUTE
RUN = Offset(
    lsn=Lsn(200), slot="", system_id="1", timeline=2, commit_us=BEGAN, snapshot="running", consistent_point=Lsn(100)
)
HERE = Identity(system_id="1", timeline=2, version=150000, in_recovery=False, encoding="UTF8", insert_lsn=Lsn(900))


def table(name: str, filenode: int = 7) -> Table:
    return Table(
        oid=1, schema="public", name=name, partitioned=False, is_partition=False, root_oid=None,
        persistence="permanent", identity="default", rows=0, filenode=filenode, usable=True,
        unreadable=frozenset(), filtered=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("worked", "paused", "expected"),
    [(1, 9, True), (1, 11, False), (60, 59, True), (60, 61, False), (60, -1, True)],
)
def test_a_pause_no_longer_than_the_work(worked: int, paused: int, expected: bool) -> None:
    """Or than a supervisor may need; clocks may differ."""
    written = BEGAN + worked * MINUTE
    assert goes_on(Loaded(offset=RUN, written_us=written), HERE, written + paused * MINUTE) is expected


@pytest.mark.parametrize(
    ("last", "here"),
    [
        (None, HERE),
        (replace(RUN, snapshot="completed"), HERE),
        (RUN, replace(HERE, system_id="9")),
        (RUN, replace(HERE, timeline=3)),
    ],
)
def test_what_is_no_interrupted_run_of_this_server(last: Offset | None, here: Identity) -> None:
    assert not goes_on(Loaded(offset=last, written_us=BEGAN), here, BEGAN)


def test_marks_of_this_run_and_of_this_file_only() -> None:
    """An earlier run's stand lower; a rewritten table has another file, a partitioned one has none."""
    marks = {
        "public.done": TableMark(rows=1, position=Lsn(100), filenode=7),
        "public.root": TableMark(rows=1, position=Lsn(200), filenode=None),
        "public.earlier": TableMark(rows=1, position=Lsn(99), filenode=7),
        "public.rewritten": TableMark(rows=1, position=Lsn(100), filenode=6),
    }
    every = [table(name) for name in ("done", "root", "earlier", "rewritten", "unmarked")]
    found = finished(Loaded(offset=RUN, tables=marks), every)
    assert [one.name for one in found] == ["done", "root"]
    assert finished(Loaded(tables=marks), every) == []
