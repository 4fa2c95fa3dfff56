"""Paths, methods, logins, names of this machine, and what a browser may do with the page: without a socket."""

from __future__ import annotations

import base64
import json
import re
from io import BytesIO
from typing import Any, NamedTuple
from wsgiref.util import setup_testing_defaults

import pytest

from producer.observe import Counters
from producer.serve.answers import Answers
from producer.serve.history import History
from producer.serve.metrics import Subject
from producer.settings import load_settings
from tests.connector import StillClock

SECRETS = {
    "database.password": "pa55-Vb9", "http.basic.auth.user.info": "asker:pa55-Ku2",
    "schema.registry.basic.auth.user.info": "asker:pa55-Lm4", "producer.override.sasl.password": "pa55-Xy7",
    "schema.registry.ssl.key.password": "pa55-Qr3", "column.mask.hash.v2.SHA-256.with.salt.pa55-Salt": "a.b.c",
}  # fmt: skip


class Reply(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def answers(*settings: str, loopback_only: bool = True, counters: Counters | None = None) -> Answers:
    loaded = load_settings(None, ["topic.prefix=p", *settings], {}).settings
    clock, counters = StillClock(), counters or Counters()
    subject = Subject(loaded, counters, clock, 1000)
    history = History(counters, clock)
    history.tick()
    return Answers(subject, history, "this-one", loopback_only=loopback_only)


def ask(application: Answers, path: str, method: str = "GET", **environ: str) -> Reply:
    asked: dict[str, Any] = {"REQUEST_METHOD": method, "HTTP_HOST": "localhost:9108", "wsgi.input": BytesIO()}
    asked["PATH_INFO"], _, asked["QUERY_STRING"] = path.partition("?")
    setup_testing_defaults(asked)
    asked |= environ
    told: list[Reply] = []

    def start(status: str, headers: list[tuple[str, str]], _error: Any = None) -> Any:
        assert len({name for name, _ in headers}) == len(headers)
        told.append(Reply(int(status.split()[0]), dict(headers), b""))

    body = b"".join(application(asked, start))
    return told[0]._replace(body=body)


@pytest.mark.parametrize("path", ["/", "/status.json", "/metrics", "/health"])
def test_head_is_get_without_its_body(path: str) -> None:
    application = answers()
    got, head = ask(application, path), ask(application, path, "HEAD")
    assert got.status == 200
    assert int(got.headers["Content-Length"]) == len(got.body) > 0
    assert (head.status, head.headers, head.body) == (200, got.headers, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "TRACE"])
def test_nothing_is_changed_over_http(method: str) -> None:
    reply = ask(answers(), "/metrics", method)
    assert (reply.status, reply.headers["Allow"], reply.json["error_code"]) == (405, "GET, HEAD", 405)


@pytest.mark.parametrize("path", ["/nowhere", "/metrics/", "", "//", "/../status.json", "/page.js", "/connectors"])
def test_other_paths_are_not_there(path: str) -> None:
    """In Kafka Connect's form."""
    reply = ask(answers(), path)
    assert (reply.status, reply.json["error_code"]) == (404, 404)
    assert ask(answers(), path, "POST").status == 404


@pytest.mark.parametrize(
    "query", ["since=", "since=-1", "since=1&since=2", "%ff&=&;", "&".join(f"a{i}=1" for i in range(99))]
)
def test_a_question_that_is_not_the_page_s_is_answered(query: str) -> None:
    assert ask(answers(), f"/status.json?{query}").status == 200


@pytest.mark.parametrize(
    "host", ["localhost", "LOCALHOST:80", "127.0.0.1:9108", "127.0.0.2:9108", "[::1]", "[::1]:9108", "localhost."]
)
def test_names_of_this_machine_are_answered(host: str) -> None:
    assert ask(answers(), "/health", HTTP_HOST=host).status == 200


