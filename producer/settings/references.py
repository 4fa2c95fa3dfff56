"""What a value refers to: `${env:NAME}` and `${file:/path:key}`.

Room: settings (IO: files). Kafka Connect, "ConfigProvider"; java.util.Properties, "load".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

_REFERENCE = re.compile(r"\$\{(env|file):([^}]*)\}")
_ESCAPES = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}
_CONTINUED = re.compile(r"(?<!\\)(?:\\\\)*\\\Z")
_BLANKS = " \t\f"


def resolve(value: str, environ: Mapping[str, str]) -> str:
    """Put in what references refer to; what they bring is not looked at again.

    Raises:
        ValueError: there is no such variable, file or key.
    """

    def replace(found: re.Match[str]) -> str:
        kind, what = found.groups()
        return _variable(what, environ) if kind == "env" else _key(what)

    return _REFERENCE.sub(replace, value)


def _variable(name: str, environ: Mapping[str, str]) -> str:
    if name not in environ:
        raise ValueError(f"refers to the environment variable {name}, which is not set")
    return environ[name]


def _key(what: str) -> str:
    path, colon, key = what.rpartition(":")
    if not colon or not path:
        raise ValueError(f"refers to {what!r}, which is not of the form /path:key")
    try:
        found = properties(Path(path).read_text(encoding="utf-8-sig"))
    except UnicodeDecodeError:
        # Without the cause: it holds what was read.
        raise ValueError(f"refers to the file {path}, which is not UTF-8") from None
    except (OSError, ValueError) as error:
        raise ValueError(f"refers to the file {path}, which cannot be read: {error}") from error
    if key not in found:
        raise ValueError(f"refers to the key {key} of the file {path}, which is not there")
    return found[key]


def properties(text: str) -> dict[str, str]:
    """Java's .properties: comments, continued lines, escapes; the first =, : or blank ends the key.

    Raises:
        ValueError: an escape is ill-formed, with its line.
    """
    found = {}
    lines = enumerate(re.split(r"\r\n|\r|\n", text), 1)
    for number, read in lines:
        line = read.lstrip(_BLANKS)
        if not line or line[0] in "#!":
            continue
        while _CONTINUED.search(line):
            line = line[:-1] + next(lines, (0, ""))[1].lstrip(_BLANKS)
        split = re.match(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)", line, re.DOTALL)
        assert split is not None  # it matches the empty string
        try:
            found[_unescape(split.group(1))] = _unescape(split.group(2))
        except ValueError as error:
            raise ValueError(f"line {number}: {error}") from None
    return found


def _unescape(text: str) -> str:
    def replace(found: re.Match[str]) -> str:
        digits, character = found.groups()
        if digits:
            return chr(int(digits, 16))
        if character == "u":
            raise ValueError(r"\u must be followed by four hexadecimal digits")
        return _ESCAPES.get(character, character)

    plain = re.sub(r"\\(?:u([0-9a-fA-F]{4})|(.))", replace, text)
    try:
        # Java writes characters beyond U+FFFF as two.
        return plain.encode("utf-16", "surrogatepass").decode("utf-16")
    except UnicodeDecodeError:
        raise ValueError(r"\u names half a character") from None
