"""Products made by an attacker: bombs, and files that name the opener's other files. Each is opened in a child that is measured, and
what it may not read is watched; what is honest and alike goes on opening."""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numcodecs
import numpy as np
import pytest
import rasterio
import tifffile
import zarr
from affine import Affine
from fuzz_products import Canary, Fuzz
from mutations import pam, vrt, write_zarr
from sandboxed import Result, Sandbox

import geodes_lab as gl
from geodes_lab import codeblocks, frames, hdf5, limits, polygons, rasters, reader, xmltree, zarrlayout
from geodes_lab.archive import Archive
from geodes_lab.jp2 import NotUnderstood
from geodes_lab.products import as_item

GRID = {"crs": "EPSG:32631", "transform": Affine(10, 0, 3e5, 0, -10, 4.8e6)}
SMALL = 700 * 2**20  # bytes: what the libraries take, and some tiles

Refused = Callable[..., str]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def canary(tmp_path_factory) -> Canary:
    return Canary(tmp_path_factory.mktemp("other") / "canary")


@pytest.fixture
def opened(sandbox, canary, tmp_path) -> Callable[..., Result]:
    """Opens a product and reads a little of it; nothing may happen that no product may do, nor be read of another's."""

    def open(product: Path | dict[str, Any], use: str = "whole", most: int = SMALL) -> Result:
        canary.read()
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        result = sandbox.open(product, work, use)
        assert result.problems == []
        assert canary.read() == []
        assert result.rss < most, f"{result.rss >> 20} MiB"
        return result

    return open


@pytest.fixture
def refused(opened) -> Refused:
    """As `opened`; gives the sentence of the refusal."""

    def refuse(product: Path | dict[str, Any], use: str = "whole", most: int = SMALL) -> str:
        result = opened(product, use, most)
        assert result.outcome == "refused"
        return result.text

    return refuse


def raster(path: Path, pixels: np.ndarray | None = None, **options: Any) -> Path:
    pixels = np.ones((1, 256, 256), "uint16") if pixels is None else pixels
    profile = {
        "driver": "GTiff",
        "count": len(pixels),
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "dtype": pixels.dtype,
    }
    with rasterio.open(path, "w", **(profile | GRID | options)) as file:
        file.write(pixels)
    return path


# Rasters: what GDAL would read of other files.


def test_vrt_by_another_name(tmp_path, canary, refused):
    path = tmp_path / "a.tif"
    path.write_text(vrt(canary.folder))
    with rasterio.open(path) as file:  # what it would be, were it opened as GDAL does
        assert (file.read() == 777).all()
    assert "none of the formats that are opened here: GTiff, JP2OpenJPEG" in refused(path)
    path.rename(tmp_path / "a.jp2")
    assert "none of the formats" in refused(tmp_path / "a.jp2")
    (tmp_path / "a.vrt").write_text(vrt(canary.folder))
    assert "none of the formats" in refused(tmp_path / "a.vrt")


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
    assert "names another file as its overviews" in refused(path)


def test_overviews_that_a_jpeg2000_names_in_another_file(tmp_path, canary, refused):
    path = raster(tmp_path / "a.jp2", driver="JP2OpenJPEG")
    text = pam(canary.folder).replace("PAMDataset", "GDALMultiDomainMetadata").encode()
    data = path.read_bytes()
    at = data.find(b"jp2c") - 4
    path.write_bytes(data[:at] + struct.pack(">I", 8 + len(text)) + b"xml " + text + data[at:])
    assert "names another file as its overviews" in refused(path)


@pytest.mark.parametrize("suffix", [".ovr", ".OVR", ".msk", ".aux.xml"])
def test_files_beside_a_raster(tmp_path, canary, refused, suffix):
    path = raster(tmp_path / "a.tif", np.ones((1, 256, 256), "uint8"), compress="jpeg")
    beside = tmp_path / f"a.tif{suffix}"
    beside.write_text(pam(canary.folder) if suffix == ".aux.xml" else vrt(canary.folder))
    assert "refused" in refused(path)
    beside.unlink()
    beside.symlink_to(canary.folder / "secret.tif")
    assert "is beside a raster and no file of its own" in refused(path)
    beside.unlink()
    os.mkfifo(beside)
    assert "is beside a raster and no file of its own" in refused(path)


