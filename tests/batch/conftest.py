"""What the tests of jobs share: small products, a store, a runner in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dask
import pytest

from geodes_lab.batch.running.runner import Runner
from geodes_lab.batch.running.workers import Here
from geodes_lab.batch.store import tables
from geodes_lab.batch.store.writing import Store
from tests.support.batch import scenes


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A month without data is no fault. xarray silences numpy's word of it around each median, which threads undo for each other."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.filterwarnings("ignore:All-NaN:RuntimeWarning"))


@pytest.fixture(scope="session")
def products(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return scenes.items(tmp_path_factory.mktemp("scenes"))


@pytest.fixture(autouse=True)
def own_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The jobs of a test are in its own folder, and no runner starts by itself."""
    monkeypatch.setenv("HOME", str(tmp_path))
    tmp_path.chmod(0o700)
    monkeypatch.delenv("JUPYTERHUB_USER", raising=False)
    settings = {
        "geodes_lab.jobs.store": str(tmp_path / "store" / "jobs.sqlite"),
        "geodes_lab.jobs.results": str(tmp_path / "jobs"),
        "geodes_lab.jobs.runner": "none",
        "geodes_lab.jobs.pause": 0.0,
    }
    with dask.config.set(settings):
        yield


@pytest.fixture
def store(own_place: None) -> Store:
    return Store(tables.opened())


@pytest.fixture
def run(store: Store) -> Callable[..., Runner]:
    """Run all that waits, in threads of this process."""

    def now(**changes: Any) -> Runner:
        given = {"person": None, "lease": 30.0} | changes
        from geodes_lab.batch import places

        if "person" not in changes:
            given["person"] = places.person()
        runner = Runner(store, Here(2), **given)
        runner.run(idle=0)
        return runner

    return now
