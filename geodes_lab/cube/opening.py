"""Many products become one cube: a variable per band, dims (time, y, x), by default on the products' own grid.

In five steps: the arguments are checked (`request`), the products unpacked (`band_sources`), a grid chosen (`grid`), a
mosaic made for each band (`mosaic`), and all put into one Dataset (`provenance`).
"""

from __future__ import annotations

import hashlib
import os
import pickle
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

import pystac
import rioxarray  # noqa: F401  (registers .rio, which users of cubes expect)
import xarray as xr
from numpy.typing import DTypeLike
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from rasterio.enums import Resampling

from geodes_lab import products
from geodes_lab.cube import acquisitions, band_sources, mosaic
from geodes_lab.cube import chunks as chunks_
from geodes_lab.cube import mosaics as mosaics_
from geodes_lab.cube.band_sources import BandSources
from geodes_lab.cube.grid import choose
from geodes_lab.cube.provenance import QUALITY, attributes, coordinates, provenance
from geodes_lab.cube.request import checked
from geodes_lab.products import bands as bands_
from geodes_lab.products.bands import name_of
from geodes_lab.products.sentinel1 import orbit
from geodes_lab.products.terrain import model
from geodes_lab.raster.geometry import Flown

Product = pystac.Item | dict[str, Any] | str | os.PathLike[str]


