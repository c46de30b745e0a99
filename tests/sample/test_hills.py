"""The sample's radar images over hills, made of facets, against terrain flattening, which knows nothing of how they were made."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.products import bands
from geodes_lab.sample.sentinel1 import hills

GRID = GeoBox.from_bbox(
    (hills.CENTRE[0] - 2400, hills.CENTRE[1] - 2000, hills.CENTRE[0] + 2400, hills.CENTRE[1] + 2000),
    "EPSG:32631",
    resolution=20,
)
X, Y = np.meshgrid(GRID.coords["x"].values, GRID.coords["y"].values)


@pytest.fixture(scope="module")
def cube(sample):
    dem = sample / "datalake" / hills.Model().key
    paths = [next((sample / "datalake" / "sentinel1-grd").rglob(f"{p.name}.zip")) for p in hills.products()[:2]]
    bands = ["gamma0_vv_denoised", "gamma0_rtc_vv_denoised", "local_incidence_angle", "layover_shadow_mask"]
    means = dict.fromkeys(bands[:2], "average")
    return gl.open_cube(paths, bands=bands, geobox=GRID, dem=dem, resampling=means).compute(scheduler="sync")


@pytest.mark.parametrize("number", [0, 1])
def test_flattened_slopes_are_as_bright_as_the_truth(cube, number):
    truth = hills.gamma0(X, Y, "VV", hills.products()[number].is_wet)
    one = cube.isel(time=number)
    angle, clear = one.local_incidence_angle.values, one.layover_shadow_mask.values == 0
    assert 0.001 < (one.layover_shadow_mask == 2).mean() < 0.05
    for low, high in ((8, 20), (20, 32), (32, 44), (44, 56), (56, 64)):
        there = clear & (angle >= low) & (angle < high)
        flattened, plain = (
            10 * np.log10(np.mean((one[b].values / truth)[there]))
            for b in ("gamma0_rtc_vv_denoised", "gamma0_vv_denoised")
        )
        assert abs(flattened) < 0.25, (low, flattened)
        assert low in (32, 44) or abs(plain) > 0.8, (low, plain)


def test_the_model_has_the_heights_and_is_found(sample, on_disk):
    path = sample / "datalake" / hills.Model().key
    with rasterio.open(path) as file:
        assert file.crs.to_epsg() == 4326
        assert file.read(1).min() > 100
    item = gl.search("COP_DEM_GLO_30")[0]
    (band,) = products.unpack(item).assets
    name = bands.plain(band)
    found = gl.open_cube(item, bands=[name], geobox=GRID, resampling="bilinear")[name].isel(time=0)
    above = hills.height(X, Y) - found.compute(scheduler="sync").values
    assert 48 < above.min() < above.max() < 52, "the geoid"
