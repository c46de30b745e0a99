"""Items that tell grid and numbers are believed without a look, and their files confirm them; a contradiction is a sentence."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import dask
import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands
from geodes_lab.products.raster import file as raster_file
from geodes_lab.products.raster import predicted
from tests.support.servers.s3_server import serving

GRID = Affine(10, 0, 500_000, 0, -10, 4_800_000)
NUMBERS = np.arange(256 * 192, dtype="uint16").reshape(256, 192)


def write(
    path: Path, numbers: np.ndarray = NUMBERS, transform: Affine = GRID, crs: str = "EPSG:32631", **more: Any
) -> str:
    """A GeoTIFF; ``scales``, ``colors`` and ``copies`` of the band are set too where they are given."""
    scales, colours, copies = more.pop("scales", None), more.pop("colours", None), more.pop("copies", 1)
    about = {"height": numbers.shape[0], "width": numbers.shape[1], "count": copies, "dtype": numbers.dtype}
    with rasterio.open(path, "w", driver="GTiff", crs=crs, transform=transform, **about, **more) as file:
        for number in range(copies):
            file.write(numbers, number + 1)
        if scales:
            file.scales = scales
        if colours:
            file.write_colormap(1, colours)
    return f"s3://rasters/{path.name}"


def item(href: str, name: str = "A", **told: Any) -> dict[str, Any]:
    """An Item that tells all of a file as `write` makes it, but for what ``told`` says otherwise; None leaves it out."""
    band = {"data_type": "uint16", "nodata": 0, "scale": 0.5, "offset": -3.0}
    grid = {"proj:epsg": 32631, "proj:shape": [256, 192], "proj:transform": list(GRID)[:6]}
    for field, value in told.items():
        place = grid if field.startswith("proj") else band
        place[field.replace("proj_", "proj:")] = value
    asset = {"href": href, "type": "image/tiff; application=geotiff", "roles": ["data"], **grid}
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "links": [], "collection": "C",
        "geometry": {"type": "Point", "coordinates": [3, 43.35]}, "bbox": [3, 43.35, 3, 43.35],
        "properties": {"datetime": "2021-06-05T10:50:31Z", "platform": "x"},
        "assets": {"red": asset | {"raster:bands": [{k: v for k, v in band.items() if v is not None}]}},
    }  # fmt: skip


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[tuple[str, Path]]:
    """An S3 server, and the folder of its bucket ``rasters``."""
    bucket = tmp_path_factory.mktemp("buckets") / "rasters"
    bucket.mkdir()
    with serving(bucket.parent) as endpoint:
        yield endpoint, bucket


@pytest.fixture
def bucket(server) -> Iterator[Path]:
    """The folder of the bucket; the settings lead to its server."""
    endpoint, folder = server
    with dask.config.set({"geodes_lab.datalake.mirror": None, "geodes_lab.datalake.endpoint": endpoint}):
        yield folder


@pytest.fixture
def looks(monkeypatch) -> list[str]:
    """The files whose headers GDAL has read."""
    seen: list[str] = []
    read = raster_file.of_path
    monkeypatch.setattr(raster_file, "of_path", lambda path, *more: seen.append(path) or read(path, *more))
    return seen


def test_nothing_is_read_to_open_and_the_numbers_are_those_of_the_file(bucket, looks):
    for n in range(50):
        (bucket / f"{n}.tif").touch()
    items = [item(f"s3://rasters/{n}.tif", f"A{n:02d}") for n in range(50)]
    cube = gl.open_cube(items, bands=["red"], groupby="item")
    assert cube.sizes == {"time": 50, "y": 256, "x": 192}
    with pytest.raises(GeodesError, match="Band red of A07 could not be read"):
        cube.red[7].compute()
    looks.clear()
    for n in range(50):
        write(bucket / f"{n}.tif", NUMBERS + n, nodata=0)
    want = np.where(NUMBERS == 0, np.nan, NUMBERS * 0.5 - 3)
    np.testing.assert_array_equal(cube.red[0], want)
    np.testing.assert_array_equal(cube.red[49], (NUMBERS + 49) * 0.5 - 3)
    assert looks == []


def test_what_is_told_and_what_is_read_give_the_same_cube(bucket):
    one = item(write(bucket / f"{uuid4().hex}.tif", nodata=0, tiled=True, blockxsize=16, blockysize=16))
    told = products.unpack(one, ["red"], confirm=False)
    read = products.unpack(one, ["red"])
    assert bands.source(told, "red").promise
    assert not bands.source(read, "red").promise
    settled = pickle.loads(pickle.dumps(bands.source(told, "red"))).resolved()
    assert settled.promise is None
    assert (settled.href, settled.transform, settled.shape) == (read.assets["red"].href, tuple(GRID)[:6], (256, 192))
    box = {"resolution": 30, "resampling": "average"}
    np.testing.assert_array_equal(*(gl.open_cube([i], bands=["red"], **box).red for i in (told, read)))


@pytest.mark.parametrize(
    ("told", "file", "says"),
    [
        ({}, {"transform": GRID * Affine.translation(0.5, 0)}, "for the grid of its band red, but the file has"),
        ({}, {"transform": GRID * Affine.scale(1.01)}, "for the grid of its band red, but the file has"),
        ({"proj_shape": [256, 191]}, {}, r"\(256, 191\) for the pixels of its band red, but the file has \(256, 192\)"),
        ({}, {"crs": "EPSG:32630"}, "32631 for the EPSG code of its band red, but the file has 32630"),
        (
            {},
            {"numbers": NUMBERS.astype("int16")},
            "uint16 for the number type of its band red, but the file has int16",
        ),
        ({}, {"copies": 2}, "gives one band of its band red, but the file has 2"),
        ({"scale": None}, {"scales": [0.1]}, r"no scale and offset of its band red, but the file has \(0.1, 0.0\)"),
    ],
)
def test_a_file_that_is_otherwise_is_said_and_the_way_out_works(bucket, told, file, says):
    one = item(write(bucket / f"{uuid4().hex}.tif", nodata=0, **file), **told)
    with pytest.raises(GeodesError, match=says):
        gl.open_cube([one], bands=["red"]).compute()
    if "copies" not in file:
        assert np.isfinite(gl.open_cube([products.unpack(one)], bands=["red"]).red.values).any()


def test_colours_are_no_measure(bucket):
    path = write(
        bucket / f"{uuid4().hex}.tif", NUMBERS.astype("uint8"), colours={0: (0, 0, 0, 255), 1: (255, 0, 0, 255)}
    )
    assert predicted.files(pystac.Item.from_dict(item(path, data_type="uint8")), {"red": []}, ["red"], {}) is None


@pytest.mark.parametrize(
    "told", [{"data_type": None}, {"nodata": None}, {"nodata": -1}, {"proj_shape": None}, {"proj_transform": [10.0, 0, 0]}, {"proj_epsg": None}, {"proj_shape": ["256", 192]}, {"proj_transform": [10, 1, 0, 0, -10, 0]}]
)  # fmt: skip
def test_an_item_that_does_not_tell_all_is_looked_up(bucket, looks, told):
    one = item(write(bucket / f"{uuid4().hex}.tif", nodata=0), **told)
    want = np.where(NUMBERS == 0, np.nan, NUMBERS * 0.5 - 3)
    np.testing.assert_array_equal(gl.open_cube([one], bands=["red"]).red[0], want)
    assert len(looks) == 1


def test_no_data_of_floating_point_comes_from_the_file(bucket):
    numbers = NUMBERS.astype("float32")
    one = item(
        write(bucket / f"{uuid4().hex}.tif", numbers, nodata=5.0),
        data_type="float32",
        nodata=None,
        scale=1.0,
        offset=0.0,
    )
    red = gl.open_cube([one], bands=["red"]).red[0].values
    np.testing.assert_array_equal(np.argwhere(np.isnan(red)), [[0, 5]])
