"""A kind of value: how its literals are made, what PostgreSQL says of it, and what a consumer then must decode.

A `render` never uses the text that the producer reads, where there is another way: send functions, extract,
subscripts, casts. It makes one JSON value of an SQL expression; `expect` makes of that what Avro holds.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from hypothesis import strategies as st

from producer.schema.types import Modes

NAN = "a number that is not one"
_PLACES = itertools.count()
Literals = st.SearchStrategy[str]


class Refused:
    """What Avro cannot carry: a conversion failure is expected."""

    def __repr__(self) -> str:
        return "refused"


REFUSED = Refused()


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A column type."""

    sql: str
    literals: Literals
    """SQL expressions of the type."""
    extremes: tuple[str, ...]
    render: Callable[[str], str]
    """An SQL expression of the type -> one of type json, text, integer or boolean."""
    expect: Callable[[Any], Any]
    """What the rendered JSON says -> what a consumer decodes."""
    extension: str = ""
    dimensions: int = 0
    name: str = ""
    modes: Modes | None = None

    @property
    def id(self) -> str:
        """For the test's name."""
        return self.name or self.sql


def quoted(text: str, type: str) -> str:
    """A literal of a type."""
    escaped = text.replace("\\", "\\\\").replace("'", "''")
    return f"CAST(E'{escaped}' AS {type})"


def of_texts(type: str, texts: st.SearchStrategy[str]) -> Literals:
    """Literals from the texts that the type's input function reads."""
    return texts.map(lambda text: quoted(text, type))


def scalar(
    type: str,
    texts: st.SearchStrategy[str],
    extremes: tuple[str, ...],
    render: str,
    expect: Callable[[Any], Any] = lambda value: value,
    *,
    extension: str = "",
) -> Kind:
    """A type whose literals are texts; `render` holds `{v}`."""
    weighted = st.sampled_from(extremes) | texts if extremes else texts
    return Kind(
        sql=type,
        literals=of_texts(type, weighted),
        extremes=tuple(quoted(text, type) for text in extremes),
        render=lambda v: render.replace("{v}", v),
        expect=expect,
        extension=extension,
    )


def _or_null(kind: Kind, v: str) -> str:
    # IS NULL would be true of a record of nulls too.
    return f"CASE WHEN {v} IS NOT DISTINCT FROM NULL THEN NULL ELSE to_json({kind.render(v)}) END"


def _may_be_null(kind: Kind) -> Callable[[Any], Any]:
    return lambda value: None if value is None else kind.expect(value)


def array(element: Kind, depth: int = 1, *, most: int = 3) -> Kind:
    """An array of a kind, NULL among its elements."""

    # Of its own for each array: one may stand in another.
    place = next(_PLACES)

    def render(v: str, level: int = 1, subscripts: str = "") -> str:
        index = f"i{place}_{level}"
        inner = f"{subscripts}[{index}]"
        item = _or_null(element, f"({v}){inner}") if level == depth else render(v, level + 1, inner)
        return (
            f"(SELECT coalesce(json_agg({item} ORDER BY {index}), '[]'::json) "
            f"FROM generate_subscripts({v}, {level}) {index})"
        )

    def expect(value: Any, level: int = 1) -> Any:
        read = _may_be_null(element) if level == depth else lambda item: expect(item, level + 1)
        items = [read(item) for item in value]
        return REFUSED if any(item is REFUSED for item in items) else items

    def made(items: Any) -> str:
        return f"ARRAY[{','.join(made(item) for item in items)}]" if isinstance(items, list) else items

    item = element.literals | st.just("NULL")
    boxes: st.SearchStrategy[Any] = st.lists(item, min_size=1, max_size=most)
    for _ in range(depth - 1):
        # Every row of an array is as long as the others.
        boxes = boxes.flatmap(
            lambda row: st.lists(st.permutations(row).map(list) if not isinstance(row[0], list) else st.just(row),
                                 min_size=1, max_size=most)
        )  # fmt: skip
    type = element.sql + "[]" * depth
    first: Any = [*element.extremes, "NULL"]
    for _ in range(depth - 1):
        first = [first, first]
    return Kind(
        sql=type,
        literals=st.just(f"'{{}}'::{type}") | boxes.map(lambda items: f"{made(items)}::{type}"),
        extremes=(f"'{{}}'::{type}", f"{made(first)}::{type}", f"{made(_only_null(depth))}::{type}"),
        render=render,
        expect=expect,
        extension=element.extension,
        dimensions=depth,
    )


def _only_null(depth: int) -> Any:
    return "NULL" if depth == 0 else [_only_null(depth - 1)]


def composite(type: str, fields: dict[str, Kind]) -> Kind:
    """A record of kinds, NULL among its attributes. Its type must exist."""

    def render(v: str) -> str:
        parts = ", ".join(_or_null(kind, f'({v})."{name}"') for name, kind in fields.items())
        return f"json_build_array({parts})"

    def expect(value: Any) -> Any:
        found = {name: _may_be_null(kind)(item) for (name, kind), item in zip(fields.items(), value, strict=True)}
        return REFUSED if any(item is REFUSED for item in found.values()) else found

    def row(items: Any) -> str:
        return f"ROW({', '.join(items)})::{type}"

    most = max(len(kind.extremes) for kind in fields.values())
    return Kind(
        sql=type,
        literals=st.tuples(*(kind.literals | st.just("NULL") for kind in fields.values())).map(row),
        extremes=(
            row("NULL" for _ in fields),
            *(row(kind.extremes[n % len(kind.extremes)] for kind in fields.values()) for n in range(most)),
        ),
        render=render,
        expect=expect,
    )


def domain(name: str, under: Kind) -> Kind:
    """A domain over a kind: rendered and decoded as that."""
    return Kind(
        sql=name,
        literals=under.literals.map(lambda literal: f"({literal})::{name}"),
        extremes=tuple(f"({literal})::{name}" for literal in under.extremes),
        render=lambda v: under.render(f"({v})::{under.sql}"),
        expect=under.expect,
        dimensions=under.dimensions,
    )


def comparable(value: Any) -> Any:
    """NaN equals itself, and -0 is not 0."""
    if isinstance(value, dict):
        return {name: comparable(item) for name, item in value.items()}
    if isinstance(value, list):
        return [comparable(item) for item in value]
    if isinstance(value, float):
        return NAN if math.isnan(value) else value.hex()
    return value
