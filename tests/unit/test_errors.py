"""Errors: each has a verdict and is drawn in the tree."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from producer import errors
from producer.errors import ProducerError, Verdict
from producer.events import Position
from producer.lsn import Lsn
from producer.observe import Counters
from producer.pipeline.side.dead_letters import DeadLetters, Letter
from producer.settings import load_settings
from producer.sink.memory import MemorySink

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "errors.md").read_text()


def _subclasses(kind: type[ProducerError]) -> Iterator[type[ProducerError]]:
    for child in kind.__subclasses__():
        yield child
        yield from _subclasses(child)


@pytest.mark.parametrize("kind", list(_subclasses(ProducerError)))
def test_every_error_has_a_verdict_and_stands_in_the_tree(kind: type[ProducerError]) -> None:
    """Nobody has to guess an exit code."""
    assert isinstance(kind.verdict, Verdict)
    assert kind.verdict.value in (2, 3, 4, 5)
    assert errors.__doc__ is not None
    assert kind.__name__ in errors.__doc__


def test_the_page_has_a_row_for_each_error_and_no_other() -> None:
    """docs/errors.md: name, exit code, meaning, remedy; in the order of the tree."""
    rows = re.findall(r"^\| `(\w+)` \| (\d) \| (.+) \| (.+) \|$", PAGE, re.MULTILINE)
    kinds = list(_subclasses(ProducerError))
    assert [(name, int(code)) for name, code, _, _ in rows] == [(k.__name__, k.verdict.value) for k in kinds]


def test_the_page_names_every_header_of_a_dead_letter() -> None:
    """And none that there is not."""
    sink = MemorySink()
    settings = load_settings(None, ["topic.prefix=p", "errors.tolerance=all"], {}).settings
    letter = Letter(
        error=errors.ConversionError("m", remedy="r"), topic="p.s.t", key=None, table="s.t", row={}, key_columns=(),
        lsn=Lsn(1), position=Position(Lsn(2), 3),
    )  # fmt: skip
    sent = DeadLetters(settings, sink, Counters()).record(letter)
    section = PAGE[PAGE.index("| header |") : PAGE.index("**Positions**")]
    assert set(re.findall(r"`(__[\w.]+)`", section)) == {name for name, _ in sent.headers}


def test_the_text_ends_with_the_remedy() -> None:
    """Whoever reads an error learns what to do."""
    assert str(errors.AccessDenied("no", remedy="ask")).endswith("remedy: ask")
