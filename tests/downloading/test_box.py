"""A box of a product: a SAFE folder of whole size whose tiles in the box are the product's, and all others no data."""

from __future__ import annotations

import hashlib
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import rasterio
from click.testing import CliRunner
from rasterio.warp import transform_bounds

import geodes_lab as gl
from geodes_lab import GeodesError
from geodes_lab.cli import main
from geodes_lab.downloading.box_record import NAME
from geodes_lab.downloading.report import DownloadFailed, ReplacedFile
from geodes_lab.formats.jpeg2000.blank_tile import Blank
from geodes_lab.formats.jpeg2000.codestream import SOC_SIZ, Header
from geodes_lab.formats.jpeg2000.openjpeg import decode
from geodes_lab.products.metadata import Document
from tests.downloading.test_parts import files, images, listed
from tests.support.servers.upstream import item


def corner(product: Path, ending: str, tile: int) -> tuple[float, float, float, float]:
    """A small box in the middle of one tile of a band, in degrees."""
    with zipfile.ZipFile(product) as archive:
        member = next(n for n in archive.namelist() if n.endswith(ending))
    with rasterio.open(f"/vsizip/{product}/{member}") as file:
        high, wide = file.block_shapes[0]
        row, col = divmod(tile, -(-file.width // wide))
        y = (row * high + min((row + 1) * high, file.height)) // 2
        x = (col * wide + min((col + 1) * wide, file.width)) // 2
        west, north = file.transform * (x, y)
        return transform_bounds(file.crs, "EPSG:4326", west, north - 50, west + 50, north)


def check(folder: Path, product: Path, ending: str, tiles: set[int]) -> int:
    """GDAL's own decoder reads the product's numbers in these tiles, and zeros elsewhere; gives the file's bytes."""
    path = next(folder.rglob(f"*{ending}"))
    with zipfile.ZipFile(product) as archive:
        member = next(n for n in archive.namelist() if n.endswith(ending))
    with rasterio.open(path) as cut, rasterio.open(f"/vsizip/{product}/{member}") as whole:
        assert (cut.shape, cut.crs, cut.transform, cut.dtypes) == (
            whole.shape,
            whole.crs,
            whole.transform,
            whole.dtypes,
        )
        high, wide = whole.block_shapes[0]
        pixels, across = whole.read(), -(-whole.width // wide)
        wanted = np.zeros_like(pixels)
        for tile in tiles:
            row, col = divmod(tile, across)
            window = np.s_[:, row * high : (row + 1) * high, col * wide : (col + 1) * wide]
            wanted[window] = pixels[window]
        np.testing.assert_array_equal(cut.read(), wanted)
        small = cut.read(out_shape=(cut.count, cut.height // 8, cut.width // 8))  # an overview: the first resolutions
        assert (small == 0).any() or len(tiles) == across * -(-whole.height // high)
    return path.stat().st_size


def test_box_is_a_safe_folder_that_opens_here_and_in_gdal(on_s3, there, product):
    found = next(i for i in gl.search("PEPS_S2_L1C") if i.properties["identifier"] in product.name)
    box = corner(product, "_B04.jp2", 3)
    (outcome,) = gl.download(found, there, bands=["red", "B11"], bbox=box).outcomes
    folder = outcome.path
    assert outcome.what == "fetched"
    assert images(folder) == {"B04.jp2", "B11.jp2"}
    size = check(folder, product, "_B04.jp2", {3})
    assert size < 0.2 * next(i.file_size for i in zipfile.ZipFile(product).infolist() if "_B04" in i.filename)
    assert outcome.evidence.endswith("2 of 8 tiles of 2 images, each decoded")
    # The manifest lists what is there, with the sizes and checksums that it has.
    assert listed(folder) == files(folder) - {"manifest.safe", NAME}
    for stream in Document.of("m", (folder / "manifest.safe").read_bytes()).root.iter("byteStream"):
        data = (folder / stream.find("fileLocation").get("href")).read_bytes()
        assert int(stream.get("size")) == len(data)
        assert stream.findtext("checksum").lower() == hashlib.md5(data).hexdigest()
    # Here, at full and at reduced resolution: as the whole product in the box, and no data elsewhere.
    part, whole = (gl.open_cube([p], bands=["red"], bbox=box) for p in (folder, product))
    np.testing.assert_array_equal(part.red.values, whole.red.values)
    assert np.isfinite(part.red.values).all()
    elsewhere = gl.open_cube([folder], bands=["red"], bbox=corner(product, "_B04.jp2", 0)).red.values
    assert np.isnan(elsewhere).all()
    with rasterio.open(folder / "MTD_MSIL1C.xml") as file:
        assert len(file.subdatasets) >= 3
    (again,) = gl.download(found, there, bands=["red", "B11"], bbox=box).outcomes
    assert (again.what, again.received) == ("was there", 0)
    image = next(folder.rglob("*_B11.jp2"))
    image.write_bytes(image.read_bytes()[:-3])
    with pytest.warns(ReplacedFile, match=r"B11\.jp2 is not right"):
        gl.download(found, there, bands=["B11"], bbox=box)
    # Another box adds its tiles; the whole band takes their place without a warning, and stays.
    gl.download(found, there, bands=["red"], bbox=corner(product, "_B04.jp2", 0))
    check(folder, product, "_B04.jp2", {0, 3})
    gl.download(found, there, bands=["red"])
    check(folder, product, "_B04.jp2", {0, 1, 2, 3})
    assert list(json.loads((folder / NAME).read_text())["images"]) == [
        next(m for m in zipfile.ZipFile(product).namelist() if m.endswith("_B11.jp2"))
    ]
    assert gl.download(found, there, bands=["red"], bbox=box).outcomes[0].what == "was there"  # the whole has the box
    gl.download(found, there, bands=["B11"])
    assert not (folder / NAME).exists()
    assert [p.name for p in there.iterdir()] == [folder.name]


def test_box_of_all_images_fetches_little_over_https(upstream, there, product):
    upstream.put("P1.zip", data := product.read_bytes(), tag='"a"')
    found = item(product.stem, f"{upstream.url}/P1.zip", data)
    (outcome,) = gl.download(found, there, bbox=corner(product, "_B02.jp2", 3)).outcomes
    assert len(images(outcome.path)) == 14
    check(outcome.path, product, "_TCI.jp2", {3})
    assert outcome.received < 0.35 * len(data)  # at 20 and 60 m, the tiles are nearly the whole of the sample
    assert all(upstream.ranges()), "never the whole"


def test_what_has_no_box_says_so(on_disk, there, product):
    for collection, options, sentence in [
        ("PEPS_S2_L1C", {"bbox": (10, 10, 11, 11)}, "does not reach the box"),
        ("PEPS_S1_L1", {"bbox": (1.7, 43.5, 1.9, 43.6)}, "no part for a box"),
    ]:
        with pytest.raises(GeodesError, match=sentence):
            gl.download(gl.search(collection, limit=1), there, **options)
    assert list(there.iterdir()) == []
    west, south, east, north = corner(product, "_B04.jp2", 3)
    arguments = [
        "download",
        str(product),
        "--to",
        str(there),
        "--bands",
        "red",
        f"--bbox={west},{south},{east},{north}",
    ]
    result = CliRunner().invoke(main, arguments)
    assert result.exit_code == 0, result.output
    check(next(there.iterdir()), product, "_B04.jp2", {3})


def test_damaged_tile_is_refused_and_nothing_is_there(altered, there):
    def damage(name: str, data: bytes) -> bytes:
        if not name.endswith("_B04.jp2"):
            return data
        at = data.rindex(b"\xff\x93") + 2  # the first packets of the last tile promise what is not there
        return data[:at] + b"\xff\x7f" * 20 + data[at + 40 :]

    path = altered(damage)
    with pytest.raises(DownloadFailed, match=r"B04\.jp2 is damaged"):
        gl.download(str(path), there, bands="red", bbox=corner(path, "_B02.jp2", 3))
    assert not list(there.glob("*.SAFE"))


@pytest.mark.parametrize("value", [0, 7, 2**14, 2**15 - 1])
def test_blank_tile_is_that_value_at_each_resolution(product, value):
    with zipfile.ZipFile(product) as archive:
        for name in ("_B01.jp2", "_B02.jp2", "_B05.jp2"):
            data = archive.read(next(n for n in archive.namelist() if n.endswith(name)))
            header, _ = Header.parse(data[data.find(SOC_SIZ) :])
            for tile in range(header.grid[0] * header.grid[1]):
                part = Blank(header, value).part(tile)
                assert len(part) < 200
                for level in range(header.levels + 1):
                    assert set(np.unique(decode(header.alone(tile, part, level)))) == {value}
