"""Sentinel-2 products of several tiles, in the layout before December 2016."""

from __future__ import annotations

import re
import zipfile
from pathlib import Path

import numpy as np
import pystac
import pytest

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.products.sentinel2.granules import granules

NAME = "S2A_OPER_PRD_MSIL1C_PDMC_20160804T211437_R051_V20160804T105031_20160804T105031"


@pytest.fixture(scope="module")
def old(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two tiles of one day in one product, as they were packed in 2016."""
    path = tmp_path_factory.mktemp("old") / f"{NAME}.zip"
    listed = []
    with zipfile.ZipFile(path, "w") as new:
        for tile in ("CJ", "DJ"):
            source = next((sample / f"datalake/sentinel2-l1c/31/T/{tile}/2021/08/04").glob("*.zip"))
            folder, stem = (
                f"S2A_OPER_MSI_L1C_TL_EPA__A031949_T31T{tile}_N05.00",
                f"S2A_OPER_MSI_L1C_TL_EPA__A031949_T31T{tile}",
            )
            with zipfile.ZipFile(source) as one:
                for info in one.infolist():
                    data, name = one.read(info), info.filename
                    if name.endswith("MTD_MSIL1C.xml"):
                        main = data.decode()
                        granule = re.search(r"(?s)<Granule .*?</Granule>", main)[0]
                        granule = re.sub(r"GRANULE/\S+/IMG_DATA/\w+_(B..)<", rf"{stem}_\1<", granule)
                        listed.append(granule.replace("IMAGE_FILE", "IMAGE_ID").replace("Granule", "Granules"))
                    elif name.endswith("MTD_TL.xml"):
                        new.writestr(f"{NAME}.SAFE/GRANULE/{folder}/S2A_OPER_MTD_L1C_TL_EPA__T31T{tile}.xml", data)
                    elif band := re.search(r"_(B..)\.jp2$", name):
                        part = "IMG_DATA" if "IMG_DATA" in name else "QI_DATA"
                        new.writestr(f"{NAME}.SAFE/GRANULE/{folder}/{part}/{stem}_{band[1]}.jp2", data)
        main = re.sub(r"(?s)<Granule .*</Granule>", "\n".join(listed), main)
        main = re.sub(r"<PRODUCT_URI>.*?</PRODUCT_URI>", f"<PRODUCT_URI>{NAME}.SAFE</PRODUCT_URI>", main)
        new.writestr(f"{NAME}.SAFE/S2A_OPER_MTD_SAFL1C_PDMC.xml", main)
    return path


def test_each_tile_has_the_pixels_of_the_product_that_it_was_made_of(old, sample):
    items = granules(old)
    assert [i.properties["grid:code"] for i in items] == ["MGRS-31TCJ", "MGRS-31TDJ"]
    for item, tile in zip(items, ("CJ", "DJ"), strict=True):
        source = next((sample / f"datalake/sentinel2-l1c/31/T/{tile}/2021/08/04").glob("*.zip"))
        mine, theirs = gl.open_product(item)["r20m"].rededge071, gl.open_product(source)["r20m"].rededge071
        np.testing.assert_array_equal(mine[:300, :300].values, theirs[:300, :300].values)
        np.testing.assert_array_equal(mine.x, theirs.x)
        unpacked = products.unpack(item)
        assert unpacked.id == f"{NAME}_T31T{tile}"
        assert unpacked.properties["grid:code"] == f"MGRS-31T{tile}"
        assert unpacked.properties["s2:datastrip_id"]


def test_a_cube_pastes_the_tiles(old):
    cube = gl.open_cube(granules(old), bands=["red"], resolution=60, resampling="average")
    assert cube.sizes["time"] == 1
    assert np.isfinite(cube.red.values).mean() > 0.5


def test_the_product_asks_which_tile(old):
    with pytest.raises(gl.GeodesError, match=r"contains 2 tiles \(31TCJ, 31TDJ\): choose from"):
        gl.open_product(old)
    with pytest.raises(gl.GeodesError, match="contains 2 tiles"):
        gl.open_cube([str(old)], bands=["red"])


def test_a_catalogue_that_names_the_tile_is_enough(old):
    item = products.as_item(old)
    item.properties["grid:code"] = "MGRS-31TDJ"
    assert products.unpack(item).id == f"{NAME}_T31TDJ"


def test_a_product_of_one_tile_is_itself(sample):
    product = next((sample / "datalake/sentinel2-l1c/31/T/CJ/2021/08/04").glob("*.zip"))
    assert [i.id for i in granules(product)] == [products.as_item(product).id]


def test_the_oldest_layout_of_others(shared):
    """As GDAL's own tests have it: no tile's number in the files of masks, and a satellite whose name has «2A» in it."""
    items = granules(next((shared / "sentinel2-safe-layouts" / "fake_l1c").glob("*.SAFE")))
    assert [i.properties["grid:code"] for i in items] == ["MGRS-32TQR", "MGRS-32TRQ"]
    unpacked = [products.unpack(i) for i in items]
    assert {u.properties["processing:level"] for u in unpacked} == {"L1C"}
    corners = [u.assets["B02"].extra_fields["proj:transform"][2::3] for u in unpacked]
    assert corners == [[699960.0, 5100060.0], [800000.0, 5000060.0]]
    assert all(isinstance(u, pystac.Item) and len(u.assets) == 13 + 5 for u in unpacked), "bands and angles"
