"""Values that ask for a feature of a later release: refused, never ignored.

Room: settings (pure). A release that brings a feature takes its line away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from producer.settings.model import FIELDS, Settings


def _other_than(*supported: object) -> Callable[[Any], bool]:
    return lambda value: value not in supported


NOT_YET: dict[str, tuple[Callable[[Any], bool], str]] = {
    "value.subject.name.strategy": (_other_than("TopicNameStrategy"), "only TopicNameStrategy is"),
}


def contradictions(settings: Settings) -> Iterator[tuple[str, str]]:
    """(key, why) of every value that another one rules out."""
    if settings.replication_method == "FULL_TABLE" and settings.snapshot_mode in ("initial_only", "no_data", "never"):
        words = "has no meaning with replication.method=FULL_TABLE, where every run copies every table: leave it at"
        yield "snapshot.mode", f"{settings.snapshot_mode} {words} initial, or set always"


def not_yet(settings: Settings) -> Iterator[tuple[str, str]]:
    """(key, what there is instead) of every value that asks for a later release."""
    for key, (asks, words) in NOT_YET.items():
        if asks(getattr(settings, FIELDS[key])):
            yield key, words
    if settings.exactly_once_support == "required" and settings.snapshot_mode == "initial_only":
        yield "exactly.once.support", "snapshot.mode=initial_only remembers nothing: a second run sends all again"
