"""Bars: what is drawn stays small, however many things there are; nothing is drawn unless something begins."""

from __future__ import annotations

import io
import re

import pytest
from rich.console import Console

from producer import display

_TABLES = 200


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Console:
    """A terminal of 100 columns."""
    made = Console(file=io.StringIO(), force_terminal=True, width=100, height=24, legacy_windows=False)
    monkeypatch.setattr(display, "_console", lambda: made)
    return made


def last_frame(screen: Console) -> list[str]:
    """What stood there at the end."""
    assert isinstance(screen.file, io.StringIO)
    drawn = re.sub(r"\x1b\[\d*[AK]|\r", "\n", screen.file.getvalue())
    drawn = re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", drawn)
    frame: list[str] = []
    for line in reversed(drawn.split("\n")):
        text = line.rstrip()
        if text:
            frame.append(text)
        if "tables" in text:
            break
    return frame[::-1]


def test_many_tables_are_a_few_lines(screen: Console) -> None:
    """The sum, what is under way, and the last that ended."""
    bars = display.Bars(display.rows)
    bars.expect(_TABLES, _TABLES * 10, "tables")
    for number in range(_TABLES):
        bars.begin(f"public.t{number}", 10)
        bars.advance(f"public.t{number}", 10)
        if number < _TABLES - 2:
            bars.finish(f"public.t{number}")
    bars.close()
    frame = last_frame(screen)
    assert frame[0].startswith("198 of 200 tables")
    assert "2,000 rows" in frame[0]
    assert 3 <= len(frame) <= 10, frame
    assert f"public.t{_TABLES - 1}" in frame[-1]


def test_an_estimate_that_was_too_low_is_given_up(screen: Console) -> None:
    """No more than all of it is ever claimed."""
    bars = display.Bars(display.rows)
    bars.expect(2, 100, "tables")
    bars.begin("a", 50)
    bars.begin("b", 50)
    bars.advance("a", 500)
    bars.close()
    assert "500 rows of" not in "\n".join(last_frame(screen))
    # Begun again after its end, and told of what nobody began: neither is an error.
    bars.begin("c", 0)
    bars.advance("nobody", 1)
    bars.close()


def test_a_name_that_looks_like_markup_is_shown_as_it_is(screen: Console) -> None:
    """`[red]` is a table's name."""
    bars = display.Bars(display.rows)
    bars.expect(2, 0, "tables")
    bars.begin("public.[red]", 0)
    bars.close()
    assert "public.[red]" in "\n".join(last_frame(screen))


def test_nothing_is_drawn_before_something_begins(screen: Console) -> None:
    """A loop that never copies leaves the terminal alone."""
    bars = display.Bars(display.size)
    bars.finish("a")
    bars.close()
    assert isinstance(screen.file, io.StringIO)
    assert screen.file.getvalue() == ""


def test_amounts_in_words() -> None:
    assert display.rows(1234567) == "1,234,567 rows"
    assert display.size(1_500_000) == "1.5 MB"


@pytest.mark.parametrize(
    ("environment", "colours"), [({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)], ids=str
)
def test_colours(environment: dict[str, str], colours: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not where somebody asked for none."""
    made = Console(file=io.StringIO(), force_terminal=True, _environ={"TERM": "xterm", **environment})
    monkeypatch.setattr(display, "_console", lambda: made)
    monkeypatch.setattr("sys.stderr", Terminal())
    assert display.coloured() is colours


class Terminal(io.StringIO):
    """One that says so."""

    def isatty(self) -> bool:
        """It is."""
        return True


def test_names_that_a_terminal_would_obey(screen: Console) -> None:
    """Neither escapes, nor line breaks, nor rich's markup."""
    assert display.printable("a\x1b[31m\nok é\x9b") == "a\\x1b[31m\\x0aok é\\x9b"
    bars = display.Bars(display.rows)
    bars.begin("[/red]\nx", 5)
    bars.close()
    assert any("[/red]\\x0ax" in line for line in last_frame(screen))
