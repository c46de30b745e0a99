"""The catalogue's service: a STAC API that others' tools accept, and that shows to each person what that person may see."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path
from xml.etree import ElementTree

import cql2
import dask
import httpx
import pystac_client
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import geodes_lab as gl
from geodes_lab.catalog.harvested.index import Index
from geodes_lab.catalog.harvesting import harvested
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import Query
from hub.services.catalogue.access import READERS, Person, Rights
from hub.services.catalogue.app import made
from hub.services.person import Hub
from tests.support.examples import examples
from tests.support.servers.served import served
from tests.support.servers.standin import StandIn, products

ATOM = "{http://www.w3.org/2005/Atom}"
ITEMS = [*products(600), *products(60, seed=3, collection="THEIA_REFLECTANCE_SENTINEL2_L2A")]


class KnownTokens(Hub):
    """A hub of three people."""

    def who(self, token: str) -> Person:
        people = {
            "a": Person("alice", frozenset({"theia"})),
            "b": Person("bob"),
            "c": Person("carl", frozenset({"team"})),
        }
        return people.get(token, Person())


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("service") / "harvested"
    with StandIn(ITEMS) as service, dask.config.set(service.settings):
        harvested("geodes", path)
    return path


@pytest.fixture(scope="module")
def index(folder) -> Index:
    return Index(Profile("local", "local", str(folder)))


@pytest.fixture(scope="module")
def some_records(index) -> list[dict]:
    """Every fifth: another evaluator takes a millisecond or more for each."""
    return list(index.records(Query(("PEPS_S2_L1C",), latest=False)))[::5]


@pytest.fixture(scope="module")
def api(folder) -> Iterator[str]:
    """The address of the service, over HTTP."""
    application = made(
        folder,
        folder.with_name("results"),
        Rights({"THEIA_REFLECTANCE_SENTINEL2_L2A": ["theia"]}),
        KnownTokens(),
        public=True,
    )
    with served(application) as url:
        yield f"{url}/stac"


def as_(token: str) -> dict[str, str]:
    return {"Authorization": f"token {token}"} if token else {}


@pytest.fixture
def offline(monkeypatch):
    """The schemas of STAC's core come with pystac; those of the extensions lie on the internet, and accept all here."""
    from stac_validator import utilities

    core, others = {}, utilities.fetch_and_parse_file
    for path in (files("pystac") / "validation" / "jsonschemas").rglob("*.json"):
        core[path.name] = json.loads(path.read_text())

    def fetched(address: str, headers: dict | None = None) -> dict:
        if address.startswith("http://127.0.0.1"):
            return others(address, headers)
        return {} if "stac-extensions" in address else core[address.rstrip("#").rpartition("/")[2]]

    monkeypatch.setattr(utilities, "fetch_and_parse_file", fetched)
    utilities.fetch_and_parse_schema.cache_clear()
    yield
    utilities.fetch_and_parse_schema.cache_clear()


def document(name: str, **more) -> dict:
    extent = {"spatial": {"bbox": [[0, 40, 5, 45]]}, "temporal": {"interval": [["2021-01-01T00:00:00Z", None]]}}
    return {
        "type": "Collection", "stac_version": "1.1.0", "id": name, "description": "What I made.", "license": "other",
        "extent": extent, "links": [], **more,
    }  # fmt: skip


def item(name: str, collection: str, **properties) -> dict:
    ring = [[1.0, 43.0], [2.0, 43.0], [2.0, 44.0], [1.0, 44.0], [1.0, 43.0]]
    return {
        "type": "Feature", "stac_version": "1.1.0", "stac_extensions": [], "id": name, "collection": collection,
        "geometry": {"type": "Polygon", "coordinates": [ring]}, "bbox": [1.0, 43.0, 2.0, 44.0], "links": [],
        "properties": {"datetime": "2021-06-05T10:50:31Z", **properties},
        "assets": {"ndvi": {"href": "https://example.org/ndvi.tif", "type": "image/tiff", "roles": ["data"]}},
    }  # fmt: skip


