"""Names of bands in Items and files of anybody: each band is had, or refused by name; a picture is never a band; none stands for another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.products.bands import RESERVED
from tests.support.examples import examples


def tif(path: Path, values: list[int], names: list[str] | None = None, dtype: str = "uint8", **options: Any) -> str:
    """A file of a band for each value, everywhere the same."""
    with rasterio.open(
        path, "w", driver="GTiff", width=8, height=8, count=len(values), dtype=dtype, crs="EPSG:32631",
        transform=Affine(10, 0, 500_000, 0, -10, 4_800_000), **options,
    ) as file:  # fmt: skip
        file.write(np.array(values, dtype)[:, None, None] * np.ones((1, 8, 8), dtype))
        for number, name in enumerate(names or [], 1):
            file.set_band_description(number, name)
    return str(path)


def item(assets: dict[str, Any]) -> dict[str, Any]:
    """An Item of assets, each a path or an asset's fields."""
    told = {k: {"href": a} if isinstance(a, str) else a for k, a in assets.items()}
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": "A", "stac_extensions": [], "geometry": None, "links": [],
        "properties": {"datetime": "2021-06-05T10:50:31Z"},
        "assets": {k: {"type": "image/tiff; application=geotiff", "roles": ["data"], **a} for k, a in told.items()},
    }  # fmt: skip


def eo(*names: tuple[str, str]) -> list[dict[str, str]]:
    return [{"name": n, "common_name": c} for n, c in names]


RGB = eo(("B04", "red"), ("B03", "green"), ("B02", "blue"))


def values(product: Any) -> dict[str, int]:
    """What a product's variables have, by name."""
    tree = gl.open_product(product)
    return {str(n): int(v.values[0, 0]) for g in tree.groups for n, v in tree[g].to_dataset().data_vars.items()}


def value(cube: Any, name: str) -> int:
    return int(cube[name].values[0, 0, 0])


@pytest.mark.parametrize(
    "told",
    [
        {"roles": ["visual"]},
        {"roles": ["overview"]},
        {"roles": ["thumbnail"]},
        {"roles": ["data", "visual"]},
        {"roles": ["data"]},
        {"roles": None},
    ],
)
@pytest.mark.parametrize("key", ["visual", "TCI", "TCI_10m", "preview", "visual-jp2"])
@pytest.mark.parametrize("is_first", [True, False])
def test_a_picture_is_never_a_band(tmp_path, told, key, is_first):
    red = {"href": tif(tmp_path / "r.tif", [50]), "eo:bands": RGB[:1]}
    picture = {"href": tif(tmp_path / "p.tif", [11, 12, 13]), "eo:bands": RGB, **told}
    assets = {key: picture, "sr": red} if is_first else {"sr": red, key: picture}
    for band in ("red", "B04", "sr"):
        assert value(gl.open_cube([item(assets)], bands=[band]), band) == 50
    cube = gl.open_cube([item(assets)], bands=["red", key])
    assert [value(cube, str(v)) for v in cube.data_vars] == [50, 11, 12, 13]
    with pytest.raises(gl.GeodesError, match=rf"has no band 'green'.* It has: .*{key}"):
        gl.open_cube([item(assets)], bands=["green"])


def test_a_picture_of_one_file_name_is_one(tmp_path):
    """Whose key says nothing, and whose file is ESA's true colour image."""
    assets = {
        "rgb": {"href": tif(tmp_path / "T31TCJ_20210605T105031_TCI_10m.tif", [11, 12, 13]), "eo:bands": RGB},
        "b4": {"href": tif(tmp_path / "b4.tif", [50]), "eo:bands": RGB[:1]},
    }
    assert value(gl.open_cube([item(assets)], bands=["red"]), "red") == 50


