"""Values that ask for a feature of a later release: refused, never ignored.

Room: settings (pure). A release that brings a feature takes its line away.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from producer.settings.model import FIELDS, Settings

_SET: Callable[[Any], bool] = bool


def _other_than(*supported: object) -> Callable[[Any], bool]:
    return lambda value: value not in supported


NOT_YET: dict[str, tuple[Callable[[Any], bool], str]] = {
    "replication.method": (_other_than("LOG_BASED"), "only LOG_BASED is"),
    "plugin.name": (_other_than("wal2json"), "only wal2json is"),
    "slot.failover": (_SET, "failover slots are not"),
    "snapshot.mode": (
        _other_than("initial", "initial_only", "no_data", "never", "always"),
        "initial, initial_only, no_data, always are",
    ),
    "exactly.once.support": (_other_than("requested"), "delivery is at least once"),
    "slot.max.retained.bytes": (_SET, "watching the source's disk is not"),
    "slot.retention.action": (_other_than("warn"), "watching the source's disk is not"),
    "slot.drop.on.stop": (_SET, "use `pg-producer slot drop`"),
    "http.listen": (_SET, "the HTTP interface is not"),
    "value.subject.name.strategy": (_other_than("TopicNameStrategy"), "only TopicNameStrategy is"),
}


def not_yet(settings: Settings) -> Iterator[tuple[str, str]]:
    """(key, what there is instead) of every value that asks for a later release."""
    for key, (asks, words) in NOT_YET.items():
        if asks(getattr(settings, FIELDS[key])):
            yield key, words
