"""Builds the transcoder with Cython where there is a compiler; without one it runs as plain Python."""

from pathlib import Path

from Cython.Build import cythonize
from setuptools import find_packages, setup

extensions = cythonize(
    [f"producer/transcode/{path.name}" for path in sorted(Path("producer/transcode").glob("*.py"))
     if path.with_suffix(".pxd").exists()],
    language_level=3,
    compiler_directives={
        "boundscheck": True,
        "wraparound": False,
        "initializedcheck": False,
        # What runs uncompiled only stands behind a `return` of the compiled branch.
        "warn.unreachable": False,
    },
    quiet=True,
)  # fmt: skip
for extension in extensions:
    # cythonize() drops it; an install without a compiler must succeed.
    extension.optional = True

# Beside what is found, the fixed schemas, which lie in a folder of the repository's top level.
setup(ext_modules=extensions, packages=[*find_packages(include=["producer", "producer.*"]), "producer.schemas"])
