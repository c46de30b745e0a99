"""Time in Items: offsets are honoured, what has none is UTC, and an interval has a begin; in cubes, groups, searches and their order."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pystac
import pytest
import rasterio
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st

import geodes_lab as gl
from geodes_lab.util import instant

SPAN = {"start_datetime": "2021-01-01T00:00:00Z", "end_datetime": "2021-12-31T23:59:59Z"}


@pytest.fixture
def raster(tmp_path: Path) -> str:
    path = tmp_path / "a.tif"
    with rasterio.open(
        path, "w", driver="GTiff", width=8, height=8, count=1, dtype="uint8", crs="EPSG:32631",
        transform=Affine(10, 0, 500_000, 0, -10, 4_800_000), nodata=0,
    ) as file:  # fmt: skip
        file.write(np.ones((1, 8, 8), "uint8"))
    return str(path)


def copy(path: str, name: str) -> str:
    """The same file once more: one that is given twice is one product."""
    return str(shutil.copy(path, Path(path).with_name(f"{name}.tif")))


def item(name: str, path: str, when: str | None, **properties: Any) -> dict[str, Any]:
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "stac_extensions": [], "links": [],
        "geometry": {"type": "Point", "coordinates": [3, 43.35]}, "bbox": [3, 43.35, 3, 43.35],
        "properties": {"datetime": when, **properties},
        "assets": {"red": {"href": path, "type": "image/tiff; application=geotiff", "roles": ["data"]}},
    }  # fmt: skip


def catalogue(folder: Path, items: list[dict[str, Any]]) -> str:
    """A static catalogue of a collection ``C``."""
    links = [{"rel": "item", "href": f"./{i['id']}.json"} for i in items]
    for one in items:
        (folder / f"{one['id']}.json").write_text(json.dumps(one))
    extent = {"spatial": {"bbox": [[3, 43, 4, 44]]}, "temporal": {"interval": [["2021-01-01T00:00:00Z", None]]}}
    told = {"type": "Collection", "id": "C", "description": "c", "license": "x", "extent": extent, "links": links}
    (folder / "c.json").write_text(json.dumps({"stac_version": "1.0.0", **told}))
    root = {"type": "Catalog", "id": "R", "description": "r", "links": [{"rel": "child", "href": "./c.json"}]}
    (folder / "catalog.json").write_text(json.dumps({"stac_version": "1.0.0", **root}))
    return str(folder / "catalog.json")


WHEN = [
    ("2021-06-05T10:50:31Z", "2021-06-05T10:50:31"),
    ("2021-06-05T10:50:31", "2021-06-05T10:50:31"),  # none: UTC
    ("2021-06-05T10:50:31+00:00", "2021-06-05T10:50:31"),
    ("2021-06-05T10:50:31+02:00", "2021-06-05T08:50:31"),
    ("2021-06-05T23:30:00-05:00", "2021-06-06T04:30:00"),  # the day after
    ("2021-06-05T00:30:00+05:45", "2021-06-04T18:45:00"),  # the day before, in Nepal
    ("2021-06-05T10:50:31.024Z", "2021-06-05T10:50:31.024"),
    ("2021-06-05T10:50:31.123456+01:00", "2021-06-05T09:50:31.123456"),
    ("2021-06-05T10:50:31.024", "2021-06-05T10:50:31.024"),
    ("2021-12-31T23:30:00-01:00", "2022-01-01T00:30:00"),
]


@pytest.mark.parametrize(("told", "want"), WHEN)
@pytest.mark.parametrize("groupby", ["item", "solar_day"])
def test_the_time_of_a_cube_is_the_instant(raster, told, want, groupby):
    for one in (item("A", raster, told), pystac.Item.from_dict(item("A", raster, told))):
        assert gl.open_cube([one], bands=["red"], groupby=groupby).time.values[0] == np.datetime64(want)
    assert pd.Timestamp(told).tz_localize(None) if "T" not in told else True


@pytest.mark.parametrize(("told", "want"), WHEN)
def test_a_search_goes_by_the_instant(tmp_path, raster, told, want):
    url = catalogue(tmp_path, [item("A", raster, told)])
    day = want[:10]
    (found,) = gl.search("C", url=url, datetime=day)
    assert found.datetime == datetime.fromisoformat(want).replace(tzinfo=UTC)
    assert not len(gl.search("C", url=url, datetime=f"{np.datetime64(day) + 1}"))
    assert not len(gl.search("C", url=url, datetime=f"{np.datetime64(day) - 1}"))
    assert str(day) in repr(gl.search("C", url=url))


def test_the_order_is_that_of_the_instants(tmp_path, raster):
    """Of times that as text have another order."""
    told = ["2021-06-05T12:00:00+05:00", "2021-06-05T08:00:00", "2021-06-05T06:00:00-03:00", None]
    items = [
        item(f"i{n}", copy(raster, f"i{n}"), when, **(SPAN if when is None else {})) for n, when in enumerate(told)
    ]
    url = catalogue(tmp_path, items)
    assert [i.id for i in gl.search("C", url=url)] == ["i3", "i0", "i1", "i2"]
    cube = gl.open_cube(items, bands=["red"], groupby="item")
    assert list(cube["product"].values) == ["i3", "i0", "i1", "i2"]
    assert (np.diff(cube.time.values) > np.timedelta64(0)).all()


def test_one_day_at_its_place_is_one_slice(raster):
    """At 3° E it is the same day, whatever offsets the two times are told in."""
    other = copy(raster, "b")
    items = [item("a", raster, "2021-06-06T00:30:00+05:00"), item("b", other, "2021-06-05T12:00:00-03:00")]
    assert gl.open_cube(items, bands=["red"]).sizes["time"] == 1
    items = [item("a", raster, "2021-06-05T23:30:00-05:00"), item("b", other, "2021-06-05T12:00:00Z")]
    assert gl.open_cube(items, bands=["red"]).sizes["time"] == 2


@pytest.mark.parametrize("groupby", ["item", "solar_day"])
def test_an_interval_has_its_begin(raster, groupby):
    for span, want in (
        (SPAN, "2021-01-01"),
        ({"start_datetime": "2021-01-01T00:00:00+02:00", "end_datetime": "2021-02-01T00:00:00+02:00"}, "2020-12-31T22:00"),
        ({"start_datetime": "2021-01-01T00:00:00", "end_datetime": "2021-02-01"}, "2021-01-01"),
    ):  # fmt: skip
        cube = gl.open_cube([item("A", raster, None, **span)], bands=["red"], groupby=groupby)
        assert cube.time.values[0] == np.datetime64(want)


def test_an_interval_is_found_by_all_that_it_covers(tmp_path, raster):
    url = catalogue(tmp_path, [item("A", raster, None, **SPAN)])
    for when, count in (
        ("2021", 1),
        ("2021-06-05", 1),
        ("2021-12-31", 1),
        ("2020", 0),
        ("2022-01", 0),
        ("2020/2021", 1),
    ):
        assert len(gl.search("C", url=url, datetime=when)) == count
    (found,) = gl.search("C", url=url)
    assert found.datetime is None
    assert json.dumps(found.to_dict())


def test_what_has_no_time_says_so(raster):
    broken = item("A", raster, None, start_datetime="soon", end_datetime="later")
    with pytest.raises(gl.GeodesError):
        gl.open_cube([broken], bands=["red"])
    with pytest.raises(gl.GeodesError, match="is not a STAC Item"):
        gl.open_cube([item("A", raster, None)], bands=["red"])


def test_times_of_a_search_are_written_in_utc(tmp_path, raster):
    url = catalogue(
        tmp_path, [item("A", raster, "2021-06-05T10:00:00+02:00", start_datetime="2021-06-05T10:00:00+02:00")]
    )
    told = gl.search("C", url=url)[0].to_dict()["properties"]
    assert told["datetime"] == told["start_datetime"] == "2021-06-05T08:00:00Z"


@given(st.datetimes(datetime(1950, 1, 1), datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_any_offset_is_the_instant(naive, minutes):
    zone = timezone(timedelta(minutes=minutes))
    told = naive.replace(tzinfo=zone).isoformat()
    assert instant.utc(told) == naive.replace(tzinfo=zone)
    assert instant.utc(told).utcoffset() == timedelta(0)
    assert instant.utc(told.lower()) == instant.utc(told)
    assert instant.utc(naive.isoformat()) == naive.replace(tzinfo=UTC)
    assert instant.utc(f"{naive.isoformat()}Z") == naive.replace(tzinfo=UTC)
    assert instant.utc(instant.text(instant.utc(told))) == instant.utc(told)


@given(st.one_of(st.text(), st.integers(), st.none(), st.lists(st.text()), st.floats()))
def test_what_is_no_time_says_none(told):
    assert instant.utc(told) is None or isinstance(told, str)
