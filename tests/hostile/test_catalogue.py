"""Catalogues that mean harm: each answer that is none is one sentence, within bounds of memory and time, and opens no file."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import textwrap
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import dask
import pystac
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import geodes_lab as gl
from geodes_lab.catalog import harvesting
from geodes_lab.catalog import profile as profiles
from geodes_lab.catalog.items import Items
from geodes_lab.catalog.lookup import opened
from geodes_lab.catalog.remote import http as remote_http
from geodes_lab.catalog.remote import parsing
from geodes_lab.catalog.remote import static as static_module
from geodes_lab.catalog.remote.normalize import normalize_item
from geodes_lab.errors import GeodesError
from geodes_lab.storage.location import ELSEWHERE, locate
from tests.support.examples import examples
from tests.support.servers.witness import Witness, api, collection, item, landing

pytestmark = pytest.mark.attack


@pytest.fixture
def server():
    with Witness() as running:
        running.answer = api(f"{running.url}/stac")
        yield running


def answers(server: Witness, **changed) -> str:
    server.answer = api(f"{server.url}/stac", **changed)
    return f"{server.url}/stac"


def page(*features, links=(), **more):
    return {"type": "FeatureCollection", "features": list(features), "links": list(links)} | more


NOT_ITEMS = [
    5, None, "text", [], [[]], {}, {"id": "i"}, item(id=5), item(id=""), item(id=None), item(id="a\x1b[2J"), item(id="a" * 2000), item(properties=None),
    item(properties=[]), item(properties="text"), item(properties={"datetime": 5}), item(properties={"datetime": "not a time"}),
    item(properties={"datetime": "2021-06-05T00:00:00Z", "eo:cloud_cover": "text"}), item(properties={"datetime": "2021-06-05T00:00:00Z", "platform": {"a": 1}}),
    item(geometry=5), item(geometry={"type": "Nonsense"}), item(geometry={"type": "Polygon", "coordinates": 5}), item(geometry={"type": "Polygon", "coordinates": [[["a"]]]}),
    item(bbox=5), item(bbox=[1]), item(bbox=["a", "b", "c", "d"]), item(links=5), item(links=[5]), item(links=[{}]), item(links=[{"rel": 5, "href": "x"}]),
    item(links=[{"rel": "self", "href": 5}]), item(links=[{"rel": "self", "href": "http://[/"}]), item(assets=5), item(assets=[]), item(assets={"a": 5}), item(assets={"a": {}}),
    item(assets={"a": {"href": 5}}), item(assets={"a": {"href": "x", "roles": 5}}), item(assets={"a": {"href": "x", "roles": [5]}}), item(assets={"a": {"href": "x", "type": 5}}),
    item(assets={"a": {"href": "x", "alternate": 5}}), item(assets={"a": {"href": "x", "alternate": {"b": {"href": 5}}}}), item(stac_version=5), item(stac_extensions=5),
    item(stac_extensions=[5]), item(collection=5), item(type="Collection"), item(type=5),
]  # fmt: skip


@pytest.mark.parametrize("one", NOT_ITEMS, ids=lambda i: json.dumps(i)[:60])
def test_what_is_no_item_is_one_sentence(server, one):
    url = answers(server, **{"/stac/search": page(item("good"), one)})
    with pytest.raises(GeodesError) as told:
        gl.search("c", url=url)
    assert str(told.value).startswith("The catalogue ")
    assert "\x1b" not in str(told.value)
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("said", [5, [], "x", {"features": 5}, {"features": {}}, {"features": [item()], "links": 5}, {"features": [item()], "links": [5]},
                                  {"features": [item()], "context": 5}])  # fmt: skip
def test_what_is_no_page_is_one_sentence(server, said):
    url = answers(server, **{"/stac/search": lambda told: said})
    with pytest.raises(GeodesError):
        gl.search("c", url=url)


@pytest.mark.parametrize("said", [5, [], {}, {"collections": 5}, {"collections": [5]}, {"collections": [{}]}, {"collections": [collection(id=5)]},
                                  {"collections": [collection(extent=5)]}, {"collections": [collection(title=5)]}, {"collections": [collection(links=[5])]}])  # fmt: skip
def test_what_are_no_collections_is_one_sentence(server, said):
    url = answers(server, **{"/stac/collections": lambda told: said})
    for ask in (lambda: gl.collections(url=url), lambda: gl.search("c", url=url)):
        try:
            found = ask()
        except GeodesError:
            continue
        assert len(found) == 0


@pytest.mark.parametrize("said", [5, [], {}, {"conformsTo": 5}, {"links": 5}, {"id": 5}, {"links": [{"rel": "data"}]}])
def test_what_is_no_first_page_is_one_sentence(server, said):
    url = f"{server.url}/stac"
    first = landing(url) | said if isinstance(said, dict) and said else said
    answers(server, **{"/stac": lambda told: first})
    with pytest.raises(GeodesError):
        gl.search("c", url=url)


JSON = st.recursive(st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "href", "rel", "type", "a"]), inner, max_size=3), max_leaves=8)  # fmt: skip


@settings(max_examples=examples(300), deadline=None)
@given(st.sampled_from(list(item(assets={"a": {"href": "x"}}))), JSON)
def test_a_field_that_is_anything_is_an_item_or_a_sentence(key, value):
    raw = json.loads(json.dumps(item(assets={"a": {"href": "x"}}) | {key: value}))
    try:
        made = pystac.Item.from_dict(parsing.document(raw, "https://a/b", "It"))
    except GeodesError:
        return
    except Exception:  # what pystac says, the catalogue's adapter makes a sentence of (above); ours raises nothing else
        assert key in (
            "stac_version",
            "stac_extensions",
            "properties",
            "type",
            "links",
            "collection",
            "assets",
            "bbox",
            "geometry",
        )
        return
    many = Items([made])
    assert repr(many)
    assert many._repr_html_()


@pytest.mark.parametrize("times", [1, 5])
def test_pages_in_a_circle(server, times):
    """A link to itself, and a circle of several."""
    url = f"{server.url}/stac"

    def answer(told):
        number = json.loads(told.body).get("token", 0)
        link = {
            "rel": "next",
            "href": f"{url}/search",
            "method": "POST",
            "body": {"token": (number + 1) % times},
            "merge": True,
        }
        return page(item(f"i{number}"), links=[link])

    answers(server, **{"/stac/search": answer})
    with pytest.raises(GeodesError, match=r"in a circle|again and again"):
        gl.search("c", url=url)
    assert len(server.told) < 20


def test_pages_without_end(server, monkeypatch):
    """Each has a new link, and new Items: bounded by their number, and by what they hold."""
    from geodes_lab.catalog.remote import service

    monkeypatch.setattr(service, "_PAGES", 30)
    url, count = f"{server.url}/stac", iter(range(10**9))

    def answer(told):
        number = next(count)
        return page(item(f"i{number}"), links=[{"rel": "next", "href": f"{url}/search?n={number}"}])

    answers(server, **{"/stac/search": answer})
    with pytest.raises(GeodesError, match="more than 30 pages"):
        gl.search("c", url=url)
    assert len(gl.search("c", url=url, limit=3)) == 3
    monkeypatch.setattr(service, "_PAGES", 10**6)
    monkeypatch.setattr(service, "MOST", 20_000)
    with pytest.raises(GeodesError, match="more than 1 GiB"):
        gl.search("c", url=url)


DEEP = [b"[" * 100 + b"]" * 100, b'{"a":' * 500 + b"1" + b"}" * 500, b"[" * 100_000, b"[" * 100_000 + b"]" * 100_000]


@pytest.mark.parametrize("body", DEEP, ids=len)
def test_depth(server, body):
    url = answers(server, **{"/stac/search": (200, {}, b'{"features": [], "x": ' + body + b"}")})
    with pytest.raises(GeodesError):
        gl.search("c", url=url)
    with dask.config.set({"geodes_lab.catalog.profiles.geodes.url": url}), pytest.raises(GeodesError):
        gl.search("PEPS_S2_L1C", profile="geodes")


BOMB = """
import gzip, json, resource, sys
resource.setrlimit(resource.RLIMIT_AS, (3 * 2**30, 3 * 2**30))
sys.path.insert(0, sys.argv[1])
import geodes_lab as gl
try:
    gl.search("c", url=sys.argv[2])
