"""Chunks: whatever is done, what is left and what is done make the table, each page once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from producer.source.chunks import Chunk, _cut, gaps

_PAGES = 60


def _pages(chunk: Chunk) -> list[int]:
    return list(range(chunk.first, _PAGES if chunk.end is None else chunk.end))


@given(
    borders=st.lists(st.integers(0, _PAGES - 1), min_size=1, max_size=12, unique=True),
    kept=st.lists(st.booleans(), min_size=12, max_size=12),
    each=st.integers(1, _PAGES),
    pages=st.integers(0, _PAGES),
)
def test_what_is_done_and_what_is_left_make_the_table(
    borders: list[int], kept: list[bool], each: int, pages: int
) -> None:
    """Whatever its size is now, and the chunks' size."""
    firsts = sorted({0, *borders})
    plan = [Chunk(first, end) for first, end in zip(firsts, [*firsts[1:], None], strict=True)]
    done = [chunk for chunk, keep in zip(plan, kept, strict=False) if keep]
    left = [chunk for gap in gaps(reversed(done)) for chunk in _cut(gap, each, pages)]
    assert sorted(page for chunk in [*done, *left] for page in _pages(chunk)) == list(range(_PAGES))
    assert left == sorted(left, key=lambda chunk: chunk.first)
    assert all(chunk.end is None or chunk.end - chunk.first <= each for chunk in left)
    assert sum(chunk.end is None for chunk in [*done, *left]) == 1


def test_an_endless_chunk_is_read_as_far_as_the_table_went() -> None:
    """What later pages hold came by the stream."""
    (one, two) = _cut(Chunk(3, None), 4, 9)
    assert (one, two) == (Chunk(3, 7), Chunk(7, None))
    assert two.condition().as_string() == "ctid >= '(7,0)' AND ctid < '(9,0)'"
    assert one.condition().as_string() == "ctid >= '(3,0)' AND ctid < '(7,0)'"


def test_nothing_is_left_of_a_table_that_is_done() -> None:
    """An endless chunk has all that follows."""
    assert gaps([Chunk(5, None), Chunk(0, 5)]) == []
    assert gaps([]) == [Chunk(0, None)]
    assert gaps([])[0].whole
