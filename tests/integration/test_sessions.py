"""What a session is pinned to, whatever database and role say."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from producer.source.wire import Connection, Server, connect, connect_replication
from tests.harness import Source


@pytest.mark.parametrize("opened", [connect, connect_replication])
def test_no_statement_is_compiled(source: Source, opened: Callable[[Server], Connection]) -> None:
    """LLVM takes 25 ms for a question to the catalogue that is answered in one: many tables, many seconds."""
    source.execute(f"ALTER DATABASE {source.name} SET jit = on")
    connection = opened(source.server())
    result = connection.pgconn.exec_(b"SHOW jit")
    connection.close()
    assert result.get_value(0, 0) == b"off"