@pytest.fixture
def mine(api) -> Iterator[str]:
    """A collection of Alice's own."""
    url = f"{api}/collections"
    assert httpx.post(url, json=document("alice.ndvi"), headers=as_("a")).status_code == 201
    yield f"{url}/alice.ndvi"
    httpx.delete(f"{url}/alice.ndvi", headers=as_("a"))


# Of the long ones: the validator makes some hundred requests in 40 s; the tests below ask the same of each endpoint.
@pytest.mark.slow
def test_stac_api_validator_finds_nothing_wrong(api, mine, offline):
    from stac_api_validator.validations import QueryConfig, validate_api

    place = httpx.get(f"{api}/search?limit=1").json()["features"][0]["geometry"]
    _, errors = validate_api(
        root_url=f"{api}/",
        ccs_to_validate=[
            "core", "collections", "features", "item-search", "filter", "item-search#sort", "item-search#fields",
            "features#sort", "features#fields",
        ],
        collection="PEPS_S2_L1C",
        geometry=json.dumps(place),
        auth_bearer_token="a",
        auth_query_parameter=None,
        fields_nested_property="properties.eo:cloud_cover",
        validate_pagination=True,
        query_config=QueryConfig(*[None] * 13),
        transaction_collection=None,
        headers={},
    )  # fmt: skip
    # It sends `collections` as a text where STAC has a list, and wants `"fields": null` refused, which stac-fastapi takes as none.
    own = ('"collections": "PEPS_S2_L1C"', '"fields": null')
    wrong = [e for e in errors.as_list() if not any(text in e for text in own)]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "asked",
    [
        {"datetime": "2019"},
        {"bbox": (-20, 30, 60, 60), "latest": False},
        {"cloud_cover": 20, "sortby": "-eo:cloud_cover"},
        {"platform": ["S2A", "S2B"], "limit": 120, "latest": False},
        {"intersects": {"type": "Polygon", "coordinates": [[[-100, -40], [100, 0], [100, 50], [-100, -40]]]}},
    ],
    ids=lambda a: ",".join(a),
)
def test_gl_search_of_the_service_is_that_of_the_files(api, folder, asked):
    there, here = gl.search("PEPS_S2_L1C", url=api, **asked), gl.search("PEPS_S2_L1C", url=str(folder), **asked)
    assert [i.id for i in there] == [i.id for i in here]
    assert len(here) > 0
    own = ("links", "stac_extensions")
    assert {k: v for k, v in there[0].to_dict(False, False).items() if k not in own} == {
        k: v for k, v in here[0].to_dict(False, False).items() if k not in own
    }


CONDITIONS = st.recursive(
    st.one_of(
        st.builds(
            lambda op, v: {"op": op, "args": [{"property": "eo:cloud_cover"}, v]},
            st.sampled_from(["<", "<=", ">", ">=", "=", "<>"]), st.integers(0, 100),
        ),
        st.builds(
            lambda several: {"op": "in", "args": [{"property": "platform"}, several]},
            st.lists(st.sampled_from(["S2A", "S2B", "S2C", "X"]), min_size=1, max_size=3),
        ),
        st.builds(
            lambda low, high: {"op": "between", "args": [{"property": "sat:relative_orbit"}, low, low + high]},
            st.integers(1, 143), st.integers(0, 80),
        ),
        st.builds(
            lambda text: {"op": "like", "args": [{"property": "id"}, text]},
            st.sampled_from(["S2A%", "%_N0511_%", "%T1_C%", "S2B_MSIL1C_2019%"]),
        ),
        st.builds(
            lambda w, s: {"op": "s_intersects", "args": [{"property": "geometry"}, {"bbox": [w, s, w + 40, s + 30]}]},
            st.integers(-180, 140), st.integers(-90, 60),
        ),
    ),
    lambda inner: st.one_of(
        st.builds(lambda op, args: {"op": op, "args": args}, st.sampled_from(["and", "or"]), st.lists(inner, min_size=2, max_size=3)),
        st.builds(lambda arg: {"op": "not", "args": [arg]}, inner),
    ),
    max_leaves=5,
)  # fmt: skip


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(condition=CONDITIONS)
def test_any_condition_finds_what_another_evaluator_finds(index, some_records, condition):
    query = Query(("PEPS_S2_L1C",), latest=False, cql2=condition)
    found = {r["id"] for r in index.records(query)}
    expression = cql2.Expr(condition)
    wanted = {r["id"] for r in some_records if expression.matches(r)}
    assert found & {r["id"] for r in some_records} == wanted


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("eo:cloud_cove < 3", "no queryable 'eo:cloud_cove'.*eo:cloud_cover"),
        ("eo:cloud_cover <", "is not valid CQL2"),
        ("read_text('/etc/passwd') = 'x'", "which this catalogue does not support|not valid CQL2"),
        ("datetime > 'yesterday'", "cannot compare"),
        ('"x"" OR 1=1 --" = 1', "no queryable|is not valid CQL2"),
    ],
)
def test_condition_without_meaning_is_refused_in_a_sentence(api, text, said):
    answer = httpx.get(f"{api}/search", params={"filter": text})
    assert answer.status_code == 400
    assert re.search(said, answer.json()["detail"])


