"""GEODES, a static catalogue and another package's plug-in as sources."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

import dask
import pytest

import geodes_lab as gl
from geodes_lab.acquisition import sources
from geodes_lab.acquisition.engine import Engine
from geodes_lab.acquisition.publication import Page, Publication
from geodes_lab.acquisition.sources import Request
from geodes_lab.acquisition.status import status
from geodes_lab.errors import GeodesError
from geodes_lab.storage.fetch import Remote
from geodes_lab.storage.location import locate
from tests.acquisition.conftest import Lake
from tests.support.servers.standin import StandIn


@pytest.fixture(scope="module")
def items(sample: Path) -> list[dict[str, Any]]:
    """The sample's Items of Sentinel-1 OCN, in GEODES's dialect."""
    return [json.loads(p.read_text()) for p in sorted((sample / "catalog" / "PEPS_S1_L2").glob("S1*.json"))]


@pytest.fixture
def geodes(items: list[dict[str, Any]], small: list[Path], monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    monkeypatch.setenv("GEODES_API_KEY", "secret")
    with (
        StandIn(items[:1], files={p.stem: p.read_bytes() for p in small}) as service,
        dask.config.set(service.settings),
    ):
        yield service


def engine(lake: Lake, **changes: Any) -> Engine:
    settings = {
        "sources": {"up": {"kind": "catalogue", "profile": "geodes"}},
        "collections": {"OCEAN": {"source": "up", "upstream": "PEPS_S1_L2"}},
        "news": str(lake.home / "news"),
    }
    return Engine(lake.config(**settings | changes))


def test_geodes_is_mirrored_and_kept_up_to_date(lake: Lake, geodes: StandIn, items: list[dict[str, Any]]) -> None:
    running = engine(lake)
    assert running.run().catalogued == 1
    more = copy.deepcopy(items[1])
    more["properties"]["datetime"] = "2026-11-27T00:00:00.000Z"
    geodes.put([items[0], more])
    assert running.run().catalogued == 1
    assert running.run().found == 0
    there = {i.id: i for i in gl.search("OCEAN", url=lake.catalogue)}
    assert set(there) == {i["properties"]["identifier"] for i in items}
    for item in there.values():
        assert "MD5" in item.properties["geodes:verified"]
        assert item.properties["dataset"] == "OCEAN"
        assert Path(item.assets["product"].href).is_relative_to(lake.store)


def test_quota_of_geodes_is_kept(lake: Lake, geodes: StandIn, items: list[dict[str, Any]]) -> None:
    geodes.put(items)
    geodes.quota = 1
    running = engine(lake, parallel=1)
    result = running.run()
    assert (result.catalogued, result.postponed, result.refused) == (1, 1, 0)
    assert running.run().stored == 0


def test_tape_of_geodes_is_said_before_anything_counts(
    lake: Lake, geodes: StandIn, items: list[dict[str, Any]]
) -> None:
    name = items[0]["properties"]["identifier"]
    geodes.on_tape = frozenset([name])
    running = engine(lake)
    assert running.run().postponed == 1
    (waits,) = status(running.database).postponed
    assert (
        f"{name} is on tape, and cannot be fetched now: request it in the explorer of {geodes.portal}" in waits.reason
    )
    assert not [r for r in geodes.requests if "/api/download/" in r[1]]


def test_new_collection_is_news(lake: Lake, geodes: StandIn, items: list[dict[str, Any]]) -> None:
    running = engine(lake)
    running.run()
    other = copy.deepcopy(items[1])
    other["collection"] = other["properties"]["dataset"] = "BRAND_NEW"
    geodes.put([items[0], other])
    running.run()
    news = [
        i for i in json.loads((lake.home / "news" / "news.json").read_text())["items"] if i["tags"] == ["collection"]
    ]
    assert [n["title"] for n in news] == ["up has a new collection, BRAND_NEW."]


class PlugIn:
    """A source of another package."""

    def __init__(self, name: str, settings: Mapping[str, Any]) -> None:
        self.path = Path(settings["path"])

    def look(self, request: Request, position: str) -> Iterator[Page]:
        yield Page(
            (Publication("1", self.path.name, datetime(2021, 1, 1, tzinfo=UTC), (str(self.path),)),), position="1"
        )

    def acknowledge(self, page: Page) -> None: ...

    def remote(self, publication: Publication) -> Remote:
        return Remote(publication.name, str(self.path), locate(self.path), None, None)


def test_plug_in(lake: Lake, small: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    entry = EntryPoint("ours", "tests.acquisition.test_catalogue_source:PlugIn", sources.GROUP)
    monkeypatch.setattr(sources, "entry_points", lambda group: [entry] if group == sources.GROUP else [])
    plug = {"kind": "plug-in", "name": "ours", "settings": {"path": str(small[0])}}
    settings = {"sources": {"up": plug}, "collections": {"X": {"source": "up"}}}
    running = Engine(lake.config(**settings))
    assert running.run().catalogued == 1
    assert status(running.database).states == {"X": {"done": 1}}
    plug["name"] = "theirs"
    with pytest.raises(GeodesError, match=r"sources\.up\.name is 'theirs', and no package here has such a source"):
        Engine(lake.config(**settings))
