"""Load and faults that one process must survive, for long: does it grow?"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import NamedTuple

from tests.chaos.faults import SURVIVED, Fault
from tests.chaos.scene import Failed, Scene

# Memory may waver: buffers are filled by faults, pages are given back late.
_GROWTH = 1.15
# A connection to Kafka comes and goes.
_WAVER = 3


class Sample(NamedTuple):
    """What the process has, some time after its start."""

    seconds: float
    rss_mb: float
    descriptors: int
    threads: int


def soak(scene: Scene, seconds: float, play: Callable[[str, Fault], float], say: Callable[[str], None]) -> list[Sample]:
    """Faults one after the other, each played to its recovery; a sample after each.

    Raises:
        Failed: it has grown, or a fault was not survived.
    """
    scene.start()
    scene.streaming()
    began = time.monotonic()
    samples: list[Sample] = []
    while (now := time.monotonic() - began) < seconds:
        name = scene.chance.choice(sorted(SURVIVED))
        play(name, SURVIVED[name])
        sample = _sample(scene.running.process.pid, now)
        samples.append(sample)
        say(f"          {sample.rss_mb:.1f} MB, {sample.descriptors} descriptors, {sample.threads} threads")
    # The first fifth is the warming up: every table seen, every buffer filled once.
    first, middle = len(samples) // 5, len(samples) * 3 // 5
    early, late = _means(samples[first:middle]), _means(samples[middle:])
    say(
        f"soak: {seconds / 60:.1f} minutes, {len(samples)} faults, {early.rss_mb:.1f} then {late.rss_mb:.1f} MB, "
        f"descriptors {early.descriptors} then {late.descriptors}, threads {early.threads} then {late.threads}; "
        f"most {max(sample.rss_mb for sample in samples):.1f} MB"
    )
    if (
        late.rss_mb > early.rss_mb * _GROWTH
        or late.descriptors > early.descriptors + _WAVER
        or late.threads > early.threads
    ):
        raise Failed("the producer grows")
    return samples


def _means(samples: Sequence[Sample]) -> Sample:
    """The medians of some samples."""
    if not samples:
        raise Failed("too short a soak: no fault was made in it")
    return Sample(*(median(column) for column in zip(*samples, strict=True)))


def _sample(pid: int, seconds: float) -> Sample:
    process = Path(f"/proc/{pid}")
    status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
    return Sample(
        seconds,
        int(status["VmRSS"].split()[0]) / 1024,
        len(list((process / "fd").iterdir())),
        int(status["Threads"]),
    )
