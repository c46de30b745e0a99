"""What the tests of the engine share: a folder that is filled, a datalake, and their settings."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from geodes_lab.acquisition.loading import understood
from geodes_lab.acquisition.settings.config import Config
from geodes_lab.storage import fetch

OLD = 1_600_000_000


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fetch, "_PAUSES", (0, 0, 0))


class Lake:
    """A datalake in a folder, whose source is another folder."""

    def __init__(self, home: Path) -> None:
        self.home, self.incoming, self.store = home, home / "incoming", home / "lake"
        self.catalogue = home / "catalogue"
        self.incoming.mkdir(parents=True)

    def settings(self, **changes: Any) -> dict[str, Any]:
        return {
            "version": 1,
            "sources": {"drop": {"kind": "folder", "path": str(self.incoming)}},
            "collections": {"S2": {"source": "drop", "title": "Sentinel-2 of one place"}},
            "destination": {"folder": str(self.store)},
            "catalogue": str(self.catalogue),
            "state": {"folder": str(self.home / "state")},
            "room": "1 kB",
            "parallel": 2,
        } | changes

    def config(self, **changes: Any) -> Config:
        return understood(self.settings(**changes), "the test's settings", self.home)

    def file(self, **changes: Any) -> Path:
        path = self.home / "config.yaml"
        path.write_text(yaml.safe_dump(self.settings(**changes)))
        return path

    def give(self, path: Path, name: str | None = None, *, time: float = OLD) -> Path:
        """Have a product in the folder, since some time."""
        target = self.incoming / (name or path.name)
        shutil.copyfile(path, target)
        os.utime(target, (time, time))
        return target

    def objects(self) -> list[str]:
        return sorted(p.relative_to(self.store).as_posix() for p in self.store.rglob("*") if p.is_file())


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "home")


@pytest.fixture(scope="session")
def optical(sample: Path) -> list[Path]:
    """Products of Sentinel-2 L1C."""
    return sorted((sample / "datalake" / "sentinel2-l1c").rglob("*.zip"))


@pytest.fixture(scope="session")
def radar(sample: Path) -> Path:
    return next((sample / "datalake" / "sentinel1-grd").rglob("*.zip"))


@pytest.fixture(scope="session")
def small(sample: Path) -> list[Path]:
    """Two products of some kilobytes."""
    return sorted((sample / "datalake" / "sentinel1-ocn").rglob("*.zip"))
