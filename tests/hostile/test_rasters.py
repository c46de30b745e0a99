"""Rasters made by an attacker: bombs, and files that name the opener's other files; what is honest and alike goes on opening."""

from __future__ import annotations

import os
import struct
import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import tifffile

import geodes_lab as gl
from geodes_lab.formats import gdal_dataset
from geodes_lab.formats.jpeg2000 import code_blocks
from geodes_lab.products import as_item
from geodes_lab.reading import window
from geodes_lab.util import limits
from tests.support.products.hostile import band_item, gl_source, raster
from tests.support.products.mutations import pam, vrt

pytestmark = pytest.mark.attack


def test_vrt_by_another_name(tmp_path, canary, refused):
    path = tmp_path / "a.tif"
    path.write_text(vrt(canary.folder))
    with rasterio.open(path) as file:  # what it would be, were it opened as GDAL does
        assert (file.read() == 777).all()
    assert "not one of those that can be opened here: GTiff, JP2OpenJPEG" in refused(path)
    path.rename(tmp_path / "a.jp2")
    assert "not one of those that can be opened" in refused(tmp_path / "a.jp2")
    (tmp_path / "a.vrt").write_text(vrt(canary.folder))
    assert "not one of those that can be opened" in refused(tmp_path / "a.vrt")


@pytest.mark.parametrize("name", ["OSO_20210101_RASTER_V1-0", "swh-l1a", "sentinel2-l2a-sprid"])
def test_vrt_as_a_band_of_a_product(sample, tmp_path, canary, refused, name):
    source = next(p for p in (sample / "datalake").rglob("*.zip") if name in str(p))
    path = tmp_path / source.name
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            is_image = info.filename.lower().endswith((".tif", ".tiff"))
            new.writestr(info, vrt(canary.folder) if is_image else old.read(info))
    refused(path)
    with zipfile.ZipFile(path) as packed:
        packed.extractall(tmp_path / "out")
    folder = next((tmp_path / "out").iterdir())
    if folder.is_dir() and len(list((tmp_path / "out").iterdir())) == 1:
        folder.rename(tmp_path / source.stem)
        refused(tmp_path / source.stem)


@pytest.mark.parametrize("name", ["secret.tif", "secret.vrt"])
def test_overviews_that_a_tiff_names_in_another_file(tmp_path, canary, refused, name):
    path = raster(
        tmp_path / "a.tif", compress="jpeg", dtype="uint8", pixels=np.ones((1, 256, 256), "uint8")
    )  # left to GDAL
    with rasterio.open(path, "r+") as file:
        file.update_tags(ns="OVERVIEWS", OVERVIEW_FILE=str(canary.folder / name))
    with rasterio.open(path) as file:
        assert file.overviews(1) == [2], "GDAL takes them"
    assert canary.read()
    assert "has its overviews in another file" in refused(path)


def test_overviews_that_a_jpeg2000_names_in_another_file(tmp_path, canary, refused):
    path = raster(tmp_path / "a.jp2", driver="JP2OpenJPEG")
    text = pam(canary.folder).replace("PAMDataset", "GDALMultiDomainMetadata").encode()
    data = path.read_bytes()
    at = data.find(b"jp2c") - 4
    path.write_bytes(data[:at] + struct.pack(">I", 8 + len(text)) + b"xml " + text + data[at:])
    assert "has its overviews in another file" in refused(path)


@pytest.mark.parametrize("suffix", [".ovr", ".OVR", ".msk", ".aux.xml"])
def test_files_beside_a_raster(tmp_path, canary, refused, suffix):
    path = raster(tmp_path / "a.tif", np.ones((1, 256, 256), "uint8"), compress="jpeg")
    beside = tmp_path / f"a.tif{suffix}"
    beside.write_text(pam(canary.folder) if suffix == ".aux.xml" else vrt(canary.folder))
    assert "refused" in refused(path)
    beside.unlink()
    beside.symlink_to(canary.folder / "secret.tif")
    assert "is next to a raster, but it is a link or a pipe" in refused(path)
    beside.unlink()
    os.mkfifo(beside)
    assert "is next to a raster, but it is a link or a pipe" in refused(path)


