"""Plots: what they show and what they refuse; that they render is seen in test_kernel and test_browser."""

from __future__ import annotations

import holoviews as hv
import numpy as np
import pytest
import xarray as xr

import geodes_lab as gl


def data(times: int = 2, rows: int = 30, cols: int = 40) -> xr.DataArray:
    values = np.arange(times * rows * cols, dtype="float32").reshape(times, rows, cols)
    coords = {
        "time": np.datetime64("2021-06-01", "ns") + np.arange(times) * np.timedelta64(30, "D"),
        "y": 4_800_000 - 10.0 * np.arange(rows),
        "x": 300_000 + 10.0 * np.arange(cols),
    }
    return xr.DataArray(values, dims=("time", "y", "x"), coords=coords, name="ndvi", attrs={"long_name": "NDVI"})


@pytest.mark.parametrize("order", [[0, 1, 2], [1, 0, 2], [2, 1, 0]])
@pytest.mark.parametrize("south_up", [False, True])
def test_each_time_shows_its_own_frame_the_right_way_up(order, south_up):
    cube = data(times=3).isel(time=order)
    shown = gl.plot.image(cube.isel(y=slice(None, None, -1)) if south_up else cube)
    for time in cube.time.values:
        image = shown[time]
        assert image.bounds.lbrt() == (299_995.0, 4_799_705.0, 300_395.0, 4_800_005.0)
        # A pixel of the picture is the one of the cube that lies there.
        for x, y in ((300_000, 4_800_000), (300_390, 4_799_710), (300_200, 4_799_900)):
            want = float(cube.sel(time=time, x=x, y=y))
            assert image[x, y] == pytest.approx(want, abs=45), "within a pixel of the screen"


def test_order_of_the_dimensions_does_not_matter():
    shown = gl.plot.image(data(times=1).isel(time=0).transpose("x", "y"))[()]
    assert shown[300_390, 4_800_000] == pytest.approx(39, abs=45)


def test_only_the_frame_on_the_screen_is_computed():
    import dask.array as da

    computed = []

    def note(block, block_info=None):
        computed.append(block_info[0]["chunk-location"][0])
        return block

    cube = data(times=3)
    lazy = da.map_blocks(
        note, da.from_array(cube.values, chunks=(1, 30, 40)), dtype="float32", meta=np.empty((0, 0, 0), "f4")
    )
    shown = gl.plot.image(cube.copy(data=lazy), clim=(0, 1))
    assert computed == []
    shown[cube.time.values[1]]
    assert set(computed) == {1}


def test_composes_as_any_holoviews_object_does():
    assert isinstance(gl.plot.image(data()) + gl.plot.image(data(times=1).isel(time=0)), hv.Layout)


def test_refuses_what_is_no_map_and_what_is_empty():
    with pytest.raises(gl.GeodesError, match="select one value of the others first"):
        gl.plot.image(data().rename(time="band"))
    with pytest.raises(gl.GeodesError, match="has no data: give clim"):
        gl.plot.image(data() * np.nan)
    with pytest.raises(gl.GeodesError, match="a DataArray such as"):
        gl.plot.image(data().to_dataset())
    assert gl.plot.image(data() > 100)[data().time.values[0]] is not None
