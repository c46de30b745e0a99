"""Items that say odd things: the right value, or one sentence of ours; never a traceback of a library, never a value that is wrong."""

from __future__ import annotations

import copy
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import geodes_lab as gl
from tests.support.examples import examples

GRID = Affine(10, 0, 500_000, 0, -10, 4_800_000)


def tif(path: Path, numbers: np.ndarray, nodata: float | None) -> str:
    shape = {"height": numbers.shape[0], "width": numbers.shape[1], "count": 1, "dtype": numbers.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs="EPSG:32631", transform=GRID, nodata=nodata, **shape) as file:
        file.write(numbers, 1)
    return str(path)


def item(path: str, **fields: Any) -> dict[str, Any]:
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": "A", "links": [], "collection": "C",
        "stac_extensions": ["https://stac-extensions.github.io/projection/v1.0.0/schema.json"],
        "geometry": {"type": "Point", "coordinates": [3, 43.35]}, "bbox": [3, 43.35, 3, 43.35],
        "properties": {"datetime": "2021-06-05T10:50:31Z", "proj:epsg": 32631, "platform": "sentinel-2a", "eo:cloud_cover": 3},
        "assets": {"red": {"href": path, "type": "image/tiff; application=geotiff", "roles": ["data"]} | fields},
    }  # fmt: skip


@pytest.mark.parametrize(
    "said", [None, -9999, "-9999", "inf", "-inf", "nan", math.nan, math.inf, 1e10, 0.5, 65535, "", 2**70, -(2**70)]
)
@pytest.mark.parametrize("words", ["raster:bands", "bands", "asset"])
def test_a_number_that_the_file_cannot_have_hides_not_its_own(tmp_path, said, words):
    numbers = np.full((8, 8), 7, "int16")
    numbers[:2] = -9999
    fields = {"raster:bands": [{"nodata": said}], "bands": [{"nodata": said}]}
    one = item(
        tif(tmp_path / "a.tif", numbers, -9999), **({"nodata": said} if words == "asset" else {words: fields[words]})
    )
    red = gl.open_cube([one], bands=["red"]).red
    assert red.attrs.get("nodata") == -9999 or np.isnan(red.values[0, 0, 0])
    assert red.values[0, 5, 0] == 7
    mean = gl.open_cube([one], bands=["red"], resolution=40, resampling="average").red
    np.testing.assert_array_equal(mean.values[0], 7)


@pytest.mark.parametrize(
    ("dtype", "nodata", "said", "want"),
    [
        ("uint8", 255, 256, 255),
        ("uint8", 0, -1, 0),
        ("uint16", 0, -9999, 0),
        ("int16", None, 40000, None),
        ("int32", -1, 1.5, -1),
        ("float32", -9999, "nan", -9999),  # NaN is none anyway
        ("float32", None, "nan", None),
        ("float32", None, -9999, -9999),
        ("float64", -1.0, "inf", math.inf),
        ("uint8", 0, 9, 9),  # what it can be counts
    ],
)
def test_the_number_for_no_data(tmp_path, dtype, nodata, said, want):
    numbers = np.full((4, 4), 7, dtype)
    if want is not None:
        numbers[0] = want
    one = item(tif(tmp_path / "a.tif", numbers, nodata), **{"raster:bands": [{"nodata": said}]})
    red = gl.open_cube([one], bands=["red"], resampling="average").red
    assert red.dtype.kind == "f"
    np.testing.assert_array_equal(np.isnan(red.values[0]), np.isnan(np.where(numbers == want, np.nan, 0)))


@pytest.mark.parametrize("word", ["scale", "offset", "nodata"])
@pytest.mark.parametrize("told", ["abc", [1], {"a": 1}, True])
def test_what_is_no_number_is_refused_by_name(tmp_path, word, told):
    one = item(tif(tmp_path / "a.tif", np.ones((4, 4), "uint8"), None), **{"raster:bands": [{word: told}]})
    with pytest.raises(gl.GeodesError, match=f"A gives its band red .*{word}.*, which is not a number"):
        gl.open_cube([one], bands=["red"])


@pytest.mark.parametrize("word", ["scale", "offset"])
@pytest.mark.parametrize("told", ["nan", "inf", math.nan, -math.inf])
def test_what_makes_no_measure_is_refused(tmp_path, word, told):
    one = item(tif(tmp_path / "a.tif", np.ones((4, 4), "uint8"), None), **{"raster:bands": [{word: told}]})
    with pytest.raises(gl.GeodesError, match="which is not possible"):
        gl.open_cube([one], bands=["red"])


def test_a_number_as_text_is_that_number(tmp_path):
    path = tif(tmp_path / "a.tif", np.full((4, 4), 5000, "uint16"), None)
    one = item(path, **{"raster:bands": [{"scale": "0.0001", "offset": "-0.1", "nodata": "0"}]})
    np.testing.assert_allclose(gl.open_cube([one], bands=["red"]).red.values, 0.4, atol=1e-6)


