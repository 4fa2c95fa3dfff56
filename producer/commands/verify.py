"""`verify`: tables compared with their topics; `--repair` has what differs sent again.

Room: commands (IO through the stages).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from producer.clock import Clock
from producer.commands.look import table_names
from producer.display import printable
from producer.errors import Verdict
from producer.pipeline.repairs import Repairs
from producer.pipeline.verify import mending
from producer.pipeline.verify.result import Result
from producer.pipeline.verify.verification import Verification
from producer.settings import Settings


def verify(settings: Settings, clock: Clock, tables: Sequence[str], *, as_json: bool, repair: bool) -> int:
    """Compare, tell, and with `repair` have what differs sent again and look once more.

    Raises:
        OperatorError: a table cannot be compared, or a producer runs that a repair would get in the way of.
    """
    named = [table_names(table) for table in tables]
    if not repair:
        return _tell(Verification(settings, clock, named).run(), as_json)
    mending.demand(settings, clock)
    repairs = Repairs()
    result = Verification(settings, clock, named).run(repairs)
    if repairs.total:
        if not mending.mend(settings, clock, repairs):
            return _tell(result, as_json)
        again = Verification(settings, clock, list(repairs.total)).run()
        looked_at = {table.table: table for table in again.tables}
        result.tables = [looked_at.get(table.table, table) for table in result.tables]
        result.behind = again.behind
        result.repaired = {".".join(names): total for names, total in repairs.total.items()}
    return _tell(result, as_json)


def _tell(result: Result, as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps(result.as_json(), indent=2, ensure_ascii=False))
    else:
        for table in result.tables:
            click.echo(printable(table.line()))
            for kind, keys in table.keys.items():
                for key in keys:
                    click.echo(f"  {kind} {json.dumps(key, ensure_ascii=False)}")
                if table.totals[kind] > len(keys):
                    click.echo(f"  and {table.totals[kind] - len(keys)} more {kind}")
        for name, reason in result.refused.items():
            click.echo(printable(f"{name}: not compared: {reason}"))
        for name, keys_sent in result.repaired.items():
            click.echo(printable(f"{name}: {keys_sent} keys were sent again"))
    return 0 if result.equal else Verdict.DATA.value
