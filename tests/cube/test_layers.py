"""The layers of a cube's graph, beside dask's own."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta

import dask.array as da
import numpy as np
import pystac
from hypothesis import given, settings
from hypothesis import strategies as st

from geodes_lab.cluster import Workers
from geodes_lab.cube import layers, opening
from geodes_lab.products import bands
from geodes_lab.raster.source import RasterSource

SIDE = 24
SIZES = st.lists(st.integers(1, SIDE - 1), unique=True).map(
    lambda edges: tuple(b - a for a, b in zip([0, *sorted(edges)], [*sorted(edges), SIDE], strict=True))
)


@given(SIZES, SIZES, SIZES, SIZES)
@settings(max_examples=40, deadline=None)
def test_parts_are_what_dask_cuts(rows, cols, parts_down, parts_across):
    whole = np.arange(2 * SIDE * SIDE).reshape(2, SIDE, SIDE)
    array = da.from_array(whole, chunks=((1, 1), rows, cols))
    cut = layers.in_parts(array, "part-of-it", (parts_down, parts_across))
    assert cut.chunks == array.rechunk({1: parts_down, 2: parts_across}).chunks
    np.testing.assert_array_equal(cut.compute(scheduler="sync"), whole)
    np.testing.assert_array_equal(cut[1, 3:9, 2:].compute(scheduler="sync"), whole[1, 3:9, 2:])
    np.testing.assert_array_equal(cut.max(axis=0).compute(scheduler="sync"), whole.max(axis=0))


def test_parts_have_no_task_before_one_is_asked_for_and_few_are_made():
    array = da.zeros((10_000, 2048, 2048), chunks=(1, 1024, 1024), dtype="uint8")
    cut = layers.in_parts(array, "part-of-it", ((256,) * 8, (256,) * 8))
    layer = cut.dask.layers["part-of-it"]
    assert isinstance(layer, layers.Parts)
    assert not layer.is_materialized()
    assert len(layer) == 640_000
    assert len(pickle.dumps(layer)) < 100_000
    some, needed = layer.cull({("part-of-it", 7, 5, 0), "another"}, set())
    assert (len(some), needed) == (1, {("part-of-it", 7, 5, 0): {(array.name, 7, 1, 0)}})
    assert cut[7:8, 1200:1300, :100].compute(scheduler="sync").shape == (1, 100, 100)
    assert not layer.is_materialized()


def test_a_tile_of_very_many_dates_is_opened_without_a_task(monkeypatch):
    """Its chunks are cut into parts here, since a worker could not hold a reduction over time."""
    monkeypatch.setattr(opening, "workers", lambda: Workers(2, 1, 2 * 2**30))
    items = []
    for number in range(300):
        when = datetime(2001, 1, 1, 10, 50, tzinfo=UTC) + timedelta(days=number)
        item = pystac.Item(f"P{number:04d}", None, None, when, {"geodes:source": f"s3://bench/P{number:04d}.zip"})
        source = RasterSource(
            f"/vsis3/bench/P{number:04d}.tif", item.id, "B04", 32631, (10, 0, 300_000, 0, -10, 4_900_020),
            (10_980, 10_980), scale=1e-4, nodata=0, tile=(512, 512),
        )  # fmt: skip
        item.add_asset("B04", bands.asset(source, common_name=None, wavelength=None, title="", media_type="image/tiff"))
        items.append(item)
    cube = opening.open_cube(items, bands=["B04"])
    (cut,) = [layer for layer in cube.B04.data.dask.layers.values() if isinstance(layer, layers.Parts)]
    assert len(cut) > 100_000
    assert not any(layer.is_materialized() for name, layer in cube.B04.data.dask.layers.items() if "mosaic" not in name)
