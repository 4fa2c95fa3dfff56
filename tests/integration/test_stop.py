"""Signals reach us whatever the main thread stands in."""

from __future__ import annotations

import signal
import subprocess
import sys

from tests.harness import Source, wait_for

# The driver's own call: none of Python's handlers runs before the server has answered.
STANDING = """
import sys
import psycopg
from producer.clock import SystemClock
from producer.pipeline.stop import Stop
connection = psycopg.connect(sys.argv[1])
Stop(SystemClock()).listen()
print("ready", flush=True)
connection.pgconn.exec_(b"SELECT pg_sleep(60)")
"""


def test_a_second_signal_ends_a_process_that_waits_for_a_server(source: Source) -> None:
    """Contract 2: at once."""
    dsn = source.stack.postgres_dsn(source.name)

    def ends() -> bool:
        process.send_signal(signal.SIGTERM)
        return process.poll() is not None

    with subprocess.Popen([sys.executable, "-c", STANDING, dsn], stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == b"ready\n"
            # Signals of one kind that come together are one.
            wait_for(ends, 10, "its end")
            assert process.returncode == 128 + signal.SIGTERM
        finally:
            process.kill()
