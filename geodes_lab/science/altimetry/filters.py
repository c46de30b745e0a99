"""Filters along tracks: what is shorter than a wavelength is taken out, gaps are not bridged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geodes_lab import arguments
from geodes_lab.errors import GeodesError
from geodes_lab.science.altimetry import positions, quantities
from geodes_lab.science.altimetry.positions import Floats
from geodes_lab.util import limits

LOBES = 2
"""Lanczos: the half-width of the window, in cutoff wavelengths times a half."""
_WIDEST = 2**12  # records to each side


def smoothed(
    tracks: xr.Dataset,
    variable: str,
    cutoff: float,
    *,
    method: Literal["lanczos", "loess"] = "lanczos",
    degree: Literal[1, 2] = 2,
    most_gap: float | None = None,
    least: float = 0.5,
) -> xr.DataArray:
    """Filter a variable along tracks (low-pass).

    Parameters
    ----------
    tracks
        A Dataset of `geodes_lab.open_tracks`; each platform and each piece between gaps is filtered by itself.
    variable
        A variable along time; it is computed during this call.
    cutoff
        In metres. ``"lanczos"``: the wavelength at which half of the amplitude stays. ``"loess"``: the half-width of
        the window, in which the nearer records weigh more (tricube).
    method
        ``"lanczos"``: a sinc in a window of a sinc, two lobes to each side. ``"loess"``: local polynomials.
    degree
        Of loess's polynomials: 1 or 2.
    most_gap
        Seconds between neighbouring records at most; None: twice the usual step. A missing value is no gap: it is left
        out of the window, and gets a filtered value itself.
    least
        The least share of the window's weight that records must have; below it, as near a gap, the result is NaN.

    Returns
    -------
    xarray.DataArray
        The filtered variable (time) in the order of the tracks. The high-pass is the variable less it.

    Raises
    ------
    GeodesError
        If an argument is wrong, or the window has too many records.

    References
    ----------
    Duchon, C. E. (1979): Lanczos filtering in one and two dimensions. Journal of Applied Meteorology 18,
    https://doi.org/10.1175/1520-0450(1979)018<1016:LFIOAT>2.0.CO;2
    Cleveland, W. S. (1979): Robust locally weighted regression and smoothing scatterplots. Journal of the American
    Statistical Association 74, https://doi.org/10.1080/01621459.1979.10481038
    """
    values = quantities.one(tracks, variable)
    arguments.choice("method", method, ("lanczos", "loess"))
    if arguments.whole("degree", degree, "1 or 2") not in (1, 2):
        raise GeodesError(f"degree is 1 or 2, not {degree!r}.")
    width = arguments.number("cutoff", cutoff, "a length in metres, more than 0")
    share = arguments.number("least", least, "a share from 0 to 1")
    if width <= 0 or not 0 <= share <= 1:
        raise GeodesError(
            f"cutoff is a length in metres, more than 0, and least from 0 to 1, not {cutoff!r}, {least!r}."
        )
    ordered = positions.order(tracks)
    gap = 2 * positions.step(tracks) if most_gap is None else arguments.number("most_gap", most_gap, "seconds")
    piece = np.concatenate([[0], np.cumsum(positions.breaks(tracks, ordered, gap))])
    place, usual = _along(tracks, ordered, piece)
    data = values.values.astype(float)[ordered]
    half = width if method == "loess" else LOBES * width / 2
    reach = int(np.ceil(half / usual)) + 1
    limits.refuse("The window of the filter", reach, _WIDEST, "records to each side")
    result = np.full(len(data), np.nan)
    smooth = (
        _lanczos(data, place, piece, width, reach, usual, share)
        if method == "lanczos"
        else _loess(data, place, piece, width, reach, usual, share, degree)
    )
    result[ordered] = smooth
    attrs = {k: v for k, v in values.attrs.items() if k in ("units", "long_name", "standard_name")}
    how = f"{method}, cutoff {width:g} m" + (f", degree {degree}" if method == "loess" else "")
    return values.copy(data=result).drop_attrs().assign_attrs(**attrs, filter=how)


def response(wavelength: float | Floats, cutoff: float, step: float) -> Floats:
    """Return the share of the amplitude that Lanczos leaves of waves, on records at equal steps without gaps.

    Parameters
    ----------
    wavelength, cutoff, step
        In metres.
    """
    count = int(np.floor(LOBES * cutoff / 2 / step))
    offsets = np.arange(-count, count + 1) * step
    weights = _kernel(offsets, cutoff)
    waves = np.cos(2 * np.pi * offsets / np.asarray(wavelength, float)[..., None])
    return np.asarray((weights * waves).sum(axis=-1) / weights.sum())


def _kernel(offset: Any, cutoff: float) -> Floats:
    window = LOBES * cutoff / 2
    return np.where(np.abs(offset) < window, np.sinc(2 * offset / cutoff) * np.sinc(offset / window), 0.0)


def _along(tracks: xr.Dataset, ordered: NDArray[np.intp], piece: NDArray[np.intp]) -> tuple[Floats, float]:
    """Return the distance of each record along its track, and the usual step, in metres."""
    longitude, latitude = tracks.longitude.values[ordered], tracks.latitude.values[ordered]
    steps = positions.distance(longitude[:-1], latitude[:-1], longitude[1:], latitude[1:])
    inside = piece[1:] == piece[:-1]
    if not (steps[inside] > 0).any():
        raise GeodesError("These tracks have no two records without a gap: give a longer most_gap=.")
    return np.concatenate([[0], np.cumsum(steps)]), float(np.median(steps[inside & (steps > 0)]))


def _neighbours(
    data: Floats, place: Floats, piece: NDArray[np.intp], reach: int
) -> Iterator[tuple[NDArray[np.intp], Floats, Floats]]:
    """Give, for each offset, the records that have a neighbour there, its distance and its value."""
    count = len(data)
    for shift in range(-reach, reach + 1):
        here = np.arange(max(0, -shift), min(count, count - shift))
        there = here + shift
        same = (piece[here] == piece[there]) & np.isfinite(data[there])
        here, there = here[same], there[same]
        yield here, place[there] - place[here], data[there]


def _lanczos(
    data: Floats, place: Floats, piece: NDArray[np.intp], cutoff: float, reach: int, usual: float, least: float
) -> Floats:
    total, weight = np.zeros(len(data)), np.zeros(len(data))
    for here, offset, value in _neighbours(data, place, piece, reach):
        factor = _kernel(offset, cutoff)
        total[here] += factor * value
        weight[here] += factor
    whole = _kernel(np.arange(-reach, reach + 1) * usual, cutoff).sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(weight >= max(least, 1e-6) * whole, total / weight, np.nan)


def _loess(
    data: Floats,
    place: Floats,
    piece: NDArray[np.intp],
    half: float,
    reach: int,
    usual: float,
    least: float,
    degree: int,
) -> Floats:
    terms = degree + 1
    moments, sums = np.zeros((len(data), 2 * terms - 1)), np.zeros((len(data), terms))
    for here, offset, value in _neighbours(data, place, piece, reach):
        r = offset / half
        factor = np.clip(1 - np.abs(r) ** 3, 0, None) ** 3
        for power in range(2 * terms - 1):
            moments[here, power] += factor * r**power
            if power < terms:
                sums[here, power] += factor * r**power * value
    steps = np.arange(-reach, reach + 1) * usual / half
    whole = (np.clip(1 - np.abs(steps) ** 3, 0, None) ** 3).sum()
    index = np.arange(terms)
    matrices = moments[:, index[:, None] + index[None, :]]
    good = moments[:, 0] >= max(least, 1e-6) * whole
    good &= np.linalg.cond(np.where(good[:, None, None], matrices, np.eye(terms))) < 1e10
    result = np.full(len(data), np.nan)
    result[good] = np.linalg.solve(matrices[good], sums[good][..., None])[:, 0, 0]
    return result
