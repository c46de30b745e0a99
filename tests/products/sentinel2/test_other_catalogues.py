"""Sentinel-2 in Items of other catalogues, an asset per band: real Items of each, whose files are small ones of known numbers."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.products.sentinel2 import other_catalogues

SIZE = 8
NUMBERS = np.full((SIZE, SIZE), 1500, np.uint16)
NUMBERS[0] = 0


def placed(
    item: dict[str, Any], folder: Path, keys: dict[str, np.ndarray], nodata: float | None = None
) -> dict[str, Any]:
    """A catalogue's Item, some of whose assets are small files here; all else stays as the catalogue has it."""
    item = json.loads(json.dumps(item)) | {"links": []}  # its own address is on a server: a path would be one there
    code = item["properties"].get("proj:epsg") or item["assets"][next(iter(keys))]["proj:code"].removeprefix("EPSG:")
    for key, numbers in keys.items():
        asset = item["assets"][key]
        bands = numbers if numbers.ndim == 3 else numbers[None]
        suffix = ".jp2" if "jp2" in asset["type"] else ".tif"
        path = folder / f"{item['id']}-{key}{suffix}"
        shape = {"count": bands.shape[0], "height": bands.shape[1], "width": bands.shape[2], "dtype": bands.dtype}
        with rasterio.open(
            path,
            "w",
            driver="GTiff",
            crs=f"EPSG:{code}",
            transform=Affine(*asset["proj:transform"][:6]),
            nodata=nodata,
            **shape,
        ) as file:
            file.write(bands)
        asset["href"] = str(path)
    return item


def of(shared: Path, name: str, number: int = 0) -> dict[str, Any]:
    told = json.loads((shared / name).read_text())
    return told["features"][number] if "features" in told else told


PLANETARY = "stac-api-pages/planetarycomputer_sentinel-2-l2a_33items.json"
V0 = "stac-api-pages/earthsearch_v0_sentinel-s2-l2a-cogs_1item.json"
V1 = "sentinel2-l2a-33TWL/sentinel2/stac_items/S2A_12RWT_20240106_0_L2A/S2A_12RWT_20240106_0_L2A.json"
V1_NOT_APPLIED = "sentinel2-l2a-33TWL/sentinel2/stac_items/S2B_33TWN_20220226_0_L2A"
V1_OLD = "sentinel2-l2a-33TWL/sentinel2/stac_items/S2A_33TWN_20210629_0_L2A"
SINERGISE = "sentinel2-l2a-33TWL/sentinel2/stac_items/S2A_OPER_MSI_L2A_TL_2APS_20230602T025701_A041483_T01WCR.json"
CDSE = "cdse/stac-items/sentinel-2-l1c/example/S2A_MSIL1C_20240116T000741_N0510_R130_T51CVP_20240116T010505.json"


def renewed(item: dict[str, Any]) -> dict[str, Any]:
    """As Planetary Computer has the products since January 2022: numbers 1000 higher, and a baseline that says so."""
    text = json.dumps(item).replace("N0212", "N0510").replace("N02.12", "N05.10").replace('"02.12"', '"05.10"')
    return json.loads(text)


@pytest.mark.parametrize(
    ("name", "key", "want"),
    [
        (PLANETARY, "B04", 0.15),  # 02.12, nothing told of scale and offset
        (f"{PLANETARY} 05.10", "B04", 0.05),
        ("odc-stac-items/S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531.json", "B04", 0.15),
        ("odc-stac-items/S2B_MSIL2A_20190629T212529_R043_T06VVN_20201006T080531_raster_ext.json", "B04", 0.15),
        (V0, "B04", 0.15),  # 05.11, sentinel:boa_offset_applied
        (V1, "red", 0.15),  # 05.10, earthsearch:boa_offset_applied and an offset of -0.1
        (V1, "red-jp2", 0.05),  # ESA's file beside it, as ESA made it
        (V1_NOT_APPLIED, "red", 0.05),  # 04.00, not applied
        (V1_OLD, "red", 0.15),  # 03.00
        (SINERGISE, "red", 0.05),  # 05.09, sentinel2:processing_baseline
        (CDSE, "B04", 0.05),  # L1C 05.10, raster:scale and raster:offset of STAC 1.1
    ],
)
def test_one_reflectance_from_every_catalogue(shared, tmp_path, name, key, want):
    path, _, new = name.partition(" ")
    item = of(shared, path)
    item = placed(renewed(item) if new else item, tmp_path, {key: NUMBERS})
    cube = gl.open_cube([item], bands=[key])
    assert cube[key].dtype == np.float32
    np.testing.assert_allclose(cube[key].values[0, 1:], want, atol=1e-6)
    assert np.isnan(cube[key].values[0, 0]).all(), "0 is no data, whether the file says so or not"
    assert cube[key].attrs["units"] == "1"


