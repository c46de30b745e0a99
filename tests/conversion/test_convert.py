"""Converted products: the same numbers as GDAL reads from the source, the same cube, and nothing half there."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import datetime
from pathlib import Path

import dask
import numpy as np
import pystac
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from rasterio.windows import Window

import geodes_lab as gl
from geodes_lab.cli import main
from geodes_lab.conversion import band_file
from geodes_lab.conversion.report import ConversionFailed
from geodes_lab.products import unpack
from geodes_lab.raster.source import RasterSource


@pytest.fixture(scope="module")
def converted(sample, tmp_path_factory):
    """Two products, of a baseline without offset and one with it; with a saturated pixel and no-data."""
    folder = tmp_path_factory.mktemp("cog")
    zips = sorted((sample / "datalake").glob("sentinel2-l1c/31/T/CJ/2021/0[68]/*/*.zip"))[:2]
    report = gl.convert(zips, folder, bands=["red", "swir16"])
    return zips, folder, report


@pytest.mark.thorough
def test_numbers_are_those_that_gdal_reads_from_the_source(converted):
    zips, _, report = converted
    assert list(report.table["pixels"] > 0) == [True, True]
    for path, outcome in zip(zips, report.outcomes, strict=True):
        described = unpack(path, ["red", "swir16"])
        for key, file in outcome.scene.bands.items():
            with (
                rasterio.open(described.assets[key].href) as source,
                rasterio.open(Path(outcome.scene.folder, file.file)) as new,
            ):
                np.testing.assert_array_equal(source.read(1), new.read(1))
                assert (source.crs, source.transform) == (new.crs, new.transform)
                assert new.block_shapes == [(512, 512)]
                assert new.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"


def test_cube_is_the_same_and_says_where_it_comes_from(converted):
    zips, _, report = converted
    for band in ("red", "swir16"):
        source = gl.open_cube(zips, bands=[band]).compute()
        new = gl.open_cube(report.items, bands=[band]).compute()
        np.testing.assert_array_equal(source[band], new[band])
        np.testing.assert_array_equal(source.time, new.time)
        assert [Path(p).stem.removesuffix(".SAFE") for p in source["product"].values] == list(new["product"].values)


def test_item_is_valid_and_tells_of_files_and_origin(converted):
    zips, _, report = converted
    for path, outcome in zip(zips, report.outcomes, strict=True):
        folder = Path(outcome.scene.folder)
        item = pystac.Item.from_file(str(folder / f"{folder.name}.json"))
        assert item.properties["processing:software"]["geodes_lab"] == gl.__version__
        (link,) = item.get_links("derived_from")
        assert str(path) in link.href
        for asset in item.assets.values():
            file = folder / asset.href
            assert asset.extra_fields["file:checksum"] == "1220" + hashlib.sha256(file.read_bytes()).hexdigest()
            assert asset.extra_fields["file:size"] == file.stat().st_size
        assert not [p for p in folder.parent.iterdir() if p.name.startswith(".")]


def test_what_is_there_stays_and_what_is_damaged_is_converted_again(converted, tmp_path):
    zips, folder, _ = converted
    copy = tmp_path / "cog"
    shutil.copytree(folder, copy)
    before = {p: p.stat().st_mtime_ns for p in copy.rglob("*.tif")}
    report = gl.convert(zips, copy, bands=["red"])
    assert {p: p.stat().st_mtime_ns for p in copy.rglob("*.tif")} == before
    assert list(report.table["pixels"]) == [0, 0]
    damaged = next(iter(before))
    damaged.write_bytes(damaged.read_bytes()[:1000])
    report = gl.convert(zips, copy, bands=["red", "swir16"])
    assert sorted(report.table["pixels"] > 0) == [False, True]
    with pytest.raises(gl.GeodesError, match="has no band nir, only B04, B11: give overwrite=True"):
        gl.convert(zips[:1], copy, bands=["nir"])


def test_file_that_differs_from_its_source_is_not_kept(product, tmp_path, monkeypatch):
    """A disk that gives back other bits than were written."""
    real = band_file.copy

    def faulty(source, target, **options):
        real(source, target, **options)
        with rasterio.open(target, "r+", IGNORE_COG_LAYOUT_BREAK="YES") as file:
            file.write(np.array([[1]], file.dtypes[0]), 1, window=Window(700, 1300, 1, 1))

    monkeypatch.setattr(band_file, "copy", faulty)
    with pytest.raises(
        ConversionFailed, match=r"B04.tif does not have the numbers of band B04 of S2A_.* in rows 1024 to"
    ):
        gl.convert(product, tmp_path / "cog", bands=["red"])
    assert list((tmp_path / "cog").iterdir()) == []


@pytest.mark.parametrize(
    "numbers", [np.array([[-3, 5]], "int16"), np.array([[0.5, 1.0]], "float32"), np.array([[70000, 1]], "int32")]
)
def test_numbers_that_the_type_cannot_hold_are_refused(tmp_path, numbers):
    """Metadata that name another type than the file has; nothing is wrapped or rounded."""
    path = tmp_path / "in.tif"
    step = (10.0, 0.0, 300000.0, 0.0, -10.0, 4800000.0)
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=1, width=2, dtype=numbers.dtype.name, crs="EPSG:32631",
        transform=Affine(*step),
    ) as file:  # fmt: skip
        file.write(numbers, 1)
    source = RasterSource(str(path), "product", "B", 32631, step, (1, 2), scale=0.1)
    with pytest.raises(gl.GeodesError, match="has numbers that uint16, the type that its metadata name, cannot hold"):
        band_file.write(source, "uint16", tmp_path / "out.tif")
    assert [p.name for p in tmp_path.glob("*.tif")] == ["in.tif"]
    band_file.write(source, numbers.dtype.name, tmp_path / "out.tif")
    with rasterio.open(tmp_path / "out.tif") as file:
        np.testing.assert_array_equal(file.read(1), numbers)


def test_worker_that_writes_to_a_disk_of_its_own_is_seen(product, tmp_path):
    def elsewhere(graph, keys, **_):
        results = dask.get(graph, keys)
        shutil.rmtree(tmp_path / "cog")
        return results

    with dask.config.set(scheduler=elsewhere), pytest.raises(ConversionFailed, match="by a worker on another machine"):
        gl.convert(product, tmp_path / "cog", bands=["swir16"])


def test_one_that_fails_does_not_stop_the_others(product, altered, tmp_path):
    def without_red(name, data):
        return data[: len(data) // 2] if name.endswith("_B04.jp2") else data

    others = sorted(p for p in product.parent.parent.parent.rglob("*.zip") if p != product)
    broken = altered(without_red, others[0])
    with pytest.raises(ConversionFailed, match=r"2 of 3 products were not converted") as caught:
        gl.convert([product, broken, tmp_path / "none.zip"], tmp_path / "cog", bands=["red"])
    assert len(caught.value.report.items) == 1
    assert [p.name for p in (tmp_path / "cog").iterdir()] == [product.name.removesuffix(".zip")]


@pytest.mark.attack
@pytest.mark.parametrize("name", ["../../etc/passwd", ".hidden", "a/b", "x\0y", ""])
def test_hostile_names_are_no_paths(product, tmp_path, name):
    item = pystac.Item("a", None, None, datetime(2021, 6, 5), {"identifier": name})
    item.add_asset("data", pystac.Asset(str(product), roles=["data"]))
    (tmp_path / "in").mkdir()
    with pytest.raises(gl.GeodesError):
        gl.convert(item, tmp_path / "in" / "cog", bands=["red"])
    assert list((tmp_path / "in" / "cog").iterdir()) == []


def test_no_grid_no_geotiff(sample, tmp_path):
    radar = next((sample / "datalake").rglob("S1*GRD*.zip"))
    with pytest.raises(gl.GeodesError, match=r"no band with a map grid of its own.*gl\.open_cube"):
        gl.convert(radar, tmp_path)


def test_command_line(product, tmp_path):
    result = CliRunner().invoke(main, ["convert", str(product), "--to", str(tmp_path), "--bands", "red", "--json"])
    assert result.exit_code == 0, result.output
    (row,) = json.loads(result.stdout)["products"]
    assert row["bands"] == 1
    assert row["pixels"] == 1320 * 1320
    result = CliRunner().invoke(main, ["convert", str(tmp_path / "none.zip"), "--to", str(tmp_path)])
    assert result.exit_code == 1