except gl.GeodesError as error:
    print("sentence:", error)
# Not ru_maxrss, which counts the process that this one was forked from.
print(next(int(line.split()[1]) // 1024 for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""


@pytest.mark.parametrize(
    ("what", "value", "says"),
    [
        ("_BYTES", 100, "MiB or"),
        ("_SECONDS", -1.0, "minutes to read"),
        ("_LINKS", 0, "links, more than the limit of 0"),
    ],
)
def test_a_static_catalogue_without_an_end(server, monkeypatch, what, value, says):
    """Each document is small, and links to the next: what is bounded is all that one search reads."""
    url = static(server, "c/collection.json")
    assert len(gl.search("c", url=url)) == 1
    monkeypatch.setattr(static_module, what, value)
    with pytest.raises(GeodesError, match=says):
        gl.search("c", url=url)


@pytest.mark.parametrize("kind", ["plain", "gzip", "lists"])
def test_a_gigantic_answer_takes_little_memory(server, kind):
    """In a process whose memory is bounded: 400 MB of blanks, 2 GB in 2 MB of gzip, and what is small and makes millions of objects."""
    body, headers = b"", {}
    if kind == "plain":
        body = b" " * 400_000_000
    elif kind == "gzip":
        packed, many = gzip.compress(b" " * 2**24, 9), 128
        body, headers = packed * many, {"Content-Encoding": "gzip"}
    else:
        body = b'{"features": [' + b"[]," * 9_000_000 + b"[]]}"
    url = answers(server, **{"/stac/search": (200, headers, body)})
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(BOMB), str(Path(gl.__file__).parents[1]), url],
        capture_output=True,
        text=True,
        timeout=250,
    )
    assert done.returncode == 0, done.stderr[-500:]
    sentence, size = done.stdout.strip().splitlines()
    assert sentence.startswith("sentence: ")
    assert int(size) < 1600, f"{size} MiB"


