"""Small overviews that are kept: another process makes a picture of them, and no object is taken for another."""

from __future__ import annotations

import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio

import geodes_lab as gl
from geodes_lab import settings
from geodes_lab.formats import tile_cache
from geodes_lab.formats.jpeg2000 import image as jpeg2000_image
from geodes_lab.reading import kept_overview
from geodes_lab.reading.kept_overview import Shelf, WithKept
from geodes_lab.storage.location import locate
from geodes_lab.storage.traffic import traffic
from geodes_lab.tiling.layer import Layer
from geodes_lab.tiling.reader import LabReader
from geodes_lab.tiling.scene import Scene


@pytest.fixture(autouse=True)
def restarted(monkeypatch) -> None:
    again(monkeypatch)


def again(monkeypatch) -> Shelf:
    """As after a restart: only what is on disk stays."""
    tile_cache.forget()
    jpeg2000_image.open.cache_clear()
    monkeypatch.setattr(kept_overview, "shelf", Shelf())
    return kept_overview.shelf


def kept() -> list[Path]:
    return list(Path(settings.get("cache.folder")).glob("overview/*/*"))


def test_picture_of_a_whole_product_is_made_again_with_one_request_for_each_band(on_s3, monkeypatch):
    item = gl.search("PEPS_S2_L1C", datetime="2021-06-05", bbox=(1.70, 43.5, 1.72, 43.7))[0]

    def drawn() -> tuple[np.ma.MaskedArray, int]:
        reader = LabReader(Scene([item]), layer=Layer(("B04", "B08")))
        before = traffic.requests
        return reader.preview(max_size=160).array, traffic.requests - before

    first, asked = drawn()
    assert asked >= 8  # two bands of four tiles
    assert len(kept()) == 2
    again(monkeypatch)
    second, asked = drawn()
    assert asked == 2
    assert tile_cache.shared().decoded == 0
    np.testing.assert_array_equal(first.data, second.data)
    np.testing.assert_array_equal(first.mask, second.mask)
    assert drawn()[1] == 0
    for path, damage in zip(kept(), (lambda d: d[:-7], lambda d: b"\xff" * len(d)), strict=True):
        path.write_bytes(damage(path.read_bytes()))
    again(monkeypatch)
    third, asked = drawn()
    assert asked >= 8
    np.testing.assert_array_equal(first.data, third.data)


def test_windows_are_those_of_the_file_and_only_what_is_missing_is_read(on_disk, product, monkeypatch):
    with zipfile.ZipFile(product) as archive:
        name = next(n for n in archive.namelist() if n.endswith("_B04.jp2") and "IMG_DATA" in n)
        info = archive.getinfo(name)
    image = jpeg2000_image.open(locate(str(product)), (info.header_offset, 30 + len(name) + info.file_size), 0)
    mine, drawn = WithKept(image), np.random.default_rng(5)
    for level in range(1, len(image.shapes)):
        rows, cols = image.shapes[level]
        for _ in range(12):
            top, left = int(drawn.integers(0, rows)), int(drawn.integers(0, cols))
            y, x = (top, int(drawn.integers(top, rows)) + 1), (left, int(drawn.integers(left, cols)) + 1)
            np.testing.assert_array_equal(mine.read(level, y, x, (y, x)), image.read(level, y, x))
    monkeypatch.setattr(image, "read", lambda *_: pytest.fail("it was read before"))
    mine.read(2, (0, image.shapes[2][0]), (0, image.shapes[2][1]))


def test_rest_of_an_overview_is_read_behind_its_first_part(on_s3, product, monkeypatch):
    with zipfile.ZipFile(product) as archive:
        name = next(n for n in archive.namelist() if n.endswith("_B04.jp2") and "IMG_DATA" in n)
        info = archive.getinfo(name)
    key = product.relative_to(on_s3 / "datalake")
    image = jpeg2000_image.open(locate(f"s3://{key}"), (info.header_offset, 30 + len(name) + info.file_size), 0)
    mine = WithKept(image)
    with ThreadPoolExecutor(1) as behind:
        monkeypatch.setattr(kept_overview, "_behind", lambda: behind)
        kept_overview.shelf.of(image, 1).read((0, 8), (0, 8))
    before = traffic.requests
    rows, cols = image.shapes[1]
    whole = mine.read(1, (0, rows), (0, cols))
    assert traffic.requests == before
    np.testing.assert_array_equal(whole, image.read(1, (0, rows), (0, cols)))


def test_object_that_was_replaced_gives_its_own_pixels(on_s3, sample, product, monkeypatch):
    """Of one name, one length and one grid: only its bytes are other ones."""
    bucket = sample / "datalake" / "replaced-overview"
    bucket.mkdir(exist_ok=True)
    other = next((sample / "datalake").glob("sentinel2-l1c/31/T/DJ/2021/06/20/*.zip"))
    path = bucket / "a.jp2"
    try:
        for source in (product, other):
            again(monkeypatch)
            with zipfile.ZipFile(source) as archive:
                name = next(n for n in archive.namelist() if n.endswith("_B04.jp2") and "IMG_DATA" in n)
                path.write_bytes(archive.read(name))
            image = jpeg2000_image.open(locate("s3://replaced-overview/a.jp2"), None, 0)
            rows, cols = image.shapes[2]
            with rasterio.open(path, OVERVIEW_LEVEL=1) as file:
                want = file.read()
            np.testing.assert_array_equal(WithKept(image).read(2, (0, rows), (0, cols)), want)
    finally:
        path.unlink()
        bucket.rmdir()


def test_memory_and_disk_are_bounded(on_disk, product, tmp_path, monkeypatch):
    with zipfile.ZipFile(product) as archive:
        data = archive.read(next(n for n in archive.namelist() if n.endswith("_B04.jp2") and "IMG_DATA" in n))
    monkeypatch.setattr(kept_overview, "_EVERY", 1)
    one = 330 * 330 * 2
    shelf = Shelf(memory=3 * one, disk=4 * one)
    monkeypatch.setattr(kept_overview, "shelf", shelf)
    for number in range(9):
        path = tmp_path / f"{number}.jp2"
        path.write_bytes(data)
        image = jpeg2000_image.open(locate(str(path)), None, 0)
        WithKept(image).read(2, (0, 330), (0, 330))
        assert shelf.held <= 3 * one
        assert sum(p.stat().st_size for p in kept()) <= 4 * one
    assert len(kept()) >= 3
