"""Members as files: those that are compressed are extracted once, within bounds; images are read by their bytes."""

from __future__ import annotations

import gzip
import os
import shutil
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import dask
import numpy as np
import pytest
import rasterio

import geodes_lab as gl
from geodes_lab import GeodesError
from geodes_lab.archive import extract as archive_extract
from geodes_lab.archive.archive import Archive
from geodes_lab.archive.central_directory import Entry
from geodes_lab.archive.member import Member
from geodes_lab.archive.member_index import behind
from geodes_lab.errors import NotUnderstood
from geodes_lab.formats import tile_cache
from geodes_lab.formats.jpeg2000 import image as jpeg2000_image
from geodes_lab.formats.tiff import image
from geodes_lab.raster.source import RasterSource
from geodes_lab.reading import pyramid, window
from geodes_lab.storage import file_cache
from geodes_lab.storage.location import locate
from geodes_lab.storage.resolve import Fetched
from geodes_lab.storage.traffic import traffic

DATA = np.random.default_rng(7).bytes(300_000) + bytes(700_000)


@pytest.fixture(autouse=True)
def replicas(tmp_path) -> Path:
    return tmp_path / "replicas"


def deflated(path: Path, data: bytes = DATA, name: str = "P.SAFE/measurement/a b.nc") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)
        archive.writestr("P.SAFE/b.xml", b"<a/>")
    return path


def member(path: Path) -> Member:
    return Archive(str(path)).member("P.SAFE/measurement/a b.nc")


def kept(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name != ".lock")


def test_extracted_once_and_said(tmp_path, replicas):
    path = deflated(tmp_path / "a.zip")
    with pytest.warns(Fetched, match=r"a b\.nc in .* is compressed, so the whole file was extracted \(0\.95 MiB\) to"):
        found = member(path)
    assert found.read(0, 2_000_000) == DATA
    assert Path(found.place.gdal).suffix == ".nc"
    assert member(path) == found
    assert len(kept(replicas)) == 1


def test_threads_at_once_extract_once(tmp_path, replicas, monkeypatch):
    path, go, times = deflated(tmp_path / "a.zip"), threading.Barrier(8), []
    extract = archive_extract._extract

    def slow(*arguments: object) -> None:
        times.append(1)
        time.sleep(0.1)
        extract(*arguments)

    monkeypatch.setattr(archive_extract, "_extract", slow)

    def run(_: int) -> bytes:
        go.wait(60)
        return member(path).read(0, len(DATA))

    with pytest.warns(Fetched) as said, ThreadPoolExecutor(8) as pool:
        assert set(pool.map(run, range(8))) == {DATA}
    assert len(times) == len(said) == len(kept(replicas)) == 1


PROCESS = """
import dask, sys, warnings
from geodes_lab.archive.archive import Archive
dask.config.set({"geodes_lab.cache.folder": sys.argv[2], "geodes_lab.replica.folder": sys.argv[3]})
with warnings.catch_warnings(record=True) as said:
    warnings.simplefilter("always")
    print("go", flush=True)
    input()
    Archive(sys.argv[1]).member("P.SAFE/measurement/a b.nc")
print(len(said))
"""


def start(path: Path, folder: Path) -> subprocess.Popen[str]:
    arguments = [sys.executable, "-c", PROCESS, str(path), str(folder / "cache"), str(folder / "replicas")]
    return subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


@pytest.mark.thorough
def test_processes_at_once_extract_once(tmp_path, replicas):
    path = deflated(tmp_path / "a.zip", DATA * 40)
    processes = [start(path, tmp_path) for _ in range(2)]
    for process in processes:
        assert process.stdout.readline() == "go\n"
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    assert sorted(int(p.communicate(timeout=60)[0]) for p in processes) == [0, 1]
    assert len(kept(replicas)) == 1
    assert member(path).read(0, len(DATA)) == DATA


@pytest.mark.thorough
def test_what_one_that_was_killed_has_left_is_not_taken_for_the_member(tmp_path, replicas):
    path = deflated(tmp_path / "a.zip", DATA * 200)
    process = start(path, tmp_path)
    process.stdout.readline()
    process.stdin.write("\n")
    process.stdin.flush()
    part: list[Path] = []
    while not part and process.poll() is None:
        part = [p for p in replicas.glob("*.part") if p.stat().st_size]
    process.kill()
    process.communicate()
    assert part, "it was killed while it was at it"
    with pytest.warns(Fetched):
        assert member(path).read(0, len(DATA)) == DATA
    assert not list(replicas.glob("*.part"))


def test_memory_is_bounded(tmp_path, monkeypatch):
    path = deflated(tmp_path / "a.zip", bytes(200_000_000))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        member(deflated(tmp_path / "warm.zip"))
        tracemalloc.start()
        assert member(path).size == 200_000_000
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 30_000_000


