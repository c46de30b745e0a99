"""The variables of an interferogram: lazy arrays, whose chunks are computed on workers."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geodes_lab.cube.chunks import Sizes
from geodes_lab.products.sentinel1.flattening.facets import UNKNOWN
from geodes_lab.products.sentinel1.interferometry import estimator, mapped, visibility
from geodes_lab.products.sentinel1.interferometry.burst_pair import BurstPair

_LAYERS = {
    "los_east": ("direction from the ground to the satellite, its part to the east", "1"),
    "los_north": ("direction from the ground to the satellite, its part to the north", "1"),
    "los_up": ("direction from the ground to the satellite, its part upward", "1"),
    "perpendicular_baseline": ("perpendicular baseline, positive if the secondary is on the upper, outer side", "m"),
}


_MASK = {
    "long_name": "layover and shadow, as the primary sees the terrain",
    "flag_values": np.array([0, 1, 2, 3], np.uint8),
    "flag_meanings": "clear shadow layover layover_and_shadow",
    "nodata": UNKNOWN,
}


def variables(
    pairs: tuple[BurstPair, ...], grid: GeoBox, sizes: Sizes, independent: float | None
) -> dict[str, xr.DataArray]:
    """Return the variables of pairs of bursts on a grid.

    Parameters
    ----------
    pairs
        The bursts.
    grid, sizes
        The grid, and the sizes of its chunks in y and x.
    independent
        The effective looks of a cell, if the bias of the coherence is to be removed; else None.
    """
    whole = da.map_blocks(
        _chunk, pairs=pairs, grid=_plain(grid), chunks=sizes, dtype=np.complex64, meta=np.empty((0, 0), np.complex64)
    )
    magnitude = da.absolute(whole)
    if independent is not None:
        magnitude = da.map_blocks(estimator.unbiased, magnitude, independent, dtype=np.float32)
    layers = da.map_blocks(
        _geometry, pair=pairs[0], grid=_plain(grid), chunks=((len(_LAYERS),), *sizes), dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
    )  # fmt: skip
    common = {"grid_mapping": "spatial_ref"}
    wavelength = pairs[0].primary.described.tops.wavelength
    found: dict[str, tuple[da.Array, dict[str, Any]]] = {
        "coherence": (magnitude, {"long_name": "magnitude of the complex coherence", "units": "1"}),
        "phase": (
            da.angle(whole),
            {
                "long_name": "interferometric phase without that of orbits and terrain",
                "comment": "It is more where the ground is farther away from the satellite in the secondary.",
                "units": "radian",
                "metres_per_radian": wavelength / (4 * np.pi),
            },
        ),
        "interferogram": (whole, {"long_name": "estimate of the complex coherence, biased", "units": "1"}),
    }
    found |= {n: (layers[i], {"long_name": text, "units": unit}) for i, (n, (text, unit)) in enumerate(_LAYERS.items())}
    if all(p.relief is not None for p in pairs):
        masked = da.map_blocks(
            _mask, pairs=pairs, grid=_plain(grid), chunks=sizes, dtype=np.uint8, meta=np.empty((0, 0), np.uint8)
        )
        found["layover_shadow_mask"] = masked, _MASK
    return {name: xr.DataArray(v, dims=("y", "x"), attrs=about | common) for name, (v, about) in found.items()}


_Plain = tuple[tuple[int, int], tuple[float, ...], str]


def _plain(grid: GeoBox) -> _Plain:
    """Return a grid in a form whose hash is the same in all processes."""
    return (grid.shape[0], grid.shape[1]), tuple(grid.affine)[:6], str(grid.crs)


def _part(grid: _Plain, block_info: Any) -> GeoBox:
    shape, affine, crs = grid
    (top, bottom), (left, right) = block_info[None]["array-location"][-2:]
    return GeoBox(shape, Affine(*affine), crs)[top:bottom, left:right]


def _chunk(pairs: tuple[BurstPair, ...], grid: _Plain, block_info: Any = None) -> NDArray[np.complex64]:
    return mapped.on_grid(pairs, _part(grid, block_info))


def _geometry(pair: BurstPair, grid: _Plain, block_info: Any = None) -> NDArray[np.float32]:
    return mapped.geometry_on(pair, _part(grid, block_info))


def _mask(pairs: tuple[BurstPair, ...], grid: _Plain, block_info: Any = None) -> NDArray[np.uint8]:
    return visibility.mask_on(pairs, _part(grid, block_info))
