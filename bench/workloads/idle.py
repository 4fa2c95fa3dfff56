"""What a running system costs while nothing happens."""

from __future__ import annotations

import time

from bench.measure import Cost, watched
from bench.report import Result, targeted
from bench.rounds import Rounds
from bench.tables import orders
from bench.workloads import Bench, Workload

_SETTLE_SECONDS = 10
_SECONDS = 30
_TARGET = 0.005


def _run(bench: Bench) -> list[Result]:
    found: list[Result] = []
    for system in bench.systems:
        with bench.database(["orders"]) as database:
            database.execute(orders())
            system.attach(database)
            with system.stream(database) as live:
                time.sleep(bench.seconds(_SETTLE_SECONDS))
                with watched(
                    live.processes, lambda: database.pids("walsender"), broker=bench.stack.pid("kafka")
                ) as stretch:
                    time.sleep(bench.seconds(_SECONDS))
        found.append(_result(system.name, stretch.cost))
    return found


def _result(system: str, cost: Cost) -> Result:
    share = cost.processor / cost.seconds
    # A clock tick is the least that can be seen.
    seen = max(share, 0.01 / cost.seconds)
    return targeted(
        "W-idle",
        system,
        ratio=_TARGET / seen,
        peak_rss=cost.peak_rss,
        rounds=1,
        disturbed=any(Rounds("W-idle", 1, done=[{system: cost}]).disturbed),
        figures={
            "share_of_a_core": round(share, 5),
            "backend_share_of_a_core": round(cost.backends / cost.seconds, 5),
            "broker_share_of_a_core": round(cost.broker / cost.seconds, 5),
        },
    )


WORKLOADS = (Workload(("W-idle",), "30 s without a change: the processor's time of an idle system", _run),)
