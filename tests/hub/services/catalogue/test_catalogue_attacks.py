"""What somebody hostile sends to the catalogue's service: nothing ends it, nothing is read that is another's, nobody else notices."""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import duckdb
import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi import HTTPException
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from geodes_lab.catalog.harvested import cql2, geoparquet, partitions, terms
from geodes_lab.catalog.harvested.columns import REST, quoted
from geodes_lab.catalog.harvested.engine import Engine, Limits, TooLong, _spatial
from geodes_lab.catalog.harvested.index import Index
from geodes_lab.catalog.harvested.quota import Quota
from geodes_lab.catalog.harvested.snapshot import Snapshot, alone
from geodes_lab.catalog.harvested.writable import WritableCatalogue
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import Query
from geodes_lab.errors import GeodesError
from hub.services.catalogue.access import READERS, Person, Rights
from hub.services.catalogue.app import made
from hub.services.catalogue.reads import DAMAGED
from hub.services.catalogue.results.turns import Turns
from tests.hub.services.catalogue.test_catalogue_service import KnownTokens, as_, document, item
from tests.support.examples import examples
from tests.support.servers.catalogued import Service, catalogued
from tests.support.servers.served import served

pytestmark = pytest.mark.attack

PUBLIC = "S2"
OWN = item("one", "alice.own", **{"eo:cloud_cover": 5})
HTTP = httpx.Client(timeout=60)


@pytest.fixture(scope="module", autouse=True)
def closed() -> Iterator[None]:
    yield
    HTTP.close()


def records(number: int, collection: str = PUBLIC, **properties) -> list[dict]:
    return [item(f"{collection}-{n}", collection, **{"eo:cloud_cover": n, **properties}) for n in range(number)]


