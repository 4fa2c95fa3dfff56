"""Text as a JSON string, exactly as PostgreSQL's escape_json writes it.

Room: decode (pure). PostgreSQL's source, `escape_json`; RFC 8259, "Strings".
"""

from __future__ import annotations

import re

_SPECIAL = re.compile(rb'[\x00-\x1f"\\]')
_SHORT = {b"\b": b"\\b", b"\t": b"\\t", b"\n": b"\\n", b"\f": b"\\f", b"\r": b"\\r", b'"': b'\\"', b"\\": b"\\\\"}


def json_bytes(text: bytes) -> bytes:
    """Of a text in UTF-8."""
    return b'"' + _SPECIAL.sub(_escaped, text) + b'"'


def json_string(text: str) -> str:
    """The same of a str."""
    return json_bytes(text.encode()).decode()


def _escaped(found: re.Match[bytes]) -> bytes:
    return _SHORT.get(found[0]) or b"\\u%04x" % found[0][0]
