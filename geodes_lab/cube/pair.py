"""Two passes of a radar become one interferogram on a map."""

from __future__ import annotations

import math
import os
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pystac
import rioxarray  # noqa: F401  (registers .rio, which users of cubes expect)
import shapely
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from pyproj import Transformer

from geodes_lab import arguments
from geodes_lab.cube import chunks as chunks_
from geodes_lab.cube.grid import choose
from geodes_lab.cube.pair_provenance import attributes, bias
from geodes_lab.cube.pair_variables import variables
from geodes_lab.errors import GeodesError
from geodes_lab.products import several
from geodes_lab.products.sentinel1 import orbit
from geodes_lab.products.sentinel1.interferometry import diversity, estimator, matching
from geodes_lab.products.sentinel1.interferometry.burst_pair import BurstPair
from geodes_lab.products.sentinel1.interferometry.diversity import Delay
from geodes_lab.products.terrain import model
from geodes_lab.raster import globe
from geodes_lab.raster.source import RasterSource
from geodes_lab.util.bbox import checked

Product = pystac.Item | dict[str, Any] | str | os.PathLike[str]

_CHUNK = {"y": 256, "x": 2048}  # pixels: long rows, since an image's lines are read whole
_MOST = 4096  # samples of a cell


def open_pair(
    primary: Product,
    secondary: Product,
    *,
    dem: Product | Sequence[Product] | pystac.ItemCollection | None = None,
    dem_heights: Literal["geoid", "ellipsoid"] | None = None,
    orbits: Product | Sequence[Product] | pystac.ItemCollection | None = None,
    bbox: Sequence[float] | None = None,
    bursts: int | str | Sequence[int | str] | None = None,
    polarisation: str | None = None,
    multilook: tuple[int, int] = (20, 4),
    geobox: GeoBox | None = None,
    like: xr.Dataset | xr.DataArray | GeoBox | None = None,
    crs: str | int | None = None,
    resolution: float | tuple[float, float] | None = None,
    chunks: chunks_.Asked = None,
    refine: bool | float = True,
    unbiased: bool = False,
    across_satellites: bool = False,
) -> xr.Dataset:
    """Open two passes of Sentinel-1 as one lazy interferogram on a map: coherence, and phase without geometry.

    Parameters
    ----------
    primary, secondary
        Two IW SLC products of one track (SAFE folders or zips, in place): Items, dictionaries of Items, paths or URLs.
    dem, dem_heights
        A terrain model under the bursts: see `geodes_lab.open_cube`. None: the heights of the products' tie points;
        the phase of the relief then stays.
    orbits
        Orbit files of both days (``…_AUX_POEORB_….EOF``), which are better than the orbits in the products.
    bbox
        West, south, east, north in degrees; only bursts that meet it are used. None: all.
    bursts
        ESA's relative burst identifiers, such as ``110431`` (all its swaths) or ``"110431_IW1"``. None: all.
    polarisation
        Such as ``"VV"``; None: VV or HH, if both products have it.
    multilook
        Samples in range and lines in azimuth of the cells in which coherence and phase are estimated: about 4 m on the
        ground and 14 m each.
    geobox, like, crs, resolution
        The grid: see `geodes_lab.open_cube`. None: UTM, with pixels as large as a cell. A pixel has the values of the
        cell that it is in: they are not interpolated.
    chunks
        Pixels of a chunk in y and x: see `geodes_lab.open_cube`. None: 256 and 2048, since lines are read whole.
    refine
        Whether the secondary's delay is estimated by enhanced spectral diversity: the overlaps of adjacent bursts (at
        most 12 of them) are read during this call. A number is a delay in seconds that is known. False: the orbits
        alone.
    unbiased
        Whether the bias of the coherence is removed: each estimate becomes the coherence of which it is the mean.
    across_satellites
        Whether the products may be of different satellites whose bursts are known to be offset in phase.

    Returns
    -------
    xarray.Dataset
        Dims ``(y, x)``: ``coherence`` (0 to 1), ``phase`` (radians, −π to π: the primary's less the secondary's,
        without that of orbits and terrain; it is more where the ground is farther away in the secondary, by 2π for
        half a wavelength), ``interferogram`` (complex: both of them, as programs that unwrap take it), on the ellipsoid
        ``los_east``, ``los_north``, ``los_up`` (the direction to the satellite) and ``perpendicular_baseline``. NaN
        where there is no data. With ``dem`` also ``layover_shadow_mask`` (uint8: 0 neither, 1 shadow, 2 layover, 3
        both, 255 no height), in which the phase means nothing. The attributes say bursts, orbits, delay, looks and
        bias. Annotations are read now, and samples as ``refine`` says; all others when they are computed, chunk by
        chunk.

    Raises
    ------
    GeodesError
        If the products are not two IW SLC products of one track, or have no burst, polarisation or satellite in
        common; if nothing is in ``bbox``; if an argument is invalid.

    Notes
    -----
    The coherence is the magnitude of the mean of a cell's products (a boxcar), which is too high where there is little:
    ``attrs["coherence_bias"]`` says by how much. Atmosphere and ionosphere stay in the phase.

    References
    ----------
    Yagüe-Martínez, N. et al. (2016): Interferometric processing of Sentinel-1 TOPS data. IEEE Transactions on
    Geoscience and Remote Sensing 54(4), 2220–2234. https://doi.org/10.1109/TGRS.2015.2497902

    Examples
    --------
    >>> import geodes_lab as gl
    >>> pair = gl.open_pair(before, after, dem="cop-dem.tif", bbox=area)  # doctest: +SKIP
    >>> pair.coherence.plot()                                             # doctest: +SKIP
    """
    looks = _looks(multilook)
    if like is not None and geobox is not None:
        raise GeodesError("Give like= or geobox=, not both.")
    given = arguments.grid("like", like) if like is not None else geobox
    if geobox is not None:
        arguments.grid("geobox", geobox)
    box = None if bbox is None else checked(bbox)
    wanted = None if bursts is None else [str(b) for b in ([bursts] if isinstance(bursts, (int, str)) else bursts)]
    is_refined = isinstance(refine, (bool, np.bool_))
    known = 0.0 if is_refined else arguments.number("refine", refine, "True, False, or a delay in seconds")
    is_unbiased = arguments.flag("unbiased", unbiased)
    files = None if orbits is None else orbit.of(orbits)
    first, second = (
        matching.scene(_one(p, name), files) for p, name in ((primary, "primary"), (secondary, "secondary"))
    )
    relief = None if dem is None else model.of(dem, dem_heights)
    matched = [
        replace(p, relief=relief, looks=looks)
        for p in matching.matched(
            first,
            second,
            polarisation=None if polarisation is None else arguments.names("polarisation", polarisation)[0],
            bbox=globe.degrees(given) if box is None and given is not None else box,
            bursts=wanted,
            across_satellites=arguments.flag("across_satellites", across_satellites),
        )
    ]
    source = _suiting(matched)
    size = None if resolution is None else arguments.size("resolution", resolution)
    grid = choose([source], geobox=given, bbox=box if given is None else None, crs=crs, resolution=size)
    if is_refined and refine:
        delay = diversity.delay(matched)
    else:
        delay = Delay(known, float("nan"), 0, "as refine= says" if known else "not refined: the orbits alone")
    pairs = tuple(replace(p, late=delay.seconds) for p in matched)
    sizes = chunks_.asked(chunks).sizes(grid, source, chunks_.asked(_CHUNK).sizes(grid, source, ((), ())))
    independent = estimator.looks(pairs[0].primary.described.tops, looks)
    arrays = variables(pairs, grid, sizes, independent if is_unbiased else None)
    attrs = attributes(first, second, pairs, delay)
    arrays["coherence"].attrs |= bias(looks, independent, is_unbiased)
    return xr.Dataset(arrays, coords=xr_coords(grid, dims=("y", "x")), attrs=attrs)


