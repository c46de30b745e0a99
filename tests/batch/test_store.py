"""The store in SQLite and in a real PostgreSQL: leases, fences, fairness, the end of a job, and who may see it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.engine import URL

from geodes_lab.batch.request import File, Request, Result, Unit
from geodes_lab.batch.store import tables
from geodes_lab.batch.store.leases import LeaseLost, Leases
from geodes_lab.batch.store.records import New
from geodes_lab.batch.store.writing import Store
from geodes_lab.errors import GeodesError
from tests.support.servers.postgresql import Server, serving

DONE = Result([File("a", 1, "0")])


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture(scope="module")
def postgresql() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def ours(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    address: Any = tmp_path / "jobs.sqlite"
    if request.param == "postgresql":
        place = request.getfixturevalue("postgresql").place
        address = URL.create(
            "postgresql+psycopg2", place["user"], None, place["host"], place["port"], place["database"]
        )
    database = tables.opened(address)
    yield Store(database, Clock())
    with database.change() as c:
        tables.metadata.drop_all(c)
    database.close()


def job(store: Store, person: str, units: int, **changes: Any) -> str:
    several = [(Unit(f"u{n}", [], file=f"u{n}"), f"{person}-{n}") for n in range(units)]
    return store.add(New(person, "ndvi", "1", "", Request({}, [], "cog"), several, **changes))


def test_people_come_in_turn(ours):
    one = job(ours, "ada", 5)
    ours.clock.now += 1  # type: ignore[attr-defined]
    two, late = job(ours, "ada", 1), job(ours, "bob", 3)
    leases = Leases(ours.database, None, (), 60, clock=ours.clock)
    order = []
    for _ in range(8):
        task = leases.take()
        order.append((task.person, task.unit.name))
        ours.clock.now += 1  # type: ignore[attr-defined]
    assert [p for p, _ in order] == ["ada", "bob"] * 3 + ["ada", "ada"]
    assert [n for p, n in order if p == "ada"] == ["u0", "u1", "u2", "u3", "u4"]
    leases.take()
    assert leases.take() is None
    assert {ours.job(j, None).state for j in (one, two, late)} == {"running"}
    assert ours.progress(one, "ada").running == 5
    with pytest.raises(GeodesError, match=r"There is no job"):
        ours.progress(one, "ada") and ours.job(one, "bob")
    assert ours.several_progress([one, late], "bob").keys() == {late}
    assert [r.id for r in ours.jobs("ada")] == [two, one]


def test_dead_runner_is_taken_over_and_may_change_nothing(ours):
    number = job(ours, "ada", 1)
    dead, other = (Leases(ours.database, "ada", (), 60, clock=ours.clock) for _ in range(2))
    first = dead.take()
    assert other.take() is None
    assert dead.renew([first.number]) == {first.number}
    assert ours.has_runner("ada")
    assert not ours.has_runner("bob")
    ours.clock.now += 61  # type: ignore[attr-defined]
    assert not ours.has_runner("ada")
    second = other.take()
    assert (second.number, second.fence) == (first.number, first.fence + 1)
    assert dead.renew([first.number]) == set()
    for late in (
        lambda: dead.done(first, DONE, 1),
        lambda: dead.fail(first, "x"),
        lambda: dead.postpone(first, "x", 1),
    ):
        with pytest.raises(LeaseLost):
            late()
    other.done(second, DONE, 1)
    end = other.take()
    assert end.unit.is_end
    other.done(end, Result([], [{"id": "i"}]), 1)
    assert (ours.job(number, "ada").state, ours.progress(number, "ada").percent) == ("successful", 100)
    assert "shown no sign of life" in " ".join(text for *_, text in ours.log(number, "ada"))


def test_last_units_that_end_together_begin_the_end_once(ours):
    number = job(ours, "ada", 8)
    leases = [Leases(ours.database, "ada", (), 60, clock=ours.clock) for _ in range(8)]
    tasks = [one.take() for one in leases]
    assert len({t.number for t in tasks}) == 8
    threads = [threading.Thread(target=o.done, args=(t, DONE, 1)) for o, t in zip(leases, tasks, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert leases[0].take().unit.is_end
    assert ours.progress(number, "ada").done == 8


def test_cancelled_and_tried_again(ours):
    number = job(ours, "ada", 3)
    leases = Leases(ours.database, "ada", (), 60, clock=ours.clock)
    done, lost = leases.take(), leases.take()
    leases.done(done, DONE, 1)
    assert ours.dismiss(number, "ada").state == "dismissed"
    with pytest.raises(LeaseLost):
        leases.done(lost, DONE, 1)
    assert (leases.renew([lost.number]), leases.take()) == (set(), None)
    with pytest.raises(GeodesError, match="There is no job"):
        ours.retry(number, "bob")
    ours.retry(number, "ada")
    names = []
    while (task := leases.take()) is not None:
        names.append(task.unit.name)
        (leases.fail(task, "no") if task.unit.name == "u2" else leases.done(task, DONE, 1))
    assert names == ["u1", "u2"]
    known = ours.job(number, "ada")
    assert (known.state, known.message) == ("failed", "1 of 3 units failed. no")
    ours.retry(number, "ada")
    leases.done(leases.take(), DONE, 1)
    assert leases.take().unit.is_end
    with pytest.raises(GeodesError, match="has not ended"):
        ours.remove(number, "ada")


def test_code_and_portal_wait_for_who_has_the_right(ours):
    job(ours, "ada", 1, code=b"x", seal="y")
    service = Leases(ours.database, None, (), 60, clock=ours.clock)
    own = Leases(ours.database, "ada", ("code",), 60, clock=ours.clock)
    assert service.take() is None
    assert service.next_time() is None
    assert own.next_time() == 0.0
    assert own.take() is not None


def test_names_of_the_store_are_no_paths(tmp_path):
    from geodes_lab.batch import places

    for name in ("..", "../x", "/etc", "a/b", ".hidden", ""):
        with pytest.raises(GeodesError, match="cannot be one"):
            places.folder_of(name, tmp_path)
    for path in ("../x", "/etc/passwd", "a/../../x", "a//b", ""):
        with pytest.raises(GeodesError, match="not in the folder of its job"):
            places.within(tmp_path, path)
