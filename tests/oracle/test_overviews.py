"""A coarse cube is what the image says, whatever its overviews are: means are means, places are places, no data is no data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from scipy.ndimage import gaussian_filter

import geodes_lab as gl
from geodes_lab.formats.jpeg2000 import image
from geodes_lab.reading import wavelet_mean
from geodes_lab.sample.sentinel2 import l1c
from tests.support.examples import examples

SIDE = 1280
WEST, NORTH = 300_000, 4_900_000
ROUGH = 3.0  # pixels: how smooth the noise is


@pytest.fixture(autouse=True)
def as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process learns of how long overviews are, it forgets: noise is longer than ground."""
    monkeypatch.setattr(image, "_share", dict(image._share))


def landscape(seed: int = 0, side: int = SIDE) -> np.ndarray:
    noise = gaussian_filter(np.random.default_rng(seed).normal(size=(side, side)), ROUGH)
    return (3000 + 1200 * noise / noise.std()).clip(1, 20_000).astype("uint16")


def item(path: Path, kind: str = "image/jp2", **fields: Any) -> dict[str, Any]:
    asset = {
        "href": str(path),
        "type": kind,
        "roles": ["data"],
        "nodata": 0,
        "raster:scale": 1e-4,
        "raster:offset": 0.0,
        **fields,
    }
    box = [[3, 43], [3.1, 43], [3.1, 43.1], [3, 43.1], [3, 43]]
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": path.stem, "stac_extensions": [], "links": [], "assets": {"b": asset},
        "geometry": {"type": "Polygon", "coordinates": [box]}, "bbox": [3, 43, 3.1, 43.1],
        "properties": {"datetime": "2021-06-05T10:50:31Z"},
    }  # fmt: skip


def coded(path: Path, pixels: np.ndarray) -> dict[str, Any]:
    """ESA's coding."""
    path.write_bytes(l1c.jpeg2000(pixels[None], (WEST, NORTH), 10, 15))
    return item(path)


def tiff(path: Path, pixels: np.ndarray, overviews: Resampling, nodata: float | None = 0) -> dict[str, Any]:
    with rasterio.open(
        path, "w", driver="GTiff", height=pixels.shape[0], width=pixels.shape[1], count=1, dtype=pixels.dtype, nodata=nodata, tiled=True,
        crs="EPSG:32631", transform=Affine(10, 0, WEST, 0, -10, NORTH),
    ) as file:  # fmt: skip
        file.write(pixels, 1)
    with rasterio.open(path, "r+") as file:
        file.build_overviews([2, 4, 8, 16], overviews)
    return item(path, "image/tiff; application=geotiff")


def blocks(pixels: np.ndarray, times: int) -> np.ndarray:
    n, m = (s // times for s in pixels.shape)
    return pixels[: n * times, : m * times].reshape(n, times, m, times)


def mean(pixels: np.ndarray, times: int) -> np.ndarray:
    """Over what is data; NaN where there is none."""
    cut = blocks(pixels, times).astype(float)
    count = (cut != 0).sum(axis=(1, 3))
    return np.where(count, cut.sum(axis=(1, 3)) / np.maximum(count, 1), np.nan) * 1e-4


def cube(one: dict[str, Any], times: float, how: str = "average", **more: Any) -> np.ndarray:
    return gl.open_cube([one], bands=["b"], resolution=10 * times, resampling=how, **more).b.values[0]


@pytest.mark.parametrize(("times", "limit"), [(2, 1e-3), (4, 1e-3), (8, 0.02), (16, 0.04)])
def test_mean_of_jpeg2000_is_the_mean_of_the_ground(tmp_path, times, limit):
    pixels = landscape()
    one, want = coded(tmp_path / "a.jp2", pixels), mean(pixels, times)
    off = cube(one, times) - want
    assert np.sqrt(np.mean(off**2)) <= limit * want.std(), "Gauss of 3 pixels, rougher than most ground"
    assert abs(off.mean()) <= 1e-3 * want.std()
    np.testing.assert_allclose(cube(one, times, overviews=False), want, atol=1e-6)


def test_mean_of_pixels_beyond_measure_is_left_to_the_warp(tmp_path, monkeypatch):
    """The weights of a mean in one huge tile with many overviews would take gigabytes."""
    pixels = landscape()
    one, want = coded(tmp_path / "a.jp2", pixels), mean(pixels, 8)
    monkeypatch.setattr(wavelet_mean, "_LONGEST", 40)
    wavelet_mean._best.cache_clear()
    off = cube(one, 8) - want
    assert wavelet_mean._best.cache_info().currsize == 0
    assert np.sqrt(np.mean(off**2)) <= 0.1 * want.std()


@pytest.mark.parametrize("times", [2, 4, 5.5, 8, 16])
@pytest.mark.parametrize("how", ["nearest", "average", "bilinear", "cubic", "lanczos"])
def test_what_is_shown_is_where_it_is(tmp_path, times, how):
    """A plane tells where each of its numbers is; a wavelet keeps it."""
    rows, cols = np.indices((SIDE, SIDE))
    for pixels, axis in ((20 * cols + 1000, 1), (20 * rows + 1000, 0)):
        found = cube(coded(tmp_path / "a.jp2", pixels.astype("uint16")), times, how)
        at = (found * 1e4 - 1000) / 20 + 0.5
        want = (np.indices(found.shape)[axis] + 0.5) * times
        inner = (slice(4, -5),) * 2
        limit = times / 2 + 0.1 if how == "nearest" else 0.15
        assert np.abs(at - want)[inner].max() <= limit


@pytest.mark.parametrize("how", ["nearest", "average", "bilinear"])
def test_what_is_no_data_is_what_the_image_says(tmp_path, how):
    pixels = landscape()
    pixels[np.add.outer(np.arange(SIDE), np.arange(SIDE)) < 700] = 0  # the edge of the swath
    pixels[900:1000, 1000:1200] = 0
    pixels[600:640, 100:1100] = 3  # a river, as dark as can be
    pixels[602:605, 100:1100] = 12_000  # and its bright bank
    one = coded(tmp_path / "a.jp2", pixels)
    for times in (2, 4, 8, 16):
        got, exact = cube(one, times, how), cube(one, times, how, overviews=False)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(exact))
        whole = (blocks(pixels, times) > 0).all(axis=(1, 3))
        assert np.isfinite(got[whole]).all()
        if how == "average":
            np.testing.assert_allclose(exact, mean(pixels, times), atol=1e-6)
            rim = np.isfinite(got) & ~whole
            np.testing.assert_allclose(got[rim], exact[rim], atol=1e-6)


