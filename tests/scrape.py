"""What a running producer answers over HTTP."""

from __future__ import annotations

import base64
import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from email.message import Message
from typing import Any, NamedTuple

from prometheus_client.parser import text_string_to_metric_families

from tests.harness import Running, wait_for

PORT_FREE: dict[str, object] = {"http.listen": "127.0.0.1:0"}


class Reply(NamedTuple):
    """Status, body, headers."""

    status: int
    text: str
    headers: Message


class Scrape:
    """The address of a run with `http.listen=127.0.0.1:0`: it says which port it has."""

    def __init__(self, running: Running, login: str | None = None) -> None:
        self._running = running
        running.wait_for("answering over HTTP")
        found = re.search(r"http://127\.0\.0\.1:\d+", running.stderr)
        assert found, running.stderr
        self.address = found[0]
        self._headers = {} if login is None else {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}

    def ask(self, path: str, headers: Mapping[str, str] | None = None, method: str = "GET") -> Reply:
        """One request."""
        request = urllib.request.Request(
            self.address + path, headers={**self._headers, **(headers or {})}, method=method
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return Reply(answer.status, answer.read().decode(), answer.headers)
        except urllib.error.HTTPError as error:
            with error:
                return Reply(error.code, error.read().decode(), error.headers)
        except urllib.error.URLError as error:
            raise AssertionError(f"{error}; exit {self._running.process.poll()}: {self._running.stderr}") from error

    def status(self) -> Any:
        """status.json."""
        return json.loads(self.ask("/status.json").text)

    def health(self) -> tuple[int, list[str]]:
        """The status, and the reasons' words."""
        reply = self.ask("/health")
        return reply.status, [reason["reason"] for reason in json.loads(reply.text)["reasons"]]

    def values(self, name: str) -> dict[tuple[str, ...], float]:
        """A metric's samples, without its prefix, by the values of its labels in their names' order."""
        families = text_string_to_metric_families(self.ask("/metrics").text)
        return {
            tuple(sample.labels[label] for label in sorted(sample.labels)): sample.value
            for family in families
            for sample in family.samples
            if sample.name == f"pg_producer_{name}"
        }

    def value(self, name: str, *labels: str) -> float:
        """One of them; 0 where it is not there."""
        return self.values(name).get(labels, 0.0)

    def wait_for(self, name: str, *labels: str, value: float, seconds: float = 30) -> None:
        """Wait until it has the value."""
        wait_for(lambda: self.value(name, *labels) == value, seconds, f"{name} {labels} {value}")