def test_what_the_catalogue_does_not_tell_is_said(shared, tmp_path):
    new = placed(renewed(of(shared, PLANETARY)), tmp_path, {"B04": NUMBERS})
    cube = gl.open_cube([new], bands=["red"])
    assert any("-0.1" in s and "baseline 05.10" in s for s in cube.attrs["assumed"])
    assert cube.baseline.values[0] == "05.10"
    assert float(cube.offset.values[0]) == -0.1
    told = placed(of(shared, CDSE), tmp_path, {"B04": NUMBERS})
    assert "assumed" not in gl.open_cube([told], bands=["red"]).attrs
    doubtful = placed(of(shared, V1_NOT_APPLIED), tmp_path, {"red": NUMBERS})
    assert "For some of its Items this is wrong" in gl.open_cube([doubtful], bands=["red"]).attrs["assumed"][0]


def test_two_baselines_are_one_reflectance(shared, tmp_path):
    """Of one surface: the numbers since 04.00 are 1000 higher, the reflectance is not."""
    old = of(shared, PLANETARY)
    new = renewed(of(shared, PLANETARY, 1))
    cube = gl.open_cube(
        [placed(old, tmp_path, {"B04": NUMBERS}), placed(new, tmp_path, {"B04": np.where(NUMBERS, NUMBERS + 1000, 0).astype("uint16")})],
        bands=["B04"], groupby="item", crs="EPSG:32660", resolution=10,
    )  # fmt: skip
    assert cube.sizes["time"] == 2
    for one in cube.B04.values:
        np.testing.assert_allclose(one[np.isfinite(one)], 0.15, atol=1e-6)


def test_names_are_the_same_everywhere(shared, tmp_path):
    """``B04`` and ``red``, ``B05`` and ``rededge071``: whatever a catalogue calls its assets."""
    for name, keys in (
        (PLANETARY, ("B04", "B05")),
        (V0, ("B04", "B05")),
        (V1, ("red", "rededge1")),
        (CDSE, ("B04", "B05")),
    ):
        item = of(shared, name)
        for band, asset in (("B04", keys[0]), ("red", keys[0]), ("B05", keys[1]), ("rededge071", keys[1])):
            assert band in gl.open_cube([placed(item, tmp_path, {asset: NUMBERS})], bands=[band])


def test_of_several_resolutions_the_finest_has_the_name(shared, tmp_path):
    item = of(shared, SINERGISE)
    coarse = NUMBERS + 300
    item = placed(item, tmp_path, {"red": NUMBERS, "red_20m": coarse, "red_60m": coarse})
    for band, want in (("red", 0.05), ("B04", 0.05), ("red_20m", 0.08)):
        cube = gl.open_cube([item], bands=[band])
        np.testing.assert_allclose(np.nanmax(cube[band].values), want, atol=1e-6)


def test_optical_thickness_and_classes_are_no_reflectance(shared, tmp_path):
    scl = np.full((SIZE, SIZE), 8, np.uint8)
    scl[:2] = 4
    item = placed(renewed(of(shared, PLANETARY)), tmp_path, {"B04": NUMBERS, "AOT": NUMBERS, "SCL": scl})
    thickness = gl.open_cube([item], bands=["AOT"])
    np.testing.assert_allclose(thickness.AOT.values[0, 1:], 1.5, atol=1e-6)
    classes = gl.open_cube([item], bands=["SCL"], resampling="average", resolution=80)
    assert classes.SCL.dtype == np.uint8
    assert set(np.unique(classes.SCL)) <= {0, 4, 8}
    masked = gl.open_cube([item], bands=["B04"], mask={"SCL": [8, 9]})
    np.testing.assert_array_equal(np.isfinite(masked.B04.values[0]).all(1), [False, *[True] * 3, *[False] * 4])
    assert (
        products.unpack(item, ["SCL"]).assets["SCL"].extra_fields["classification:classes"][8]["name"]
        == "cloud_medium_probability"
    )


