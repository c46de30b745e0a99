"""Tiles of lazy cubes: what is computed, where it is drawn, and who gets it."""

from __future__ import annotations

import io
import threading
from typing import Any

import dask.array as da
import httpx
import numpy as np
import pytest
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from PIL import Image
from rasterio.enums import Resampling
from rasterio.warp import reproject

import geodes_lab as gl
from geodes_lab.errors import GeodesError
from geodes_lab.xyz import address
from geodes_lab.xyz.cube import CubeLayer
from geodes_lab.xyz.layer import exists, grid_of, zoom_of

SIDE = 1000
GRID = GeoBox((SIDE, SIDE), Affine(10, 0, 400_000, 0, -10, 4_820_000), "EPSG:32631")


def cube(computed: list[Any] | None = None, times: int = 3, grid: GeoBox = GRID, side: int = 250) -> xr.DataArray:
    """A lazy cube that tells what of it is computed: each pixel is its row, and 1000 times its slice."""

    def made(block_info: Any = None) -> np.ndarray:
        (t, _), (top, bottom), (left, right) = block_info[None]["array-location"]
        if computed is not None:
            computed.append((t, top // side, left // side))
        rows = np.arange(top, bottom, dtype=np.float32)[:, np.newaxis] + 1000 * t
        return np.broadcast_to(rows, (1, bottom - top, right - left)).copy()

    shape = (times, *grid.shape)
    data = da.map_blocks(
        made,
        chunks=da.core.normalize_chunks((1, side, side), shape),
        dtype=np.float32,
        meta=np.empty((0, 0, 0), np.float32),
    )
    time = np.array([f"2021-06-{d + 1:02d}T10:50" for d in range(times)], "datetime64[ns]")
    return xr.DataArray(data, dims=("time", "y", "x"), coords={"time": time, **xr_coords(grid)}, name="row")


def pixels(content: bytes | None) -> np.ndarray:
    assert content is not None
    return np.asarray(Image.open(io.BytesIO(content)))


def middle(zoom: int, east: float = 0.5, south: float = 0.5) -> tuple[int, int, int]:
    """The tile at a place of the cube."""
    import morecantile

    box = GRID.geographic_extent.boundingbox
    tile = morecantile.tms.get("WebMercatorQuad").tile(
        box.left + east * (box.right - box.left), box.top - south * (box.top - box.bottom), zoom
    )
    return zoom, tile.x, tile.y


def test_only_what_is_on_the_screen_is_computed_and_once():
    computed: list[Any] = []
    layer = CubeLayer([cube(computed)], [(0, 1000)])
    assert computed == []
    first = layer.draw(*middle(17, 0.1, 0.1), 0)
    assert computed == [(0, 0, 0)]
    assert layer.draw(*middle(17, 0.1, 0.1), 0) == first
    layer.draw(*middle(18, 0.12, 0.12), 0)
    assert computed == [(0, 0, 0)]
    layer.draw(*middle(17, 0.9, 0.1), 2)
    assert computed == [(0, 0, 0), (2, 0, 3)]
    assert layer.draw(5, 0, 0, 0) is None
    assert layer.draw(17, 1, 1, 99) is None
    threads = [threading.Thread(target=layer.draw, args=(*middle(17, 0.9, 0.9), 1)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert computed.count((1, 3, 3)) == 1
    assert layer.times == ["2021-06-01 10:50", "2021-06-02 10:50", "2021-06-03 10:50"]
    assert layer.at(*GRID.geographic_extent.centroid.coords[0]).values == pytest.approx([500, 1500, 2500], abs=20)


@pytest.mark.parametrize("zoom", [13, 15])
def test_tile_is_where_gdal_puts_it(zoom):
    layer = CubeLayer([cube(times=1)], [(0, 255)], colormap="gray")
    tile = middle(zoom)
    shown = pixels(layer.draw(*tile, 0))
    grid = grid_of(*tile)
    rows = np.broadcast_to(np.arange(SIDE, dtype=np.float32)[:, np.newaxis], GRID.shape).copy()
    out = np.full(grid.shape, np.nan, np.float32)
    reproject(
        rows, out, src_transform=GRID.affine, src_crs="EPSG:32631", dst_transform=grid.affine, dst_crs="EPSG:3857",
        src_nodata=np.nan, dst_nodata=np.nan, resampling=Resampling.nearest, tolerance=0,
    )  # fmt: skip
    there = np.isfinite(out)
    assert ((shown[..., 3] > 0) == there).mean() > 0.999
    both = there & (shown[..., 3] > 0)
    expected = np.clip(np.nan_to_num(out), 0, 255).astype(int)
    assert (np.abs(shown[..., 0].astype(int) - expected)[both] <= 1).mean() > 0.999


def test_what_would_be_too_much_is_refused():
    large = GeoBox((20_000, 20_000), Affine(10, 0, 300_000, 0, -10, 4_900_020), "EPSG:32631")
    layer = CubeLayer([cube(times=1, grid=large, side=2000)], [(0, 1)])
    assert layer.min_zoom > 5
    zoom, x, y = 6, *(v // 2 ** (17 - 6) for v in middle(17)[1:])
    with pytest.raises(GeodesError, match="zoom in"):
        layer.draw(zoom, x, y, 0)
    with pytest.raises(GeodesError, match="one variable, or three"):
        CubeLayer([cube(), cube()])
    with pytest.raises(GeodesError, match="same grid and times"):
        CubeLayer([cube(), cube(), cube(times=2)])
    with pytest.raises(GeodesError, match="no grid on the Earth"):
        CubeLayer([xr.DataArray(np.zeros((2, 2)), dims=("y", "x"))])
    with pytest.raises(GeodesError, match="no map of colours"):
        CubeLayer([cube()], colormap="nothing")
    assert not exists(3, 8, 0)
    assert zoom_of(10, 44) == 13


def test_address_is_for_who_knows_the_secret(monkeypatch):
    monkeypatch.delenv("JUPYTERHUB_SERVICE_PREFIX", raising=False)
    tiles = gl.tiles(cube(), range=(0, 1000))
    zoom, x, y = middle(15)
    url = tiles.url.replace("{z}/{x}/{y}", f"{zoom}/{x}/{y}")
    answer = httpx.get(f"{url}?t=1")
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")
    assert httpx.get(tiles.url.replace("{z}/{x}/{y}", "15/0/0")).status_code == 204
    secret = url.split("/")[3]
    for bad in (
        url.replace(secret, "x" * len(secret)),
        url.replace(secret, secret[:-1] + "é"),
        url + "&a=1",
        url.replace(f"/{x}/", "/../"),
    ):
        assert httpx.get(bad).status_code == 404
    fails = gl.tiles(
        cube().copy(data=cube().data.map_blocks(lambda block: 1 / 0, meta=np.empty((0, 0, 0)))), range=(0, 1)
    )
    answer = httpx.get(fails.url.replace("{z}/{x}/{y}", f"{zoom}/{x}/{y}"))
    assert (answer.status_code, "ZeroDivisionError" in answer.text) == (422, True)
    assert "ZeroDivisionError" in fails.problem
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada/")
    assert address.publish(tiles.layer).url.startswith("/user/ada/proxy/")


def test_layer_of_a_product_and_the_explorer(on_disk, monkeypatch):
    monkeypatch.delenv("JUPYTERHUB_SERVICE_PREFIX", raising=False)
    explorer = gl.explore("PEPS_S2_L1C", datetime="2021-06-05")
    tiles = gl.tiles(explorer.items[0], expression="(nir - red) / (nir + red)", range=(-0.2, 0.9), colormap="rdylgn")
    assert pixels(httpx.get(tiles.url.format(z=13, x=4136, y=2993), timeout=60).content).shape == (256, 256, 3)
    added = explorer.add(tiles)
    assert added in explorer._map.widget.layers
    explorer.remove(added)
    assert added not in explorer._map.widget.layers
    assert tiles.map().layers[-1].url == f"{tiles.url}?t=0"
    with pytest.raises(GeodesError, match="are for products"):
        gl.tiles(cube(), bands="red")
    with pytest.raises(GeodesError, match="range is the lowest"):
        gl.tiles(cube(), range=(1, 0))


def test_map_has_colours_times_and_the_series_at_a_click():
    made = gl.plot.map(cube(), range=(0, 3000), title="row <b>")
    legend, opacity, time = made.children[0].children
    assert bytes(legend.value).startswith(b"\x89PNG")
    opacity.value = 0.5
    assert made._tiles.opacity == 0.5
    time.index = 2
    assert made._tiles.url.endswith("?t=2")
    lon, lat = GRID.geographic_extent.centroid.coords[0]
    made._clicked(type="click", coordinates=(lat, lon + 360))
    assert made.series.values == pytest.approx([500, 1500, 2500], abs=20)
    assert bytes(made._picture.value).startswith(b"\x89PNG")
    made._clicked(type="click", coordinates=(0, 0))
    assert "outside the cube" in made._said.value
    made._clicked(type="mousemove", coordinates=(0, 0))
    colours = gl.plot.map(xr.Dataset({"r": cube(), "g": cube(), "b": cube()}))
    assert len(colours.children[0].children) == 2
    assert pixels(colours.layer.draw(*middle(15), 0)).shape == (256, 256, 4)
    single = gl.plot.map(cube().isel(time=0))
    assert len(single.children[0].children) == 2
