"""Where a product is, as users of GDAL, rasterio and fsspec write it; and sentences that name what is wrong."""

from __future__ import annotations

import zipfile
from pathlib import Path

import dask
import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.rpc import RPC
from rasterio.transform import from_origin

import geodes_lab as gl
from geodes_lab.catalog.remote import parsing
from geodes_lab.errors import GeodesError
from geodes_lab.reading import window
from geodes_lab.storage.location import ELSEWHERE
from geodes_lab.storage.spelling import understood


@pytest.mark.parametrize(
    ("href", "address", "member"),
    [
        ("/vsizip//a/b.zip/c/d.tif", "/a/b.zip", "c/d.tif"), ("/vsizip/{/a/b.zip}/c/d.tif", "/a/b.zip", "c/d.tif"), ("/vsizip//a/b.zip", "/a/b.zip", ""),
        ("/vsizip//vsis3/bucket/a/b.ZIP/c", "s3://bucket/a/b.ZIP", "c"), ("/vsizip/vsicurl/https://h.example/b.zip/c", None, None),
        ("/vsizip//vsicurl/https://h.example/b.zip/c", "https://h.example/b.zip", "c"), ("/vsis3/bucket/a.tif", "s3://bucket/a.tif", ""),
        ("/vsicurl/https://h.example/a.tif", "https://h.example/a.tif", ""), ("zip:///a/b.zip!c/d.tif", "/a/b.zip", "c/d.tif"), ("zip:///a/b.zip!/c", "/a/b.zip", "c"),
        ("zip+https://h.example/b.zip!c", "https://h.example/b.zip", "c"), ("zip+s3://bucket/b.zip!/c", "s3://bucket/b.zip", "c"), ("zip:///a/b.zip", "/a/b.zip", ""),
        ("zip://c/d.tif::/a/b.zip", "/a/b.zip", "c/d.tif"), ("zip://c::s3://bucket/b.zip", "s3://bucket/b.zip", "c"), ("zip://::/a/b.zip", "/a/b.zip", ""),
        ("simplecache::zip://c::https://h.example/b.zip", "https://h.example/b.zip", "c"), ("/a/b.zip#c", "/a/b.zip", "c"), ("/a/b.zip!/c", "/a/b.zip", "c"),
        ("s3://bucket/b.zip#c/d", "s3://bucket/b.zip", "c/d"), ("/a/b.zip", "/a/b.zip", ""), ("https://h.example/b.zip?x=1", "https://h.example/b.zip?x=1", ""),
        ("a#b.tif", "a#b.tif", ""), ("zip://a/b.zip!c/", "a/b.zip", "c"),
    ],
)  # fmt: skip
def test_spellings(href, address, member):
    if address is None:
        with pytest.raises(GeodesError):
            gl.open_product(href)
    else:
        assert understood(href) == (address, member)


@pytest.mark.parametrize(
    "href",
    [
        "/vsizip//a/b.tif",
        "zip://",
        "/vsizip//vsitar/a.zip/c",
        "/vsizip//vsis3/B/b.zip/c",
        "zip:///a/b.zip!../c",
        "zip://../c::/a/b.zip",
    ],
)
def test_spellings_that_name_nothing(href):
    with pytest.raises(GeodesError):
        understood(href)


@pytest.fixture
def numbers(product: Path) -> np.ndarray:
    return gl.open_product(product)["r10m"]["red"][:64, :64].values


def test_a_file_that_is_called_so_is_that_file(product, tmp_path, numbers):
    odd = tmp_path / "a.zip#b" / product.name
    odd.parent.mkdir()
    odd.symlink_to(product)
    np.testing.assert_array_equal(gl.open_product(str(odd))["r10m"]["red"][:64, :64].values, numbers)


@pytest.mark.thorough
def test_whole_products(product, numbers):
    root = f"{product.stem}.SAFE"
    for member in ("", root, f"{root}/MTD_MSIL1C.xml", f"{root}/manifest.safe"):
        for href in (
            f"/vsizip/{product}/{member}",
            f"/vsizip/{{{product}}}/{member}",
            f"zip://{product}!{member}",
            f"zip://{member}::{product}",
            f"{product}#{member}",
        ):
            np.testing.assert_array_equal(gl.open_product(href)["r10m"]["red"][:64, :64].values, numbers)
            assert gl.open_cube(href, bands=["red"]).red.shape[0] == 1


