"""The sample's Sentinel-2 products against GDAL, which nobody here wrote."""

from __future__ import annotations

import hashlib
import re
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import rasterio

from geodes_lab.sample import truth
from geodes_lab.sample.sentinel2 import l1c


def scene_of(path: Path) -> l1c.Scene:
    return next(s for s in l1c.scenes() if s.name == path.stem)


def test_summer_has_what_makes_archives_hard():
    scenes = l1c.scenes()
    assert len({s.time.date() for s in scenes}) >= 8
    assert {s.tile for s in scenes} == {"31TCJ", "31TDJ"}
    assert {s.offset for s in scenes} == {0, -1000}
    assert any(s.cloudiness > 0.5 for s in scenes)
    assert any(s.swath_edge for s in scenes)
    twice = [s for s in scenes if s.time.date() == datetime(2021, 7, 15, tzinfo=UTC).date() and s.tile == "31TCJ"]
    assert [(s.baseline, s.latest) for s in twice] == [("03.01", False), ("05.00", True)]


@pytest.mark.slow  # writes a product twice
@pytest.mark.thorough
def test_same_scene_gives_the_same_bytes(tmp_path):
    scene = l1c.scenes()[0]
    for name in ("a.zip", "b.zip"):
        l1c.write(scene, tmp_path / name)
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()


def test_members_are_stored_and_match_the_manifest(product):
    with zipfile.ZipFile(product) as archive:
        assert all(i.compress_type == zipfile.ZIP_STORED for i in archive.infolist())
        root = f"{product.stem}.SAFE/"
        manifest = ET.fromstring(archive.read(f"{root}manifest.safe"))
        listed = {
            e.get("href")[2:]: c.text
            for e, c in zip(manifest.iter("fileLocation"), manifest.iter("checksum"), strict=True)
        }
        assert {root + n for n in listed} == set(archive.namelist()) - {f"{root}manifest.safe"}
        for name, md5 in listed.items():
            assert hashlib.md5(archive.read(root + name)).hexdigest() == md5


@pytest.mark.parametrize("resolution", [10, 20, 60])
def test_gdal_reads_the_same_numbers_and_grid(sample, resolution):
    """GDAL's own Sentinel-2 driver finds every band from the XML; it applies no offset and sets no nodata."""
    path = next((sample / "datalake").glob("sentinel2-l1c/31/T/DJ/2021/08/14/*.zip"))
    scene = scene_of(path)
    with rasterio.open(
        f"SENTINEL2_L1C:/vsizip/{path}/{path.stem}.SAFE/MTD_MSIL1C.xml:{resolution}m:EPSG_32631"
    ) as file:
        names = [re.match(r"B\w+", d).group() for d in file.descriptions]
        assert file.transform.c == scene.origin[0]
        assert file.transform.f == scene.origin[1]
        assert file.transform.a == resolution
        for index, name in enumerate(names, 1):
            number = next(n for n, b in enumerate(l1c.BANDS) if b.name.replace("B0", "B") == name.replace("B0", "B"))
            np.testing.assert_array_equal(file.read(index), scene.numbers(number))
    assert len(names) == sum(b.resolution == resolution for b in l1c.BANDS)


def test_jpeg2000_has_esas_coding_parameters(product):
    """SIZ and COD as measured on ESA's files: LRCP, one layer, 5/3, five resolutions, one tile-part a tile, no TLM."""
    for band, (tile, block) in {"B04": (1024, 64), "B05": (640, 64), "B01": (192, 4)}.items():
        with zipfile.ZipFile(product) as archive:
            data = archive.read(next(n for n in archive.namelist() if n.endswith(f"_{band}.jp2")))
        main = data[data.index(b"\xff\x4f\xff\x51") : data.index(b"\xff\x90")]
        siz = main.index(b"\xff\x51")
        assert int.from_bytes(main[siz + 22 : siz + 26], "big") == tile
        cod = main[main.index(b"\xff\x52") + 4 :]
        assert cod[1] == 0, "progression LRCP"
        assert int.from_bytes(cod[2:4], "big") == 1, "one quality layer"
        assert cod[5] == 4, "four decompositions"
        assert 2 ** (cod[6] + 2) == block
        assert cod[9] == 1, "5/3 reversible"
        assert b"\xff\x55" not in main, "no TLM"
        size = l1c.PIXELS * 10 // {"B04": 10, "B05": 20, "B01": 60}[band]
        assert data.count(b"\xff\x90\x00\x0a") == (-(-size // tile)) ** 2


def test_swath_edge_leaves_no_data_and_clouds_are_bright():
    scene = next(s for s in l1c.scenes() if s.swath_edge and s.tile == "31TDJ")
    empty = scene.numbers(3) == 0
    assert 0.2 < empty.mean() < 0.9
    cloudy = next(s for s in l1c.scenes() if s.cloudiness > 0.5)
    opaque = truth.clouds(cloudy.time.date(), cloudy.cloudiness) > 0.9
    blue = truth.reflectance(0, 60, cloudy.time.date(), cloudiness=cloudy.cloudiness)
    assert blue[opaque].mean() > 2 * blue[truth.clouds(cloudy.time.date(), cloudy.cloudiness) == 0].mean()


def test_whole_sample_is_small(sample):
    assert sum(p.stat().st_size for p in sample.rglob("*") if p.is_file()) < 240e6
