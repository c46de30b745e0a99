"""Many products become one cube: a variable per band, dims (time, y, x), on the products' own grid unless told."""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import pystac
import rioxarray  # noqa: F401  (registers .rio, which users of cubes expect)
import xarray as xr
from numpy.typing import DTypeLike
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from rasterio.enums import Resampling

from geodes_lab import arguments, products
from geodes_lab.cluster import workers
from geodes_lab.cube import acquisitions, mosaic
from geodes_lab.cube import chunks as chunks_
from geodes_lab.cube.grid import choose, overlaps
from geodes_lab.cube.mosaic import Mosaic, MosaicSource
from geodes_lab.cube.provenance import QUALITY, attributes, coordinates, provenance
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.products import masks as masks_
from geodes_lab.products.bands import name_of
from geodes_lab.products.sentinel1 import orbit
from geodes_lab.products.sentinel1.orbit import OrbitFile
from geodes_lab.products.terrain import model
from geodes_lab.products.terrain.model import Terrain
from geodes_lab.raster.source import Flown, Mask, RasterSource, TerrainAware, holds

Product = pystac.Item | dict[str, Any] | str | os.PathLike[str]


def open_cube(
    items: Sequence[Product] | pystac.ItemCollection | Product,
    *,
    bands: Sequence[str],
    bbox: tuple[float, float, float, float] | Sequence[float] | None = None,
    geobox: GeoBox | None = None,
    like: xr.Dataset | xr.DataArray | GeoBox | None = None,
    crs: str | int | None = None,
    resolution: float | tuple[float, float] | None = None,
    groupby: Literal["pass", "solar_day", "item"] = "pass",
    resampling: str | Resampling | Mapping[str, str | Resampling] = "nearest",
    classes: str | Sequence[str] | None = None,
    chunks: chunks_.Asked = None,
    mask: str | Sequence[str] | Mapping[str, Sequence[int]] | None = None,
    dtype: DTypeLike | None = None,
    dem: Product | Sequence[Product] | pystac.ItemCollection | None = None,
    dem_heights: Literal["geoid", "ellipsoid"] | None = None,
    orbits: Product | Sequence[Product] | pystac.ItemCollection | None = None,
    overviews: bool = True,
    errors: Literal["raise", "fill"] = "raise",
) -> xr.Dataset:
    """Open many products as one lazy cube.

    Parameters
    ----------
    items
        Items of `geodes_lab.search`, dictionaries of Items, or paths and URLs of products.
    bands
        By common name (``red``) or by the product's own (``B04``); the variables are named as they are asked for. A band
        that only some products have is no data in the slices of the others. The key of an asset of several bands, such as a
        picture, means each of them: ``visual`` gives ``visual_1``, ``visual_2``, ``visual_3``, or the names that they have.
    bbox
        West, south, east, north in degrees; the cube covers it in whole pixels, within what the products cover.
        None: all that the products cover.
    geobox
        The exact output grid. Excludes the four arguments around it.
    like
        A Dataset or DataArray whose grid to take, or a GeoBox; as ``geobox``.
    crs
        The output CRS; None: the products' own.
    resolution
        Pixel size in units of the CRS, or a pixel's width and height; None: the finest of the bands, in x and in y.
    groupby
        ``"pass"``: products of one pass of a satellite are pasted into one slice, the first with data wins; those that do not
        tell their orbit or datatake go by the day at their place. ``"solar_day"``: all of one day at their place;
        ``"item"``: a slice for each product.
    resampling
        Where the output grid is not the band's own: a name of `rasterio.enums.Resampling`, for all bands or by band. A
        mean of integers is a float. Of classes and masks no mean is made: the nearest pixel is taken, and the variable's
        ``attrs["resampling"]`` says so. A grid coarser than a band is resampled from an overview of the file, where it has one
        that serves; see ``overviews``.
    classes
        Bands whose numbers stand for classes, where neither Item nor file says so: by ``classification:classes``, the role
        of a mask, or a table of colours. Others are measures.
    chunks
        Pixels of a chunk in y and x, counted from the products' first pixel; -1: all. None or ``"auto"``: whole tiles of the
        finest band's files, as many as suit the memory of a worker (see `geodes_lab.cube.chunks`). As xarray has it also by
        dimension, ``{"x": 512, "y": 512, "time": 4}``: a dimension that is not named is as with None, and ``time`` one slice.
    mask
        What hides pixels, which become no data: names of classes of the products' own masks, such as ``"cloud"`` or
        ``["cloud", "cirrus", "cloud_shadow"]``; or bands of classes and their numbers, such as ``{"SCL": [3, 8, 9, 10]}``.
    dtype
        Of measures; None: float32. Classes keep their own.
    dem
        A terrain model (a COG, a Zarr store, any raster of one band), or a list of its tiles, for bands in radar geometry, which are no data
        where it has none; where that is the sea, the sea's level counts. Without it they are placed at the heights of their own
        tie points: relief is displaced.
    dem_heights
        What the heights of ``dem`` are above: ``"geoid"`` (the sea; they are converted by EGM96) or ``"ellipsoid"``. None: as the CRS
        of its file says, or as is known of models by their names (Copernicus DEM, SRTM, …); ``attrs["geometry"]`` says which.
    orbits
        Orbit files of Sentinel-1 (``S1A_OPER_AUX_POEORB_….EOF``, or a zip of one), or Items of them, better than the orbit in the products:
        each product is placed by the one of its satellite and time; ``attrs["orbit"]`` names them. None: the products' own.
    overviews
        Whether a coarse grid may be read from the overviews of the files. ``nearest`` is then within half a pixel, and of JPEG 2000 a mean is within one or
        two hundredths of the standard deviation (three where pixels are 32 or more times larger); where the image has no data it is looked up in full. False: all pixels of the files are
        read, and a mean is exact.
    errors
        ``"raise"``: what cannot be read raises, naming product, band and window. ``"fill"``: it becomes no data, `report`
        says so, and the cube has a variable ``quality`` that tells failed pixels from no data.

    Returns
    -------
    xarray.Dataset
        One variable per band, dims ``(time, y, x)``; reflectance without unit and NaN for no data, classes
        and masks in their own integers where their files say which of these is no data, else as float32 with NaN. ``x`` and ``y`` are pixel centres; ``time`` is the acquisition (UTC); the
        coordinates ``product``, ``baseline`` and ``offset`` say where each slice came from. Metadata are read where the
        catalogue does not tell, no pixel; ``attrs["superseded"]`` names the products left out because a newer processing of
        them was given too, ``attrs["corrected"]`` says what the catalogue had wrong.

    Raises
    ------
    GeodesError
        If there are no products, a band is missing, the products share no grid, ``bbox`` is beyond all of them, or
        a product is damaged. A pixel that cannot be read raises when it is computed; it is never filled unless told.

    Examples
    --------
    >>> import geodes_lab as gl
    >>> items = gl.search("PEPS_S2_L1C", datetime="2021-06")            # doctest: +SKIP
    >>> cube = gl.open_cube(items, bands=["red", "nir"], mask="cloud")  # doctest: +SKIP
    """
    bands = arguments.names("bands", bands)
    resampling = (
        {band: arguments.kernel(way) for band, way in resampling.items()}
        if isinstance(resampling, Mapping)
        else arguments.kernel(resampling)
    )
    if resolution is not None:
        resolution = arguments.size("resolution", resolution)
    if crs is not None and not isinstance(crs, str) and hasattr(crs, "__index__"):
        crs = arguments.whole("crs", crs, "an EPSG code")
    wanted_chunks = chunks_.asked(chunks)
    dtype = _measure(dtype)
    classes = None if classes is None else arguments.names("classes", classes)
    _refuse(bands, resampling)
    arguments.choice("errors", errors, ("raise", "fill"))
    arguments.choice("groupby", groupby, ("pass", "solar_day", "item"))
    overviews = arguments.flag("overviews", overviews)
    if unknown := [c for c in classes or () if c not in bands]:
        raise GeodesError(f"classes= names {unknown[0]!r}, which is not among bands=.")
    if dem_heights is not None:
        arguments.choice("dem_heights", dem_heights, ("geoid", "ellipsoid"))
        if dem is None:
            raise GeodesError("dem_heights= says what the heights of dem= are above: give both.")
    if like is not None:
        if geobox is not None:
            raise GeodesError("like= and geobox= both say the whole grid: give one of them.")
        geobox = arguments.grid("like", like)
    elif geobox is not None:
        geobox = arguments.grid("geobox", geobox)
    unpacked, failed = _unpacked(products.several(items), bands, mask, errors)
    _refuse_reserved(unpacked, bands, errors)
    bands, resampling = _parts(unpacked, bands, resampling)
    useful = [i for i in unpacked if any(bands_.has(i, b) for b in bands)] or unpacked
    failed += [f"{name_of(i)} has none of the bands {', '.join(bands)}." for i in unpacked if i not in useful]
    kept, superseded = acquisitions.newest(useful)
    if raw_ := [name_of(i) for i in kept if i.properties.get("geodes:geometry") == "raw"]:
        _refuse_raw(raw_, geobox is not None or crs is not None)
    of_classes = {classes} if isinstance(classes, str) else set(classes or ())
    found = {
        band: _sources(kept, band, dtype, _way(band, resampling), band in of_classes, exact=not overviews)
        for band in bands
    }
    every = [s for sources in found.values() for s in sources if s is not None]
    grid = choose(every, geobox=geobox, bbox=bbox, crs=crs, resolution=resolution)
    if dem is not None:
        found = _over(model.of(dem, dem_heights), found, grid)
    if orbits is not None:
        found = _along(orbit.of(orbits), found)
    placed = [next(s for s in (found[b][n] for b in bands) if s is not None) for n in range(len(kept))]
    slices = [
        group
        for group in acquisitions.group(kept, placed, groupby)
        if any(s is not None and overlaps(s, grid) for n in group for s in (found[band][n] for band in bands))
    ]
    masks = [masks_.masks(item, mask) for item in kept]
    finest = min(every, key=lambda s: abs(s.transform[0] * s.transform[4]))
    largest = max((s.dtype for s in every), key=lambda d: np.dtype(d).itemsize)
    parts, staff = None, workers()
    if wanted_chunks.is_automatic:
        sizes = chunks_.choose(grid, finest, len(slices), largest, staff)
        parts = chunks_.pieces(sizes, len(slices), largest, staff)
    else:
        sizes = wanted_chunks.sizes(grid, finest, chunks_.choose(grid, finest, len(slices), largest, staff))
    mosaics = {
        band: _mosaic(band, grid, sizes, _pieces(sources, masks, slices, grid), sources, resampling, errors)
        for band, sources in found.items()
    }
    token = hashlib.blake2b(pickle.dumps(mosaics), digest_size=8).hexdigest()
    arrays = {band: mosaic.lazy(replace(m, cube=token, parts=parts)) for band, m in mosaics.items()}
    dims = ("time", "y", "x")
    variables = {
        band: xr.DataArray(values, dims=dims, attrs=attributes(kept, found[band]) | _said(mosaics[band], resampling))
        for band, (values, _) in arrays.items()
    }
    if errors == "fill":
        flags = [quality for _, quality in arrays.values() if quality is not None]
        together = flags[0]
        for other in flags[1:]:
            together = together | other
        variables["quality"] = xr.DataArray(together, dims=dims, attrs=QUALITY)
    coords = {**coordinates(kept, slices, found), **xr_coords(grid, dims=("y", "x"))}
    attrs = provenance(kept, superseded, failed, found)
    flown = {s.native.flown for sources in found.values() for s in sources if s and isinstance(s.native, Flown)} - {""}
    if flown:
        attrs["orbits"] = sorted(flown)
    cube = xr.Dataset(variables, coords=coords, attrs=attrs)
    return cube if wanted_chunks.time is None else cube.chunk(time=wanted_chunks.time)


