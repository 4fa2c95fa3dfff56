"""The README's picture: what a run said, and nothing that asks another server for anything."""

from __future__ import annotations

import re

import pytest

from dev.picture import picture
from dev.shell import StackError

_EVENT = 'shop.public.orders       c 62539576:1     {"id": %d, "state": "new"}'


def test_it_shows_what_was_said_and_asks_nobody() -> None:
    lines = ["1. starting", "2026-11-28T05:45:14.110393Z [info     ] streaming slot=s"]
    svg = picture([*lines, *(_EVENT % number for number in range(20))])
    text = re.sub(r"<[^>]*>|&#160;", " ", svg)
    for words in ("make demo", "1. starting", "streaming", "shop.public.orders"):
        assert words in re.sub(r" +", " ", text)
    assert not re.search(r"url\(\"?http|<!--|@font-face", svg)


def test_a_run_without_events_is_no_picture() -> None:
    """On a busy machine nothing may have come in time."""
    with pytest.raises(StackError, match="2 events"):
        picture(["1. starting", *(_EVENT % number for number in range(2))])
