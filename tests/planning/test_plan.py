"""Plans before and reports after, against what reading then does; and jobs on a datalake that fails now and then."""

from __future__ import annotations

import random
import threading
import warnings
from collections.abc import Iterator
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path

import dask
import numpy as np
import pytest
from distributed import Client, LocalCluster

import geodes_lab as gl
from geodes_lab.formats import tile_cache
from geodes_lab.formats.jpeg2000 import image as jpeg2000_image
from geodes_lab.formats.tiff import image
from geodes_lab.planning import plan
from geodes_lab.planning.plan import LargePlan
from geodes_lab.storage import request
from geodes_lab.storage.traffic import traffic
from tests.storage.test_location import Ranged

TOULOUSE = (1.76, 43.53, 1.83, 43.60)


@pytest.fixture(autouse=True)
def fresh() -> None:
    """Each test begins without tiles and indexes in memory."""
    tile_cache.forget()
    jpeg2000_image.open.cache_clear()
    image.open.cache_clear()


def ndvi(cube):
    return (cube.nir - cube.red) / (cube.nir + cube.red)


def one_tile():
    return [i for i in gl.search("PEPS_S2_L1C") if i.properties["grid:code"] == "MGRS-31TCJ"]


@pytest.mark.parametrize(
    "make",
    [
        lambda cube: cube,
        lambda cube: cube.red.isel(time=2),
        lambda cube: ndvi(cube).resample(time="1MS").median(),
        lambda cube: cube.nir.isel(time=slice(1, 4), x=slice(0, 200)).mean(),
    ],
)
def test_plan_is_what_reading_then_does(on_s3, make):
    cube = gl.open_cube(one_tile(), bands=["red", "nir"], bbox=TOULOUSE)
    data = make(cube)
    data.compute(scheduler="threads")  # the indexes
    tile_cache.forget()
    plan, before = gl.plan(data), (traffic.requests, traffic.bytes)
    data.compute(scheduler="threads")
    assert traffic.requests - before[0] == plan.tiles == tile_cache.shared().decoded
    # The file tells only how many bytes all of its tiles take together.
    assert 0.3 < (traffic.bytes - before[1]) / plan.bytes < 3


def test_plan_reads_no_pixel_and_shows_itself(on_s3):
    cube = gl.open_cube(gl.search("PEPS_S2_L1C"), bands=["red"], bbox=TOULOUSE)
    before = traffic.requests
    plan = gl.plan(cube)
    assert traffic.requests == before
    assert plan.products == 18
    assert plan.dates == 9
    assert "one for each tile" in repr(plan)
    assert plan._repr_html_().startswith("<table>")


def test_coarse_cube_needs_a_small_part_of_the_bytes(on_disk):
    items = one_tile()
    fine, coarse = (gl.plan(gl.open_cube(items, bands=["red"], resolution=r)) for r in (10, 80))
    assert coarse.bytes < 0.05 * fine.bytes
    assert coarse.decode < 0.05 * fine.decode


def test_plan_that_is_too_large_is_warned_of_with_what_would_help(on_disk):
    cube = gl.open_cube(one_tile(), bands=["red"])
    with (
        dask.config.set({"geodes_lab.plan.bytes": "1MB"}),
        pytest.warns(LargePlan, match="with a coarser resolution="),
    ):
        assert "gl.save" in gl.plan(cube).advice[0]
    with (
        dask.config.set({"geodes_lab.cluster.memory": "300MiB"}),
        pytest.warns(LargePlan, match="may need .* of its 300"),
    ):
        gl.plan(cube)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert gl.plan(cube).advice == ()


def test_plan_of_too_many_tasks_says_how_to_have_fewer(on_disk, monkeypatch):
    monkeypatch.setattr(plan, "_TASKS", 4)
    monkeypatch.setattr(plan, "_FEW_TASKS", 3)
    with pytest.warns(LargePlan, match=r'with chunks=\{"time": \d+\} in open_cube'):
        gl.plan(gl.open_cube(one_tile(), bands=["red"]))


def test_what_is_computed_has_neither_plan_nor_report(on_disk):
    done = gl.open_cube(one_tile()[:1], bands=["red"], bbox=TOULOUSE).compute(scheduler="sync")
    for ask in (gl.plan, gl.report):
        with pytest.raises(gl.GeodesError, match=r"give the lazy cube of gl\.open_cube"):
            ask(done)


def test_report_names_what_was_read_and_what_was_dropped(on_disk):
    items = gl.search("PEPS_S2_L1C", latest=False)
    cube = gl.open_cube(items, bands=["red", "nir"], bbox=TOULOUSE)
    ndvi(cube).isel(time=[0, 1]).compute(scheduler="threads")
    report = gl.report(cube)
    read = report.table[report.table["read"] > 0]
    assert list(read.index) == [name.split()[0] for name in cube["product"].values[:2]]
    dropped = report.table[report.table["dropped"]]
    assert list(dropped.index) == cube.attrs["superseded"] != []
    assert set(dropped["why"]) == {"a newer processing of the same product was used"}
    assert "2 products read" in repr(report)
    assert "<table" in report._repr_html_()


