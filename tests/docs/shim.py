"""Stands for `pg-producer` in the pages' blocks: the real command, with the test's own addresses behind its options.

`run`, which does not end by itself, goes on in the background once it streams, as in a reader's second terminal. It
is stopped, as by Ctrl-C, before the next `run` or `slot drop`, and at the page's end; `tail` ends at the topics' ends.

Run as a program: DOCS_SETS holds `key=value` lines, DOCS_PREFIX the pages' topic.prefix and the test's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

STREAMS = "streaming"
_SECONDS = 40.0
_TAKES_SETTINGS = {"run", "check", "status", "schemas", "tail", "slot", "grants", "verify"}
_LOG, _PID, _CODE = Path(".running.log"), Path(".running.pid"), Path(".running.code")


def main(arguments: list[str]) -> int:
    """The exit code of the command."""
    if arguments[:1] == ["--supervise"]:
        return supervise(arguments[1:])
    given = _mapped(arguments)
    command = given[0] if given else ""
    if command in _TAKES_SETTINGS and not {"--help", "--version", "-h"} & set(given):
        given += [part for line in os.environ["DOCS_SETS"].splitlines() for part in ("--set", line)]
    argv = [sys.executable, "-m", "producer", *given]
    if command == "run" or given[:2] == ["slot", "drop"]:
        stop()
    if command == "run" and "--once" not in given:
        return _in_background(argv)
    if command == "tail" and "--once" not in given:
        argv.append("--once")
    return subprocess.run(argv, check=False).returncode


def _mapped(words: list[str]) -> list[str]:
    """A topic that is named by its whole name begins with the test's prefix."""
    of_pages, of_test = os.environ["DOCS_PREFIX"].split()
    pairs = zip(["", *words], words, strict=False)
    return [word.replace(f"{of_pages}.", f"{of_test}.", 1) if before == "--topic" else word for before, word in pairs]


def _in_background(argv: list[str]) -> int:
    for left in (_PID, _CODE, _LOG):
        left.unlink(missing_ok=True)
    # Its output is nobody's to wait for.
    subprocess.Popen(
        [sys.executable, __file__, "--supervise", *argv], start_new_session=True, stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + _SECONDS
    while not _CODE.exists():
        # Without its number nobody could stop it.
        if _PID.exists() and _LOG.exists() and STREAMS in _LOG.read_text():
            return 0
        if time.monotonic() > deadline:
            print(f"{argv} does not stream:\n{_LOG.read_text()}", file=sys.stderr)
            return 124
        time.sleep(0.05)
    print(_LOG.read_text(), file=sys.stderr)
    return int(_CODE.read_text())


def supervise(argv: list[str]) -> int:
    """Run it to its end, and leave its exit code behind."""
    with _LOG.open("wb") as log:
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    _leave(_PID, process.pid)
    _leave(_CODE, process.wait())
    return 0


def _leave(file: Path, number: int) -> None:
    """Whoever finds the file finds the number in it."""
    unfinished = file.with_suffix(".tmp")
    unfinished.write_text(str(number))
    unfinished.replace(file)


def stop() -> int | None:
    """End what runs in the background of this folder, orderly; its exit code, None where nothing runs."""
    if not _PID.exists():
        return None
    if not _CODE.exists():
        os.kill(int(_PID.read_text()), signal.SIGINT)
        deadline = time.monotonic() + _SECONDS
        while not _CODE.exists():
            if time.monotonic() > deadline:
                os.kill(int(_PID.read_text()), signal.SIGKILL)
                raise TimeoutError(_LOG.read_text())
            time.sleep(0.02)
    code = int(_CODE.read_text())
    _PID.unlink()
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