def test_honest_files_beside_a_raster(tmp_path, opened):
    path = raster(tmp_path / "a.tif", np.ones((1, 256, 256), "uint8"), compress="jpeg", crs=None, transform=None)
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset><SRS>EPSG:32631</SRS></PAMDataset>")
    (tmp_path / "a.tfw").write_text("10\n0\n0\n-10\n300005\n4799995\n")
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK="NO", TIFF_USE_OVR="YES"), rasterio.open(path, "r+") as file:
        file.write_mask(np.triu(np.full((256, 256), 255, "uint8")))
    assert (tmp_path / "a.tif.msk").exists()
    band = gl.products.bands.source(gl.products.unpack(path), "data") if hasattr(gl, "products") else None
    assert opened(path).outcome == "opened"
    assert band is None or reader.read(band, band.geobox)[1].mean() < 0.6, "the mask counts"


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
    with pytest.raises(gl.GeodesError, match="is no path of a file that is read here"), rasters.opened(path):
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
    rasters.check(path)


def band_item(href: str, **fields: Any) -> dict[str, Any]:
    """A band Item, as a hostile catalogue would give it: it says its grid, so that nobody looks."""
    told = {
        "proj:code": "EPSG:32631", "proj:shape": [150, 130], "proj:transform": [20, 0, 3e5, 0, -20, 4.8e6], "gsd": 20, "data_type": "uint16",
        "bands": [{"name": "b"}],
    }  # fmt: skip
    asset = {"href": href, "type": "image/tiff", "roles": ["data"], **told, **fields}
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": "i", "geometry": None, "properties": {"datetime": "2021-06-05T00:00:00Z"}, "links": [],
        "assets": {"b": asset},
    }  # fmt: skip


@pytest.mark.parametrize(
    "prefix",
    ["vrt://", "GTI:", "DERIVED_SUBDATASET:AMPLITUDE:", "/vsisubfile/0_100000,", "GTIFF_DIR:1:", "/vsicached?file="],
)
def test_prefixes_in_the_address_of_an_item(canary, refused, prefix):
    refused(band_item(f"{prefix}{canary.folder}/secret.tif"))


# Rasters: bombs.


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
    assert "choose a finer resolution, or smaller chunks=" in said


def test_tile_of_a_gigabyte(tmp_path, refused):
    path = tmp_path / "a.tif"
    side = 2**15
    sparse(path, side, side) if False else None
    data = zlib.compressobj(9)
    packed = b"".join(data.compress(bytes(2**24)) for _ in range(64)) + data.flush()
    with tifffile.TiffWriter(path) as file:
        file.write(iter([packed]), shape=(side, side), dtype="u1", tile=(side, side), compression="zlib")
    assert "A block of" in refused(path)


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
        reader.read(band, band.geobox[:8, :8])


def gl_source(item: Any) -> Any:
    from geodes_lab.products import bands

    return bands.source(item, "b")


@pytest.mark.parametrize("where", ["main", "tile"])
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
        sot = data.find(b"\xff\x90\x00\x0a", siz)
        data[sot + 12 : sot + 12] = style
        struct.pack_into(">I", data, sot + 6, struct.unpack_from(">I", data, sot + 6)[0] + len(style))
    path.write_bytes(data)
    assert "code-blocks, more than" in refused(path)


def test_code_blocks_are_counted_as_the_standard_has_them():
    style = bytes([5, 4, 4, 0, 1])  # 5 decompositions, blocks of 64²
    assert codeblocks._blocks((1024, 1024), style, False) == pytest.approx(1024**2 / 64**2 * 4 / 3, rel=0.2)
    assert codeblocks._blocks((1024, 1024), style + bytes([0x11] * 6), True) > 1024**2
    codeblocks.check("real", b"")  # says nothing


