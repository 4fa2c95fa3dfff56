"""The transcoder twice: as it was compiled, and the same sources uncompiled."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType

import producer.transcode

_FOLDER = Path(producer.transcode.__file__).parent
_PACKAGE = "producer.transcode"
# Those that import all others.
_LAST = ("copy_path", "tuple_path")


class _Sources:
    """Finds the transcoder's modules as sources, whatever was compiled beside them."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        if name != _PACKAGE and not name.startswith(_PACKAGE + "."):
            return None
        package = name == _PACKAGE
        file = _FOLDER / "__init__.py" if package else _FOLDER / f"{name.rpartition('.')[2]}.py"
        places = [str(_FOLDER)] if package else None
        return importlib.util.spec_from_file_location(
            name, file, loader=SourceFileLoader(name, str(file)), submodule_search_locations=places
        )


def uncompiled() -> dict[str, ModuleType]:
    """The modules by their last name, loaded from source beside the compiled ones."""
    kept = {name: module for name, module in sys.modules.items() if name.startswith(_PACKAGE)}
    for name in kept:
        del sys.modules[name]
    sys.meta_path.insert(0, _Sources)
    try:
        for name in _LAST:
            importlib.import_module(f"{_PACKAGE}.{name}")
        return _by_last_name()
    finally:
        sys.meta_path.remove(_Sources)
        for name in [name for name in sys.modules if name.startswith(_PACKAGE)]:
            del sys.modules[name]
        sys.modules.update(kept)


def compiled() -> dict[str, ModuleType]:
    """The modules by their last name, as they are imported everywhere."""
    for name in _LAST:
        importlib.import_module(f"{_PACKAGE}.{name}")
    return _by_last_name()


def _by_last_name() -> dict[str, ModuleType]:
    return {name.rpartition(".")[2]: module for name, module in sys.modules.items() if name.startswith(_PACKAGE + ".")}