# -- faults ---------------------------------------------------------------------------------------------------------


class Faulty(Ranged):
    """A tenth of the requests fail: 500, 503, no answer in time, half of a body."""

    chance = random.Random(7)
    lock = threading.Lock()
    faults: list[str]
    gone: set[str]

    def do_GET(self) -> None:
        with self.lock:
            fault = self.chance.choice(["500", "503", "late", "short"]) if self.chance.random() < 0.1 else ""
        if any(name in self.path for name in self.gone):
            fault = "500"
        if self.headers["Range"] == "bytes=0-3":
            fault = ""  # whether it gives parts of files is asked once; what fails then is another test's
        if not fault:
            super().do_GET()
            return
        self.faults.append(fault)
        if fault == "late":
            threading.Event().wait(1.5)  # longer than the client's patience
            self.close_connection = True
            return
        self.send_response(206 if fault == "short" else int(fault))
        if fault == "short":
            start, _, end = self.headers["Range"].removeprefix("bytes=").partition("-")
            self.send_header("Content-Length", str(int(end) - int(start) + 1))
            self.send_header("Content-Range", f"bytes {start}-{end}/{10**9}")
            self.end_headers()
            self.wfile.write(b"x" * ((int(end) - int(start)) // 2))
            self.close_connection = True
        else:
            self.send_header("Content-Length", "0")
            self.end_headers()


class Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None: ...  # clients that lose patience hang up


@pytest.fixture
def faulty(sample: Path) -> Iterator[str]:
    Faulty.faults, Faulty.gone = [], set()
    server = Server(("127.0.0.1", 0), partial(Faulty, directory=str(sample / "datalake")))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with dask.config.set({"geodes_lab.datalake.timeout": 1}):
        yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def client() -> Iterator[Client]:
    with (
        LocalCluster(
            n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0", memory_limit="1GiB"
        ) as c,
        Client(c) as client,
    ):
        yield client


def addresses(server: str, sample: Path) -> list[str]:
    return [
        f"{server}/{p.relative_to(sample / 'datalake')}"
        for p in sorted((sample / "datalake").glob("s*-l1c/31/T/CJ/**/*.zip"))
    ]


@pytest.mark.slow  # half a minute; test_product_that_fails_for_good… and tests/storage try faults with few requests
def test_tenth_of_requests_fails_and_the_result_is_the_same(faulty, sample, tmp_path, client):
    """On workers of a cluster: every fault is met, nothing is filled, and the report tells."""
    settings = {"geodes_lab.datalake.timeout": 1, "geodes_lab.cache.folder": str(tmp_path / "far")}
    client.run(dask.config.set, settings)
    hrefs = addresses(faulty, sample)[:4]
    far = gl.open_cube(hrefs, bands=["red", "nir", "swir16"])
    near = gl.open_cube(
        [sample / "datalake" / h.removeprefix(f"{faulty}/") for h in hrefs], bands=["red", "nir", "swir16"]
    )
    found = far.compute()
    want = near.compute(scheduler="threads")
    for band in ("red", "nir", "swir16"):
        np.testing.assert_array_equal(found[band], want[band])
    assert set(Faulty.faults) == {"500", "503", "late", "short"}
    report = gl.report(far).table
    assert report["read"].sum() == sum(far[b].data.npartitions for b in far)
    assert report["retried"].sum() > 0
    assert report["filled"].sum() == 0


def test_product_that_fails_for_good_is_named_or_filled_and_reported(faulty, sample, tmp_path, monkeypatch):
    monkeypatch.setattr(request, "_PAUSE", 0.001)  # how often it is asked again counts, not how long that takes
    hrefs = addresses(faulty, sample)[:3]
    cube = gl.open_cube(hrefs, bands=["red"], bbox=TOULOUSE)
    filled = gl.open_cube(hrefs, bands=["red"], bbox=TOULOUSE, errors="fill")
    broken = cube["product"].values[1]
    Faulty.gone = {broken}
    with pytest.raises(gl.GeodesError, match=f"Band B04 of {broken} could not be read at"):
        cube.compute(scheduler="threads")
    found = filled.compute(scheduler="threads")
    assert set(np.unique(found.quality.isel(time=1))) == {5}  # no data, since reading failed
    assert not (found.quality.isel(time=[0, 2]) & 4).any()
    table = gl.report(filled).table
    assert list(table[table["filled"] > 0].index) == [broken]
    assert "could not be read at" in table.loc[broken, "why"]
