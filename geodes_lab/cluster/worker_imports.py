"""Workers import what reading needs while nothing is computed: the first computation would wait two seconds for it."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import importlib
from typing import Any

# By name, since some are above this package; in steps, so that a task that comes meanwhile waits for one of them only.
NEEDED = (
    "numpy",
    "pandas",
    "rasterio",
    "pyproj",
    "xarray",
    "dask.array",
    "odc.geo.geobox",
    "geodes_lab.reading.gdal",
    "geodes_lab.reading.pyramid",
    "geodes_lab.cube.mosaic",
)
_FIRST, _BUSY, _BETWEEN = 0.25, 1.0, 0.05  # seconds: a task that follows at once comes first


def begin(client: Any) -> None:
    """Let the workers that there are import it, without waiting; later ones do so at their first task."""
    client.run(_imported, wait=False, on_error="ignore")


async def _imported(dask_worker: Any) -> None:
    """Import it in the worker's event loop, so that no two threads import at once."""
    await asyncio.sleep(_FIRST)
    for name in NEEDED:
        while dask_worker.state.executing_count:
            await asyncio.sleep(_BUSY)
        gc.disable()  # what imports make stays: looking through it takes a seventh of their time
        with contextlib.suppress(Exception):  # the first task says why
            importlib.import_module(name)
        gc.enable()
        await asyncio.sleep(_BETWEEN)
    gc.freeze()