def test_an_answer_that_drips(monkeypatch):
    """A byte now and then, each well within the time between two parts: what is bounded is the whole."""
    monkeypatch.setattr(remote_http, "_SECONDS", 0.5)
    gone = threading.Event()

    class Slow(BaseHTTPRequestHandler):
        def log_message(self, *_): ...

        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            try:
                while not gone.wait(0.02):
                    self.wfile.write(b" ")
            except OSError:
                gone.set()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    try:
        began = time.monotonic()
        with pytest.raises(GeodesError, match="did not arrive completely"):
            gl.search("c", url=f"http://127.0.0.1:{server.server_port}/stac")
        assert time.monotonic() - began < 60
    finally:
        gone.set()
        server.shutdown()
        server.server_close()


def test_an_answer_that_is_cut(server):
    server.answer = lambda told: (200, {"Content-Length": "1000", "Connection": "close"}, b"{}")
    with pytest.raises(GeodesError):
        gl.search("c", url=f"{server.url}/stac")


LEADS = ["file:///etc/passwd", "FILE:///etc/passwd", "file:/etc/passwd", "ftp://127.0.0.1/x", "gopher://127.0.0.1:6379/x", "data:application/json,{}", "http://[::1", "http://127.0.0.1:1/",
         "http://localhost:1/", "http://[::1]:1/", "http://169.254.169.254/latest/meta-data/", "http://10.1.2.3/", "http://2130706433:1/", "http://intranet/", "http://[::ffff:10.1.2.3]/",
         "http://a@127.0.0.1:1/", "http://127.0.0.1:1\\@elsewhere.example/", "https://metadata.google.internal/", "http://0.0.0.0:1/"]  # fmt: skip


@pytest.mark.parametrize("href", LEADS)
def test_a_catalogue_leads_nowhere_but_to_servers_of_the_internet(server, href):
    url = f"{server.url}/stac"
    for changed in (
        {"/stac/search": page(item(), links=[{"rel": "next", "href": href}])},
        {"/stac/search": (307, {"Location": href}, b"")},
        {"/stac": (302, {"Location": href}, b"")},
        {"search": href},
        {"data": href},
    ):
        answers(server, **changed)
        with pytest.raises(GeodesError):
            gl.search("c", url=url)


