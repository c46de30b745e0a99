"""Looks: means of neighbouring pixels, and how many independent looks an image has."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
import xarray as xr
from odc.geo.xr import xr_coords

from geodes_lab import arguments
from geodes_lab.errors import GeodesError
from geodes_lab.science.radar import windows

Cube = TypeVar("Cube", xr.Dataset, xr.DataArray)
_LEAST = 1000  # windows, for a distribution that has a peak
_BINS = 200


def multilook(cube: Cube, y: int = 2, x: int | None = None) -> Cube:
    """Average blocks of pixels: more looks, larger pixels.

    Parameters
    ----------
    cube
        A cube of `geodes_lab.open_cube`, or a variable of one, in linear power; its last dims are y and x. Lazy or not.
    y, x
        Pixels of a block; None: as many in x as in y. Blocks begin at the cube's first pixel; what does not fill a
        block at the end is left out.

    Returns
    -------
    xarray.Dataset or xarray.DataArray
        The mean of the pixels that have data of each variable of backscatter; other variables are left out. ``x`` and
        ``y`` are the centres of the blocks. ``attrs["multilook"]`` says what was done. Nothing is computed now.

    Raises
    ------
    GeodesError
        If it is not linear power, or a block is larger than the cube.

    Notes
    -----
    Neighbouring pixels of a ground range image are not independent, so that 2 × 2 pixels have less than four times as
    many looks: `equivalent_looks` measures how many.

    Examples
    --------
    >>> import geodes_lab as gl
    >>> coarse = gl.multilook(cube, 3)  # doctest: +SKIP
    >>> gl.equivalent_looks(coarse)     # doctest: +SKIP
    """
    down = arguments.whole("y", y, "a number of pixels, at least 1", 1)
    across = down if x is None else arguments.whole("x", x, "a number of pixels, at least 1", 1)
    several = windows.powers("gl.multilook", cube)
    first = next(iter(several.values()))
    if down > first.sizes["y"] or across > first.sizes["x"]:
        raise GeodesError(
            f"A block of {down} × {across} pixels is larger than the cube ({first.sizes['y']} × {first.sizes['x']})."
        )
    coarse = {
        name: data.coarsen(y=down, x=across, boundary="trim").mean().assign_attrs(
            data.attrs, multilook=f"means of {down} × {across} pixels"
        )
        for name, data in several.items()
    }  # fmt: skip
    result = xr.Dataset(coarse, attrs=cube.attrs if isinstance(cube, xr.Dataset) else {})
    if "spatial_ref" in first.coords:
        grid = arguments.grid("cube", first.to_dataset(name="band"))
        whole = grid[: grid.shape[0] // down * down, : grid.shape[1] // across * across]
        larger = whole.zoom_to((whole.shape[0] // down, whole.shape[1] // across))
        result = result.assign_coords(xr_coords(larger, dims=("y", "x")))
    if isinstance(cube, xr.DataArray):
        return result[next(iter(coarse))].rename(cube.name)
    return result


def equivalent_looks(cube: xr.Dataset | xr.DataArray, *, window: int = 9) -> xr.Dataset | float:
    """Estimate the equivalent number of looks of backscatter, from the image itself.

    In each window it is the squared mean divided by the variance: less where the ground varies too. The estimate is the
    most frequent value of all windows, those of even ground.

    Parameters
    ----------
    cube
        A cube of `geodes_lab.open_cube`, or a variable of one, in linear power; its last dims are y and x. Its pixels
        are read and computed now.
    window
        Pixels of a window in y and x, odd. Larger ones are more precise where the ground is even in them.

    Returns
    -------
    float or xarray.Dataset
        The number of looks of a variable; of a Dataset, one for each variable of backscatter.

    Raises
    ------
    GeodesError
        If it is not linear power, or has too few pixels.

    References
    ----------
    Anfinsen, S. N., Doulgeris, A. P., Eltoft, T. (2009): Estimation of the equivalent number of looks in polarimetric
    synthetic aperture radar imagery. IEEE Transactions on Geoscience and Remote Sensing 47(11), 3795–3809.
    https://doi.org/10.1109/TGRS.2009.2019269
    """
    side = windows.side("window", window)
    several = windows.powers("gl.equivalent_looks", cube)
    found = {name: _looks(name, data, side) for name, data in several.items()}
    return next(iter(found.values())) if isinstance(cube, xr.DataArray) else xr.Dataset(found)


def _looks(name: str, data: xr.DataArray, side: int) -> float:
    images = data.values.reshape(-1, *data.shape[-2:])
    found = []
    for image in images:
        rows, cols = (n // side * side for n in image.shape)
        blocks = image[:rows, :cols].reshape(rows // side, side, cols // side, side).swapaxes(1, 2).reshape(-1, side**2)
        blocks = blocks[np.isfinite(blocks).all(axis=1)].astype(np.float64)
        variance = blocks.var(axis=1, ddof=1)
        found.append(np.square(blocks.mean(axis=1))[variance > 0] / variance[variance > 0])
    looks = np.concatenate(found)
    if looks.size < _LEAST:
        raise GeodesError(
            f"{name} has {looks.size} windows of {side} × {side} pixels with data, too few to see how many looks it "
            f"has (at least {_LEAST}): give a larger cube or a smaller window=."
        )
    # The peak of a smooth histogram of the logarithm, in which windows of even ground are symmetric.
    value = np.log(looks)
    count, edges = np.histogram(value, _BINS, range=tuple(np.quantile(value, [0.001, 0.999])))
    width = max(1.06 * np.subtract(*np.quantile(value, [0.75, 0.25])) / 1.35 * looks.size**-0.2 / np.diff(edges)[0], 1)
    kernel = np.exp(-0.5 * (np.arange(-3 * int(width) - 3, 3 * int(width) + 4) / width) ** 2)
    smooth = np.convolve(count, kernel, "same")
    peak = int(np.argmax(smooth))
    return float(np.exp((edges[peak] + edges[peak + 1]) / 2))
