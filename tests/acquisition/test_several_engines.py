"""Several engines with one state, in SQLite and in a real PostgreSQL; a bucket of a real S3 server; growth of the state."""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import dask
import pytest
import sqlalchemy as sa

import geodes_lab as gl
from geodes_lab.acquisition.destination import Bucket, Taken
from geodes_lab.acquisition.engine import Engine
from geodes_lab.acquisition.identity import identify
from geodes_lab.acquisition.ledger import tables
from geodes_lab.acquisition.ledger.leases import LeaseLost, Leases
from geodes_lab.acquisition.ledger.looks import Looks
from geodes_lab.acquisition.ledger.tables import Database
from geodes_lab.acquisition.publication import Page, Publication
from geodes_lab.acquisition.settings.storing import Postgresql, State
from geodes_lab.acquisition.status import status
from geodes_lab.errors import GeodesError
from tests.acquisition.conftest import Lake
from tests.support.servers.postgresql import serving as serving_postgresql
from tests.support.servers.s3_server import serving


@pytest.fixture(scope="module")
def postgresql() -> Iterator[dict[str, Any]]:
    with serving_postgresql() as server:
        yield server.place


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[State]:
    if request.param == "sqlite":
        yield State(folder=tmp_path / "state")
        return
    made = State(folder=tmp_path / "state", postgresql=Postgresql(**request.getfixturevalue("postgresql")))
    yield made
    with Database(made).change() as c:
        tables._metadata.drop_all(c)


def publication(number: int, **changes: Any) -> Publication:
    name = f"S1A_IW_GRDH_1SDV_20210606T173912_20210606T173937_{number:06d}_048289_5E6F"
    moment = datetime(2021, 6, 6, tzinfo=UTC) + timedelta(seconds=number)
    return Publication(f"id-{number}", name, moment, ("/nowhere.zip",), 10, (f"d50110{number:032x}",), **changes)


def page(*several: Publication) -> tuple[Page, list[Any]]:
    return Page(several, position="x"), [(p, identify(p.name)) for p in several]