def test_a_path_in_a_link_is_one_of_the_server(server, tmp_path):
    """A link to /etc/passwd is one to the server's own /etc/passwd, as RFC 3986 says."""
    secret = tmp_path / "page.json"
    secret.write_text(json.dumps(page(item("secret"))))
    url = answers(server, **{"/stac/search": page(item(), links=[{"rel": "next", "href": str(secret)}])})
    with pytest.raises(GeodesError):
        gl.search("c", url=url)
    assert server.told[-1].path == str(secret)


def test_other_methods_are_not_followed(server):
    url = f"{server.url}/stac"
    for method in ("DELETE", "PUT", "PATCH", "delete"):
        answers(server, **{"/stac/search": page(item(), links=[{"rel": "next", "href": f"{url}/x", "method": method}])})
        with pytest.raises(GeodesError):
            gl.search("c", url=url)
    assert {t.method for t in server.told} == {"GET", "POST"}


@pytest.mark.parametrize(("address", "is_public"), [
    ("93.184.216.34", True), ("2606:2800:220:1:248:1893:25c8:1946", True), ("127.0.0.1", False), ("10.0.0.1", False), ("172.16.0.1", False), ("192.168.1.1", False),
    ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False), ("224.0.0.1", False), ("::1", False), ("::", False), ("fe80::1%eth0", False), ("fd00::1", False),
    ("::ffff:127.0.0.1", False), ("2002:7f00:1::", False), ("64:ff9b::7f00:1", False), ("64:ff9b::5db8:d822", True), ("ff02::1", False),
])  # fmt: skip
def test_addresses_of_the_internet(address, is_public):
    assert remote_http.is_public(address) is is_public


def test_where_a_name_leads_is_seen_when_there_is_a_connection(server):
    """A name of the internet that leads to this machine, as an attacker's own does: the connection is given up before a word is said."""
    import socket

    asked = remote_http.Web("https://catalogue.example/stac")
    real = socket.getaddrinfo
    with pytest.MonkeyPatch.context() as patch:  # the name service of an attacker
        patch.setattr(
            socket,
            "getaddrinfo",
            lambda host, *more, **most: real("127.0.0.1" if host == "evil.example" else host, *more, **most),
        )
        with pytest.raises(GeodesError, match=r"evil\.example, another server on this machine"):
            asked.ask(f"http://evil.example:{server.url.rpartition(':')[2]}/")
    assert server.told == []


# Files of this machine.


def test_items_of_a_server_name_no_file_of_this_machine(server, tmp_path):
    secret = tmp_path / "secret.tif"
    secret.write_bytes(b"secret")
    hrefs = {
        "file": secret.as_uri(),
        "upper": secret.as_uri().replace("file", "FILE"),
        "path": str(secret),
        "short": f"file:{secret}",
        "up": "../../../.." + str(secret),
    }
    assets = {k: {"href": h, "roles": ["data"], "alternate": {"b": {"href": h}}} for k, h in hrefs.items()}
    url = answers(server, **{"/stac/search": page(item(assets=assets))})
    found = gl.search("c", url=url)[0]
    for asset in found.assets.values():
        for href in (asset.href, asset.get_absolute_href(), asset.extra_fields["alternate"]["b"]["href"]):
            assert href.startswith((ELSEWHERE, server.url))
            if href.startswith(ELSEWHERE):
                with pytest.raises(GeodesError, match="a file on the machine of its catalogue"):
                    locate(href)
            else:
                assert locate(href).scheme == "http"
    with pytest.raises(GeodesError):
        gl.open_product(found)
    # A dictionary of it is the same; the person's own Item, and a catalogue that is trusted, may name files.
    assert all(not a["href"].startswith("file:") for a in found.to_dict()["assets"].values())
    mine = pystac.Item.from_dict(item(assets={"a": {"href": secret.as_uri()}}))
    assert locate(mine.assets["a"].href).scheme == "file"
    told = {"kind": "stac", "url": url, "files": True}
    with dask.config.set({"geodes_lab.catalog.profiles.trusted": told}):
        assert locate(gl.search("c", profile="trusted")[0].assets["file"].href).scheme == "file"


