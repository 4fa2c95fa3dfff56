"""Tables and publications without a server, for what is decided about them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from producer.source.catalog import Table
from producer.source.publication.found import Member, Publication
from producer.source.publication.steps import Wanted


def table(oid: int, *, partitioned: bool = False, schema: str = "public") -> Table:
    """`public.t<oid>`."""
    return Table(
        oid=oid, schema=schema, name=f"t{oid}", partitioned=partitioned, is_partition=False, root_oid=None,
        persistence="permanent", identity="default", rows=0, filenode=oid, usable=True, unreadable=frozenset(),
        filtered=False,
    )  # fmt: skip


def wanted(oid: int, *, partitioned: bool = False) -> Wanted:
    """A selected table whose old rows are logged."""
    return Wanted(table(oid, partitioned=partitioned))


def bare(oid: int) -> Wanted:
    """One whose old rows are not."""
    return Wanted(table(oid), ((("public", f"t{oid}")),), whole=False)


def publication(name: str, *oids: int, owned: bool = True, **more: Any) -> Publication:
    """One that names these tables."""
    given = Publication(oid=1, name=name, owned=owned, members={oid: Member(oid + 1000) for oid in oids})
    return replace(given, **more)