def test_polarisations_are_found_by_their_members(api, mine):
    has = {"dual": ["VV", "VH"], "single": ["VV"], "other": ["HH"], "none": None}
    for name, several in has.items():
        more = {"sar:polarizations": several} if several else {}
        assert httpx.post(f"{mine}/items", json=item(name, "alice.ndvi", **more), headers=as_("a")).status_code == 201
    queryables = httpx.get(f"{mine}/queryables", headers=as_("a")).json()["properties"]
    assert queryables["sar:polarizations"] == {"type": "array"}

    def found(**asked: object) -> set[str] | str:
        answer = httpx.post(f"{api}/search", json={"collections": ["alice.ndvi"], **asked}, headers=as_("a"))
        there = answer.json()
        assert answer.status_code in (200, 400), answer.text
        return {f["id"] for f in there["features"]} if answer.status_code == 200 else there["detail"]

    hostile = "VV') OR true --"
    for op, members in (
        ("a_contains", ["VV"]), ("a_contains", ["VV", "VH"]), ("a_contains", ["HH", "VV"]), ("a_overlaps", ["HH", "VH"]),
        ("a_overlaps", ["HV", hostile]),
    ):  # fmt: skip
        together = all if op == "a_contains" else any
        wanted = {name for name, several in has.items() if several and together(m in several for m in members)}
        condition = {"op": op, "args": [{"property": "sar:polarizations"}, members]}
        assert found(filter=condition) == wanted, condition
        listed = ", ".join(f"'{m.replace(chr(39), 2 * chr(39))}'" for m in members)
        text = f'{op.upper()}("sar:polarizations", ({listed}))'
        page = httpx.get(f"{api}/search", params={"collections": "alice.ndvi", "filter": text}, headers=as_("a"))
        assert page.status_code == 200, page.text
        assert {f["id"] for f in page.json()["features"]} == wanted, text
    one = {"op": "=", "args": [{"property": "sar:polarizations"}, "VV"]}
    assert found(filter=one) == {"dual", "single"}, "one member is asked for as a value"
    for wrong in ("VV", 3, [["VV"]], [{"property": "id"}]):
        said = found(filter={"op": "a_overlaps", "args": [{"property": "sar:polarizations"}, wrong]})
        assert isinstance(said, str), (wrong, said)
        assert said.endswith("."), said
    asked = {"collection": "alice.ndvi", "polarizations": "HH,VH"}
    entries = ElementTree.fromstring(feed(api, **asked).content).findall(f"{ATOM}entry")
    assert {"dual", "other"} <= {e.findtext(f"{ATOM}title") for e in entries} <= {"dual", "other", "none"}


def test_pages_by_both_methods_give_each_item_once_in_order(api):
    client = pystac_client.Client.open(api)
    items = list(client.search(collections=["PEPS_S2_L1C"], sortby="-datetime", limit=70).items())
    whole = [i.id for i in items]
    assert len(whole) == len(set(whole)) == 600
    by_get = [
        i.id for i in client.search(method="GET", collections=["PEPS_S2_L1C"], sortby="-datetime", limit=70).items()
    ]
    assert by_get == whole
    times = [i.datetime for i in items]
    assert times == sorted(times, reverse=True)
    assert client.search(collections=["PEPS_S2_L1C"]).matched() == 600


