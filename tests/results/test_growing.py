"""Cubes that grow, in a folder, a bucket or icechunk: readers see the state before or after, whatever happens."""

from __future__ import annotations

import signal
import subprocess
import sys

import dask
import dask.array as da
import numpy as np
import pytest
import xarray as xr
import zarr

import geodes_lab as gl
from geodes_lab.util import whole_folder
from tests.results.test_save import cube
from tests.support.servers.s3_server import serving


def added(days: int, rows: int = 60, cols: int = 70) -> xr.Dataset:
    """The days after those of `cube`."""
    made = cube(days, rows, cols) + 1
    return made.assign_coords(time=made.time + np.timedelta64(40 * 24 + 5, "h"))


def read_by_others(address: str, expression: str) -> str:
    """What a process without geodes_lab says of a store."""
    code = f"""
import sys, xarray as xr
at = {address!r}
if at.startswith("icechunk://"):
    import icechunk
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(at[11:]))
    at = repository.readonly_session("main").store
cube = xr.open_zarr(at, consolidated=False, decode_coords="all")
assert not [m for m in sys.modules if m.startswith("geodes_lab")]
print({expression})
"""
    return (
        subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True, capture_output=True, text=True)
        .stdout.strip()
        .splitlines()[-1]
    )


@pytest.fixture(params=["folder", "icechunk"])
def address(request, tmp_path):
    if request.param == "icechunk":
        pytest.importorskip("icechunk")
        return f"icechunk://{tmp_path}/grows"
    return str(tmp_path / "grows.zarr")


