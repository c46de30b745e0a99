"""The header of a raster file, for products whose metadata have no grid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rasterio.errors import RasterioError

from geodes_lab.errors import GeodesError
from geodes_lab.formats import gdal_dataset
from geodes_lab.storage import gdal_env


@dataclass(frozen=True)
class Header:
    """The header of one raster."""

    epsg: int
    """The EPSG code."""
    transform: tuple[float, float, float, float, float, float]
    """Pixel to CRS, as in ``proj:transform``."""
    shape: tuple[int, int]
    """The type of the first band."""
    dtype: str
    """The number for no data; None: the file declares none."""
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
        Its name in error messages: the file and the product.

    Raises
    ------
    GeodesError
        If it is missing or damaged, or has no north-up grid with an EPSG code.
    """
    problem = ""
    try:
        with gdal_env.environment(path), gdal_dataset.opened(path) as file:
            epsg, transform = gdal_dataset.epsg(file.crs), file.transform
            properties = file.shape, file.dtypes[0], file.nodata, file.tags()
            placed_by = "gcps" if file.gcps[0] else "rpcs" if file.rpcs else ""
    except (RasterioError, OSError) as error:
        problem = (str(error).strip().splitlines() or [type(error).__name__])[0].partition("?")[0]
    if problem:
        raise GeodesError(f"{name} does not open ({problem}); fetch the product again.")
    refuse_unplaced(name, placed_by, tuple(transform)[:6], epsg)
    if epsg is None:
        raise GeodesError(f"{name} has no EPSG code: it cannot be placed on a map; fetch the product again.")
    if transform.b or transform.d or transform.a <= 0 or transform.e >= 0:
        raise GeodesError(f"{name} is rotated, or its rows run north: warp it first to a grid whose rows run south.")
    a, b, c, d, e, f = tuple(transform)[:6]
    shape, dtype, nodata, tags = properties
    return Header(epsg, (a, b, c, d, e, f), shape, dtype, nodata, tags)


def refuse_unplaced(name: str, placed_by: str, transform: tuple[float, ...], epsg: int | None) -> None:
    """Refuse a raster without a grid of its own, and say what it has instead.

    Parameters
    ----------
    name
        Its name in error messages.
    placed_by
        ``"gcps"``, ``"rpcs"`` or nothing.
    transform, epsg
        The transform and CRS from GDAL; without a grid, the transform of the pixels.

    Raises
    ------
    GeodesError
        If it has no grid.
    """
    if transform != _OF_PIXELS:
        return
    if placed_by:
        what = {"gcps": "ground control points", "rpcs": "rational polynomial coefficients (RPC)"}[placed_by]
        way = {"gcps": "gdalwarp -tps", "rpcs": "gdalwarp -rpc, with a terrain model"}[placed_by]
        raise GeodesError(
            f"{name} is located only by {what}, and is not on a map grid yet: orthorectify it first, for example "
            f"with {way}."
        )
    if epsg is None:
        raise GeodesError(
            f"{name} has no location: its CRS and transform are missing. Add both first, for example with "
            "gdal_translate -a_srs -a_ullr."
        )


_OF_PIXELS = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
