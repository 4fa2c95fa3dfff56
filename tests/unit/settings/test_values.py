"""Values: what each kind of text may be."""

from __future__ import annotations

import pytest

from producer.settings.values import compile_list, key_columns, matches


def test_expressions() -> None:
    """Debezium's meaning: the whole name, any case, commas escaped."""
    expressions = compile_list(r"public\.orders, sales\.o{1\,2}, ,a\\,b")
    assert [one.pattern for one in expressions] == [r"public\.orders", r"sales\.o{1,2}", r"a\\", "b"]
    assert matches(expressions, "PUBLIC.Orders")
    assert matches(expressions, "sales.oo")
    assert not matches(expressions, "public.orders_old")
    assert compile_list("") == ()


@pytest.mark.parametrize("text", ["(", "a{99999999999}", "[[a]", r"\Qa\E"])
def test_what_is_no_expression(text: str) -> None:
    """Java's sets of sets and quotations are refused, not read otherwise."""
    with pytest.raises(ValueError, match="no regular expression"):
        compile_list(text)


def test_key_columns() -> None:
    assert key_columns("a.b:c, d ; e.f:g;") == {"a.b": ("c", "d"), "e.f": ("g",)}


@pytest.mark.parametrize("text", ["a.b", "a.b:", ":c", "a.b:c,,d", "a.b: ", "a.b:c;a.b:d", "(:c"])
def test_what_are_no_key_columns(text: str) -> None:
    with pytest.raises(ValueError, match=r"not of the form|named twice|no regular expression"):
        key_columns(text)
