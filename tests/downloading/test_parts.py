"""Parts of products: folders that open here and in GDAL, whose manifest lists what is there, each member verified."""

from __future__ import annotations

import hashlib
import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio

import geodes_lab as gl
from geodes_lab import GeodesError
from geodes_lab.archive.archive import Archive
from geodes_lab.downloading.manifest import Manifest
from geodes_lab.downloading.members import Members
from geodes_lab.downloading.report import DownloadFailed, ReplacedFile
from geodes_lab.downloading.verify import Wrong, verify
from geodes_lab.products import as_item
from geodes_lab.products.metadata import Document
from tests.support.servers.upstream import item

BROKEN = b"""<?xml version="1.0"?><XFDU><dataObjectSection><dataObject ID="a"><byteStream size="4">
<fileLocation locatorType="URL"/><checksum checksumName="MD5">00</checksum></byteStream></dataObject></dataObjectSection></XFDU>"""


def files(folder: Path) -> set[str]:
    return {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}


def listed(folder: Path) -> set[str]:
    document = Document.of("manifest", next(folder.glob("*manifest.*")).read_bytes())
    return {e.get("href").removeprefix("./") for e in document.root.iter("fileLocation")}


def images(folder: Path) -> set[str]:
    return {p.name.rsplit("_", 1)[-1] for p in folder.rglob("IMG_DATA/*.jp2")}


def same(path: Path, whole: object, node: str, *names: str) -> None:
    """The bands of a part are those of the whole product."""
    part, other = gl.open_product(path)[node], gl.open_product(whole)[node]
    for name in names:
        np.testing.assert_array_equal(part[name].values, other[name].values)


@pytest.mark.parametrize("place", ["on_disk", "on_s3"])
def test_bands_become_a_safe_folder_that_opens_here_and_in_gdal(request, there, place, product):
    request.getfixturevalue(place)
    found = next(i for i in gl.search("PEPS_S2_L1C") if i.properties["identifier"] in product.name)
    report = gl.download(found, there, bands=["red", "B08"])
    (folder,) = report.paths
    assert folder.name == f"{product.stem}.SAFE"
    assert [p.name for p in there.iterdir()] == [folder.name]
    assert images(folder) == {"B04.jp2", "B08.jp2"}
    assert listed(folder) == files(folder) - {"manifest.safe"}
    assert report.outcomes[0].evidence == "CRC-32 of 6 members, 5 of the manifest's checksums"
    with zipfile.ZipFile(product) as archive:
        for name in files(folder) - {"manifest.safe"}:
            assert (folder / name).read_bytes() == archive.read(f"{folder.name}/{name}")
    assert set(gl.open_product(folder)["r10m"].data_vars) == {"red", "nir"}
    same(folder, product, "r10m", "red", "nir")
    # GDAL's own driver, which has never seen our reading of the product.
    with rasterio.open(folder / "MTD_MSIL1C.xml") as file:
        (bands,) = [name for name in file.subdatasets if ":10m:" in name]
    with rasterio.open(bands) as gdal, rasterio.open(next(folder.rglob("*_B04.jp2"))) as image:
        (red,) = [n for n, text in enumerate(gdal.descriptions, 1) if text.startswith("B4")]
        np.testing.assert_array_equal(gdal.read(red), image.read(1))


def test_more_bands_join_those_that_are_there(on_s3, there, product):
    found = next(i for i in gl.search("PEPS_S2_L1C") if i.properties["identifier"] in product.name)
    gl.download(found, there, bands="red")
    (again,) = gl.download(found, there, bands="red").outcomes
    assert (again.what, again.received) == ("was there", 0)
    (more,) = gl.download(found, there, bands="blue").outcomes
    assert images(more.path) == {"B02.jp2", "B04.jp2"}
    assert more.received == next(more.path.rglob("*B02.jp2")).stat().st_size
    assert listed(more.path) == files(more.path) - {"manifest.safe"}
    same(more.path, product, "r10m", "red", "blue")
    image = next(more.path.rglob("*B02.jp2"))
    image.write_bytes(image.read_bytes()[:-1] + b"x")
    with pytest.warns(ReplacedFile, match=r"B02\.jp2 is not right"):
        assert gl.download(found, there, bands="blue").outcomes[0].what == "fetched anew"
    same(more.path, product, "r10m", "blue")


def test_level_2a_and_its_resolutions(on_disk, there):
    found = gl.search("SENTINEL2_L2A", limit=1)[0]
    (folder,) = gl.download(found, there, bands=["red", "SCL"]).paths
    assert {p.name[-11:] for p in folder.rglob("IMG_DATA/**/*.jp2")} == {"B04_10m.jp2", "SCL_20m.jp2"}
    same(folder, found, "r20m", "scl")


