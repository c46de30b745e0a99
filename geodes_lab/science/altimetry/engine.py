"""Optimal interpolation's numbers: by pyinterp (CNES) where it is installed, else by numpy and scipy.

pyinterp has packages for Python 3.12 and later. Both do the same: the best linear unbiased estimate about a zero mean
from the nearest observations, in metres on the ellipsoid and in time; the tests compare them.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib.util import find_spec

import numpy as np

from geodes_lab import extras
from geodes_lab.errors import GeodesError
from geodes_lab.science.altimetry.positions import Floats, cartesian

ENGINES = ("auto", "pyinterp", "numpy")
COVARIANCES = ("gaussian", "matern_12", "matern_32", "matern_52", "cauchy")
_AT_ONCE = 2**21  # numbers of the covariance matrices that are solved at once: 16 MiB


@dataclass(frozen=True)
class Model:
    """The statistics of a field, as one knows them before."""

    covariance: str
    """One of `COVARIANCES`, of the distance by the length: ``gaussian`` is exp(−r²)."""
    length: float
    """Metres."""
    time: float
    """Seconds."""
    sigma: float
    """The standard deviation of the field."""
    neighbours: int
    """The number of observations used for each place."""


def correlation(squared: Floats, covariance: str) -> Floats:
    """Return correlations, from squares of distances by the length."""
    if covariance == "gaussian":
        return np.exp(-squared)
    if covariance == "cauchy":
        return 1 / (1 + squared)
    r = np.sqrt(squared)
    if covariance == "matern_12":
        return np.exp(-r)
    if covariance == "matern_32":
        return (1 + np.sqrt(3) * r) * np.exp(-np.sqrt(3) * r)
    return (1 + np.sqrt(5) * r + 5 / 3 * squared) * np.exp(-np.sqrt(5) * r)


def chosen(engine: str) -> str:
    """Return the engine to use.

    Raises
    ------
    GeodesError
        If pyinterp is wanted and not there.
    """
    there = find_spec("pyinterp") is not None
    if engine == "pyinterp" and not there:
        raise GeodesError(
            "pyinterp is not installed: use Python 3.12 or later with pip install 'geodes-lab[altimetry]', or "
            "engine='numpy', which gives the same numbers more slowly."
        )
    return "pyinterp" if there and engine != "numpy" else "numpy"


def interpolate(
    places: Floats, values: Floats, noise: Floats, wanted: Floats, model: Model, engine: str
) -> tuple[Floats, Floats]:
    """Estimate a field about a zero mean.

    Parameters
    ----------
    places
        (n, 3): longitude, latitude in degrees and seconds of the observations.
    values, noise
        (n,): the observations less the background, and their errors' standard deviation, more than 0.
    wanted
        (m, 3): where and when.
    model
        The field's statistics.
    engine
        From `chosen`.

    Returns
    -------
    values, errors
        (m,): the estimate, and its formal standard deviation.
    """
    begin = places[0, 2] if len(places) else 0.0  # large numbers of seconds would lose digits
    places, wanted = places - [0, 0, begin], wanted - [0, 0, begin]
    if engine == "pyinterp":
        return _by_pyinterp(places, values, noise, wanted, model)
    return _by_numpy(places, values, noise, wanted, model)


def _by_pyinterp(places: Floats, values: Floats, noise: Floats, wanted: Floats, model: Model) -> tuple[Floats, Floats]:
    from pyinterp import OptimalInterpolation

    # Time becomes metres, so that the nearest observations are the most correlated ones.
    tree = OptimalInterpolation(
        places,
        values,
        noise**2,
        covariance=model.covariance,
        coordinate_system="geographic",
        time_scale=model.length / model.time,
    )
    result = tree(
        wanted,
        l_spatial=model.length,
        lt=model.time,
        sigma=model.sigma,
        k=min(model.neighbours, len(values)),
        num_threads=1,
    )
    return np.asarray(result.value, float), np.asarray(result.error, float)


def _by_numpy(places: Floats, values: Floats, noise: Floats, wanted: Floats, model: Model) -> tuple[Floats, Floats]:
    from scipy.spatial import cKDTree

    with extras.needed("Optimal interpolation by numpy"):
        from threadpoolctl import threadpool_limits

    known, asked = (_scaled(p, model) for p in (places, wanted))
    count = min(model.neighbours, len(values))
    tree = cKDTree(known)
    estimate, error = np.empty(len(asked)), np.empty(len(asked))
    block = max(1, _AT_ONCE // (count * count))
    variance = model.sigma**2
    for start in range(0, len(asked), block):
        part = slice(start, start + block)
        _, near = tree.query(asked[part], k=[*range(1, count + 1)])
        there = known[near]
        # One axis after the other: all four at once would need four times the memory.
        squared = np.zeros((len(there), count, count))
        for axis in range(there.shape[-1]):
            squared += (there[:, :, None, axis] - there[:, None, :, axis]) ** 2
        among = correlation(squared, model.covariance) * variance
        index = np.arange(count)
        among[:, index, index] += noise[near] ** 2
        across = correlation(((there - asked[part][:, None, :]) ** 2).sum(axis=-1), model.covariance) * variance
        with threadpool_limits(1, "blas"):  # threads for systems as small as these only wait for each other
            weights = np.linalg.solve(among, across[..., None])[..., 0]
        estimate[part] = (weights * values[near]).sum(axis=1)
        error[part] = np.sqrt(np.maximum(variance - (weights * across).sum(axis=1), 0))
    return estimate, error


def _scaled(places: Floats, model: Model) -> Floats:
    """Return places in lengths and times of correlation, (n, 4)."""
    return np.column_stack([cartesian(places[:, 0], places[:, 1]) / model.length, places[:, 2] / model.time])
