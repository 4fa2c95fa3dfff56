"""Running other programs, and telling what happens.

Room: dev (IO).
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path


class StackError(Exception):
    """Something the stack needs is missing or did not start; says what to do."""


def say(text: str) -> None:
    """Tell what happens, on stderr: stdout is for results."""
    print(text, file=sys.stderr, flush=True)


def run(
    command: Sequence[str],
    *,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    seconds: float = 900,
) -> str:
    """Run a command to its end and return its stdout; the output is shown only when it fails.

    Raises:
        StackError: it is not there, failed or took too long; with the end of its output.
    """
    try:
        done = subprocess.run(
            list(command), text=True, capture_output=True, check=False, cwd=cwd, env=env,
            timeout=seconds, stdin=subprocess.DEVNULL, errors="replace",
        )  # fmt: skip
    except FileNotFoundError as error:
        raise StackError(f"{command[0]} is not there: run `python -m dev install`") from error
    except subprocess.TimeoutExpired as error:
        raise StackError(f"{' '.join(command)} did not end within {seconds:.0f} s: try again") from error
    if done.returncode != 0:
        raise StackError(f"{' '.join(command)} failed:\n{tail(done.stdout + done.stderr)}")
    return done.stdout


def tail(text: str, lines: int = 20) -> str:
    """The last lines of a text."""
    return "\n".join(text.strip().splitlines()[-lines:])


@contextlib.contextmanager
def locked(file: Path, seconds: float = 300) -> Iterator[None]:
    """Keep others, of this process or another, from changing the same folder meanwhile.

    Raises:
        StackError: somebody else holds it for too long.
    """
    deadline = time.monotonic() + seconds
    while True:
        file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(file, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # The holder before may have wiped the folder: then this is a lock on nothing.
            if file.exists() and os.fstat(descriptor).st_ino == file.stat().st_ino:
                break
        except BlockingIOError:
            pass
        os.close(descriptor)
        if time.monotonic() > deadline:
            raise StackError(f"another `python -m dev` holds {file}: wait for it or end it")
        time.sleep(0.05)
    try:
        yield
    finally:
        os.close(descriptor)
