"""What a search gave can be written down, copied and given to other tools: no link to a root is read for that, and nothing asked of a network."""

from __future__ import annotations

import copy
import http.server
import json
import pickle
import socket
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import dask
import numpy as np
import odc.stac
import pystac
import pytest
import stackstac
from shapely.geometry import shape

import geodes_lab as gl
from geodes_lab import products
from geodes_lab.catalog.items import Items
from tests.catalog.test_stac_api import CORE, Recorded
from tests.support.servers.standin import StandIn
from tests.support.servers.standin import products as made

AWAY = "http://127.0.0.1:9/api/stac"  # where nobody answers


@pytest.fixture
def alone(monkeypatch):
    """From when it is called, no connection is made."""

    def refuse(*_):
        raise AssertionError("something was asked of a network")

    def cut() -> None:
        monkeypatch.setattr(socket.socket, "connect", refuse)
        monkeypatch.setattr(socket, "create_connection", refuse)
        monkeypatch.setattr(socket, "getaddrinfo", refuse)

    return cut


def write(items: Items, folder: Path) -> None:
    """All that people do with the Items of a search."""
    assert len(items)
    texts = [json.dumps(i.to_dict()) for i in items]
    assert [json.loads(t)["id"] for t in texts] == [i.id for i in items]
    whole = json.loads(json.dumps(items.to_dict()))
    assert len(whole["features"]) == len(items)
    json.dumps(items.to_dict(transform_hrefs=True))
    items.save_object(str(folder / "all.json"))
    assert len(pystac.ItemCollection.from_file(str(folder / "all.json"))) == len(items)
    for item in items:
        item.save_object(dest_href=str(folder / "item.json"))
        assert json.loads((folder / "item.json").read_text())["id"] == item.id
        for other in (item.clone(), copy.copy(item), copy.deepcopy(item), pickle.loads(pickle.dumps(item))):
            assert other.to_dict()["id"] == item.id
        # What geopandas asks of each row, and what it makes of a dictionary.
        assert item.__geo_interface__["properties"] == item.properties
        assert shape(item.geometry).area >= 0
        item._repr_html_()
    again = gl.catalog.items.Items([pystac.Item.from_dict(i.to_dict(), preserve_dict=False) for i in items])
    assert len(again) == len(items)


def rooted(items: list[dict]) -> list[dict]:
    return [i | {"links": [*i.get("links", []), {"rel": "root", "href": AWAY, "title": "GEODES"}]} for i in items]


@pytest.fixture
def geodes() -> Iterator[None]:
    with (
        StandIn(rooted(made(3))) as service,
        dask.config.set(service.settings | {"geodes_lab.catalog.profile": "geodes"}),
    ):
        yield


def test_items_of_geodes(geodes, alone, tmp_path):
    items = gl.search("PEPS_S2_L1C")
    alone()
    write(items, tmp_path)
    (root,) = [link for link in items[0].to_dict()["links"] if link["rel"] == "root"]
    assert root == {"rel": "root", "href": AWAY, "title": "GEODES"}


def test_items_of_an_api(shared, alone, tmp_path):
    page = json.loads((shared / "stac-api-pages" / "planetarycomputer_sentinel-2-l2a_33items.json").read_text())
    page["features"] = page["features"][:4]
    with Recorded([page], CORE) as service:
        items = gl.search("sentinel-2-l2a", url=service.url)
        alone()
        write(items, tmp_path)


@pytest.fixture
def static(tmp_path) -> str:
    """A static catalogue of Items whose own root links lead elsewhere, and one in the words of GEODES."""
    extent = {"spatial": {"bbox": [[-180, -90, 180, 90]]}, "temporal": {"interval": [["2015-06-27T00:00:00Z", None]]}}
    features = rooted(made(2))
    plain = {
        "type": "Feature", "stac_version": "1.0.0", "id": "plain", "geometry": {"type": "Point", "coordinates": [1, 43]},
        "bbox": [1, 43, 1, 43], "properties": {"datetime": "2021-06-05T10:50:31Z"}, "assets": {},
        "links": [{"rel": "root", "href": AWAY}, {"rel": "derived_from", "href": f"{AWAY}/other"}],
    }  # fmt: skip
    for number, item in enumerate([*features, plain]):
        (tmp_path / f"{number}.json").write_text(json.dumps(item))
    links = [{"rel": "item", "href": f"./{n}.json"} for n in range(3)]
    told = {"type": "Collection", "id": "C", "description": "-", "license": "other", "extent": extent, "links": links}
    (tmp_path / "c.json").write_text(json.dumps({"stac_version": "1.0.0", **told}))
    root = {"type": "Catalog", "id": "R", "description": "-", "links": [{"rel": "child", "href": "./c.json"}]}
    (tmp_path / "catalog.json").write_text(json.dumps({"stac_version": "1.0.0", **root}))
    return str(tmp_path / "catalog.json")


def test_items_of_a_static_catalogue(static, alone, tmp_path):
    items = gl.search("C", url=static, latest=False)
    alone()
    write(items, tmp_path)


def test_items_of_a_static_catalogue_on_a_server(static, alone, tmp_path):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(Path(static).parent)))
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        items = gl.search("C", url=f"http://127.0.0.1:{server.server_port}/catalog.json", latest=False)
    finally:
        server.shutdown()
        server.server_close()
    alone()
    write(items, tmp_path)


def test_items_of_a_harvest(geodes, alone, tmp_path):
    from geodes_lab.catalog.harvesting import harvested

    harvested("geodes", tmp_path / "taken", ["PEPS_S2_L1C"])
    items = gl.search("PEPS_S2_L1C", url=str(tmp_path / "taken"), latest=False)
    alone()
    write(items, tmp_path)


def test_band_items_go_to_other_tools(on_disk, alone, tmp_path):
    """Of an Item and of a dictionary whose root is on a server."""
    item = gl.search("PEPS_S2_L1C", datetime="2021-06-05")[0]
    told = item.to_dict()
    told["links"] = [{"rel": "root", "href": AWAY}]
    alone()
    for one in (item, told):
        unpacked = products.unpack(one)
        json.dumps(unpacked.to_dict())
        unpacked.save_object(dest_href=str(tmp_path / "b.json"))
        (parsed,) = (
            odc.stac.parse_items([unpacked]) if hasattr(odc.stac, "parse_items") else [odc.stac.parse_item(unpacked)]
        )
        assert "B04" in {key[0] for key in parsed.bands}
        cube = stackstac.stack([unpacked], assets=["B04"], dtype="float64", rescale=False)
        assert cube.sizes["band"] == 1
        assert np.isfinite(cube.x.values).all()
        assert "B04" in gl.open_cube([one], bands=["B04"])