def test_those_not_used_for_longest_make_room(tmp_path, replicas):
    with dask.config.set({"geodes_lab.replica.limit": int(2.5 * len(DATA))}), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first, second = (Path(member(deflated(tmp_path / f"{n}.zip")).place.gdal) for n in "ab")
        for hours, path in ((3, first), (2, second)):
            os.utime(path, (time.time() - hours * 3600, path.stat().st_mtime))
        assert Path(member(tmp_path / "a.zip").place.gdal) == first, "it is in use again"
        third = Path(member(deflated(tmp_path / "c.zip")).place.gdal)
        assert kept(replicas) == sorted([first.name, third.name])
        with pytest.raises(
            GeodesError, match=r"could not be extracted: its .* do not fit beside the replicas .*; raise"
        ):
            member(deflated(tmp_path / "d.zip"))
    assert kept(replicas) == sorted([first.name, third.name])


def test_no_room_is_one_sentence(tmp_path, replicas, monkeypatch):
    path = deflated(tmp_path / "a.zip")
    with (
        dask.config.set({"geodes_lab.replica.limit": "10kB"}),
        pytest.raises(GeodesError, match="more than the limit for all replicas"),
    ):
        member(path)
    with monkeypatch.context() as patch:
        patch.setattr(file_cache.shutil, "disk_usage", lambda _path: SimpleNamespace(free=10))
        with pytest.raises(
            GeodesError, match=r"could not be extracted: the disk of .* is full, it needs 0\.95 MiB; free"
        ):
            member(path)
    assert kept(replicas) == []
    (tmp_path / "file").touch()
    with (
        dask.config.set({"geodes_lab.replica.folder": str(tmp_path / "file" / "x")}),
        pytest.raises(
            GeodesError, match=r"could not be extracted: .* cannot store it .*: set geodes_lab\.replica\.folder"
        ),
    ):
        member(path)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
def test_disk_that_fills_up_meanwhile(tmp_path, replicas, monkeypatch):
    path = deflated(tmp_path / "a.zip")
    extract = archive_extract._extract

    def full(packed: Member, whole: object, made: file_cache.Part, name: str) -> None:
        with Path("/dev/full").open("wb", buffering=0) as device:
            extract(packed, whole, file_cache.Part(made.path, device), name)

    monkeypatch.setattr(archive_extract, "_extract", full)
    with pytest.raises(GeodesError, match=r"the disk of .* is full"):
        member(path)
    assert kept(replicas) == []


def bomb(path: Path, size: int, really: int) -> Path:
    """A member that says a size, and inflates to another."""
    deflated(path, bytes(really))
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, data.find(b"PK\x01\x02") + 24, size)
    path.write_bytes(data)
    return path


@pytest.mark.attack
@pytest.mark.parametrize(
    ("size", "really", "sentence"),
    [
        (2**31, 1000, r"claims to hold 2147483648 bytes in"),
        (1000, 50_000_000, "it has more bytes than the zip states"),
        (1_000_100, 1_000_000, "its bytes differ from the checksum of the zip"),
    ],
)
def test_bombs_are_refused(tmp_path, replicas, size, really, sentence):
    path = bomb(tmp_path / "a.zip", size, really)
    with pytest.raises(GeodesError, match=f"a b.nc in .*a.zip is damaged.*{sentence}"):
        member(path)
    assert not replicas.exists() or kept(replicas) == []


@pytest.mark.parametrize("where", range(0, 9))
def test_damage_is_one_sentence(tmp_path, replicas, where):
    path = deflated(tmp_path / "a.zip")
    data = bytearray(path.read_bytes())
    at = 100 + where * 30_000
    data[at : at + 50] = bytes(50)
    path.write_bytes(data)
    with pytest.raises(GeodesError, match=r"a b\.nc in .* is damaged") as error:
        member(path)
    assert "\n" not in str(error.value)
    assert kept(replicas) == []


@pytest.mark.attack
def test_other_methods_and_bombs_of_gzip(tmp_path):
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_BZIP2) as archive:
        archive.writestr("P.SAFE/measurement/a b.nc", DATA)
    with pytest.raises(GeodesError, match=r"not supported \(12\): pack the product again"):
        member(path)
    data = bytearray(gzip.compress(bytes(10_000)))
    data[-4:] = (2**32 - 1).to_bytes(4, "little")
    (tmp_path / "a.gz").write_bytes(data)
    place = locate(tmp_path / "a.gz")
    with pytest.raises(GeodesError, match="is damaged: it claims to hold 4294967295 bytes in"):
        archive_extract.gunzipped(Member(place, 0, len(data)), "a.gz")


