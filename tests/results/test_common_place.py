"""Results that others can find: they can read them too, or their owner is told that they cannot."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import rioxarray
import xarray as xr

import geodes_lab as gl
from geodes_lab.results.common_place import brought, is_open
from geodes_lab.results.publish import item_of
from tests.results.test_save import cube


@pytest.fixture
def home(monkeypatch) -> Iterator[Path]:
    """A home that its owner alone can open, in a lab of several people; below a folder that all pass through."""
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        top = Path(folder)
        top.chmod(0o755)
        (top / "home").mkdir(mode=0o700)
        (top / "shared").mkdir(mode=0o755)
        monkeypatch.setenv("GEODES_LAB_PEOPLE", "several")
        monkeypatch.setenv("GEODES_LAB_SHARED", str(top / "shared"))
        yield top / "home"


@pytest.mark.parametrize("name", ["ndvi.zarr", "ndvi.tif"])
def test_result_for_everybody_is_copied_to_where_all_can_read_it(home, name):
    data = cube(1, 20, 20)
    gl.save(data if name.endswith("zarr") else data.ndvi, home / name)
    place = brought(home / name, "ada", ["*"])
    assert place == home.parent / "shared" / "ada" / name
    assert is_open(place)
    read = xr.open_zarr(place, consolidated=False).ndvi if place.is_dir() else rioxarray.open_rasterio(place)
    np.testing.assert_array_equal(np.squeeze(read.values), data.ndvi.values[0])
    assert brought(home / name, "ada", ["*"]) == place, "published again, it is replaced"
    assert brought(place, "ada", ["*"]) == place, "what all can read stays where it is"
    assert [p.name for p in place.parent.iterdir()] == [name]


def test_result_for_a_group_is_not_shown_to_all_and_its_owner_is_told(home):
    gl.save(cube(1, 4, 4).ndvi, home / "a.tif")
    with pytest.warns(UserWarning, match=r"only you can open: land will find the Item but cannot read the result"):
        assert brought(home / "a.tif", "ada", ["land"]) == home / "a.tif"
    assert not list((home.parent / "shared").iterdir())


@pytest.fixture
def land(home, monkeypatch) -> Path:
    """The folder of a group of the person's, as the hub makes it."""
    folder = home.parent / "groups" / "land"
    (folder / "results").mkdir(parents=True)
    for one in (folder / "results", folder):
        os.chown(one, -1, OTHER_GROUP)
        one.chmod(0o3770)
    monkeypatch.setenv("GEODES_LAB_GROUP_FOLDERS", json.dumps({"land": str(folder)}))
    return folder


OTHER_GROUP = 12345 if os.geteuid() == 0 else os.getgid()


@pytest.mark.parametrize("name", ["ndvi.zarr", "ndvi.tif"])
def test_result_for_a_group_is_copied_to_where_its_members_can_read_it_and_nobody_else(home, land, name):
    data = cube(1, 20, 20)
    gl.save(data if name.endswith("zarr") else data.ndvi, home / name)
    place = brought(home / name, "ada", ["land"])
    assert place == land / "results" / "ada" / name
    for path in [place.parent, place, *place.rglob("*")]:
        status = path.stat()
        assert status.st_gid == OTHER_GROUP
        assert status.st_mode & 0o777 == (0o750 if path.is_dir() else 0o640)
    assert brought(home / name, "ada", ["land"]) == place, "published again, it is replaced"
    assert brought(place, "ada", ["land"]) == place, "what its members can read stays where it is"
    place.chmod(0o700 if place.is_dir() else 0o600)
    closed = place.rename(land / name)
    assert brought(closed, "ada", ["land"]) == place, "in the folder, and closed to them: copied"
    assert [p.name for p in place.parent.iterdir()] == [name]


def test_result_for_several_groups_or_a_foreign_one_is_said(home, land):
    gl.save(cube(1, 4, 4).ndvi, home / "a.tif")
    with pytest.warns(UserWarning, match=r"A file has one group: publish it once for each, with readers=\['land'\]"):
        assert brought(home / "a.tif", "ada", ["land", "sea"]) == home / "a.tif"
    with pytest.warns(UserWarning, match="sea will find the Item but cannot read the result. Save the result"):
        assert brought(home / "a.tif", "ada", ["sea"]) == home / "a.tif"
    assert not list((land / "results").iterdir())


def test_nobody_is_told_where_there_is_nobody(home, monkeypatch):
    gl.save(cube(1, 4, 4).ndvi, home / "a.tif")
    assert brought(home / "a.tif", "ada", []) == home / "a.tif"
    monkeypatch.setenv("GEODES_LAB_PEOPLE", "one")
    assert brought(home / "a.tif", "ada", ["*"]) == home / "a.tif"


def test_folder_of_somebody_else_is_not_written_to(home, tmp_path):
    gl.save(cube(1, 4, 4).ndvi, home / "a.tif")
    (tmp_path / "elsewhere").mkdir()
    (home.parent / "shared" / "ada").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(gl.GeodesError, match="belongs to another account"):
        brought(home / "a.tif", "ada", ["*"])
    assert not list((tmp_path / "elsewhere").iterdir())


def test_item_says_when_its_data_are_from_and_of_what_it_was_made(home):
    data = cube(2, 8, 8).assign_coords(product=("time", np.array(["S2A_1 S2B_1", "S2A_2"], object)))
    gl.save(data, home / "series.zarr")
    item = item_of(home / "series.zarr")
    assert item.properties["derived_from"] == ["S2A_1", "S2B_1", "S2A_2"]
    gl.save(data.max("time", skipna=False).rio.write_crs("EPSG:32631"), home / "composite.zarr")
    with pytest.raises(gl.GeodesError, match="the time of its data: give datetime="):
        item_of(home / "composite.zarr")
    assert (
        item_of(home / "composite.zarr", datetime="2021-06/2021-07").properties["start_datetime"]
        == "2021-06-01T00:00:00Z"
    )