def test_part_of_a_tile_that_has_a_style_of_its_own():
    sot = struct.pack(">HHHIBB", 0xFF90, 10, 0, 100, 0, 1)
    assert codeblocks.is_plain(sot + b"\xff\x93data")
    assert codeblocks.is_plain(sot + b"\xff\x58\x00\x04ab\xff\x93data")
    assert codeblocks.is_plain(sot + b"\xff\x52\x00\x0c" + bytes(10) + b"\xff\x93") is False
    assert codeblocks.is_plain(sot + b"\xff\x58\x10\x00") is None


def test_tile_that_an_item_claims(tmp_path):
    """What an Item says of tiles makes no chunk of terabytes."""
    path = raster(tmp_path / "a.tif")
    fields = {
        "proj:shape": [2**22, 2**22],
        "proj:transform": [10, 0, 3e5, 0, -10, 4.8e6],
        "geodes:tile": [2**22, 2**22],
    }
    assert max(reader.lazy(gl_source(as_item(band_item(str(path), **fields)))).chunksize) <= 2048


# Zarr.


@pytest.fixture
def store(tmp_path) -> Path:
    import random

    write_zarr(tmp_path / "a.zarr", 2, False, random.Random(1))
    return tmp_path / "a.zarr"


def array(folder: Path, name: str, change: Callable[[dict[str, Any]], Any], document: str = ".zarray") -> None:
    path = folder / name / document
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))
    (folder / ".zmetadata").unlink(missing_ok=True)
    (folder / name / "0.0").touch()


def bombs() -> Iterator[tuple[str, bytes]]:
    for way in sorted(frames.WAYS - {"lzma"}):
        codec = numcodecs.get_codec({"id": way})
        yield way, bytes(codec.encode(bytes(2**24)))  # that much of 2 kB
    yield "zstd", zstd_of_runs(2**31)


def zstd_of_runs(size: int) -> bytes:
    """A frame that does not say its size: blocks of 128 KiB, of four bytes each."""
    blocks = size // 2**17
    body = b"".join(struct.pack("<I", (2**17 << 3 | 1 << 1 | (n == blocks - 1)))[:3] + b"\0" for n in range(blocks))
    return struct.pack("<IBB", 0xFD2FB528, 0, 0x58) + body


@pytest.mark.parametrize(("way", "data"), bombs(), ids=lambda v: v if isinstance(v, str) else f"{len(v)} bytes")
def test_chunk_that_holds_gigabytes(store, refused, way, data):
    array(store, "b02", lambda told: told.update(compressor={"id": way}))
    (store / "b02" / "0.0").write_bytes(data)
    assert "and a chunk of it has" in refused(store)


def test_chunk_in_a_shard_that_holds_gigabytes(tmp_path, refused):
    path = tmp_path / "a.zarr"
    import random

    write_zarr(path, 3, True, random.Random(1))
    shard = next(p for p in sorted((path / "b02" / "c").rglob("*")) if p.is_file())
    bomb = bytes(numcodecs.Zstd(9).encode(bytes(2**30)))
    count = 4
    index = struct.pack("<QQ", 0, len(bomb)) * count
    import google_crc32c

    shard.write_bytes(bomb + index + struct.pack("<I", google_crc32c.value(index)))
    assert "and a chunk of it has" in refused(path)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"chunks": [2**16, 2**16]}, "A chunk of b02"),
        ({"shape": [2**40, 2**40]}, "more than the"),
        ({"shape": [2**21, 4], "chunks": [1, 1]}, "chunks along a dimension"),
        ({"dtype": "<U99999999"}, "A chunk of b02"),
        ({"dtype": "|O"}, "they may be programs"),
        ({"dtype": "|O", "filters": [{"id": "pickle"}]}, "the codec 'pickle'"),
        ({"dtype": "|O", "filters": [{"id": "msgpack2"}]}, "the codec 'msgpack2'"),
        ({"filters": [{"id": "pickle"}]}, "the codec 'pickle'"),
        ({"filters": [{"id": "zstd"}]}, "the codec 'zstd'"),
        ({"compressor": {"id": "imagecodecs_tiff"}}, "the codec 'imagecodecs_tiff'"),
        ({"compressor": {"id": "n5_wrapper"}}, "the codec"),
        ({"storage_transformers": [{"name": "x"}]}, "storage transformers"),
        ({"dtype": [["a", "<f8", [99999, 99999]]]}, "a kind of number that is not read"),
        ({"chunks": [0, 4]}, "sizes that are none"),
        ({"shape": "x"}, "sizes that are none"),
    ],
)  # fmt: skip
def test_what_no_array_says(store, refused, change, says):
    array(store, "b02", lambda told: told.update(change))
    assert says in refused(store)


