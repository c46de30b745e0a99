"""Searches of other people's STAC APIs: pages recorded from Earth Search and Planetary Computer, served on loopback."""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from shapely.geometry import box, shape

import geodes_lab as gl
from geodes_lab.errors import GeodesError

CORE = [
    "https://api.stacspec.org/v1.0.0/core",
    "https://api.stacspec.org/v1.0.0/collections",
    "https://api.stacspec.org/v1.0.0/item-search",
]
SORT_QUERY = ["https://api.stacspec.org/v1.0.0/item-search#sort", "https://api.stacspec.org/v1.0.0/item-search#query"]
FILTER = ["https://api.stacspec.org/v1.0.0/item-search#filter", "http://www.opengis.net/spec/cql2/1.0/conf/cql2-json"]


class Recorded:
    """A STAC API that answers searches with pages that another one gave."""

    def __init__(self, pages: list[dict], conformance: list[str], last_is_last: bool = True) -> None:
        self.pages, self.conformance, self.bodies = pages, conformance, []
        if last_is_last:
            pages[-1]["links"] = [link for link in pages[-1]["links"] if link["rel"] != "next"]

    def __enter__(self) -> Recorded:
        server, service = None, self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_):
                pass

            def do_GET(self):
                self.answer(service.get(self.path))

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                service.bodies.append(body)
                self.answer(service.page(body))

            def answer(self, said):
                data = json.dumps(said).encode()
                self.send_response(200 if said is not None else 404)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        self.server, self.url = server, f"http://127.0.0.1:{server.server_port}/v1"
        return self

    def __exit__(self, *_) -> None:
        self.server.shutdown()
        self.server.server_close()

    def get(self, path: str):
        ids = sorted({f["collection"] for p in self.pages for f in p["features"]})
        links = [
            {"rel": r, "href": f"{self.url}{p}"} for r, p in (("self", ""), ("root", ""), ("data", "/collections"))
        ]
        search = {"rel": "search", "href": f"{self.url}/search", "type": "application/geo+json", "method": "POST"}
        extent = {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [["2015-06-27T00:00:00Z", None]]},
        }
        if path == "/v1":
            return {
                "type": "Catalog", "stac_version": "1.0.0", "id": "recorded", "description": "-", "links": [*links, search],
                "conformsTo": self.conformance,
            }  # fmt: skip
        if path.startswith("/v1/collections"):
            listed = [
                {"type": "Collection", "stac_version": "1.0.0", "id": i, "description": "-", "license": "other", "links": [],
                 "extent": extent}
                for i in ids
            ]  # fmt: skip
            return {"collections": listed, "links": []}
        return None

    def page(self, body: dict):
        """The page that the body asks for by what the page before said of the next one."""
        for before, page in zip(self.pages, self.pages[1:], strict=False):
            wanted = next(link["body"] for link in before["links"] if link["rel"] == "next")
            if all(body.get(k) == wanted[k] for k in ("next", "token") if k in wanted):
                return self.led_here(page)
        return self.led_here(self.pages[0])

    def led_here(self, page: dict) -> dict:
        links = [{**link, "href": f"{self.url}/search"} for link in page["links"] if link["rel"] == "next"]
        return {**page, "links": links}


@pytest.fixture
def recorded(shared):
    def load(*names: str) -> list[dict]:
        return [json.loads((shared / "stac-api-pages" / f"{n}.json").read_text()) for n in names]

    return load


def test_earth_search_two_collections_at_a_point(recorded):
    pages = recorded("earthsearch_v1_multi_collection_page1", "earthsearch_v1_multi_collection_page2_empty")
    names = ["sentinel-2-l2a", "landsat-c2-l2"]
    place = {"type": "Point", "coordinates": [-105.1019, 40.1672]}
    with Recorded(pages, CORE + SORT_QUERY) as api:
        found = gl.search(names, url=api.url, intersects=place, datetime="2023-10-08")
    assert [i.id for i in found] == [
        f["id"] for f in sorted(pages[0]["features"], key=lambda f: f["properties"]["datetime"])
    ]
    assert api.bodies[0]["intersects"] == place
    assert api.bodies[0]["datetime"] == "2023-10-08T00:00:00Z/2023-10-08T23:59:59.999999Z"
    assert api.bodies[0]["collections"] == names
    assert found[0].assets.keys() == pages[0]["features"][-1]["assets"].keys()  # another's Items stay as they are


