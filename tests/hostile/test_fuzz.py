"""Damaged bytes of every kind: whatever is in a product's metadata, its zip or its images, one class of error comes out."""

from __future__ import annotations

import contextlib
import io
import random
import warnings
import xml.etree.ElementTree as ET
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path

import dask
import numpy as np
import pytest
import rasterio
from affine import Affine
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import geodes_lab as gl
from geodes_lab.archive.archive import Archive
from geodes_lab.errors import NotUnderstood
from geodes_lab.formats import tile_cache
from geodes_lab.formats.jpeg2000 import image as jpeg2000_image
from geodes_lab.formats.jpeg2000.codestream import Header
from geodes_lab.formats.jpeg2000.tile_index import Index
from geodes_lab.raster.source import RasterSource
from geodes_lab.reading import window
from geodes_lab.storage.location import locate
from tests.support.examples import examples

FAMILIES = {
    "sentinel2": ("sentinel2-l1c/31/T/CJ/2021/08/04", (".xml",)),
    "sentinel2-l2a": ("sentinel2-l2a-esa", (".xml",)),
    "sentinel1-grd": ("sentinel1-grd", (".xml",)),
    "sentinel1-slc": ("sentinel1-slc/2021/06/06", (".xml",)),
    "sentinel1-ocn": ("sentinel1-ocn", (".nc",)),
    "sentinel3": ("sentinel3-sral-l1", (".nc",)),
    "spot": ("swh-l1a", (".DIM",)),
    "spot-ortho": ("muscate/SPOTWORLDHERITAGE", (".xml",)),
    "theia": ("sentinel2-l2a-sprid", (".xml",)),
}
QUICK = settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
LONG = settings(QUICK, max_examples=examples(300))


def damaged(data: bytes, seed: int) -> bytes:
    """Bytes flipped, pieces dropped, doubled, emptied or cut off."""
    rng = random.Random(seed)
    found = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        if not found:
            break
        at = rng.randrange(len(found))
        match rng.randrange(6):
            case 0:
                found[at] ^= 1 << rng.randrange(8)
            case 1:
                del found[at : at + rng.randint(1, 200)]
            case 2:
                found[at:at] = found[at : at + rng.randint(1, 100)]
            case 3:
                del found[at:]
            case 4:
                found[at : at + rng.randint(1, 12)] = rng.choice(
                    [b"-1", b"NaN", b"1e400", b"", b"\x00", b"99999999999", b"<", b"</x>"]
                )
            case 5:  # a text between two tags
                start = found.find(b">", at)
                end = found.find(b"<", start)
                if 0 <= start < end:
                    found[start + 1 : end] = rng.choice(
                        [b"", b"-5", b"0", b"inf", b"nan", b"x", b"1e9", b"2021-99-99T99:99:99"]
                    )
    return bytes(found)


def restructured(data: bytes, seed: int) -> bytes:
    """XML that is well-formed still: elements dropped, doubled, emptied, of other values or attributes."""
    rng = random.Random(seed)
    root = ET.fromstring(data)
    for _ in range(rng.randint(1, 4)):
        parents = [e for e in root.iter() if len(e)]
        if not parents:
            break
        parent = rng.choice(parents)
        child = rng.choice(list(parent))
        values = ["", "-5", "0", "inf", "nan", "x", "1e9", "9" * 400, "1 2", "2021-99-99T99:99:99", "true", "EPSG:4326"]
        match rng.randrange(5):
            case 0:
                parent.remove(child)
            case 1:
                parent.insert(0, child)
            case 2:
                child.text = rng.choice([*values, (child.text or "") * 2, (child.text or "")[:-1]])
            case 3:
                for key in child.attrib:
                    child.set(key, rng.choice(values))
            case 4:
                child.attrib.clear()
    return ET.tostring(root)