@pytest.fixture(scope="module")
def harvested(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("attacks") / "harvested"
    shelf = WritableCatalogue(folder)
    shelf.create(PUBLIC, {"title": "Sentinel-2"})
    shelf.put(PUBLIC, records(20))
    return folder


@pytest.fixture
def results(tmp_path) -> Path:
    return tmp_path / "results"


@pytest.fixture
def api(harvested, results) -> Iterator[str]:
    with served(made(harvested, results, Rights(), KnownTokens())) as url:
        yield f"{url}/stac"


@pytest.fixture
def mine(api) -> str:
    assert HTTP.post(f"{api}/collections", json=document("alice.own"), headers=as_("a")).status_code == 201
    return f"{api}/collections/alice.own"


@pytest.fixture(scope="module")
def refusing(harvested, tmp_path_factory) -> Iterator[str]:
    """A service that refuses all that it is sent, and so stays as it was: with a collection of Alice's and an Item."""
    with served(made(harvested, tmp_path_factory.mktemp("refusing") / "results", Rights(), KnownTokens())) as url:
        hers = document("alice.own", **{READERS: ["*"]})
        assert HTTP.post(f"{url}/stac/collections", json=hers, headers=as_("a")).status_code == 201
        items = f"{url}/stac/collections/alice.own/items"
        assert HTTP.post(items, json=OWN, headers=as_("a")).status_code == 201
        yield f"{url}/stac"
        sound(f"{url}/stac", "b", "alice.own")
        (one,) = HTTP.get(items, headers=as_("a")).json()["features"]
        assert {k: one[k] for k in ("id", "properties", "geometry", "assets")} == {
            k: OWN[k] for k in ("id", "properties", "geometry", "assets")
        }
        for address in (f"{items}/one", items.removesuffix("/items")):
            assert HTTP.delete(address, headers=as_("a")).status_code == 200


def answers(api: str, token: str = "b", *also: str, **asked: str | int) -> None:
    """Others find what they found before."""
    found = HTTP.get(f"{api}/search", params={"limit": 500, **asked}, headers=as_(token))
    assert found.status_code == 200, found.text
    assert sum(f["collection"] == PUBLIC for f in found.json()["features"]) == 20, asked
    assert {PUBLIC, *also} <= {f["collection"] for f in found.json()["features"]}


def sound(api: str, token: str = "b", *also: str) -> None:
    """Whatever happened, others find what they found before, however they search."""
    listed = HTTP.get(f"{api}/collections", headers=as_(token))
    assert listed.status_code == 200, listed.text
    assert {PUBLIC, *also} <= {c["id"] for c in listed.json()["collections"]}
    answers(api, token, *also)
    answers(api, token, *also, filter="eo:cloud_cover >= 0")
    answers(api, token, *also, sortby="-eo:cloud_cover")
    answers(api, token, *also, bbox="0,40,5,50", datetime="2021-01-01T00:00:00Z/..")


# Names that are SQL


INJECTION = "id\" IS NULL) OR (CAST((SELECT content FROM read_text('/etc/passwd')) AS INT) = 1) --"


@pytest.mark.parametrize(
    "name", [INJECTION, 'a"', "a b", "a\x00b", "é", "filename", "File_Row_Number", "ID", "x" * 101, "", "1a"]
)
def test_property_that_no_column_can_be_called_is_refused(refusing, name):
    address = f"{refusing}/collections/alice.own/items"
    answer = HTTP.post(address, json=item("two", "alice.own", **{name: 1}), headers=as_("a"))
    assert answer.status_code == 400, answer.text
    answers(refusing)


def test_names_of_a_harvested_catalogue_are_data_and_never_sql(tmp_path, results):
    """A hostile upstream: its names are kept, and nobody can ask for them."""
    shelf = WritableCatalogue(tmp_path / "harvested")
    shelf.create(PUBLIC, {"title": "x"})
    odd = {INJECTION: 5, "filename": "f", "Mean": 1, "mean": 2.5, "id": "other", "file_row_number": 3, REST: {"a": 1}}
    shelf.put(PUBLIC, records(20, **odd))
    with served(made(tmp_path / "harvested", results, Rights(), KnownTokens())) as url:
        api = f"{url}/stac"
        first = HTTP.get(f"{api}/search?limit=1", headers=as_("b")).json()["features"][0]
        assert {k: first["properties"][k] for k in odd} == odd
        known = HTTP.get(f"{api}/collections/{PUBLIC}/queryables", headers=as_("b")).json()["properties"]
        assert "eo:cloud_cover" in known
        assert not {*odd, REST} - {"id"} & set(known)
        for name in odd:
            told = {"filter": {"op": "=", "args": [{"property": name}, 5]}}
            answer = HTTP.post(f"{api}/search", json=told, headers=as_("b"))
            assert answer.status_code == 400, name
            asked = {"sortby": [{"field": f"properties.{name}", "direction": "asc"}], "fields": {"include": [name]}}
            assert HTTP.post(f"{api}/search", json=asked, headers=as_("b")).status_code == 200
        sound(api)


def test_identifiers_are_quoted_whatever_is_in_them(tmp_path):
    assert quoted('a"b') == '"a""b"'
    engine = Engine((tmp_path,))
    assert engine.rows(f"SELECT {quoted(INJECTION)} FROM (SELECT 7 AS {quoted(INJECTION)})", []) == [(7,)]
    with pytest.raises(GeodesError, match="no queryable"):
        cql2.sql({"op": "=", "args": [{"property": INJECTION}, 1]}, {"mean": "number"})


@pytest.mark.parametrize(
    "text",
    [
        "SELECT content FROM read_text('/etc/passwd')", "SELECT * FROM read_csv('/etc/passwd')", "SELECT * FROM glob('/etc/*')",
        "SELECT * FROM read_parquet('{outside}')", "SELECT * FROM read_parquet('{inside}/../outside.parquet')",
        "SELECT * FROM read_parquet('{inside}/link.parquet')", "SELECT * FROM ST_Read('/etc/passwd')",
        "SELECT * FROM ST_Read('/vsicurl/http://127.0.0.1:{port}/x.geojson')", "COPY (SELECT 1) TO '{outside}.csv'",
        "ATTACH '{outside}.db'", "INSTALL httpfs", "LOAD httpfs", "SET enable_external_access = true", "SET memory_limit = '1TB'",
        "SELECT * FROM secret",
    ],
)  # fmt: skip
def test_database_is_locked(tmp_path, text):
    inside, outside = tmp_path / "catalogue", tmp_path / "outside.parquet"
    inside.mkdir()
    pq.write_table(pa.table({"a": [1]}), outside)
    (inside / "link.parquet").symlink_to(outside)
    engine = Engine((inside,), Limits(memory=2**28))
    secret = pa.table({"a": [1]})  # a table of Python's is none of the database's
    asked = []

    async def elsewhere(scope, receive, send) -> None:
        asked.append(scope["type"])

    with (
        served(elsewhere) as url,
        pytest.raises(Exception, match=r"(?i)permission|access|disabled|locked|not exist|open"),
    ):
        engine.rows(text.format(inside=inside, outside=outside, port=url.rpartition(":")[2]), [])
    assert "http" not in asked
    assert len(secret) == 1
    pq.write_table(pa.table({"a": [2]}), inside / "later.parquet")  # a snapshot's new file
    assert engine.rows("SELECT a FROM read_parquet(?)", [str(inside / "later.parquet")]) == [(2,)]


def test_database_loads_no_library_however_it_came_into_the_catalogue(tmp_path):
    """Its own extension is loaded without a look at the signature, so the closed sandbox must refuse every other file."""
    planted = tmp_path / "planted.duckdb_extension"
    planted.symlink_to(_spatial())
    engine = Engine((tmp_path,))
    with pytest.raises(duckdb.PermissionException, match="Loading external extensions is disabled"):
        engine.rows(f"LOAD '{planted}'", [])


def test_search_that_takes_too_long_is_ended(tmp_path):
    engine = Engine((tmp_path,), Limits(memory=2**28, seconds=0.5))
    with pytest.raises(TooLong, match=r"longer than 0\.5 s"):
        engine.rows("SELECT count(*) FROM range(1000000000) a, range(1000000) b WHERE (a.range * b.range) % 7 = 3", [])
    assert engine.rows("SELECT 1", []) == [(1,)]


# What is too large or too deep


@pytest.fixture(scope="module")
def own(harvested, tmp_path_factory) -> Iterator[Service]:
    """A process of its own, which may be lost."""
    with catalogued(harvested, tmp_path_factory.mktemp("own") / "results", "--public") as service:
        yield service
        sound(service.url)


TEXTS = {
    "brackets": "(" * 2000, "closed brackets": "(" * 200 + "a=1" + ")" * 200, "ors": " OR ".join(["a=1"] * 3000), "nots": "NOT " * 3000 + "a=1",
    "ands": " AND ".join(["a=1"] * 2000), "minus": "a=1" + "-1" * 5000, "plus": "a=" + "1+" * 5000 + "1", "power": "a=" + "1^" * 5000 + "1",
    "functions": "f(" * 500 + "a" + ")" * 500 + "=1", "in text": "a='" + "(" * 2000, "unary": "a=" + "-" * 9000 + "1",
    "groups": " AND ".join(["((((((((a))))))))"] * 40) + " =", "mixed": "(" * 8 + " AND b,1),1)" * 8, "names": '"' * 9001,
}  # fmt: skip


@pytest.mark.parametrize("what", TEXTS)
def test_text_that_overflows_a_parser_is_refused(own, what):
    begin = time.monotonic()
    answer = HTTP.get(f"{own.url}/search", params={"filter": TEXTS[what], "filter-lang": "cql2-text"})
    assert answer.status_code == 400, answer.text[:300]
    assert len(answer.text) < 2000
    assert time.monotonic() - begin < 20
    answers(own.url)


@settings(max_examples=examples(150), deadline=None)
@given(
    st.lists(
        st.sampled_from(["(", ")", "NOT ", " AND ", " OR ", "-", "+", "1", "a", "'x'", "=", ",", " IN (", "casei(", " LIKE ", '"b"', "1-1", "^"]),
        max_size=400,
    ).map("".join)
)  # fmt: skip
def test_any_text_is_read_or_refused_soon(text):
    begin = time.monotonic()
    with contextlib.suppress(GeodesError):
        cql2.parsed(text)
    assert time.monotonic() - begin < 10


def nested(op: str, depth: int) -> dict:
    told: dict = {"op": "=", "args": [{"property": "eo:cloud_cover"}, 1]}
    for _ in range(depth):
        told = {"op": op, "args": [told]}
    return told


RING = [[0.0, 0.0], *[[n / 100, 1.0] for n in range(200)], [2.0, 0.0], [0.0, 0.0]]
FILTERS = {
    "deep": nested("not", 29), "wide": {"op": "or", "args": [nested("not", 0)] * 3000},
    "in": {"op": "in", "args": [{"property": "id"}, ["x"] * 6000]},
    "corners": {"op": "s_intersects", "args": [{"property": "geometry"}, {"type": "MultiPolygon", "coordinates": [[RING]] * 60}]},
    "relation": {"op": "s_touches", "args": [{"property": "geometry"}, {"type": "Polygon", "coordinates": [RING]}]},
    "pattern": {"op": "like", "args": [{"property": "id"}, "%a" * 200]},
    "functions": {"op": "=", "args": [{"op": "casei", "args": [{"property": ["id"]}]}, "x"]},
    "no arguments": {"op": "and", "args": []}, "argument": {"op": "not", "args": "x"}, "operator": {"op": "x" * 5000, "args": [1, 2]},
}  # fmt: skip


@pytest.mark.parametrize("what", FILTERS)
def test_condition_in_json_that_is_too_much_is_refused(own, what):
    told = FILTERS[what]
    answer = HTTP.post(f"{own.url}/search", json={"filter": told})
    assert answer.status_code in (400, 413), answer.text[:300]
    assert len(answer.text) < 2000
    said = {"filter": json.dumps(told), "filter-lang": "cql2-json"}
    if len(said["filter"]) < 30_000:
        assert HTTP.get(f"{own.url}/search", params=said).status_code == 400
    answers(own.url)


@pytest.mark.parametrize(
    "asked",
    [
        {"token": "next:" + "9" * 18}, {"token": "next:1000001"}, {"token": "next:²"}, {"token": "9" * 9000}, {"ids": ["x"] * 10_001},
        {"ids": ["x" * 400]}, {"collections": ["x"] * 1001}, {"sortby": [{"field": f"a{n}", "direction": "asc"} for n in range(11)]},
        {"fields": {"include": [f"a{n}" for n in range(201)]}}, {"datetime": "2021-01-01T00:00:00Z/" * 50}, {"limit": "9" * 5000},
        {"intersects": {"type": "Polygon", "coordinates": [RING * 60]}},
        {"intersects": {"type": "GeometryCollection", "geometries": []}}, {"ids": ["S2A_MSIL1C_99999999T000000"]},
        {"ids": ["S2A_MSIL1C_00010101T000000"]}, {"bbox": [1e308, -1e308, 1e308, 1e308]}, {"filter": nested("not", 1), "token": "1000000"},
    ],
    ids=lambda a: "+".join(a),
)  # fmt: skip
def test_search_for_too_much_is_refused_in_a_sentence(own, asked):
    answer = HTTP.post(f"{own.url}/search", json=asked)
    assert answer.status_code < 500, answer.text
    assert len(answer.text) < 3000
    answers(own.url)


def test_bodies_take_no_memory(own):
    before, headers = own.memory, {"Content-Type": "application/json"}

    def status(content) -> int:
        """Of one who is told so before all was sent, 413: the answer may be lost, since nobody reads the rest."""
        try:
            return HTTP.post(f"{own.url}/search", content=content, headers=headers).status_code
        except httpx.TransportError:
            return 413

    assert status(b'{"collections": ["' + b"x" * 2**23) == 413
    assert status(b" " * 2**20 for _ in range(600)) == 413
    assert status(b"[" * 100_000) == 413
    assert status(b'{"a":' * 50_000) == 413
    assert status(b'{"limit": NaN}') == 400
    assert own.memory - before < 2**28
    sound(own.url)


def test_patch_that_doubles_is_stopped(own):
    url = f"{own.url}/collections"
    assert HTTP.post(url, json=document("alice.patched"), headers=as_("a")).status_code == 201
    one = item("one", "alice.patched", note="x" * 1000)
    assert HTTP.post(f"{url}/alice.patched/items", json=one, headers=as_("a")).status_code == 201
    before = own.memory
    wide = [{"op": "copy", "from": "", "path": f"/properties/a{n}"} for n in range(40)]
    deep = [{"op": "copy", "from": "/properties", "path": "/properties/a"} for n in range(60)]
    list_ = [{"op": "add", "path": "/properties/a", "value": ["x"]}] + [
        {"op": "copy", "from": "/properties/a", "path": "/properties/a/-"}
    ] * 40
    many = [{"op": "test", "path": "/id", "value": "one"}] * 300
    for patch in (wide, deep, list_, many):
        for address in (f"{url}/alice.patched", f"{url}/alice.patched/items/one"):
            answer = HTTP.patch(address, json=patch, headers=as_("a"))
            assert answer.status_code in (400, 409, 413), answer.text[:300]
    odd = [{"op": "add", "path": "/links/99999999999999999999", "value": 1}], [{"op": "replace", "path": "", "value": 5}], [
        {"op": "remove", "path": "/properties"}], [{"op": "move", "from": "/properties", "path": "/properties/a"}]  # fmt: skip
    for patch in odd:
        assert HTTP.patch(f"{url}/alice.patched/items/one", json=patch, headers=as_("a")).status_code in (400, 409)
    assert own.memory - before < 2**28
    sound(own.url)


def test_pattern_takes_no_power_of_the_wildcards(api, mine):
    long = "a" * 15_000
    assert HTTP.post(f"{mine}/items", json=item("one", "alice.own", note=long), headers=as_("a")).status_code == 201
    told = {"filter": {"op": "like", "args": [{"property": "note"}, "%a" * 40 + "b"]}}
    begin = time.monotonic()
    assert HTTP.post(f"{api}/search", json=told, headers=as_("a"), timeout=100).json()["numberMatched"] == 0
    assert time.monotonic() - begin < 20


@settings(max_examples=examples(200), deadline=None)
@given(st.text("ab_%.\\*A[é\n", max_size=8), st.text("ab_%.\\*A[é\n", max_size=8))
def test_like_means_what_it_meant(text, pattern):
    """DuckDB's own is the oracle, for short texts."""
    engine = like_engine()
    condition, values = cql2.sql({"op": "like", "args": [{"property": "a"}, pattern]}, {"a": "string"})
    (found,) = engine.rows(f"SELECT {condition} FROM (SELECT CAST(? AS VARCHAR) AS a)", [*values, text])
    if re.search(r"\\(?![%_\\])", pattern.replace("\\\\", "")):
        return  # an escape of what needs none: DuckDB and CQL2 differ
    (wanted,) = engine.rows("SELECT ? LIKE ? ESCAPE '\\'", [text, pattern])
    assert found == wanted


def like_engine(kept: list = []) -> Engine:  # noqa: B006
    if not kept:
        kept.append(Engine((Path("/nowhere"),)))
    return kept[0]


# Who has not logged in


def test_anonymous_visitors_parse_nothing(api, mine):
    page = api.removesuffix("stac")
    assert HTTP.patch(mine, json={READERS: ["*"]}, headers=as_("a")).status_code == 200
    listed = HTTP.get(f"{api}/collections").json()["collections"]
    assert [c["id"] for c in listed] == [PUBLIC]
    for path in (
        "",
        "/",
        "/conformance",
        "/queryables",
        f"/collections/{PUBLIC}",
        f"/collections/{PUBLIC}/queryables",
        "/api",
        "/api.html",
    ):
        assert HTTP.get(f"{api}{path}", follow_redirects=True).status_code == 200, path
    for path in ("", "assets/page.js", "me"):
        assert HTTP.get(f"{page}{path}").status_code == 200, path
    for path in (
        "/search",
        f"/collections/{PUBLIC}/items",
        f"/collections/{PUBLIC}/items/{PUBLIC}-1",
        "/search/",
        "//search",
    ):
        answer = HTTP.get(f"{api}{path}", params={"filter": "(" * 2000})
        assert answer.status_code == 401, path
        assert "Log in" in answer.json()["detail"]
    for method in ("POST", "PUT", "PATCH", "DELETE"):
        # Before anything of the body is looked at.
        assert HTTP.request(method, f"{api}/search", content=b"[" * 1000).status_code == 401
        assert HTTP.request(method, f"{mine}/items", content=b"[" * 1000).status_code == 401
    # Nobody waits for a body that nobody wants.
    for method, path in (("POST", ""), ("GET", ""), ("PUT", "me"), ("GET", "stac/collections")):
        assert HTTP.request(method, f"{page}{path}", content=b"x").status_code == 401, (method, path)
    assert HTTP.get(f"{api}/search", headers=as_("wrong")).status_code == 401
    assert HTTP.get(f"{api}/search", headers=as_("b")).json()["numberMatched"] == 20
    assert HTTP.get(mine, headers=as_("b")).status_code == 200, "* is everybody who has logged in"


def test_public_catalogue_shows_no_results_of_people(harvested, results):
    with served(made(harvested, results, Rights(), KnownTokens(), public=True)) as url:
        api = f"{url}/stac"
        shared = document("alice.own", **{READERS: ["*"]})
        assert HTTP.post(f"{api}/collections", json=shared, headers=as_("a")).status_code == 201
        assert (
            HTTP.post(f"{api}/collections/alice.own/items", json=item("one", "alice.own"), headers=as_("a")).status_code
            == 201
        )
        assert HTTP.get(f"{api}/search?limit=100").json()["numberMatched"] == 20
        assert HTTP.get(f"{api}/search?limit=100", headers=as_("b")).json()["numberMatched"] == 21
        assert HTTP.get(f"{api}/collections/alice.own").status_code == 404
        assert HTTP.post(f"{api}/collections", json=shared).status_code == 401


def test_answers_run_nothing_and_are_for_no_other_site(api, harvested, results):
    for path in ("/collections", "/api.html", "/search", "/nowhere"):
        answer = HTTP.get(f"{api}{path}", headers={"Origin": "https://evil.example", **as_("b")})
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        assert "access-control-allow-origin" not in answer.headers
        assert not re.search(r"<script|(src|href)=.?(https?:)?//", answer.text), path
    with served(made(harvested, results, Rights(), KnownTokens(), origins=["https://map.example"])) as url:
        told = [
            HTTP.get(f"{url}/stac/collections", headers={"Origin": o}).headers
            for o in ("https://map.example", "https://evil.example")
        ]
        assert [h.get("access-control-allow-origin") for h in told] == ["https://map.example", None]
        before = {
            "Origin": "https://map.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization",
        }
        assert HTTP.request("OPTIONS", f"{url}/stac/search", headers=before).status_code == 200
        assert "access-control-allow-credentials" not in told[0]


def test_conformance_does_not_grow(api):
    first = HTTP.get(f"{api}/conformance").json()["conformsTo"]
    for _ in range(5):
        HTTP.get(api, follow_redirects=True)
    assert sorted(HTTP.get(f"{api}/conformance").json()["conformsTo"]) == sorted(first)


def test_one_person_does_not_take_all_places(harvested, results):
    """Requests of one person that wait are bounded; another's are answered."""
    go, here = threading.Event(), threading.Semaphore(0)

    class Slow(KnownTokens):
        def person(self, request):
            found = super().person(request)
            if found.name == "alice" and "slow" in request.url.query and "asking" in request.scope.get("state", {}):
                here.release()
                go.wait(30)
            return found

    with served(made(harvested, results, Rights(), Slow())) as url, ThreadPoolExecutor(20) as pool:
        waiting = [pool.submit(HTTP.get, f"{url}/stac/search?slow=1", headers=as_("a")) for _ in range(16)]
        for _ in waiting:
            assert here.acquire(timeout=20)
        assert HTTP.get(f"{url}/stac/search?slow=1", headers=as_("a"), timeout=20).status_code == 429
        sound(f"{url}/stac")
        go.set()
        assert {w.result().status_code for w in waiting} == {200}


# What is damaged, and what would damage


BAD_COLLECTIONS = [
    {READERS: 5}, {READERS: {"a": 1}}, {READERS: [5]}, {"type": "Nonsense"}, {"stac_version": 5}, {"stac_version": "9.0.0"}, {"extent": 5},
    {"title": 5}, {"title": "x" * 70_000}, {"links": {"a": 5}}, {"assets": {"a": 5}}, {"extent": {"spatial": {"bbox": [[0, 0]]}, "temporal": {}}},
    {"description": "a\x00b"}, {"keywords": 5}, {"providers": [5]}, {"summaries": {"a": 5}}, {"license": None}, {"a": 1e400},
    {"assets": {"a": {"href": "javascript:alert(1)"}}}, {"providers": [{"name": "x", "url": "data:text/html,x"}]}, {"stac_extensions": ["x"]},
]  # fmt: skip


@pytest.mark.parametrize("patch", BAD_COLLECTIONS, ids=lambda p: json.dumps(p)[:50])
def test_collection_that_would_break_others_is_refused(refusing, patch):
    mine, headers = f"{refusing}/collections/alice.own", {"Content-Type": "application/json", **as_("a")}
    for answer in (
        HTTP.request("PATCH", mine, content=json.dumps(patch), headers=headers),
        HTTP.request("PUT", mine, content=json.dumps(document("alice.own") | patch), headers=headers),
    ):
        assert answer.status_code == 400, answer.text
        assert len(answer.text) < 2000
    answers(refusing, "b", "alice.own")


SELF_CROSSING = {"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [0, 1], [1, 0], [0, 0]]]}
BAD_ITEMS = [
    {"type": "Nonsense"}, {"assets": {"a": 5}}, {"assets": 5}, {"links": 5}, {"links": [5]}, {"links": [{"rel": "x", "href": "javascript:alert(1)"}]},
    {"links": [{"rel": "x", "href": " JavaScript:alert(1)"}]}, {"assets": {"a": {"href": "vbscript:x"}}}, {"stac_version": "0.9"},
    {"properties": {"eo:cloud_cover": "many"}}, {"properties": {"filename": "x"}}, {"properties": {"file_row_number": 1}},
    {"properties": {"geometry": 1}}, {"properties": {"datetime": "yesterday"}}, {"properties": {"datetime": "99999-01-01T00:00:00Z"}},
    {"properties": {"datetime": "9999-01-01T00:00:00Z"}}, {"properties": {"datetime": [5]}}, {"properties": {"created": "x"}},
    {"properties": {"a": 2**63}}, {"properties": {"a": 1e400}}, {"properties": {"a": "x" * 30_000}}, {"properties": {"a": "\x07"}},
    {"properties": {"Mean": 1, "mean": 2}}, {"properties": {f"a{n}": n for n in range(300)}}, {"properties": {"a": [1, "x", {"b": 1}] * 9000}},
    {"properties": {"start_datetime": "2022-01-01T00:00:00Z", "end_datetime": "2021-01-01T00:00:00Z"}}, {"properties": {"latest": "yes"}},
    {"geometry": SELF_CROSSING}, {"geometry": {"type": "Polygon", "coordinates": []}}, {"geometry": {"type": "Point", "coordinates": [1, 95]}},
    {"geometry": {"type": "Point", "coordinates": [1e400, 0]}}, {"geometry": {"type": "Nonsense"}}, {"bbox": [0, 0]}, {"bbox": ["a", 0, 1, 1]},
    {"geometry": {"type": "LineString", "coordinates": [[n / 1000, 0] for n in range(9000)]}}, {"bbox": [0, 5, 1, 1]}, {"stac_extensions": [5]},
    {"geometry": {"type": "GeometryCollection", "geometries": []}}, {"collection": "bob.other"}, {"stac_extensions": ["javascript:x"]},
]  # fmt: skip


@pytest.mark.parametrize("patch", BAD_ITEMS, ids=lambda p: json.dumps(p)[:50])
def test_item_that_would_break_others_is_refused(refusing, patch):
    items = f"{refusing}/collections/alice.own/items"
    whole = {**OWN, **patch, "properties": OWN["properties"] | patch.get("properties", {})}
    headers = {"Content-Type": "application/json", **as_("a")}
    for answer in (
        HTTP.request("PATCH", f"{items}/one", content=json.dumps(patch), headers=headers),
        HTTP.request("PUT", f"{items}/one", content=json.dumps(whole), headers=headers),
        HTTP.request("POST", items, content=json.dumps({**whole, "id": "two"}), headers=headers),
    ):
        assert answer.status_code == 400, answer.text
        assert len(answer.text) < 2000
    answers(refusing, "b", "alice.own")


@pytest.mark.parametrize("name", ["../x", "a/b", "a?b", "a#b", "a%2fb", "..", ".", "", "x" * 300, "a\x00b", "a\nb"])
def test_item_that_no_address_leads_to_is_refused(refusing, name):
    address = f"{refusing}/collections/alice.own/items"
    assert HTTP.post(address, json=item(name, "alice.own"), headers=as_("a")).status_code == 400
    answers(refusing)


def test_kinds_of_one_person_do_not_spoil_another_s(api, mine):
    """Alice's `mean` is a number, Bob's a text: a search of both finds what each has."""
    url = f"{api}/collections"
    assert HTTP.patch(mine, json={READERS: ["*"]}, headers=as_("a")).status_code == 200
    assert HTTP.post(f"{mine}/items", json=item("a1", "alice.own", mean=0.7), headers=as_("a")).status_code == 201
    for name in ("bob.x", "bob.y"):
        assert HTTP.post(url, json=document(name, **{READERS: ["*"]}), headers=as_("b")).status_code == 201
        assert (
            HTTP.post(f"{url}/{name}/items", json=item(f"{name}1", name, mean="much"), headers=as_("b")).status_code
            == 201
        )
    for text, wanted in (
        ("mean > 0.5", {"a1"}),
        ("mean = 'much'", {"bob.x1", "bob.y1"}),
        ("mean LIKE 'mu%'", {"bob.x1", "bob.y1"}),
    ):
        found = HTTP.get(f"{api}/search", params={"filter": text}, headers=as_("c"))
        assert found.status_code == 200, found.text
        assert {f["id"] for f in found.json()["features"]} == wanted
    for order in ("mean", "-mean"):
        found = HTTP.get(f"{api}/search", params={"sortby": order, "limit": 100}, headers=as_("c"))
        assert (found.status_code, found.json()["numberMatched"]) == (200, 23)
    # In one collection a name means one thing, in every month.
    other = item("a2", "alice.own", mean="much")
    other["properties"]["datetime"] = "2023-01-01T00:00:00Z"
    refused = HTTP.post(f"{mine}/items", json=other, headers=as_("a"))
    assert (refused.status_code, "whose type differs" in refused.json()["detail"]) == (400, True)


def test_item_without_a_time_or_place_of_its_own(api, mine):
    """Allowed by STAC: an interval instead of a time, and no footprint."""
    assert HTTP.patch(mine, json={READERS: ["*"]}, headers=as_("a")).status_code == 200
    one = item("one", "alice.own", start_datetime="2021-01-01T00:00:00Z", end_datetime="2021-02-01T00:00:00+01:00")
    one["properties"]["datetime"], one["geometry"] = None, None
    del one["bbox"]
    answer = HTTP.post(f"{mine}/items", json=one, headers=as_("a"))
    assert answer.status_code == 201, answer.text
    assert answer.json()["properties"]["end_datetime"] == "2021-01-31T23:00:00Z"
    found = HTTP.get(
        f"{api}/search",
        params={"limit": 100, "datetime": "2021-01-10T00:00:00Z/2021-01-11T00:00:00Z"},
        headers=as_("b"),
    )
    assert [f["id"] for f in found.json()["features"]] == ["one"]
    listed = HTTP.get(f"{api}/search", params={"limit": 100}, headers=as_("b"))
    assert (listed.status_code, listed.json()["numberMatched"]) == (200, 21)


def spoiled(results: Path, change) -> None:
    path = results / "snapshot.json"
    told = json.loads(path.read_text())
    change(told)
    path.write_text(json.dumps(told))


DAMAGES = {
    "readers": lambda c: c["document"].update({READERS: 5}), "document": lambda c: c.update(document=5), "queryables": lambda c: c.update(queryables=5),
    "unknown": lambda c: c.update(other=5), "title": lambda c: c.update(title=5), "links": lambda c: c["document"].update(links=5),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGES)
def test_entry_that_is_damaged_already_hurts_its_owner_alone(api, mine, results, what, caplog):
    HTTP.patch(mine, json={READERS: ["*"]}, headers=as_("a"))
    assert HTTP.post(f"{mine}/items", json=item("one", "alice.own"), headers=as_("a")).status_code == 201
    spoiled(results, lambda told: DAMAGES[what](told["collections"]["alice.own"]))
    for token in ("b", "a"):
        sound(api, token)
    assert HTTP.get(mine, headers=as_("a")).status_code == 200
    if what not in ("readers", "links"):
        assert "alice.own is damaged" in HTTP.get(mine, headers=as_("a")).json()[DAMAGED]
        assert HTTP.get(mine, headers=as_("b")).status_code == 404
        assert sum("alice.own" in r.message for r in caplog.records) == 1
    assert HTTP.delete(mine, headers=as_("a")).status_code == 200
    assert HTTP.get(mine, headers=as_("a")).status_code == 404
    sound(api)


def broken(table: pa.Table, what: str) -> pa.Table:
    """As a version before this one would have written it."""
    if what in ("filename", "file_row_number"):
        return table.append_column(what, pa.array(["x"] * len(table)))
    if what == "kind":
        at = table.column_names.index("eo:cloud_cover")
        return table.set_column(at, "eo:cloud_cover", pa.array(["many"] * len(table)))
    if what == "assets":
        return table.set_column(table.column_names.index("assets"), "assets", pa.array(["{"] * len(table)))
    assert what == "geometry"
    return table.set_column(table.column_names.index("geometry"), "geometry", pa.array([b"no"] * len(table)))


@pytest.mark.parametrize("what", ["bytes", "half", "gone", "filename", "file_row_number", "kind", "assets", "geometry"])
def test_file_that_is_damaged_already_hurts_its_owner_alone(api, mine, results, what, caplog):
    HTTP.patch(mine, json={READERS: ["*"]}, headers=as_("a"))
    assert (
        HTTP.post(f"{mine}/items", json=item("one", "alice.own", **{"eo:cloud_cover": 5}), headers=as_("a")).status_code
        == 201
    )
    (path,) = (results / "items" / "alice.own").glob("*.parquet")
    table = pq.read_table(path)
    path.unlink()  # a file of another inode, that no cache knows
    if what == "bytes":
        path.write_bytes(os.urandom(5000))
    elif what == "half":
        pq.write_table(table, path)
        path.write_bytes(path.read_bytes()[:700])
    elif what != "gone":
        pq.write_table(broken(table, what), path)
    if what != "gone":
        spoiled(results, lambda told: told.update(taken="later"))
    for token in ("b", "a"):
        sound(api, token)
    seen = HTTP.get(f"{api}/search", headers=as_("a"), params={"limit": 100}).json()
    assert "alice.own is damaged" in seen[DAMAGED][0]
    assert DAMAGED not in HTTP.get(f"{api}/search", headers=as_("b")).json(), "it is its owner's business"
    assert 1 <= sum("alice.own" in r.message for r in caplog.records) <= 2
    assert HTTP.delete(mine, headers=as_("a")).status_code == 200
    assert HTTP.post(f"{api}/collections", json=document("alice.own"), headers=as_("a")).status_code == 201
    assert DAMAGED not in HTTP.get(mine, headers=as_("a")).json()
    sound(api)


def test_all_of_the_results_damaged_leaves_the_catalogue(api, mine, results):
    (results / "snapshot.json").write_text("{")
    sound(api)
    assert HTTP.post(f"{api}/collections", json=document("bob.x"), headers=as_("b")).status_code == 400
    assert (results / "snapshot.json").read_text() == "{", "what can be mended is not written over"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**80), 2**80) | st.floats() | st.text(max_size=20)
    | st.sampled_from(["2021-01-01T00:00:00Z", "Feature", "Collection", "1.1.0", "alice.h", "javascript:x", "https://x.example/y"]),
    lambda inner: st.lists(inner, max_size=4)
    | st.dictionaries(st.text(max_size=10) | st.sampled_from(["a", "href", "rel", "datetime", "bbox", "eo:cloud_cover"]), inner, max_size=4),
    max_leaves=12,
)  # fmt: skip
PARTS = st.dictionaries(
    st.sampled_from([
        "type", "id", "stac_version", "properties", "geometry", "bbox", "links", "assets", "collection", "stac_extensions", "title", "description",
        "extent", READERS, "summaries", "keywords", "providers", "license", "anything",
    ]),
    JSON,
    max_size=3,
)  # fmt: skip
OPERATIONS = st.lists(
    st.fixed_dictionaries(
        {"op": st.sampled_from(["add", "remove", "replace", "copy", "move", "test"]),
         "path": st.sampled_from(["", "/properties", "/properties/a", "/geometry", "/links/-", "/assets/ndvi", "/id", "/bbox/0", "/properties/datetime"])},
        optional={"value": JSON, "from": st.sampled_from(["", "/properties", "/assets", "/links", "/id"])},
    ),
    max_size=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def arbitrary(harvested, tmp_path_factory) -> Iterator[str]:
    with served(made(harvested, tmp_path_factory.mktemp("arbitrary") / "results", Rights(), KnownTokens())) as url:
        yield f"{url}/stac"


@settings(max_examples=examples(25), deadline=None, suppress_health_check=list(HealthCheck))
@given(
    parts=PARTS,
    properties=st.dictionaries(st.text(max_size=8) | st.sampled_from(["a", "mean"]), JSON, max_size=3),
    patch=OPERATIONS,
    whole=JSON,
)
def test_arbitrary_json_at_every_writing_endpoint(arbitrary, parts, properties, patch, whole):
    url = f"{arbitrary}/collections"
    headers = {"Content-Type": "application/json", **as_("a")}

    def send(method: str, address: str, told) -> None:
        answer = HTTP.request(method, address, content=json.dumps(told), headers=headers)
        assert answer.status_code < 500, (method, address, told, answer.text)

    for name in ("alice.h", "alice.i"):  # of an example before that failed
        HTTP.delete(f"{url}/{name}", headers=as_("a"))
    first = document("alice.h", **{READERS: ["*"]})
    assert HTTP.post(url, json=first, headers=as_("a")).status_code == 201
    own = item("one", "alice.h")
    assert HTTP.post(f"{url}/alice.h/items", json=own, headers=as_("a")).status_code == 201
    mixed = {**own, **parts, "properties": {**own["properties"], **properties}}
    for told in (whole, parts, first | parts, {**first, **parts, "id": "alice.i"}):
        for method, address in (("POST", url), ("PUT", f"{url}/alice.h"), ("PATCH", f"{url}/alice.h")):
            send(method, address, told)
    for told in (
        whole,
        parts,
        mixed,
        {**mixed, "id": "two"},
        patch,
        {"properties": properties},
        {"type": "FeatureCollection", "features": [mixed, whole]},
    ):
        for method, address in (
            ("POST", f"{url}/alice.h/items"), ("PUT", f"{url}/alice.h/items/one"), ("PATCH", f"{url}/alice.h/items/one"), ("PATCH", f"{url}/alice.h"),
        ):  # fmt: skip
            send(method, address, told)
    sound(arbitrary, "b")
    sound(arbitrary, "a")
    for name in [c["id"] for c in HTTP.get(url, headers=as_("a")).json()["collections"] if c["id"] != PUBLIC]:
        for one in HTTP.get(f"{url}/{name}/items?limit=100", headers=as_("a")).json()["features"]:
            gone = HTTP.delete(
                f"{url}/{name}/items/{httpx.URL('x').copy_with(path='/' + one['id']).raw_path.decode()[1:]}",
                headers=as_("a"),
            )
            assert gone.status_code == 200, (one["id"], gone.text)
        assert HTTP.delete(f"{url}/{name}", headers=as_("a")).status_code == 200


# Room


def test_each_person_has_so_much_room(harvested, results):
    room = Quota(size=2**18, items=30, collections=2, files=4, properties=40)
    with served(made(harvested, results, Rights(), KnownTokens(), quota=room)) as url:
        api = f"{url}/stac"
        for number, status in enumerate([201, 201, 507]):
            assert (
                HTTP.post(f"{api}/collections", json=document(f"alice.c{number}"), headers=as_("a")).status_code
                == status
            )
        mine = f"{api}/collections/alice.c0"

        def put(told: list[dict]) -> httpx.Response:
            return HTTP.post(f"{mine}/items", json={"type": "FeatureCollection", "features": told}, headers=as_("a"))

        refused = put([item(f"n{n}", "alice.c0") for n in range(31)])
        assert (refused.status_code, "the limit is 30" in refused.json()["detail"]) == (507, True)
        refused = put([item(f"n{n}", "alice.c0", note="x" * 15_000) for n in range(25)])
        assert (refused.status_code, "bytes" in refused.json()["detail"]) == (507, True), (
            "which are small on disk, and large in memory"
        )
        months_ = [item(f"n{n}", "alice.c0") for n in range(5)]
        for n, one in enumerate(months_):
            one["properties"]["datetime"] = f"2021-0{n + 1}-01T00:00:00Z"
        refused = put(months_)
        assert (refused.status_code, "files" in refused.json()["detail"]) == (507, True)
        refused = put([item("n", "alice.c0", **{f"p{n}": n for n in range(60)})])
        assert (refused.status_code, "names of properties" in refused.json()["detail"]) == (507, True)
        assert not list((results / "items").rglob("*.parquet")), "what was refused is not left behind"
        assert put([item(f"n{n}", "alice.c0") for n in range(30)]).status_code == 204
        assert HTTP.delete(f"{mine}/items/n1", headers=as_("a")).status_code == 200, "less is always possible"
        sound(api)
        assert HTTP.post(f"{api}/collections", json=document("bob.c"), headers=as_("b")).status_code == 201


def test_all_together_and_the_disk_have_limits(harvested, results, monkeypatch):
    with served(made(harvested, results, Rights(), KnownTokens(), quota=Quota(whole=1))) as url:
        api = f"{url}/stac"
        assert HTTP.post(f"{api}/collections", json=document("alice.c"), headers=as_("a")).status_code == 201
        refused = HTTP.post(f"{api}/collections/alice.c/items", json=item("one", "alice.c"), headers=as_("a"))
        assert (refused.status_code, "all users" in refused.json()["detail"]) == (507, True)
    with served(made(harvested, results, Rights(), KnownTokens())) as url:
        monkeypatch.setattr(
            "geodes_lab.catalog.harvested.quota._RESERVE", (2**62, 1.0)
        )  # a disk that is never free enough
        api = f"{url}/stac"
        refused = HTTP.post(f"{api}/collections/alice.c/items", json=item("one", "alice.c"), headers=as_("a"))
        assert (refused.status_code, "disk" in refused.json()["detail"]) == (507, True)
        sound(api)
        assert HTTP.delete(f"{api}/collections/alice.c", headers=as_("a")).status_code == 200


def test_one_item_put_again_and_again_fills_nothing(tmp_path, monkeypatch):
    shelf = WritableCatalogue(tmp_path, Quota(size=2**18))
    shelf.create("alice.c", document("alice.c"), owner="alice")
    for n in range(60):
        shelf.put("alice.c", [item("one", "alice.c", note=os.urandom(5000).hex(), number=n)])
    size = sum(p.stat().st_size for p in tmp_path.rglob("*") if p.is_file())
    assert size < 2 * 2**18 + 2**16
    monkeypatch.setattr("geodes_lab.catalog.harvested.writable.KEPT", 0.0)
    shelf.tidy()
    assert len(list((tmp_path / "items").rglob("*.parquet"))) == 1
    (found,) = Index(Profile("x", "local", str(tmp_path))).records(Query(("alice.c",), latest=False))
    assert found["properties"]["number"] == 59


def test_search_goes_on_while_its_files_are_replaced(tmp_path):
    """Nothing is kept for it: it begins anew with what is there now."""
    shelf = WritableCatalogue(tmp_path, Quota(size=1))
    shelf = replace(shelf, quota=Quota())
    shelf.create("alice.c", document("alice.c"), owner="alice")
    shelf.put("alice.c", [item("one", "alice.c", number=0)])
    index, stop = Index(Profile("x", "local", str(tmp_path))), threading.Event()

    def write() -> None:
        number = 0
        while not stop.is_set() and number < 500:
            number += 1
            shelf.put("alice.c", [item("one", "alice.c", number=number)])
            named = {f.path for f in Snapshot.load(tmp_path).files}
            for path in (tmp_path / "items").rglob("*.parquet"):
                if str(path.relative_to(tmp_path)) not in named:
                    path.unlink()
            stop.wait(0.1)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(60):
            (found,) = index.records(Query(("alice.c",), latest=False))
            assert found["id"] == "one"
    finally:
        stop.set()
        writer.join()


def test_writers_wait_for_each_other(api, mine, results):
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(
                lambda n: HTTP.post(f"{mine}/items", json=item(f"n{n}", "alice.own"), headers=as_("a")),
                range(8),
            )
        )
    assert [a.status_code for a in answers] == [201] * 8
    assert HTTP.get(f"{mine}/items?limit=100", headers=as_("a")).json()["numberMatched"] == 8
    held, free = threading.Event(), threading.Event()

    def hold() -> None:
        with alone(results, "The test writes"):
            held.set()
            free.wait(30)

    other = threading.Thread(target=hold)
    other.start()
    held.wait(20)
    with ThreadPoolExecutor(1) as pool:
        waits = pool.submit(HTTP.post, f"{mine}/items", json=item("last", "alice.own"), headers=as_("a"))
        sound(api)  # reading goes on
        free.set()
        assert waits.result().status_code == 201
    other.join()


