"""Which transactions may be in the log and are not visible yet."""

from __future__ import annotations

import pytest

from dev.stack import Stack
from producer.source import visibility
from producer.source.wire import connect
from tests.harness import Source, source_of

XID = "SELECT (txid_current() & 4294967295)::bigint"


@pytest.mark.parametrize("newest", [True, False])
def test_what_runs_here_is_named_and_what_runs_elsewhere_is_not(stack: Stack, source: Source, *, newest: bool) -> None:
    """Contract 7: the newest one too, which no snapshot names."""
    with (
        source_of(stack, f"{source.name}_o") as other,
        other.connect() as far, far.transaction(),
        source.connect() as near, near.transaction(),
    ):  # fmt: skip
        ((away,),) = far.execute(XID).fetchall()
        ((here,),) = near.execute(XID).fetchall()
        if not newest:
            source.execute("CREATE TABLE later (id int)")
        connection = connect(source.server())
        found = visibility.not_visible(connection)
        connection.close()
    assert here in found
    assert away not in found


def test_a_role_without_rights_sees_them_too(source: Source) -> None:
    """Contract 3: the read-only user."""
    role = f"{source.name}_plain"
    source.execute(f"CREATE ROLE {role}")
    try:
        with source.connect() as near, near.transaction():
            ((here,),) = near.execute(XID).fetchall()
            connection = connect(source.server())
            connection.execute(f"SET ROLE {role}".encode())
            assert here in visibility.not_visible(connection)
            connection.close()
    finally:
        source.execute(f"DROP ROLE {role}")
