"""A series of products as one cube: the same numbers, readable by others, and nothing half there."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys

import dask
import numpy as np
import pytest
import rasterio
import xarray as xr
import zarr

import geodes_lab as gl
from geodes_lab.conversion.shards import MOST, choose
from geodes_lab.products import unpack
from tests.support.servers.s3_server import serving

BANDS = ["red", "swir16"]


@pytest.fixture(scope="module")
def series(sample):
    """Products of one tile, of baselines without offset and with it."""
    return sorted((sample / "datalake").glob("sentinel2-l1c/31/T/CJ/2021/0[68]/*/*.zip"))[:3]


@pytest.fixture(scope="module")
def converted(series, tmp_path_factory):
    path = tmp_path_factory.mktemp("cube") / "june.zarr"
    return path, gl.convert(series, path, bands=BANDS)


def test_numbers_are_those_that_gdal_reads_from_the_source(converted, series):
    path, report = converted
    for group, name in (("r10m", "B04"), ("r20m", "B11")):
        array = zarr.open_array(path / group / "0" / name, mode="r")
        times = xr.open_zarr(path, group=f"{group}/0", consolidated=False)["product"].values.tolist()
        for product in series:
            described = unpack(product, BANDS)
            with rasterio.open(described.assets[name].href) as source:
                here = array[times.index(product.name.removesuffix(".zip"))]
                np.testing.assert_array_equal(here, source.read(1))
    assert (report.table["pixels"] > 0).all()
    assert (report.table["bytes"] > 0).all()


def test_open_cube_gives_the_same_as_from_the_products(converted, series):
    _, report = converted
    source = gl.open_cube(series, bands=BANDS).compute()
    new = gl.open_cube(report.items, bands=BANDS).compute()
    for band in BANDS:
        np.testing.assert_array_equal(source[band], new[band])
    for name in ("time", "offset", "baseline", "x", "y"):
        np.testing.assert_array_equal(source[name], new[name])


def test_anybody_reads_it_without_the_lab(converted):
    """xarray and zarr-python in a process that has no geodes_lab: grid, CRS, times, scale, levels."""
    path, _ = converted
    code = f"""
import sys, numpy as np, xarray as xr, zarr
top = xr.open_zarr({str(path)!r}, group="r10m/0", consolidated=False, decode_coords="all")
assert top.B04.dims == ("time", "y", "x") and top.B04.dtype.kind == "f", top
assert (np.diff(top.time) > np.timedelta64(0)).all()
assert "32631" in top.spatial_ref.attrs["crs_wkt"]
raw = zarr.open_array({str(path)!r}, path="r10m/0/B04", mode="r")
assert raw.dtype == "uint16" and raw.chunks == (1, 512, 512), raw
low = zarr.open_array({str(path)!r}, path="r10m/1/B04", mode="r")
fine = raw[0, :512, :512].reshape(256, 2, 256, 2)
there = (fine > 0) & (fine < 65535)
mean = np.where(there, fine, 0).sum((1, 3)) / np.maximum(there.sum((1, 3)), 1)
assert (np.abs(low[0, :256, :256] - mean)[there.any((1, 3))] <= 0.5).all()
assert not [m for m in sys.modules if m.startswith("geodes_lab")]
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)


def test_conventions_are_those_of_geozarr(converted):
    toolkit = pytest.importorskip("geozarr_toolkit", reason="it needs Python 3.12")
    path, _ = converted
    for group in ("r10m", "r20m"):
        levels = zarr.open_group(path / group, mode="r")
        found = toolkit.validate_group(levels)
        assert found.keys() >= {"spatial", "proj", "multiscales", "zarr_conventions"}
        assert not any(found.values()), found
        assert toolkit.helpers.validation.validate_multiscales_structure(levels) == (True, [])
        assert not any(toolkit.validate_group(levels["0"]).values())


def test_items_tell_of_origin_and_checksums(converted, series):
    path, report = converted
    written = json.loads((path.parent / "june.json").read_text())
    assert [f["id"] for f in written["features"]] == [i.id for i in report.items]
    for item, product in zip(report.items, series, strict=True):
        assert item.properties["processing:software"]["zarr"] == zarr.__version__
        (link,) = item.get_links("derived_from")
        assert product.stem in link.href
    sums = path.parent / "june.zarr.sha256"
    assert (
        item.assets["checksums"].extra_fields["file:checksum"] == "1220" + hashlib.sha256(sums.read_bytes()).hexdigest()
    )
    subprocess.run(["sha256sum", "--quiet", "-c", sums.name], cwd=path.parent, check=True)
    assert {p for p in path.rglob("*") if p.is_file()} == {
        path.parent / line.split("  ")[1] for line in sums.read_text().splitlines()
    }
    assert sorted(p.name for p in path.parent.iterdir()) == ["june.json", "june.zarr", "june.zarr.sha256"]


