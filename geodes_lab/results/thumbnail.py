"""The small picture of a result, made of its data; a few kilobytes that travel in the Item itself."""

from __future__ import annotations

import base64
import io
import logging
import math
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import rasterio
import xarray as xr
from numpy.typing import NDArray
from PIL import Image

from geodes_lab.formats import gdal_dataset
from geodes_lab.formats.zarr.store import Objects
from geodes_lab.storage import gdal_env
from geodes_lab.storage.location import locate

_SIDE = 192  # pixels
_MOST = 12_000  # bytes: an Item with it is still a small document
_READ = 2**28  # pixels of a Zarr store that are looked through for it; a COG has overviews
_TIMES = 8  # slices that are looked at for one that has data
_RGB = ("red", "green", "blue")
_log = logging.getLogger("geodes_lab.results")


def asset(target: Path) -> pystac.Asset | None:
    """Make the picture of a result: its red, green and blue, else its first band in grey; without data it is white.

    Parameters
    ----------
    target
        A COG or a Zarr store that `geodes_lab.save` wrote. A COG's overviews are read; of a store, one slice in time.

    Returns
    -------
    pystac.Asset or None
        With a ``data:`` address, so that everybody who may see the Item sees it; None if no slice has data, it is too
        large to be looked through, or it cannot be read.
    """
    try:
        bands = _of_store(target) if target.suffix == ".zarr" else _of_file(target)
        if not bands or not any(np.isfinite(band).any() for band in bands):
            return None
        data = _jpeg(bands)
    except Exception as error:  # any of a library's: the result itself has been described already
        _log.warning("%s has no quicklook: %s", target, type(error).__name__)
        return None
    href = f"data:image/jpeg;base64,{base64.b64encode(data).decode()}"
    return pystac.Asset(href, "Quicklook", media_type=pystac.MediaType.JPEG, roles=["thumbnail"])


def _of_file(target: Path) -> list[NDArray[Any]]:
    with gdal_env.environment(str(target)), gdal_dataset.opened(str(target)), rasterio.open(target) as file:
        shape = _shape(file.height, file.width)
        names = [str(name) for name in file.descriptions]
        chosen = [names.index(name) + 1 for name in _RGB] if set(_RGB) <= set(names) else []
        for numbers in [chosen] if chosen else [[n] for n in range(1, min(file.count, _TIMES) + 1)]:
            bands = [file.read(n, out_shape=shape, masked=True).astype("float64").filled(np.nan) for n in numbers]
            if np.isfinite(bands[0]).any():
                return bands
    return []


def _of_store(target: Path) -> list[NDArray[Any]]:
    objects: Any = Objects(locate(target))
    with xr.open_zarr(objects, consolidated=False, chunks=None) as data:
        names = [str(n) for n, v in data.data_vars.items() if {"y", "x"} <= set(v.dims)]
        names = list(_RGB) if set(_RGB) <= set(names) else names[:1]
        if not names or data.sizes["y"] * data.sizes["x"] * len(names) > _READ:
            return []
        step = max(math.ceil(max(data.sizes["y"], data.sizes["x"]) / _SIDE), 1)
        rest = [d for d in data[names[0]].dims if d not in ("y", "x")]
        for number in range(min(data.sizes.get("time", 1), _TIMES)):
            one = data.isel({d: number if d == "time" else 0 for d in rest}, missing_dims="ignore")
            small = one[names].isel(y=slice(None, None, step), x=slice(None, None, step))
            bands = [np.asarray(small[name].transpose("y", "x").values, "float64") for name in names]
            if np.isfinite(bands[0]).any():
                return bands
    return []


def _shape(rows: int, cols: int) -> tuple[int, int]:
    scale = min(_SIDE / max(rows, cols, 1), 1)
    return max(round(rows * scale), 1), max(round(cols * scale), 1)


def _jpeg(bands: list[NDArray[Any]]) -> bytes:
    """Stretch each band from its 2nd to its 98th percentile, and encode them, smaller until it is small enough."""
    layers = []
    for band in bands:
        low, high = np.nanpercentile(np.where(np.isfinite(band), band, np.nan), (2, 98))
        scaled = (band - low) / (high - low) if high > low else np.full(band.shape, 0.5)
        layers.append(np.where(np.isfinite(band), np.clip(scaled, 0, 1) * 235, 255).astype("uint8"))
    image = Image.fromarray(np.dstack(layers) if len(layers) == 3 else layers[0])
    while True:
        file = io.BytesIO()
        image.save(file, "JPEG", quality=80)
        if file.tell() <= _MOST:
            return file.getvalue()
        image = image.resize((max(image.width * 3 // 4, 1), max(image.height * 3 // 4, 1)))