def test_files_beside_it_have_other_names(tmp_path):
    """A name cannot lead out of the folder, however it is written."""
    for name in ("../../x.nc", "/etc/x.nc", "a" * 300 + ".nc", "\0.nc"):
        assert file_cache.path_of("key", f"-{name.rsplit('/', 1)[-1]}").parent == file_cache.path_of("key", "").parent
    data = zlib.compress(DATA, wbits=-15)
    (tmp_path / "z").write_bytes(data)
    packed = Member(locate(tmp_path / "z"), 0, len(data))
    with pytest.warns(Fetched):
        found = archive_extract.member(
            packed, Entry("..\\..\\x y.nc", 0, len(data), len(DATA), zlib.crc32(DATA), 8, False)
        )
    assert Path(found.place.gdal).parent == file_cache.path_of("", "").parent


def test_local_header_is_skipped(tmp_path):
    path = deflated(tmp_path / "a.zip", name="é" * 20)
    assert zlib.decompressobj(-15).decompress(path.read_bytes()[behind(path.read_bytes()) :]) == DATA
    for head in (b"PK\x01\x02" + bytes(40), b"PK\x03\x04" + bytes(20), b""):
        with pytest.raises(NotUnderstood, match="no local header"):
            behind(head)


IMAGE = np.random.default_rng(3).integers(0, 4000, (600, 700), "uint16")
PROFILE = {
    "width": 700,
    "height": 600,
    "count": 1,
    "dtype": "uint16",
    "crs": "EPSG:32631",
    "transform": rasterio.Affine(10, 0, 3e5, 0, -10, 4.8e6),
}
JP2 = {"driver": "JP2OpenJPEG", "REVERSIBLE": "YES", "QUALITY": "100"}
TIFF = {"driver": "GTiff", "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}


@pytest.fixture
def images(tmp_path) -> dict[str, Path]:
    found = {}
    for kind, options in (("jp2", JP2), ("tif", TIFF)):
        found[kind] = tmp_path / f"right.{kind}"
        with rasterio.open(found[kind], "w", **PROFILE, **options) as file:
            file.write(IMAGE, 1)
    return found


def source(path: str, stored: tuple[int, int] | None = None) -> RasterSource:
    grid = tuple(PROFILE["transform"])[:6]
    return RasterSource(path, "product", "band", 32631, grid, IMAGE.shape, "uint16", stored=stored)


@pytest.mark.parametrize(("name", "kind"), [("a.tif", "jp2"), ("a.jp2", "tif")])
@pytest.mark.parametrize("zipped", [False, True])
def test_mislabelled_images_are_read_by_their_bytes(images, tmp_path, name, kind, zipped):
    path, band = shutil.copy(images[kind], tmp_path / name), None
    if zipped:
        with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
            archive.write(path, name)
        archive = Archive(str(tmp_path / "a.zip"))
        band = source(archive.gdal(name), archive.range(name))
    band = band or source(str(path))
    for opener in (jpeg2000_image, image):
        opener.open.cache_clear()
    tile_cache.forget()
    by_tiles = window.ways["tiles"]
    for _ in range(2):
        values, valid = window.read(band, band.geobox)
        np.testing.assert_array_equal(values, IMAGE)
        assert valid.all()
    assert window.ways["tiles"] - by_tiles == 2, "not by GDAL"
    if not zipped:
        scene = gl.open_product(path)
        np.testing.assert_array_equal(next(iter(scene["r10m"].data_vars.values())).values, IMAGE)


def test_rightly_labelled_images_cost_no_request_more(images, tmp_path):
    asked = {}
    for kind, path in images.items():
        jpeg2000_image.open.cache_clear()
        image.open.cache_clear()
        before = traffic.requests
        pyramid.image_of(source(str(path)))
        asked[kind] = traffic.requests - before
    assert asked == {"jp2": 1, "tif": 1}
    wrong = shutil.copy(images["tif"], tmp_path / "wrong.jp2")
    before = traffic.requests
    pyramid.image_of(source(str(wrong)))
    pyramid.image_of(source(str(wrong)))
    assert traffic.requests - before == 2, "it is found out once"


def test_mislabelled_file_that_is_replaced_by_a_right_one(images, tmp_path):
    path = Path(shutil.copy(images["tif"], tmp_path / "a.jp2"))
    band = source(str(path))
    np.testing.assert_array_equal(window.read(band, band.geobox)[0], IMAGE)
    shutil.copy(images["jp2"], path)
    os.utime(path, ns=(time.time_ns() + 10**9, time.time_ns() + 10**9))
    np.testing.assert_array_equal(window.read(band, band.geobox)[0], IMAGE)


@pytest.mark.parametrize("content", [b"", b"II*\0", b"\xff\x4f\xff\x51", b"\0\0\0\x0cjP  ", b"hello" * 100])
@pytest.mark.parametrize("name", ["a.tif", "a.jp2"])
def test_what_is_no_image_is_one_sentence(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    band = source(str(tmp_path / name))
    with pytest.raises(GeodesError, match="Band band of product could not be read") as error:
        window.read(band, band.geobox)
    assert "\n" not in str(error.value)
