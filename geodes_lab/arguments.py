"""Arguments of the usual types, numpy's and pandas's too.

Each becomes what it means, or one sentence says what is wanted.
"""

from __future__ import annotations

import datetime
import operator
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from geodes_lab.errors import GeodesError, nearest

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


def whole(name: str, value: Any, meaning: str, least: int | None = None) -> int:
    """Take a whole number.

    Parameters
    ----------
    name
        Of the argument.
    value
        An integer of Python or numpy, an array without dimensions that holds one, or a float that is one.
    meaning
        What it is, for the sentence: ``"a number of pixels, at least 1"``.
    least
        The least that it may be.

    Raises
    ------
    GeodesError
        If it is none.
    """
    plain = _plain(value)
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    if not isinstance(plain, int) or isinstance(plain, bool) or (least is not None and plain < least):
        raise GeodesError(f"{name} is {meaning}, not {value!r}.")
    return plain


def several_whole(name: str, value: Any, meaning: str) -> list[int]:
    """Take one whole number, or several: a list, a tuple, an array, a generator.

    Raises
    ------
    GeodesError
        If one of them is none.
    """
    is_one = isinstance(value, str) or not isinstance(value, Iterable) or _is_scalar(value)
    return [whole(name, one, meaning) for one in ([value] if is_one else value)]


def number(name: str, value: Any, meaning: str) -> float:
    """Take a finite number: an integer or float of Python or numpy, or an array without dimensions.

    Raises
    ------
    GeodesError
        If it is none.
    """
    plain = _plain(value)
    is_number = isinstance(plain, (int, float)) and not isinstance(plain, bool)
    if not is_number or not abs(plain) <= sys.float_info.max:  # NaN and infinities too
        raise GeodesError(f"{name} is {meaning}, not {value!r}.")
    return float(plain)


def size(name: str, value: Any) -> float | tuple[float, float]:
    """Take the size of a pixel: a number, or width and height, of odc-geo too.

    Raises
    ------
    GeodesError
        If it is none.
    """
    meaning = "a pixel's size, more than 0, or its width and height, such as (600, 601)"
    if hasattr(value, "x") and hasattr(value, "y"):
        value = (abs(value.x), abs(value.y))  # whose rows run south: y is negative
    if isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim):
        if len(value) != 2:
            raise GeodesError(f"{name} is {meaning}, not {value!r}.")
        return number(name, value[0], meaning), number(name, value[1], meaning)
    return number(name, value, meaning)


def names(name: str, value: Any) -> list[str]:
    """Take one name, or several in an order: a list, a tuple, an array, an index of pandas, a generator.

    Raises
    ------
    GeodesError
        If one of them is no text, or they have no order.
    """
    if isinstance(value, str):
        return [str(value)]
    if _is_scalar(value):
        value = np.asarray(value).tolist()
        return names(name, value if isinstance(value, str) else [value])
    several = list(value) if isinstance(value, Iterable) and not isinstance(value, (bytes, set, frozenset)) else [None]
    if not all(isinstance(one, str) for one in several):
        raise GeodesError(f"{name} is a name, or a list of names, not {value!r}.")
    return [str(one) for one in several]


def choice(name: str, value: Any, known: Sequence[str]) -> str:
    """Take one of some words.

    Raises
    ------
    GeodesError
        If it is none of them.
    """
    if not isinstance(value, str) or value not in known:
        listed = ", ".join(map(repr, known[:-1])) + f" or {known[-1]!r}"
        raise GeodesError(f"{name} is {listed}, not {value!r}.")
    return str(value)


def flag(name: str, value: Any) -> bool:
    """Take True or False.

    Raises
    ------
    GeodesError
        If it is neither.
    """
    plain = _plain(value)
    if not isinstance(plain, bool):
        raise GeodesError(f"{name} is True or False, not {value!r}.")
    return plain


def grid(name: str, value: Any) -> GeoBox:
    """Take a grid: a GeoBox, or that of a Dataset or a DataArray; with a CRS.

    Raises
    ------
    GeodesError
        If it has none.
    """
    # They take half a second, which a search need not wait for.
    import odc.geo.xr  # noqa: F401  (registers .odc)
    import xarray as xr
    from odc.geo.geobox import GeoBox

    found = value.odc.geobox if isinstance(value, (xr.Dataset, xr.DataArray)) else value
    if isinstance(value, (xr.Dataset, xr.DataArray)) and (not isinstance(found, GeoBox) or found.crs is None):
        raise GeodesError(f"The cube given as {name}= has no CRS, or no x and y: write one with .rio.write_crs first.")
    if not isinstance(found, GeoBox):
        raise GeodesError(
            f"{name} is a GeoBox, or a Dataset or DataArray with x, y and a CRS, not {type(value).__name__}."
        )
    return found


def kernel(value: Any) -> str:
    """Take the name of a resampling, or rasterio's own.

    Raises
    ------
    GeodesError
        If there is no such one.
    """
    # They take a tenth of a second, which a search need not wait for. rasterio lists one more, for overviews alone.
    from rasterio.enums import Resampling
    from rasterio.warp import SUPPORTED_RESAMPLING

    name, ways = value.name if isinstance(value, Resampling) else value, [way.name for way in SUPPORTED_RESAMPLING]
    if not isinstance(name, str) or name not in ways:
        raise GeodesError(f"There is no resampling {name!r}{nearest(str(name), ways) or '.'}")
    return str(name)


def time(value: Any) -> Any:
    """Take a time as pystac-client does, and numpy's and a date beside; an interval is two of them."""
    if isinstance(value, (list, tuple, np.ndarray)) and np.ndim(value):
        return [time(one) for one in value]
    if isinstance(value, np.ndarray):
        value = value[()]
    if isinstance(value, np.datetime64):
        if np.datetime_data(value.dtype)[0] in ("Y", "M", "D"):
            return str(value)  # all of it
        return value.astype("datetime64[us]").item().replace(tzinfo=datetime.UTC)
    if isinstance(value, datetime.date) and not isinstance(value, datetime.datetime):
        return value.isoformat()
    return value


def plain(value: Any) -> Any:
    """Take a value, or several, as Python has them: a scalar, an array or an index of numpy or pandas."""
    found = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(found, (list, tuple)):
        return type(found)(plain(one) for one in found)
    return found


def _is_scalar(value: Any) -> bool:
    """Whether it is an array without dimensions, of numpy or xarray."""
    return hasattr(value, "__array__") and getattr(value, "ndim", None) == 0


def _plain(value: Any) -> Any:
    """A number of Python, if this is one of numpy's or of another library."""
    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if _is_scalar(value):
        value = np.asarray(value)[()]
    if isinstance(value, np.floating):
        return float(value)
    try:
        return operator.index(value)  # numpy's integers, and what else counts as one
    except TypeError:
        return value
