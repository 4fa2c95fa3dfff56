"""Several systems on the same work, round by round."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeVar

from bench.measure import Cost

# More of the machine than this in other hands, and a round says little.
DISTURBED = 0.15

Round = Mapping[str, Cost]
"""By the system's name."""


class _Named(Protocol):
    name: str


_SystemT = TypeVar("_SystemT", bound=_Named)


@dataclass(frozen=True, slots=True)
class Rounds:
    """One workload, done by all systems in each round."""

    workload: str
    events: int
    references: tuple[str, ...] = ()
    """Systems whose seconds, added up, are the limit."""
    own_limits: Mapping[str, str] = field(default_factory=dict)
    """Systems that are measured by another limit than the references, and that one."""
    done: list[Round] = field(default_factory=list)

    @property
    def systems(self) -> list[str]:
        """References first."""
        names = list(self.done[0])
        return [*self.references, *(name for name in names if name not in self.references)]

    def costs(self, system: str) -> list[Cost]:
        """A system's, round by round."""
        return [each[system] for each in self.done]

    def ratio(self, system: str) -> float | None:
        """The median of the rounds' own ratios of the limit's seconds to the system's; None where that says nothing."""
        if not self.references or (system in self.references and len(self.references) > 1):
            return None
        limits = (self.own_limits[system],) if system in self.own_limits else self.references
        return statistics.median(
            sum(each[name].seconds for name in limits) / each[system].seconds for each in self.done
        )

    @property
    def disturbed(self) -> list[bool]:
        """Whether others had too much of the machine, round by round."""
        return [any(cost.foreign > DISTURBED for cost in each.values()) for each in self.done]

    def wanting(self, rounds: int, repeats: int) -> bool:
        """Rounds are missing: a disturbed one is repeated, but not for ever."""
        return len(self.done) < rounds + min(sum(self.disturbed), repeats * rounds)

    def calm(self) -> Rounds:
        """The rounds that nobody disturbed, whatever came out of them; all of them when there is none."""
        kept = [each for each, disturbed in zip(self.done, self.disturbed, strict=True) if not disturbed]
        return replace(self, done=kept) if kept else self


def turns(systems: Sequence[_SystemT], number: int) -> list[_SystemT]:
    """The order of a round: every other one goes backwards."""
    return list(systems) if number % 2 == 0 else list(reversed(systems))


def progress(text: str) -> None:
    """A line for whoever waits."""
    print(text, file=sys.stderr, flush=True)
