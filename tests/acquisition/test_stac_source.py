"""CDSE's STAC as a source, by its own recorded Items; and what a catalogue has no longer."""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dask
import pytest

import geodes_lab as gl
from geodes_lab.acquisition.engine import Engine
from geodes_lab.acquisition.sources import catalogue
from geodes_lab.acquisition.status import status
from geodes_lab.catalog.items import Items
from tests.acquisition.conftest import Lake
from tests.catalog.test_stac_api import CORE, FILTER, Recorded
from tests.support.acquisition.cdse import Cdse


class Stac(Recorded):
    """A STAC API with these Items, which it finds by their ids."""

    def __init__(self, items: list[dict[str, Any]]) -> None:
        super().__init__([{"type": "FeatureCollection", "features": items, "links": []}], [*CORE, *FILTER])

    @property
    def items(self) -> list[dict[str, Any]]:
        return self.pages[0]["features"]

    def page(self, body: dict[str, Any]) -> dict[str, Any]:
        wanted = body.get("ids")
        some = [i for i in self.items if i["collection"] in body["collections"] and (not wanted or i["id"] in wanted)]
        return {"type": "FeatureCollection", "features": some, "links": []}


@pytest.fixture(scope="module")
def recorded(shared: Path) -> list[dict[str, Any]]:
    paths = sorted((shared / "cdse" / "stac-items").rglob("*.json"))
    return [json.loads(p.read_text()) for p in paths]


@pytest.fixture
def cdse(monkeypatch: pytest.MonkeyPatch) -> Iterator[Cdse]:
    monkeypatch.setenv("TEST_CDSE_USER", "ada")
    monkeypatch.setenv("TEST_CDSE_PASSWORD", "pass word")
    with Cdse() as server:
        yield server


@pytest.fixture
def stac(recorded: list[dict[str, Any]], cdse: Cdse, small: list[Path]) -> Iterator[Stac]:
    """A recorded Item for each of two small products: name, place of the zip, size and checksum are theirs."""
    items = []
    model = next(i for i in recorded if "Product" in i["assets"])
    for number, path in enumerate(small, 1):
        product = cdse.publish(path, f"2025-03-2{number}T09:00:00.000000Z")
        item, data = copy.deepcopy(model), path.read_bytes()
        item["id"], item["collection"] = path.stem, "sentinel-1-ocn"
        item["properties"]["published"] = product["PublicationDate"]
        item["assets"]["Product"] |= {
            "href": f"{cdse.url}/odata/v1/Products({product['Id']})/$value",
            "file:size": len(data),
            "file:checksum": f"d50110{hashlib.md5(data).hexdigest()}",
        }
        items.append(item)
    with (
        Stac(items) as server,
        dask.config.set({"geodes_lab.catalog.profiles.cdse": {"kind": "stac", "url": server.url}}),
    ):
        yield server


def engine(lake: Lake, cdse: Cdse, **source: Any) -> Engine:
    login = {k: v for k, v in cdse.settings().items() if k in ("login", "download", "identity")}
    return Engine(
        lake.config(
            sources={"up": {"kind": "catalogue", "profile": "cdse"} | login | source},
            collections={"OCEAN": {"source": "up", "upstream": "sentinel-1-ocn"}},
            news=str(lake.home / "news"),
            schedule={"retry": "0"},
        )
    )


def test_recorded_items_say_what_is_fetched_and_how_it_is_verified(recorded: list[dict[str, Any]]) -> None:
    assert len(recorded) >= 4
    for document in recorded:
        item = Items.from_dict({"type": "FeatureCollection", "features": [document]})[0]
        told = catalogue.of_item(item)
        assert told.name == document["id"]
        assert told.hrefs[0].startswith("https://download.dataspace.copernicus.eu/odata/v1/Products(")
        assert told.published.isoformat().startswith(document["properties"]["published"][:10])
        assert told.size is None or told.size > 10**6
        assert told.revision


def test_products_come_from_cdse_by_its_stac(lake: Lake, cdse: Cdse, stac: Stac, small: list[Path]) -> None:
    result = engine(lake, cdse).run()
    assert (result.found, result.catalogued, result.refused) == (2, 2, 0)
    there = {i.id: i for i in gl.search("OCEAN", url=lake.catalogue)}
    for path in small:
        item = there[path.stem]
        assert Path(item.assets["product"].href).read_bytes() == path.read_bytes()
        assert "MD5" in item.properties["geodes:verified"]
    assert engine(lake, cdse).run().found == 0


def test_what_the_catalogue_has_no_longer_is_told_and_stays(
    lake: Lake, cdse: Cdse, stac: Stac, small: list[Path]
) -> None:
    running = engine(lake, cdse, check=1)
    running.run()
    gone = stac.items.pop(0)
    for _ in range(2):  # each look asks for one of them again
        running.run()
    there = {i.id: i for i in gl.search("OCEAN", url=lake.catalogue)}
    assert set(there) == {p.stem for p in small}
    assert "geodes:withdrawn" in there[gone["id"]].properties
    assert "geodes:withdrawn" not in there[stac.items[0]["id"]].properties
    news = [n for n in json.loads((lake.home / "news" / "news.json").read_text())["items"] if n["tags"] == ["deletion"]]
    assert len(news) == 1
    assert gone["id"] in news[0]["title"]
    # It is published again.
    stac.items.append(gone)
    gone["properties"]["published"] = "2026-11-27T00:00:00Z"
    running.run()
    there = {i.id: i for i in gl.search("OCEAN", url=lake.catalogue)}
    assert "geodes:withdrawn" not in there[gone["id"]].properties


def test_catalogue_that_is_suddenly_empty_is_taken_for_a_fault(
    lake: Lake, cdse: Cdse, stac: Stac, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(catalogue, "_FEW", 1)
    running = engine(lake, cdse)
    running.run()
    kept = stac.items[:]
    stac.items.clear()
    stac.items.append({**kept[0], "id": "ANOTHER", "properties": {**kept[0]["properties"], "published": "2020-01-01"}})
    result = running.run()
    assert "taken for a fault" in result.failed["up"]
    assert status(running.database).states["OCEAN"].get("withdrawn") is None
    assert not any("geodes:withdrawn" in i.properties for i in gl.search("OCEAN", url=lake.catalogue))
