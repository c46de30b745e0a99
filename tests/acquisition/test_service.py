"""The lab's catalogue service serves what the engine enters, at once and without a restart."""

from __future__ import annotations

from pathlib import Path

import httpx

from geodes_lab.acquisition.engine import Engine
from hub.services.catalogue.access import Rights
from hub.services.catalogue.app import made
from tests.acquisition.conftest import Lake
from tests.hub.services.catalogue.test_catalogue_service import KnownTokens
from tests.support.servers.served import served


def test_service_has_new_products_at_once(lake: Lake, small: list[Path]) -> None:
    lake.give(small[0])
    engine = Engine(lake.config())
    engine.run()
    with served(made(lake.catalogue, lake.home / "results", Rights(), KnownTokens(), public=True)) as url:
        items = f"{url}/stac/collections/S2/items"
        first = httpx.get(items, timeout=30).json()
        assert [i["id"] for i in first["features"]] == [small[0].stem]
        lake.give(small[1])
        engine.run()
        both = httpx.get(items, timeout=30).json()
        assert {i["id"] for i in both["features"]} == {p.stem for p in small}
        assert all(i["properties"]["geodes:verified"] for i in both["features"])