def test_honest_files_beside_a_raster(tmp_path, opened):
    path = raster(tmp_path / "a.tif", np.ones((1, 256, 256), "uint8"), compress="jpeg", crs=None, transform=None)
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset><SRS>EPSG:32631</SRS></PAMDataset>")
    (tmp_path / "a.tfw").write_text("10\n0\n0\n-10\n300005\n4799995\n")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="NO", TIFF_USE_OVR="YES"), rasterio.open(path, "r+") as file:
        file.write_mask(np.triu(np.full((256, 256), 255, "uint8")))
    assert (tmp_path / "a.tif.msk").exists()
    band = gl.products.bands.source(gl.products.unpack(path), "data") if hasattr(gl, "products") else None
    assert opened(path).outcome == "opened"
    assert band is None or window.read(band, band.geobox)[1].mean() < 0.6, "the mask counts"


@pytest.mark.parametrize(
    "path",
    [
        "vrt:///data/a.tif", "GTI:/data/a.gti.gpkg", "DERIVED_SUBDATASET:LOGAMPLITUDE:/data/a.tif", "NETCDF:/data/a.nc:x", "GTIFF_DIR:1:/data/a.tif",
        "/vsisubfile/0_100,/data/a.tif", "/vsistdin/", "/vsimem/a.tif", "/vsitar//data/a.tar/a.tif", "/vsigzip//data/a.gz", "/vsisparse/a.xml",
        "/vsicurl?url=file:///etc/passwd", "/vsicurl/file:///etc/passwd", "/vsicurl/ftp://127.0.0.1/a", "/vsizip//data/a.zip/a.tif", "/vsizip/{/vsitar/a}/b",
        "/vsizip/{/data/a.zip}/../../b", "/vsicached?file=/etc/passwd", "/vsicrypt/key=a,file=/etc/passwd", "data/a.tif", "s3://b/k", "<VRTDataset/>", "/VSIMEM/a", "",
    ],
)  # fmt: skip
def test_paths_that_are_none(path):
    with (
        pytest.raises(gl.GeodesError, match="is not the path of a file that can be opened here"),
        gdal_dataset.opened(path),
    ):
        pass


@pytest.mark.parametrize(
    "path",
    [
        "/data/a.tif",
        "/vsis3/b/k.tif",
        "/vsicurl/https://a/k.tif?sig=1",
        "/vsizip/{/vsis3/b/k.zip}/a/b.tif",
        "/vsizip/{/d/k.zip}/b.tif",
    ],
)
def test_paths_of_files(path):
    gdal_dataset.check(path)


@pytest.mark.parametrize(
    "prefix",
    ["vrt://", "GTI:", "DERIVED_SUBDATASET:AMPLITUDE:", "/vsisubfile/0_100000,", "GTIFF_DIR:1:", "/vsicached?file="],
)
def test_prefixes_in_the_address_of_an_item(canary, refused, prefix):
    refused(band_item(f"{prefix}{canary.folder}/secret.tif"))