def test_fields_are_those_asked_for(api):
    one = httpx.post(
        f"{api}/search", json={"limit": 1, "fields": {"exclude": ["assets", "properties.platform"]}}
    ).json()
    assert "assets" not in one["features"][0]
    assert "platform" not in one["features"][0]["properties"]
    assert "sat:orbit_state" in one["features"][0]["properties"]
    one = httpx.get(f"{api}/search?limit=1&fields=id,properties.platform,-links").json()["features"][0]
    assert one["properties"].keys() == {"platform"}
    assert "links" not in one


def test_restricted_collection_is_not_there_for_others(api):
    name = "THEIA_REFLECTANCE_SENTINEL2_L2A"
    url = f"{api}/collections/{name}"
    first = httpx.get(f"{url}/items?limit=1", headers=as_("a")).json()["features"][0]["id"]
    for headers in ({}, as_("b"), as_("unknown")):
        for address in (url, f"{url}/items", f"{url}/items/{first}", f"{url}/queryables"):
            assert httpx.get(address, headers=headers).status_code == 404, address
        ids = [c["id"] for c in httpx.get(f"{api}/collections", headers=headers).json()["collections"]]
        assert name not in ids
        assert httpx.get(f"{api}/search", params={"collections": name}, headers=headers).json()["features"] == []
        assert httpx.get(f"{api}/search", params={"ids": first}, headers=headers).json()["features"] == []
        found = httpx.get(f"{api}/search", params={"filter": f"collection = '{name}'"}, headers=headers).json()
        assert found["numberMatched"] == 0
    assert httpx.get(f"{api}/search", params={"collections": name}, headers=as_("a")).json()["numberMatched"] == 60


def test_user_puts_changes_and_removes_results(api, mine):
    put = httpx.post(f"{mine}/items", json=item("one", "alice.ndvi", mean=0.4), headers=as_("a"))
    assert put.status_code == 201
    assert put.json()["properties"]["mean"] == 0.4
    assert httpx.post(f"{mine}/items", json=item("one", "alice.ndvi"), headers=as_("a")).status_code == 409
    later = item("two", "alice.ndvi", mean=0.7)
    later["properties"]["datetime"] = "2022-06-05T00:00:00Z"
    put = httpx.post(f"{mine}/items", json=later, headers=as_("a"))
    assert put.status_code == 201, put.text
    found = httpx.get(
        f"{api}/search", params={"collections": "alice.ndvi", "filter": "mean > 0.5"}, headers=as_("a")
    ).json()
    assert [f["id"] for f in found["features"]] == ["two"]
    # With the catalogue's in one search, in order.
    both = httpx.get(
        f"{api}/search", params={"datetime": "2021-06-01T00:00:00Z/2022-07-01T00:00:00Z", "sortby": "-datetime", "limit": 500},
        headers=as_("a"),
    ).json()  # fmt: skip
    times = [f["properties"]["datetime"] for f in both["features"]]
    assert times == sorted(times, reverse=True)
    assert {"one", "two"} < {f["id"] for f in both["features"]}
    assert both["numberMatched"] == len(times)
    changed = httpx.patch(f"{mine}/items/one", json={"properties": {"mean": 0.5, "note": "better"}}, headers=as_("a"))
    assert (changed.json()["properties"]["mean"], changed.json()["properties"]["note"]) == (0.5, "better")
    operations = [
        {"op": "remove", "path": "/properties/note"},
        {"op": "replace", "path": "/properties/mean", "value": 0.6},
    ]
    changed = httpx.patch(f"{mine}/items/one", json=operations, headers=as_("a")).json()
    assert changed["properties"].keys() == {"datetime", "mean"}
    moved = item("one", "alice.ndvi", mean=0.1)
    moved["properties"]["datetime"] = "2020-01-01T00:00:00Z"  # into another month
    assert httpx.put(f"{mine}/items/one", json=moved, headers=as_("a")).status_code == 200
    assert len(httpx.get(f"{mine}/items", headers=as_("a")).json()["features"]) == 2
    assert httpx.delete(f"{mine}/items/two", headers=as_("a")).status_code == 200
    assert httpx.get(f"{mine}/items/two", headers=as_("a")).status_code == 404
    strange = item("three", "alice.ndvi", mean="much")
    strange["properties"]["datetime"] = "2020-01-02T00:00:00Z"
    refused = httpx.post(f"{mine}/items", json=strange, headers=as_("a"))
    assert refused.status_code == 400
    assert "property whose type differs" in refused.json()["detail"]
    assert len(httpx.get(f"{mine}/items", headers=as_("a")).json()["features"]) == 1


