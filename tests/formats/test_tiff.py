"""TIFF by tiles against GDAL, which writes the files too and was not written here."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import obstore
import pytest
import rasterio
import tifffile
from affine import Affine
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rasterio.enums import ColorInterp, Resampling
from rasterio.windows import Window

from geodes_lab.errors import NotUnderstood
from geodes_lab.formats import tile_cache
from geodes_lab.formats.tiff import image as tiff_image
from geodes_lab.formats.tiff.image import GeoTiff
from geodes_lab.storage.location import locate
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.storage.request import Unreachable
from geodes_lab.storage.traffic import traffic
from tests.support.examples import examples

AT = Affine(10, 0, 300_000, 0, -10, 4_900_000)
ROWS, COLS = 520, 600  # no multiples of a tile, but of the COG driver's last overview
TILED = {"tiled": True, "blockxsize": 128, "blockysize": 128}
LITTLE = {"blocksize": 128, "overviews": "AUTO"}


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Each test begins without tiles and headers in memory."""
    tile_cache.forget()
    tiff_image.open.cache_clear()


def numbers(dtype: str, count: int = 1, rows: int = ROWS, cols: int = COLS) -> np.ndarray:
    """A slope with noise, through zero where the type has negative numbers, over all its bytes."""
    rng = np.random.default_rng(0)
    slope = np.add.outer(np.arange(rows), np.arange(cols)) * 9 + rng.integers(0, 60, (count, rows, cols))
    if np.dtype(dtype).kind == "f":
        return ((slope - 4000) / 7).astype(dtype)
    return (slope * (np.iinfo(dtype).max // 16_000 or 1) - (4000 if np.dtype(dtype).kind == "i" else 0)).astype(dtype)


def write(path: Path, dtype: str = "uint16", count: int = 1, image: Any = None, **options: Any) -> Path:
    image = numbers(dtype, count) if image is None else image
    overviews = options.pop("build", [])
    profile = {"driver": "GTiff", "count": len(image), "height": image.shape[1], "width": image.shape[2]}
    profile |= {"dtype": image.dtype, "crs": "EPSG:32631", "transform": AT}
    with rasterio.open(path, "w", **profile | options) as file:
        file.write(image)
    if overviews:
        with rasterio.open(path, "r+") as file:
            file.build_overviews(overviews, Resampling.average)
    return path


def whole(image: GeoTiff, level: int = 0) -> np.ndarray:
    rows, cols = image.shapes[level]
    return image.read(level, (0, rows), (0, cols))


def gdals(path: Path | str, level: int = 0) -> np.ndarray:
    with rasterio.open(path, **({"overview_level": level - 1} if level else {})) as file:
        return file.read()


def same(image: GeoTiff, path: Path | str, levels: int) -> None:
    """All levels are there, and GDAL's bit for bit."""
    assert len(image.shapes) == levels
    for level in range(levels):
        found, want = whole(image, level), gdals(path, level)
        assert found.dtype == want.dtype
        np.testing.assert_array_equal(found, want)


DTYPES = ("uint8", "uint16", "uint32", "int8", "int16", "int32", "float32", "float64")


@pytest.mark.parametrize(
    ("dtype", "predictor"),
    [*product(DTYPES, ("NO", "STANDARD")), ("float32", "FLOATING_POINT"), ("float64", "FLOATING_POINT")],
)
@pytest.mark.parametrize("compress", ["LZW", "DEFLATE", "ZSTD"])
def test_cog_of_any_number_and_predictor_is_gdals_bit_for_bit(tmp_path, dtype, predictor, compress):
    path = write(tmp_path / "a.tif", dtype, driver="COG", compress=compress, predictor=predictor, **LITTLE)
    same(GeoTiff(locate(path)), path, 4)


@pytest.mark.parametrize(
    "options",
    [
        {"compress": "PACKBITS"},
        {"compress": "NONE"},
        {"compress": "NONE", "ENDIANNESS": "BIG"},
        {"compress": "DEFLATE", "predictor": 2, "ENDIANNESS": "BIG"},
        {"compress": "DEFLATE", "predictor": 2, "BIGTIFF": "YES"},
        {"compress": "ZSTD", "predictor": 2, "BIGTIFF": "YES", "ENDIANNESS": "BIG"},
        {"compress": "DEFLATE", "predictor": 3, "dtype": "float32", "ENDIANNESS": "BIG"},
        {"compress": "DEFLATE", "predictor": 2, "dtype": "float64", "ENDIANNESS": "BIG"},
        {"compress": "DEFLATE", "predictor": 3, "dtype": "float64", "count": 3},
        {"compress": "LZW", "predictor": 2, "count": 3, "interleave": "pixel"},
        {"compress": "LZW", "predictor": 2, "count": 3, "interleave": "band"},
        {"compress": "LZW", "predictor": 2, "count": 4, "dtype": "uint8", "photometric": "RGB", "ALPHA": "NO"},
        {"compress": "DEFLATE", "blockxsize": 256, "blockysize": 64},
        {"compress": "DEFLATE", "blockxsize": 1024, "blockysize": 1024},  # larger than the image
    ],
    ids=str,
)
def test_tiles_of_any_kind_are_gdals_bit_for_bit(tmp_path, options):
    path = write(tmp_path / "a.tif", **{**TILED, "build": [2, 4, 8], **options})
    same(GeoTiff(locate(path)), path, 4)


@pytest.mark.parametrize("height", [1, 7, 64, ROWS])
@pytest.mark.parametrize(
    "options", [{}, {"compress": "LZW", "predictor": 2}, {"compress": "DEFLATE", "count": 2, "interleave": "band"}], ids=str
)  # fmt: skip
def test_strips_are_gdals_bit_for_bit(tmp_path, height, options):
    path = write(tmp_path / "a.tif", blockysize=height, build=[2, 4], **options)
    same(GeoTiff(locate(path)), path, 3)


@pytest.mark.parametrize("dtype", [">i2", "uint16", "float32"])
def test_rows_on_a_disk_are_read_in_place_and_not_kept(tmp_path, dtype):
    image, path = numbers(np.dtype(dtype).name)[0], tmp_path / "a.tif"
    tifffile.imwrite(path, image, byteorder=dtype[0] if dtype[0] in "<>" else "<", rowsperstrip=7)
    found = GeoTiff(locate(path)).read(0, (5, 93), (11, 64))
    np.testing.assert_array_equal(found[0], image[5:93, 11:64])
    assert found.dtype == image.dtype
    assert not tile_cache.shared()._tiles
    whole, (*_, last) = path.read_bytes(), tifffile.TiffFile(path).pages[0].dataoffsets
    path.write_bytes(whole[: last + 3])
    tile_cache.forget()
    with pytest.raises(OSError, match="beyond the end"):
        GeoTiff(locate(path)).read(0, (0, ROWS), (0, 5))


def test_strips_out_of_order_are_gdals_bit_for_bit(tmp_path):
    image = numbers("uint16")
    profile = {"driver": "GTiff", "count": 1, "height": ROWS, "width": COLS, "dtype": "uint16", "blockysize": 4}
    path = tmp_path / "a.tif"
    for mode, rows, options in (
        ("w", (200, ROWS), profile | {"compress": "LZW", "SPARSE_OK": "TRUE"}),
        ("r+", (0, 100), {}),
    ):
        with rasterio.open(path, mode, **options) as file:
            file.write(image[:, slice(*rows)], window=Window(0, rows[0], COLS, rows[1] - rows[0]))
    same(GeoTiff(locate(path)), path, 1)


@pytest.mark.parametrize(("dtype", "nodata"), [("int16", -9999), ("uint8", None), ("float32", float("nan"))])
def test_tiles_that_are_left_out_are_what_gdal_fills_them_with(tmp_path, dtype, nodata):
    image = np.full((1, ROWS, COLS), 0 if nodata is None else nodata, dtype)
    image[:, :100, 300:] = numbers(dtype)[:, :100, 300:]
    for name, options in (("a.tif", TILED), ("b.tif", {"blockysize": 16}), ("c.tif", {"driver": "COG", **LITTLE})):
        path = write(tmp_path / name, image=image, SPARSE_OK="TRUE", compress="DEFLATE", nodata=nodata, **options)
        opened = GeoTiff(locate(path))
        assert 0 in opened._levels[0].lengths
        same(opened, path, len(opened.shapes))


def test_only_true_overviews_make_the_pyramid(tmp_path):
    image = numbers("uint16", 1, 523, 611)
    path = write(tmp_path / "a.tif", image=image, **TILED, build=[8, 2, 3])
    opened = GeoTiff(locate(path))
    assert opened.shapes == ((523, 611), (262, 306), (175, 204), (66, 77))
    with rasterio.open(path) as file:
        factors = [1, *file.overviews(1)]
    for level, factor in enumerate((1, 2, 3, 8)):
        np.testing.assert_array_equal(whole(opened, level), gdals(path, factors.index(factor)))
    # The COG driver rounds down: these pixels are of 2.003 by 2.004 of the image's.
    path = write(tmp_path / "b.tif", image=image, driver="COG", **LITTLE)
    opened = GeoTiff(locate(path))
    assert opened.shapes[1] == (261, 305)
    assert opened.scales[1] == (523 / 261, 611 / 305)


@pytest.fixture(scope="module")
def cog(tmp_path_factory) -> Path:
    return write(tmp_path_factory.mktemp("cog") / "a.tif", driver="COG", compress="DEFLATE", predictor="YES", **LITTLE)


@pytest.fixture
def bucket(on_s3, sample) -> Iterator[Path]:
    folder = sample / "datalake" / "tiffs"
    folder.mkdir(exist_ok=True)
    yield folder
    shutil.rmtree(folder)


def zipped(path: Path, folder: Path) -> tuple[Path, tuple[int, int]]:
    """The file as the second of three members of a zip."""
    target = folder / "a.zip"
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("before", b"II*\0" * 1000)
        archive.write(path, "product/a.tif")
        archive.writestr("behind", b"II*\0" * 1000)
        return target, (archive.getinfo("product/a.tif").header_offset, path.stat().st_size)


windows = settings(
    max_examples=examples(25), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def window(data: st.DataObject, shape: tuple[int, int]) -> tuple[tuple[int, int], tuple[int, int]]:
    first = [data.draw(st.integers(0, side - 1)) for side in shape]
    last = [data.draw(st.integers(at + 1, side)) for at, side in zip(first, shape, strict=True)]
    return (first[0], last[0]), (first[1], last[1])


@windows
@given(data=st.data(), level=st.integers(0, 3))
def test_any_window_at_any_level_is_part_of_the_whole(cog, data, level):
    opened = GeoTiff(locate(cog))
    rows, cols = window(data, opened.shapes[level])
    np.testing.assert_array_equal(opened.read(level, rows, cols), gdals(cog, level)[:, slice(*rows), slice(*cols)])


@windows
@given(data=st.data(), level=st.integers(0, 3))
def test_any_window_of_a_stored_member_on_s3_too(cog, bucket, data, level):
    path, stored = zipped(cog, bucket)
    opened = tiff_image.open(locate(f"s3://tiffs/{path.name}"), stored, 0)
    tile_cache.forget()
    rows, cols = window(data, opened.shapes[level])
    np.testing.assert_array_equal(opened.read(level, rows, cols), gdals(cog, level)[:, slice(*rows), slice(*cols)])


@pytest.mark.parametrize(
    "options", [{"BIGTIFF": "YES"}, {"blockysize": 1, "tiled": False}, {"ENDIANNESS": "BIG"}], ids=str
)
def test_stored_members_are_gdals_on_disk_and_on_s3(tmp_path, bucket, options):
    """Their overviews' directories are at the end: beyond the first request."""
    image = numbers("uint16", 1, 2100, 400)
    path, stored = zipped(write(tmp_path / "a.tif", image=image, build=[2, 4], **{**TILED, **options}), bucket)
    for place in (locate(path), locate(f"s3://tiffs/{path.name}")):
        same(GeoTiff(place, stored), f"/vsizip/{path}/product/a.tif", 3)


def test_nothing_behind_a_member_is_taken_for_it(cog, tmp_path):
    path, (offset, size) = zipped(cog, tmp_path)
    with pytest.raises((NotUnderstood, OSError)):
        whole(GeoTiff(locate(path), (offset, size // 2)))
    with pytest.raises(NotUnderstood):
        GeoTiff(locate(path), (offset + 1, size))


def test_window_asks_for_the_header_and_once_for_neighbouring_tiles(cog, bucket):
    (bucket / "a.tif").write_bytes(cog.read_bytes())
    before = traffic.requests
    opened = tiff_image.open(locate("s3://tiffs/a.tif"), None, 0)
    assert traffic.requests - before == 1
    opened.read(0, (130, 380), (130, 380))  # two by two tiles, in a row of five
    assert traffic.requests - before <= 3
    assert tile_cache.shared().decoded == 4
    opened.read(0, (140, 300), (140, 300))
    assert traffic.requests - before <= 3
    before = traffic.requests
    whole(opened, 1)
    assert traffic.requests - before == 1, "an overview, whose tiles follow each other"
    before = traffic.bytes
    whole(opened, 3)
    assert traffic.bytes - before < 128 * 128 * 2


def put(path: Path) -> ObjectLocation:
    """Upload a file, as S3 does it: with a tag."""
    place = locate("s3://tiffs/a.tif")
    obstore.put(place.store, place.path, path.read_bytes())
    return place


def test_header_is_kept_for_the_next_process(cog, bucket):
    place = put(cog)
    first = GeoTiff(place)
    before = traffic.requests
    again = GeoTiff(place)
    assert traffic.requests == before
    assert (again.shapes, again.epsg, again.centre) == (first.shapes, first.epsg, first.centre)
    np.testing.assert_array_equal(whole(again), whole(first))


def test_replaced_object_is_noticed_and_read_as_it_is_now(cog, bucket, tmp_path):
    """A header that was kept leads into the tiles of another file: the object's tag tells."""
    place = put(cog)
    old = tiff_image.open(place, None, 0)
    image = numbers("uint16", 1, 700, 800)
    put(write(tmp_path / "b.tif", image=image, **TILED))
    with pytest.raises(NotUnderstood, match="was replaced"):
        whole(old)
    np.testing.assert_array_equal(whole(tiff_image.open(place, None, 0)), image)


def test_tiles_far_from_each_other_are_asked_for_apart(tmp_path, monkeypatch):
    image = np.random.default_rng(0).integers(0, 2**16, (1, 4096, 1024), "uint16")  # nothing to compress: 512 kB a tile
    path = write(tmp_path / "a.tif", image=image, tiled=True, blockxsize=512, blockysize=512)
    opened = GeoTiff(locate(path))
    asked: list[tuple[int, int]] = []
    fetch = ObjectLocation.fetch
    monkeypatch.setattr(
        ObjectLocation, "fetch", lambda self, ranges, tag=None: (asked.extend(ranges), fetch(self, ranges, tag))[1]
    )
    np.testing.assert_array_equal(opened.read(0, (0, 4096), (0, 512)), image[:, :, :512])
    assert [length for _, length in asked] == [2**19] * 8
    asked.clear()
    whole(opened)
    assert len(asked) == 8, "each between tiles that are here already"
    tile_cache.forget()
    asked.clear()
    np.testing.assert_array_equal(whole(opened), image)
    assert [length for _, length in asked] == [2**22] * 2


def test_large_header_is_read_in_few_requests(tmp_path):
    image = np.zeros((1, 20_000, 16), "uint8")
    path = write(tmp_path / "a.tif", image=image, blockysize=1, compress="DEFLATE")  # 20 000 strips
    before = traffic.requests
    opened = GeoTiff(locate(path))
    assert traffic.requests - before <= 4
    np.testing.assert_array_equal(whole(opened), image)


@pytest.mark.parametrize("point", [False, True])
@pytest.mark.parametrize("transform", [AT, Affine(10, 0, 300_000, 0, 10, 4_900_000), Affine(0.1, 0, 2, 0, -0.2, 45)])
def test_first_pixel_is_where_gdal_says(tmp_path, transform, point):
    path = write(tmp_path / "a.tif", transform=transform, crs="EPSG:4326" if transform.a < 1 else "EPSG:32631")
    if point:
        with rasterio.open(path, "r+") as file:
            file.update_tags(AREA_OR_POINT="Point")
    with rasterio.open(path) as file:
        assert file.tags()["AREA_OR_POINT"] == ("Point" if point else "Area")
        opened = GeoTiff(locate(path))
        assert opened.epsg == file.crs.to_epsg()
        np.testing.assert_allclose(opened.centre, file.transform * (0.5, 0.5), rtol=0, atol=1e-9)


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_file_that_says_nothing_of_its_place_is_read(tmp_path):
    opened = GeoTiff(locate(write(tmp_path / "a.tif", crs=None, transform=None)))
    assert opened.epsg is None
    assert np.isnan(opened.centre).all()


def with_mask(path: Path, inside: bool) -> None:
    write(path, **TILED)
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside), rasterio.open(path, "r+") as file:
        file.write_mask(np.ones((ROWS, COLS), bool))


@pytest.mark.parametrize(
    "make",
    [
        lambda path: with_mask(path, True),
        lambda path: with_mask(path, False),
        lambda path: write(path, "uint8", 4, photometric="RGB", ALPHA="YES"),
        lambda path: write(path, "uint8", 3, photometric="YCBCR", compress="JPEG"),
        lambda path: write(path, "uint8", compress="JPEG"),
        lambda path: write(path, image=numbers("float32").astype("complex64")),
        lambda path: write(path, image=numbers("uint32").astype("uint64")),
        lambda path: write(path, "float32", compress="LERC_ZSTD"),
        lambda path: write(path, NBITS=12),
        lambda path: write(path, "float32", NBITS=16),
        lambda path: write(path, "uint8", NBITS=1, image=numbers("uint8") & 1),
        lambda path: write(path, transform=AT @ Affine.rotation(10)),
        lambda path: write(path, image=np.zeros((1, 3000, 4000), "uint16"), blockysize=3000),  # one strip of 24 MB
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(b"II*\0"),
        lambda path: path.write_bytes(b"II*\0" + bytes(1000)),
        lambda path: path.write_bytes(b"no TIFF at all" * 100),
    ],
)
def test_what_is_not_understood_is_left_to_gdal(tmp_path, make):
    make(tmp_path / "a.tif")
    with pytest.raises(NotUnderstood):
        tiff_image.open(locate(tmp_path / "a.tif"), None, 0)


def test_place_in_a_file_beside_it_is_left_to_gdal(cog, tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(cog.read_bytes())
    beside = tmp_path / "a.tif.aux.xml"
    beside.write_text("<PAMDataset><Metadata/></PAMDataset>")
    tiff_image.open(locate(path), None, 0)
    beside.write_text("<PAMDataset><SRS>EPSG:2154</SRS></PAMDataset>")
    with pytest.raises(NotUnderstood):
        tiff_image.open(locate(path), None, 1)


def test_signed_address_is_left_to_gdal():
    with pytest.raises(NotUnderstood):
        tiff_image.open(locate("http://127.0.0.1:9/a.tif?signature=1"), None, 0)


def test_alpha_is_known_by_its_name(tmp_path):
    path = write(tmp_path / "a.tif", "uint8", 2)
    with rasterio.open(path, "r+") as file:
        file.colorinterp = (ColorInterp.gray, ColorInterp.alpha)
    with pytest.raises(NotUnderstood):
        GeoTiff(locate(path))


@pytest.mark.parametrize("compress", ["DEFLATE", "ZSTD", "LZW", "PACKBITS", "NONE"])
def test_damaged_tile_is_an_error_that_names_it(tmp_path, compress):
    path = write(tmp_path / "a.tif", **TILED, compress=compress)
    good = path.read_bytes()
    opened = GeoTiff(locate(path))
    start, length = int(opened._levels[0].starts[7]), int(opened._levels[0].lengths[7])
    if compress != "NONE":  # numbers that are stored as they are tell nothing
        path.write_bytes(good[:start] + b"\xff\x00" * (length // 2) + good[start + length // 2 * 2 :])
        with pytest.raises(OSError, match="tile 7 of the TIFF"):
            opened.read(0, (128, 256), (256, 384))
        opened.read(0, (0, 128), (0, 128))
    path.write_bytes(good[: start + length // 2])
    with pytest.raises(OSError, match="tile 7 of the TIFF"):
        opened.read(0, (128, 256), (256, 384))
    path.write_bytes(good)
    np.testing.assert_array_equal(whole(opened), gdals(path))


def test_replaced_file_has_new_tiles(tmp_path):
    path = write(tmp_path / "a.tif", **TILED)
    first = whole(tiff_image.open(locate(path), None, 1))
    write(path, image=numbers("uint16") + 1, **TILED)
    np.testing.assert_array_equal(whole(tiff_image.open(locate(path), None, 2)), first + 1)


def all_levels(place: ObjectLocation, levels: int) -> None:
    opened = GeoTiff(place)
    if len(opened.shapes) < levels:
        raise NotUnderstood("overviews are lost")
    for level in range(levels):
        whole(opened, level)


@pytest.mark.parametrize("share", [0.0001, 0.01, 0.3, 0.9, 0.999])
@pytest.mark.parametrize("driver", ["COG", "GTiff"])
def test_cut_file_is_an_error_on_disk_and_on_s3(tmp_path, bucket, driver, share):
    options = {"compress": "DEFLATE"} | (LITTLE if driver == "COG" else TILED | {"build": [2, 4]})
    data = write(tmp_path / "whole.tif", driver=driver, **options).read_bytes()
    path = bucket / "a.tif"
    path.write_bytes(data[: int(len(data) * share)])
    for place in (locate(path), locate("s3://tiffs/a.tif")):
        with pytest.raises((NotUnderstood, OSError, Unreachable)):
            all_levels(place, 4 if driver == "COG" else 3)


@pytest.mark.thorough
@settings(max_examples=examples(300), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.dictionaries(st.integers(0, 1023), st.integers(0, 255), max_size=6))
def test_header_of_any_bytes_is_read_or_is_an_error(cog, tmp_path, changes):
    data = bytearray(cog.read_bytes())
    for at, byte in changes.items():
        data[at] = byte
    path = tmp_path / "a.tif"
    path.write_bytes(data)
    tile_cache.forget()
    try:
        opened = GeoTiff(locate(path))
        assert max(map(max, opened.shapes)) < 2**32
        for level, (rows, cols) in enumerate(opened.shapes):
            opened.read(level, (0, min(rows, 600)), (0, min(cols, 600)))
    except (NotUnderstood, OSError):
        pass


@pytest.mark.parametrize("order", ["<", ">"])
def test_directories_in_a_circle_end(tmp_path, cog, order):
    path = write(tmp_path / "a.tif", ENDIANNESS="LITTLE" if order == "<" else "BIG")
    data = bytearray(path.read_bytes())
    byteorder = "little" if order == "<" else "big"
    first = int.from_bytes(data[4:8], byteorder)
    following = first + 2 + 12 * int.from_bytes(data[first : first + 2], byteorder)
    data[following : following + 4] = first.to_bytes(4, byteorder)
    path.write_bytes(data)
    np.testing.assert_array_equal(whole(GeoTiff(locate(path))), gdals(write(tmp_path / "b.tif")))
