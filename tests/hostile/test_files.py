"""XML, masks, zips, folders and results made by an attacker; and whole products, damaged as `make fuzz-products` damages them."""

from __future__ import annotations

import gzip
import io
import struct
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from rasterio.features import rasterize

import geodes_lab as gl
from geodes_lab.archive.archive import Archive
from geodes_lab.errors import NotUnderstood
from geodes_lab.formats import gml as formats_gml
from geodes_lab.products import as_item
from geodes_lab.util import xml as util_xml
from tests.fuzz_products import Fuzz
from tests.support.products.hostile import band_item, gl_source
from tests.support.products.mutations import vrt

pytestmark = pytest.mark.attack


XML = {
    "attributes": lambda: b"<a " + b" ".join(b'b%d=""' % n for n in range(2_200_000)) + b"/>",
    "punycode": lambda: b'<?xml version="1.0" encoding="punycode"?><a>' + b"a" * 4_000_000 + b"-</a>",
    "escapes": lambda: b'<?xml version="1.0" encoding="Unicode_Escape"?><a/>',
    "by default": lambda: (
        b'<!DOCTYPE a [<!ATTLIST b c CDATA "' + b"x" * 10_000 + b'">]><a>' + b"<b/>" * 100_000 + b"</a>"
    ),
    "by default, in UTF-16": lambda: "<!DOCTYPE a [<!ATTLIST b c CDATA 'x'>]><a><b/></a>".encode("utf-16"),
    "namespace": lambda: b'<a xmlns:p="' + b"x" * 100_000 + b'">' + b"<p:b/>" * 100_000 + b"</a>",
    "namespace of all": lambda: b"<a xmlns = '" + b"x" * 301 + b"'/>",
}


@pytest.mark.parametrize("what", XML)
def test_xml_that_takes_more_than_any(what):
    with pytest.raises(
        ValueError, match=r"more attributes|encoding|declares entities or attributes|a longer namespace"
    ):
        util_xml.parsed(XML[what]())


def test_xml_that_is_deep_and_long():
    root = util_xml.parsed(b"<a>" * 900_000 + b"</a>" * 900_000)
    assert sum(1 for _ in root.iter()) == 900_000
    del root


def gml(rings: str) -> bytes:
    return (
        '<m xmlns:gml="http://www.opengis.net/gml/3.2" xmlns:eop="http://www.opengis.net/eop/2.0"><eop:MaskFeature>'
        f"<eop:maskType>OPAQUE</eop:maskType><gml:Polygon>{rings}</gml:Polygon></eop:MaskFeature></m>"
    ).encode()


def test_mask_that_crosses_itself_everywhere(tmp_path):
    """Mending takes the square of the corners: a polygon of 40 000 would take hours, and gigabytes."""
    corners = np.random.default_rng(0).uniform((3e5, 4.7e6), (4e5, 4.8e6), (40_000, 2))
    path = tmp_path / "a.gml"
    ring = " ".join(f"{v:.1f}" for v in corners.ravel())
    path.write_bytes(gml(f'<gml:posList srsDimension="2">{ring}</gml:posList>'))
    item = as_item(band_item(str(path), **{"proj:transform": [60, 0, 3e5, 0, -60, 4.8e6]}))
    band = gl_source(item)
    numbers, there = formats_gml.numbers(replace(band, band="MSK_OPAQUE"), band.geobox)
    assert there.all()
    assert 0 < numbers.mean() < 1


def crossing(tmp_path: Path, corners: int, count: int) -> Any:
    """A mask of many polygons, each of which crosses itself at every edge."""
    star = [(4e5 + 5e4 * np.cos(2.4 * n), 4.7e6 + 5e4 * np.sin(2.4 * n)) for n in range(corners)]
    ring = " ".join(f"{v:.1f}" for corner in [*star, star[0]] for v in corner)
    polygon = f'<gml:Polygon><gml:posList srsDimension="2">{ring}</gml:posList></gml:Polygon>'
    path = tmp_path / "a.gml"
    path.write_bytes(gml("").replace(b"<gml:Polygon></gml:Polygon>", polygon.encode() * count))
    band = gl_source(as_item(band_item(str(path), **{"proj:transform": [1000, 0, 3e5, 0, -1000, 4.8e6]})))
    return replace(band, band="MSK_OPAQUE"), shapely.Polygon(star)


def test_mask_that_crosses_itself_is_filled_by_the_even_odd_rule(tmp_path):
    """Oracle: the polygon as GEOS mends it."""
    band, star = crossing(tmp_path, 23, 1)
    numbers, _ = formats_gml.numbers(band, band.geobox)
    mended = [(shapely.make_valid(star), 1)]
    expected = rasterize(mended, out_shape=numbers.shape, transform=band.geobox.affine, dtype="uint8")
    assert 0 < expected.mean() < 1
    np.testing.assert_array_equal(numbers, expected)


def test_masks_that_cross_themselves_by_the_hundred(tmp_path):
    """GEOS would take minutes to mend them."""
    band, _ = crossing(tmp_path, 90, 300)
    numbers, _ = formats_gml.numbers(band, band.geobox)
    assert numbers.any()