def test_results_are_their_owner_s_until_shared(api, mine):
    httpx.post(f"{mine}/items", json=item("one", "alice.ndvi"), headers=as_("a"))
    for token in ("b", "c", ""):
        assert httpx.get(f"{mine}/items", headers=as_(token)).status_code == 404
        for method in ("PUT", "DELETE", "PATCH"):
            answer = httpx.request(method, f"{mine}/items/one", json=item("one", "alice.ndvi"), headers=as_(token))
            assert answer.status_code in (401, 404), (method, token)
            if method == "DELETE":
                assert httpx.request(method, mine, headers=as_(token)).status_code in (401, 404)
    shared = httpx.patch(mine, json={READERS: ["team"]}, headers=as_("a"))
    assert shared.status_code == 200
    assert READERS not in shared.json()  # whom it is shared with is nobody else's business
    assert httpx.get(f"{mine}/items", headers=as_("c")).status_code == 200
    assert httpx.get(f"{mine}/items", headers=as_("b")).status_code == 404
    refused = httpx.post(f"{mine}/items", json=item("x", "alice.ndvi"), headers=as_("c"))
    assert (refused.status_code, "is not yours" in refused.json()["detail"]) == (403, True)


@pytest.mark.attack
def test_names_of_others_and_of_the_catalogue_are_refused(api):
    for name in ("bob.ndvi", "PEPS_S2_L1C", "ndvi", "alice", "../x"):
        assert httpx.post(f"{api}/collections", json=document(name), headers=as_("a")).status_code in (403, 422), name
    assert httpx.post(f"{api}/collections", json=document("alice.x")).status_code == 401
    assert httpx.delete(f"{api}/collections/PEPS_S2_L1C", headers=as_("a")).status_code == 403
    one = item("one", "PEPS_S2_L1C")
    assert httpx.post(f"{api}/collections/PEPS_S2_L1C/items", json=one, headers=as_("a")).status_code == 403
    odd = httpx.post(f"{api}/collections", json=document("alice.a/../b"), headers=as_("a"))
    assert odd.status_code == 403


def test_page_and_quicklooks_come_from_here_alone(api):
    page = api.removesuffix("stac")
    answer = httpx.get(page)
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert set(re.findall(r'https?://[^"]*', answer.text)) == {"http://www.w3.org/2000/svg"}  # a name, no address
    assert httpx.get(f"{page}assets/page.js").status_code == 200
    assert httpx.get(f"{page}assets/..%2faccess.py").status_code == 404
    first = httpx.get(f"{api}/search?limit=1").json()["features"][0]
    # Its address is a host that the settings do not name: nobody is asked.
    assert httpx.get(f"{page}quicklook/PEPS_S2_L1C/{first['id']}").status_code == 404
    assert httpx.get(f"{page}me", headers=as_("a")).json() == {"name": "alice", "groups": ["theia"]}


def feed(api: str, token: str = "a", **asked: str) -> httpx.Response:
    return httpx.get(f"{api.removesuffix('stac')}feed.atom", params=asked, headers=as_(token))


