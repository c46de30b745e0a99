"""The datalab of GEODES: Earth-observation products opened in place as lazy xarray cubes.

Find: `search`, `collections`, `explore`, `availability`. Open: `open_cube`, `open_product`, `open_tracks`. Ask what it costs and
what became of it: `plan`, `report`. Compute: `attach`, `clusters`. Keep and show: `save`, `publish`, `share`, `plot`. Each has its own
help, such as ``gl.open_cube?``; ``gl.filesystem`` reads the datalake's files.
"""

# The shelf: names only. Each is imported when it is first touched, so that ``import geodes_lab`` costs milliseconds and a kernel is ready at once.

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_SHELF = {
    "GeodesError": "errors",
    "attach": "cluster",
    "availability": "catalog",
    "clusters": "cluster",
    "collections": "catalog",
    "explore": "explorer",
    "filesystem": "clients",
    "open_cube": "cube",
    "open_product": "products",
    "open_tracks": "tracks",
    "plan": "forecast",
    "plot": "plot",
    "publish": "publication",
    "report": "outcome",
    "save": "store",
    "search": "catalog",
    "share": "sharing",
}

__all__ = [
    "GeodesError",
    "attach",
    "availability",
    "clusters",
    "collections",
    "explore",
    "filesystem",
    "open_cube",
    "open_product",
    "open_tracks",
    "plan",
    "plot",
    "publish",
    "report",
    "save",
    "search",
    "share",
]

if TYPE_CHECKING:
    from geodes_lab import plot as plot
    from geodes_lab.catalog import availability as availability
    from geodes_lab.catalog import collections as collections
    from geodes_lab.catalog import search as search
    from geodes_lab.clients import filesystem as filesystem
    from geodes_lab.cluster import attach as attach
    from geodes_lab.cluster import clusters as clusters
    from geodes_lab.cube import open_cube as open_cube
    from geodes_lab.errors import GeodesError as GeodesError
    from geodes_lab.explorer import explore as explore
    from geodes_lab.forecast import plan as plan
    from geodes_lab.outcome import report as report
    from geodes_lab.products import open_product as open_product
    from geodes_lab.publication import publish as publish
    from geodes_lab.sharing import share as share
    from geodes_lab.store import save as save
    from geodes_lab.tracks import open_tracks as open_tracks


def __getattr__(name: str) -> Any:
    if name not in _SHELF:
        raise AttributeError(f"module 'geodes_lab' has no attribute {name!r}; it has {', '.join(__all__)}")
    module = importlib.import_module(f"geodes_lab.{_SHELF[name]}")
    value = module if name == "plot" else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