@pytest.mark.parametrize("name", ["vv", "VV", "sigma0_vv"])
def test_one_polarisation_of_a_radar_image(on_s3, there, name):
    found = next(i for i in gl.search("PEPS_S1_L1") if "_GRDH_" in i.properties["identifier"])
    (folder,) = gl.download(found, there, bands=name).paths
    assert files(folder)
    assert not [f for f in files(folder) if "-vh-" in f]
    assert listed(folder) == files(folder) - {"manifest.safe"}
    assert "missing" not in gl.open_product(folder).attrs
    same(folder, found, "vv", "sigma0", "incidence_angle")
    (whole,) = gl.download(found, there, bands=["vv", "vh"]).paths
    assert {p.name[11:13] for p in whole.glob("measurement/*")} == {"vv", "vh"}
    same(whole, found, "vh", "sigma0")


def test_one_swath_of_complex_images(on_disk, there):
    found = next(i for i in gl.search("PEPS_S1_L1") if "_SLC_" in i.properties["identifier"])
    tree = gl.open_product(found)
    node = next(path for path in tree.groups if path.count("/") == 2)
    (folder,) = gl.download(found, there, bands=node.removeprefix("/")).paths
    swath, polarisation = node.removeprefix("/").split("/")
    assert {p.name.split("-")[1] for p in folder.glob("measurement/*")} == {swath}
    assert node in gl.open_product(folder).groups
    with pytest.raises(GeodesError, match=r"has no 'hh'; it has .*vv"):
        gl.download(found, there, bands="hh")
    assert polarisation in ("vv", "vh")


def test_theia_keeps_masks_and_metadata(on_disk, there):
    found = gl.search("THEIA_REFLECTANCE_SENTINEL2_L2A", limit=1)[0]
    (folder,) = gl.download(found, there, bands=["red"]).paths
    assert [f for f in files(folder) if f.endswith(".xml")]
    assert len([f for f in files(folder) if "FRE_B" in f or "SRE_B" in f]) == 1
    item = as_item(folder)
    cube = gl.open_cube([item], bands=["red"], mask="cloud")
    np.testing.assert_array_equal(cube.red.values, gl.open_cube([found], bands=["red"], mask="cloud").red.values)


@pytest.mark.parametrize("collection", ["PEPS_S2_L1C", "PEPS_S1_L1", "PEPS_S3_L1", "SENTINEL2_L2A", "SWH_SPOT4_L1"])
def test_only_metadata(on_disk, there, collection):
    found = gl.search(collection, limit=1)
    (folder,) = gl.download(found, there, only="metadata").paths
    assert files(folder)
    assert not [f for f in files(folder) if f.lower().endswith((".jp2", ".tif", ".tiff", ".nc"))]
    if any("manifest" in f for f in files(folder)):
        assert listed(folder) == {f for f in files(folder) if "manifest" not in f}


def test_what_has_no_parts_says_so(on_disk, there):
    for collection, options, sentence in [
        ("THEIA_POSTEL_VEGETATION_LAI", {"bands": "lai"}, "it is one file, and not a zip; download it whole"),
        ("PEPS_S3_L1", {"bands": "ku"}, "is an altimeter track"),
        ("PEPS_S2_L1C", {"bands": "reed"}, "did you mean 'red'"),
    ]:
        with pytest.raises(GeodesError, match=sentence):
            gl.download(gl.search(collection, limit=1), there, **options)
    assert list(there.iterdir()) == []


def test_over_https_by_ranges_and_only_the_bytes_that_are_needed(upstream, there, product):
    upstream.put("P1.zip", data := product.read_bytes(), tag='"a"')
    found = item(product.stem, f"{upstream.url}/P1.zip", data)
    (folder,) = gl.download(found, there, bands="red").paths
    same(folder, product, "r10m", "red")
    assert all(upstream.ranges()), "never the whole"


def test_server_without_ranges_gives_the_whole_into_the_cache(upstream, there, product):
    upstream.put("P1.zip", data := product.read_bytes(), ranges=False)
    with pytest.warns(UserWarning, match="was downloaded completely"):
        (folder,) = gl.download(item(product.stem, f"{upstream.url}/P1.zip", data), there, bands="red").paths
    same(folder, product, "r10m", "red")


def altered_manifest(altered, change):
    return altered(lambda name, data: change(data) if name.endswith("manifest.safe") else data)


def test_member_that_its_manifest_contradicts_is_refused(altered, there):
    path = altered(lambda name, data: data[:-2] + b"\xff\xd9" if name.endswith("B04.jp2") else data)
    wrong = altered(lambda name, data: data[:-3] + b"\0\xff\xd9" if name.endswith("B04.jp2") else data)
    with pytest.raises(DownloadFailed, match=r"B04\.jp2 has another MD5 than its manifest says"):
        gl.download(str(wrong), there, bands="red")
    assert not list(there.glob("*.SAFE"))
    assert path == wrong


