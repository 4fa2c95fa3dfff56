"""The server as such: its release, who hosts it, its clock.

Room: source (IO: PostgreSQL). docs/check.md.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

from producer.findings import Finding, Name
from producer.settings import Settings
from producer.source.platform import GENERIC, Hosting
from producer.source.wire import Connection

_DECODES_SINCE = 90400
_OLDEST = 100000
# By `make matrix`.
TESTED = {"wal2json": (13, 15, 17, 18), "pgoutput": (10, 12, 13, 14, 15, 16, 17, 18)}
# The first minor release of each line whose logical decoding has none of the faults of the early ones.
_SAFE_MINORS = {904: 21, 905: 16, 906: 12, 10: 7, 11: 2, 12: 0}
_FAR_SECONDS = 1.0


def version(number: int, plugin: str = "pgoutput") -> Finding:
    """What it means that server_version_num is `number`, where the log comes by this plugin."""
    name: Name = "server version"
    line, minor, told = _line(number)
    if number < _DECODES_SINCE:
        return Finding(
            name=name,
            status="failed",
            detail=f"PostgreSQL {told}: logical decoding came with 9.4",
            remedy="upgrade the server: 10 and newer can be read",
        )
    safe = _SAFE_MINORS.get(line, 0)
    unsafe = f"PostgreSQL {told} is older than {_told(line, safe)}, the first safe minor release of its line"
    if number < _OLDEST:
        return Finding(
            name=name,
            status="failed",
            detail=(f"{unsafe}, and " if minor < safe else f"PostgreSQL {told} is ") + "older than 10",
            remedy="upgrade the server: 10 and newer can be read",
        )
    if minor < safe:
        return Finding(name=name, status="failed", detail=unsafe, remedy="upgrade the server to its last minor release")
    if line in TESTED[plugin]:
        return Finding(name=name, status="ok", detail=f"PostgreSQL {told}")
    return Finding(
        name=name,
        status="warning",
        detail=f"PostgreSQL {told} should work; {plugin} is tested on {', '.join(map(str, TESTED[plugin]))}",
        remedy="try it with your tables before you rely on it, or use a release that is tested",
    )


def readable(number: int) -> bool:
    """Whether our questions to the catalogue are understood there."""
    return number >= _OLDEST


def _line(number: int) -> tuple[int, int, str]:
    """The line of releases (906, 10, …), the minor release, both as they are told."""
    line = number // 100 if number < _OLDEST else number // 10000
    minor = number % 100 if number < _OLDEST else number % 10000
    return line, minor, _told(line, minor)


def _told(line: int, minor: int) -> str:
    return f"{line // 100}.{line % 100}.{minor}" if line > 100 else f"{line}.{minor}"


def hosting(found: Hosting, settings: Settings) -> Iterator[Finding]:
    """Who hosts the server, and whether its log may be read there at all."""
    platform, seen = found.platform, found.seen
    marks = f", recognised by {', '.join(found.marks)}" if found.marks and platform is seen else ""
    known = "nothing of a known platform is seen" if platform is GENERIC else f"{platform.name}{marks}"
    note = f"; {platform.note}" if platform.note else ""
    if platform.no_log and settings.replication_method == "LOG_BASED":
        yield Finding(
            name="hosting platform",
            status="failed",
            detail=f"{known}. {platform.no_log}",
            remedy="replication.method=FULL_TABLE: every run copies the selected tables, with SELECT rights alone",
        )
    elif platform is not seen and seen is not GENERIC:
        yield Finding(
            name="hosting platform",
            status="warning",
            detail=f"hosting.platform={settings.hosting_platform}, and the server looks like {seen.name}: "
            f"{', '.join(found.marks)}",
            remedy=f"hosting.platform={seen.key}, or auto",
        )
    else:
        yield Finding(name="hosting platform", status="ok", detail=known + note)


def clock(connection: Connection) -> Finding:
    """How far the server's clock is from ours: lag is told by both."""
    before = time.time()
    row = connection.execute(b"SELECT extract(epoch FROM clock_timestamp())::float8").fetchone()
    after = time.time()
    return apart(float(str(row[0])) if row else before, before, after)


def apart(theirs: float, before: float, after: float) -> Finding:
    """What it means that the server's clock showed `theirs` between two looks at ours; in seconds."""
    difference = max(before - theirs, theirs - after, 0.0)
    if difference <= _FAR_SECONDS:
        return Finding(name="clocks", status="ok", detail="the server's and ours agree within a second")
    ahead = "ahead of" if theirs > after else "behind"
    return Finding(
        name="clocks",
        status="warning",
        detail=f"the server's is {difference:.1f} s {ahead} ours: lag in seconds is wrong by as much",
        remedy="let both machines take their time from NTP: timedatectl set-ntp true",
    )
