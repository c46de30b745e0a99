"""Plots: what they show and what they refuse; that they render is seen in test_kernel and test_browser."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import dask
import numpy as np
import pytest
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr
from pyproj import Transformer

import geodes_lab as gl
from geodes_lab.plot import rasterizing
from geodes_lab.plot.image import colours
from geodes_lab.util import coastlines


def data(times: int = 2, rows: int = 30, cols: int = 40) -> xr.DataArray:
    values = np.arange(times * rows * cols, dtype="float32").reshape(times, rows, cols)
    coords = {
        "time": np.datetime64("2021-06-01", "ns") + np.arange(times) * np.timedelta64(30, "D"),
        "y": 4_800_000 - 10.0 * np.arange(rows),
        "x": 300_000 + 10.0 * np.arange(cols),
    }
    return xr.DataArray(values, dims=("time", "y", "x"), coords=coords, name="ndvi", attrs={"long_name": "NDVI"})


@pytest.mark.thorough
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
    import holoviews as hv

    assert isinstance(gl.plot.image(data()) + gl.plot.image(data(times=1).isel(time=0)), hv.Layout)


@pytest.mark.thorough
def test_refuses_what_is_no_map_and_what_is_empty():
    with pytest.raises(gl.GeodesError, match="select one value of the others first"):
        gl.plot.image(data().rename(time="band"))
    with pytest.raises(gl.GeodesError, match="has no data: give clim"):
        gl.plot.image(data() * np.nan)
    with pytest.raises(gl.GeodesError, match="a DataArray such as"):
        gl.plot.image(data().to_dataset())
    assert gl.plot.image(data() > 100)[data().time.values[0]] is not None


def bands(times: int = 2, **made: xr.DataArray) -> xr.Dataset:
    one = data(times)
    return xr.Dataset({"red": one, "green": one * 2, "blue": -one} | made)


def test_large_map_is_computed_where_and_as_far_as_it_is_seen(monkeypatch):
    import holoviews as hv

    from geodes_lab.plot import frames

    cube = data(times=1, rows=300, cols=400).to_dataset()
    seen = frames.Frames(cube, "gl.plot.image", most=10_000)
    assert seen.is_large
    whole = seen.show().ndvi
    assert whole.shape == (75, 100)
    np.testing.assert_array_equal(whole, cube.ndvi[0, ::4, ::4])
    near = seen.show(None, (300_995, 301_995), (4_798_005, 4_799_005)).ndvi
    assert near.shape == (100, 100), "every pixel of the window"
    np.testing.assert_array_equal(near, cube.ndvi[0, 100:200, 100:200])
    assert seen.show(None, (0, 1), (0, 1)).ndvi.shape == (75, 100), "beside the map: all of it"
    monkeypatch.setattr(sys.modules["geodes_lab.plot.rgb"], "_MOST", 10_000)
    shown = gl.plot.rgb(bands(2))
    assert shown[cube.time.values[0]] is not None
    assert hv.render(
        gl.plot.rgb(bands(times=1, red=data(1, 300, 400), green=data(1, 300, 400), blue=data(1, 300, 400)))
    )


def test_rgb_is_stretched_by_percentiles_and_gamma():
    import holoviews as hv

    cube = bands(times=1).isel(time=0)
    shown = gl.plot.rgb(cube, percentiles=(0, 100), width=40)[()]
    assert isinstance(shown, hv.RGB)
    # The first pixel is the lowest of red and green, and the highest of blue.
    first = [shown.dimension_values(v, flat=False)[-1, 0] for v in shown.vdims]
    assert first == [0, 0, 255, 255]
    plain, bright = (
        gl.plot.rgb(cube, limits=(0, 2400), gamma=g, width=40)[()].dimension_values(2).mean() for g in (1, 2)
    )
    assert bright > plain * 1.2
    holes = cube.assign(red=cube.red.where(cube.x > 300_200))
    shown = gl.plot.rgb(holes, width=40)[()]
    alpha = shown.dimension_values("A", flat=False)
    assert (alpha[:, :20] == 0).all()
    assert (alpha[:, 21:] == 255).all()


def test_compare_wipes_one_map_over_the_other():
    import holoviews as hv

    left, right = data(times=1).isel(time=0) * 0 + 1, data(times=1).isel(time=0) * 0 + 2
    shown = gl.plot.compare(left, right, clim=(0, 2), width=40)
    for swipe, share in ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0)):
        values = shown[swipe].get(0).dimension_values("value")
        assert (values == 1).mean() == pytest.approx(share, abs=0.03)
    pictures = gl.plot.compare(bands().isel(time=0), bands().isel(time=1))
    assert isinstance(pictures[0.3].get(0), hv.RGB)
    named = gl.plot.compare(*data(), clim=(0, 1))[0.5].get(0)
    assert hv.Store.lookup_options("bokeh", named, "plot").kwargs["title"] == "2021-06-01 | 2021-07-01"


@pytest.mark.thorough
def test_film_has_a_frame_for_each_time_and_a_player():
    import holoviews as hv

    film = gl.plot.animate(data(times=3, cols=400), width=100)
    assert len(film) == 3
    first = film.last
    assert first.dimension_values("ndvi", flat=False).shape == (8, 100), "thinned to the screen"
    assert "2021-07-31" in str(first.opts.get("plot").kwargs["title"])
    assert isinstance(gl.plot.animate(bands()).last, hv.RGB)
    page = film._repr_mimebundle_()[0]["text/html"]
    assert "Player" in page or "player" in page


def test_series_is_one_line_or_several_and_leaves_out_no_data():
    import holoviews as hv

    cube = data(times=3)
    line = cube.mean(["y", "x"]).where(lambda v: v.time != v.time[1])
    curve, points = gl.plot.series(line)
    np.testing.assert_allclose(curve.dimension_values("ndvi"), line.values[[0, 2]])
    assert len(points) == 2
    several = gl.plot.series(cube[:, :4, 0].rename(y="field").drop_vars("field"))
    assert [len(overlay) for overlay in several] == [4, 4]
    both = gl.plot.series(xr.Dataset({"vv": cube[:, 0, 0], "vh": cube[:, 0, 0] * 2}))
    assert list(both.get(0).keys()) == ["vv", "vh"]
    many = xr.DataArray(
        np.sin(np.arange(50_000)),
        dims="time",
        coords={"time": np.arange(50_000).astype("M8[s]").astype("M8[ns]")},
        name="v",
    )
    assert isinstance(gl.plot.series(many), hv.DynamicMap | hv.Overlay)


def track(records: int) -> xr.Dataset:
    along = np.linspace(0, 1, records)
    coords = {
        "time": np.datetime64("2021-06-07", "ns") + (along * 1e9).astype("m8[ns]"),
        "longitude": ("time", 1 + along),
        "latitude": ("time", 43 + 2 * along),
    }
    return xr.Dataset({"height": ("time", along * 100, {"units": "m"})}, coords=coords)


@pytest.mark.parametrize("records", [50, 30_000])
def test_tracks_are_points_on_the_ground(records):
    import holoviews as hv

    shown = gl.plot.tracks(track(records), "height")
    assert isinstance(shown, hv.Overlay | hv.DynamicMap)
    if records == 50:
        points = shown.get(1)
        assert points.range("longitude") == (1, 2)
        assert points.range("latitude") == (43, 45)
        assert points.dimension_values("height").max() == 100


def test_tiles_are_drawn_where_the_settings_name_some_and_asked_for_nowhere_else():
    import dask
    import holoviews as hv

    assert not any(isinstance(e, hv.Tiles) for e in gl.plot.tracks(track(5), "height"))
    with dask.config.set({"geodes_lab.plot.basemap": "http://127.0.0.1/{Z}/{X}/{Y}.png"}):
        shown = gl.plot.tracks(track(5), "height")
        assert isinstance(shown.get(0), hv.Tiles)
        assert shown.get(1).range("longitude")[0] == pytest.approx(111_319, abs=1), "metres of Mercator"
        with pytest.raises(gl.GeodesError, match="open the cube with crs='EPSG:3857'"):
            gl.plot.image(data(), basemap=True)
    assert gl.plot.image(data(), basemap=True)[data().time.values[0]] is not None, (
        "no tiles are set: none are asked for"
    )


def test_footprints_are_those_of_the_items(on_disk):
    items = gl.search("PEPS_S2_L1C", datetime="2021-06-05")
    areas = gl.plot.footprints(items).get(1)
    assert len(areas.split()) == 2
    west, south, east, north = (
        f(v) for f, v in zip((min, min, max, max), zip(*(i.bbox for i in items), strict=True), strict=True)
    )
    assert areas.range("longitude") == pytest.approx((west, east))
    assert areas.range("latitude") == pytest.approx((south, north))
    with pytest.raises(gl.GeodesError, match="no footprint to show"):
        gl.plot.footprints([])


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda: gl.plot.rgb(bands(), bands=("red", "green")), "three bands, such as"),
        (lambda: gl.plot.rgb(bands()[["red"]]), "has no green: open the cube with that band"),
        (lambda: gl.plot.rgb(data()), "of a Dataset, not a DataArray"),
        (lambda: gl.plot.compare(data(1).isel(time=0), bands(1).isel(time=0)), "not one of each"),
        (lambda: gl.plot.compare(data(1).isel(time=0), data(1).isel(time=0, x=slice(5))), "like= and the first cube"),
        (lambda: gl.plot.compare(data(), data()), "select one time of each"),
        (lambda: gl.plot.animate(data(1).isel(time=0)), "the data has no time"),
        (lambda: gl.plot.animate(data(201, 2, 2)), "the data has 201"),
        (lambda: gl.plot.series(data()), r"reduce the others first, such as by .mean"),
        (lambda: gl.plot.series(data(2, 40, 1).squeeze("x")), "the data has 40"),
        (lambda: gl.plot.tracks(track(5), "heigth"), "did you mean 'height'"),
        (lambda: gl.plot.tracks(track(5).height * np.nan), "nothing to show"),
        (lambda: gl.plot.tracks(data()), "along time with longitude and latitude"),
        (lambda: gl.plot.image(data()[:, :0]), "the cube has no y"),
    ],
)
def test_what_cannot_be_shown_is_said(call, said):
    with pytest.raises(gl.GeodesError, match=said):
        call()


@pytest.mark.parametrize(
    ("name", "attrs", "wanted"),
    [
        ("ndvi", {}, "RdYlGn"), ("mean", {"long_name": "greenest NDVI of the year"}, "RdYlGn"), ("red", {"units": "1"}, "gray"),
        ("gamma0", {"units": "dB"}, "viridis"), ("landvisible", {}, "gray"),
    ],
)  # fmt: skip
def test_colours_suit_what_is_shown(name, attrs, wanted):
    assert colours(xr.DataArray(np.zeros((2, 2)), dims=("y", "x"), name=name, attrs=attrs)) == wanted


def placed(times: int = 1) -> xr.Dataset:
    return bands(times).isel(time=0).rio.write_crs(32631)


def hover_of(shown):
    import holoviews as hv
    from bokeh.models import HoverTool

    figure = hv.render(shown)
    (tool,) = (t for t in figure.select({"type": HoverTool}) if t.name == "place")
    assert len(figure.select({"type": HoverTool})) == 1
    return tool


@pytest.mark.parametrize("crs", [32631, 4326, 3857, 2154])
def test_mouse_says_longitude_latitude_and_value(crs):
    """The code that the browser runs, with the numbers of its polynomial, beside PROJ."""
    cube = data(1).isel(time=0).rio.write_crs(crs)
    if crs == 4326:
        cube = cube.assign_coords(x=1.0 + np.arange(40) * 0.001, y=43.0 - np.arange(30) * 0.001)
    tool = hover_of(gl.plot.image(cube)[()])
    assert [name for name, _ in tool.tooltips] == ["longitude", "latitude", "NDVI"]
    x, y = float(cube.x[7]), float(cube.y[21])
    want = Transformer.from_crs(crs, 4326, always_xy=True).transform(x, y)
    for axis, degrees in zip(("$x", "$y"), want, strict=True):
        code = tool.formatters[axis].code
        terms = json.loads(re.search(r"\[[-\d., e]{40,}\]", code)[0])
        (x0, wide), (y0, high) = (
            map(float, m) for m in re.findall(r"\(special_vars\.[xy] - ([-\d.e]+)\) / ([-\d.e]+)", code)
        )
        powers = [(i, j) for i in range(5) for j in range(5 - i)]
        found = sum(
            t * ((x - x0) / wide) ** i * ((y - y0) / high) ** j for t, (i, j) in zip(terms, powers, strict=True)
        )
        assert found == pytest.approx(degrees, abs=2e-5)


def test_mouse_says_the_values_of_a_picture():
    tool = hover_of(gl.plot.rgb(placed(), limits=(0, 0.5), gamma=2)[()])
    assert [name for name, _ in tool.tooltips] == ["longitude", "latitude", "red", "green", "blue"]
    assert "[[0.0, 0.5], [0.0, 0.5], [0.0, 0.5]]" in tool.formatters["@image"].code
    plain = hover_of(gl.plot.rgb(bands().isel(time=0))[()])
    assert [name for name, _ in plain.tooltips][:2] == ["x", "y"], "without a CRS"


def test_name_of_a_band_is_no_column_of_bokeh():
    named = data(1).isel(time=0).rename("@{x}$y").assign_attrs(long_name="@{x}$y")
    assert hover_of(gl.plot.image(named)[()]).tooltips[-1][0] == "{x}y"


def test_swipe_stretches_each_side_by_itself():
    import holoviews as hv
    from bokeh.models import ColorBar, HoverTool

    left = data(1).isel(time=0)
    shown = gl.plot.compare(left, left * 100 + 7, titles=("before", "after"))
    figure = hv.render(shown[0.25])
    bars = figure.select({"type": ColorBar})
    assert sorted(bar.title for bar in bars) == ["after", "before"]
    lows = sorted(bar.color_mapper.low for bar in bars)
    assert lows[1] == pytest.approx(lows[0] * 100 + 7)
    image = shown[0.0].get(0)
    np.testing.assert_allclose(image.range("value"), shown[1.0].get(0).range("value"), rtol=1e-4)
    (tool,) = (t for t in figure.select({"type": HoverTool}) if t.name == "place")
    assert tool.formatters["@image"].args["border"] == pytest.approx(300_000 + 0.25 * 390)
    same = hv.render(gl.plot.compare(left, left * 100, clim=(0, 1))[0.5])
    assert len(same.select({"type": ColorBar})) == 1


@pytest.mark.parametrize("width", [200, 300, 560])
def test_numbers_below_a_map_do_not_touch(width):
    assert gl.plot.image(data(), width=width)[data().time.values[0]].opts.get().kwargs["xticks"] * 100 <= max(
        width, 200
    )


def test_outlines_are_finer_where_the_map_is(tmp_path):
    """Squares of one degree: coarse ones of the world, and beside them a finer file with an island more."""

    def square(west: float, size: float) -> dict:
        ring = [[west, 0], [west + size, 0], [west + size, size], [west, size], [west, 0]]
        return {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [ring]}}

    world = {"type": "FeatureCollection", "features": [square(0, 1), square(100, 1)]}
    fine = {"type": "FeatureCollection", "features": [square(0, 0.9), square(1.5, 0.2), square(100, 0.9)]}
    (tmp_path / "countries-110m.json").write_text(json.dumps(world))
    (tmp_path / "countries-10m.json").write_text(json.dumps(fine))
    with dask.config.set({"geodes_lab.plot.land": str(tmp_path / "countries-110m.json")}):
        land, lines = coastlines.around(0, 0, 2, 2)
        assert sum(g.area for g in land) == pytest.approx(0.81 + 0.04 + 1, abs=1e-6)
        assert sum(g.length for g in lines) == pytest.approx(3.6 + 0.8 + 4, abs=1e-6)
        assert sum(g.area for g in coastlines.around(-90, -80, 90, 80)[0]) == 2, (
            "a map of the world has the coarse ones"
        )
    assert coastlines.around(0, 0, 2, 2) == ([], [])


def test_what_is_compiled_for_a_map_is_kept_for_the_next_kernel():
    import holoviews as hv
    from datashader import resampling

    assert rasterizing.operation() is hv.operation.datashader.rasterize
    assert resampling._downsample_2d_mean.stats.cache_path
    resampling._get_dimensions(np.zeros((2, 3), "float32"), np.zeros((4, 5), "float32"))
    assert any(Path(resampling._get_dimensions.stats.cache_path).glob("resampling._get_dimensions-*.nbi"))
