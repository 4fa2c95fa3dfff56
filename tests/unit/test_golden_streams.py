"""What pgoutput of each server version sent is read as it was read then, without a server."""

from __future__ import annotations

import json

import pytest

from dev.stack import MAJORS
from producer.decode import pgoutput
from producer.errors import DecodeError
from tests.golden import stream

VERSIONS: dict[str, str] = json.loads(stream.VERSIONS.read_text())
NAMES = sorted(set(VERSIONS.values()), key=int)


def test_every_version_of_the_matrix_is_there() -> None:
    """Its own file, or one of a version before it that says the same; no two files do."""
    assert [int(version.partition(".")[0]) for version in VERSIONS] == list(MAJORS)
    assert all(int(name) <= int(version.partition(".")[0]) for version, name in VERSIONS.items())
    assert {path.stem for path in stream.FOLDER.iterdir()} == {*NAMES, stream.VERSIONS.stem}
    said = [stream.masked(stream.load(name)) for name in NAMES]
    assert all(one != other for place, one in enumerate(said) for other in said[:place])


@pytest.mark.parametrize("name", NAMES)
def test_it_is_read_as_it_was(name: str) -> None:
    """Every message; a row's record too."""
    assert stream.outcome(stream.load(name)) == json.loads((stream.FOLDER / f"{name}.json").read_text())


def test_each_kind_is_there() -> None:
    """A replay of nothing would be no test: what each version adds, and both kinds of old rows."""
    kinds = {name: {message[:1].decode() for _, message in stream.load(name)} for name in NAMES}
    assert kinds["10"] == stream.KINDS - {"T", "M"}
    assert kinds["12"] == stream.KINDS - {"M"}
    assert kinds[NAMES[-1]] == stream.KINDS
    rows = [message for _, message in stream.load(NAMES[-1])]
    assert {message[5:6] for message in rows if message[:1] in (b"U", b"D")} == {b"K", b"O", b"N"}
    assert any("unchanged" in str(entry) for entry in stream.outcome(stream.load(NAMES[-1])))


@pytest.mark.parametrize("name", NAMES)
def test_cut_off_anywhere_it_is_refused(name: str) -> None:
    """Nothing but a DecodeError."""
    for _, message in stream.load(name):
        for end in range(len(message)):
            with pytest.raises(DecodeError):
                pgoutput.decode(message[:end])
