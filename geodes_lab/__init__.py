"""The datalab of GEODES: Earth-observation products opened in place as lazy xarray cubes.

Find: `search`, `collections`, `explore`, `availability`. Open: `open_cube`, `open_product`, `open_tracks`, `open_pair`.
Ask what it costs and what became of it: `plan`, `report`. Compute: `attach`, `clusters`, `zonal`, `biophysical`; of
radar `backscatter`, `despeckle`, `multilook`, `equivalent_looks`, `coherence_series`; of the sea `altimetry`,
`sea_level_anomaly`; without the notebook: `process`, `processes`, `jobs`, `run_notebook`. Keep and show: `save`,
`publish`, `share`, `plot`, `tiles`. Take products with you: `download`, `convert`, `mirror`, `quota`. Each has its own
help, such as ``gl.open_cube?``; ``gl.filesystem`` reads the datalake's files.
"""

# Names only. Each function is imported at its first use, so that ``import geodes_lab`` takes milliseconds and a kernel
# starts at once.

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from geodes_lab import _moved, extras

__version__ = "0.1.0"

_SHELF = {
    "GeodesError": "errors",
    "altimetry": "science.altimetry",
    "attach": "cluster",
    "availability": "catalog",
    "backscatter": "science.radar.series",
    "biophysical": "science.canopy.biophysical",
    "clusters": "cluster",
    "coherence_series": "science.radar.coherence",
    "collections": "catalog",
    "convert": "conversion.convert",
    "despeckle": "science.radar.despeckle",
    "download": "downloading.download",
    "equivalent_looks": "science.radar.multilook",
    "explore": "catalog.explorer",
    "filesystem": "storage.stores",
    "jobs": "batch.job",
    "mirror": "acquisition.mirror",
    "multilook": "science.radar.multilook",
    "open_cube": "cube.opening",
    "open_pair": "cube.pair",
    "open_product": "products",
    "open_tracks": "cube.tracks",
    "plan": "planning.plan",
    "plot": "plot",
    "process": "batch.front",
    "processes": "processing.registry",
    "publish": "results.publish",
    "quota": "downloading.quota",
    "report": "planning.report",
    "run_notebook": "batch.notebooks.submission",
    "save": "results.save",
    "sea_level_anomaly": "science.altimetry.sea_level",
    "search": "catalog",
    "share": "results.share",
    "tiles": "tiling.front",
    "zonal": "science.zonal",
}

__all__ = [
    "GeodesError",
    "altimetry",
    "attach",
    "availability",
    "backscatter",
    "biophysical",
    "clusters",
    "coherence_series",
    "collections",
    "convert",
    "despeckle",
    "download",
    "equivalent_looks",
    "explore",
    "filesystem",
    "jobs",
    "mirror",
    "multilook",
    "open_cube",
    "open_pair",
    "open_product",
    "open_tracks",
    "plan",
    "plot",
    "process",
    "processes",
    "publish",
    "quota",
    "report",
    "run_notebook",
    "save",
    "sea_level_anomaly",
    "search",
    "share",
    "tiles",
    "zonal",
]

if TYPE_CHECKING:
    from geodes_lab import plot as plot
    from geodes_lab.acquisition.mirror import mirror as mirror
    from geodes_lab.batch.front import process as process
    from geodes_lab.batch.job import jobs as jobs
    from geodes_lab.batch.notebooks.submission import run_notebook as run_notebook
    from geodes_lab.catalog import availability as availability
    from geodes_lab.catalog import collections as collections
    from geodes_lab.catalog import search as search
    from geodes_lab.catalog.explorer import explore as explore
    from geodes_lab.cluster import attach as attach
    from geodes_lab.cluster import clusters as clusters
    from geodes_lab.conversion.convert import convert as convert
    from geodes_lab.cube.opening import open_cube as open_cube
    from geodes_lab.cube.pair import open_pair as open_pair
    from geodes_lab.cube.tracks import open_tracks as open_tracks
    from geodes_lab.downloading.download import download as download
    from geodes_lab.downloading.quota import quota as quota
    from geodes_lab.errors import GeodesError as GeodesError
    from geodes_lab.planning.plan import plan as plan
    from geodes_lab.planning.report import report as report
    from geodes_lab.processing.registry import processes as processes
    from geodes_lab.products import open_product as open_product
    from geodes_lab.results.publish import publish as publish
    from geodes_lab.results.save import save as save
    from geodes_lab.results.share import share as share
    from geodes_lab.science import altimetry as altimetry
    from geodes_lab.science.altimetry.sea_level import sea_level_anomaly as sea_level_anomaly
    from geodes_lab.science.canopy.biophysical import biophysical as biophysical
    from geodes_lab.science.radar.coherence import coherence_series as coherence_series
    from geodes_lab.science.radar.despeckle import despeckle as despeckle
    from geodes_lab.science.radar.multilook import equivalent_looks as equivalent_looks
    from geodes_lab.science.radar.multilook import multilook as multilook
    from geodes_lab.science.radar.series import backscatter as backscatter
    from geodes_lab.science.zonal import zonal as zonal
    from geodes_lab.storage.stores import filesystem as filesystem
    from geodes_lab.tiling.front import tiles as tiles


_moved.install()


def __getattr__(name: str) -> Any:
    if name not in _SHELF:
        raise AttributeError(f"module 'geodes_lab' has no attribute {name!r}; it has {', '.join(__all__)}")
    with extras.needed(f"gl.{name}"):
        module = importlib.import_module(f"geodes_lab.{_SHELF[name]}")
    value = module if name in ("altimetry", "plot") else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