def test_pickle_is_never_loaded(store, tmp_path, refused):
    """A codec that is a program: the chunk would touch a file when it is decoded."""

    class Program:
        def __reduce__(self) -> Any:
            return os.mknod, (str(tmp_path / "work" / "was-run"),)

    array(
        store, "b02", lambda told: told.update(dtype="|O", filters=[{"id": "pickle"}], compressor=None, fill_value=None)
    )
    (store / "b02" / "0.0").write_bytes(pickle.dumps(Program()))
    refused(store)
    assert not (tmp_path / "work" / "was-run").exists()


@pytest.mark.parametrize(
    ("codecs", "says"),
    [
        ([{"name": "bytes"}, {"name": "gzip", "configuration": {"level": 1}}, {"name": "zstd", "configuration": {}}], "one upon the other"),
        ([{"name": "numcodecs.pickle", "configuration": {}}], "the codec 'pickle'"),
        ([{"name": "sharding_indexed", "configuration": {"chunk_shape": [1, 1], "codecs": [{"name": "bytes"}], "index_codecs": [{"name": "bytes"}]}}], "more than"),
        ([], "no codecs"),
        ([{"name": "reference", "configuration": {"path": "/etc/passwd"}}], "the codec 'reference'"),
    ],
)  # fmt: skip
def test_what_no_array_of_format_3_says(tmp_path, refused, codecs, says):
    import random

    write_zarr(tmp_path / "a.zarr", 3, False, random.Random(1))
    path = tmp_path / "a.zarr" / "b02" / "zarr.json"
    told = json.loads(path.read_text()) | {"codecs": codecs}
    told["chunk_grid"]["configuration"]["chunk_shape"] = [1000, 1000]
    path.write_text(json.dumps(told))
    root = tmp_path / "a.zarr" / "zarr.json"
    root.write_text(json.dumps({k: v for k, v in json.loads(root.read_text()).items() if k != "consolidated_metadata"}))
    assert says in refused(tmp_path / "a.zarr")


@pytest.mark.parametrize("name", ["../../other/canary/secret.zarr", "/etc", "a/../../b", "..", "a//b"])
@pytest.mark.parametrize("form", [2, 3])
def test_names_that_lead_out_of_the_store(tmp_path, canary, refused, name, form):
    path = tmp_path / "a.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=form)
    group.create_array(
        "b",
        shape=(4, 4),
        dtype="u2",
        chunks=(4, 4),
        compressors=None,
        dimension_names=("y", "x") if form == 3 else None,
    )
    document = path / ("zarr.json" if form == 3 else ".zmetadata")
    if form == 3:
        told = json.loads(document.read_text())
        inner = json.loads((path / "b" / "zarr.json").read_text())
        told["consolidated_metadata"] = {"kind": "inline", "must_understand": False, "metadata": {name: inner}}
    else:
        attrs = {"_ARRAY_DIMENSIONS": ["y", "x"]}
        inner = json.loads((path / "b" / ".zarray").read_text())
        told = {
            "zarr_consolidated_format": 1,
            "metadata": {".zgroup": {"zarr_format": 2}, f"{name}/.zarray": inner, f"{name}/.zattrs": attrs},
        }
    document.write_text(json.dumps(told))
    assert "has the name" in refused(path)


