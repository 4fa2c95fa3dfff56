"""Names: topics as the contract has them, and Avro names that are never the same for two names."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from producer.errors import SettingsError
from producer.schema.topics import avro_name, check_collisions, namespace, subjects, topic_name

LEGAL = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
# Near the rule's edges: its own letters, refused characters, and what their code points are made of.
NAMES = st.text("_u2d5f31A-é1", min_size=1, max_size=12) | st.text(min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("schema", "table", "topic"),
    [
        ("public", "orders", "shop.public.orders"),
        ("public", "Order-2_x", "shop.public.Order-2_x"),
        ("public", "my table", "shop.public.my_table"),
        ("öffentlich", "größe", "shop._ffentlich.gr__e"),
        ("public", "a😀b", "shop.public.a_b"),
        ("public", "a.b", "shop.public.a.b"),
        ("public", 'a"$b', "shop.public.a__b"),
    ],
)
def test_topic_name(schema: str, table: str, topic: str) -> None:
    assert topic_name("shop", schema, table) == topic


def test_subjects() -> None:
    assert subjects("shop.public.orders") == ("shop.public.orders-key", "shop.public.orders-value")


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (("public", "a b"), ("public", "a$b")),
        (("public", "a b"), ("public", "a_b")),
        (("public", "a.b"), ("public", "a_b")),
        (("public.a", "b"), ("public", "a.b")),
        (("public", "a_b"), ("public_a", "b")),
    ],
)
def test_colliding_tables_are_both_named(first: tuple[str, str], second: tuple[str, str]) -> None:
    with pytest.raises(SettingsError) as caught:
        check_collisions("shop", [first, ("public", "other"), second])
    assert ".".join(first) in caught.value.message
    assert ".".join(second) in caught.value.message
    assert "table.exclude.list" in caught.value.remedy


def test_different_tables_do_not_collide() -> None:
    check_collisions("shop", [("public", "a"), ("public", "A"), ("other", "a"), ("public", "a-b")], "offsets")


def test_the_offsets_are_in_no_table_s_topic() -> None:
    """Of a compacted topic nobody would notice."""
    with pytest.raises(SettingsError, match=r"offset\.storage\.topic: shop\.public\.b is the topic of table public\.b"):
        check_collisions("shop", [("public", "a"), ("public", "b")], "shop.public.b")


def test_the_longest_topic() -> None:
    room = 249 - len("shop.public.")
    check_collisions("shop", [("public", "x" * room)])
    with pytest.raises(SettingsError, match=r"public\.x+ .*250 characters"):
        check_collisions("shop", [("public", "x" * (room + 1))])


@pytest.mark.parametrize("prefix", ["", ".", "..", "a.", ".a", "a..b"])
def test_a_prefix_with_an_empty_part(prefix: str) -> None:
    with pytest.raises(SettingsError, match=r"topic\.prefix"):
        check_collisions(prefix, [])


@pytest.mark.parametrize(
    ("name", "legal"),
    [
        ("id", "id"),
        ("_id", "_id"),
        ("order-id", "order_u2d_id"),
        ("größe", "gr_uf6__udf_e"),
        ("1st", "_u31_st"),
        ("a1", "a1"),
        ("a b", "a_u20_b"),
        ("a.b", "a_u2e_b"),
        ("😀", "_u1f600_"),
        ("_u2d_", "_u5f_u2d_"),
        ("a_u2d_b", "a_u5f_u2d_b"),
        ("_u41_u2d_", "_u5f_u41_u5f_u2d_"),
        ("_u2d", "_u2d"),
        ("_u_", "_u_"),
        ("_u2D_", "_u2D_"),
        ("_U2d_", "_U2d_"),
        ("_user_", "_user_"),
        ("_u2d-", "_u5f_u2d_u2d_"),
    ],
)
def test_avro_name(name: str, legal: str) -> None:
    assert avro_name(name) == legal


@given(NAMES)
@example("_u5f_u5f_u2d_")
@example("__u2d__u2d_")
def test_avro_names_are_legal_and_tell_the_name(name: str) -> None:
    legal = avro_name(name)
    assert LEGAL.fullmatch(legal)
    assert _read_back(legal) == name


@given(NAMES, NAMES)
def test_avro_names_differ_where_names_do(one: str, other: str) -> None:
    assert (avro_name(one) == avro_name(other)) == (one == other)


def _read_back(legal: str) -> str:
    return re.sub(r"_u([0-9a-f]+)_", lambda found: chr(int(found[1], 16)), legal)


def test_namespace_splits_the_prefix_alone() -> None:
    assert namespace("shop.eu-1", "public", "a.b") == "shop.eu_u2d_1.public.a_u2e_b"
    assert namespace("shop", "1st", "größe") == "shop._u31_st.gr_uf6__udf_e"


def test_namespaces_differ_where_the_dot_is_elsewhere() -> None:
    assert namespace("shop", "a.b", "c") != namespace("shop", "a", "b.c")