def test_whole_products_by_their_metadata(product, tmp_path, numbers):
    with zipfile.ZipFile(product) as packed:
        packed.extractall(tmp_path)
    folder = tmp_path / f"{product.stem}.SAFE"
    for file in (folder / "MTD_MSIL1C.xml", next(folder.rglob("MTD_TL.xml"))):
        for href in (file, str(file), file.as_uri()):
            np.testing.assert_array_equal(gl.open_product(href)["r10m"]["red"][:64, :64].values, numbers)


@pytest.mark.parametrize("suffix", ["METADATA.DIM", "_MTD_ALL.xml"])
def test_metadata_of_other_families(sample, tmp_path, suffix):
    for source in (sample / "datalake").rglob("*.zip"):
        with zipfile.ZipFile(source) as packed:
            names = [n for n in packed.namelist() if n.endswith(suffix)]
            if not names:
                continue
            packed.extractall(tmp_path)
        folder = gl.open_product(tmp_path / names[0].partition("/")[0])
        assert gl.open_product(tmp_path / names[0]).groups == folder.groups
        assert gl.open_product(f"{source}#{names[0]}").groups == gl.open_product(source).groups
        return
    raise AssertionError("the sample has one")


def raster(path: Path) -> Path:
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        width=64,
        height=64,
        count=1,
        dtype="float32",
        crs="EPSG:32631",
        transform=from_origin(5e5, 4.8e6, 10, 10),
    ) as file:
        file.write(np.arange(4096, dtype="float32").reshape(1, 64, 64))
    return path


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_a_raster_in_a_zip(tmp_path, method, on_s3, s3):
    path = tmp_path / "z.zip"
    with zipfile.ZipFile(path, "w", method) as packed:
        packed.write(raster(tmp_path / "a.tif"), "in/a.tif")
        packed.writestr("in/readme.txt", "no raster")
    for href in (
        f"/vsizip/{path}/in/a.tif",
        f"zip://{path}!/in/a.tif",
        f"zip://in/a.tif::file://{path}",
        f"{path}!in/a.tif",
    ):
        found = gl.open_product(href)
        assert found.children["r10m"]["data"].values.tolist() == np.arange(4096.0).reshape(64, 64).tolist()
        item = {
            "type": "Feature", "stac_version": "1.0.0", "id": "A", "geometry": None, "properties": {"datetime": "2021-06-05T00:00:00Z"}, "links": [],
            "assets": {"red": {"href": href, "type": "image/tiff", "roles": ["data"]}},
        }  # fmt: skip
        assert gl.open_cube(item, bands="red").red.sum() == np.arange(4096).sum()
        before = window.ways.copy()
        gl.open_cube(item, bands="red").compute()
        way = "tiles" if method == zipfile.ZIP_STORED else "gdal"
        assert window.ways[way] > before[way], "a stored member is read by its tiles, where it lies"
    with pytest.raises(GeodesError, match=r"has no member in/b\.tif; its members are in/a\.tif, in/readme\.txt"):
        gl.open_product(f"{path}#in/b.tif")
    with pytest.raises(GeodesError, match="readme"):
        gl.open_product(f"{path}#in/readme.txt")


def test_products_of_the_datalake(on_s3, product, numbers):
    key = product.relative_to(on_s3 / "datalake").as_posix()
    root = f"{product.stem}.SAFE"
    for href in (
        f"/vsizip//vsis3/{key}/{root}",
        f"zip+s3://{key}!/{root}/MTD_MSIL1C.xml",
        f"zip://{root}::s3://{key}",
        f"/vsis3/{key}",
        f"s3://{key}#{root}",
    ):
        np.testing.assert_array_equal(gl.open_product(href)["r10m"]["red"][:64, :64].values, numbers)


def test_zip_whose_paths_have_backslashes(product, tmp_path, numbers):
    path = tmp_path / product.name
    with zipfile.ZipFile(product) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            data = old.read(info)
            plain = zipfile.ZipInfo(info.filename)
            plain.filename = info.filename.replace("/", "\\")  # as written: ZipInfo itself would mend it
            new.writestr(plain, data)
    assert "\\" in zipfile.ZipFile(path).namelist()[0], "the control"
    np.testing.assert_array_equal(gl.open_product(path)["r10m"]["red"][:64, :64].values, numbers)
    np.testing.assert_array_equal(gl.open_cube(path, bands=["B04"]).B04[0, :64, :64].values, numbers)