def test_without_a_baseline_the_numbers_stay_and_it_is_said(shared, tmp_path):
    item = placed(of(shared, PLANETARY), tmp_path, {"B04": NUMBERS})
    p = item["properties"]
    for name in ("s2:processing_baseline", "s2:product_uri"):
        del p[name]
    item["id"] = "S2A_MSIL2A_20190101T000001_R116_T60VUK_20201007T214652"
    cube = gl.open_cube([item], bands=["B04"])
    assert cube.B04.values[0, 1, 0] == 1500
    assert "neither an offset nor the processing baseline" in cube.attrs["assumed"][0]
    assert cube.B04.attrs["units"] == "count"
    other = placed(of(shared, PLANETARY, 1), tmp_path, {"B04": NUMBERS})
    with pytest.raises(
        gl.GeodesError, match=r"B04 of S2A\S+ is in 1, B04 of S2\S+ in count.*cannot be in one variable"
    ):
        gl.open_cube([item, other], bands=["B04"], crs="EPSG:32660", resolution=10)


def test_products_of_users_tell_no_offset(shared, tmp_path):
    """Baseline 99.99: Sen2Cor on one's own machine, with the offset of its input or without."""
    item = renewed(of(shared, PLANETARY))
    item = json.loads(json.dumps(item).replace("05.10", "99.99").replace("N0510", "N9999"))
    cube = gl.open_cube([placed(item, tmp_path, {"B04": NUMBERS})], bands=["B04"])
    assert cube.B04.attrs["units"] == "count"


def test_what_is_no_integer_of_esa_is_left_alone(shared, tmp_path):
    """A reflectance as floats, a difference as signed integers: no offset is put upon them."""
    for numbers in (NUMBERS.astype("float32") / 1e4, NUMBERS.astype("int16")):
        item = placed(renewed(of(shared, PLANETARY)), tmp_path, {"B04": numbers})
        cube = gl.open_cube([item], bands=["B04"])
        np.testing.assert_allclose(cube.B04.values[0, 1:], numbers[1:], rtol=1e-6)