@contextlib.contextmanager
def ours() -> Iterator[None]:
    """Only our own error may come out, one sentence."""
    try:
        yield
    except gl.GeodesError as error:
        if "\n" in str(error):
            pytest.fail(f"several lines: {error}")


def opened(path: Path) -> None:
    """Open a product, and read a corner of all it has; only our own error may come out."""
    tile_cache.forget()
    with ours(), dask.config.set(scheduler="sync"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = gl.open_product(path)
        for node in tree.subtree:
            for variable in list(node.data_vars.values())[:2]:
                variable[tuple(slice(0, 2) for _ in variable.dims)].values  # noqa: B018


def original(sample: Path, family: str) -> Path:
    return sorted((sample / "datalake" / FAMILIES[family][0]).rglob("*.zip"))[0]


@cache
def without(source: Path, chosen: str) -> bytes:
    """A product's zip without one member."""
    file = io.BytesIO()
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(file, "w") as new:
        for info in old.infolist():
            if info.filename != chosen:
                new.writestr(info, old.read(info))
    return file.getvalue()


def altered_metadata(sample: Path, folder: Path, family: str, seed: int) -> Path:
    source, endings = original(sample, family), FAMILIES[family][1]
    rng = random.Random(seed)
    path = folder / source.name
    with zipfile.ZipFile(source) as old:
        chosen = rng.choice([n for n in old.namelist() if n.endswith(endings)])
        data = old.read(chosen)
    change = restructured if not chosen.endswith(".nc") and rng.random() < 0.5 else damaged
    path.write_bytes(without(source, chosen))
    with zipfile.ZipFile(path, "a") as new:
        new.writestr(chosen, change(data, seed))
    return path


@pytest.mark.parametrize("family", list(FAMILIES))
@given(seed=st.integers(0, 2**32))
@example(seed=58)  # a detector "x"
@QUICK
def test_metadata(sample, tmp_path, family, seed):
    opened(altered_metadata(sample, tmp_path, family, seed))


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("family", list(FAMILIES))
@given(seed=st.integers(0, 2**32))
@LONG
def test_metadata_at_length(sample, tmp_path, family, seed):
    opened(altered_metadata(sample, tmp_path, family, seed))


@pytest.mark.parametrize("family", ["spot", "sentinel1-ocn"])
@given(seed=st.integers(0, 2**32), tail=st.booleans())
@QUICK
def test_zips(sample, tmp_path, family, seed, tail):
    data = original(sample, family).read_bytes()
    cut = max(len(data) - 2000, 0) if tail else 0
    path = tmp_path / "SPOT4-HRVIR1-X.zip" if family == "spot" else tmp_path / original(sample, family).name
    path.write_bytes(data[:cut] + damaged(data[cut:], seed))
    opened(path)


def packed(rng: random.Random) -> bytes:
    """A small zip, in one of the ways that zips are written."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.comment = rng.choice([b"", b"c" * 50])
        for number in range(rng.randint(1, 4)):
            info = zipfile.ZipInfo(rng.choice(["a/MTD%d.xml", "é%d", "b%d.nc"]) % number)
            info.compress_type = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
            with archive.open(info, "w", force_zip64=rng.random() < 0.3) as member:
                member.write(rng.choice([b"", b"<a/>" * rng.randint(1, 500), bytes(3000)]))
    return file.getvalue()


@given(seed=st.integers(0, 2**32))
@settings(QUICK, max_examples=examples(400))
def test_lists_of_members(tmp_path, seed):
    rng = random.Random(seed)
    data = bytearray(packed(rng))
    cut = data.find(b"PK\x01\x02") if rng.random() < 0.7 else 0
    if rng.random() < 0.3:
        data[cut:] = damaged(bytes(data[cut:]), seed)
    for _ in range(rng.randint(1, 4)):
        if cut < len(data):
            data[rng.randrange(cut, len(data))] = rng.choice([0, 1, 255, rng.randrange(256)])
    path = tmp_path / "a.zip"
    path.write_bytes(data)
    archive = Archive(str(path))
    with ours(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in archive.names:
            for use in (archive.read, archive.member, archive.range):
                with ours():
                    use(name)


@given(seed=st.integers(0, 2**32))
@settings(QUICK, max_examples=examples(60))
def test_code_streams(sample, tmp_path, seed):
    with zipfile.ZipFile(original(sample, "sentinel2")) as archive:
        data = archive.read(next(n for n in archive.namelist() if n.endswith("_B01.jp2")))
    rng = random.Random(seed)
    head = damaged(data[:400], seed) if rng.random() < 0.7 else data[:400]
    path = tmp_path / "x.jp2"
    path.write_bytes(head + (damaged(data[400:], seed) if rng.random() < 0.5 else data[400:]))
    try:
        image = jpeg2000_image.Jpeg2000(Index(locate(path)))
        rows, cols = image.shapes[0]
        image.read(0, (0, min(rows, 8)), (0, min(cols, 8)))
    except (NotUnderstood, OSError, gl.GeodesError):
        pass


@given(data=st.binary(max_size=200))
@settings(QUICK, max_examples=examples(200))
def test_headers_of_any_bytes(data):
    with pytest.raises(NotUnderstood):
        Header.parse(b"\xff\x4f\xff\x51" + data)


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> list[tuple[str, bytes]]:
    ways = [
        ("jp2", {"driver": "JP2OpenJPEG", "BLOCKXSIZE": 256, "BLOCKYSIZE": 256}),
        ("jp2", {"driver": "JP2OpenJPEG", "CODEC": "J2K"}),
        ("tif", {"driver": "GTiff", "tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate"}),
        ("tif", {"driver": "GTiff", "compress": "lzw", "BIGTIFF": "YES"}),
        ("tif", {"driver": "COG", "compress": "zstd", "blocksize": 128}),
    ]
    found, pixels = [], np.random.default_rng(3).integers(0, 4000, BAND.shape, "uint16")
    for number, (suffix, options) in enumerate(ways):
        path = tmp_path_factory.mktemp("images") / f"{number}.{suffix}"
        profile = {"width": BAND.shape[1], "height": BAND.shape[0], "count": 1, "dtype": "uint16"}
        with rasterio.open(
            path, "w", crs="EPSG:32631", transform=Affine(*BAND.transform), **profile, **options
        ) as file:
            file.write(pixels, 1)
        found.append((suffix, path.read_bytes()))
    return found


BAND = RasterSource("", "product", "band", 32631, (10, 0, 3e5, 0, -10, 4.8e6), (600, 700), "uint16")


@given(seed=st.integers(0, 2**32), number=st.integers(0, 4))
@settings(QUICK, max_examples=examples(150))
def test_windows_of_images(images, tmp_path, seed, number):
    rng, (suffix, whole) = random.Random(seed), images[number]
    data, head = bytearray(whole), rng.choice([120, 300, 600, len(whole)])
    if rng.random() < 0.4:
        data[:head] = damaged(bytes(data[:head]), seed)
    for _ in range(rng.randint(0, 5)):
        data[rng.randrange(min(head, len(data)))] = rng.choice([0, 1, 128, 255, rng.randrange(256)])
    path = tmp_path / f"a.{suffix}"
    path.write_bytes(data)
    tile_cache.forget()
    band = replace(BAND, href=str(path))
    grid = band.geobox[:40, :40] if rng.random() < 0.7 else band.geobox[:80, :80].zoom_out(2)
    with ours():
        assert window.read(band, grid)[0].shape == (40, 40)


def test_the_files_by_their_bytes(sample, tmp_path):
    """Nothing that is no image passes for one."""
    path = tmp_path / "x.tif"
    path.write_bytes(np.random.default_rng(0).bytes(4096))
    with pytest.raises(gl.GeodesError):
        gl.open_product(path)
