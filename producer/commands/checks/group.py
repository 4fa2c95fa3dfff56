"""A group of findings: an error ends the group, and the other groups go on.

Room: commands (pure).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from producer.errors import ProducerError
from producer.findings import Finding, Name
from producer.source.wire import Server, explained

Look = Callable[[], Iterable[Finding | ProducerError]]


def group(name: Name, look: Look, at: Server | None = None) -> Iterator[Finding]:
    """Its findings; what is only an error gets the group's name. `at`: where it asks PostgreSQL."""
    try:
        if at is None:
            yield from _named(name, look())
        else:
            with explained(at, f"looking at {name}"):
                yield from _named(name, look())
    except ProducerError as error:
        yield Finding.of(name, error)


def _named(name: Name, found: Iterable[Finding | ProducerError]) -> Iterator[Finding]:
    for one in found:
        yield one if isinstance(one, Finding) else Finding.of(name, one)