@pytest.mark.parametrize("dtype", ["int16", "uint8"])
def test_integers_that_are_not_esas_are_said(shared, tmp_path, dtype):
    item = placed(renewed(of(shared, PLANETARY)), tmp_path, {"B04": (NUMBERS // 10).astype(dtype)})
    assert f"ESA's own are not {dtype}" in gl.open_cube([item], bands=["B04"]).attrs["assumed"][0]


@pytest.mark.parametrize(
    ("told", "want"),
    [("04.00", "04.00"), ("N0400", "04.00"), ("N04.00", "04.00"), ("0400", "04.00"), (400, "04.00"), (4.0, "04.00"), (4, "04.00"), ("4.0", "04.00"), (5.1, "05.10"), (5.09, "05.09"), (3.01, "03.01"), ("03.01", "03.01"), (9999, "99.99")],
)  # fmt: skip
def test_baselines_however_they_are_written(told, want):
    item = pystac.Item("a", None, None, datetime(2022, 3, 1, tzinfo=UTC), {"s2:processing_baseline": told})
    assert other_catalogues.baseline(item) == want


@pytest.mark.parametrize("told", ["", "none", "1.2.3", "04.00.1", True, [4], "４.０"])
def test_what_is_no_baseline(told):
    item = pystac.Item("S2A_MSIL2A_20220301T000000_N0300_R001_T31TCJ_20220301T010101", None, None, datetime(2022, 3, 1, tzinfo=UTC), {"s2:processing_baseline": told})  # fmt: skip
    assert other_catalogues.baseline(item) == "03.00"


def test_versions_of_others_are_no_baselines():
    item = pystac.Item("a", None, None, datetime(2022, 3, 1, tzinfo=UTC), {"processing:version": "4.0"})
    assert other_catalogues.baseline(item) is None


@pytest.mark.parametrize("told", [1, "1", 1.0, "True", True])
def test_an_offset_applied_is_told_in_many_words(shared, tmp_path, told):
    item = placed(of(shared, V1), tmp_path, {"red": NUMBERS})
    item["properties"]["earthsearch:boa_offset_applied"] = told
    np.testing.assert_allclose(gl.open_cube([item], bands=["red"]).red.values[0, 1:], 0.15, atol=1e-6)


def test_an_offset_applied_that_is_not_understood(shared, tmp_path):
    item = placed(of(shared, V1), tmp_path, {"red": NUMBERS})
    item["properties"]["earthsearch:boa_offset_applied"] = "perhaps"
    with pytest.raises(gl.GeodesError, match="boa_offset_applied 'perhaps', which is neither true nor false"):
        gl.open_cube([item], bands=["red"])


def test_a_product_opens_with_its_pictures(shared, tmp_path):
    item = of(shared, PLANETARY)
    picture = np.stack([np.full((SIZE, SIZE), n, np.uint8) for n in (11, 12, 13)])
    item["assets"] = {k: a for k, a in item["assets"].items() if k in ("B04", "SCL", "visual", "product-metadata")}
    item = placed(item, tmp_path, {"B04": NUMBERS, "SCL": NUMBERS.astype("uint8"), "visual": picture})
    scene = gl.open_product(item)
    assert set(scene["r10m"].data_vars) == {"B04", "visual_B04", "visual_B03", "visual_B02"}
    assert set(scene["r20m"].data_vars) == {"SCL"}
    assert scene.attrs["assumed"]


def test_a_band_item_of_it_goes_back_into_a_cube(shared, tmp_path):
    item = placed(renewed(of(shared, PLANETARY)), tmp_path, {"B04": NUMBERS})
    unpacked = products.unpack(item, ["red"])
    for again in (unpacked, unpacked.to_dict()):
        cube = gl.open_cube([again], bands=["red"])
        np.testing.assert_allclose(cube.red.values[0, 1:], 0.05, atol=1e-6)


def test_cdse_is_read_band_by_band_beside_its_zip(shared, tmp_path):
    item = placed(of(shared, CDSE), tmp_path, {"B04": NUMBERS})
    assert "Product" in item["assets"]
    assert products.unpack(item, ["B04"]).assets["B04"].href.endswith("-B04.jp2")


def test_a_reprocessed_product_replaces_the_old_one(shared, tmp_path):
    """As Planetary Computer has both: one acquisition, two baselines."""
    old = of(shared, PLANETARY)
    new = renewed(old)
    new["id"] = new["id"].replace("20201007T214652", "20230401T000000")
    items = [placed(i, tmp_path, {"B04": NUMBERS}) for i in (old, new)]
    cube = gl.open_cube(items, bands=["B04"])
    assert cube.attrs["superseded"] == [old["id"]]


def test_a_file_of_several_bands(shared, tmp_path):
    """As people stack them: each band by its name, or, where nothing names it, its numbers with a sentence on them."""
    item = renewed(of(shared, PLANETARY))
    asset = item["assets"]["B04"] | {
        "eo:bands": [{"name": "B04"}, {"name": "x", "common_name": "nir"}, {"name": "other"}]
    }
    item["assets"] = {"stack": asset}
    item = placed(item, tmp_path, {"stack": np.stack([NUMBERS, NUMBERS + 1000, NUMBERS])})
    cube = gl.open_cube([item], bands=["red", "nir", "other"])
    for name, want in (("red", 0.05), ("nir", 0.15), ("other", 1500)):
        np.testing.assert_allclose(cube[name].values[0, 1:], want, atol=1e-6)
    assert any("Stored numbers of other" in s for s in cube.attrs["assumed"])
    assert any("-0.1" in s for s in cube.attrs["assumed"])


def test_an_item_of_geodes_is_a_product(shared):
    """A zip and pictures: no asset is a band."""
    from geodes_lab.catalog import truthful
    from geodes_lab.products.sentinel2 import other_catalogues, safe

    page = json.loads((shared / "geodes" / "search_response_PEPS_S2_L1C_eodag_test.json").read_text())
    for told in page["features"]:
        item = truthful(pystac.Item.from_dict(told))
        assert products.family_of(item) is safe
        assert other_catalogues.bands(item) == {}