def test_an_item_of_geodes_names_no_file_either(server, tmp_path):
    secret = tmp_path / "secret.zip"
    secret.write_bytes(b"secret")
    told = {
        "identifier": "a",
        "start_datetime": "2021-06-05T00:00:00",
        "datetime": "2021-06-06T00:00:00",
        "endpoint_url": secret.as_uri(),
    }
    raw = item(
        "URN:FEATURE:a",
        properties=told,
        assets={"x": {"href": secret.as_uri(), "roles": ["data"], "type": "application/zip"}},
    )
    url = answers(server, **{"/stac/search": page(raw, context={"matched": 1})})
    with dask.config.set({"geodes_lab.catalog.profiles.geodes.url": url}):
        for made in (gl.search("PEPS_S2_L1C", profile="geodes", limit=1), gl.search("c", url=url)):
            assert [a.href for a in made[0].assets.values()] == [f"{ELSEWHERE}://{secret}"]


@pytest.mark.parametrize("change", [{"properties": 5}, {"properties": {"identifier": 5, "start_datetime": 5}}, {"assets": 5}, {"assets": {"a": 5}}, {"links": 5}, {"links": [5]},
                                    {"assets": {"a": {"href": "x", "description": 5, "roles": 5}}}])  # fmt: skip
def test_an_item_of_geodes_that_is_none_is_a_sentence(server, change):
    raw = item("URN:FEATURE:a", properties={"identifier": "a", "start_datetime": "2021-06-05T00:00:00"}) | change
    with pytest.raises(GeodesError):
        parsing.document(normalize_item(raw), "https://a/", "It")


@pytest.mark.parametrize("matched", [10**18, -1, "many", None, 1.5e300, True])
def test_a_count_of_geodes_that_is_none(server, matched):
    url = answers(server, **{"/stac/search": page(context={"matched": matched})})
    with dask.config.set({"geodes_lab.catalog.profiles.geodes.url": url}), pytest.raises(GeodesError):
        gl.search("PEPS_S2_L1C", profile="geodes")
    assert len(server.told) < 20


# Static catalogues.


def static(server: Witness, child: str, entry: str = "item.json") -> str:
    root = {
        "type": "Catalog",
        "stac_version": "1.0.0",
        "id": "root",
        "description": "-",
        "links": [{"rel": "child", "href": child}],
    }
    files = {
        "/catalog.json": root,
        "/c/collection.json": collection(links=[{"rel": "item", "href": entry}]),
        "/c/item.json": item(assets={"a": {"href": "a.tif"}, "b": {"href": "file:///etc/passwd"}}),
    }
    server.answer = lambda told: files.get(told.path)
    return f"{server.url}/catalog.json"


def test_a_static_catalogue_on_a_server(server):
    url = static(server, "c/collection.json")
    found = gl.search("c", url=url)[0]
    assert found.assets["a"].href == f"{server.url}/c/a.tif"
    assert found.assets["b"].href == f"{ELSEWHERE}:///etc/passwd"
    assert found.get_collection().id == "c"


@pytest.mark.parametrize("where", ["child", "item"])
@pytest.mark.parametrize("form", ["uri", "path", "short"])
def test_a_static_catalogue_on_a_server_opens_no_file(server, tmp_path, where, form):
    local = tmp_path / "x.json"
    local.write_text(json.dumps(collection("secret") if where == "child" else item("secret")))
    href = {"uri": local.as_uri(), "path": str(local), "short": f"file:{local}"}[form]
    url = static(server, href) if where == "child" else static(server, "c/collection.json", href)
    name = "secret" if where == "child" else "c"
    if form == "path":  # the server's own path
        with pytest.raises(GeodesError) if where == "child" else pytest.warns(match="cannot be opened"):
            assert [i.id for i in gl.search(name, url=url)] == []
        assert server.told[-1].path == str(local)
    else:
        with pytest.raises(GeodesError, match="not the address of a web server: refused"):
            gl.search(name, url=url)