def test_appends_later_times_once_and_replaces_a_region(address, tmp_path):
    first, more = cube(2, 60, 70), added(3)
    gl.save(first, address)
    for _ in range(2):  # a loop that is run again
        saved = gl.save(more, address, mode="append")
        assert saved.sizes["time"] == 5
    np.testing.assert_array_equal(saved.ndvi, xr.concat([first.ndvi, more.ndvi], "time"))
    np.testing.assert_array_equal(saved.time, np.concatenate([first.time, more.time]))
    part = more.isel(time=[1], y=slice(10, 20), x=slice(3, 9)) * 0
    saved = gl.save(part, address, mode="region")
    assert not saved.ndvi[3, 10:20, 3:9].values.any()
    assert int((saved.ndvi == 0).sum()) == 60
    assert read_by_others(address, "dict(cube.sizes)['time'], int((cube.ndvi == 0).sum())") == "5 60"
    with pytest.raises(gl.GeodesError, match="is earlier than"):
        gl.save(first.assign_coords(time=first.time - np.timedelta64(9, "D")), address, mode="append")
    with pytest.raises(gl.GeodesError, match="y of what is appended is not y of the store"):
        gl.save(added(1, 50).assign_coords(time=more.time[:1] + np.timedelta64(9, "D")), address, mode="append")
    with pytest.raises(gl.GeodesError, match=r"has the variables ndvi, and what is added to it has red"):
        gl.save(part.rename(ndvi="red"), address, mode="region")
    with pytest.raises(gl.GeodesError, match=r"has a cube already|exists already"):
        gl.save(first, address)
    assert not [p.name for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_kill_in_the_middle_leaves_the_former_state(address):
    mode = "region" if address.startswith("icechunk") else "append"
    saved = gl.save(cube(2, 60, 70), address)
    code = f"""
import os, signal, dask, numpy as np
import geodes_lab as gl
from tests.results.test_growing import added, cube
made = added(3) if {mode!r} == "append" else cube(2, 60, 70) * 0
calls = []
def end(block):
    calls.append(1)
    if len(calls) > 4:
        os.kill(os.getpid(), signal.SIGKILL)
    return block
made["ndvi"] = made.ndvi.chunk(time=1, y=20).copy(data=made.ndvi.chunk(time=1, y=20).data.map_blocks(end, dtype="float32", meta=np.empty((0, 0, 0), "f4")))
dask.config.set(scheduler="synchronous")
gl.save(made, {address!r}, mode={mode!r})
"""
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    np.testing.assert_array_equal(saved.ndvi, cube(2, 60, 70).ndvi)
    assert read_by_others(address, "cube.sizes['time'], bool((cube.ndvi == 0).any())") == "2 False"
    assert gl.save(added(3), address, mode="append").sizes["time"] == 5


def test_two_writers_do_not_lose_each_others_times(address):
    gl.save(cube(1, 60, 70), address)

    def meanwhile(block):
        gl.save(added(1), address, mode="append")
        return block

    made = added(2).isel(time=[1])
    made["ndvi"] = made.ndvi.chunk(-1).copy(
        data=da.map_blocks(meanwhile, made.ndvi.chunk(-1).data, dtype="float32", meta=np.empty((0, 0, 0), "f4"))
    )
    with (
        dask.config.set(scheduler="synchronous"),
        pytest.raises(gl.GeodesError, match=r"Another process (changed|committed)"),
    ):
        gl.save(made, address, mode="append")
    assert read_by_others(address, "cube.sizes['time']") == "2"


def test_history_of_icechunk_keeps_what_was_replaced(tmp_path):
    icechunk = pytest.importorskip("icechunk")
    address = f"icechunk://{tmp_path}/grows"
    gl.save(cube(2, 60, 70), address)
    gl.save(cube(1, 60, 70), address, overwrite=True)
    repository = icechunk.Repository.open(icechunk.local_filesystem_storage(f"{tmp_path}/grows"))
    _now, before, *_ = repository.ancestry(branch="main")
    old = xr.open_zarr(repository.readonly_session(snapshot_id=before.id).store, consolidated=False)
    assert old.sizes["time"] == 2


def test_without_icechunk_a_sentence_names_the_extra(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "icechunk", None)
    with pytest.raises(gl.GeodesError, match=r"gl\.save to icechunk:// needs icechunk.*geodes-lab\[icechunk\]"):
        gl.save(cube(1, 8, 8), f"icechunk://{tmp_path}/x")


def test_bucket(tmp_path):
    (tmp_path / "results").mkdir()
    with serving(tmp_path) as endpoint, dask.config.set({"geodes_lab.datalake.endpoint": endpoint}):
        saved = gl.save(cube(2, 60, 70), "s3://results/a/ndvi.zarr")
        np.testing.assert_array_equal(saved.ndvi, cube(2, 60, 70).ndvi)
        assert [p.name for p in (tmp_path / "results" / "a").iterdir() if not p.name.startswith(".nanio")] == [
            "ndvi.zarr"
        ]
        with pytest.raises(gl.GeodesError, match="has objects already"):
            gl.save(cube(2, 60, 70), "s3://results/a/ndvi.zarr", overwrite=True)
        with pytest.raises(
            gl.GeodesError, match=r"Keep a cube that grows with icechunk: gl\.save\(cube, 'icechunk://s3"
        ):
            gl.save(added(1), "s3://results/a/ndvi.zarr", mode="append")

        def fail(block):
            raise RuntimeError("out of coffee")

        broken = cube(1, 60, 70)
        broken["ndvi"] = broken.ndvi.copy(data=broken.ndvi.data.map_blocks(fail, meta=np.empty((0, 0, 0), "f4")))
        with pytest.raises(RuntimeError, match="out of coffee"):
            gl.save(broken, "s3://results/b.zarr")
        assert not list((tmp_path / "results").rglob("b.zarr/**/*.json"))
        pytest.importorskip("icechunk")
        gl.save(cube(2, 60, 70), "icechunk://s3://results/grows")
        assert gl.save(added(3), "icechunk://s3://results/grows", mode="append").sizes["time"] == 5


def test_geozarr_without_shards(tmp_path):
    made = cube(2, 600, 70)
    gl.save(made, tmp_path / "plain.zarr", shards=False)
    group = zarr.open_group(tmp_path / "plain.zarr", mode="r")
    assert group["ndvi"].shards is None
    assert group.attrs["proj:code"] == "EPSG:32631"
    assert group.attrs["spatial:shape"] == [600, 70]
    toolkit = pytest.importorskip("geozarr_toolkit", reason="it needs Python 3.12")
    assert not any(toolkit.validate_group(group).values())


def test_files_of_a_store_are_never_changed_in_place(tmp_path):
    """An addition works on second names of the files: what it writes must be other files."""
    gl.save(cube(2, 60, 70), tmp_path / "x.zarr")
    whole_folder.linked(tmp_path / "x.zarr", tmp_path / "before.zarr")
    gl.save(cube(2, 60, 70) * 0, tmp_path / "x.zarr", mode="region")
    np.testing.assert_array_equal(xr.open_zarr(tmp_path / "before.zarr", consolidated=False).ndvi, cube(2, 60, 70).ndvi)