def _measure(dtype: Any) -> str | None:
    """The name of the kind of number of measures."""
    if dtype is None:
        return None
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = str(dtype)
    if name not in ("float32", "float64"):
        raise GeodesError(f"dtype is 'float32' or 'float64', not {dtype!r}: measures have a NaN for no data.")
    return name


def _refuse(bands: list[str], resampling: Any) -> None:
    """Say what is wrong with an argument, before anything is read."""
    if isinstance(resampling, Mapping) and (unknown := [b for b in resampling if b not in bands]):
        raise GeodesError(f"resampling= names {unknown[0]!r}, which is not among bands=.")
    if not bands:
        raise GeodesError("open_cube needs bands, such as bands=['red', 'nir'].")


def _said(mosaic: Mosaic, resampling: str | Mapping[str, str]) -> dict[str, str]:
    """Say of classes that they were not resampled as was asked."""
    asked = _way(mosaic.variable, resampling)
    return (
        {}
        if mosaic.resampling == asked
        else {"resampling": f"nearest, since no mean is made of classes ({asked} was asked)"}
    )


def _refuse_reserved(items: Sequence[pystac.Item], bands: Sequence[str], errors: str) -> None:
    """Refuse to call a band as a cube calls something else."""
    for band in bands:
        if band in bands_.RESERVED and (band != "quality" or errors == "fill"):
            what = "a variable" if band == "quality" else "a coordinate"
            own = next(
                (names[band] for i in items if band in (names := bands_.variables(i.assets))), bands_.plain(band)
            )
            raise GeodesError(f"A cube has {what} {band!r}: ask for the band of that name as {own!r}.")