@pytest.mark.parametrize(
    "host",
    ["evil.test", "evil.test:9108", "localhost.evil.test", "127.0.0.1.evil.test", "192.0.2.1", "[::2]:80", "", ":"],
)
def test_a_name_that_was_made_to_mean_this_machine_learns_nothing(host: str) -> None:
    """DNS rebinding; where others may ask, their names for us are not known."""
    for path in ("/", "/status.json", "/metrics", "/health"):
        reply = ask(answers(), path, HTTP_HOST=host)
        assert reply.status == 421
        assert b"p.deadletter" not in reply.body
    assert ask(answers(loopback_only=False), "/health", HTTP_HOST=host).status == 200


def test_a_login_is_asked_for_everywhere() -> None:
    application = answers("http.basic.auth.user.info=asker:pa:ßw")

    def login(text: str) -> str:
        return "Basic " + base64.b64encode(text.encode()).decode()

    for path in ("/", "/status.json", "/metrics", "/health", "/nowhere"):
        for given in (
            "",
            "Basic",
            "Basic x",
            "Bearer x",
            login("asker:"),
            login("asker:pa"),
            login("x:pa:ßw"),
            "Basic ÿ",
        ):
            refused = ask(application, path, HTTP_AUTHORIZATION=given)
            assert refused.status == 401, given
            assert refused.headers["WWW-Authenticate"].startswith("Basic ")
        assert ask(application, path, HTTP_AUTHORIZATION=login("asker:pa:ßw")).status in (200, 404)


def test_the_page_allows_itself_and_nothing_else() -> None:
    reply = ask(answers(), "/")
    policy = dict(part.strip().split(" ", 1) for part in reply.headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == policy["form-action"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["script-src"].startswith("'sha256-")
    assert "unsafe" not in str(policy)
    assert reply.headers["X-Frame-Options"] == "DENY"
    text = reply.body.decode()
    assert not re.search(r"""(?:src|href)=["'](?!data:)|@import|url\(|https?://""", text)
    assert "/*style*/" not in text
    assert "/*script*/" not in text


@pytest.mark.parametrize("path", ["/status.json", "/metrics", "/health", "/nowhere"])
def test_no_answer_is_a_page_by_accident(path: str) -> None:
    headers = ask(answers(), path).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert headers["Content-Security-Policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert "Access-Control-Allow-Origin" not in headers


def test_secrets_are_masked_in_every_answer() -> None:
    application = answers(*(f"{key}={value}" for key, value in SECRETS.items()))
    login = "Basic " + base64.b64encode(b"asker:pa55-Ku2").decode()
    told = {
        path: ask(application, path, HTTP_AUTHORIZATION=login) for path in ("/", "/status.json", "/metrics", "/health")
    }
    for path, reply in told.items():
        assert reply.status == 200
        assert b"pa55" not in reply.body, path
    settings = {key: (value, set_by_us) for key, value, set_by_us in told["/status.json"].json["settings"]}
    assert settings["database.password"] == ("********", True)
    assert settings["producer.override.sasl.password"] == ("********", True)
    assert settings["topic.prefix"] == ("p", True)
    assert settings["tombstones.on.delete"] == ("true", False)


@pytest.mark.parametrize(
    ("query", "samples"),
    [
        ("", 1),
        ("since=0", 1),
        ("since=1", 0),
        ("since=-1", 1),
        ("since=x", 1),
        ("since=²", 1),
        (f"since={'9' * 99}", 1),
    ],
)
def test_samples_come_once_and_settings_with_the_first(query: str, samples: int) -> None:
    shown = ask(answers(), f"/status.json?{query}").json
    assert len(shown["samples"]) == samples
    assert ("settings" in shown) == bool(samples)


def test_what_health_answers() -> None:
    counters = Counters()
    application = answers(counters=counters)
    assert ask(application, "/health").json == {"status": "ok", "state": "RUNNING", "phase": "starting", "reasons": []}
    counters.condition.enter("standby", 0)
    assert ask(application, "/health").json["phase"] == "standby"
    counters.slot_wal_status = "lost"
    reply = ask(application, "/health")
    assert reply.status == 503
    assert reply.json["status"] == "unhealthy"
    assert reply.json["reasons"][0]["reason"] == "slot"
