"""Sentinel-2 without reading: what a name predicts, and what happens when the product is another than its name says."""

from __future__ import annotations

import pickle
import re
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import dask
import numpy as np
import pystac
import pytest
import rasterio
from rasterio.io import MemoryFile

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.products.sentinel2 import tile as sentinel2_tile
from geodes_lab.storage.traffic import traffic

SIDE = 1830


@pytest.fixture(scope="module")
def coastal() -> np.ndarray:
    """A whole tile at 60 m."""
    return np.random.default_rng(5).integers(1, 9000, (SIDE, SIDE), dtype=np.uint16)


@pytest.fixture(scope="module")
def whole(sample, tmp_path_factory, coastal):
    """A product as large as its tile, with two of its bands; its bucket is a mirror."""
    folder = tmp_path_factory.mktemp("mirror")
    original = next((sample / "datalake").glob("sentinel2-l1c/31/T/CJ/2021/08/04/*.zip"))
    options = {
        "driver": "JP2OpenJPEG",
        "width": SIDE,
        "height": SIDE,
        "count": 1,
        "dtype": "uint16",
        "crs": "EPSG:32631",
    }
    with MemoryFile() as memory:
        with memory.open(
            **options, transform=rasterio.Affine(60, 0, 300000, 0, -60, 4900020),
            QUALITY=100, REVERSIBLE="YES", BLOCKXSIZE=192, BLOCKYSIZE=192, RESOLUTIONS=5,
        ) as file:  # fmt: skip
            file.write(coastal, 1)
        data = memory.read()
    path = folder / "tiles" / original.name
    path.parent.mkdir()
    with zipfile.ZipFile(original) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            found = old.read(info)
            if info.filename.endswith("MTD_TL.xml"):
                found = _grown(found)
            elif info.filename.endswith("MTD_MSIL1C.xml"):
                found = re.sub(rb"<IMAGE_FILE>[^<]*_B(?!01|10)\w\w<\/IMAGE_FILE>", b"", found)
            elif info.filename.endswith(("_B01.jp2", "_B10.jp2")) and "IMG_DATA" in info.filename:
                found = data
            elif info.filename.endswith(".jp2") and "IMG_DATA" in info.filename:
                continue
            new.writestr(info, found)
    return path


