"""Import paths of before 0.1: each still works for one release, and says where the module is now.

``import geodes_lab.reader`` gives `geodes_lab.reading.window`, with a DeprecationWarning. Delete this file, and its two
lines in ``geodes_lab/__init__.py``, with 0.2.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType

MOVED = {
    "backend": "cube.xarray_backend",
    "cog": "results.cog",
    "datalake": "storage.location",
    "doctor": "catalog.doctor",
    "explorer": "catalog.explorer",
    "forecast": "planning.plan",
    "jp2": "formats.jpeg2000.codestream",
    "outcome": "planning.report",
    "publication": "results.publish",
    "reader": "reading.window",
    "sample.sentinel1_safe": "sample.sentinel1.safe",
    "sample.sentinel2_l2a": "sample.sentinel2.l2a",
    "sharing": "results.share",
    "source": "raster.source",
    "store": "results.save",
    "tape": "storage.tape",
    "tracks": "cube.tracks",
}
"""What other packages and notebooks may have imported: old name to new, both below ``geodes_lab``."""


class _Finder:
    """Finds modules by their former names, after all others have looked."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        package, _, former = name.partition(".")
        return ModuleSpec(name, self) if package == "geodes_lab" and former in MOVED else None  # type: ignore[arg-type]

    def __init__(self) -> None:
        self._own: dict[str, ModuleSpec | None] = {}

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Give the module of now."""
        now = f"geodes_lab.{MOVED[spec.name.partition('.')[2]]}"
        warnings.warn(f"{spec.name} is now {now}: import it from there.", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(now)
        self._own[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Give the module its own specification back, which importlib has just replaced; it has been executed."""
        assert module.__spec__ is not None
        module.__spec__ = self._own[module.__spec__.name]


def install() -> None:
    """Look for former names too."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
