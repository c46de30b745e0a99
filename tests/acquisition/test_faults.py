"""A server that fails in the middle of an upload, a disk that fills, a loss of power: nothing lost, doubled, or half there."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import dask
import pytest

from geodes_lab.acquisition.destination import Bucket
from geodes_lab.acquisition.engine import Engine
from geodes_lab.errors import GeodesError
from geodes_lab.storage import request
from geodes_lab.util import faults
from tests.acquisition.conftest import Lake
from tests.acquisition.test_kills import check_visible, prepared, visible
from tests.support.acquisition.engine_that_dies import between_disks
from tests.support.servers.faulty_s3 import FaultyS3, serving

ALWAYS = 1000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FaultyS3]:
    folder = tmp_path_factory.mktemp("faulty")
    (folder / "lake").mkdir()
    with serving(folder) as running:
        yield running


@pytest.fixture
def s3(server: FaultyS3, monkeypatch: pytest.MonkeyPatch) -> Iterator[FaultyS3]:
    monkeypatch.setattr(request, "_PAUSE", 0.0)
    with dask.config.set({"geodes_lab.datalake.endpoint": server.address}):
        yield server
    server.faults.clear()


def put(path: Path, key: str) -> None:
    Bucket("lake").put(path, key, lambda: None)


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three parts."""
    path = tmp_path_factory.mktemp("large") / "large.zip"
    path.write_bytes(os.urandom(2**20) * 36)
    return path


@pytest.mark.parametrize(
    ("step", "how", "times", "comes"),
    [
        ("part", "refuse", 1, True),
        ("part", "break", 1, True),
        ("part", "lose", 1, True),
        ("part", "refuse", ALWAYS, False),
        ("part", "break", ALWAYS, False),
        ("create", "lose", 1, True),
        ("complete", "lose", 1, True),
        ("complete", "refuse", ALWAYS, False),
    ],
)
def test_upload_that_fails_in_the_middle(
    s3: FaultyS3, large: Path, step: str, how: str, times: int, comes: bool
) -> None:
    key = f"{step}/{how}/{times}.zip"
    s3.fail(step, how, times, after=1 if step == "part" else 0)
    if not comes:
        with pytest.raises(GeodesError, match="Could not store"):
            put(large, key)
        assert not (s3.folder / "lake" / key).exists()
        assert s3.pending() == []
        s3.faults.clear()
    put(large, key)
    assert (s3.folder / "lake" / key).read_bytes() == large.read_bytes()
    assert s3.pending() == []


def test_upload_that_cannot_be_ended_is_said_and_ended_later(
    s3: FaultyS3, large: Path, caplog: pytest.LogCaptureFixture
) -> None:
    s3.fail("part", "refuse", ALWAYS)
    s3.fail("abort", "refuse", ALWAYS)
    with pytest.raises(GeodesError, match="Could not store"):
        put(large, "later.zip")
    assert "Uploads of s3://lake/later.zip that were not finished may be left" in caplog.text
    assert s3.pending()
    s3.faults.clear()
    put(large, "later.zip")
    assert s3.pending() == []


def test_engine_whose_bucket_fails(lake: Lake, small: list[Path], s3: FaultyS3) -> None:
    for path in small:
        lake.give(path)
    config = lake.config(destination={"s3": "s3://lake/own"}, schedule={"retry": "0", "attempts": 9})
    for step, how in (("create", "refuse"), ("part", "break"), ("complete", "refuse"), ("head", "refuse")):
        s3.fail(step, how, ALWAYS)
        result = Engine(lake.config(destination={"s3": "s3://lake/own"}, schedule={"retry": "1 h"})).run()
        assert (result.stored, result.catalogued, result.refused) == (0, 0, 0)
        assert not visible(lake)
        assert not list((s3.folder / "lake" / "own").rglob("*.zip"))
        assert s3.pending() == []
        s3.faults.clear()
        again(config)
    assert Engine(config).run().catalogued == 2
    for item in visible(lake):
        path = next(p for p in small if p.stem == item["id"])
        assert (s3.folder / item["assets"]["product"]["href"].removeprefix("s3://")).read_bytes() == path.read_bytes()
    assert s3.pending() == []


def again(config) -> None:
    """What waits for its next attempt may be tried now."""
    import sqlalchemy as sa

    from geodes_lab.acquisition.ledger.tables import Database, products

    with Database(config.state).change() as c:
        c.execute(sa.update(products).values(later=0.0, until=0.0))


def test_disk_that_is_full_at_each_step(tmp_path: Path, small: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    for point in (p for p in faults.ACQUISITION if not p.startswith(("retention", "news", "convert"))):
        if point == "store.copied":
            monkeypatch.setattr(os, "link", between_disks)
        lake = Lake(tmp_path / point)
        given, full = prepared(lake, small[:1]), [True]

        def fill(here: str, point: str = point, full: list[bool] = full) -> None:
            if here == point and full:
                full.clear()
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(faults, "on_reach", fill)
        try:
            result = Engine(lake.config(schedule={"retry": "0"})).run()
        except (OSError, GeodesError):
            pass
        else:
            assert result.refused == 0, point
        assert not full, point
        check_visible(lake, given)
        again(lake.config())
        Engine(lake.config()).run()
        assert check_visible(lake, given) == set(given), point
        assert [Path(o).name for o in lake.objects()] == [f"{n}.zip" for n in given], point
        assert not list((lake.home / "state" / "work").iterdir()), point
        monkeypatch.undo()


def test_what_is_entered_survives_a_loss_of_power(
    lake: Lake, small: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the ledger says so, all files of the datalake and of the catalogue, and their names, were flushed to the disk."""
    synced: dict[int, int] = {}
    real = os.fsync

    def fsync(descriptor: int) -> None:
        real(descriptor)
        status = os.fstat(descriptor)
        synced[status.st_ino] = status.st_mtime_ns

    def on_disk(path: Path) -> bool:
        status = path.stat()
        return synced.get(status.st_ino) == status.st_mtime_ns

    checked = []

    def check(here: str) -> None:
        if here not in ("store.named", "catalogue.written"):
            return
        top = lake.store if here == "store.named" else lake.catalogue
        files = [p for p in top.rglob("*") if p.is_file() and p.name != ".lock"]
        # The lock's name may get lost.
        folders = [p for p in (top.parent, top, *top.rglob("*")) if p.is_dir()]
        assert files
        checked.append(here)
        left = [str(p) for p in (*files, *folders) if not on_disk(p)]
        assert not left, f"not on the disk at {here}: {left}"

    (lake.home / "state").mkdir()
    (lake.home / "state" / "work").mkdir()
    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(faults, "on_reach", check)
    lake.give(small[0])
    assert Engine(lake.config()).run().catalogued == 1
    assert checked == ["store.named", "catalogue.written"]
