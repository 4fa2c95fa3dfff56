"""Asking a server of the stack over HTTP, in JSON.

Room: dev (IO).
"""

from __future__ import annotations

import json
import urllib.request

# A proxy of the environment is not for this machine.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def call(url: str, method: str = "GET", body: object = None, *, content_type: str = "application/json") -> object:
    """The answer's document; None for an empty one.

    Raises:
        OSError: no answer, or an error status.
        ValueError: the answer is no JSON.
    """
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data, headers={"Content-Type": content_type})
    with _OPENER.open(request, timeout=10) as answer:
        text = answer.read()
    return json.loads(text) if text else None