def test_nobody_keeps_the_others_from_writing():
    """Of each person one change is under way, and some wait: they are no more than one of those who stand in line."""
    turns, inside, go = Turns(), threading.Semaphore(0), threading.Event()
    together, most = 0, 0

    def change(person: str) -> None:
        nonlocal together, most
        with turns.of(person):
            together += person == "alice"
            most = max(most, together)
            inside.release()
            assert go.wait(30)
            together -= person == "alice"

    with ThreadPoolExecutor(20) as pool:
        hers = [pool.submit(change, "alice") for _ in range(8)]
        assert inside.acquire(timeout=20)
        while len(turns._places._taken["alice"]) < 8:
            threading.Event().wait(0.01)
        with pytest.raises(HTTPException) as told, turns.of("alice"):
            pass
        assert told.value.status_code == 429
        his = pool.submit(change, "bob")
        assert inside.acquire(timeout=20), "he does not wait for her"
        go.set()
        for one in (*hers, his):
            one.result()
    assert most == 1
    assert not turns._places._taken
    assert not turns._turn._taken
    assert not turns._locks


@pytest.mark.parametrize(
    ("asked", "count"),
    [
        ("../9999-12-31T23:59:59Z", 10),
        ("9999-12-31T23:59:59Z", 0),
        ("9999-12-31T23:59:59Z/..", 0),
        ("0001-01-01T00:00:00Z/..", 10),
    ],
)
def test_ends_of_the_calendar(own, asked, count):
    """Some clients say so that there is no end."""
    answer = HTTP.post(f"{own.url}/search", json={"datetime": asked})
    assert (answer.status_code, len(answer.json()["features"])) == (200, count)