def test_an_orthophoto_of_four_bands_is_a_measure(tmp_path, shared):
    """NAIP's Item: one asset of red, green, blue and nir."""
    import json

    naip = json.loads((shared / "stac-api-pages" / "planetarycomputer_naip_page1.json").read_text())["features"][0]
    naip["links"] = []
    naip["assets"]["image"]["href"] = tif(tmp_path / "n.tif", [1, 2, 3, 4])
    cube = gl.open_cube([naip], bands=["red", "nir", "Green"])
    assert [value(cube, n) for n in ("red", "nir", "Green")] == [1, 4, 2]
    assert list(gl.open_cube([naip], bands=["image"]).data_vars) == ["Red", "Green", "Blue", "NIR"]


def test_an_unknown_name_lists_those_that_are_there(tmp_path):
    assets = {
        "b4": {"href": tif(tmp_path / "b4.tif", [50]), "eo:bands": RGB[:1]},
        "visual": tif(tmp_path / "v.tif", [1, 2, 3]),
        "metadata": {"href": "x.xml", "type": "application/xml", "roles": ["metadata"]},
    }
    with pytest.raises(gl.GeodesError, match=r"has no band 'rde'; did you mean 'red'\? It has: b4, visual, B04, red\."):
        gl.open_cube([item(assets)], bands=["rde"])


def test_bands_that_are_called_alike_are_all_there(tmp_path):
    path = tif(tmp_path / "same.tif", [1, 2, 3], ["reflectance"] * 3)
    assert values(path) == {"data_1": 1, "data_2": 2, "data_3": 3}
    with pytest.raises(gl.GeodesError, match="several bands 'reflectance': ask for one of data_1, data_2, data_3"):
        gl.open_cube([item({"data": path})], bands=["reflectance"])
    assert value(gl.open_cube([item({"data": path})], bands=["data_2"]), "data_2") == 2


@pytest.mark.parametrize("is_told", [True, False])
def test_two_assets_whose_bands_are_called_alike(tmp_path, is_told):
    """In the Item, or in the files alone."""
    names = {"eo:bands": [{"name": "B1"}, {"name": "B2"}]} if is_told else {}
    inside = None if is_told else ["B1", "B2"]
    assets = {
        "sr": {"href": tif(tmp_path / "sr.tif", [1, 2], inside), **names},
        "qa": {"href": tif(tmp_path / "qa.tif", [8, 9], inside), **names},
    }
    assert values(item(assets)) == {"sr_B1": 1, "sr_B2": 2, "qa_B1": 8, "qa_B2": 9}
    with pytest.raises(gl.GeodesError, match="several bands 'B1': ask for one of sr_B1, qa_B1"):
        gl.open_cube([item(assets)], bands=["B1"])
    for name, want in (("sr_B1", 1), ("qa_B2", 9), ("qa_2", 9)):
        assert value(gl.open_cube([item(assets)], bands=[name]), name) == want


def test_a_band_and_an_asset_that_are_called_alike(tmp_path):
    assets = {"red": tif(tmp_path / "r.tif", [5]), "stack": tif(tmp_path / "s.tif", [1, 2], ["red", "nir"])}
    assert values(item(assets)) == {"red": 5, "stack_red": 1, "nir": 2}
    cube = gl.open_cube([item(assets)], bands=["red", "stack_red", "nir"])
    assert [value(cube, n) for n in ("red", "stack_red", "nir")] == [5, 1, 2]


@pytest.mark.parametrize("name", RESERVED)
def test_bands_that_are_called_as_coordinates_have_another_name(tmp_path, name):
    one = item({name: tif(tmp_path / "a.tif", [5])})
    how: dict[str, Any] = {"errors": "fill"} if name == "quality" else {}
    with pytest.raises(gl.GeodesError, match=f"'{name}' is already the name of a .* of a cube: .* as 'band_{name}'"):
        gl.open_cube([one], bands=[name], **how)
    assert value(gl.open_cube([one], bands=[f"band_{name}"], **how), f"band_{name}") == 5
    assert values(one) == {f"band_{name}": 5}
    several = tif(tmp_path / "b.tif", [1, 2], [name, "other"])
    assert values(several) == {f"band_{name}": 1, "other": 2}
    assert value(gl.open_cube([item({"s": several})], bands=[f"band_{name}"]), f"band_{name}") == 1


