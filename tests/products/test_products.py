"""Families of products: band Items that any tool takes, metadata of real products, and families of others."""

from __future__ import annotations

import json
import zipfile
from importlib.metadata import EntryPoint
from xml.etree import ElementTree as ET

import numpy as np
import pystac
import pytest
import rasterio
import xarray as xr

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.products.sentinel2 import bands as sentinel2
from geodes_lab.sample.sentinel2 import l1c as generator


def test_product_opens_on_its_native_grids(on_disk):
    scene = gl.open_product(gl.search("PEPS_S2_L1C", datetime="2021-08-04")[0])
    assert isinstance(scene, xr.DataTree)
    assert sorted(scene.children) == ["angles", "r10m", "r20m", "r60m"]
    assert scene["r10m"].red.shape == (1320, 1320)
    assert scene["r60m"].coastal.shape == (220, 220)
    assert set(scene["r10m"].data_vars) == {"blue", "green", "red", "nir", "tci"}
    assert scene["r10m"].red.attrs["units"] == "1"
    assert scene["r10m"].red.attrs["offset_applied"] == -0.1
    assert scene.attrs["processing_baseline"] == "05.00"
    assert scene["r20m"].to_dataset().odc.geobox.resolution.x == 20


@pytest.mark.parametrize("day", ["2021-08-14", pytest.param("2021-06-05", marks=pytest.mark.slow)])  # 15 s each
@pytest.mark.thorough
def test_every_band_is_the_truth(on_disk, day):
    item = gl.search("PEPS_S2_L1C", datetime=day)[1]
    made = next(s for s in generator.scenes() if s.name == item.id)
    scene = gl.open_product(item)
    for number, band in enumerate(generator.BANDS):
        numbers = made.numbers(number).astype(float)
        want = np.where(numbers == 0, np.nan, (numbers + made.offset) / 10_000)
        got = scene[f"r{band.resolution}m"][band.common_name].compute(scheduler="sync")
        np.testing.assert_allclose(got.values, want, atol=1e-6)


def test_safe_folder_opens_as_its_zip(product, tmp_path):
    zipfile.ZipFile(product).extractall(tmp_path)
    folder = gl.open_product(tmp_path / f"{product.stem}.SAFE")
    assert folder.attrs["source"] == str(tmp_path / f"{product.stem}.SAFE")
    xr.testing.assert_identical(
        folder["r60m"].to_dataset().compute(), gl.open_product(product)["r60m"].to_dataset().compute()
    )


def test_renamed_zip_is_known_by_its_members(product, tmp_path):
    path = tmp_path / "mine.zip"
    path.write_bytes(product.read_bytes())
    assert gl.open_product(path).attrs["title"] == product.stem


def test_band_item_works_in_other_tools(on_disk):
    """rasterio opens the address as it is; odc-stac and stackstac find the grid where each looks for it."""
    item = products.unpack(gl.search("PEPS_S2_L1C", datetime="2021-08-04")[0])
    bare = item.clone()
    bare.stac_extensions = []  # the core schema alone: those of the extensions lie on the internet
    bare.validate()
    asset = item.assets["B8A"]
    with rasterio.open(asset.href) as file:
        assert list(file.transform)[:6] == asset.extra_fields["proj:transform"]
        assert list(file.shape) == asset.extra_fields["proj:shape"]
        assert f"EPSG:{file.crs.to_epsg()}" == asset.extra_fields["proj:code"]
    assert asset.extra_fields["raster:scale"] == asset.extra_fields["raster:bands"][0]["scale"] == 1e-4
    assert asset.extra_fields["raster:offset"] == asset.extra_fields["raster:bands"][0]["offset"] == -0.1
    assert (
        asset.extra_fields["bands"][0]["eo:common_name"] == asset.extra_fields["eo:bands"][0]["common_name"] == "nir08"
    )
    assert json.loads(json.dumps(item.to_dict()))["assets"]["B8A"]["gsd"] == 20


def test_band_item_goes_back_into_a_cube(on_disk):
    item = products.unpack(gl.search("PEPS_S2_L1C", datetime="2021-08-04")[0])
    again = gl.open_cube([item, item.to_dict()], bands=["red"], groupby="item")
    assert again.sizes["time"] == 1, "the same acquisition twice"


def test_real_metadata_of_two_baselines(shared):
    """The real XML of ESA products: offset and quantification where the product says them, none where it does not."""
    folder = shared / "sentinel2-metadata"
    old = folder / "S2A_MSIL1C_20210908T042701_N0301_R133_T46RER_20210908T070248.SAFE"
    new = next((shared / "sentinel2-safe-layouts" / "fake_l1c_processing_baseline_5_09").glob("*.SAFE"))
    item = products.unpack(new)
    assert item.properties["processing:version"] == "05.09"
    assert {a.extra_fields["raster:offset"] for a in item.assets.values() if "data" in a.roles} == {-0.1}
    assert item.assets["B02"].extra_fields["proj:shape"] == [10980, 10980]
    assert item.assets["B02"].extra_fields["proj:transform"] == [10.0, 0.0, 300000.0, 0.0, -10.0, 6100020.0]
    assert len(item.assets) == 13 + 3, "the bands, and three masks"
    root = ET.parse(old / "MTD_MSIL1C.xml").getroot()
    assert not list(root.iter("RADIO_ADD_OFFSET"))
    with pytest.raises(gl.GeodesError, match="none of the images"):  # its pixels were removed
        products.unpack(old)


def test_family_of_another_package(monkeypatch, tmp_path):
    """An entry point adds a family, and may take over a name of ours."""

    class Radar:
        @staticmethod
        def matches(item: pystac.Item) -> bool:
            return item.properties.get("product:type") == "MINE"

        @staticmethod
        def open(item: pystac.Item) -> xr.DataTree:
            return xr.DataTree(name=item.id)

    monkeypatch.setattr(EntryPoint, "load", lambda self: Radar)
    monkeypatch.setattr(
        products, "entry_points", lambda group: [EntryPoint("radar", "theirs:radar", group)] if group else []
    )
    products.families.cache_clear()
    try:
        item = pystac.Item(
            "x", None, None, None, {"product:type": "MINE", "start_datetime": None, "end_datetime": None}
        )
        assert gl.open_product(item).name == "x"
        assert list(products.families()) == ["radar", *products._OURS]
    finally:
        products.families.cache_clear()


def test_bands_are_those_of_esa():
    assert [b.name for b in sentinel2.BANDS][8] == "B8A"
    assert sorted({b.resolution for b in sentinel2.BANDS}) == [10, 20, 60]
    assert len({b.common_name for b in sentinel2.BANDS}) == 13