def sparse(path: Path, side: int, tile: int, **tags: Any) -> Path:
    """A TIFF of nothing but no data: its tiles are one and the same few bytes, or none."""
    data = zlib.compress(bytes(tile * tile), 9)
    with tifffile.TiffWriter(path, bigtiff=True) as file:
        file.write(
            (data for _ in range((side // tile) ** 2)), shape=(side, side), dtype="u1", tile=(tile, tile), compression="zlib",
            extratags=[
                (33550, "d", 3, (10.0, 10.0, 0.0)), (33922, "d", 6, (0.0, 0.0, 0.0, 3e5, 4.8e6, 0.0)),
                (34735, "H", 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32631)),
            ],
        )  # fmt: skip
    return path


def test_image_of_nothing_is_read_in_parts(tmp_path, opened):
    """A coarse grid asks for all pixels, which is a gigabyte and a half of an image of 1 MB: of 60 000² in 3.5 MB it was 3.7 GB."""
    path = sparse(tmp_path / "a.tif", 20480, 1024)
    assert path.stat().st_size < 2e6
    assert opened(path, "coarse").outcome == "opened"


def test_more_pixels_than_there_is_time_for(tmp_path, refused):
    said = refused(sparse(tmp_path / "a.tif", 2**17, 4096), "coarse")
    assert "One chunk of the grid needs" in said
    assert "Choose a finer resolution, or smaller chunks=" in said


def test_tile_of_hundreds_of_megabytes(tmp_path, refused):
    path, side, packer = tmp_path / "a.tif", 20480, zlib.compressobj(9)
    packed = b"".join(packer.compress(bytes(2**24)) for _ in range(25)) + packer.flush()
    with tifffile.TiffWriter(path) as file:
        file.write(iter([packed]), shape=(side, side), dtype="u1", tile=(side, side), compression="zlib")
    assert path.stat().st_size < 1e6
    assert "A block of" in refused(path)


@pytest.mark.parametrize("kind", [1, 4], ids=["overview", "mask"])
def test_tile_of_gigabytes_in_another_image_of_the_file(tmp_path, refused, kind):
    """The image is honest; its overview or its mask has one tile of 32768², which GDAL would decode whole."""
    path = tmp_path / "a.tif"
    pixels = np.ones((512, 512), "uint8")
    with tifffile.TiffWriter(path) as file:
        file.write(pixels, tile=(256, 256), compression="zlib", photometric="minisblack")
        file.write(pixels[::2, ::2], tile=(256, 256), compression="zlib", subfiletype=1, photometric="minisblack")
    assert opens(path)
    with tifffile.TiffFile(path, mode="r+b") as file:
        for tag in ("TileWidth", "TileLength"):
            file.pages[1].tags[tag].overwrite(32768)
        file.pages[1].tags["NewSubfileType"].overwrite(kind)
    assert "A block of" in refused(path)


def opens(path: Path) -> bool:
    with gdal_dataset.opened(str(path)) as file:
        return bool((file.read(1) == 1).all())


def test_images_by_the_hundred(tmp_path):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as file:
        for _ in range(70):
            file.write(np.ones((16, 16), "uint8"), photometric="minisblack")
    with pytest.raises(gl.GeodesError, match="more than 64 images"), gdal_dataset.opened(str(path)):
        pass


def test_image_of_trillions_of_pixels(tmp_path):
    fields = {"proj:shape": [2**21, 2**21], "proj:transform": [10, 0, 3e5, 0, -10, 4.8e6]}
    with pytest.raises(gl.GeodesError, match="pixels, more than the"):
        window.lazy(gl_source(as_item(band_item(str(raster(tmp_path / "a.tif")), **fields))))


def test_bands_by_the_thousand(tmp_path, opened, refused):
    """Only the band that is wanted is read."""
    path = tmp_path / "a.tif"
    tile = zlib.compress(bytes(2**20), 9)
    with tifffile.TiffWriter(path) as file:
        file.write(
            (tile for _ in range(600)), shape=(600, 1024, 1024), dtype="u1", tile=(1024, 1024), compression="zlib", planarconfig="separate",
            photometric="minisblack",
            extratags=[
                (33550, "d", 3, (10.0, 10.0, 0.0)), (33922, "d", 6, (0.0, 0.0, 0.0, 3e5, 4.8e6, 0.0)),
                (34735, "H", 16, (1, 1, 0, 3, 1024, 0, 1, 1, 1025, 0, 1, 1, 3072, 0, 1, 32631)),
            ],
        )  # fmt: skip
    assert opened(path).outcome == "opened"


def test_band_that_a_file_does_not_have(tmp_path):
    path = raster(tmp_path / "a.tif", tiled=True, blockxsize=64, blockysize=64)
    item = as_item(
        band_item(
            str(path), **{"geodes:band": 7, "proj:shape": [256, 256], "proj:transform": [10, 0, 3e5, 0, -10, 4.8e6]}
        )
    )
    band = gl_source(item)
    with pytest.raises(gl.GeodesError, match="has 1 bands, not 7"):
        window.read(band, band.geobox[:8, :8])


@pytest.mark.parametrize("where", ["main", "tile", "behind a comment"])
def test_code_blocks_of_one_pixel(tmp_path, refused, where):
    """A precinct of 2 × 2 in the coding style makes a structure of each pixel: 15 GB of an image of 2 kB."""
    path = raster(tmp_path / "a.jp2", driver="JP2OpenJPEG")
    data = bytearray(path.read_bytes())
    side = 10980
    box, siz = data.find(b"ihdr"), data.find(b"\xff\x4f\xff\x51")
    struct.pack_into(">II", data, box + 4, side, side)
    for offset in (8, 12, 24, 28):
        struct.pack_into(">I", data, siz + offset, side)
    cod = data.find(b"\xff\x52", siz)
    length = struct.unpack_from(">H", data, cod + 2)[0]
    style = bytearray(data[cod : cod + 2 + length])
    levels = style[9]
    style = bytearray(style[:14])
    style[4] |= 1
    style += bytes([0x11] * (levels + 1))
    struct.pack_into(">H", style, 2, len(style) - 2)
    if where == "main":
        data[cod : cod + 2 + length] = style
    else:
        if where == "behind a comment":  # in a header longer than that of any tile
            style = bytearray(b"\xff\x64" + struct.pack(">H", 6002) + bytes(6000)) + style
        sot = data.find(b"\xff\x90\x00\x0a", siz)
        data[sot + 12 : sot + 12] = style
        struct.pack_into(">I", data, sot + 6, struct.unpack_from(">I", data, sot + 6)[0] + len(style))
    path.write_bytes(data)
    assert "code-blocks, more than" in refused(path)


def test_code_blocks_are_counted_as_the_standard_has_them():
    style = bytes([5, 4, 4, 0, 1])  # 5 decompositions, blocks of 64²
    assert code_blocks._blocks((1024, 1024), style, False) == pytest.approx(1024**2 / 64**2 * 4 / 3, rel=0.2)
    assert code_blocks._blocks((1024, 1024), style + bytes([0x11] * 6), True) > 1024**2
    code_blocks.check("real", b"")  # says nothing


def test_components_with_styles_of_their_own_are_counted_together():
    """Each has as many code-blocks as a tile may have; a thousand of them have a thousand times as many."""
    side, count = 1024, 1000
    siz = (
        struct.pack(">HHHHIIIIIIIIH", 0xFF4F, 0xFF51, 38 + 3 * count, 0, side, side, 0, 0, side, side, 0, 0, count)
        + bytes([7, 1, 1]) * count
    )
    style = bytes([0, 0, 0, 0, 1])  # no decomposition, blocks of 4²: 2^16
    plain = b"\xff\x52" + struct.pack(">HBBHB", 12, 0, 0, 1, 0) + bytes([0, 4, 4, 0, 1])
    own = [b"\xff\x53" + struct.pack(">HHB", 10, n, 0) + style for n in range(count)]
    code_blocks.check("of one", siz + plain + own[0])
    with pytest.raises(gl.GeodesError, match="code-blocks, more than"):
        code_blocks.check("of many", siz + plain + b"".join(own))


@pytest.mark.parametrize("decoy", [b"uuid", b"free", b"xml "])
def test_code_stream_that_a_box_pretends(tmp_path, refused, decoy):
    """The first bytes that look like a code-stream are honest, those that decoders read are not."""
    path = raster(tmp_path / "a.jp2", driver="JP2OpenJPEG")
    data = bytearray(path.read_bytes())
    siz, box = data.find(b"\xff\x4f\xff\x51"), data.find(b"jp2c") - 4
    honest = bytes(data[siz:])
    cod = data.find(b"\xff\x52", siz)
    length, levels = struct.unpack_from(">H", data, cod + 2)[0], data[cod + 9]
    data[cod + 14 : cod + 2 + length] = bytes([0x11] * (levels + 1))  # precincts of 2²
    struct.pack_into(">H", data, cod + 2, 12 + levels + 1)
    data[cod + 4] |= 1
    for at in (8, 12, 24, 28):
        struct.pack_into(">I", data, siz + at, 10980)
    ihdr = data.find(b"ihdr")
    struct.pack_into(">II", data, ihdr + 4, 10980, 10980)
    struct.pack_into(">I", data, box, 0)  # to the end of the file
    data[box:box] = struct.pack(">I", len(honest) + 8) + decoy + honest
    path.write_bytes(data)
    assert "code-blocks, more than" in refused(path)


def test_part_of_a_tile_that_has_a_style_of_its_own():
    sot = struct.pack(">HHHIBB", 0xFF90, 10, 0, 100, 0, 1)
    assert code_blocks.is_plain(sot + b"\xff\x93data")
    assert code_blocks.is_plain(sot + b"\xff\x58\x00\x04ab\xff\x93data")
    assert code_blocks.is_plain(sot + b"\xff\x52\x00\x0c" + bytes(10) + b"\xff\x93") is False
    assert code_blocks.is_plain(sot + b"\xff\x58\x10\x00") is None


def test_tile_that_an_item_claims(tmp_path):
    """What an Item says of tiles makes no chunk of terabytes."""
    path = raster(tmp_path / "a.tif")
    fields = {
        "proj:shape": [2**15, 2**15],
        "proj:transform": [10, 0, 3e5, 0, -10, 4.8e6],
        "geodes:tile": [2**22, 2**22],
    }
    assert max(window.lazy(gl_source(as_item(band_item(str(path), **fields)))).chunksize) <= 2048


def test_limits_are_said_in_a_sentence():
    with pytest.raises(
        gl.GeodesError,
        match=r"^A tile of a\.tif would take 1.00 GiB, more than the 256.00 MiB that any product needs. It is refused",
    ):
        limits.refuse("A tile of a.tif", 2**30, limits.TILE)
    limits.refuse("A tile of a.tif", limits.TILE, limits.TILE)
