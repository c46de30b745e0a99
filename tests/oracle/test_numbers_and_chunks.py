"""A number of a cube is GDAL's at full resolution, however the cube is cut into chunks and however far its grid reaches."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from drawn import CHOOSING, KERNELS, Raster, by_gdal, grids, on_edge, rasters
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox

import geodes_lab as gl

SECONDS, MINUTES = 40, 600  # examples
QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}
NEAR = {
    "EPSG:32631": ("EPSG:2154", "EPSG:3857", "EPSG:4326", "EPSG:32632", "EPSG:3035"),
    "EPSG:2154": ("EPSG:32631", "EPSG:4326"),
}


def cube(raster: Raster, grid: GeoBox, kernel: str, chunks: int | None, folder: Path) -> Any:
    found = gl.open_cube([raster.item(folder / "r.tif")], bands=["b"], geobox=grid, resampling=kernel, chunks=chunks)
    values = found.b.values[0]
    is_hole = (
        values == raster.nodata if values.dtype.kind in "iu" else np.isnan(values)
    )  # integers stay integers where none is made
    return np.where(is_hole, np.nan, values.astype(float))


def same_crs(data: st.DataObject) -> None:
    raster = data.draw(rasters())
    grid = data.draw(grids(raster))
    kernel, chunks = data.draw(st.sampled_from(KERNELS)), data.draw(st.sampled_from([None, 11, 16, 50]))
    want = by_gdal(raster, grid, kernel)
    with tempfile.TemporaryDirectory() as folder:
        try:
            got = cube(raster, grid, kernel, chunks, Path(folder))
        except gl.GeodesError:  # it lies outside every product
            got = np.full(grid.shape, np.nan)
    edge = on_edge(raster, grid)
    got[edge] = want[edge] = np.nan
    close(raster, kernel, got, want)


def close(raster: Raster, kernel: str, got: Any, want: Any) -> None:
    """Means are the same number; of what chooses a pixel GDAL takes another where its rounding of an edge is another."""
    unlike = np.isnan(got) != np.isnan(want)
    with np.errstate(invalid="ignore"):
        unlike |= np.abs(got - want) > (1e-4 if kernel in CHOOSING else 2e-3) * raster.span
    # Of numbers that are all as frequent rounding tells which is the most frequent.
    few = {
        **dict.fromkeys(CHOOSING, 0.05 * got.size + 2 * sum(got.shape)),
        "lanczos": 0.01 * got.size,
        "mode": got.size,
    }
    if kernel in ("average", "rms"):  # where edges of both coincide, a sliver counts as data, or does not
        assert (np.isnan(got) != np.isnan(want)).sum() <= sum(got.shape)
        unlike &= ~(np.isnan(got) | np.isnan(want))
    assert unlike.sum() <= few.get(kernel, 0)


def other_crs(data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(sorted(NEAR)))
    raster = data.draw(rasters(source))
    grid = data.draw(grids(raster, data.draw(st.sampled_from(NEAR[source]))))
    kernel = data.draw(st.sampled_from(KERNELS))
    sizes = data.draw(st.lists(st.sampled_from([None, 13, 32, 41]), min_size=2, max_size=2, unique=True))
    with tempfile.TemporaryDirectory() as folder:
        try:
            one, other = (cube(raster, grid, kernel, size, Path(folder)) for size in sizes)
        except gl.GeodesError:  # it lies outside every product
            one = other = np.full(grid.shape, np.nan)
    # Between pixels of no data a weight of Lanczos may be nothing but rounding.
    assert (np.isnan(one) != np.isnan(other)).sum() <= {"lanczos": 0.01 * one.size, "average": 8, "rms": 8}.get(
        kernel, 0
    )
    if kernel in CHOOSING:
        np.testing.assert_array_equal(one, other)
    else:
        assert np.nanmax(np.abs(one - other), initial=0) <= 1e-3 * raster.span
    close(raster, kernel, one, by_gdal(raster, grid, kernel))


@given(st.data())
@settings(max_examples=SECONDS, **QUIET)
def test_numbers_are_gdals_in_the_bands_own_crs(data):
    same_crs(data)


@given(st.data())
@settings(max_examples=SECONDS // 2, **QUIET)
def test_numbers_are_gdals_in_another_crs(data):
    other_crs(data)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(st.data())
@settings(max_examples=MINUTES, **QUIET)
def test_numbers_are_gdals_in_the_bands_own_crs_for_minutes(data):
    same_crs(data)


@pytest.mark.slow
@pytest.mark.timeout(3600)
@given(st.data())
@settings(max_examples=MINUTES // 2, **QUIET)
def test_numbers_are_gdals_in_another_crs_for_minutes(data):
    other_crs(data)