def _one(product: Any, name: str) -> Product:
    listed = several(product, f"{name}=")
    if len(listed) != 1:
        raise GeodesError(f"{name} is one product, not {len(listed)}.")
    found: Product = listed[0]
    return found


def _looks(multilook: Any) -> tuple[int, int]:
    meaning = "samples in range and lines in azimuth of a cell, such as (20, 4)"
    if not isinstance(multilook, (tuple, list, np.ndarray)) or len(multilook) != 2:
        raise GeodesError(f"multilook is {meaning}, not {multilook!r}.")
    across, down = (arguments.whole("multilook", v, meaning, 1) for v in multilook)
    if not 2 <= across * down <= _MOST:
        raise GeodesError(
            f"multilook is {meaning}: of {across * down} samples no coherence can be estimated; give 2 to {_MOST}."
        )
    return across, down


def _suiting(pairs: Sequence[BurstPair]) -> RasterSource:
    """Return a grid that suits the bursts: UTM, with square pixels as large as a cell's longer side."""
    footprints = [p.primary.described.bursts[p.first].footprint(p.primary.described.annotation) for p in pairs]
    lon, lat = np.concatenate([shapely.get_coordinates(f) for f in footprints]).T
    middle = (float(lon.min() + lon.max()) / 2 + 180) % 360 - 180
    epsg = (32600 if lat.mean() >= 0 else 32700) + min(int((middle + 180) // 6), 59) + 1
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat)
    annotation, (across, down) = pairs[0].primary.described.annotation, pairs[0].looks
    angle = np.radians(np.median(annotation.grid.incidence))
    longer = max(across * annotation.spacing[1] / np.sin(angle), down * annotation.spacing[0])
    size = max(math.ceil(longer / 10) * 10, 10) if longer > 5 else 5
    west, south, east, north = (
        round_(v / size) * size
        for v, round_ in ((min(x), math.floor), (min(y), math.floor), (max(x), math.ceil), (max(y), math.ceil))
    )
    shape = round((north - south) / size), round((east - west) / size)
    name = pairs[0].primary.product
    return RasterSource("", name, "interferogram", epsg, (size, 0.0, west, 0.0, -size, north), shape)
