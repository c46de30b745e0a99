"""Import paths of before 0.1: each still works for one release, and warns where the module is now.

``import geodes_lab.reader`` gives `geodes_lab.reading.window`, with a DeprecationWarning. In 0.2, delete this file and
its two lines in ``geodes_lab/__init__.py``.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

MOVED = {
    "backend": "cube.xarray_backend",
    "cog": "results.cog",
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

SPLIT = {
    "datalake": {
        **dict.fromkeys(("locate", "object_of", "place_of", "ELSEWHERE"), "storage.location"),
        **dict.fromkeys(("Unreachable", "Replaced"), "storage.request"),
        "ObjectLocation": "storage.object_location",
        "traffic": "storage.traffic",
    },
}
"""Modules whose names are in several modules now: old module to name to new module."""


class _Finder:
    """Finds modules by their former names, after all other finders have looked."""

    def __init__(self) -> None:
        self._own: dict[str, ModuleSpec | None] = {}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        package, _, former = name.partition(".")
        is_former = package == "geodes_lab" and (former in MOVED or former in SPLIT)
        return ModuleSpec(name, self) if is_former else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """Return the module of now; for one that was split, a module that finds each name where it is now."""
        former = spec.name.partition(".")[2]
        if former in SPLIT:
            return _split(spec.name, SPLIT[former])
        now = f"geodes_lab.{MOVED[former]}"
        warnings.warn(f"{spec.name} is now {now}: import it from there.", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(now)
        self._own[spec.name] = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        """Restore the module's own specification, which importlib has just replaced; the module has run already."""
        assert module.__spec__ is not None
        if module.__spec__.name in self._own:
            module.__spec__ = self._own[module.__spec__.name]


def _split(former: str, modules: Mapping[str, str]) -> ModuleType:
    module = ModuleType(former)

    def get(name: str) -> Any:
        if name not in modules:
            raise AttributeError(f"module {former!r} has no attribute {name!r}")
        now = f"geodes_lab.{modules[name]}"
        warnings.warn(f"{former}.{name} is now {now}.{name}: import it from there.", DeprecationWarning, stacklevel=2)
        return getattr(importlib.import_module(now), name)

    module.__getattr__ = get  # type: ignore[method-assign]
    return module


def install() -> None:
    """Let imports find former names too."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