def test_a_name_as_bare_text_is_that_name(tmp_path):
    one = item(tif(tmp_path / "a.tif", np.full((4, 4), 5, "uint8"), None), **{"eo:bands": ["B04"]})
    assert gl.open_cube([one], bands=["B04"]).B04.values[0, 0, 0] == 5


ODD = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 70_000), st.just(math.nan), st.just(math.inf),
    st.sampled_from(["", "x", "nan", "1", "2021", "data", "red"]),
    st.sampled_from([[], [None], [1], ["a"], [[1]], [{}], {}, {"a": 1}, [{"name": None}], [{"name": ["a"]}], [{"value": "x", "name": 3}]]),
)  # fmt: skip
FIELDS = (
    "roles", "bands", "eo:bands", "raster:bands", "classification:classes", "classification:bitfields", "file:values", "proj:transform",
    "proj:shape", "proj:bbox", "proj:epsg", "proj:code", "gsd", "type", "title", "description", "alternate", "nodata", "data_type", "unit",
    "geodes:band", "geodes:names", "geodes:asset", "geodes:stored", "geodes:tile", "geodes:overviews",
)  # fmt: skip
PROPERTIES = (
    "datetime", "start_datetime", "end_datetime", "identifier", "platform", "constellation", "instruments", "grid:code", "product:type",
    "processing:version", "processing:level", "s2:processing_baseline", "s2:datastrip_id", "s2:product_uri", "s2:generation_time",
    "s2:mgrs_tile", "earthsearch:boa_offset_applied", "proj:epsg", "proj:shape", "proj:transform", "dataset", "storage:schemes",
    "geodes:corrected", "geodes:assumed", "geodes:source",
)  # fmt: skip
TOP = (
    "id",
    "collection",
    "geometry",
    "bbox",
    "stac_extensions",
    "links",
    "assets",
    "properties",
    "stac_version",
    "type",
)
PLACES = [*(("assets", "red", f) for f in FIELDS), *(("properties", p) for p in PROPERTIES), *((t,) for t in TOP)]


@settings(max_examples=examples(150), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), ODD), min_size=1, max_size=3))
@pytest.mark.thorough
def test_whatever_an_item_says_is_a_value_or_a_sentence(tmp_path, changes):
    one = item(tif(tmp_path / "a.tif", np.full((4, 4), 5, "uint8"), 0))
    for place, told in changes:
        inside: Any = one
        for word in place[:-1]:
            inside = inside.get(word) if isinstance(inside, dict) else None
        if isinstance(inside, dict):
            inside[place[-1]] = told
    before = copy.deepcopy(one)
    for do in (
        lambda: gl.open_cube([one], bands=["red"]),
        lambda: gl.open_cube([one], bands=["red"], mask="cloud"),
        lambda: gl.open_cube(
            [one, item(tif(tmp_path / "b.tif", np.full((4, 4), 5, "uint8"), 0))], bands=["red"], groupby="item"
        ),
        lambda: gl.open_product(one),
    ):
        try:
            found = do()
        except gl.GeodesError:
            continue
        if hasattr(found, "red") and "nodata" not in [p[-1] for p, _ in changes]:
            assert set(np.unique(found.red.values)) <= {5}
    assert repr(one) == repr(before), "what the user gave is changed"


@pytest.mark.parametrize(
    "odd",
    [
        {"geometry": {"type": "Polygon"}},
        {"geometry": {"type": "Point", "coordinates": ["a", 1]}},
        {"id": None},
        {"id": 5},
        {"bbox": [1]},
        {"properties": {"datetime": "soon"}},
        {"properties": {"datetime": "2021-06-05T10:50:31Z", "eo:cloud_cover": "many"}},
        {"assets": {"a": None}},
        {"links": [None]},
        {"links": [{"rel": "self"}]},
    ],
)
def test_a_damaged_item_of_a_catalogue_on_disk_is_left_out_and_named(tmp_path, odd):
    """One among others: the search goes on."""
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2015-06-27T00:00:00Z", None]]}}
    links = [{"rel": "item", "href": f"./{n}.json"} for n in range(2)]
    told = {"type": "Collection", "id": "C", "description": "-", "license": "other", "extent": extent, "links": links}
    root = {"type": "Catalog", "id": "R", "description": "-", "links": [{"rel": "child", "href": "./c.json"}]}
    documents = {"0": item("a.tif") | odd, "1": item("b.tif"), "c": told, "catalog": root}
    for name, document in documents.items():
        (tmp_path / f"{name}.json").write_text(json.dumps({"stac_version": "1.0.0", **document}))
    with pytest.warns(UserWarning, match=r"1 Items of C cannot be opened and are left out; the first is \./0"):
        found = gl.search("C", url=str(tmp_path / "catalog.json"), bbox=(0, 40, 5, 50), datetime="2021", cloud_cover=20)
    assert len(found) == 1