def _refuse_raw(names: list[str], is_asked: bool) -> None:
    """What is not orthorectified is put on a map only when the map is said."""
    if not is_asked:
        raise GeodesError(
            f"{names[0]} is raw geometry (L1A), not orthorectified: say the grid to put it on, by crs=, geobox= or like=, and know that "
            "relief is displaced; or use gl.open_product."
        )


def _unpacked(
    items: list[Product], bands: Sequence[str], mask: Any, errors: str
) -> tuple[list[pystac.Item], list[str]]:
    """The band Items, and the sentences of those products that do not open, if they may be left out."""
    if not items:
        raise GeodesError(
            "There are no products to open: the search found nothing; widen its dates, bbox (west, south, east, north: longitudes first) or cloud cover."
        )

    def unpack(product: Product) -> pystac.Item | GeodesError:
        try:
            item = products.as_item(product)
            return products.unpack(item, [*bands, *masks_.keys(item, mask)], confirm=False)
        except GeodesError as error:
            if errors == "raise":
                raise
            return error

    products.families()  # once, rather than by each thread
    with ThreadPoolExecutor(16) as pool:
        done = list(pool.map(unpack, items))
    good = [i for i in done if isinstance(i, pystac.Item)]
    bad = [i for i in done if not isinstance(i, pystac.Item)]
    if not good:
        raise GeodesError(f"None of the {len(items)} products opens; the first: {bad[0]}") from bad[0]
    return good, [str(error) for error in bad]


