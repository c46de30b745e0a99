"""An engine that dies at any moment, and another one after it: nothing is lost, doubled or visible before it is whole."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import select
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from geodes_lab.acquisition import faults
from geodes_lab.acquisition.engine import Engine
from geodes_lab.acquisition.loading import load
from geodes_lab.catalog.harvested import geoparquet
from geodes_lab.catalog.harvested.snapshot import Snapshot
from tests.acquisition.conftest import Lake
from tests.support.acquisition.engine_that_dies import KILLED
from tests.support.paths import TOP

FEW = ["look.recorded", "fetch.whole", "verify.done", "store.copied", "store.named", "catalogue.written"]
# No product waits after a clean-up without a time: the points of retention are reached with superseded products only.
ALL = faults.POINTS


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_visible(lake: Lake, given: dict[str, str]) -> set[str]:
    """Whatever can be seen is whole; gives the names."""
    items = visible(lake)
    assert len({i["id"] for i in items}) == len(items)
    for item in items:
        path = Path(item["assets"]["product"]["href"])
        assert digest(path) in given[item["id"]], f"{item['id']} is visible and not whole"
    for path in lake.store.rglob("*.zip"):
        assert digest(path) in given[path.stem], f"{path} has its name and is not whole"
    return {i["id"] for i in items}


def visible(lake: Lake) -> list[dict[str, Any]]:
    """The Items that the catalogue's files have: a search of each would load DuckDB again and again."""
    files = Snapshot.load(lake.catalogue).files
    return [r for f in files for r in geoparquet.records(pq.read_table(lake.catalogue / f.path))]


def prepared(lake: Lake, small: list[Path]) -> dict[str, str]:
    """Some products in the folder; gives the checksums of each."""
    given: dict[str, str] = {}
    for path in small:
        given[path.stem] = digest(path)
        lake.give(path)
    return given


def after(lake: Lake, config: Path, given: dict[str, str]) -> None:
    """Another engine runs to the end."""
    settings = load(config)
    Engine(settings).run()
    assert check_visible(lake, given) == set(given), "a product is lost"
    there = sorted(p.name for p in lake.store.rglob("*") if p.is_file())
    assert there == sorted(f"{n}.zip" for n in given), "a product is doubled, or something is left"
    assert not list((lake.home / "state" / "work").iterdir())
    again = Engine(settings).run()
    assert (again.found, again.stored, again.catalogued) == (0, 0, 0)


@contextlib.contextmanager
def engines(cache: Path) -> Iterator[Callable[[Path, str, int, float | None], int]]:
    """Gives a function that runs an engine until it dies at a point, or is killed after some seconds; its result is the exit code."""
    command = [sys.executable, "-m", "tests.support.acquisition.engine_that_dies", str(cache)]
    with subprocess.Popen(command, cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as parent:

        def run(config: Path, point: str = "none", number: int = 1, seconds: float | None = None) -> int:
            parent.stdin.write(f"{config} {point} {number}\n")
            parent.stdin.flush()
            child = int(parent.stdout.readline())
            if seconds is not None:
                ready, _, _ = select.select([parent.stdout], [], [], seconds)
                if not ready:
                    with contextlib.suppress(ProcessLookupError):  # it ended in this moment
                        os.kill(child, signal.SIGKILL)
            return int(parent.stdout.readline())

        yield run
        parent.stdin.close()
        assert parent.wait(60) == 0


def tried(home: Path, small: list[Path], deaths: list[tuple[str, int]]) -> None:
    lakes = [Lake(home / f"{point}-{number}") for point, number in deaths]
    given = [prepared(lake, small) for lake in lakes]
    configs = [lake.file(schedule={"lease": "1 s"}, parallel=1) for lake in lakes]
    with engines(home / "cache") as run:
        codes = [run(config, *death) for config, death in zip(configs, deaths, strict=True)]
    # A point that each product passes together with the others is reached once.
    assert all(code == KILLED or (number > 1 and code == 0) for code, (_, number) in zip(codes, deaths, strict=True))
    for lake, config, products in zip(lakes, configs, given, strict=True):
        check_visible(lake, products)
        end_leases(config)
        after(lake, config, products)


@pytest.mark.thorough
def test_killed_at_some_points(tmp_path: Path, small: list[Path]) -> None:
    tried(tmp_path, small[:1], [(point, 1) for point in FEW])


@pytest.mark.slow  # test_killed_at_some_points tries a sample
def test_killed_at_every_point(tmp_path: Path, small: list[Path]) -> None:
    tried(
        tmp_path, small[:2], [(p, n) for p in ALL if not p.startswith(("retention", "news", "convert")) for n in (1, 2)]
    )


@pytest.mark.thorough
def test_killed_while_it_removes(tmp_path: Path, small: list[Path]) -> None:
    lakes, given = [], []
    for point in ("retention.hidden", "retention.removed"):
        lake = Lake(tmp_path / point)
        lake.give(small[0])
        Engine(lake.config()).run()
        other = lake.give(small[0], time=1_700_000_000)
        with zipfile.ZipFile(other, "a") as archive:
            archive.comment = b"packed again"
        os.utime(other, (1_700_000_000, 1_700_000_000))
        lakes.append((lake, lake.file(schedule={"lease": "1 s"}, retention={"superseded": "0"}), point, digest(other)))
        given.append({small[0].stem: digest(other) + digest(small[0])})
    with engines(tmp_path / "cache") as run:
        codes = [run(config, point) for _, config, point, _ in lakes]
    assert codes == [KILLED, KILLED]
    for (lake, config, _, newest), products in zip(lakes, given, strict=True):
        check_visible(lake, products)
        Engine(load(config)).run()
        (item,) = visible(lake)
        assert digest(Path(item["assets"]["product"]["href"])) == newest
        assert len(lake.objects()) == 1


@pytest.mark.slow  # test_killed_at_some_points tries a sample
def test_killed_at_random_moments(lake: Lake, small: list[Path]) -> None:
    given = prepared(lake, small)
    config, numbers, kills = lake.file(schedule={"lease": "1 s"}), random.Random(7), 0
    with engines(lake.home / "cache") as run:
        assert run(config) == 0  # the first one waits for imports
        begin_again(lake)
        began = time.monotonic()
        assert run(config) == 0
        whole = time.monotonic() - began
        begin_again(lake)
        for _ in range(int(os.environ.get("GEODES_LAB_KILLS", "60"))):
            code = run(config, seconds=numbers.uniform(0, 1.1 * whole))
            kills += code == -signal.SIGKILL
            check_visible(lake, given)
            if code == 0:  # it came to the end: another beginning
                begin_again(lake)
            else:
                end_leases(config)
    print(f"{kills} engines were killed")
    assert kills
    after(lake, config, given)


def begin_again(lake: Lake) -> None:
    for folder in (lake.store, lake.catalogue, lake.home / "state"):
        shutil.rmtree(folder, ignore_errors=True)


def end_leases(config: Path) -> None:
    """The dead engine's leases end: by the clock of the rows, not by waiting."""
    import sqlalchemy as sa

    from geodes_lab.acquisition.ledger.tables import Database, products

    with Database(load(config).state).change() as c:
        c.execute(sa.update(products).values(until=0.0))