def test_manifest_that_lists_a_file_without_path_is_refused(altered, there):
    path = altered_manifest(altered, lambda data: BROKEN)
    with pytest.raises(DownloadFailed, match=r"manifest\.safe of .* lists a file without its path"):
        gl.download(str(path), there, bands="red")
    assert list(there.iterdir()) == []


def test_interrupted_part_is_continued_by_members(on_s3, there, product, monkeypatch):
    found = next(i for i in gl.search("PEPS_S2_L1C") if i.properties["identifier"] in product.name)
    fetch, count = Members.fetch, [0]

    def dies(self, member, show) -> None:
        count[0] += 1
        if count[0] == 3:
            raise KeyboardInterrupt
        fetch(self, member, show)

    with monkeypatch.context() as patch:
        patch.setattr(Members, "fetch", dies)
        with pytest.raises(KeyboardInterrupt):
            gl.download(found, there, bands=["red", "nir"])
    assert [p.name for p in there.iterdir()] == [f"{product.stem}.SAFE.part"]
    # The next one wants other bands: what it does not want is not there.
    (outcome,) = gl.download(found, there, bands=["nir"]).outcomes
    assert images(outcome.path) == {"B08.jp2"}
    assert listed(outcome.path) == files(outcome.path) - {"manifest.safe"}
    assert [p.name for p in there.iterdir()] == [outcome.path.name]


def test_verify_every_member_of_a_whole_product_against_its_manifest(on_disk, product, altered):
    found = next(i for i in gl.search("PEPS_S2_L1C") if i.properties["identifier"] in product.name)
    evidence = verify(product, found, every_member=True)
    assert evidence.checksum == f"MD5 {hashlib.md5(product.read_bytes()).hexdigest()}"
    assert (evidence.members, evidence.in_manifest) == (18, 17)
    assert evidence.size_is_published
    wrong = altered(lambda name, data: data + b" " if name.endswith("MTD_TL.xml") else data)
    bare = as_item(str(wrong))
    assert verify(wrong, bare).members == 18
    with pytest.raises(Wrong, match=r"MTD_TL\.xml of .* has another MD5 than its manifest says"):
        verify(wrong, bare, every_member=True)


REAL = {
    "sentinel_1/manifest.safe": ("./measurement/", 13),
    "sentinel_2/manifest.safe": ("/IMG_DATA/", 59),
    "sentinel_3/xfdumanifest.xml": ("Oa0", 32),
}


@pytest.mark.parametrize("name", REAL)
def test_real_manifests_keep_what_is_there(shared, tmp_path, name):
    """Manifests as ESA writes them: SHA3-256 in Sentinel-2's, MD5 in the others."""
    part, count = REAL[name]
    path = tmp_path / "P.SAFE" / name.rsplit("/", 1)[-1]
    path.parent.mkdir()
    shutil.copy(shared / "cdse" / "manifests" / name, path)
    manifest = Manifest.of(Archive(str(path.parent)))
    assert manifest is not None
    assert len(manifest.checksums) == len(manifest.listed) == count
    there = {m for m in manifest.listed if part.strip("./") not in m}
    assert there < manifest.listed
    text = manifest.of_some(there)
    again = Manifest._parsed("P", manifest.member, text)
    assert again.listed == there
    assert all(again.checksums[m] == manifest.checksums[m] for m in there)
    # No pointer and no reference leads to something that is gone.
    root = Document.of("manifest", text).root
    ids = {e.get("ID") for e in root.iter() if e.get("ID")}
    pointed = {e.get("dataObjectID") for e in root.iter("dataObjectPointer")}
    assert pointed <= ids
    before = Document.of("manifest", manifest.data).root
    known = {e.get("ID") for e in before.iter() if e.get("ID")}
    words = {w for e in root.iter("contentUnit") for k in ("dmdID", "pdiID") for w in e.get(k, "").split()}
    assert words & known <= ids
    assert manifest.of_some(manifest.listed).count(b"dataObjectPointer") == manifest.data.count(b"<dataObjectPointer")
    assert b"<safe:" in text or b"<sentinel-safe:" in text, "prefixes stay"


@pytest.mark.attack
def test_zip_that_calls_its_folder_as_another_product_does_not_touch_that(upstream, there, product):
    """The Item of one product, whose zip has the folder of another one that is there already."""
    (folder,) = gl.download(str(product), there, bands="red").paths
    before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
    stranger = io.BytesIO()
    with zipfile.ZipFile(stranger, "w") as archive:
        archive.writestr(f"{folder.name}/MTD_MSIL1C.xml", "<other/>")
        archive.writestr(f"{folder.name}/more.xml", "<more/>")
    upstream.put("S9.zip", data := stranger.getvalue())
    with pytest.raises(
        DownloadFailed, match=r"^S9 could not be downloaded: its zip calls its folder .* of another product"
    ):
        gl.download(item("S9", f"{upstream.url}/S9.zip", data), there, only="metadata")
    assert {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()} == before