def test_links_that_lead_out_of_the_store(store, canary, refused):
    chunk = store / "b02" / "0.0"
    chunk.unlink()
    chunk.symlink_to(canary.folder / "secret.bin")
    assert "is a link that leads out of its Zarr store" in refused(store)
    chunk.unlink()
    os.mkfifo(chunk)
    assert "is no file but a pipe" in refused(store)
    chunk.unlink()
    (store / "loop").symlink_to(store / "measurements")
    assert "is a link to a folder" in refused(store)
    (store / "loop").unlink()
    (store / "loop").symlink_to(store)
    assert "points to an ancestor" in refused(store)


def test_coordinate_of_gigabytes_that_is_nothing_but_fill(tmp_path, refused):
    """Ten lines of JSON, of which reading a coordinate makes 4 GiB."""
    for form in (2, 3):
        path = tmp_path / f"{form}.zarr"
        group = zarr.open_group(path, mode="w", zarr_format=form)
        made = {"shape": (2**29,), "dtype": "f8", "chunks": (2**20,)}
        x = group.create_array("x", **made, **({"dimension_names": ("x",)} if form == 3 else {}))
        b = group.create_array(
            "b",
            shape=(4, 2**21),
            dtype="u1",
            chunks=(4, 2**20),
            **({"dimension_names": ("y", "x")} if form == 3 else {}),
        )
        if form == 2:
            x.attrs["_ARRAY_DIMENSIONS"], b.attrs["_ARRAY_DIMENSIONS"] = ["x"], ["y", "x"]
        assert "he coordinate x" in refused(path)
        assert "he coordinate x" in refused(path, "opened")


def test_document_of_a_gigabyte(store, refused):
    with (store / ".zmetadata").open("wb") as file:
        file.truncate(2**30)
    assert ".zmetadata of" in refused(store)
    (store / ".zmetadata").write_text("[" * 100_000)
    assert "nested too deeply" in refused(store)


@pytest.mark.parametrize(
    "name",
    [
        ".zgroup",
        ".zattrs",
        "b02/.zarray",
        "b02/.zattrs",
        "x/.zarray",
        "measurements/.zgroup",
        "measurements/r20m/b02/.zarray",
    ],
)
def test_damaged_store_is_one_sentence(store, opened, name):
    (store / ".zmetadata").unlink(missing_ok=True)
    for data in (b"", b"\xff\xfe\x00", b"null", b'{"zarr_format": 7}', b'{"zarr_format": 2, "shape": [1e400]}'):
        (store / name).write_bytes(data)
        opened(store, "opened")


def test_damaged_chunk_is_one_sentence(store, refused):
    for chunk in (store / "b02").glob("[0-9]*"):
        chunk.write_bytes(b"\x28\xb5\x2f\xfd garbage")
    assert "b02 of" in refused(store)


