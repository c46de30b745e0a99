"""Arguments of the usual types, including those of numpy and pandas.

Each function converts an argument, or raises one sentence that says what is expected. They import numpy when they are
called: people's servers, which start often, have this module and no numbers of numpy.
"""

from __future__ import annotations

import datetime
import operator
import sys
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from geodes_lab.errors import GeodesError, nearest

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


def whole(name: str, value: Any, meaning: str, least: int | None = None) -> int:
    """Check a whole number.

    Parameters
    ----------
    name
        The name of the argument.
    value
        An integer of Python or numpy, an array without dimensions that holds one, or a float without a fraction.
    meaning
        What the argument is, for the error message: ``"a number of pixels, at least 1"``.
    least
        The smallest value that is allowed.

    Raises
    ------
    GeodesError
        If the value is not a whole number, or is too small.
    """
    plain = _plain(value)
    if isinstance(plain, float) and plain.is_integer():
        plain = int(plain)
    if not isinstance(plain, int) or isinstance(plain, bool) or (least is not None and plain < least):
        raise GeodesError(f"{name} is {meaning}, not {value!r}.")
    return plain


def several_whole(name: str, value: Any, meaning: str) -> list[int]:
    """Check one whole number, or several: a list, a tuple, an array, a generator.

    Raises
    ------
    GeodesError
        If one of the values is not a whole number.
    """
    is_one = isinstance(value, str) or not isinstance(value, Iterable) or _is_scalar(value)
    return [whole(name, one, meaning) for one in ([value] if is_one else value)]


def number(name: str, value: Any, meaning: str) -> float:
    """Check a finite number: an integer or float of Python or numpy, or an array without dimensions.

    Raises
    ------
    GeodesError
        If the value is not a finite number.
    """
    plain = _plain(value)
    is_number = isinstance(plain, (int, float)) and not isinstance(plain, bool)
    if not is_number or not abs(plain) <= sys.float_info.max:  # refuses NaN and infinity too
        raise GeodesError(f"{name} is {meaning}, not {value!r}.")
    return float(plain)


def size(name: str, value: Any) -> float | tuple[float, float]:
    """Check the size of a pixel: a number, or a width and a height (also odc-geo's).

    Raises
    ------
    GeodesError
        If the value is not a size.
    """
    import numpy as np

    meaning = "a pixel's size, more than 0, or its width and height, such as (600, 601)"
    if hasattr(value, "x") and hasattr(value, "y"):
        value = (abs(value.x), abs(value.y))  # rows run south, so that y is negative
    if isinstance(value, (tuple, list)) or (isinstance(value, np.ndarray) and value.ndim):
        if len(value) != 2:
            raise GeodesError(f"{name} is {meaning}, not {value!r}.")
        return number(name, value[0], meaning), number(name, value[1], meaning)
    return number(name, value, meaning)


def names(name: str, value: Any) -> list[str]:
    """Check one name, or several in an order: a list, a tuple, an array, an index of pandas, a generator.

    Raises
    ------
    GeodesError
        If one of the names is not text, or they have no order.
    """
    if isinstance(value, str):
        return [str(value)]
    if _is_scalar(value):
        value = value.__array__().tolist()
        return names(name, value if isinstance(value, str) else [value])
    several = list(value) if isinstance(value, Iterable) and not isinstance(value, (bytes, set, frozenset)) else [None]
    if not all(isinstance(one, str) for one in several):
        raise GeodesError(f"{name} is a name, or a list of names, not {value!r}.")
    return [str(one) for one in several]


def choice(name: str, value: Any, known: Sequence[str]) -> str:
    """Check one word of a list.

    Raises
    ------
    GeodesError
        If the value is not in the list.
    """
    if not isinstance(value, str) or value not in known:
        listed = ", ".join(map(repr, known[:-1])) + f" or {known[-1]!r}"
        raise GeodesError(f"{name} is {listed}, not {value!r}.")
    return str(value)


def flag(name: str, value: Any) -> bool:
    """Check True or False.

    Raises
    ------
    GeodesError
        If the value is neither.
    """
    plain = _plain(value)
    if not isinstance(plain, bool):
        raise GeodesError(f"{name} is True or False, not {value!r}.")
    return plain


def grid(name: str, value: Any) -> GeoBox:
    """Check a grid: a GeoBox, or the grid of a Dataset or a DataArray, with a CRS.

    Raises
    ------
    GeodesError
        If the value has no grid with a CRS.
    """
    # These imports take half a second, and a search does not need them.
    import odc.geo.xr  # noqa: F401  (registers .odc)
    import xarray as xr
    from odc.geo.geobox import GeoBox

    geobox = value.odc.geobox if isinstance(value, (xr.Dataset, xr.DataArray)) else value
    if isinstance(value, (xr.Dataset, xr.DataArray)) and (not isinstance(geobox, GeoBox) or geobox.crs is None):
        raise GeodesError(f"The cube in {name}= has no CRS, or no x and y: add a CRS with .rio.write_crs first.")
    if not isinstance(geobox, GeoBox):
        raise GeodesError(
            f"{name} is a GeoBox, or a Dataset or DataArray with x, y and a CRS, not {type(value).__name__}."
        )
    return geobox


def kernel(value: Any) -> str:
    """Check the name of a resampling, or rasterio's own member.

    Raises
    ------
    GeodesError
        If there is no such resampling.
    """
    # This import takes a tenth of a second, and a search does not need it. rasterio lists one more resampling, for
    # overviews alone.
    from rasterio.enums import Resampling
    from rasterio.warp import SUPPORTED_RESAMPLING

    name, ways = value.name if isinstance(value, Resampling) else value, [way.name for way in SUPPORTED_RESAMPLING]
    if not isinstance(name, str) or name not in ways:
        raise GeodesError(f"There is no resampling {name!r}{nearest(str(name), ways) or '.'}")
    return str(name)


def time(value: Any) -> Any:
    """Check a time as pystac-client does; numpy's times and dates work too, and an interval is two times."""
    import numpy as np

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
    """Convert a value, or several, to Python's own types: a scalar, an array or an index of numpy or pandas."""
    python_value = value.tolist() if hasattr(value, "tolist") else value
    if isinstance(python_value, (list, tuple)):
        return type(python_value)(plain(one) for one in python_value)
    return python_value


def _is_scalar(value: Any) -> bool:
    """Whether the value is an array without dimensions, of numpy or xarray."""
    return hasattr(value, "__array__") and getattr(value, "ndim", None) == 0


def _plain(value: Any) -> Any:
    """Convert a number of numpy or another library to Python's."""
    import numpy as np

    if isinstance(value, (bool, np.bool_)):
        return bool(value)
    if _is_scalar(value):
        value = np.asarray(value)[()]
    if isinstance(value, np.floating):
        return float(value)
    try:
        return operator.index(value)  # numpy's integers, and all other integers
    except TypeError:
        return value