def test_feed_has_the_newest_of_a_search(api, folder):
    answer = feed(api, collection="PEPS_S2_L1C", clouds="20", bbox="-120,-60,120,70")
    assert answer.headers["content-type"].startswith("application/atom+xml")
    tree = ElementTree.fromstring(answer.content)
    names = [e.findtext(f"{ATOM}title") for e in tree.findall(f"{ATOM}entry")]
    wanted = gl.search(
        "PEPS_S2_L1C", url=str(folder), cloud_cover=20, bbox=(-120, -60, 120, 70), sortby="-published", limit=100
    )
    assert names == [i.id for i in wanted]
    assert 0 < len(names) < 100
    times = [e.findtext(f"{ATOM}updated") for e in tree.findall(f"{ATOM}entry")]
    assert times == sorted(times, reverse=True)
    assert tree.findtext(f"{ATOM}updated") == times[0]
    link = tree.find(f"{ATOM}entry/{ATOM}link").get("href")
    assert link.startswith(f"{api.removesuffix('stac')}?collection=PEPS_S2_L1C&product=")
    # The page's other areas: a polygon, and a tile.
    tile = names[0].split("_T")[1][:5]
    by_tile = ElementTree.fromstring(feed(api, collection="PEPS_S2_L1C", tile=tile).content)
    assert {e.findtext(f"{ATOM}title").split("_T")[1][:5] for e in by_tile.findall(f"{ATOM}entry")} == {tile}
    inside = ElementTree.fromstring(feed(api, collection="PEPS_S2_L1C", polygon="-120,-60,120,-60,0,70").content)
    ring = {"type": "Polygon", "coordinates": [[[-120, -60], [120, -60], [0, 70], [-120, -60]]]}
    wanted = gl.search("PEPS_S2_L1C", url=str(folder), intersects=ring, sortby="-published", limit=100)
    assert [e.findtext(f"{ATOM}title") for e in inside.findall(f"{ATOM}entry")] == [i.id for i in wanted]
    both = feed(api, collection="PEPS_S2_L1C", property="platform", value="S2A", also="sat:orbit_state=descending")
    wanted = gl.search(
        "PEPS_S2_L1C", url=str(folder), platform="S2A", sat_orbit_state="descending", sortby="-published", limit=100
    )
    found = [e.findtext(f"{ATOM}title") for e in ElementTree.fromstring(both.content).findall(f"{ATOM}entry")]
    assert found == [i.id for i in wanted]
    for wrong in ({"also": "nothing=1"}, {"polygon": "1,2,3,4"}, {"polygon": "1,x"}, {"tile": "'; DROP"}):
        assert feed(api, collection="PEPS_S2_L1C", **wrong).status_code == 400


@pytest.mark.attack
def test_feed_is_in_its_reader_s_rights_and_takes_no_other_words(api, mine):
    strange = "<b>&\"'"
    put = httpx.post(f"{mine}/items", json=item("odd", "alice.ndvi", note=strange), headers=as_("a"))
    assert put.status_code == 201, put.text
    theia = "THEIA_REFLECTANCE_SENTINEL2_L2A"
    assert (
        len(ElementTree.fromstring(feed(api, collection=theia).content).findall(f"{ATOM}entry")) == 58
    )  # without superseded ones
    assert feed(api, "b", collection=theia).status_code == feed(api, "b", collection="NONE").status_code == 404
    assert feed(api, "b", collection="alice.ndvi").status_code == 404
    found = ElementTree.fromstring(feed(api, collection="alice.ndvi", property="note", value=strange).content)
    assert [e.findtext(f"{ATOM}title") for e in found.findall(f"{ATOM}entry")] == ["odd"]
    one = feed(api, collection="alice.ndvi", property="id", value="odd")
    assert len(ElementTree.fromstring(one.content).findall(f"{ATOM}entry")) == 1
    for asked in ({}, {"collection": "PEPS_S2_L1C", "shape": "x"}, {"collection": "PEPS_S2_L1C", "bbox": "1,2"},
                  {"collection": "PEPS_S2_L1C", "clouds": "x"}, {"collection": "PEPS_S2_L1C", "value": "x" * 501},
                  {"collection": "PEPS_S2_L1C", "property": "no", "value": "x"}):  # fmt: skip
        answer = feed(api, **asked)
        assert answer.status_code == 400, asked
        assert answer.json()["detail"].endswith((".", "…."))