def test_frames_are_counted_alike():
    rng = np.random.default_rng(0)
    for way in sorted(frames.WAYS):
        codec = numcodecs.get_codec({"id": way})
        for data in (b"a", bytes(300_000), rng.bytes(200_003), rng.integers(0, 4, 10**6).astype("u1").tobytes()):
            packed = bytes(codec.encode(data))
            assert frames.held(way, packed, 2**24) == len(data)
            for cut in (packed[:1], packed[: len(packed) // 2]):
                try:
                    frames.held(way, cut, 2**24)
                except ValueError:
                    pass
    twice = gzip.compress(bytes(1000)) * 3
    assert frames.held("gzip", twice, 2**24) == 3000
    assert zarrlayout.clean("a/c/0/0")
    assert not zarrlayout.clean("a/../b")


# HDF5 and NetCDF.


def hdf5_file(path: Path, make: Callable[[h5py.File], Any]) -> Path:
    with h5py.File(path, "w") as file:
        make(file)
    return path


SHAPE = (300, 600)


def external(canary: Path) -> Callable[[h5py.File], Any]:
    return lambda file: file.create_dataset("LAI", SHAPE, "u1", external=[(str(canary / "secret.bin"), 0, 180_000)])


def link(canary: Path) -> Callable[[h5py.File], Any]:
    return lambda file: file.__setitem__("LAI", h5py.ExternalLink(str(canary / "secret.h5"), "secret"))


def deep_link(canary: Path) -> Callable[[h5py.File], Any]:
    def make(file: h5py.File) -> None:
        file.create_group("a/b")["c"] = h5py.ExternalLink(str(canary / "secret.h5"), "secret")
        file["LAI"] = h5py.SoftLink("/a/b/c")

    return make


def virtual(canary: Path) -> Callable[[h5py.File], Any]:
    def make(file: h5py.File) -> None:
        layout = h5py.VirtualLayout(SHAPE, "u1")
        layout[...] = h5py.VirtualSource(str(canary / "secret.h5"), "secret", SHAPE)
        file.create_virtual_dataset("LAI", layout)

    return make


@pytest.mark.parametrize("make", [external, link, deep_link, virtual])
def test_hdf5_with_parts_in_other_files(sample, tmp_path, canary, refused, make):
    path = hdf5_file(tmp_path / "THEIA_GEOV2_R02_AVHRR_LAI_20210705.h5", make(canary.folder))
    assert "in another file, which it names" in (said := refused(path)) or "is in other files, which it names" in said
    # The same as NetCDF: a member of a product that xarray opens.
    source = next((sample / "datalake" / "sentinel1-ocn").rglob("*IW_OCN*.zip"))
    ocn = tmp_path / source.name
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(ocn, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            if info.filename.endswith(".nc"):
                file = io.BytesIO(data)
                with h5py.File(file, "r+") as there:
                    name = next(n for n in there if n.startswith("owiWind"))
                    del there[name]
                    make(canary.folder)(there)
                    there.move("LAI", name)
                data = file.getvalue()
            new.writestr(info, data)
    said = refused(ocn, "opened")
    assert "which it names" in said


def bomb(file: h5py.File, chunk: tuple[int, int], inside: int, **options: Any) -> None:
    made = file.create_dataset("LAI", (3600, 7200), "u1", chunks=chunk, compression="gzip", **options)
    packer = zlib.compressobj(9)
    made.id.write_direct_chunk(
        (0, 0), b"".join(packer.compress(bytes(2**20)) for _ in range(inside >> 20)) + packer.flush()
    )


def test_hdf5_chunk_that_inflates_to_gigabytes(tmp_path, refused):
    """HDF5 makes its buffer larger until all is inflated, whatever the size of a chunk."""
    name = "THEIA_GEOV2_R02_AVHRR_LAI_20210705.h5"
    path = hdf5_file(tmp_path / name, lambda file: bomb(file, (60, 120), 3 * 2**30))
    assert path.stat().st_size < 4e6
    assert "holds more than the" in refused(path)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda f: f.create_dataset("LAI", (2**15, 2**16), "u1", chunks=(2**15, 2**16), compression="gzip"),
            "A chunk of LAI",
        ),
        (lambda f: f.create_dataset("LAI", (2**31, 2**32), "u1", chunks=(16, 16)), "LAI of"),
        (
            lambda f: f.create_dataset("LAI", SHAPE, "u1", chunks=(30, 60), compression="lzf"),
            "by a filter of HDF5 (32000)",
        ),
        (lambda f: f.create_dataset("LAI", SHAPE, "u1", chunks=(30, 60), scaleoffset=4), "by a filter of HDF5 (6)"),
    ],
)
def test_hdf5_that_is_larger_than_any(tmp_path, refused, make, says):
    assert says in refused(hdf5_file(tmp_path / "THEIA_GEOV2_R02_AVHRR_LAI_20210705.h5", make))


def test_hdf5_coordinate_of_gigabytes(tmp_path, refused):
    def make(file: h5py.File) -> None:
        file.create_dataset("time", (2**29,), "f8", chunks=(2**20,))
        file["time"].make_scale("time")

    assert "The coordinate time" in refused(hdf5_file(tmp_path / "a.h5", make))


