"""The Kafka client's own log, without its repetitions.

Room: sink (IO: Kafka). librdkafka, "INTRODUCTION.md" (logging): while brokers are away or refuse us it
says so at every attempt, several times a second.
"""

from __future__ import annotations

import logging
import re
import time

_SECONDS = 30.0
_MOST = 200
_DIGITS = re.compile(r"\d+")


class Repetitions(logging.Filter):
    """Lets a line pass once in half a minute; lines that differ in numbers only are the same."""

    def __init__(self) -> None:
        super().__init__()
        self._passed: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """True: let it pass."""
        line = _DIGITS.sub("#", record.getMessage())
        now = time.monotonic()
        if now - self._passed.get(line, now - _SECONDS) < _SECONDS:
            return False
        if len(self._passed) >= _MOST:
            self._passed.clear()
        self._passed[line] = now
        return True


def client_logger() -> logging.Logger:
    """The logger that every Kafka client is given; its lines come while the client is polled."""
    logger = logging.getLogger("producer.kafka")
    if not any(isinstance(item, Repetitions) for item in logger.filters):
        logger.addFilter(Repetitions())
    return logger
