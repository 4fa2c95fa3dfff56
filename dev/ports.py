"""Free TCP ports for servers that keep theirs.

Room: dev (IO).
"""

from __future__ import annotations

import random
import socket
from collections.abc import Collection

from dev.shell import StackError

# Below the ports that Linux gives to outgoing connections: one of those could take a stopped server's.
_RANGE = range(20000, 32000)


def free_ports(names: Collection[str], *, taken: Collection[int] = ()) -> dict[str, int]:
    """One free port for each name, by chance: stacks that start side by side hardly meet.

    Raises:
        StackError: there are none.
    """
    found: dict[str, int] = {}
    for port in random.sample(_RANGE, 1000):
        if len(found) == len(names):
            break
        if port not in taken and is_free(port):
            found[next(name for name in names if name not in found)] = port
    if len(found) < len(names):
        raise StackError(f"no free ports between {_RANGE.start} and {_RANGE.stop}: end what listens there")
    return found


def is_free(port: int) -> bool:
    """True when a server could listen here, even right after another did."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
