"""The attributes of an array, in the terms of CF, GDAL, GeoZarr and EOPF: its grid, and the meaning of its numbers."""

from __future__ import annotations

import base64
import struct
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import CRS
from pyproj.exceptions import CRSError

Attributes = Mapping[str, Any]
Transform = tuple[float, float, float, float, float, float]

TIMES = ("time", "t", "datetime", "date")
"""Names of the dim of time."""
_FAR = 0.05  # of a pixel: the error of coordinates in float32
_KILOMETRES = ("km", "kilometer", "kilometre", "kilometers", "kilometres")


class NoGrid(ValueError):
    """An array without a map grid, or not a grid of pixels; the message completes a sentence about the array."""


def dims_of(array: Any) -> tuple[str, ...]:
    """Return the names of an array's dims; empty if it has none."""
    if array.metadata.zarr_format == 3:
        names = array.metadata.dimension_names or ()
    else:
        names = array.attrs.get("_ARRAY_DIMENSIONS") or ()
    return tuple(map(str, names))


def is_time(dim: str) -> bool:
    """Whether a dim is time, by its name."""
    return dim.lower() in TIMES


def epsg(scopes: Sequence[Attributes]) -> int:
    """Find the EPSG code.

    Parameters
    ----------
    scopes
        Attributes of the array, of its grid mapping, of its group and of the parent groups, nearest first.

    Raises
    ------
    NoGrid
        If there is no CRS, or the nearest one has no code.
    """
    for stated in (crs for attrs in scopes for crs in _said(attrs)):
        if (code := _code(stated)) is not None:
            return code
        raise NoGrid(f"is in a CRS without an EPSG code ({stated.partition(',')[0][:60]}…)")
    raise NoGrid("has no CRS: write one with .rio.write_crs, or 'proj:code' into the attributes of its group")


def _said(attrs: Attributes) -> Iterator[str]:
    for key in ("proj:code", "proj:epsg", "crs_wkt", "spatial_ref", "proj:wkt2"):
        if attrs.get(key):
            yield str(attrs[key])
    discovery, other = attrs.get("stac_discovery"), attrs.get("other_metadata")
    if isinstance(discovery, Mapping) and isinstance(discovery.get("properties"), Mapping):
        yield from _said(discovery["properties"])
    if isinstance(other, Mapping):
        yield from (str(v) for k, v in other.items() if k.lower() == "horizontal_crs_code" and v)


@lru_cache(maxsize=256)
def _code(crs: str) -> int | None:
    text = crs.strip().removesuffix(".0")
    try:
        return CRS.from_user_input(int(text) if text.isdigit() else text).to_epsg()
    except CRSError:
        return None


def transform(
    y: tuple[NDArray[Any], Attributes] | None,
    x: tuple[NDArray[Any], Attributes] | None,
    scopes: Sequence[Attributes],
    shape: tuple[int, int],
) -> Transform:
    """Find the transform from pixels to the CRS.

    Coordinates take precedence: a tool that cuts a store cuts them, and often leaves an old ``GeoTransform``.

    Parameters
    ----------
    y, x
        Coordinates of pixel centres with their attributes, if there are any.
    scopes
        See `epsg`.
    shape
        Rows and columns.

    Raises
    ------
    NoGrid
        If there is none; if coordinates are not evenly spaced; if the grid is rotated, or rows do not run south and
        columns east.
    """
    declared = next((t for t in map(_told, scopes) if t is not None), None)
    if y is None or x is None:
        measured = declared
        if measured is None:
            raise NoGrid("has neither coordinates x and y nor a GeoTransform")
    else:
        down, across = _line(y, shape[0], declared and declared[4]), _line(x, shape[1], declared and declared[0])
        measured = across[1], 0.0, across[0] - across[1] / 2, 0.0, down[1], down[0] - down[1] / 2
        near = declared is not None and all(abs(declared[n] - measured[n]) * s <= _FAR * abs(measured[n % 3 and 4])
                                        for n, s in ((0, shape[1]), (4, shape[0]), (2, 1), (5, 1)))  # fmt: skip
        if declared is not None and near:
            measured = declared  # without the rounding errors of coordinates
    a, b, _, d, e, _ = measured
    if b or d:
        raise NoGrid("lies on a rotated grid")
    if a <= 0 or e >= 0:
        raise NoGrid("has rows that do not run south or columns that do not run east: sort it and save it again")
    return measured


def _line(axis: tuple[NDArray[Any], Attributes], size: int, pixel_size: float | None) -> tuple[float, float]:
    """Return the first coordinate, and the step to the next."""
    values, attrs = axis
    if values.shape != (size,):
        raise NoGrid(f"has {size} pixels along an axis of {values.size} coordinates")
    values = values * float(attrs.get("scale_factor", 1)) + float(attrs.get("add_offset", 0))
    if str(attrs.get("units", "")).lower() in _KILOMETRES:
        values = values * 1000
    if size == 1:
        if pixel_size is None:
            raise NoGrid("is a single row or column without the size of a pixel")
        return float(values[0]), pixel_size
    step = (float(values[-1]) - float(values[0])) / (size - 1)
    if not np.abs(values - (values[0] + np.arange(size) * step)).max() <= _FAR * abs(step) or not step:
        raise NoGrid(
            "has coordinates that are not evenly spaced: it is not a grid of pixels, open it with xarray.open_zarr"
        )
    return float(values[0]), step


def _told(attrs: Attributes) -> Transform | None:
    for key in ("spatial:transform", "proj:transform"):
        if attrs.get(key):
            a, b, c, d, e, f = map(float, list(attrs[key])[:6])
            return a, b, c, d, e, f
    if attrs.get("GeoTransform"):
        text = attrs["GeoTransform"]
        c, a, b, f, d, e = map(float, text.split() if isinstance(text, str) else text)
        return a, b, c, d, e, f
    return None


def nodata(attrs: Attributes, fill: Any) -> float | None:
    """Find the number for no data; NaN, which is always no data, is not returned.

    Parameters
    ----------
    attrs
        The attributes of the array.
    fill
        Zarr's own fill value, if it is CF's ``_FillValue`` too (format 2); else None.
    """
    value = next((attrs[k] for k in ("_FillValue", "missing_value") if attrs.get(k) is not None), fill)
    if value is None:
        return None
    value = value[0] if isinstance(value, list) else value
    try:
        number = float(value)
    except ValueError:  # xarray's spelling of floating numbers in format 3
        number = float(struct.unpack("<d", base64.standard_b64decode(value))[0])
    return None if np.isnan(number) else number


def classes(attrs: Attributes) -> dict[str, Any]:
    """Convert CF's flags to fields of STAC's classification extension, which masks use."""
    names = attrs.get("flag_meanings") or []
    names = names.split() if isinstance(names, str) else names
    values, masks = (np.ravel(attrs.get(k, [])).tolist() for k in ("flag_values", "flag_masks"))
    if names and len(values) == len(names) and not masks:
        listed = [{"value": int(v), "name": n} for v, n in zip(values, names, strict=True)]
        return {"classification:classes": listed}
    if names and len(masks) == len(names) and not values:
        bits = [(int(m), n) for m, n in zip(masks, names, strict=True) if int(m).bit_count() == 1]
        fields = [{"name": n, "offset": m.bit_length() - 1, "length": 1} for m, n in bits]
        return {"classification:bitfields": fields}
    return {}