def _parts(
    items: list[pystac.Item], bands: Sequence[str], resampling: str | Mapping[str, str]
) -> tuple[list[str], str | Mapping[str, str]]:
    """The bands one by one, where a name is that of a file of several, such as a picture; and their resampling."""
    parts = {b: list(dict.fromkeys(bands_.plain(p) for i in items for p in bands_.parts(i, b))) or [b] for b in bands}
    if isinstance(resampling, Mapping):
        resampling = {part: way for band, way in resampling.items() for part in parts[band]}
    return list(dict.fromkeys(part for several in parts.values() for part in several)), resampling


def _sources(
    items: list[pystac.Item], band: str, dtype: str | None, way: str, is_class: bool, *, exact: bool
) -> list[RasterSource | None]:
    """A band of each product; None for a product without it, if others have it.

    A variable has one dtype: where one product has a measure, all are read as numbers with NaN for no data. Integers stay
    integers only where each file says which number is no data, since there would be nothing to fill with, and where no mean is
    made of them.
    """
    found = [bands_.source(i, band) if bands_.has(i, band) else None for i in items]
    there = [s for s in found if s is not None]
    if not there:
        bands_.source(items[0], band)  # raises, with the names that the product has
    common = np.result_type(*{s.dtype for s in there})
    if common.kind == "c":
        raise GeodesError(
            f"Band {band} of {there[0].product} has complex numbers, which no cube averages or pastes: use gl.open_product, and take their "
            "amplitude or phase."
        )
    is_class = is_class or any(s.is_class for s in there)
    means = not is_class and way not in _KEEPING
    unlike = len({s.nodata for s in there}) > 1
    unknown = any(s.nodata is None or not holds(common.name, s.nodata) for s in there) if common.kind != "f" else False
    if common.kind != "f" and (means or unlike or unknown):
        common = np.dtype("float32") if common.itemsize <= 2 else np.dtype("float64")
    if common.kind == "f" and dtype is not None:
        common = np.dtype(dtype)
    return [s and replace(s, dtype=str(common), is_class=is_class, exact=exact) for s in found]


