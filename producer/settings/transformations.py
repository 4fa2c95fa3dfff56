"""Column transformations: keys that hold a length, or an algorithm and a salt; values that name columns.

Room: settings (pure). Debezium's PostgreSQL connector, "column.truncate.to.length.chars" and those behind it;
Java Security Standard Algorithm Names, "MessageDigest Algorithms".
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from producer.settings import values

_KEY = re.compile(
    r"column\.(?:truncate\.to\.(?P<truncate>\d+)\.chars|mask\.with\.(?P<mask>\d+)\.chars"
    r"|mask\.(?P<hash>hash(?:\.v2)?)\.(?P<algorithm>[^.]+)\.with\.salt\.(?P<salt>.+))",
    re.DOTALL,
)
# As docs/settings.md writes them.
_HASHED, _HASHED_V2 = "column.mask.hash.ALG.with.salt.SALT", "column.mask.hash.v2.ALG.with.salt.SALT"
_CUT = ("column.truncate.to.N.chars", "column.mask.with.N.chars")
_CLOSE = 0.85
# Java's name, in capitals -> hashlib's.
_ALGORITHMS = {
    "MD5": "md5", "SHA": "sha1", "SHA-1": "sha1", "SHA1": "sha1", "SHA-224": "sha224", "SHA-256": "sha256",
    "SHA-384": "sha384", "SHA-512": "sha512", "SHA-512/224": "sha512_224", "SHA-512/256": "sha512_256",
    "SHA3-224": "sha3_224", "SHA3-256": "sha3_256", "SHA3-384": "sha3_384", "SHA3-512": "sha3_512",
}  # fmt: skip
# Debezium asks them in this order; the first that names a column counts.
_ORDER = ("truncate", "mask", "hash", "hash.v2")
_LONGEST = 2_147_483_647


@dataclass(frozen=True, slots=True, kw_only=True)
class Transformation:
    """What becomes of the values of some columns."""

    kind: Literal["truncate", "mask", "hash", "hash.v2"]
    shown: str
    """Its key, without the salt."""
    columns: values.Filter
    length: int = 0
    """Characters that are left, or the mask's."""
    algorithm: str = ""
    """As hashlib names it."""
    salt: bytes = field(default=b"", repr=False)


def is_key(key: str) -> bool:
    """Whether the key is a column transformation's."""
    return _KEY.fullmatch(key) is not None


def meant(key: str) -> str | None:
    """The form that a misspelt key comes near, as docs/settings.md writes it."""
    parts = key.lower().split(".")
    # A salt may be long: the beginning decides.
    if _close(parts[:3], ["column", "mask", "hash"]):
        return _HASHED_V2 if parts[3:4] == ["v2"] else _HASHED
    for form in _CUT:
        if _close([*parts[:3], *parts[4:]], [name for name in form.split(".") if name != "N"]):
            return form
    return None


def _close(given: list[str], wanted: list[str]) -> bool:
    return difflib.SequenceMatcher(None, ".".join(given), ".".join(wanted)).ratio() >= _CLOSE


def without_salt(key: str) -> str:
    """A column transformation's key as it may be shown; of one that is misspelt, what stands before the algorithm."""
    if not is_key(key) and meant(key) in (_HASHED, _HASHED_V2):
        return ".".join([*key.split(".")[:3], "********"])
    return re.sub(r"(\.with\.salt\.).*", r"\1********", key, flags=re.DOTALL)


def transformation(key: str, expressions: str) -> Transformation:
    """What a key asks for the columns that the expressions match.

    Raises:
        ValueError: an unknown algorithm, a length that is none, or no regular expression.
    """
    found = _KEY.fullmatch(key)
    if found is None:
        raise ValueError("is no column transformation")
    columns = values.compile_list(expressions)
    shown = without_salt(key)
    for kind in ("truncate", "mask"):
        if found[kind] is not None:
            if int(found[kind]) > _LONGEST:
                raise ValueError(f"the length must be at most {_LONGEST}")
            return Transformation(
                kind="truncate" if kind == "truncate" else "mask", shown=shown, columns=columns, length=int(found[kind])
            )
    algorithm = _ALGORITHMS.get(found["algorithm"].upper())
    if algorithm is None:
        raise ValueError(f"{found['algorithm']!r} is no known algorithm; known are {', '.join(sorted(_ALGORITHMS))}")
    return Transformation(
        kind="hash.v2" if found["hash"] == "hash.v2" else "hash",
        shown=shown,
        columns=columns,
        algorithm=algorithm,
        salt=found["salt"].encode(),
    )


def transformations(given: Mapping[str, str]) -> tuple[Transformation, ...]:
    """All of them, in the order in which they are asked."""
    made = [transformation(key, expressions) for key, expressions in given.items()]
    return tuple(sorted(made, key=lambda one: _ORDER.index(one.kind)))
