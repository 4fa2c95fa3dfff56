"""`make golden`: captures all cases again from the stack's server, and what becomes of them now; and what pgoutput says
on each other server of the matrix, where that differs. Each has a stack of its own, one after the other.
"""

from __future__ import annotations

import json
import secrets
import shutil
from contextlib import closing

import psycopg

from dev.stack import MAJORS, Stack
from tests import builds
from tests.golden import stream
from tests.golden.capture import FOLDER, Captured, capture, outcome
from tests.golden.cases import CASES
from tests.harness import Source, source_of
from tests.paths import Reader


def main() -> None:
    """Write every case's folder and the streams; a folder without a case is removed."""
    base = Stack.load()
    base.start("postgres")
    streams = {}
    with source_of(base, f"t{secrets.token_hex(5)}") as source:
        streams[base.postgres_major] = base.postgres_version, stream.capture(source)
        cases = _cases(source)
    for major in MAJORS:
        if major == base.postgres_major:
            continue
        stack = Stack(base.folder.parent / "matrix" / str(major), base.cache, major)
        stack.wipe()
        try:
            stack.start("postgres")
            with source_of(stack, f"t{secrets.token_hex(5)}") as source:
                streams[major] = stack.postgres_version, stream.capture(source)
                _compare(source, major, cases)
        finally:
            stack.wipe()
    build = builds.compiled()
    for folder in FOLDER.iterdir():
        if (folder / "relation.json").exists():
            shutil.rmtree(folder)
    for name, captured in cases.items():
        folder = FOLDER / name
        captured.save(folder)
        text = json.dumps(outcome(build, captured), indent=1, ensure_ascii=False)
        (folder / "expected.json").write_text(text + "\n")
    stream.keep(dict(sorted(streams.items())))


def _cases(source: Source) -> dict[str, Captured]:
    """All of them, on both paths."""
    captured = {}
    with closing(Reader(source)) as reader:
        reader.publish()
        for case in CASES:
            found = captured[case.name] = capture(reader, case)
            print(f"{case.name}: {len(found.records)} record(s), {len(found.lines)} line(s)")
    return captured


def _compare(source: Source, major: int, cases: dict[str, Captured]) -> None:
    """What pgoutput of another major says of them, kept where it differs."""
    missing, same = [], 0
    with closing(Reader(source, "pgoutput")) as reader:
        reader.publish()
        for case in CASES:
            try:
                messages = capture(reader, case).messages
            except psycopg.Error as error:
                # A type or a value that it does not know.
                missing.append(f"{case.name} ({error.sqlstate})")
                reader.end()
                continue
            if messages == cases[case.name].messages:
                same += 1
            else:
                cases[case.name].others[major] = messages
    print(f"PostgreSQL {major}: {same} of {len(CASES)} are the same; not there: {', '.join(missing) or 'none'}")


if __name__ == "__main__":
    main()
