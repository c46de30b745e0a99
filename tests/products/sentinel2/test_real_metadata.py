"""The real metadata of Sentinel-2 products of many baselines, beside the Items that others made of them."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from xml.etree import ElementTree as ET

import pystac
import pytest

from geodes_lab import products

NAMES = [
    "S2A_MSIL1C_20200717T221941_R029_T01LAC_20200717T234135",
    "S2A_MSIL1C_20210908T042701_N0301_R133_T46RER_20210908T070248",
    "S2A_MSIL2A_20190212T192651_N0212_R013_T07HFE_20201007T160857",
    "S2A_MSIL2A_20230625T234621_N0509_R073_T01WCP_20230626T022157",
    "S2A_MSIL2A_20230625T234621_N0509_R073_T01WCS_20230626T022157",
    "S2A_MSIL2A_20230821T221941_N0509_R029_T01KAB_20230822T021825",
    "S2B_MSIL2A_20191228T210519_N0212_R071_T01CCV_20201003T104658",
    "S2B_MSIL2A_20220413T150759_N0400_R025_T33XWJ_20220414T082126",
    "esa_S2B_MSIL2A_20210122T133229_N0214_R081_T22HBD_20210122T155500",
]


def packed(folder: Path, to: Path) -> Path:
    """The metadata of a product in a zip, and an empty file for each image that they list: nothing reads one."""
    name = folder.name.removeprefix("esa_")
    path = to / f"{name.removesuffix('.SAFE')}.zip"
    with zipfile.ZipFile(path, "w") as file:
        for member in [*folder.glob("MTD_MSI*.xml"), *folder.glob("GRANULE/*/MTD_TL.xml")]:
            file.write(member, f"{name}/{member.relative_to(folder)}")
        for element in ET.parse(next(folder.glob("MTD_MSI*.xml"))).iter():
            if element.tag in ("IMAGE_FILE", "IMAGE_FILE_2A"):
                file.writestr(f"{name}/{element.text}.jp2", b"")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_band_item_agrees_with_that_of_others(shared, tmp_path, name):
    folder = shared / "sentinel2-metadata" / f"{name}.SAFE"
    expected = json.loads((folder / "expected_output.json").read_text())
    item = products.unpack(packed(folder, tmp_path))
    item.validate()
    wanted = expected["properties"]
    code = wanted.get("proj:code") or f"EPSG:{wanted['proj:epsg']}"
    assert item.properties["proj:code"] == code
    assert item.properties["platform"] == wanted["platform"]
    assert item.properties["processing:version"] == wanted["s2:processing_baseline"]
    assert item.properties["grid:code"] == wanted["grid:code"]
    assert item.datetime == pystac.utils.str_to_datetime(wanted["datetime"])
    compared = 0
    for key, asset in expected["assets"].items():
        mine = _same(item, key, asset)
        if mine is None or "raster:bands" not in asset:
            continue
        fields, band = mine.extra_fields, asset["raster:bands"][0]
        assert fields["proj:shape"] == asset["proj:shape"]
        assert fields["proj:transform"] == asset["proj:transform"]
        assert fields["nodata"] == band["nodata"]
        if "classification:classes" not in band:
            assert fields["raster:scale"] == band["scale"]
            assert fields["raster:offset"] == pytest.approx(band["offset"])
        compared += 1
    assert compared >= 13


def _same(item: pystac.Item, key: str, theirs: dict) -> pystac.Asset | None:
    """Our asset of the same image: by the end of its name, whatever format theirs was turned into."""
    name = Path(theirs["href"]).stem
    return next((a for a in item.assets.values() if a.href.endswith(f"/{name}.jp2")), None)


def test_an_offset_of_its_own(shared, tmp_path):
    """T34LBQ adds −7000, not −1000, and lies 100 km from where its name says."""
    folder = shared / "sentinel2-metadata" / "S2A_OPER_MSI_L2A_TL_VGS1_20220401T110010_A035382_T34LBQ"
    name = "S2A_MSIL2A_20220401T083601_N0400_R064_T34LBQ_20220401T110010.SAFE"
    path = tmp_path / "x.zip"
    granule = "L2A_T34LBQ_A035382_20220401T090142"
    with zipfile.ZipFile(path, "w") as file:
        file.write(folder / "product_metadata.xml", f"{name}/MTD_MSIL2A.xml")
        file.write(folder / "metadata.xml", f"{name}/GRANULE/{granule}/MTD_TL.xml")
        for element in ET.parse(folder / "product_metadata.xml").iter("IMAGE_FILE"):
            file.writestr(f"{name}/{element.text}.jp2", b"")
    item = products.unpack(path)
    assert item.assets["B04"].extra_fields["raster:offset"] == -0.7
    assert item.assets["B04"].extra_fields["proj:transform"][5] == 8900020
    assert item.assets["AOT"].extra_fields["raster:scale"] == 1e-3
    assert {"B02", "B02_20m", "B02_60m", "SCL", "SCL_60m", "AOT", "WVP"} <= set(item.assets)


def test_the_first_layout_of_level_2a(shared, tmp_path):
    """Of 2017, whose tags have other names."""
    folder = next((shared / "sentinel2-safe-layouts" / "fake_l2a_MSIL2Ap").glob("*.SAFE"))
    item = products.unpack(packed(folder, tmp_path))
    assert item.id == "S2A_MSIL2A_20170823T094031_N0205_R036_T34VFJ_20170823T094252"
    assert item.properties["processing:level"] == "L2A"
    assert item.assets["B04"].extra_fields["raster:scale"] == 1e-4
    assert item.assets["WVP"].extra_fields["raster:scale"] == 1e-3
