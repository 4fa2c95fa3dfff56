"""`run --skip-position`: events that are left out on an operator's word.

Room: pipeline (pure, but for the log). docs/errors.md, "Leaving one event out".
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from producer import observe
from producer.errors import DecodeError, SettingsError
from producer.events import Position
from producer.lsn import Lsn
from producer.observe import Counters
from producer.settings import Settings

_log = observe.logger("producer.skips")
# No transaction has more events.
_MOST = 2**63 - 1


def parse(text: str) -> Position:
    """Read `16/B374D848:3`.

    Raises:
        SettingsError: it is no position.
    """
    lsn, _, ordinal = text.rpartition(":")
    try:
        position = Position(Lsn.parse(lsn), int(ordinal) if ordinal.isascii() and ordinal.isdigit() else -1)
    except DecodeError:
        position = Position(Lsn(0), -1)
    if not 0 <= position.ordinal <= _MOST:
        raise SettingsError(
            f"--skip-position {text[:60]}: not a position",
            remedy="write it as the error names it: commit LSN and ordinal, e.g. --skip-position 16/B374D848:3",
        )
    return position


def demand_log(settings: Settings, positions: Sequence[Position]) -> None:
    """Refuse to name events where none is read.

    Raises:
        SettingsError: tables are copied only.
    """
    if positions and settings.replication_method == "FULL_TABLE":
        raise SettingsError(
            "--skip-position names an event of the log, and replication.method=FULL_TABLE reads tables only",
            remedy="leave the option out; a row that cannot be carried: mend it, or set errors.tolerance=all",
        )


class Skips:
    """The positions that were named; each is left out as often as it comes."""

    def __init__(self, positions: Iterable[Position], counters: Counters) -> None:
        self._positions = frozenset(positions)
        self._met: set[Position] = set()
        self._counters = counters
        self.last = max((position.commit_lsn for position in self._positions), default=-1)
        """The last commit LSN among them: behind its transaction no event need be looked at."""

    def leaves_out(self, position: Position, what: str) -> bool:
        """Whether the event, of table or kind `what`, is to be left out; then it is counted and logged."""
        if position not in self._positions:
            return False
        self._met.add(position)
        self._counters.skipped += 1
        _log.warning("an event was left out: --skip-position names it", position=_text(position), of=what)
        return True

    def demand(self, position: Position, error: DecodeError) -> None:
        """Go on behind a message that cannot be read, where it is named.

        Raises:
            DecodeError: it is not; with its position.
        """
        if not self.leaves_out(position, error.message):
            raise DecodeError(
                f"{error.message} (position {_text(position)})", remedy=f"{error.remedy}; {remedy(position)}"
            ) from error

    def sum_up(self) -> None:
        """Say at the end which of them never came."""
        for position in sorted(self._positions - self._met):
            _log.warning(
                "--skip-position: the position was not met",
                position=_text(position), remedy="was it delivered before, or does the selection differ?",
            )  # fmt: skip


def remedy(position: Position) -> str:
    """How to go on without an event."""
    return f"or leave the event out: pg-producer run --skip-position {_text(position)}"


def _text(position: Position) -> str:
    return f"{position.commit_lsn}:{position.ordinal}"
