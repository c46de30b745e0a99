"""The small picture of a result: of its data, small, and safe to show."""

from __future__ import annotations

import io

import numpy as np
import pytest
import xarray as xr
from PIL import Image

import geodes_lab as gl
from geodes_lab.catalog import quicklook
from geodes_lab.results import thumbnail
from geodes_lab.results.publish import item_of
from tests.results.test_save import cube


def picture(path) -> np.ndarray:
    asset = thumbnail.asset(path)
    assert asset is not None
    assert len(asset.href) < 17_000
    item = item_of(path)
    item.add_asset("thumbnail", asset)
    data, media = quicklook.local(item)
    assert media == "image/jpeg"
    return np.asarray(Image.open(io.BytesIO(data)))


def gradient(rows: int, cols: int) -> xr.DataArray:
    """Dark at the left, bright at the right, and nothing in the upper half of the first slice."""
    data = cube(2, rows, cols).ndvi
    values = np.broadcast_to(np.linspace(0, 1, cols, dtype="float32"), data.shape).copy()
    values[0, : rows // 2] = np.nan
    return data.copy(data=values)


@pytest.mark.parametrize("name", ["ndvi.tif", "ndvi.zarr"])
def test_picture_shows_the_data_and_what_has_none_is_white(tmp_path, name):
    data = gradient(900, 700)
    gl.save(data if name.endswith("tif") else data.to_dataset(name="ndvi"), tmp_path / name)
    seen = picture(tmp_path / name)[..., 0].astype(float)
    assert max(seen.shape) <= 192
    assert seen.shape[0] > seen.shape[1]
    assert seen[: len(seen) // 2 - 2].min() > 240, "nothing there"
    row = seen[-5]
    assert row[:5].mean() < 30
    assert 200 < row[-5:].mean() < 245
    assert np.corrcoef(row, np.arange(len(row)))[0, 1] > 0.99


def test_red_green_and_blue_are_a_picture_in_colours(tmp_path):
    one = gradient(80, 90)[1].drop_vars("time").assign_coords(time=np.datetime64("2021-06-01", "ns"))
    colours = xr.Dataset({"blue": one * 0, "green": one.copy(data=one.values[:, ::-1]), "red": one})
    gl.save(colours, tmp_path / "rgb.tif")
    seen = picture(tmp_path / "rgb.tif").astype(int)
    assert seen[40, 85, 0] - seen[40, 85, 1] > 150
    assert seen[40, 4, 1] - seen[40, 4, 0] > 150


def test_slice_without_data_is_passed_over_and_a_result_without_any_has_none(tmp_path):
    data = gradient(60, 60)
    data[0] = np.nan
    gl.save(data, tmp_path / "later.tif")
    assert picture(tmp_path / "later.tif")[..., 0].std() > 30
    gl.save((data * np.nan).to_dataset(name="ndvi"), tmp_path / "empty.zarr")
    assert thumbnail.asset(tmp_path / "empty.zarr") is None


def test_noise_of_any_size_is_small(tmp_path):
    gl.save(cube(1, 700, 700).ndvi, tmp_path / "noise.tif")
    assert picture(tmp_path / "noise.tif").shape[0] < 192


def test_bands_of_a_series_say_when_they_are_from_and_what_they_show(tmp_path):
    gl.save(cube(2, 20, 20).ndvi, tmp_path / "ndvi.tif")
    item = item_of(tmp_path / "ndvi.tif")
    assert item.assets["tif"].extra_fields["bands"] == [
        {"name": f"2021-06-0{n}", "datetime": f"2021-06-0{n}T00:00:00.000000Z", "description": f"ndvi of 2021-06-0{n}"}
        for n in (1, 2)
    ]
    assert (item.properties["start_datetime"], item.properties["end_datetime"]) == (
        "2021-06-01T00:00:00Z",
        "2021-06-02T00:00:00Z",
    )
    gl.save(cube(1, 20, 20).ndvi[0], tmp_path / "one.tif")
    assert item_of(tmp_path / "one.tif").assets["tif"].extra_fields["bands"] == [{"name": "ndvi"}]


@pytest.mark.attack
@pytest.mark.parametrize(
    "href",
    [
        "data:text/html;base64,PHNjcmlwdD4=",
        "data:image/svg+xml;base64,PHN2Zz4=",
        'data:image/jpeg;base64,"><script>',
        "data:image/jpeg;base64," + "A" * 30_000,
    ],
)
def test_address_that_is_no_small_picture_is_none(tmp_path, href):
    from fastapi import HTTPException

    from hub.services.catalogue.results import validity

    gl.save(cube(1, 20, 20).ndvi[0], tmp_path / "one.tif")
    item = item_of(tmp_path / "one.tif")
    item.add_asset("thumbnail", thumbnail.asset(tmp_path / "one.tif"))
    record = item.to_dict(include_self_link=False, transform_hrefs=False)
    assert validity.item(record, {})["assets"]["thumbnail"]["href"].startswith("data:image/jpeg;base64,")
    record["assets"]["thumbnail"]["href"] = href
    with pytest.raises(HTTPException):
        validity.item(record, {})
    item.assets["thumbnail"].href = href
    assert quicklook.local(item) is None
    assert quicklook.read(item) is None
