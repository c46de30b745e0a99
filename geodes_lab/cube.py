"""Many products become one cube: a variable per band, dims (time, y, x), on the products' own grid unless told."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import pystac
import rioxarray  # noqa: F401  (registers .rio, which users of cubes expect)
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from odc.geo.geom import BoundingBox
from odc.geo.xr import xr_coords
from rasterio.enums import Resampling
from stackstac.prepare import ASSET_TABLE_DT
from stackstac.raster_spec import RasterSpec
from stackstac.to_dask import items_to_dask

from geodes_lab import products
from geodes_lab.errors import GeodesError, nearest
from geodes_lab.grid import choose
from geodes_lab.products import bands as bands_
from geodes_lab.products.bands import name_of
from geodes_lab.reader import MosaicReader
from geodes_lab.source import Source

Product = pystac.Item | dict[str, Any] | str | os.PathLike[str]


def open_cube(
    items: Sequence[Product] | pystac.ItemCollection | Product,
    *,
    bands: Sequence[str],
    bbox: tuple[float, float, float, float] | Sequence[float] | None = None,
    geobox: GeoBox | None = None,
    like: xr.Dataset | xr.DataArray | None = None,
    crs: str | int | None = None,
    resolution: float | None = None,
    groupby: Literal["solar_day", "item"] = "solar_day",
    resampling: str = "nearest",
    chunks: int = 1024,
) -> xr.Dataset:
    """Open many products as one lazy cube.

    Parameters
    ----------
    items
        Items of `geodes_lab.search`, dictionaries of Items, or paths and URLs of products.
    bands
        By common name (``red``) or by the product's own (``B04``); the variables are named as they are asked for.
    bbox
        West, south, east, north in degrees; the cube covers it in whole pixels, within what the products cover.
        None: all that the products cover.
    geobox
        The exact output grid. Excludes the four arguments below and ``bbox``.
    like
        A Dataset or DataArray whose grid to take; as ``geobox``.
    crs
        The output CRS; None: the products' own.
    resolution
        Pixel size in units of the CRS; None: the finest of the bands.
    groupby
        ``"solar_day"``: products of one day at their place are pasted into one slice, the first with data wins;
        ``"item"``: a slice for each product.
    resampling
        Where the output grid is not the band's own: a name of `rasterio.enums.Resampling`; classes and masks are never
        averaged. A grid coarser than a JPEG 2000 band is resampled from the file's overview that is next finer.
    chunks
        Pixels of a chunk in y and x, counted from the products' first pixel: 1024 is the tile of a 10 m band of Sentinel-2.

    Returns
    -------
    xarray.Dataset
        One variable per band, dims ``(time, y, x)``; reflectance as float32 without unit and NaN for no data, classes
        and masks in their own integers. ``x`` and ``y`` are pixel centres; ``time`` is the acquisition (UTC); the
        coordinates ``product``, ``baseline`` and ``offset`` say where each slice came from. Metadata are read, no
        pixel; ``attrs["superseded"]`` names the products left out because a newer processing of them was given too.

    Raises
    ------
    GeodesError
        If there are no products, a band is missing, the products share no grid, ``bbox`` is beyond all of them, or
        a product is damaged. A pixel that cannot be read raises when it is computed; it is never filled.

    Examples
    --------
    >>> import geodes_lab as gl
    >>> items = gl.search("PEPS_S2_L1C", datetime="2021-06")            # doctest: +SKIP
    >>> cube = gl.open_cube(items, bands=["red", "nir"])                # doctest: +SKIP
    """
    if isinstance(items, (pystac.Item, dict, str, os.PathLike)):
        items = [items]
    if isinstance(bands, str):
        bands = [bands]
    if resampling not in Resampling.__members__:
        raise GeodesError(f"There is no resampling {resampling!r}{nearest(resampling, Resampling.__members__) or '.'}")
    given = list(items)
    if not given:
        raise GeodesError(
            "There are no products to open: the search found nothing; widen its dates, bbox or cloud cover."
        )
    if not isinstance(chunks, int) or chunks < 1:
        raise GeodesError(f"chunks is a number of pixels, at least 1, not {chunks!r}.")
    if not bands:
        raise GeodesError("open_cube needs bands, such as bands=['red', 'nir'].")
    with ThreadPoolExecutor(16) as pool:
        unpacked = list(pool.map(lambda i: products.unpack(i, bands), given))
    kept, superseded = newest(unpacked)
    found = {band: _one_dtype([bands_.source(i, band) for i in kept]) for band in bands}
    if like is not None:
        if geobox is not None:
            raise GeodesError("like= and geobox= both say the whole grid: give one of them.")
        geobox = like.odc.geobox
        if geobox is None or geobox.crs is None:
            raise GeodesError("The cube given as like= has no CRS, or no x and y: write one with .rio.write_crs first.")
    grid = choose([s for ss in found.values() for s in ss], geobox=geobox, bbox=bbox, crs=crs, resolution=resolution)
    slices = [
        group
        for group in _group(kept, found[bands[0]], groupby)
        if any(_overlaps(found[band][n], grid) for n in group for band in bands)
    ]
    spec = RasterSpec(
        epsg=grid.crs.epsg, bounds=grid.boundingbox.bbox, resolutions_xy=(grid.resolution.x, -grid.resolution.y)
    )
    tiles = _aligned(grid, found[bands[0]][0], chunks)
    dims = ("time", "y", "x")
    variables = {}
    for band in bands:
        first = found[band][0]
        table = _asset_table([[found[band][n] for n in group] for group in slices], grid)
        data = items_to_dask(
            table,
            spec,
            chunksize=(1, 1, *tiles),
            resampling=Resampling[_kernel(resampling, first)],
            dtype=np.dtype(first.dtype),
            fill_value=np.dtype(first.dtype).type(first.fill),
            rescale=False,
            reader=MosaicReader,
        )
        variables[band] = xr.DataArray(data[:, 0], dims=dims, attrs=_attributes(kept[0], first))
    coords = {**_coordinates(kept, slices, found), **xr_coords(grid, dims=("y", "x"))}
    return xr.Dataset(variables, coords=coords, attrs=_provenance(superseded))


def newest(items: list[pystac.Item]) -> tuple[list[pystac.Item], list[str]]:
    """Keep the newest processing of each acquisition, and name those left out.

    Two Sentinel-2 products are one acquisition if type, platform, time, tile and the start of the datastrip are the same
    (a tile cut by the end of a datastrip comes as two products that complement each other); the later baseline wins,
    then the later generation. The same product given twice is one. All else is kept.
    """

    def version(item: pystac.Item) -> tuple[str, str]:
        p = item.properties
        return str(p.get("processing:version", "")), str(p.get("s2:generation_time", ""))

    best: dict[Any, pystac.Item] = {}
    for item in sorted(items, key=version):
        p = item.properties
        strip = re.search(r"_S(\d{8}T\d{6})", str(p.get("s2:datastrip_id")))
        if strip and "grid:code" in p:
            same: Any = (p.get("product:type"), p.get("platform"), item.datetime, p["grid:code"], strip.group(1))
        else:
            same = frozenset(a.href for a in item.assets.values())
        best[same] = item
    # In time; within a day the newest processing first, since the first product with data wins a pixel.
    kept = sorted(sorted(sorted(best.values(), key=lambda i: i.id), key=version, reverse=True), key=_time)
    return kept, sorted({i.id for i in items} - {i.id for i in kept})


def _one_dtype(sources: list[Source]) -> list[Source]:
    """A variable has one dtype: where one product has a measure, all are read as numbers with NaN for no data.

    Classes stay integers only where each file says which number is no data; else there would be nothing to fill with.
    """
    common = np.result_type(*{s.dtype for s in sources})
    if common.kind != "f" and any(s.nodata is None or not _fits(s.nodata, common) for s in sources):
        common = np.dtype("float32") if common.itemsize <= 2 else np.dtype("float64")
    return [replace(s, dtype=str(common)) for s in sources]


def _fits(nodata: float, dtype: np.dtype[Any]) -> bool:
    limits = np.iinfo(dtype)
    return bool(nodata == int(nodata) and limits.min <= nodata <= limits.max) if np.isfinite(nodata) else False


def _kernel(resampling: str, source: Source) -> str:
    """Classes are never averaged: a kernel that would is replaced by the nearest pixel."""
    classes = np.dtype(source.dtype).kind != "f"
    return "nearest" if classes and resampling not in ("nearest", "mode", "min", "max") else resampling


def _time(item: pystac.Item) -> np.datetime64:
    if item.datetime is None:
        raise GeodesError(
            f"{name_of(item)} says no time of acquisition: give an Item with a datetime instead of the bare file."
        )
    return np.datetime64(item.datetime.replace(tzinfo=None), "ns")


def _group(items: list[pystac.Item], sources: list[Source], groupby: str) -> list[list[int]]:
    """Which products, by their number, make a slice."""
    if groupby == "item":
        return [[n] for n in range(len(items))]
    if groupby != "solar_day":
        raise GeodesError(f"groupby is 'solar_day' or 'item', not {groupby!r}.")
    days: dict[Any, list[int]] = {}
    for number, (item, source) in enumerate(zip(items, sources, strict=True)):
        # From the grid: a box in degrees says nothing where it crosses the date line.
        longitude = source.geobox.center_pixel.geographic_extent.centroid.points[0][0]
        day = (_time(item) + np.timedelta64(round(longitude / 15 * 3600), "s")).astype("datetime64[D]")
        days.setdefault(day, []).append(number)
    return list(days.values())


def _overlaps(source: Source, grid: GeoBox) -> bool:
    bounds: BoundingBox = source.geobox.boundingbox
    if source.epsg != grid.crs.epsg:
        bounds = source.geobox.footprint(grid.crs).boundingbox
    ours = grid.boundingbox
    return bool(
        bounds.left < ours.right and bounds.right > ours.left and bounds.bottom < ours.top and bounds.top > ours.bottom
    )


def _asset_table(slices: list[list[Source]], grid: GeoBox) -> NDArray[Any]:
    """Stackstac's table, one row a slice: the sources in place of the URL; each slice may touch the whole grid."""
    table = np.full((len(slices), 1), None, dtype=ASSET_TABLE_DT)
    for row, sources in enumerate(slices):
        url = tuple(s for s in sources if _overlaps(s, grid))
        if url:
            table[row, 0] = (url, grid.boundingbox.bbox, (1.0, 0.0))
    return table


