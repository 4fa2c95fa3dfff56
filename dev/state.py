"""What a stack keeps between commands: its ports and where its data lies.

Room: dev (IO).
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from dev.install import PG_MAJOR
from dev.ports import free_ports, is_free
from dev.shell import StackError

# Which ports each server listens on.
PORTS = {
    "postgres": ("postgres",),
    "kafka": ("kafka", "controller"),
    "registry": ("registry", "management"),
    "connect": ("connect",),
}
# sockaddr_un holds 107 bytes; the socket's own name takes up to 15 of them.
_SOCKET_PATH_LIMIT = 107 - len("/.s.PGSQL.65535")


@dataclass(frozen=True, slots=True)
class State:
    """The content of stack.json."""

    ports: dict[str, int]
    data: Path
    socket: Path
    """The folder of PostgreSQL's Unix socket."""
    major: int = PG_MAJOR
    """PostgreSQL's; the data is of no use to another."""

    def with_free_ports(self, stopped: list[str]) -> State:
        """The same, where the ports of stopped servers are free: another's are given up."""
        wanted = [port for name in stopped for port in PORTS[name]]
        lost = [name for name in wanted if name not in self.ports or not is_free(self.ports[name])]
        kept = {name: port for name, port in self.ports.items() if name not in lost}
        return replace(self, ports={**kept, **free_ports(lost, taken=kept.values())})


def load(folder: Path) -> State | None:
    """What is kept for this stack; None when it never ran.

    Raises:
        StackError: the file is damaged.
    """
    file = _file(folder)
    try:
        kept = json.loads(file.read_text())
        data = Path(kept["data"])
        socket = Path(kept.get("socket", data / "socket"))
        return State(kept["ports"], data, socket, kept.get("major", PG_MAJOR))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise StackError(f"{file} cannot be read ({error}): delete {folder} and start anew") from error


def make(folder: Path, major: int) -> State:
    """A new stack's: in its folder, or in places apart where PostgreSQL could not be there."""
    data = folder / "data"
    if os.geteuid() == 0 and not _reachable(folder):
        data = _apart()
    if major != PG_MAJOR:
        # Its programs see what is in their tree only.
        if _too_long(tree(data) / "socket"):
            data = _apart()
        return State({}, data, tree(data) / "socket", major)
    socket = data / "socket"
    if _too_long(socket):
        socket = _apart() / "socket"
    return State({}, data, socket)


def tree(data: Path) -> Path:
    """Where the tree of another major's programs is, the server's data and its socket in it."""
    return data / "postgres"


def save(folder: Path, state: State) -> None:
    """Keep it; the file is whole at every moment."""
    unfinished = _file(folder).with_suffix(".tmp")
    unfinished.write_text(json.dumps(asdict(state), default=str, indent=1))
    unfinished.replace(_file(folder))


def apart(folder: Path, state: State) -> list[Path]:
    """The places outside the stack's folder that are to go with it."""
    places = {state.data, state.socket.parent}
    return [place for place in places if not place.is_relative_to(folder) and place.name.startswith(_PREFIX)]


_PREFIX = "pg-producer-dev-"


def _file(folder: Path) -> Path:
    return folder / "stack.json"


def _too_long(socket: Path) -> bool:
    return len(os.fsencode(socket)) > _SOCKET_PATH_LIMIT


def _apart() -> Path:
    place = Path(tempfile.mkdtemp(prefix=_PREFIX))
    # PostgreSQL's own user must get to its folders inside.
    place.chmod(0o755)
    return place


def _reachable(folder: Path) -> bool:
    """True when any user may walk to the folder."""
    return all(parent.stat().st_mode & 0o001 for parent in (folder, *folder.parents))