def test_a_band_of_quality_is_had_where_nothing_else_is_called_so(tmp_path):
    assert value(gl.open_cube([item({"quality": tif(tmp_path / "a.tif", [5])})], bands=["quality"]), "quality") == 5


def test_names_that_no_variable_of_a_tree_has(tmp_path):
    path = tif(tmp_path / "a.tif", [1, 2, 3], ["wind [m/s]", "NDVI/EVI", "NDVI_EVI"])
    assert values(path) == {"wind [m_s]": 1, "NDVI_EVI_": 2, "NDVI_EVI": 3}
    tree = gl.open_product(path)
    assert tree["r10m"]["wind [m_s]"].attrs["long_name"] == "wind [m/s]"
    cube = gl.open_cube([item({"a": path})], bands=["wind [m/s]", "NDVI/EVI", "NDVI_EVI"])
    assert [value(cube, str(n)) for n in cube.data_vars] == [1, 2, 3]
    with pytest.raises(gl.GeodesError, match=r"'wind \[m/s\]' has a slash in its name, .* such as with cube.rename"):
        gl.save(cube, tmp_path / "o.zarr")
    saved = gl.save(cube.rename({"wind [m/s]": "wind [m_s]", "NDVI/EVI": "other"}), tmp_path / "o.zarr")
    assert [value(saved, str(n)) for n in ("wind [m_s]", "other", "NDVI_EVI")] == [1, 2, 3]


def test_a_band_item_keeps_its_names(tmp_path):
    """Unpacked, written down, and opened again: each band is the one of the file that it was."""
    path = tif(tmp_path / "s.tif", [1, 2, 3], ["a", "b", "b"])
    unpacked = products.unpack(item({"s": path}))
    for again in (unpacked, unpacked.to_dict(), products.unpack(unpacked)):
        cube = gl.open_cube([again], bands=["a", "s_2", "s_3"])
        assert [value(cube, n) for n in ("a", "s_2", "s_3")] == [1, 2, 3]
        assert list(gl.open_cube([again], bands=["s"]).data_vars) == ["a", "s_2", "s_3"]


def test_a_name_that_is_a_coordinates_beside_its_own(tmp_path):
    """``x`` is had as ``band_x``, unless another band is called so; the sentence names the one that gives it."""
    path = tif(tmp_path / "s.tif", [1], ["a"])
    two = item({"x": path, "band_x": tif(tmp_path / "t.tif", [2], ["b"])})
    with pytest.raises(gl.GeodesError, match="as 'band_x_'"):
        gl.open_cube([two], bands=["x"])
    cube = gl.open_cube([two], bands=["band_x_", "band_x"])
    assert [value(cube, n) for n in ("band_x_", "band_x")] == [1, 2]
    assert set(values(two).values()) == {1, 2}
    with pytest.raises(gl.GeodesError, match="as 'band_x'"):
        gl.open_cube([item({"x": path})], bands=["x"])


words = st.sampled_from(["B1", "red", "x", "time", "a/b", "a_b", "", "s", "s_1", "s_red", "band_x", "é", "quality"])


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    first=st.lists(words, min_size=1, max_size=4),
    second=st.lists(words, min_size=1, max_size=4),
    keys=st.tuples(words, words),
)
@pytest.mark.thorough
def test_no_band_is_lost_whatever_they_are_called(tmp_path, first, second, keys):
    one, other = (k or "k" for k in keys)
    if one == other:
        other += "2"
    numbers = list(range(1, len(first) + 1)), list(range(11, len(second) + 11))
    paths = tif(tmp_path / "f.tif", numbers[0], first), tif(tmp_path / "g.tif", numbers[1], second)
    several = item({one: paths[0], other: paths[1]})
    found = values(several)
    assert sorted(found.values()) == [*numbers[0], *numbers[1]]
    for name, want in found.items():
        try:
            cube = gl.open_cube([several], bands=[name])
        except gl.GeodesError:
            continue
        assert value(cube, str(next(iter(cube.data_vars)))) == want or len(cube.data_vars) > 1, name
