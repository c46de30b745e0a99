"""The estimator of coherence: how many independent looks a cell has, how far off its mean is, and how to undo that."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from geodes_lab.products.sentinel1.interferometry.tops import Band, Tops

Floats = NDArray[np.float64]
_GRID = 400  # values of the coherence in the table that undoes the bias
_FREQUENCIES = 1001


def looks(tops: Tops, samples: tuple[int, int]) -> float:
    """Return the effective number of independent looks in a cell.

    Neighbouring samples are correlated, since an image is sampled faster than its band is wide and its spectrum is
    weighted.

    Parameters
    ----------
    tops
        What the annotation says of the bands.
    samples
        Samples of a cell in range, and lines.
    """
    return _independent(tops.range_band, samples[0]) * _independent(tops.azimuth_band, samples[1])


def _independent(band: Band, count: int) -> float:
    frequency = np.linspace(-band.width / 2, band.width / 2, _FREQUENCIES)
    weight = band.weight + (1 - band.weight) * np.cos(2 * np.pi * frequency / band.width)
    lag = np.arange(count)
    spectrum = weight**2 / np.sum(weight**2)
    correlation = np.cos(2 * np.pi * lag[:, np.newaxis] * frequency / band.sampling) @ spectrum
    pairs = np.where(lag == 0, count, 2 * (count - lag))
    return float(count**2 / np.sum(pairs * correlation**2))


def moments(coherence: ArrayLike, independent: float) -> tuple[Floats, Floats]:
    """Return mean and standard deviation of the estimate, for true coherences and a number of independent looks.

    The squared estimate is a mixture of beta distributions, whose weights are those of a negative binomial
    distribution; its mean is that of Touzi et al. (1999), equation 5.

    References
    ----------
    Touzi, R., Lopes, A., Bruniquel, J., Vachon, P. W. (1999): Coherence estimation for SAR imagery. IEEE Transactions
    on Geoscience and Remote Sensing 37(1), 135–149. https://doi.org/10.1109/36.739146
    """
    true = np.clip(np.asarray(coherence, float), 0, 1 - 1e-9)
    mean, square = np.empty(true.shape), np.empty(true.shape)
    log_gamma = scipy.special.gammaln
    for place, value in np.ndenumerate(true):
        fail = 1 - value**2
        most = int(scipy.stats.nbinom.ppf(1 - 1e-12, independent, fail)) + 1
        k = np.unique(np.rint(np.linspace(0, most, min(most + 1, 20_000))))
        weight = scipy.stats.nbinom.pmf(k, independent, fail)
        weight /= weight.sum()
        of_root = log_gamma(k + 1.5) + log_gamma(independent + k) - log_gamma(k + 1) - log_gamma(independent + k + 0.5)
        mean[place] = (weight * np.exp(of_root)).sum()
        square[place] = (weight * (1 + k) / (independent + k)).sum()
    return mean, np.sqrt(np.maximum(square - mean**2, 0))


@lru_cache(maxsize=64)
def _table(independent: float) -> tuple[Floats, Floats]:
    # Dense near one, where the mean rises with the square.
    true = np.sin(np.linspace(0, np.pi / 2, _GRID))[:-1]
    return np.append(true, 1.0), np.append(moments(true, independent)[0], 1.0)


def unbiased(estimate: NDArray[np.float32], independent: float) -> NDArray[np.float32]:
    """Return the coherence whose mean estimate is the given one; 0 if it is less than that of no coherence.

    On the mean of many cells this removes the bias. One cell keeps its scatter, and where there is none at all the
    result is still more than 0 in half of the cells.
    """
    true, mean = _table(independent)
    return np.where(np.isnan(estimate), np.float32(np.nan), np.interp(estimate, mean, true)).astype(np.float32)
