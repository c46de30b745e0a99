"""Conversion after storing: from the stand-in of CDSE to a cube of converted bands; deaths, a bucket, and what has no grid."""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import dask
import numpy as np
import pytest

import geodes_lab as gl
from geodes_lab.acquisition.engine import Engine
from geodes_lab.acquisition.ledger.tables import Database, conversions, news
from geodes_lab.acquisition.loading import load
from geodes_lab.acquisition.status import status
from geodes_lab.acquisition.telling.french import french
from tests.acquisition.conftest import Lake
from tests.acquisition.test_kills import KILLED, digest, engines
from tests.support.acquisition.cdse import Cdse
from tests.support.servers.faulty_s3 import serving

BANDS = {"convert": {"bands": ["red"]}}


@pytest.fixture
def cdse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cdse]:
    monkeypatch.setenv("TEST_CDSE_USER", "ada")
    monkeypatch.setenv("TEST_CDSE_PASSWORD", "pass word")
    with Cdse() as server:
        yield server


def converted_files(lake: Lake) -> list[str]:
    return [o.removeprefix("converted/") for o in lake.objects() if o.startswith("converted/")]


def test_from_cdse_to_a_cube_of_converted_bands(lake: Lake, cdse: Cdse, optical: list[Path]) -> None:
    for number, path in enumerate(optical[:2], 1):
        cdse.publish(path, f"2021-06-0{number}T12:00:00.000000Z", mission="SENTINEL-2")
    changes = {"sources": {"up": cdse.settings()}, "destination": {"folder": str(lake.store)}}
    wanted = {"source": "up", "upstream": "SENTINEL-2"}
    Engine(lake.config(collections={"S2": wanted}, **changes)).run()
    assert not converted_files(lake)
    # The settings may ask for it later: what is there is converted too.
    engine = Engine(lake.config(collections={"S2": wanted | BANDS}, **changes))
    result = engine.run()
    assert (result.found, result.stored, result.converted, result.refused) == (0, 0, 2, 0)
    assert status(engine.database).converted == {"S2": {"done": 2}}
    items = gl.search("S2", url=lake.catalogue, latest=False)
    new = gl.open_cube(items, bands=["red"])
    old = gl.open_cube(items, bands=["red"], converted=False)
    assert sorted(new.attrs["converted"]) == sorted(p.stem for p in optical[:2])
    np.testing.assert_array_equal(new.red.isel(x=slice(200), y=slice(200)), old.red.isel(x=slice(200), y=slice(200)))
    asset = items[0].assets["B04.converted"]
    assert asset.roles == ["converted"]
    assert asset.extra_fields["file:size"] == Path(asset.href).stat().st_size
    before = converted_files(lake)
    assert len(before) == 4  # a band and an Item of each
    again = Engine(lake.config(collections={"S2": wanted | BANDS}, **changes)).run()
    assert (again.converted, again.catalogued) == (0, 0)
    assert converted_files(lake) == before


def test_what_is_removed_takes_its_converted_bands_along(lake: Lake, optical: list[Path]) -> None:
    lake.give(optical[0])
    collections = {"S2": {"source": "drop"} | BANDS}
    assert Engine(lake.config(collections=collections)).run().converted == 1
    other = lake.give(optical[0], time=1_700_000_000)
    with zipfile.ZipFile(other, "a") as archive:  # the same members in other bytes
        archive.comment = b"packed again"
    os.utime(other, (1_700_000_000, 1_700_000_000))
    result = Engine(lake.config(collections=collections, retention={"superseded": "0"})).run()
    assert (result.stored, result.converted, result.removed) == (1, 1, 1)
    (item,) = gl.search("S2", url=lake.catalogue, latest=False)
    assert digest(Path(item.assets["product"].href)) == digest(other)
    (band,) = (o for o in converted_files(lake) if o.endswith(".tif"))
    assert item.assets["B04.converted"].href == str(lake.store / "converted" / band)


@pytest.mark.parametrize(
    "points",
    [
        pytest.param(["convert.written"]),
        pytest.param(["convert.taken", "convert.recorded"], marks=pytest.mark.slow),  # the other one is the hardest
    ],
)
def test_killed_while_it_converts(tmp_path: Path, optical: list[Path], points: list[str]) -> None:
    with engines(tmp_path / "cache") as run:
        for point in points:
            lake = Lake(tmp_path / point)
            lake.give(optical[0])
            config = lake.file(collections={"S2": {"source": "drop"} | BANDS}, schedule={"lease": "1 s"})
            assert run(config, point) == KILLED
            (left,) = gl.search("S2", url=lake.catalogue, latest=False)  # whole, though not yet converted
            assert list(left.assets) == ["product"]
            with Database(load(config).state).change() as c:
                c.execute(conversions.update().values(until=0.0))
            Engine(load(config)).run()
            (item,) = gl.search("S2", url=lake.catalogue, latest=False)
            assert set(item.assets) == {"product", "B04.converted"}
            assert [Path(o).name for o in converted_files(lake)] == ["B04.tif", f"{optical[0].stem}.json"]
            assert not list((lake.home / "state" / "work").iterdir())
            assert status(Engine(load(config)).database).converted == {"S2": {"done": 1}}


def test_bucket_and_what_has_no_grid(lake: Lake, optical: list[Path], radar: Path, tmp_path: Path) -> None:
    (tmp_path / "buckets" / "lake").mkdir(parents=True)
    with (
        serving(tmp_path / "buckets") as server,
        dask.config.set({"geodes_lab.datalake.endpoint": server.address}),
    ):
        for path in (optical[0], radar):
            lake.give(path)
        config = lake.config(
            collections={"S": {"source": "drop"} | BANDS},
            destination={"s3": "s3://lake/own"},
            schedule={"attempts": 1},
        )
        engine = Engine(config)
        result = engine.run()
        assert (result.stored, result.catalogued, result.converted, result.refused) == (2, 2, 1, 1)
        (refused,) = status(engine.database).refused
        assert refused.name == radar.stem
        assert refused.reason
        with engine.database.read() as c:
            (row,) = c.execute(news.select().where(news.c.kind == "refusal")).all()
        assert row.text.startswith(f"{radar.stem} is not converted")
        assert french(row.kind, row.subject, json.loads(row.evidence)) == f"{radar.stem} n'est pas converti."
        items = {i.id: i for i in gl.search("S", url=lake.catalogue, latest=False)}
        assert list(items[radar.stem].assets) == ["product"]
        href = items[optical[0].stem].assets["B04.converted"].href
        assert (server.folder / href.removeprefix("s3://")).stat().st_size > 1000
        assert not list((lake.home / "state" / "work").iterdir())
