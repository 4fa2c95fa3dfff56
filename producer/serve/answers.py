"""The answers: paths, methods, who may ask, and what a browser may do with a page.

Room: serve (pure: WSGI, PEP 3333; no socket). RFC 9110; RFC 7617 (basic authentication); W3C, "Content Security
Policy".
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from importlib import resources
from typing import NamedTuple
from urllib.parse import parse_qs
from wsgiref.types import StartResponse, WSGIEnvironment

from producer.serve import metrics, status
from producer.serve.history import History
from producer.serve.metrics import Exposition, Subject

_JSON = "application/json; charset=utf-8"
_HEADERS = [
    ("Cache-Control", "no-store"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
]
_CLOSED = "default-src 'none'; frame-ancestors 'none'"
_MOST_NUMBER = 10**12


class Answer(NamedTuple):
    """One response."""

    status: HTTPStatus
    type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()


class Answers:
    """A WSGI application. With `loopback_only` it answers who names this machine by a name of its own alone.

    So a page of elsewhere whose name was made to mean this machine (DNS rebinding) learns nothing.
    """

    def __init__(self, subject: Subject, history: History, instance: str, *, loopback_only: bool) -> None:
        self._subject = subject
        self._history = history
        self._instance = instance
        self._loopback_only = loopback_only
        self._exposition = Exposition(subject)
        self._page, self._policy = _page()
        info = subject.settings.http_basic_auth_user_info
        self._login = None if info is None else base64.b64encode(info.get_secret_value().encode())
        self._paths: dict[str, Callable[[WSGIEnvironment], Answer]] = {
            "/": self._show,
            "/status.json": self._status,
            "/metrics": self._metrics,
            "/health": self._health,
        }

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer a request."""
        answer = self._answer(environ)
        headers = [("Content-Type", answer.type), ("Content-Length", str(len(answer.body))), *_HEADERS]
        if not any(name == "Content-Security-Policy" for name, _ in answer.headers):
            headers.append(("Content-Security-Policy", _CLOSED))
        start_response(f"{answer.status.value} {answer.status.phrase}", [*headers, *answer.headers])
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        if self._loopback_only and not _names_loopback(environ.get("HTTP_HOST")):
            return _refusal(HTTPStatus.MISDIRECTED_REQUEST, "ask for localhost: http.listen is this machine's alone")
        if self._login is not None and not self._knows(environ.get("HTTP_AUTHORIZATION", "")):
            challenge = ("WWW-Authenticate", 'Basic realm="pg-producer", charset="UTF-8"')
            return _refusal(HTTPStatus.UNAUTHORIZED, "http.basic.auth.user.info asks for a login", challenge)
        found = self._paths.get(environ.get("PATH_INFO", ""))
        if found is None:
            return _refusal(HTTPStatus.NOT_FOUND, f"there are {', '.join(self._paths)}")
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, "GET and HEAD are answered", ("Allow", "GET, HEAD"))
        return found(environ)

    def _knows(self, authorization: str) -> bool:
        assert self._login is not None
        scheme, _, given = authorization.partition(" ")
        return scheme.lower() == "basic" and hmac.compare_digest(given.strip().encode("latin-1"), self._login)

    def _show(self, _environ: WSGIEnvironment) -> Answer:
        return Answer(
            HTTPStatus.OK, "text/html; charset=utf-8", self._page, (("Content-Security-Policy", self._policy),)
        )

    def _status(self, environ: WSGIEnvironment) -> Answer:
        asked = parse_qs(environ.get("QUERY_STRING", "")).get("since", ["0"])[0]
        since = int(asked) if asked.isascii() and asked.isdigit() and len(asked) < len(str(_MOST_NUMBER)) else 0
        return Answer(
            HTTPStatus.OK, _JSON, status.document(self._subject, self._history, self._instance, since)
        )  # fmt: skip

    def _metrics(self, _environ: WSGIEnvironment) -> Answer:
        return Answer(HTTPStatus.OK, metrics.CONTENT_TYPE, self._exposition.text())

    def _health(self, _environ: WSGIEnvironment) -> Answer:
        well, body = status.brief(self._subject)
        return Answer(HTTPStatus.OK if well else HTTPStatus.SERVICE_UNAVAILABLE, _JSON, body)


def _refusal(code: HTTPStatus, words: str, *headers: tuple[str, str]) -> Answer:
    """An error as Kafka Connect writes it."""
    body = json.dumps({"error_code": code.value, "message": f"{code.phrase}: {words}"}).encode()
    return Answer(code, _JSON, body, headers)


def _names_loopback(host: str | None) -> bool:
    """A client without a Host header is no browser; an address is no name that can be made to mean another."""
    if host is None:
        return True
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    name = name.lower().rstrip(".")
    try:
        return name == "localhost" or ipaddress.ip_address(name.strip("[]")).is_loopback
    except ValueError:
        return False


def _page() -> tuple[bytes, str]:
    """The page, its style and script within, and the policy that allows these two and nothing else."""
    folder = resources.files("producer.serve") / "page"
    page, style, script = ((folder / name).read_text("utf-8") for name in ("page.html", "page.css", "page.js"))
    policy = (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; connect-src 'self'; "
        "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page.replace("/*style*/", style).replace("/*script*/", script).encode(), policy


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