def open_cube(
    items: Sequence[Product] | pystac.ItemCollection | Product,
    *,
    bands: Sequence[str],
    bbox: tuple[float, float, float, float] | Sequence[float] | None = None,
    geometry: Any = None,
    clip: bool = False,
    geobox: GeoBox | None = None,
    like: xr.Dataset | xr.DataArray | GeoBox | None = None,
    crs: str | int | None = None,
    resolution: float | tuple[float, float] | None = None,
    groupby: Literal["pass", "solar_day", "item"] = "pass",
    resampling: str | Resampling | Mapping[str, str | Resampling] = "nearest",
    classes: str | Sequence[str] | None = None,
    chunks: chunks_.Asked = None,
    mask: str | Sequence[str] | Mapping[str, Sequence[int]] | None = None,
    mask_buffer: float = 0.0,
    dtype: DTypeLike | None = None,
    dem: Product | Sequence[Product] | pystac.ItemCollection | None = None,
    dem_heights: Literal["geoid", "ellipsoid"] | None = None,
    orbits: Product | Sequence[Product] | pystac.ItemCollection | None = None,
    overviews: bool = True,
    converted: bool = True,
    errors: Literal["raise", "fill"] = "raise",
) -> xr.Dataset:
    """Open many products as one lazy cube.

    Parameters
    ----------
    items
        Items of `geodes_lab.search`, dictionaries of Items, or paths and URLs of products.
    bands
        Bands, by common name (``red``) or by the product's own name (``B04``); the variables get the requested names. A
        band that only some products have is no data in the slices of the others. The key of an asset with several
        bands, such as a picture, means each of them: ``visual`` gives ``visual_1``, ``visual_2``, ``visual_3``, or the
        names of its bands.
    bbox
        West, south, east, north in degrees. The cube covers this box in whole pixels, within the area of the products.
        None: the whole area of the products.
    geometry
        A shape instead of ``bbox``: a file (GeoJSON, GeoPackage, Shapefile or a zip of one, KML, KMZ), a GeoDataFrame,
        GeoJSON, a geometry of shapely in degrees, or of odc-geo. Several shapes are combined. The cube is the box
        around them, in whole pixels. A file is read during this call.
    clip
        Whether pixels whose centre lies outside ``geometry`` become no data; chunks outside are not read.
    geobox
        The exact output grid. Excludes ``bbox``, ``crs`` and ``resolution``; ``geometry`` then only clips.
    like
        A Dataset or DataArray whose grid is used, or a GeoBox; like ``geobox``.
    crs
        The output CRS; None: the products' own.
    resolution
        Pixel size in units of the CRS, or a pixel's width and height; None: the finest of the bands, in x and in y.
    groupby
        ``"pass"``: products of one satellite pass form one slice, and the first with data fills a pixel; products
        without an orbit or datatake are grouped by the local day. ``"solar_day"``: all products of one local day;
        ``"item"``: a slice for each product.
    resampling
        Used if the output grid is not the band's own: a name of `rasterio.enums.Resampling`, for all bands or by band.
        A mean of integers is a float. Classes and masks are never averaged: the nearest pixel is used, and the
        variable's ``attrs["resampling"]`` says so. A grid coarser than a band is resampled from an overview of the
        file, if a suitable one exists; see ``overviews``.
    classes
        Bands whose numbers are classes, if neither Item nor file says so (with ``classification:classes``, the role of
        a mask, or a colour table). Others are measures.
    chunks
        Pixels of a chunk in y and x, counted from the products' first pixel; -1: all. None or ``"auto"``: whole tiles
        of the finest band's files, as many as suit the memory of a worker (see `geodes_lab.cube.chunks`). Also by
        dimension as in xarray, ``{"x": 512, "y": 512, "time": 4}``: an omitted dimension is automatic, and ``time`` one
        slice. A task reads all slices of a chunk, so that thousands of dates need few tasks.
    mask
        The masks that turn pixels into no data: class names of the products' own masks, such as ``"cloud"`` or
        ``["cloud", "cirrus", "cloud_shadow"]``; or bands of classes and their numbers, such as ``{"SCL": [3, 8, 9,
        10]}``.
    mask_buffer
        How far around them pixels become no data too, in metres from centre to centre; the mask of each product counts
        for that product. On a grid in degrees at least so far.
    dtype
        The dtype of measures; None: float32. Classes keep their own dtype.
    dem
        A terrain model (a COG, a Zarr store, any raster with one band), or a list of its tiles, for bands in radar
        geometry. Pixels without a height are no data, except in the sea, where sea level is used. Without a model, the
        heights of the products' tie points are used: relief is displaced.
    dem_heights
        What the heights of ``dem`` refer to: ``"geoid"`` (sea level; they are converted with EGM96) or ``"ellipsoid"``.
        None: according to the CRS of its file, or to the name of a known model (Copernicus DEM, SRTM, …);
        ``attrs["geolocation"]`` says which.
    orbits
        Orbit files of Sentinel-1 (``S1A_OPER_AUX_POEORB_….EOF``, or a zip of one), or Items of them, which are better
        than the orbits in the products: each product uses the file of its satellite and time; ``attrs["orbit"]`` names
        them. None: the products' own.
    overviews
        Whether a coarse grid may be read from overviews. ``nearest`` is then within half a pixel, and with JPEG 2000 a
        mean is within one or two hundredths of the standard deviation (three if pixels are 32 or more times larger);
        next to no data, the image itself is read. False: all pixels of the files are read, and a mean is exact.
    converted
        Whether files that were converted from a product take its place, if the product's Item offers them with all
        ``bands`` (see `geodes_lab.convert`) and no ``mask`` is wanted, which the product itself has. They have the same
        numbers and are quicker to read; ``attrs["converted"]`` names the products that were not opened themselves.
        False: the products themselves are read.
    errors
        ``"raise"``: a read failure raises an error that names product, band and window. ``"fill"``: the window becomes
        no data, `report` says so, and the cube has a variable ``quality`` that distinguishes failed pixels from no
        data.

    Returns
    -------
    xarray.Dataset
        One variable per band, dims ``(time, y, x)``; reflectance without unit and NaN for no data; classes and masks in
        their own integers if their files declare a number for no data, else as float32 with NaN. ``x`` and ``y`` are
        pixel centres; ``time`` is the acquisition (UTC); the coordinates ``product``, ``baseline`` and ``offset``
        describe the origin of each slice. Metadata are read if the catalogue does not have them; no pixel is read.
        ``attrs["superseded"]`` names products that were left out because a newer processing of the same product is in
        ``items``, ``attrs["corrected"]`` lists errors of the catalogue.

    Raises
    ------
    GeodesError
        If there are no products, a band is missing, the products have different grids, ``bbox`` does not overlap any
        product, or a product is damaged. A pixel that cannot be read raises an error when it is computed; it is filled
        only with ``errors="fill"``.

    Examples
    --------
    >>> import geodes_lab as gl
    >>> items = gl.search("PEPS_S2_L1C", datetime="2021-06")            # doctest: +SKIP
    >>> cube = gl.open_cube(items, bands=["red", "nir"], mask="cloud")  # doctest: +SKIP
    """
    request = checked(
        bands=bands,
        resampling=resampling,
        geobox=geobox,
        like=like,
        bbox=bbox,
        geometry=geometry,
        clip=clip,
        crs=crs,
        resolution=resolution,
        groupby=groupby,
        classes=classes,
        chunks=chunks,
        mask=mask,
        mask_buffer=mask_buffer,
        dtype=dtype,
        has_dem=dem is not None,
        dem_heights=dem_heights,
        overviews=overviews,
        converted=converted,
        errors=errors,
    )
    unpacked, failed = band_sources.unpacked(products.several(items), request)
    band_sources.refuse_reserved(unpacked, request)
    request = band_sources.one_by_one(unpacked, request)
    useful = [i for i in unpacked if any(bands_.has(i, b) for b in request.bands)] or unpacked
    failed += [f"{name_of(i)} has none of the bands {', '.join(request.bands)}." for i in unpacked if i not in useful]
    newest, superseded = acquisitions.newest(useful)
    band_sources.refuse_raw(newest, request)
    sources = {band: band_sources.of_band(newest, band, request) for band in request.bands}
    grid = choose(
        mosaics_.every(sources),
        geobox=request.geobox,
        bbox=bbox,
        geometry=request.geometry if request.geobox is None else None,
        crs=request.crs,
        resolution=request.resolution,
    )
    if dem is None:
        band_sources.refuse_flat(sources)
    else:
        sources = band_sources.over_relief(model.of(dem, dem_heights), sources, grid)
    if orbits is not None:
        sources = band_sources.along_orbits(orbit.of(orbits), sources)
    slices = mosaics_.slices(newest, sources, grid, request)
    mosaics, parts = mosaics_.of(newest, sources, slices, grid, request)
    token = hashlib.blake2b(pickle.dumps(mosaics), digest_size=8).hexdigest()
    arrays = {band: mosaic.lazy(replace(m, cube=token, parts=parts)) for band, m in mosaics.items()}
    dims = ("time", "y", "x")
    variables = {
        band: xr.DataArray(
            values, dims=dims, attrs=attributes(newest, sources[band]) | mosaics_.said(mosaics[band], request)
        )
        for band, (values, _) in arrays.items()
    }
    if request.errors == "fill":
        flags = [quality for _, quality in arrays.values() if quality is not None]
        together = flags[0]
        for other in flags[1:]:
            together = together | other
        variables["quality"] = xr.DataArray(together, dims=dims, attrs=QUALITY)
    coords = {**coordinates(newest, slices, sources), **xr_coords(grid, dims=("y", "x"))}
    attrs = provenance(newest, superseded, failed, sources) | _orbits(sources)
    if request.clip:
        attrs["clip"] = "Pixels with their centre outside geometry= are no data."
    return xr.Dataset(variables, coords=coords, attrs=attrs)


def _orbits(sources: BandSources) -> dict[str, list[str]]:
    """Return the orbit files of the radar images, if there are any."""
    flown = {
        s.native.flown for s in mosaics_.every(sources) if s.native is not None and isinstance(s.native, Flown)
    } - {""}
    return {"orbits": sorted(flown)} if flown else {}
