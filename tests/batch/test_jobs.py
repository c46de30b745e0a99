"""Jobs from `gl.process` to their Items: beside a cube by hand, twice, over products, with what goes wrong."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pystac
import pytest

import geodes_lab as gl
from geodes_lab.batch import places
from geodes_lab.batch.job import JobFailed
from geodes_lab.batch.running.outputs import CUBE
from geodes_lab.errors import GeodesError
from geodes_lab.processing import registry
from geodes_lab.products.raster import file as raster_file
from tests.support.batch import scenes

MASK = {"scl": [9]}
MONTHS = {"period": "2021-06/2021-07", "every": "1MS", "tile": scenes.TILE}


def test_region_and_months_are_what_a_cube_by_hand_gives(products, run):
    job = gl.process("ndvi", products, region=scenes.region(), mask=MASK, mask_buffer=20, title="<b>June</b>", **MONTHS)
    assert (job.status, str(job.progress), len(job.results())) == ("accepted", "0 of 8 units", 0)
    run()
    assert job.wait().status == "successful"
    by_hand = gl.open_cube(products, bands=["red", "nir"], mask=MASK, mask_buffer=20)
    expected = ((by_hand.nir - by_hand.red) / (by_hand.nir + by_hand.red)).resample(time="1MS").median().compute()
    made = job.cube()
    assert made.rio.crs.to_epsg() == 32631
    assert list(made.time.values) == list(expected.time.values)
    ours = made.ndvi.sel(x=expected.x, y=expected.y).values
    np.testing.assert_allclose(ours, expected.transpose("time", "y", "x").values, atol=1e-6)
    (item,) = job.results()
    assert item.properties["derived_from"] == [p["id"] for p in products]
    assert [link.target for link in item.links] == [p["links"][0]["href"] for p in products]
    assert item.properties["geodes:inputs"]["mask_buffer"] == 20
    assert item.assets["zarr"].extra_fields["geodes:tiles"] == 8
    assert item.properties["start_datetime"] == "2021-06-01T00:00:00Z"
    (again,) = gl.jobs()
    assert again.id == job.id
    assert "<b>June" not in again._repr_html_() + gl.jobs()._repr_html_()
    assert "8 of 8 units" in repr(gl.jobs())
    assert job.log[0].endswith("was accepted with 8 units.")


def test_files_of_a_product_are_looked_at_once_for_all_its_units(products, run, monkeypatch):
    job = gl.process("ndvi", products, region=scenes.region(), **MONTHS)
    looked: list[tuple[str, str]] = []
    read = raster_file.read
    monkeypatch.setattr(raster_file, "read", lambda item, key: looked.append((item.id, key)) or read(item, key))
    run()
    assert (job.status, job.progress.done) == ("successful", 8)
    # Two threads may begin with the same product.
    assert max(Counter(looked).values()) <= 2, looked


def test_what_is_done_is_not_computed_again(products, run, store):
    asked = {"region": scenes.region(), **MONTHS}
    first = gl.process("ndvi", products, **asked)
    run()
    longer = gl.process("ndvi", products, **asked | {"period": "2021-05/2021-08"})
    other = gl.process("ndvi", products, reduce="maximum", **asked)
    changed = [
        products[0],
        products[1] | {"properties": products[1]["properties"] | {"updated": "2026-01-01T00:00:00Z"}},
    ]
    anew = gl.process("ndvi", changed, **asked | {"period": "2021-06"})
    # A file that was changed is no result.
    tile = next(places.folder_of(first.record.folder).glob(f"{CUBE}/ndvi/c/0/1/1"))
    tile.write_bytes(tile.read_bytes()[:-1] + b"?")
    run()
    reused = {j: [r.reused for u, r in store.results(j.id, None) if not u.is_end] for j in (longer, other, anew)}
    assert reused[longer].count(first.id) == 7
    assert not any(reused[other] + reused[anew])
    np.testing.assert_array_equal(
        longer.cube().ndvi.sel(time="2021-07").values, first.cube().ndvi.sel(time="2021-07").values
    )
    assert longer.cube().sizes["time"] == 4


def test_products_zones_and_conversion(products, run):
    whole = [scenes_without_gaps(p) for p in products]
    ndvi = gl.process("ndvi", products)
    composite = gl.process("cloud-free", products, bands=["red"], mask=MASK, mask_buffer=20)
    series = gl.process("zonal", products, zones=scenes.region(90), bands=["red", "nir"], period="2021", every="1MS")
    converted = gl.process("convert", whole[:1], bands=["scl"])
    run()
    for job in (ndvi, composite, series, converted):
        assert job.status == "successful", job.failures
    names = [i.properties["derived_from"] for i in ndvi.results()]
    assert names == [[p["id"]] for p in products]
    asset = ndvi.results()[0].assets["tif"]
    assert asset.extra_fields["file:checksum"].startswith("1220")
    (item,) = composite.results()
    assert gl.open_cube([item], bands=["clear_dates"]).clear_dates.max() == 3
    by_hand = gl.zonal(gl.open_cube(products, bands=["red", "nir"], geometry=scenes.region(90)), scenes.region(90))
    ours = series.table().sort_values(["band", "time"]).reset_index(drop=True)
    theirs = by_hand.sort_values(["band", "time"]).reset_index(drop=True)
    pd.testing.assert_frame_equal(ours[list(theirs.columns)], theirs, check_dtype=False)
    (scene,) = converted.results()
    assert Path(scene.assets["scl"].href.removeprefix("file://")).exists()


def scenes_without_gaps(product: dict[str, Any]) -> dict[str, Any]:
    return product | {"assets": {"scl": product["assets"]["scl"]}}


def test_process_of_a_notebook(products, run, store):
    @gl.process.define(bands=["red", "nir"])
    def contrast(cube, factor: float = 2.0):
        """Contrast of two bands."""
        if factor < 0:
            raise ZeroDivisionError("the factor is negative")
        return ((cube.nir - cube.red) * factor).max("time").rename("contrast")

    try:
        good = gl.process("contrast", products, region=scenes.region(), tile=scenes.TILE, output="cog", factor=3.0)
        bad = gl.process("contrast", products, region=scenes.region(), factor=-1.0, **MONTHS)
    finally:
        registry.forget("contrast")
    # A service that runs jobs of everybody takes none with code; and code with another seal is not loaded.
    run(person=None)
    assert good.status == "accepted"
    forged = gl.process.prepare(contrast, products, region=scenes.region(), tile=scenes.TILE).start()
    import sqlalchemy as sa

    from geodes_lab.batch.store.tables import jobs

    with store.database.change() as c:
        c.execute(sa.update(jobs).where(jobs.c.id == forged.id).values(seal="0" * 64))
    run()
    assert good.status == "successful", good.failures
    assert len(good.results()) == 4
    with pytest.raises(JobFailed, match=r"32631_10_64_x781_y\w+ 2021-06-01: ZeroDivisionError: the factor is negative"):
        bad.wait()
    assert len(bad.failures) == 8
    assert "was not written by the account that runs it" in forged.message


def test_failed_unit_is_named_and_tried_again(products, run, tmp_path):
    away = Path(products[2]["assets"]["nir"]["href"].removeprefix("file://"))
    hidden = away.rename(tmp_path / "nir.tif")
    try:
        job = gl.process("ndvi", products, region=scenes.region(), **MONTHS)
        run(attempts=2)
        assert (job.status, job.progress.done, job.progress.failed) == ("failed", 4, 4)
        assert "2021-07-01: " in job.message
        assert "2021-07-05-nir.tif" in job.message
        assert [f.attempts for f in job.failures] == [2] * 4
        assert len(job.results()) == 1  # what is done can be used
    finally:
        hidden.rename(away)
    job.retry()
    assert job.status == "running"
    run()
    assert job.status == "successful"
    job.remove()
    assert len(gl.jobs()) == 0


def test_cancelled_job_publishes_nothing_and_goes_on(products, run):
    published: list[str] = []

    def publisher(item: pystac.Item, record: Any, request: Any) -> pystac.Item:
        published.append(item.id)
        return item

    job = gl.process("ndvi", products, region=scenes.region(), collection="ndvi", **MONTHS)
    assert job.cancel().status == "dismissed"
    run(publisher=publisher)
    assert (job.progress.dismissed, published) == (8, [])
    job.retry()
    run(publisher=publisher)
    assert (job.status, published) == ("successful", [job.record.folder])


@pytest.mark.parametrize(
    ("how", "sentence"),
    [
        ({"region": None, "output": "zarr"}, "output='zarr' is one cube over a region"),
        ({"every": "1MS"}, "every= splits a period"),
        ({"period": "soon"}, "period='soon' is not a period"),
        ({"period": "2021", "every": "1ms"}, "every='1ms' is not a frequency"),
        ({"period": "2021/2020"}, "ends before it begins"),
        ({"period": "1990"}, "No product lies in the region and the period"),
        ({"tile": 3}, "tile is the pixels of a side of a tile, 16 to 8192, not 3"),
        ({"reduce": "sum"}, "The input reduce of ndvi cannot be 'sum'"),
        ({"mask_buffer": -5}, r"The input mask_buffer \(in m\) of ndvi cannot be -5"),
        ({"colour": 1}, "The process ndvi has no input 'colour'"),
    ],
)
def test_refusals(products, how, sentence):
    with pytest.raises(GeodesError, match=sentence):
        gl.process("ndvi", products, **({"region": scenes.region()} | how))
    assert len(gl.jobs()) == 0


def test_service_opens_nothing_that_somebody_names(products, tmp_path, monkeypatch):
    from geodes_lab import products as opening
    from geodes_lab.batch.submission import prepared

    monkeypatch.setattr(opening, "unpack", pytest.fail)
    named = tmp_path / "area.geojson"
    named.write_text("{}")
    good = {"region": scenes.region(), "tile": scenes.TILE, "reads": False}
    draft = prepared("ndvi", products, {}, **good)
    assert draft.request.grid == gl_grid(products, monkeypatch)
    for items, how in (
        (str(named), {}),
        ([str(named)], {}),
        (products, {"region": str(named)}),
        (products, {"region": named}),
    ):
        with pytest.raises(GeodesError, match=r"not paths or addresses|not the name of a file"):
            prepared("ndvi", items, {}, **good | how)
    with pytest.raises(GeodesError, match="not the name of a file"):
        prepared("zonal", products, {"zones": str(named), "bands": ["red"]}, reads=False)
    bare = [p | {"assets": {"red": {"href": "file:///etc/passwd"}}} for p in products]
    with pytest.raises(GeodesError, match=r"give crs= \(an EPSG code\) and resolution="):
        prepared("ndvi", bare, {}, **good)


def gl_grid(products, monkeypatch):
    monkeypatch.undo()
    return gl.process.prepare("ndvi", products, region=scenes.region(), tile=scenes.TILE).request.grid


def test_plan_of_a_job(products):
    draft = gl.process.prepare("ndvi", products, region=scenes.region(), **MONTHS)
    plan = gl.plan(draft)
    assert (plan.units, plan.products, plan.planned, plan.cost) == (8, 3, 8, None)
    assert plan.result == 2 * 128 * 128 * 4
    assert plan.bytes > 0
    assert "core-hours" in repr(plan)