@pytest.mark.parametrize(
    "overviews", [Resampling.nearest, Resampling.average, Resampling.cubic, Resampling.bilinear, Resampling.gauss]
)
@pytest.mark.parametrize("nodata", [0, None])
def test_mean_of_tiff_is_the_mean_whatever_its_overviews(tmp_path, overviews, nodata):
    pixels = landscape(side=1024)
    pixels[:300, :250] = 0
    one = tiff(tmp_path / "a.tif", pixels, overviews, nodata)
    for times in (4, 16):
        got, want = cube(one, times), mean(pixels, times)
        np.testing.assert_array_equal(np.isnan(got), np.isnan(want))
        assert np.sqrt(np.nanmean((got - want) ** 2)) <= 0.03 * np.nanstd(want)
    np.testing.assert_allclose(cube(one, 16, overviews=False), want, atol=1e-6)


@pytest.mark.parametrize("how", ["min", "max", "med", "sum", "rms", "mode"])
def test_what_no_overview_keeps_is_read_in_full(tmp_path, how):
    pixels = landscape()
    one, cut = coded(tmp_path / "a.jp2", pixels), blocks(pixels, 16).astype(float)
    got = cube(one, 16, how) * 1e4
    if how == "rms":
        np.testing.assert_allclose(got, np.sqrt((cut**2).mean(axis=(1, 3))), rtol=1e-4)
    elif how in ("min", "max", "sum"):
        np.testing.assert_allclose(got, getattr(cut, how)(axis=(1, 3)), rtol=1e-4)
    else:
        low, high = cut.min(axis=(1, 3)), cut.max(axis=(1, 3))
        assert ((got >= low - 0.1) & (got <= high + 0.1)).all()


@given(
    st.integers(0, 99),
    st.sampled_from([16, 37, 80]),
    st.floats(2, 20),
    st.sampled_from(["nearest", "average", "bilinear", "cubic"]),
)
@settings(max_examples=examples(15), deadline=None, suppress_health_check=list(HealthCheck))
def test_coarse_numbers_do_not_depend_on_chunks(tmp_path_factory, seed, chunks, times, how):
    pixels = landscape(seed, 512)
    pixels[100:180, 50:300] = 0
    pixels[300:330] = 2
    one = coded(tmp_path_factory.mktemp("drawn") / "a.jp2", pixels)
    n = int(512 / times) + 4
    grid = GeoBox((n, n), Affine(10 * times, 0, WEST - 17, 0, -10 * times, NORTH + 23), "EPSG:32631")
    whole, parts = (
        gl.open_cube([one], bands=["b"], geobox=grid, resampling=how, chunks=c).b.values[0] for c in (None, chunks)
    )
    if how == "nearest":
        np.testing.assert_array_equal(whole, parts)
    else:
        # GDAL reckons the weights of an average in single precision.
        np.testing.assert_allclose(whole, parts, atol=5e-5)
