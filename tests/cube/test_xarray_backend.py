"""xarray's own door: ``engine="geodes"``."""

from __future__ import annotations

import pickle
from pathlib import Path

import dask
import numpy as np
import pytest
import xarray as xr
from distributed import Client, LocalCluster
from xarray.backends import list_engines

import geodes_lab as gl
from geodes_lab.cube.xarray_backend import GeodesBackend
from geodes_lab.errors import GeodesError
from geodes_lab.products import as_item

LANES = "S3A_SR_2_LAN____20210611T011438_20210611T012436_20210611T024819_0598_072_373______LN3_O_NR_004.SEN3"


def test_xarray_knows_the_engine():
    assert isinstance(list_engines()["geodes"], GeodesBackend)


@pytest.mark.thorough
def test_tree_is_that_of_open_product(product: Path):
    wanted = gl.open_product(product)
    with xr.open_datatree(product, engine="geodes") as tree:
        assert set(tree.groups) == set(wanted.groups)
        for node in wanted.subtree:
            xr.testing.assert_identical(tree[node.path].to_dataset(inherit=False), node.to_dataset(inherit=False))
    assert "nir" in xr.open_datatree(product, engine="geodes", group="r10m").data_vars


def test_dataset_of_one_grid_with_its_own_chunks(product: Path):
    wanted = gl.open_product(product)["r20m"].to_dataset()
    for group in ("r20m", "/r20m", "r20m/"):
        found = xr.open_dataset(product, engine="geodes", group=group, chunks={})
        assert {n: v.chunks for n, v in found.variables.items() if v.chunks} == {
            n: v.chunks for n, v in wanted.variables.items() if v.chunks
        }
    xr.testing.assert_identical(found.compute(), wanted.compute())
    lazy = xr.open_dataset(product, engine="geodes", group="r20m")
    assert not any(v.chunks for v in lazy.variables.values())
    name = next(iter(lazy.data_vars))
    part = {"y": [5, 3, 3], "x": [2, 9, 40]}
    xr.testing.assert_identical(lazy[name].isel(part).load(), wanted[name].isel(part).load())
    xr.testing.assert_identical(lazy[name].isel(y=slice(None, None, -7)).load(), wanted[name][::-7].load())
    assert lazy[name].isel(x=3, y=4).item() == pytest.approx(wanted[name].isel(x=3, y=4).compute().item(), nan_ok=True)
    without = xr.open_dataset(product, engine="geodes", group="r20m", drop_variables=name)
    assert set(without.data_vars) == set(wanted.data_vars) - {name}


@pytest.mark.parametrize("spelt", ["{zip}", "zip://{safe}::{zip}", "/vsizip/{{{zip}}}/{safe}", "file://{zip}", "item"])
def test_any_spelling_of_a_product(product: Path, spelt: str):
    safe = f"{product.stem}.SAFE"
    what = as_item(product) if spelt == "item" else spelt.format(zip=product, safe=safe)
    found = xr.open_dataset(what, engine="geodes", group="r60m", chunks={})
    xr.testing.assert_equal(found, gl.open_product(product)["r60m"].to_dataset())


def test_several_products_at_once(product: Path, sample: Path):
    other = next((sample / "datalake").glob("sentinel2-l1c/31/T/CJ/2021/07/05/*.zip"))

    def dated(dataset: xr.Dataset) -> xr.Dataset:
        return dataset.assign_coords(time=len(dataset.encoding["source"])).expand_dims("time")

    both = xr.open_mfdataset(
        [product, other], engine="geodes", group="r60m", preprocess=dated, combine="nested", concat_dim="time"
    )
    one = gl.open_product(other)["r60m"].to_dataset()
    name = next(iter(one.data_vars))
    np.testing.assert_array_equal(both[name].isel(time=1).values, one[name].values)


def test_nothing_is_read_before_it_is_asked_for(product: Path, monkeypatch: pytest.MonkeyPatch):
    from geodes_lab.reading import window

    read: list[object] = []
    numbers = window.read
    monkeypatch.setattr(window, "read", lambda source, *a, **k: read.append(source) or numbers(source, *a, **k))
    tree = xr.open_datatree(product, engine="geodes")
    xr.open_dataset(product, engine="geodes", group="r10m", chunks={})
    repr(tree), tree._repr_html_()
    assert read == []
    tree["r10m/nir"].load()
    assert read


def test_group_that_is_not_there_or_not_said(product: Path):
    with pytest.raises(GeodesError, match=r"has no group r15m: give one of .*r10m.* as group="):
        xr.open_dataset(product, engine="geodes", group="r15m")
    with pytest.raises(GeodesError, match=r"has several groups: give one of .*r10m"):
        xr.open_dataset(product, engine="geodes")


@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_chunks_are_computed_by_any_scheduler(product: Path, scheduler: str):
    found = xr.open_dataset(product, engine="geodes", group="r60m", chunks={})
    with dask.config.set(scheduler=scheduler):
        xr.testing.assert_equal(found.compute(), gl.open_product(product)["r60m"].to_dataset().compute())


@pytest.mark.thorough
def test_chunks_are_computed_by_a_cluster(product: Path):
    found = xr.open_dataset(product, engine="geodes", group="r60m", chunks={})
    name = next(iter(found.data_vars))
    again = pickle.loads(pickle.dumps(found))
    with LocalCluster(n_workers=1, threads_per_worker=2, dashboard_address="127.0.0.1:0") as cluster, Client(cluster):
        mean = float(again[name].mean().compute())
    assert mean == pytest.approx(float(np.nanmean(gl.open_product(product)["r60m"][name].values)), rel=1e-5)


@pytest.mark.parametrize(
    ("address", "is_one"),
    [
        ("S2A_MSIL1C_20210605T105031_N0301_R051_T31TCJ_20210605T125906.SAFE", True),
        ("S2A_MSIL1C_20210605T105031_N0301_R051_T31TCJ_20210605T125906.SAFE/", True),
        ("/data/S2A_MSIL2A_20210605T105031_N0301_R051_T31TCJ_20210605T125906.SAFE/MTD_MSIL2A.xml", True),
        ("s3://bucket/S2A_MSIL2A_20210605T105031_N0301_R051_T31TCJ_20210605T125906.zip", True),
        ("S1A_IW_GRDH_1SDV_20210606T173912_20210606T173937_038216_048289_5E6F.SAFE", True),
        ("S1A_IW_SLC__1SDV_20210606T173912_20210606T173937_038216_048289_5E6F.zip", True),
        (LANES, True),
        ("/data/SPOT5/METADATA.DIM", True),
        ("SENTINEL2A_20210725-105031-024_L2A_T31TCJ_C_V2-2.zip", True),
        ("temperatures.zip", False),
        ("store.zarr.zip", False),
        ("image.tif", False),
        ("S2A_MSIL1C_20210605T105031_N0301_R051_T31TCJ_20210605T125906.nc", False),
        ("", False),
        (b"S2A", False),
        (None, False),
    ],
)
def test_guess_is_made_of_the_name_alone(address, is_one):
    assert GeodesBackend().guess_can_open(address) is is_one


def test_engine_is_guessed(product: Path):
    assert "r10m" in xr.open_datatree(product).children


def test_level_2_of_altimetry(shared: Path):
    tree = xr.open_datatree(shared / "sentinel3-altimetry" / LANES, engine="geodes")
    wanted = gl.open_product(shared / "sentinel3-altimetry" / LANES)
    for node in wanted.subtree:
        xr.testing.assert_identical(
            tree[node.path].to_dataset(inherit=False).load(), node.to_dataset(inherit=False).load()
        )
