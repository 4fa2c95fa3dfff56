"""LSNs: their text form and their order."""

from __future__ import annotations

import pytest

from producer.errors import DecodeError
from producer.lsn import LAST, Lsn


@pytest.mark.parametrize("text", ["0/0", "16/B374D848", "FFFFFFFF/FFFFFFFF", "0/19B3FA0"])
def test_text_form_is_postgresql_own(text: str) -> None:
    """What PostgreSQL prints is read and printed alike."""
    assert str(Lsn.parse(text)) == text


@pytest.mark.parametrize("text", ["", "1", "/", "1/", "/1", "G/0", "0/123456789", "1/2/3", "-1/0"])
def test_anything_else_is_refused(text: str) -> None:
    """No LSN is guessed."""
    with pytest.raises(DecodeError):
        Lsn.parse(text)


def test_order_crosses_the_high_half() -> None:
    """0/FFFFFFFF lies before 1/0."""
    assert Lsn.parse("0/FFFFFFFF") < Lsn.parse("1/0") <= LAST


def test_a_position_behind_a_page_header_is_the_page() -> None:
    """Nobody waits for bytes of a header that an idle server never sends."""
    assert Lsn(8192 + 24).page_start() == 8192
    assert Lsn(16384 + 40).page_start() == 16384
    assert Lsn(8192 + 25).page_start() == 8192 + 25
