"""What a raster file says of itself, for products whose metadata do not say where they lie."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rasterio.errors import RasterioError

from geodes_lab import gdalenv, rasters
from geodes_lab.errors import GeodesError


@dataclass(frozen=True)
class Header:
    """The header of one raster."""

    epsg: int
    """The EPSG code."""
    transform: tuple[float, float, float, float, float, float]
    """Pixel to CRS, as in ``proj:transform``."""
    shape: tuple[int, int]
    """Rows and columns."""
    dtype: str
    """Of the first band."""
    nodata: float | None
    """The number that stands for no data; None: the file does not say one."""
    tags: Mapping[str, str]
    """GDAL's metadata items."""


def read(path: str, name: str) -> Header:
    """Read the header of a raster; a request or two, no pixel.

    Parameters
    ----------
    path
        The path by which GDAL opens it.
    name
        What sentences call it: the file and the product.

    Raises
    ------
    GeodesError
        If it is missing or damaged, or lies on no north-up grid with an EPSG code.
    """
    problem = ""
    try:
        with gdalenv.environment(path), rasters.opened(path) as file:
            epsg, transform = rasters.epsg(file.crs), file.transform
            found = file.shape, file.dtypes[0], file.nodata, file.tags()
    except (RasterioError, OSError) as error:
        problem = (str(error).strip().splitlines() or [type(error).__name__])[0].partition("?")[0]
    if problem:
        raise GeodesError(f"{name} does not open ({problem}); fetch the product again.")
    if epsg is None:
        raise GeodesError(f"{name} has no EPSG code: it cannot be placed on a map; fetch the product again.")
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise GeodesError(f"{name} is rotated, or its rows run north: warp it first, to a grid whose rows run south.")
    a, b, c, d, e, f = tuple(transform)[:6]
    shape, dtype, nodata, tags = found
    return Header(epsg, (a, b, c, d, e, f), shape, dtype, nodata, tags)
