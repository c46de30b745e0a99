"""The tiles over HTTP: whose they are, keys in addresses, hostile requests and Items, and what the tiler cannot reach."""

from __future__ import annotations

import asyncio
import html
import json
import re
import socket
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from rasterio.io import MemoryFile

import geodes_lab as gl
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.reading import read
from hub.services.person import Person
from hub.services.tiles import addresses, reachable
from hub.services.tiles.keys import Keys, carried
from tests.support.awaiting import awaited
from tests.support.servers.tiling import Served, serving_tiles

OPEN, CLOSED = "PEPS_S2_L1C", "THEIA_REFLECTANCE_SENTINEL2_L2A"
WHERE = "13/4136/2993"  # a tile in the sample's product
PEOPLE = {"a": Person("ada", frozenset({"theia"})), "b": Person("bob")}
ORIGIN = "https://map.example"
RULES: dict[str, Any] = {
    "login": {"kind": "oidc", "oidc": {"issuer": "https://login.example", "client_id": "lab"}},
    "restricted": {"MAJA": {"groups": ["theia"], "places": ["sentinel2-l2a-sprid"]}},
    "datalake": {"gate": True, "folder": "/nowhere"},
    "address": "http://127.0.0.1",
    "subdomains": False,
    "servers": {"kind": "accounts"},
    "groups": {"theia": {"profiles": ["small"]}},
    "profiles": {"small": {"title": "Small"}},
}


