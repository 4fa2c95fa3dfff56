"""Which faults, in which order: scenes that begin with a fault in the snapshot, and go on with some in the stream."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import cycle

from tests.chaos.faults import KILL, SNAPSHOT


@dataclass(frozen=True)
class Script:
    """One scene: how it begins, and what follows; the same for the same seed."""

    number: int
    beginning: str
    faults: Sequence[str]


def scripts(names: Iterable[str], seed: int, kills: int, rounds: int) -> list[Script]:
    """So many rounds of kill -9, and of each other fault in the stream and in the snapshot."""
    chance = random.Random(seed)
    stream = [name for name in names for _ in range(kills if name == KILL else rounds)]
    beginnings = [name for name in SNAPSHOT for _ in range(rounds)]
    chance.shuffle(stream)
    chance.shuffle(beginnings)
    shares: list[list[str]] = [[] for _ in beginnings]
    for share, name in zip(cycle(shares), stream, strict=False):
        share.append(name)
    return [Script(n, *pair) for n, pair in enumerate(zip(beginnings, shares, strict=True))]
