"""`make golden`: captures all cases again from the stack's server, and what becomes of them now."""

from __future__ import annotations

import json
import secrets
import shutil

from dev.stack import Stack
from tests import builds
from tests.golden.capture import FOLDER, capture, outcome
from tests.golden.cases import CASES
from tests.harness import source_of
from tests.paths import Reader


def main() -> None:
    """Write every case's folder; a folder without a case is removed."""
    stack = Stack.load()
    stack.start("postgres")
    build = builds.compiled()
    for folder in FOLDER.iterdir():
        if (folder / "relation.json").exists() and folder.name not in {case.name for case in CASES}:
            shutil.rmtree(folder)
    with source_of(stack, f"t{secrets.token_hex(5)}") as source:
        reader = Reader(source)
        reader.publish()
        for case in CASES:
            captured = capture(reader, case)
            folder = FOLDER / case.name
            captured.save(folder)
            text = json.dumps(outcome(build, captured), indent=1, ensure_ascii=False)
            (folder / "expected.json").write_text(text + "\n")
            print(f"{case.name}: {len(captured.records)} record(s), {len(captured.lines)} line(s)")
        reader.close()


if __name__ == "__main__":
    main()