def _grown(xml: bytes) -> bytes:
    """The metadata of a tile of full size, where its name says."""
    root = ET.fromstring(xml)
    for size in root.iter("Size"):
        for tag in ("NROWS", "NCOLS"):
            next(size.iter(tag)).text = str(109_800 // int(size.get("resolution")))
    for corner in root.iter("Geoposition"):
        next(corner.iter("ULX")).text, next(corner.iter("ULY")).text = "300000", "4900020"
    return ET.tostring(root)


def changed(whole: Path, to: Path, change) -> Path:
    """The product with its metadata changed, in a mirror of its own."""
    path = to / "tiles" / whole.name
    path.parent.mkdir()
    with zipfile.ZipFile(whole) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            new.writestr(info, change(info.filename, old.read(info)))
    return path


def catalogued(path: Path, bbox=(0.5, 43.3, 1.8, 44.2)) -> pystac.Item:
    """The product as a catalogue has it."""
    properties = {"identifier": path.stem, "product:type": "S2MSI1C", "start_datetime": "2021-08-04T10:50:31.024Z",
                  "end_datetime": "2021-08-04T10:50:31.024Z"}  # fmt: skip
    item = pystac.Item("urn:x", {"type": "Point", "coordinates": [1, 43.5]}, list(bbox), None, properties)
    item.add_asset("data", pystac.Asset(f"s3://tiles/{path.name}", media_type="application/zip", roles=["data"]))
    return item


@pytest.fixture
def mirrored(whole):
    with dask.config.set({"geodes_lab.datalake.mirror": str(whole.parents[1])}):
        yield whole


def test_names_predict_the_grids_of_real_granules(shared):
    """Both hemispheres, odd and even zones; the one that lies elsewhere is known."""
    differing, looked_at = set(), 0
    folder = shared / "sentinel2-metadata"
    for path in [*folder.rglob("*.xml"), *(shared / "sentinel2-safe-layouts").rglob("MTD_TL.xml")]:
        root = ET.parse(path).getroot()
        named = re.search(r"_T(\d\d[A-Z]{3})_", root.findtext(".//TILE_ID") or "")
        if named is None or root.find(".//Geoposition") is None or "FOO" in path.parts:  # that one is made up
            continue
        epsg, grids = sentinel2_tile.grids(named[1])
        corners = {
            int(e.get("resolution")): (float(e.findtext("ULX")), float(e.findtext("ULY")))
            for e in root.iter("Geoposition")
        }
        sizes = {
            int(e.get("resolution")): (int(e.findtext("NROWS")), int(e.findtext("NCOLS"))) for e in root.iter("Size")
        }
        same = root.findtext(".//HORIZONTAL_CS_CODE") == f"EPSG:{epsg}"
        same &= all(grids[r][0][2::3] == corners[r] and grids[r][1] == sizes[r] for r in corners)
        looked_at += 1
        differing |= set() if same else {named[1]}
    assert looked_at >= 20
    assert differing == {"34LBQ"}


@pytest.mark.parametrize("tile", ["31TIJ", "00TCJ", "61TCJ", "31ACJ", "31TCW", "31TZZ", "T31TCJ"])
def test_no_such_tile(tile):
    with pytest.raises(ValueError, match=r"not a tile|no column"):
        sentinel2_tile.grids(tile)


@pytest.mark.thorough
def test_a_cube_is_opened_without_reading(mirrored, coastal):
    before = traffic.requests
    cube = gl.open_cube([catalogued(mirrored)], bands=["coastal"])
    assert traffic.requests == before
    assert cube.coastal.odc.geobox.boundingbox[:4:3] == (300000, 4900020)
    assert (cube.offset.item(), cube.baseline.item()) == ("-0.1", "05.00")
    part = pickle.loads(pickle.dumps(cube.coastal[0, 900:1000, 900:1000])).compute(scheduler="sync")
    np.testing.assert_allclose(part, coastal[900:1000, 900:1000] / 1e4 - 0.1, atol=1e-6)
    told = gl.open_cube([products.unpack(catalogued(mirrored))], bands=["coastal"])
    assert cube.coastal.odc.geobox == told.coastal.odc.geobox
    assert cube.time.item() == told.time.item()


def test_a_mask_is_predicted_too(mirrored):
    hidden = gl.open_cube([catalogued(mirrored)], bands=["coastal"], mask="cloud", chunks=192)
    told = gl.open_cube([products.unpack(catalogued(mirrored))], bands=["coastal"], mask="cloud", chunks=192)
    assert hidden.sizes == told.sizes


def test_a_thousand_items_are_unpacked_without_reading(mirrored):
    item, before = catalogued(mirrored), traffic.requests
    made = [products.unpack(item, confirm=False) for _ in range(1000)]
    assert traffic.requests == before
    assert len(made[0].assets) == 13 + 3 + 5, "bands, clouds, angles"
    made[0].validate()


def test_what_was_predicted_can_be_confirmed(mirrored):
    predicted = products.unpack(catalogued(mirrored), confirm=False)
    told = products.unpack(predicted)
    assert "*" in predicted.assets["B01"].href
    with rasterio.open(told.assets["B01"].href) as file:
        assert file.shape == (SIDE, SIDE)
    assert "geodes:promise" not in told.assets["B01"].extra_fields


def test_another_place_than_its_name_says_stops(mirrored, tmp_path):
    moved = changed(
        mirrored, tmp_path, lambda n, d: d.replace(b">4900020<", b">4800000<") if n.endswith("MTD_TL.xml") else d
    )
    with dask.config.set({"geodes_lab.datalake.mirror": str(tmp_path)}):
        cube = gl.open_cube([catalogued(moved)], bands=["coastal"])
        with pytest.raises(
            gl.GeodesError, match=r"begins at \(300000.0, 4800000.0\), but its name means \(300000.0, 4900020.0\)"
        ):
            cube.coastal[0, :9, :9].compute(scheduler="sync")
        there = gl.open_cube([products.unpack(catalogued(moved))], bands=["coastal"])
        assert there.coastal.odc.geobox.transform[5] == 4800000


def test_another_place_that_the_catalogue_knows_is_read_at_once(mirrored, tmp_path):
    moved = changed(
        mirrored, tmp_path, lambda n, d: d.replace(b">4900020<", b">4800000<") if n.endswith("MTD_TL.xml") else d
    )
    with dask.config.set({"geodes_lab.datalake.mirror": str(tmp_path)}):
        cube = gl.open_cube([catalogued(moved, (0.5, 42.3, 1.8, 43.3))], bands=["coastal"])
        assert cube.coastal.odc.geobox.transform[5] == 4800000


def test_another_offset_than_its_baseline_says_stops(mirrored, tmp_path):
    other = changed(
        mirrored, tmp_path, lambda n, d: d.replace(b">-1000<", b">-7000<") if n.endswith("MTD_MSIL1C.xml") else d
    )
    with dask.config.set({"geodes_lab.datalake.mirror": str(tmp_path)}):
        cube = gl.open_cube([catalogued(other)], bands=["coastal"])
        with pytest.raises(gl.GeodesError, match=r"has the offset -0\.7, but its name means -0\.1: open it with"):
            cube.coastal[0, :9, :9].compute(scheduler="sync")
        told = gl.open_cube([products.unpack(catalogued(other))], bands=["coastal"])
        assert told.offset.item() == "-0.7"
        filled = gl.open_cube([catalogued(other)], bands=["coastal"], errors="fill").coastal[0, :9, :9]
        assert filled.isnull().all().compute(scheduler="sync")