# Names of people


def test_names_of_people_with_dots_are_told_apart():
    rights, jean, dupont = Rights(), Person("jean"), Person("jean.dupont")
    assert rights.may_name(jean, "jean.ndvi")
    assert not rights.may_name(jean, "jean.dupont.ndvi")
    assert rights.may_name(dupont, "jean.dupont.ndvi")
    assert not rights.may_name(dupont, "jean.ndvi")
    assert not rights.may_name(dupont, "jean.dupont")
    for name in ("jean.", "jean..x", "jean.a b", "jean.a/b", "jean.é", f"jean.{'x' * 61}", ".x", "x"):
        assert not rights.may_name(jean, name), name
    assert not rights.may_name(Person(), ".x")


def test_results_never_hide_what_was_harvested(tmp_path, results):
    """A harvested collection may be called as a person's: whoever sees it or not, the name is taken."""
    shelf = WritableCatalogue(tmp_path / "harvested")
    shelf.create("bob.secret", {"title": "restricted"})
    shelf.put("bob.secret", [item("hidden", "bob.secret")])
    other = WritableCatalogue(results)
    other.create("bob.secret", document("bob.secret", **{READERS: ["*"]}), owner="bob")  # from before it was harvested
    other.put("bob.secret", [item("own", "bob.secret")])
    with served(made(tmp_path / "harvested", results, Rights({"bob.secret": ["theia"]}), KnownTokens())) as url:
        assert HTTP.post(f"{url}/stac/collections", json=document("bob.secret"), headers=as_("b")).status_code == 409
        assert HTTP.get(f"{url}/stac/search", headers=as_("b")).json()["features"] == []
        assert [f["id"] for f in HTTP.get(f"{url}/stac/search", headers=as_("a")).json()["features"]] == ["hidden"]


def test_columns_and_bounds_are_those_that_are_said():
    assert geoparquet.ROWS == 2048
    assert partitions.types(pa.schema([(REST, pa.string()), ("a", pa.int64())])) == {"a": "integer"}
    terms.check_text(
        "S_INTERSECTS(geometry, MULTIPOLYGON(((-1 -1, -2 -3, 4 5, -1 -1)))) AND NOT (a IN ('(((((((((', 'b') OR b > -5)"
    )
