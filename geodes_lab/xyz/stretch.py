"""From numbers to brightness: a range for each band, from statistics or fixed, and gamma."""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geodes_lab.errors import GeodesError

Range = tuple[float, float]
"""The numbers that are drawn darkest and brightest."""
GAMMA = (0.1, 10.0)
"""The limits of gamma."""
_PERCENT = (2, 98)
_KEPT = 2048


def parsed(texts: Sequence[str]) -> list[Range] | None:
    """Return the ranges of a request, such as ``0,0.3``, for all bands or for each; None: from statistics.

    Raises
    ------
    GeodesError
        If one is not two numbers, the first less.
    """
    if not texts or list(texts) == ["auto"]:
        return None
    ranges = []
    for text in texts:
        try:
            low, high = (float(part) for part in text.split(","))
        except ValueError:
            low = high = math.nan
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise GeodesError(f"rescale is LOWEST,HIGHEST, such as 0,0.3, or auto, not {text[:40]!r}.")
        ranges.append((low, high))
    return ranges


def ranges(told: Any) -> list[Range] | None:
    """Return the ranges that a person gives: a pair of numbers, or three pairs; None: from statistics.

    Raises
    ------
    GeodesError
        If they are something else.
    """
    if told is None:
        return None
    try:
        pairs = [told] if not hasattr(told[0], "__len__") else list(told)
        checked = [(float(low), float(high)) for low, high in pairs]
    except (TypeError, ValueError, IndexError):
        checked = []
    if len(checked) not in (1, 3) or not all(low < high for low, high in checked):
        raise GeodesError(
            f"range is the lowest and the highest number, such as (0, 0.3), or three pairs, not {told!r}."
        )
    return checked


def from_statistics(values: np.ma.MaskedArray[Any, Any]) -> list[Range]:
    """Return the range of each band: between two percentiles of what is data."""
    ranges = []
    for band in values:
        data = band.compressed().astype(np.float64)
        data = data[np.isfinite(data)]
        low, high = np.percentile(data, _PERCENT).tolist() if data.size else (0.0, 1.0)
        ranges.append((low, high) if high > low else (low - 0.5, low + 0.5))
    return ranges


def remembered(key: Hashable, values: Callable[[], np.ma.MaskedArray[Any, Any]]) -> list[Range]:
    """Return the ranges of a layer, computed once."""
    with _lock:
        known = _ranges.get(key)
    if known is None:
        known = from_statistics(values())
        with _lock:
            _ranges[key] = known
            while len(_ranges) > _KEPT:
                _ranges.popitem(last=False)
    return known


def checked(gamma: float) -> float:
    """Return gamma, if it is within its limits.

    Raises
    ------
    GeodesError
        If it is not.
    """
    if not GAMMA[0] <= gamma <= GAMMA[1]:
        raise GeodesError(f"gamma must be from {GAMMA[0]:g} to {GAMMA[1]:g}.")
    return gamma


def bytes_of(values: np.ma.MaskedArray[Any, Any], ranges: Sequence[Range], gamma: float = 1.0) -> NDArray[np.uint8]:
    """Return brightness from 0 to 255.

    Parameters
    ----------
    values
        (band, y, x).
    ranges
        One for all bands, or one for each.
    gamma
        More than 1 makes dark pixels brighter.

    Raises
    ------
    GeodesError
        If there are neither one nor as many ranges as bands.
    """
    if len(ranges) not in (1, len(values)):
        raise GeodesError(f"rescale is given {len(ranges)} times for {len(values)} bands: give it once, or for each.")
    out = np.empty(values.shape, np.uint8)
    for number, band in enumerate(values.data):
        low, high = ranges[number % len(ranges)]
        scaled = np.subtract(band, low, dtype=np.float32)
        scaled *= np.float32(1 / (high - low))
        np.clip(scaled, 0, 1, out=scaled)
        if gamma != 1.0:
            np.power(scaled, 1 / gamma, out=scaled)
        scaled *= 255
        np.rint(scaled, out=scaled)
        out[number] = np.nan_to_num(scaled)
    return out


_ranges: OrderedDict[Hashable, list[Range]] = OrderedDict()
_lock = threading.Lock()
