"""What comes by Maven.

Room: dev (IO).
"""

from __future__ import annotations

from pathlib import Path

from dev.shell import run


def maven(*arguments: str) -> None:
    """Run it, with nothing to say but errors.

    Raises:
        StackError: it failed, or is not there.
    """
    run(["mvn", "-B", "-q", *arguments])


def copy_artifact(artifact: str, folder: Path) -> None:
    """Copy one artifact, without what it needs, into a folder.

    Raises:
        StackError: Maven failed; with the end of its output.
    """
    maven("dependency:get", f"-Dartifact={artifact}", "-Dtransitive=false")
    maven("dependency:copy", f"-Dartifact={artifact}", f"-DoutputDirectory={folder}")
