"""Changes that the source did not log: the plugin's only word of them is a notice.

Room: pipeline (IO through the stages it is given). docs/DESIGN.md, "What the plugin leaves out".
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import psycopg

from producer import observe
from producer.observe import Counters
from producer.pipeline.tables.tables import Tables
from producer.source.wire import Connection

_log = observe.logger("producer.lost_changes")
_LOG_EVERY = 1000
_WORDS = "a change was not logged by the source: the table has no replica identity"
_REMEDY = "ALTER TABLE … REPLICA IDENTITY FULL; or add a primary key"
# The names stand between quotes as they are: one that holds quotes and dots is not escaped.
_NOTICE = re.compile(r'no tuple (?:identifier|data) for \w+ in table "(.*)"', re.DOTALL)
_BETWEEN = re.compile(r'(?=("\."))')


class LostChanges:
    """Counts them by table, as often as the log that lacks them is read."""

    def __init__(self, counters: Counters, tables: Tables, catalog: Connection) -> None:
        self._lost = counters.lost_changes
        self._recent = counters.recent
        self._tables = tables
        self._catalog = catalog
        self._names: dict[str, str | None] = {}

    def notice(self, _state: str, text: str) -> None:
        """Take a notice of the plugin, which speaks English only. It does not raise: the driver would only log it."""
        found = _NOTICE.fullmatch(text)
        if found is None:
            return
        quoted = found[1]
        if quoted not in self._names:
            self._names[quoted] = self._table(quoted)
        table = self._names[quoted]
        if table is None:
            return
        self._lost[table] = count = self._lost.get(table, 0) + 1
        if count == 1:
            self._recent.tell("LostChange", f"table {table}: {_WORDS}", _REMEDY)
        if count == 1 or count % _LOG_EVERY == 0:
            _log.error(_WORDS, table=table, lost=count, remedy=_REMEDY)

    def _table(self, quoted: str) -> str | None:
        """Whose change it was, a partition's its root's; None: of a table that is not selected."""
        try:
            for schema, name in _splits(quoted):
                known = self._tables.captured_as(self._catalog, schema, name)
                if known is not None:
                    return ".".join(known)
        except psycopg.Error:
            # The catalogue is away: better counted under the name that we have than not at all.
            return quoted.replace('"."', ".")
        # When the plugin was given a list, it is silent about the tables that are not in it.
        return None if self._tables.logged() is None else quoted.replace('"."', ".")


def _splits(quoted: str) -> Iterator[tuple[str, str]]:
    """What `schema"."table` may mean: a name can hold the same three characters."""
    for between in _BETWEEN.finditer(quoted):
        yield quoted[: between.start(1)], quoted[between.end(1) :]


def sum_up(counters: Counters) -> None:
    """Say at the end what was lost, once more: a sync run's last lines are what is read."""
    for table, lost in sorted(counters.lost_changes.items()):
        _log.warning(
            "changes were lost: the source does not log them",
            table=table, lost=lost, remedy=_REMEDY,
        )  # fmt: skip