def test_each_product_is_taken_once(state: State) -> None:
    Looks(Database(state)).record("up", "S1", *page(*map(publication, range(60))))
    taken: list[int] = []

    def engine() -> None:
        leases = Leases(Database(state), 300)
        while task := leases.take():
            taken.append(task.number)

    threads = [threading.Thread(target=engine) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert len(taken) == len(set(taken)) == 60


def test_dead_engine_is_taken_over_and_may_change_nothing(state: State) -> None:
    database, now = Database(state), [1000.0]
    clock = lambda: now[0]  # noqa: E731
    Looks(database, clock).record("up", "S1", *page(publication(1)))
    dead, living = (Leases(database, 60, clock) for _ in range(2))
    task = dead.take()
    assert task is not None
    assert living.take() is None
    now[0] += 50
    dead.renew(task)
    now[0] += 50
    assert living.take() is None
    now[0] += 20
    other = living.take()
    assert other is not None
    assert other.number == task.number
    for change in (lambda: dead.renew(task), lambda: dead.refuse(task, "no"), lambda: dead.postpone(task, "no", 1)):
        with pytest.raises(LeaseLost):
            change()
    living.renew(other)


def test_looks_of_two_engines_record_each_product_once(state: State) -> None:
    errors: list[Exception] = []

    def look() -> None:
        try:
            for _ in range(5):
                Looks(Database(state)).record("up", "S1", *page(*map(publication, range(30))))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert not errors
    assert status(Database(state)).states == {"S1": {"waiting": 30}}


def test_whole_way_with_postgresql_and_two_engines(lake: Lake, small: list[Path], postgresql: dict[str, Any]) -> None:
    for path in small:
        lake.give(path)
    config = lake.config(state={"folder": str(lake.home / "state"), "postgresql": postgresql})
    engines = [Engine(config) for _ in range(2)]
    threads = [threading.Thread(target=e.run) for e in engines]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    engines[0].run()
    assert sorted(i.id for i in gl.search("S2", url=lake.catalogue)) == sorted(p.stem for p in small)
    assert len(lake.objects()) == 2
    with engines[0].database.change() as c:
        tables._metadata.drop_all(c)


def test_database_that_does_not_answer_is_a_sentence(tmp_path: Path) -> None:
    gone = State(folder=tmp_path, postgresql=Postgresql(host="127.0.0.1", port=9, database="x", user="ada"))
    with pytest.raises(
        GeodesError, match=r"The state in postgresql\+psycopg2://ada@127\.0\.0\.1:9/x\?sslmode=prefer cannot be used"
    ):
        Database(gone)


def test_database_of_another_version_is_refused(tmp_path: Path) -> None:
    state = State(folder=tmp_path)
    with Database(state).change() as c:
        c.execute(sa.text("UPDATE about SET version = 99"))
    with pytest.raises(GeodesError, match="another version of the lab"):
        Database(state)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    folder = tmp_path_factory.mktemp("s3")
    (folder / "lake").mkdir()
    with serving(folder) as address:
        yield folder, address


@pytest.fixture
def bucket(server: tuple[Path, str]) -> Iterator[Path]:
    """The folder of the server's buckets; the lab's datalake is that server."""
    with dask.config.set({"geodes_lab.datalake.endpoint": server[1]}):
        yield server[0]


def test_whole_way_to_a_bucket(lake: Lake, small: list[Path], bucket: Path) -> None:
    for path in small:
        lake.give(path)
    config = lake.config(destination={"s3": "s3://lake/own"}, retention={"superseded": "0"})
    assert Engine(config).run().catalogued == 2
    items = {i.id: i for i in gl.search("S2", url=lake.catalogue)}
    for path in small:
        href = items[path.stem].assets["product"].href
        assert href.startswith("s3://lake/own/sentinel1-ocn/2021/06/")
        assert (bucket / href.removeprefix("s3://")).read_bytes() == path.read_bytes()
        assert gl.open_product(items[path.stem]).groups
    # A key that other bytes have is left alone.
    other = shutil.copyfile(small[1], lake.home / "other.zip")
    key = items[small[0].stem].assets["product"].href.removeprefix("s3://lake/own/")
    with pytest.raises(Taken, match="nothing is overwritten"):
        Bucket("lake", "own").put(Path(other), key, lambda: None)
    Bucket("lake", "own").put(small[0], key, lambda: None)
    Bucket("lake", "own").remove(key)
    assert not (bucket / "lake" / "own" / key).exists()


def test_many_parts_come_whole_to_a_bucket(tmp_path: Path, bucket: Path) -> None:
    path = tmp_path / "large.zip"
    path.write_bytes(os.urandom(2**20) * 40)
    Bucket("lake").put(path, "a/large.zip", lambda: None)
    assert (bucket / "lake" / "a" / "large.zip").read_bytes() == path.read_bytes()


def test_look_asks_for_known_products_by_an_index(tmp_path: Path) -> None:
    """Each question names what it wants from an index: none reads all products of a collection."""
    database = Database(State(folder=tmp_path))
    asked: list[tuple[str, Any]] = []
    with database.change() as c:
        c.execute(sa.insert(tables.products), [_row(n) for n in range(50)])

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *_: Any) -> None:
        if "FROM products" in statement:
            asked.append((statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        Looks(database).record("up", "S1", *page(*[publication(n) for n in range(40, 60)]))
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
    with sqlite3.connect(next(tmp_path.glob("*.sqlite"))) as read:
        plans = {row[3] for question in asked for row in read.execute(f"EXPLAIN QUERY PLAN {question[0]}", question[1])}
    assert {re.search(r"\((.*)\)", plan)[1] for plan in plans if "products" in plan} == {
        "collection=? AND name=?", "source=? AND upstream=?", "rowid=?",
        "source=? AND upstream=? AND revision=? AND collection=?",
    }  # fmt: skip


@pytest.mark.slow  # a look with few products known is tried above
def test_look_reads_only_what_changed(tmp_path: Path) -> None:
    """The same look takes about the same time with 10 000 and with 100 000 products known."""
    took = []
    for known in (10_000, 100_000):
        database = Database(State(folder=tmp_path / str(known)))
        rows = [_row(n) for n in range(known)]
        with database.change() as c:
            for first in range(0, known, 10_000):
                c.execute(sa.insert(tables.products), rows[first : first + 10_000])
        looks, leases, best = Looks(database), Leases(database, 60), []
        for again in range(3):
            new = [publication(known + again * 1000 + n) for n in range(1000)]
            began = time.perf_counter()
            for first in range(0, 1000, 100):
                looks.record("up", "S1", *page(*new[first : first + 100]))
            for _ in range(20):
                assert leases.take() is not None
            best.append(time.perf_counter() - began)
        took.append(min(best))
    print(f"1 000 new of 10 000 known: {took[0]:.2f} s; of 100 000: {took[1]:.2f} s; ratio {took[1] / took[0]:.2f}")


def _row(number: int) -> dict[str, Any]:
    known = publication(number)
    return {
        "source": "up", "upstream": known.id, "revision": known.revision, "collection": "S1", "name": known.name,
        "acquisition": str(number), "published": "2021-06-06T00:00:00Z", "document": known.text(), "size": 10, "state": "done",
        "found": 0.0, "done": 0.0,
    }  # fmt: skip
