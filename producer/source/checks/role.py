"""The role that we are.

Room: source (IO: PostgreSQL). PostgreSQL manual, "Role Attributes".
"""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from producer.findings import Finding
from producer.source.wire import Connection

_ROLE = b"""
SELECT rolsuper, rolreplication, rolbypassrls,
       coalesce((SELECT string_agg(g.rolname, ', ' ORDER BY g.rolname)
                   FROM pg_catalog.pg_roles g
                  WHERE g.oid <> r.oid AND NOT r.rolsuper AND pg_has_role(r.oid, g.oid, 'MEMBER')), ''),
       rolvaliduntil < now() + interval '7 days', rolvaliduntil::text
  FROM pg_catalog.pg_roles r WHERE rolname = current_user
"""


def attributes(connection: Connection, user: str) -> Iterator[Finding]:
    """What it may, and how long."""
    row = connection.execute(_ROLE).fetchone()
    if row is None:
        return
    superuser, replicates, bypasses, groups, ends, until = row
    words = [
        word for word, has in (("superuser", superuser), ("replication", replicates), ("bypassrls", bypasses)) if has
    ]
    told = f"{user}: {', '.join(words) or 'no attribute'}" + (f"; member of {groups}" if groups else "")
    if ends:
        yield Finding(
            name="role",
            status="warning",
            detail=f"{told}; its password is good until {until} only",
            remedy=f"ALTER ROLE {sql.Identifier(user).as_string()} VALID UNTIL 'infinity';  (after a new password)",
        )
    else:
        yield Finding(name="role", status="ok", detail=told)
