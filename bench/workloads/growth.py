"""Curves: what an event costs as the tables become more, and as transactions become bigger."""

from __future__ import annotations

from bench.report import Result, compared
from bench.rounds import Rounds
from bench.workloads import Bench, Workload
from bench.workloads.streams import drained, inserts, round_robin

_TABLES = (10, 100, 1_000)
_ROWS = (1_000, 10_000, 100_000, 1_000_000)
_OVER_TABLES = 200_000
_IN_TRANSACTIONS = 1_000_000


def _tables(bench: Bench) -> list[Result]:
    streams = [round_robin(f"W-growth-tables-{tables}", bench.tables(tables), _OVER_TABLES) for tables in _TABLES]
    measured = zip(drained(bench, streams, most_rounds=1), _TABLES, strict=True)
    return [result for rounds, tables in measured for result in _told(rounds, "tables", bench.tables(tables))]


def _rows(bench: Bench) -> list[Result]:
    """Without pg_recvlogical: W-insert and W-one have its ends of the curve."""
    streams = [inserts(f"W-growth-rows-{rows}", _IN_TRANSACTIONS, rows) for rows in _ROWS]
    measured = zip(drained(bench, streams, most_rounds=1, limit=False), _ROWS, strict=True)
    return [
        result
        for rounds, rows in measured
        for result in _told(rounds, "rows_a_transaction", min(rows, bench.events(_IN_TRANSACTIONS)))
    ]


def _told(rounds: Rounds, grown: str, number: int) -> list[Result]:
    return compared(rounds, lambda _system: {grown: number})


WORKLOADS = (
    Workload(
        tuple(f"W-growth-tables-{tables}" for tables in _TABLES), "the same 200,000 inserts over more tables", _tables
    ),
    Workload(
        tuple(f"W-growth-rows-{rows}" for rows in _ROWS), "the same 1,000,000 inserts in bigger transactions", _rows
    ),
)