def test_a_catalogue_of_ones_own_may_name_files(tmp_path):
    (tmp_path / "c").mkdir()
    (tmp_path / "a.tif").write_bytes(b"x")
    root = {
        "type": "Catalog",
        "stac_version": "1.0.0",
        "id": "root",
        "description": "-",
        "links": [{"rel": "child", "href": "c/collection.json"}],
    }
    (tmp_path / "catalog.json").write_text(json.dumps(root))
    (tmp_path / "c" / "collection.json").write_text(
        json.dumps(collection(links=[{"rel": "item", "href": "item.json"}]))
    )
    (tmp_path / "c" / "item.json").write_text(json.dumps(item(assets={"a": {"href": (tmp_path / "a.tif").as_uri()}})))
    found = gl.search("c", url=str(tmp_path / "catalog.json"))[0]
    assert locate(found.assets["a"].href).scheme == "file"


# Ids that become names of files.


@pytest.mark.parametrize("name", ["../../evil", "/tmp/evil", "..", ".", "", "a/b", "a\\b", "a\x00b", "a" * 300, "a\nb"])
def test_no_collection_is_harvested_out_of_its_folder(server, tmp_path, name):
    folder = tmp_path / "in" / "harvest"
    url = answers(
        server,
        **{
            "/stac/collections": lambda told: {"collections": [collection(name)]},
            "/stac/search": page(context={"matched": 0}),
        },
    )
    with (
        dask.config.set({"geodes_lab.catalog.profiles.geodes": {"kind": "geodes", "url": url, "collections": {}}}),
        pytest.raises(GeodesError),
    ):
        harvesting.harvested("geodes", folder)
    root = static(server, "c/collection.json")
    files = {"/catalog.json": server.answer, "/c/collection.json": collection(name)}
    before = server.answer
    server.answer = lambda told: files["/c/collection.json"] if told.path == "/c/collection.json" else before(told)
    with pytest.raises(GeodesError):
        harvesting.shelved(root, folder)
    assert [p for p in tmp_path.rglob("*") if p.is_file() and not p.is_relative_to(folder)] == []


def test_no_month_is_harvested_out_of_its_folder(server, tmp_path):
    """The first seven characters of a time are the name of a file: ../../x are seven."""
    url = static(server, "c/collection.json")
    times = {"datetime": None, "start_datetime": "../../x", "end_datetime": "2021-06-05T00:00:00Z"}
    before = server.answer
    server.answer = lambda told: item(properties=times) if told.path == "/c/item.json" else before(told)
    with pytest.raises(GeodesError):
        harvesting.shelved(url, tmp_path / "in" / "harvest")
    assert [p for p in tmp_path.rglob("*.parquet") if "harvest" not in p.parts] == []


def test_queries_hold_against_items_that_say_anything(server):
    odd = [
        {"eo:cloud_cover": None},
        {"x": "text"},
        {"x": [1]},
        {"x": {"a": 1}},
        {"x": 5},
        {"x": True},
        {"latest": "no"},
        {"start_datetime": None},
    ]
    raws = [item(f"i{n}", properties={"datetime": "2021-06-05T00:00:00Z"} | p) for n, p in enumerate(odd)]
    url = answers(server, **{"/stac/search": page(*raws)})
    for asked in (
        {"x": (1, 9)},
        {"x": ["text"]},
        {"cloud_cover": 10},
        {"datetime": "2021-06"},
        {"sortby": "x"},
        {"sortby": "-x"},
        {"bbox": (0, 42, 2, 44)},
    ):
        found = gl.search("c", url=url, **asked)
        assert repr(found)
        assert found._repr_html_()


def test_profile_of_another_address_is_not_trusted(server):
    told = {"kind": "stac", "url": "https://lab.example/stac", "token": "X", "files": True}
    with dask.config.set({"geodes_lab.catalog.profiles.lab": told}):
        assert profiles.load("lab").names_files
        given_ = profiles.load("lab", f"{server.url}/stac")
    assert (given_.token, given_.names_files) == ("", False)
    assert opened(given_).ids() == ["c"]
