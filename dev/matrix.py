"""`make matrix`: the tests marked `matrix` on each supported PostgreSQL, and one table.

Room: dev (IO). `python -m dev.matrix [--plugin pgoutput] [MAJOR…] [-- pytest's own arguments]`. With wal2json where the
major has it, else with pgoutput. Each major has a stack of its own, one after the other; that of a major whose tests
failed is kept, stopped, to be looked at.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

from dev.jars import JARS
from dev.shell import StackError, say
from dev.stack import MAJORS, Stack

_ROOT = Path(__file__).resolve().parent.parent
_ROW = "{:<7}{:<12}{:<14}{:>7}{:>8}{:>9}{:>9}  {}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """One major's."""

    major: int
    server: str = "-"
    plugin: str = "-"
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    """Skipped, or expected to fail."""
    seconds: float = 0
    trouble: str = ""
    """Why there are no figures, or why they do not count."""

    @property
    def good(self) -> bool:
        """True when tests ran and all that ran passed."""
        return self.passed > 0 and not self.failed and not self.trouble


def main(argv: Sequence[str] | None = None) -> int:
    """Run all, or the named majors; 1 when one of them is not good."""
    words = list(sys.argv[1:] if argv is None else argv)
    own, rest = (words[: words.index("--")], words[words.index("--") + 1 :]) if "--" in words else (words, [])
    parser = argparse.ArgumentParser(prog="python -m dev.matrix", description=__doc__)
    parser.add_argument("majors", nargs="*", type=int, metavar="MAJOR", help=", ".join(map(str, MAJORS)))
    parser.add_argument("--plugin", choices=("wal2json", "pgoutput"), help="this one, where the major has it")
    arguments = parser.parse_args(own)
    majors = arguments.majors or MAJORS
    if unknown := set(majors) - set(MAJORS):
        parser.error(f"no PostgreSQL {unknown.pop()} here: there are {', '.join(map(str, MAJORS))}")
    results = []
    for major in majors:
        say(f"\nPostgreSQL {major}")
        plugin = "pgoutput" if major in JARS else arguments.plugin or "wal2json"
        results.append(_tested(major, plugin, rest))
    print("\n" + _ROW.format("major", "PostgreSQL", "plugin", "passed", "failed", "skipped", "seconds", "").rstrip())
    for r in results:
        figures = (r.major, r.server, r.plugin, r.passed, r.failed, r.skipped, round(r.seconds), r.trouble)
        print(_ROW.format(*figures).rstrip())
    return 0 if all(result.good for result in results) else 1


def _tested(major: int, plugin: str, arguments: Sequence[str]) -> Result:
    base = Stack.load()
    stack = Stack(base.folder.parent / "matrix" / str(major), base.cache, major)
    try:
        stack.wipe()
        stack.start()
        result = _run(stack, major, plugin, arguments)
        stack.stop()
    except StackError as error:
        say(f"error: {error}")
        stack.stop()
        return Result(major=major, trouble="the stack did not start")
    except BaseException:
        stack.stop()
        raise
    if result.good:
        stack.wipe()
    else:
        say(f"its servers' logs and data are kept in {stack.folder}")
    return result


def _run(stack: Stack, major: int, plugin: str, arguments: Sequence[str]) -> Result:
    began = time.monotonic()
    report = stack.folder / "tests.xml"
    ended = subprocess.run(
        [sys.executable, "-m", "pytest", "-m", "matrix", "--plugin", plugin, f"--junitxml={report}", *arguments],
        cwd=_ROOT, check=False,
        env={**os.environ, "DEV_STACK_DIR": str(stack.folder), "DEV_CACHE_DIR": str(stack.cache),
             "DEV_POSTGRES_MAJOR": str(major)},
    ).returncode  # fmt: skip
    counts = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    if report.exists():
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            for name in counts:
                counts[name] += int(suite.get(name, "0"))
    failed = counts["failures"] + counts["errors"]
    return Result(
        major=major,
        server=stack.postgres_version,
        plugin=f"wal2json {stack.wal2json_version}" if plugin == "wal2json" else plugin,
        passed=counts["tests"] - failed - counts["skipped"],
        failed=failed,
        skipped=counts["skipped"],
        seconds=time.monotonic() - began,
        # 0: passed; 1: some failed, which the figures tell.
        trouble="" if ended in (0, 1) else f"pytest ended with {ended}",
    )


if __name__ == "__main__":
    sys.exit(main())