# Sentences.


def written(path: Path, **options) -> Path:
    with rasterio.open(path, "w", driver="GTiff", width=64, height=64, count=1, dtype="uint16") as file:
        file.write(np.ones((1, 64, 64), "uint16"))
        for name, value in options.items():
            setattr(file, name, value)
    return path


def test_rasters_without_a_grid(tmp_path):
    points = [GroundControlPoint(r, c, 3 + c / 640, 44 - r / 640) for r in (0, 64) for c in (0, 64)]
    with pytest.raises(GeodesError, match=r"located only by ground control points.*gdalwarp -tps"):
        gl.open_product(written(tmp_path / "g.tif", gcps=(points, rasterio.CRS.from_epsg(4326))))
    rpcs = RPC(0, 1, 44, 0.1, [1.0] * 20, [1.0] * 20, 32, 32, 3, 0.1, [1.0] * 20, [1.0] * 20, 32, 32)
    with pytest.raises(GeodesError, match=r"rational polynomial coefficients.*gdalwarp -rpc"):
        gl.open_product(written(tmp_path / "r.tif", rpcs=rpcs))
    with pytest.raises(GeodesError, match="has no location"):
        gl.open_product(written(tmp_path / "n.tif"))
    with pytest.raises(GeodesError, match="is rotated"):
        gl.open_product(
            written(
                tmp_path / "t.tif",
                crs=rasterio.CRS.from_epsg(32631),
                transform=rasterio.Affine(10, 1, 5e5, 1, -10, 4.8e6),
            )
        )


@pytest.mark.parametrize("band", [None, "red"])
def test_a_path_in_an_item_of_a_server(tmp_path, band):
    path = raster(tmp_path / "a.tif")
    item = {
        "type": "Feature", "stac_version": "1.0.0", "id": "A", "geometry": None, "properties": {"datetime": "2021-06-05T00:00:00Z"},
        "links": [{"rel": "self", "href": "http://127.0.0.1:9/stac/A.json"}], "assets": {"red": {"href": str(path), "type": "image/tiff", "roles": ["data"]}},
    }  # fmt: skip
    with pytest.raises(
        GeodesError,
        match=r"exists as a file on this machine, .* self link is http://127\.0\.0\.1:9/stac/A\.json.*Write file:///",
    ):
        gl.open_cube(item, bands=[band]) if band else gl.open_product(item)
    item["assets"]["red"]["href"] = path.as_uri()
    assert gl.open_cube(item, bands=["red"]).red.sum() == np.arange(4096).sum()


@pytest.mark.attack
@pytest.mark.parametrize("href", ["zip:///etc/a.zip!b", "zip://b::/etc/a.zip", "ZIP:///etc/a.zip!b", "zip+file:///etc/a.zip!b", "zip://b::file:///etc/a.zip", "simplecache::zip://b::/etc/a.zip", "/vsizip//etc/a.zip/b"])  # fmt: skip
def test_items_of_a_server_name_no_zip_of_this_machine(href):
    told = {"id": "A", "type": "Feature", "properties": {}, "assets": {"a": {"href": href}}, "links": []}
    found = parsing.document(told, "https://h.example/stac/A.json", "it")["assets"]["a"]["href"]
    assert found.startswith((f"{ELSEWHERE}://", "https://h.example/"))
    with pytest.raises(GeodesError), dask.config.set({"geodes_lab.datalake.endpoint": "http://127.0.0.1:9"}):
        gl.open_product(found)
    for remote in ("zip+https://h.example/a.zip!b", "zip://b::s3://bucket/a.zip"):
        told["assets"]["a"]["href"] = remote
        assert parsing.document(told, "https://h.example/stac/A.json", "it")["assets"]["a"]["href"] == remote


@pytest.mark.parametrize("nothing", ["", "  "])
def test_empty_path_is_not_the_current_folder(nothing):
    for opens in (gl.open_product, lambda p: gl.open_cube([p], bands=["red"])):
        with pytest.raises(GeodesError, match="empty"):
            opens(nothing)
