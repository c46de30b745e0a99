"""The coherence of a place in time: a cube of pairs of passes, each with the next."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import xarray as xr
from odc.geo.geobox import GeoBox

from geodes_lab import arguments
from geodes_lab.cube.chunks import Asked
from geodes_lab.cube.pair import Product, open_pair
from geodes_lab.errors import GeodesError
from geodes_lab.products import several
from geodes_lab.products.sentinel1.interferometry import matching

_LATER = np.timedelta64(12, "h")  # two products of one pass are nearer in time


def coherence_series(
    products: Sequence[Product],
    *,
    longest: float = 36.0,
    dem: Product | Sequence[Product] | None = None,
    dem_heights: Literal["geoid", "ellipsoid"] | None = None,
    orbits: Product | Sequence[Product] | None = None,
    bbox: Sequence[float] | None = None,
    bursts: int | str | Sequence[int | str] | None = None,
    polarisation: str | None = None,
    multilook: tuple[int, int] = (20, 4),
    geobox: GeoBox | None = None,
    crs: str | int | None = None,
    resolution: float | tuple[float, float] | None = None,
    chunks: Asked = None,
    unbiased: bool = False,
    across_satellites: bool = False,
) -> xr.Dataset:
    """Open the coherence of each pass of Sentinel-1 with the next as one lazy cube.

    Parameters
    ----------
    products
        IW SLC products of one track, one of each pass, in any order.
    longest
        Days: where the next pass is later than this, there is no pair.
    dem, dem_heights, orbits, bbox, bursts, polarisation, multilook, geobox, crs, resolution, chunks, unbiased, \
across_satellites
        See `geodes_lab.open_pair`.

    Returns
    -------
    xarray.Dataset
        ``coherence``, dims ``(time, y, x)``; ``time`` is that of the later pass, with the coordinates ``primary_time``,
        ``temporal_baseline`` (days) and ``perpendicular_baseline`` (metres, in the middle of the first burst).
        ``attrs["left_out"]`` names pairs that are too far apart. Annotations are read now, and no sample: orbits alone
        align the images, which is enough for coherence.

    Raises
    ------
    GeodesError
        If there is no pair, two products are of one pass, or a pair is refused.

    Examples
    --------
    >>> import geodes_lab as gl
    >>> items = gl.search("PEPS_S1_L1", bbox=area, product_type="SLC")        # doctest: +SKIP
    >>> series = gl.coherence_series(items, dem="cop-dem.tif", bbox=area)     # doctest: +SKIP
    >>> series.coherence.mean(["y", "x"]).plot()                              # doctest: +SKIP
    """
    days = arguments.number("longest", longest, "a number of days, more than 0")
    given = several(products)
    passes = []
    for product in given:
        scene = matching.scene(product, None)
        passes.append((scene.start, scene.name, product))
    passes.sort(key=lambda p: (p[0], p[1]))
    pairs: list[xr.Dataset] = []
    left_out = []
    for (earlier, name, first), (later, other, second) in pairwise(passes):
        if later - earlier < _LATER:
            raise GeodesError(f"{name} and {other} are of one pass: give one product of each pass, that of your place.")
        if (later - earlier) / np.timedelta64(1, "D") > days:
            left_out.append(f"{name} and {other}")
            continue
        grid: dict[str, Any] = {"bbox": bbox, "geobox": geobox, "crs": crs, "resolution": resolution}
        pair = open_pair(
            first,
            second,
            dem=dem,
            dem_heights=dem_heights,
            orbits=orbits,
            bursts=bursts,
            polarisation=polarisation,
            multilook=multilook,
            chunks=chunks,
            refine=False,
            unbiased=unbiased,
            across_satellites=across_satellites,
            **(grid if not pairs else {"geobox": pairs[0].odc.geobox, "bbox": bbox}),
        )
        pairs.append(pair)
    if not pairs:
        raise GeodesError(
            f"There is no pair: {len(passes)} products, and none has a next one within {days:g} days; give more "
            "products, or a larger longest=."
        )
    return _series(pairs, left_out)


def _series(pairs: list[xr.Dataset], left_out: list[str]) -> xr.Dataset:
    """Put the coherence of pairs along time."""

    def of_each(name: str) -> list[Any]:
        return [pair.attrs[name] for pair in pairs]

    times = np.array(of_each("secondary_time"), "datetime64[ns]")
    cube = xr.concat(
        [p.coherence for p in pairs], xr.DataArray(times, dims="time", name="time"), combine_attrs="override"
    )
    baselines = {
        "primary_time": ("time", np.array(of_each("primary_time"), "datetime64[ns]")),
        "temporal_baseline": ("time", of_each("temporal_baseline_days"), {"units": "days"}),
        "perpendicular_baseline": ("time", of_each("perpendicular_baseline"), {"units": "m"}),
    }
    attrs = {
        k: v for k, v in pairs[0].attrs.items() if k in ("Conventions", "history", "polarisation", "track", "geometry")
    }
    sources = list(dict.fromkeys(s for pair in pairs for s in pair.attrs["source"]))
    about = {"title": "Coherence of each pass with the next", "source": sources, "left_out": left_out}
    return xr.Dataset({"coherence": cube}, attrs=attrs | about).assign_coords(baselines)