@pytest.fixture(scope="module")
def lab(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("tiles")
    rules = replace(read(Lab, RULES, ""), address="")
    with serving_tiles(
        folder, sample / "catalog" / "catalog.json", sample / "datalake", PEOPLE, lab=rules,
        restricted={CLOSED: ["theia"]}, origins=(ORIGIN,),
    ) as served:  # fmt: skip
        yield served


@pytest.fixture
def names(on_disk) -> dict[str, str]:
    return {c: quote(gl.search(c, datetime="2021-06-05")[0].id, safe="") for c in (OPEN, CLOSED)}


def by(token: str = "", **headers: str) -> httpx.Client:
    return httpx.Client(headers={**({"Authorization": f"token {token}"} if token else {}), **headers}, timeout=120)


def decoded(answer: httpx.Response) -> np.ndarray:
    assert answer.status_code == 200, answer.text
    with MemoryFile(answer.content) as file, file.open() as picture:
        return picture.read()


def test_everything_that_an_item_offers(lab, names):
    at, client = f"{lab.url}/{OPEN}/{names[OPEN]}", by("b")
    assert decoded(client.get(f"{at}/tiles/{WHERE}.png")).shape == (3, 256, 256)
    one = client.get(f"{at}/tiles/WebMercatorQuad/{WHERE}.png?bands=red&rescale=0,0.3&tilesize=512&gamma=1.5")
    assert decoded(one).shape == (1, 512, 512)
    ndvi = client.get(
        f"{at}/tiles/{WHERE}.png",
        params={"expression": "(nir-red)/(nir+red)", "rescale": "-1,1", "colormap_name": "viridis"},
    )
    assert decoded(ndvi).shape == (3, 256, 256)
    assert decoded(client.get(f"{at}/preview.webp?max_size=64")).shape[1:] == (64, 64)
    assert "B04" in json.dumps(client.get(f"{at}/info").json())
    assert client.get(f"{at}/statistics?max_size=64&bands=B04").json()["b1"]["max"] < 2
    here = client.get(f"{at}/point/1.8,43.55").json()["values"]
    assert len(here) == 3
    assert client.get(f"{at}/point/1.8000000000000003,43.550000000000004").json()["values"] == here
    tilejson = client.get(f"{at}/tilejson.json?bands=B04").json()
    assert tilejson["tiles"][0].startswith(at)
    x, y = WHERE.split("/")[1:]
    followed = tilejson["tiles"][0].replace("{z}", "13").replace("{x}", x).replace("{y}", y)
    assert decoded(client.get(followed)).shape[0] == 1
    wmts = client.get(f"{at}/WMTSCapabilities.xml?SERVICE=WMTS&REQUEST=GetCapabilities").text
    assert f"{at}/tiles/WebMercatorQuad/{{TileMatrix}}/{{TileCol}}/{{TileRow}}" in wmts
    sets = client.get(f"{at}/tiles").json()["tilesets"]
    assert len(sets) == 4
    assert client.get(f"{at}/tileMatrixSets/WorldCRS84Quad").json()["id"] == "WorldCRS84Quad"
    assert "ndvi" in client.get(f"{at}/presets.json").json()
    assert decoded(client.get(f"{at}/legend.png?bands=B04&colormap_name=viridis")).shape[2] == 260
    assert "one band" in client.get(f"{at}/legend.png?bands=red,green,blue").json()["detail"]
    tiles = "http://www.opengis.net/spec/ogcapi-tiles-1/1.0/conf/core"
    assert tiles in client.get(f"{lab.url}/conformance").json()["conformsTo"]


@pytest.mark.attack
def test_nobody_sees_what_the_catalogue_hides(lab, names):
    closed = f"{lab.url}/{CLOSED}/{names[CLOSED]}/preview.png?max_size=32"
    assert decoded(by("a").get(closed)).shape[1:] == (32, 32)
    hidden, missing = by("b").get(closed), by("b").get(f"{lab.url}/{CLOSED}/nothing/preview.png")
    assert hidden.status_code == missing.status_code == 404
    assert hidden.json() == missing.json()
    assert by("b").get(closed, headers={"If-None-Match": by("a").get(closed).headers["ETag"]}).status_code == 404
    for client in (by(), by("x"), by("t")):  # the service's own token is no person's
        assert client.get(closed).status_code == 401
    forged = by("b", **{"Geodes-For": "ada"})
    assert forged.get(closed).status_code == 404
    at = f"{lab.catalogue}/stac/collections/{CLOSED}"
    assert forged.get(at).status_code == 404  # only the service acts for others, and only to read
    assert by("t", **{"Geodes-For": "ada"}).get(at).status_code == 200
    assert by("t", **{"Geodes-For": "bob"}).get(at).status_code == 404
    wrote = by("t", **{"Geodes-For": "ada"}).post(f"{lab.catalogue}/stac/collections", json={"id": "ada.mine"})
    assert wrote.status_code in (400, 401, 403)


@pytest.mark.attack
def test_place_that_the_person_may_not_read_has_no_tile(lab, names, sample):
    # bob's own Item, in his own collection, of a product in a restricted place
    document = {
        "type": "Collection", "stac_version": "1.1.0", "id": "bob.stolen", "description": "x", "license": "other",
        "extent": {"spatial": {"bbox": [[0, 40, 5, 45]]}, "temporal": {"interval": [["2021-01-01T00:00:00Z", None]]}}, "links": [],
    }  # fmt: skip
    client = by("b")
    assert client.post(f"{lab.catalogue}/stac/collections", json=document).status_code == 201
    secret = by("a").get(f"{lab.catalogue}/stac/collections/{CLOSED}/items/{names[CLOSED]}").json()
    place = secret["assets"]["product"]["href"]
    assert "/sentinel2-l2a-sprid/" in place
    for number, href in enumerate((place, "file:///etc/passwd", "/etc/passwd", "http://127.0.0.1:1/x.tif", "/vsicurl/http://127.0.0.1:1/x.tif",
                                   "https://s3.datalake.cnes.fr@evil.example/a/b.tif", "s3://sentinel2-l2a-sprid/%2e%2e/x.tif", "s3://../x.tif")):  # fmt: skip
        item = {
            **secret,
            "id": f"i{number}",
            "collection": "bob.stolen",
            "links": [],
            "assets": {"product": {"href": href, "type": "image/tiff", "roles": ["data"]}},
        }
        made = client.post(f"{lab.catalogue}/stac/collections/bob.stolen/items", json=item)
        if made.status_code == 201:
            answer = client.get(f"{lab.url}/bob.stolen/i{number}/preview.png?max_size=16")
            assert answer.status_code == 404, (href, answer.text)


@pytest.mark.attack
def test_key_opens_one_thing_for_a_while(lab, names):
    at = f"{lab.url}/{OPEN}/{names[OPEN]}"
    made = (
        by("b")
        .post(f"{lab.url}/keys", json={"collection": OPEN, "item": httpx.URL(at).path.split("/")[-1], "hours": 1})
        .json()
    )
    key = made["key"]
    assert by().get(made["tiles"].replace("{z}/{x}/{y}", WHERE)).status_code == 200
    tilejson = by().get(f"{at}/tilejson.json?key={key}")
    assert key in tilejson.json()["tiles"][0]  # the links of an answer work too
    followed = tilejson.json()["tiles"][0].replace("{z}/{x}/{y}", WHERE)
    assert by().get(followed).status_code == 200
    # Each way to draw it in WMTS too: QGIS sends no header.
    wmts = by().get(f"{at}/WMTSCapabilities.xml?key={key}").text
    templates = [html.unescape(text) for text in re.findall(r'template="([^"]*)"', wmts)]
    assert len(templates) > 10
    assert all(text.startswith(at) and text.count(key) == 1 for text in templates)
    mercator = next(text for text in templates if "WebMercatorQuad" in text)
    zoom, x, y = WHERE.split("/")
    placed = mercator.replace("{TileMatrix}", zoom).replace("{TileCol}", x).replace("{TileRow}", y)
    assert decoded(by().get(placed)).shape[0] == 3
    assert b"key" not in carried(b'<a template="https://elsewhere.example/{z}.png"/>', key, at)
    other = gl.search(OPEN, datetime="2021-06-10")[0].id
    assert by().get(f"{lab.url}/{OPEN}/{other}/tiles/{WHERE}?key={key}").status_code == 401
    assert by().get(f"{lab.catalogue}/stac/search?collections={OPEN}&key={key}").status_code == 401
    for bad in (
        key[:-2] + "AA",
        key.split(".")[0],
        f"{key.split('.')[0]}.",
        "x.y",
        "é",
        "a" * 3000,
        Keys("other").made("bob", OPEN, "", 1)[0],
    ):
        assert by().get(f"{at}/tiles/{WHERE}", params={"key": bad}).status_code == 401
    past = Keys("secret", now=lambda: 0.0).made("bob", OPEN, "", 1)[0]
    assert by().get(f"{at}/tiles/{WHERE}", params={"key": past}).status_code == 401
    gone = lab.keys.made("nobody", OPEN, "", 1)[0]
    assert by().get(f"{at}/tiles/{WHERE}", params={"key": gone}).status_code == 401
    # A key of a person who may no longer see the collection opens nothing.
    closed = lab.keys.made("bob", CLOSED, "", 1)[0]
    assert by().get(f"{lab.url}/{CLOSED}/{names[CLOSED]}/info", params={"key": closed}).status_code == 404
    refused = [
        {"collection": CLOSED},
        {"collection": OPEN, "item": "nothing"},
        {"collection": OPEN, "hours": 10**6},
        {"hours": 1},
        [],
        {"collection": OPEN, "x": 1},
    ]
    for body in refused:
        assert by("b").post(f"{lab.url}/keys", json=body).status_code in (400, 404)
    assert by().post(f"{lab.url}/keys", json={"collection": OPEN}).status_code == 403


def test_mosaic_of_a_search(lab, on_disk):
    client, at = by("b"), f"{lab.url}/{OPEN}/~mosaic"
    latest = client.get(f"{at}/tiles/{WHERE}.png?datetime=2021-06-01/2021-06-30&bands=B04&rescale=0,0.3")
    oldest = client.get(f"{at}/tiles/{WHERE}.png?datetime=2021-06-01/2021-06-30&bands=B04&rescale=0,0.3&order=oldest")
    assert decoded(latest).shape == decoded(oldest).shape == (1, 256, 256)
    assert not np.array_equal(decoded(latest), decoded(oldest))
    alone = gl.search(OPEN, datetime="2021-06-20", bbox=(1.75, 43.52, 1.85, 43.6))
    last = client.get(f"{lab.url}/{OPEN}/{alone[0].id}/tiles/{WHERE}.png?bands=B04&rescale=0,0.3")
    assert np.array_equal(decoded(last), decoded(latest))
    clear = client.get(f"{at}/tiles/{WHERE}.png?order=clearest&cloud_cover=5&bands=B04&rescale=0,0.3")
    assert clear.status_code == 200
    assert client.get(f"{at}/point/1.8,43.55?datetime=2021-06-01/2021-06-30").status_code == 200
    assert client.get(f"{at}/tiles/{WHERE}").status_code == 422  # nothing says the range of a mosaic
    assert client.get(f"{at}/tiles/{WHERE}?datetime=1999-01-01").status_code == 404
    assert client.get(f"{at}/preview.png").status_code == 400
    assert client.get(f"{at}/tiles/{WHERE}?order=best").status_code == 400
    assert client.get(f"{at}/tiles/{WHERE}?cloud_cover=a").status_code == 400
    assert client.get(f"{at}/tiles/{WHERE}?datetime=x").status_code == 400
    assert client.get(f"{at}/tiles/{WHERE}?limit=3&rescale=0,1").status_code == 400
    assert by("b").get(f"{lab.url}/{CLOSED}/~mosaic/tiles/{WHERE}?rescale=0,1").status_code == 404
    # The links of an answer show the same search, with and without a key.
    key = lab.keys.made("bob", OPEN, "", 1)[0]
    search = (
        "datetime=2021-06-01/2021-06-30&order=oldest&cloud_cover=100&bbox=1.75,43.52,1.85,43.6&bands=B04&rescale=0,0.3"
    )
    for caller, more in ((client, ""), (by(), f"&key={key}")):
        template = caller.get(f"{at}/tilejson.json?{search}{more}&tilesize=256").json()["tiles"][0]
        followed = caller.get(template.replace("{z}/{x}/{y}", f"{WHERE}.png"))
        assert np.array_equal(decoded(followed), decoded(oldest))
        wmts = caller.get(f"{at}/WMTSCapabilities.xml?{search}{more}").text
        templates = [html.unescape(text) for text in re.findall(r'template="([^"]*)"', wmts)]
        assert all(text.count("order=oldest") == 1 and text.count("key=") == bool(more) for text in templates)
    assert "oldest" not in client.get(f"{at}/tilejson.json?{search.replace('oldest', 'latest')}").text


def test_unchanged_tiles_are_not_sent_again(lab, names):
    client, url = by("b"), f"{lab.url}/{OPEN}/{names[OPEN]}/tiles/{WHERE}"
    first = client.get(url)
    assert first.headers["Cache-Control"].startswith("private")
    again = client.get(url, headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert client.get(f"{url}?gamma=2").headers["ETag"] != first.headers["ETag"]
    answers: list[bytes] = []
    threads = [
        threading.Thread(target=lambda: answers.append(by("b").get(f"{url}?gamma=1.25").content)) for _ in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(answers)) == 1
    shared = by("b", Origin=ORIGIN).get(url)
    assert shared.headers["Access-Control-Allow-Origin"] == ORIGIN
    assert "Access-Control-Allow-Origin" not in by("b", Origin="https://evil.example").get(url).headers


HOSTILE = [
    ("tiles/13/4136/2993?expression=__import__('os').system('x')", 422),
    ("tiles/13/4136/2993?expression=" + "(" * 400 + "B04", 422),
    ("tiles/13/4136/2993?expression=B04**999", 422),
    ("tiles/13/4136/2993?bands=" + "B04," * 9, 422),
    ("tiles/13/4136/2993?bands=B01,B02,B03,B04", 422),
    ("tiles/13/4136/2993?bands=../../etc/passwd", 422),
    ("tiles/13/4136/2993?mask=nothing", 422),
    ("tiles/13/4136/2993?rescale=0,inf", 422),
    ("tiles/13/4136/2993?gamma=0", 400),
    ("tiles/13/4136/2993?resampling=sum", 400),
    ("tiles/13/4136/2993?colormap_name=nothing", 400),
    ("tiles/13/4136/2993?colormap={}", 400),
    ("tiles/13/4136/2993?url=http://127.0.0.1/", 400),
    ("tiles/13/4136/2993?tilesize=100000", 422),
    ("tiles/13/4136/2993?tilesize=-1", 400),
    ("tiles/13/4136/2993?" + "bands=a&" * 100, 400),
    ("tiles/13/4136/2993?bands=%00", 400),
    ("tiles/13/4136/2993?bands=%ff", 400),
    ("tiles/13/999999999/2993", 404),
    ("tiles/99/1/1", 404),
    ("tiles/Nothing/13/4136/2993", 400),
    ("tiles/13/4136/2993.exe", 404),
    ("preview/9999x9999.png", 422),
    ("preview.png?max_size=9999", 400),
    ("statistics?bins=100000000", 400),
    ("statistics?p=1000", 400),
    ("point/500,95", 404),
    ("point/nan,0", 404),
    ("map.html", 404),
    ("../../catalogue/stac", 404),
    ("..%2f..%2fkeys", 404),
    ("preview.png?datetime=2021", 400),
    ("preview.png?dst_crs=EPSG:99999999", 400),
]


@pytest.mark.attack
def test_hostile_requests_are_refused_in_a_sentence(lab, names):
    with by("b") as client:
        for rest, status in HOSTILE:
            request = client.build_request("GET", lab.url)
            path = f"/services/tiles/{OPEN}/{names[OPEN]}/{rest}"
            request.url = request.url.copy_with(raw_path=path.encode())
            answer = client.send(request)
            assert answer.status_code == status, (rest, answer.text)
            assert answer.headers["Cache-Control"] == "no-store"
            assert len(answer.json()["detail"]) > 10, rest
            assert "Traceback" not in answer.text


def test_tiler_that_dies_is_replaced_and_reads_only_what_is_looked_at(lab, names):
    url = f"{lab.url}/{OPEN}/{names[OPEN]}/tiles/{WHERE}"
    assert by("b").get(f"{url}?gamma=1.1").status_code == 200
    (worker,) = lab.workers
    process = worker._process
    environment = Path(f"/proc/{process.pid}/environ").read_bytes().decode()
    for secret in ("JUPYTERHUB_API_TOKEN", "GEODES_LAB_SECRETS", "GEODES_LAB_SETTINGS"):
        assert secret not in environment
    process.kill()
    process.wait()
    assert by("b").get(f"{url}?gamma=1.2").status_code == 200
    assert worker._process is not process
    secret = {"x-amz-security-token": lab.broker.secret}
    place = reachable.of(
        by("b").get(f"{lab.catalogue}/stac/collections/{OPEN}/items/{names[OPEN]}").json(),
        PEOPLE["b"],
        Lab(),
        ["s3.datalake.cnes.fr"],
    )[1]
    known = next(p for p in place if p.endswith(".zip"))
    part = {"Range": "bytes=0-3"}
    assert httpx.get(f"{lab.endpoint}/{known}", headers={**secret, **part}).content == b"PK\x03\x04"
    assert httpx.get(f"{lab.endpoint}/{known}", headers=part).status_code == 403
    assert httpx.get(f"{lab.endpoint}/{known}", headers={"x-amz-security-token": "x", **part}).status_code == 403
    # An image that no test here looks at.
    image = next(i for i in gl.search("PEPS_S1_L1") if "_SLC_" in i.id)
    elsewhere = image.assets["product"].href.split("cnes.fr/")[1]
    assert httpx.get(f"{lab.endpoint}/{elsewhere}", headers={**secret, **part}).status_code == 403
    listed = httpx.get(f"{lab.endpoint}/{elsewhere.split('/')[0]}?list-type=2", headers=secret)
    assert image.id not in listed.text


def test_addresses_keep_names_whole():
    address = addresses.parsed(
        b"/services/tiles/a%2Fb/URN:x%2F..%2Fy/tiles/1/0/0", "/services/tiles/", b"bands=a&bands=b&key=k"
    )
    assert (address.collection, address.item, address.rest) == ("a/b", "URN:x/../y", "tiles/WebMercatorQuad/1/0/0")
    assert address.base == "a%2Fb/URN%3Ax%2F..%2Fy"
    assert address.query == (("bands", "a"), ("bands", "b"))


def test_tile_that_nobody_waits_for_is_not_drawn(lab, names, monkeypatch):
    """Who moves a map gives up the tiles that left the screen; who waits for the same one still gets it."""
    url = f"{lab.url}/{OPEN}/{names[OPEN]}/tiles/{WHERE}?gamma=1.4"
    (worker,) = lab.workers
    assert by("b").get(f"{url}1").status_code == 200  # the process is there
    drawn = worker._answered
    monkeypatch.setattr(worker, "turns", asyncio.Semaphore(0))  # busy with others

    def queue() -> int:
        return sum(not one.done() for one in worker.turns._waiters or ())

    at = httpx.URL(url)
    request = f"GET {at.raw_path.decode()} HTTP/1.1\r\nHost: {at.host}\r\nAuthorization: token b\r\n\r\n".encode()
    first, second = (socket.create_connection((at.host, at.port)) for _ in range(2))
    with first, second:
        first.sendall(request)
        awaited(lambda: queue() == 1)
        second.sendall(request)
        waiting = lambda: sum(lab.waiting().values())  # noqa: E731
        awaited(lambda: waiting() == 2)
        first.close()
        awaited(lambda: waiting() == 1)
        assert queue() == 1  # for the other one
    awaited(lambda: queue() == 0)
    monkeypatch.undo()
    assert by("b").get(url).status_code == 200
    assert worker._answered == drawn + 1