def _over(
    relief: Terrain, found: dict[str, list[RasterSource | None]], grid: GeoBox
) -> dict[str, list[RasterSource | None]]:
    """The bands with the relief of a terrain model."""
    if not any(s is not None and isinstance(s.native, TerrainAware) for sources in found.values() for s in sources):
        raise GeodesError("dem= is for bands in radar geometry, and none of these is: leave it out.")
    near = tuple(t for t in relief.tiles if overlaps(t.source, grid))
    if not near:
        names = ", ".join(dict.fromkeys(t.source.product for t in relief.tiles))
        raise GeodesError(f"dem= has no height of this place: {names} lies beside the cube; give one that covers it.")

    def over(source: RasterSource | None) -> RasterSource | None:
        if source is None or not isinstance(source.native, TerrainAware):
            return source
        return replace(source, native=source.native.over(Terrain(near)))

    return {band: [over(s) for s in sources] for band, sources in found.items()}


def _along(
    orbits: Sequence[OrbitFile], found: dict[str, list[RasterSource | None]]
) -> dict[str, list[RasterSource | None]]:
    """The bands of radar by better orbits."""
    if not any(s is not None and isinstance(s.native, Flown) for sources in found.values() for s in sources):
        raise GeodesError("orbits= is for bands of Sentinel-1 in radar geometry, and none of these is: leave it out.")

    def along(source: RasterSource | None) -> RasterSource | None:
        if source is None or not isinstance(source.native, Flown):
            return source
        return replace(source, native=source.native.along(orbits))

    return {band: [along(s) for s in sources] for band, sources in found.items()}


def _pieces(
    sources: list[RasterSource | None], masks: list[tuple[Mask, ...]], slices: list[list[int]], grid: GeoBox
) -> tuple[tuple[MosaicSource, ...], ...]:
    def pieces(number: int) -> list[MosaicSource]:
        source = sources[number]
        copies = [] if source is None else source.copies(grid)
        return [
            MosaicSource(c, tuple(replace(m, source=m.source.moved(c.turned)) for m in masks[number])) for c in copies
        ]

    return tuple(tuple(p for number in group for p in pieces(number)) for group in slices)


def _mosaic(
    band: str,
    grid: GeoBox,
    sizes: chunks_.Sizes,
    slices: tuple[tuple[MosaicSource, ...], ...],
    sources: list[RasterSource | None],
    resampling: str | Mapping[str, str],
    errors: Literal["raise", "fill"],
) -> Mosaic:
    first = next(s for s in sources if s is not None)
    return Mosaic("", band, grid, sizes, slices, _kernel(band, resampling, first), first.dtype, first.fill, errors)


def _way(band: str, resampling: str | Mapping[str, str]) -> str:
    return resampling.get(band, "nearest") if isinstance(resampling, Mapping) else resampling


def _kernel(band: str, resampling: str | Mapping[str, str], source: RasterSource) -> str:
    """How a band is resampled: of classes no mean is made, the nearest pixel stands for it."""
    way = _way(band, resampling)
    return "nearest" if source.is_class and way not in _KEEPING else way


_KEEPING = ("nearest", "mode", "min", "max")  # what gives none but numbers that are there