def test_killed_conversion_is_not_visible_and_goes_on(series, converted, tmp_path):
    """kill -9 while the second level is being written; the next call writes only what is missing."""
    path = tmp_path / "june.zarr"
    code = f"""
import os, signal
import dask, geodes_lab as gl
from geodes_lab.conversion.piece import Job
def end(*_): os.kill(os.getpid(), signal.SIGKILL)
Job.of_level = end
dask.config.set(scheduler="synchronous")
gl.convert({list(map(str, series))!r}, {str(path)!r}, bands={BANDS!r})
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -9
    assert [p.name for p in tmp_path.iterdir()] == [".june.zarr.partial"]
    report = gl.convert(series, path, bands=BANDS)
    assert list(report.table["pixels"]) == [0, 0, 0]
    ours, theirs = (p.read_text() for p in (tmp_path / "june.zarr.sha256", converted[0].parent / "june.zarr.sha256"))
    assert ours == theirs
    again = gl.convert(series, path, bands=BANDS)
    assert [i.id for i in again.items] == [i.id for i in report.items]
    with pytest.raises(gl.GeodesError, match="exists already, of other products or bands: give overwrite=True"):
        gl.convert(series[:2], path, bands=BANDS)
    replaced = gl.convert(series[:1], path, bands=["swir16"], overwrite=True)
    assert len(replaced.items) == 1
    assert sorted(p.name for p in tmp_path.iterdir() if p.name != "cache") == [
        "june.json",
        "june.zarr",
        "june.zarr.sha256",
    ]
    assert sorted(p.name for p in path.iterdir()) == ["r20m", "zarr.json"]


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """An S3 server with an empty bucket ``converted``; gives the bucket's folder."""
    folder = tmp_path_factory.mktemp("lake")
    (folder / "converted").mkdir()
    with serving(folder) as endpoint:
        yield folder / "converted", endpoint


def test_cube_in_a_bucket_is_the_same(lake, series):
    bucket, endpoint = lake
    with dask.config.set({"geodes_lab.datalake.endpoint": endpoint}):
        brought(bucket, series)


def brought(bucket, series):
    report = gl.convert(series[:1], "s3://converted/a/june.zarr", bands=["swir16"])
    cube = gl.open_cube(report.items, bands=["swir16"]).compute()
    source = gl.open_cube(series[:1], bands=["swir16"]).compute()
    np.testing.assert_array_equal(cube.swir16, source.swir16)
    assert sorted(p.name for p in (bucket / "a").iterdir() if not p.name.startswith(".")) == [
        "june.json",
        "june.zarr",
        "june.zarr.sha256",
    ]
    with pytest.raises(gl.GeodesError, match="has objects already"):
        gl.convert(series[:2], "s3://converted/a/june.zarr", bands=["swir16"])
    flat = gl.convert(series[:1], "s3://converted/cog", bands=["swir16"])
    np.testing.assert_array_equal(gl.open_cube(flat.items, bands=["swir16"]).swir16, source.swir16)
    assert list(gl.convert(series[:1], "s3://converted/cog", bands=["swir16"]).table["pixels"]) == [0]


def test_products_that_are_no_series_are_refused(sample, series, tmp_path):
    other = next((sample / "datalake").rglob("*T31TDJ*.zip"), None) or next(
        (sample / "datalake").rglob("S2*31TDH*.zip"), None
    )
    if other is not None:
        with pytest.raises(gl.GeodesError, match="lies on another grid than"):
            gl.convert([series[0], other], tmp_path / "x.zarr", bands=["red"])
    with pytest.raises(gl.GeodesError, match="is there 2 times"):
        gl.convert([series[0], series[0]], tmp_path / "x.zarr", bands=["red"])
    assert [p.name for p in tmp_path.iterdir() if p.name != "cache"] == []


@pytest.mark.parametrize(
    ("shape", "itemsize", "ratio", "wanted", "shard"),
    [
        ((40, 10980, 10980), 2, 1.8, 32, (1, 4096, 11264)),
        ((40, 10980, 10980), 2, 1.8, 100, (1, 11264, 11264)),
        ((40, 1830, 1830), 2, 1.8, 32, None),
        ((1, 100, 90), 2, 1.8, 32, (1, 100, 90)),
        ((3, 5490, 5490), 1, 40.0, 32, None),
    ],
)
def test_objects_are_as_large_as_wanted(shape, itemsize, ratio, wanted, shard):
    found = choose(shape, itemsize, ratio, wanted * 10**6)
    assert shard is None or found.shard == shard
    least = min(np.prod([b - a for a, b in found.window(place)]) * itemsize / ratio for place in found.pieces)
    most = np.prod(found.shard) * itemsize
    assert most <= MOST
    assert least >= wanted * 10**6 or found.shard[1] >= shape[1]
    assert sum(np.prod([b - a for a, b in found.window(p)]) for p in found.pieces) == np.prod(shape)
    assert all(s % c == 0 for s, c in zip(found.shard, found.chunk, strict=True))


@pytest.mark.parametrize("form", ["cube", "cog"])
def test_item_that_offers_converted_bands_is_read_from_them(converted, series, tmp_path, form):
    report = converted[1] if form == "cube" else gl.convert(series[:1], tmp_path / "cog", bands=BANDS)
    offering = report.beside(series[:1])
    new = gl.open_cube(offering, bands=BANDS)
    assert new.attrs["converted"] == [report.outcomes[0].product]
    old = gl.open_cube(offering, bands=BANDS, converted=False)
    assert "converted" not in old.attrs
    for band in BANDS:
        np.testing.assert_array_equal(new[band], old[band])
    assert "converted" not in gl.open_cube(offering, bands=["red", "nir"]).attrs
    assert "converted" not in gl.open_cube(offering, bands=["red"], mask="cloud").attrs
    assert "r10m" in gl.open_product(offering[0]).children