def test_planetary_computer_pages_are_followed(recorded):
    pages = recorded("planetarycomputer_naip_page1", "planetarycomputer_naip_page2")
    bbox = (-73.21, 43.99, -73.12, 44.05)
    with Recorded(pages, CORE) as api:
        found = gl.search("naip", url=api.url, bbox=bbox)
        assert len(api.bodies) == 2
        few = gl.search("naip", url=api.url, bbox=bbox, limit=3)
    inside = [f for p in pages for f in p["features"] if box(*bbox).intersects(shape(f["geometry"]))]
    assert len(inside) == 20
    assert [i.id for i in found] == [
        f["id"] for f in sorted(inside, key=lambda f: (f["properties"]["datetime"], f["id"]))
    ]
    # It keeps no order, so that all is read for the first three of it.
    assert [i.id for i in few] == [i.id for i in found][:3]


def test_what_an_api_cannot_filter_is_filtered_here(recorded):
    pages = recorded("planetarycomputer_sentinel-2-l2a_33items")
    with Recorded(pages, CORE) as api:
        found = gl.search("sentinel-2-l2a", url=api.url, cloud_cover=30, sortby="eo:cloud_cover")
    clouds = sorted(f["properties"]["eo:cloud_cover"] for f in pages[0]["features"])
    assert [i.properties["eo:cloud_cover"] for i in found] == [c for c in clouds if c <= 30]
    assert not {"query", "filter"} & set(api.bodies[0])


@pytest.mark.parametrize(("conformance", "word"), [(SORT_QUERY, "query"), (SORT_QUERY + FILTER, "filter")])
def test_what_it_can_filter_it_is_asked_to(recorded, conformance, word):
    pages = recorded("earthsearch_v1_mixed_s1grd_s2_page1")
    with Recorded(pages, CORE + conformance) as api:
        gl.search(
            "sentinel-2-c1-l2a",
            url=api.url,
            cloud_cover=40,
            eo_snow_cover=(None, 5),
            sat_orbit_state=["ascending"],
            limit=4,
        )
    asked = api.bodies[0]
    assert asked["sortby"][0] == {"field": "properties.datetime", "direction": "asc"}
    if word == "query":
        assert asked["query"] == {
            "eo:cloud_cover": {"lte": 40.0}, "eo:snow_cover": {"lte": 5}, "sat:orbit_state": {"in": ["ascending"]},
        }  # fmt: skip
    else:
        assert {"op": "<=", "args": [{"property": "eo:cloud_cover"}, 40.0]} in asked["filter"]["args"]
        assert {"op": "in", "args": [{"property": "sat:orbit_state"}, ["ascending"]]} in asked["filter"]["args"]


def test_answer_with_fewer_items_than_it_counts_is_refused(recorded):
    pages = recorded("earthsearch_v1_mixed_s1grd_s2_page1", "earthsearch_v1_mixed_s1grd_s2_page2")
    with Recorded(pages, CORE + SORT_QUERY) as api, pytest.raises(GeodesError, match="returned 20 of the 1159127"):
        gl.search("sentinel-2-c1-l2a", url=api.url)


def test_collections_of_an_api(recorded):
    with Recorded(recorded("planetarycomputer_naip_page1"), CORE) as api:
        table = gl.collections(url=api.url)
        assert table.index.tolist() == ["naip"]
        assert table.loc["naip", "start"].year == 2015
        with pytest.raises(GeodesError, match=r"no collection 'naib'.*did you mean 'naip'"):
            gl.search("naib", url=api.url)
        assert api.bodies == []


def test_what_is_no_stac_api_is_said(recorded):
    with Recorded(recorded("planetarycomputer_naip_page1"), CORE[:1]) as api:
        with pytest.raises(GeodesError, match="has no Item Search"):
            gl.search("naip", url=api.url)
        with pytest.raises(GeodesError, match="HTTP 404"):
            gl.search("naip", url=f"{api.url}/elsewhere")


def test_password_in_an_address_is_refused_and_not_repeated():
    with pytest.raises(
        GeodesError, match=r"the catalogue at https://catalogue\.example has a user or a password"
    ) as caught:
        gl.search("X", url="https://ada:s3cret@catalogue.example/stac")
    assert "s3cret" not in str(caught.value)
    assert "ada" not in str(caught.value)