def _aligned(grid: GeoBox, source: Source, chunk: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Chunk sizes in y and x whose edges fall on whole chunks counted from the source's first pixel."""
    _, _, c, _, _, f = source.transform
    same = grid.crs.epsg == source.epsg
    starts = (
        (round((grid.affine.f - f) / grid.affine.e), round((grid.affine.c - c) / grid.affine.a)) if same else (0, 0)
    )
    sizes = []
    for start, length in zip(starts, grid.shape, strict=True):
        edges = [0, *range((-start) % chunk or chunk, length, chunk), length]
        sizes.append(tuple(b - a for a, b in pairwise(edges)))
    return sizes[0], sizes[1]


def _coordinates(items: list[pystac.Item], slices: list[list[int]], found: dict[str, list[Source]]) -> dict[str, Any]:
    def joined(values: list[Any]) -> str:
        return " ".join(dict.fromkeys(str(v) for v in values))

    offsets = [[found[band][n].offset for n in g for band in found] for g in slices]
    return {
        "time": (
            "time",
            np.array([_time(items[g[0]]) for g in slices], "datetime64[ns]"),
            {"long_name": "acquisition (UTC)"},
        ),
        "product": ("time", np.array([joined([name_of(items[n]) for n in g]) for g in slices], object)),
        "baseline": (
            "time",
            np.array([joined([items[n].properties.get("processing:version", "") for n in g]) for g in slices], object),
        ),
        "offset": ("time", np.array([joined(o) for o in offsets], object)),
    }


def _attributes(item: pystac.Item, source: Source) -> dict[str, Any]:
    asset = item.assets[source.band]
    attrs: dict[str, Any] = {"long_name": asset.title or source.band, "grid_mapping": "spatial_ref"}
    if np.dtype(source.dtype).kind != "f":
        attrs["nodata"] = source.fill
    if np.dtype(source.dtype).kind == "f" and source.scale != 1.0:
        attrs["units"] = "1"
    return attrs


def _provenance(superseded: list[str]) -> dict[str, Any]:
    from geodes_lab import __version__

    return {
        "Conventions": "CF-1.11",
        "history": f"opened in place by geodes_lab {__version__}",
        "superseded": superseded,
    }