def test_honest_chunks_are_counted(tmp_path):
    """Stored chunks that are so large that they are looked into; all filters that are known."""
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2**16, (2000, 1500)).astype("u2")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        made = file.create_dataset(
            "a", data=values, chunks=(1000, 1500), compression="gzip", shuffle=True, fletcher32=True
        )
        hdf5.check(made, "a")
        for selection in ((slice(0, 2000), slice(0, 1500)), (5, slice(3, 900, 7)), (np.array([3, 1999]), slice(None))):
            hdf5.check_chunks(made, selection, "a")
        assert (made[...] == values).all()


# XML, GML, zips, gzip, folders.


@pytest.mark.parametrize(
    "data",
    [
        b"<a " + b" ".join(b'b%d=""' % n for n in range(2_200_000)) + b"/>",
        b'<?xml version="1.0" encoding="punycode"?><a>' + b"a" * 4_000_000 + b"-</a>",
        b'<?xml version="1.0" encoding="Unicode_Escape"?><a/>',
    ],
    ids=["attributes", "punycode", "escapes"],
)
def test_xml_that_takes_more_than_any(data):
    with pytest.raises(ValueError, match="more attributes|an encoding"):
        xmltree.parsed(data)


def test_xml_that_is_deep_and_long():
    root = xmltree.parsed(b"<a>" * 900_000 + b"</a>" * 900_000)
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
    from dataclasses import replace

    numbers, there = polygons.numbers(replace(band, band="MSK_OPAQUE"), band.geobox)
    assert there.all()
    assert 0 < numbers.mean() < 1


@pytest.mark.parametrize("text", ["1 " * 50_000_000, "0 0 1e400 0 0 nan 0 0", "1 2 x"])
def test_mask_that_is_none(tmp_path, text):
    path = tmp_path / "a.gml"
    path.write_bytes(gml(f'<gml:posList srsDimension="2">{text[: 2**26 - 1000]}</gml:posList>'))
    from dataclasses import replace

    band = replace(gl_source(as_item(band_item(str(path)))), band="MSK_OPAQUE")
    with pytest.raises(NotUnderstood):
        polygons.numbers(band, band.geobox)


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
    with pytest.raises(gl.GeodesError, match="inside of"):
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
    with pytest.raises(gl.GeodesError, match="inside of|takes more bytes than it holds"):
        Archive(tmp_path / "a.zip").read("a.SAFE/a.xml")


@pytest.mark.parametrize("name", ["x" * 5000, "a/" * 600 + "b"])
def test_member_with_a_name_of_kilobytes(tmp_path, name):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(name, b"")
    with pytest.raises(gl.GeodesError, match=f"a path of {len(name)} characters"):
        _ = Archive(tmp_path / "a.zip").names


def test_gzip_of_gigabytes(tmp_path, refused):
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    path = tmp_path / "THEIA_GEOV2_R02_AVHRR_LAI_20210705.h5.gz"
    path.write_bytes(b"".join(packer.compress(bytes(2**24)) for _ in range(128)) + packer.flush())
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


# Results of others.


def test_result_that_is_a_vrt_is_not_published(tmp_path, canary, refused):
    path = tmp_path / "a.tif"
    path.write_text(vrt(canary.folder))
    assert "none of the formats" in refused(path, "published")


def test_result_whose_store_has_links_is_not_published(store, canary, refused):
    chunk = store / "x" / "0"
    chunk.unlink()
    chunk.symlink_to(canary.folder / "secret.bin")
    assert "leads out of its Zarr store" in refused(store, "published")


# A short one of what `make fuzz-products` does at length.


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
    from mutations import FAMILIES

    with Fuzz(sample) as fuzz:
        found = fuzz.run(FAMILIES, 100, 20 * len(FAMILIES), None)
    assert [str(f) for f in found] == []


def test_limits_are_said_in_a_sentence():
    with pytest.raises(
        gl.GeodesError,
        match=r"^A tile of a\.tif would take 1.00 GiB, more than the 256.00 MiB that any product needs: refused",
    ):
        limits.refuse("A tile of a.tif", 2**30, limits.TILE)
    limits.refuse("A tile of a.tif", limits.TILE, limits.TILE)