@pytest.mark.parametrize("text", ["1 " * 50_000_000, "0 0 1e400 0 0 nan 0 0", "1 2 x"])
def test_mask_that_is_none(tmp_path, text):
    path = tmp_path / "a.gml"
    path.write_bytes(gml(f'<gml:posList srsDimension="2">{text[: 2**26 - 1000]}</gml:posList>'))
    band = replace(gl_source(as_item(band_item(str(path)))), band="MSK_OPAQUE")
    with pytest.raises(NotUnderstood):
        formats_gml.numbers(band, band.geobox)


def overlapping(path: Path) -> Path:
    """Two members of the same bytes."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("a.SAFE/a.xml", b"<a/>" * 100)
        archive.writestr("a.SAFE/b.xml", b"<a/>" * 100)
    data = bytearray(file.getvalue())
    second = data.rfind(b"PK\x01\x02")
    struct.pack_into("<I", data, second + 42, 2)
    path.write_bytes(data)
    return path


def test_members_inside_of_each_other(tmp_path):
    with pytest.raises(gl.GeodesError, match="inside the file"):
        _ = Archive(overlapping(tmp_path / "a.zip")).names


def test_member_that_claims_the_whole_zip(tmp_path):
    """A kilobyte of XML that takes gigabytes of its zip would be read whole."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        info = zipfile.ZipInfo("a.SAFE/a.xml")
        info.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(info, b"<a/>")
        archive.writestr("a.SAFE/b.bin", bytes(2**20))
    data = bytearray(file.getvalue())
    struct.pack_into("<I", data, data.find(b"PK\x01\x02") + 20, 2**20)
    (tmp_path / "a.zip").write_bytes(data)
    with pytest.raises(gl.GeodesError, match=r"inside the file|is larger than the whole zip"):
        Archive(tmp_path / "a.zip").read("a.SAFE/a.xml")


@pytest.mark.parametrize("name", ["x" * 5000, "a/" * 600 + "b"])
def test_member_with_a_name_of_kilobytes(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"")
    with pytest.raises(gl.GeodesError, match=f"a path of {len(name)} characters"):
        _ = Archive(tmp_path / "a.zip").names


def test_gzip_of_gigabytes(tmp_path, refused):
    path = tmp_path / "THEIA_GEOV2_R02_AVHRR_LAI_20210705.h5.gz"
    path.write_bytes(gzip.compress(np.random.default_rng(0).bytes(2**22))[:-4] + struct.pack("<I", 2**31))
    assert "would take 2.00 GiB out of" in refused(path)


@pytest.mark.parametrize("name", ["secret.tif", "secret.xml", "secret.nc"])
def test_links_of_a_folder_that_lead_out_of_it(sample, tmp_path, canary, refused, name):
    source = next((sample / "datalake" / "swh-l1a").rglob("*.zip"))
    with zipfile.ZipFile(source) as packed:
        packed.extractall(tmp_path)
    folder = next(p.parent for p in tmp_path.rglob("METADATA.DIM"))
    image = next(p for p in folder.iterdir() if p.name.upper().startswith("IMAGERY"))
    image.unlink()
    image.symlink_to(canary.folder / name)
    assert "is a link that leads out of its product" in refused(folder)


def test_links_of_a_folder_that_stay_in_it_or_in_the_mirror(sample, tmp_path):
    import dask

    source = next((sample / "datalake" / "swh-l1a").rglob("*.zip"))
    with zipfile.ZipFile(source) as packed:
        packed.extractall(tmp_path / "there")
    folder = next(p.parent for p in tmp_path.rglob("METADATA.DIM"))
    for file in list(folder.iterdir()):
        if file.is_file():
            (folder / "kept").mkdir(exist_ok=True)
            file.rename(folder / "kept" / f"{file.name}.of")
            file.symlink_to(folder / "kept" / f"{file.name}.of")
    gl.open_product(folder)
    mirror = tmp_path / "mirror" / folder.name
    mirror.mkdir(parents=True)
    for file in folder.iterdir():
        (mirror / file.name).symlink_to(file)
    with pytest.raises(gl.GeodesError, match="leads out of its product"):
        gl.open_product(mirror)
    with dask.config.set({"geodes_lab.datalake.mirror": str(tmp_path / "mirror")}):
        gl.open_product(mirror)


def test_result_that_is_a_vrt_is_not_published(tmp_path, canary, refused):
    path = tmp_path / "a.tif"
    path.write_text(vrt(canary.folder))
    assert "not one of those that can be opened" in refused(path, "published")


# Of the long ones: whole products in 15 s; test_fuzz.py damages the metadata of the same families.
@pytest.mark.slow
def test_mutations(sample):
    with Fuzz(sample) as fuzz:
        found = fuzz.run(SHORT, 7, len(SHORT), None)
    assert [str(f) for f in found] == []
    assert fuzz.tried.total() == len(SHORT)


SHORT = (
    "sentinel1-ocn",
    "sentinel3-l2",
    "spot",
    "theia",
    "postel",
    "zarr-2",
    "zarr-3",
    "zarr-shards",
    "tif",
    "cog",
    "jp2",
    "s1tiling",
)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_mutations_at_length(sample):
    from tests.support.products.mutations import FAMILIES

    with Fuzz(sample) as fuzz:
        found = fuzz.run(FAMILIES, 100, 20 * len(FAMILIES), None)
    assert [str(f) for f in found] == []
