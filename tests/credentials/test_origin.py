"""A credential is bound to its origin: whoever names another address, by whatever way, that one is never told a secret.

Two real servers on loopback: on different ports they are different origins. Each way has its counterpart, that the first one is told.
"""

from __future__ import annotations

import contextlib
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import dask
import pystac
import pytest
import rasterio

import geodes_lab as gl
from geodes_lab.catalog import doctor
from geodes_lab.catalog import profile as profiles
from geodes_lab.catalog.lookup import opened
from geodes_lab.credentials import origin, sources
from geodes_lab.credentials.secret import Secret
from geodes_lab.errors import GeodesError
from geodes_lab.storage import fetch, gdal_env, tape
from geodes_lab.storage.fetch import Remote
from geodes_lab.storage.location import locate
from geodes_lab.storage.object_location import ObjectLocation
from tests.support.servers.witness import Witness, api, collection, item

pytestmark = pytest.mark.attack

SECRET = "known-only-to-its-own-server"
PROFILE = "geodes_lab.catalog.profiles.bound"


@pytest.fixture
def pair() -> Iterator[tuple[Witness, Witness]]:
    with Witness() as home, Witness() as other:
        home.answer, other.answer = api(f"{home.url}/stac"), api(f"{other.url}/stac")
        yield home, other


@pytest.fixture
def bound(pair, monkeypatch, tmp_path) -> Iterator[tuple[Witness, Witness]]:
    """The first server is a catalogue with a token; ~/.netrc has a password for both, as curl and requests would send it."""
    monkeypatch.setenv("BOUND_TOKEN", SECRET)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login ada password {SECRET}\n")
    (tmp_path / ".netrc").chmod(0o600)
    with dask.config.set({PROFILE: {"kind": "stac", "url": f"{pair[0].url}/stac", "token": "BOUND_TOKEN"}}):
        yield pair


def test_its_own_server_is_told(bound):
    home, other = bound
    assert len(gl.search("c", profile="bound", datetime="2021", platform="x")) == 1
    assert [t for t in home.told if not t.has(f"token {SECRET}")] == []
    assert {t.path.rpartition("/")[2] for t in home.told} >= {"stac", "search", "queryables"}
    assert not other.told


def refused(home: Witness, other: Witness, **changed) -> None:
    """A search of a catalogue that leads to the other server: a sentence, and that one is never asked."""
    home.answer = api(f"{home.url}/stac", **changed)
    with pytest.raises(GeodesError, match=r"(links|redirects) .*: refused\.$"):
        gl.search("c", profile="bound", datetime="2021", platform="x")
    assert home.saw(SECRET)
    assert other.told == []


@pytest.mark.parametrize("rel", ["search", "data"])
def test_link_of_the_first_page(bound, rel):
    home, other = bound
    path = {"search": "search", "data": "collections"}[rel]
    refused(home, other, **{rel: f"{other.url}/stac/{path}"})


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_link_to_the_next_page(bound, method):
    home, other = bound
    link = {"rel": "next", "href": f"{other.url}/stac/search", "method": method, "body": {"token": "n"}, "merge": True}
    refused(
        home, other, **{"/stac/search": {"type": "FeatureCollection", "features": [item("first")], "links": [link]}}
    )


def test_link_to_the_next_page_of_collections(bound):
    home, other = bound
    link = {"rel": "next", "href": f"{other.url}/stac/collections"}
    refused(home, other, **{"/stac/collections": {"collections": [collection()], "links": [link]}})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("path", ["/stac", "/stac/collections", "/stac/search"])
def test_redirects(bound, status, path):
    home, other = bound
    refused(home, other, **{path: (status, {"Location": f"{other.url}{path}"}, b"")})


def test_redirect_of_the_list_of_queryables(bound):
    home, other = bound
    paths = ("/stac/collections/c/queryables", "/stac/queryables")
    refused(home, other, **dict.fromkeys(paths, (302, {"Location": f"{other.url}/stac/queryables"}, b"")))


@pytest.mark.parametrize(
    "inside",
    [
        "/user/eve/proxy/8888/search",
        "/stac/../user/eve/search",
        "/stac/%2e%2e/user/eve",
        "/stacked/search",
        "/stac/%252e%252e/x",
    ],
)
def test_what_lies_beside_the_catalogue_on_its_own_server(bound, inside):
    """With one origin for all, a page of another person is beside the catalogue."""
    home, _ = bound
    link = {"rel": "next", "href": f"{home.url}{inside}"}
    pages = {"/stac/search": lambda told: {"type": "FeatureCollection", "features": [item("first")], "links": [link]}}
    home.answer = api(f"{home.url}/stac", **pages)
    with contextlib.suppress(GeodesError):
        gl.search("c", profile="bound", datetime="2021")
    there = [
        t for t in home.told if not t.path.startswith("/stac/search") and t.path not in ("/stac", "/stac/collections")
    ]
    assert there
    assert not any(t.has(SECRET) for t in there)


@pytest.mark.parametrize("given", ["other", "other-path", "user", "beside"])
def test_given_address_drops_the_profiles_token(bound, given):
    """What a link of the lab makes: gl.search(…, profile="lab", url="http://elsewhere")."""
    home, other = bound
    address = {
        "other": f"{other.url}/stac",
        "other-path": f"{other.url}/stac?{home.url}/stac",
        "user": f"{home.url.replace('//', '//127.0.0.1@')}/stac",
        "beside": f"{home.url}/user/eve/stac",
    }[given]
    assert profiles.load("bound", address).token == ""
    assert not profiles.load("bound", address).names_files
    with contextlib.suppress(GeodesError):
        gl.search("c", profile="bound", url=address)
    assert not other.saw(SECRET)
    assert not home.saw(SECRET)
    assert profiles.load("bound", f"{home.url}/stac/").token == "BOUND_TOKEN"


def test_links_of_items_and_collections_that_a_person_follows(bound):
    home, other = bound
    away = [{"rel": r, "href": f"{other.url}/stac"} for r in ("parent", "collection", "items", "self")]
    page = {"type": "FeatureCollection", "features": [item(links=away)], "links": []}
    home.answer = api(
        f"{home.url}/stac",
        **{"/stac/search": page, "/stac/collections": {"collections": [collection(links=away)], "links": []}},
    )
    found = gl.search("c", profile="bound")[0]
    client = opened(profiles.load("bound"))._client
    for follow in (
        lambda: found.get_collection(), lambda: found.get_parent(), lambda: list(client.get_collection("c").get_items()),
        lambda: list(next(iter(client.get_collections())).get_items()),
    ):  # fmt: skip
        with contextlib.suppress(Exception):  # pystac says it in its own words; what counts is who was asked
            follow()
    assert other.told == []


def test_items_carry_no_secret_away(bound):
    found = gl.search("c", profile="bound")
    assert SECRET.encode() not in pickle.dumps(found)
    assert SECRET not in str(found.to_dict()) + found._repr_html_() + found[0]._repr_html_()


def test_plain_http_gets_no_credential_but_on_this_machine(monkeypatch):
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    for address in ("http://lab.example/stac", "http://catalogue:8080/stac"):
        with pytest.raises(GeodesError, match="others could read it on the way"):
            origin.guard(address, "A key")
    for address in ("https://lab.example/stac", "http://127.0.0.1:1/", "http://localhost:1/", "http://[::1]:1/"):
        origin.guard(address, "A key")
    for address in (
        "https://a@lab.example/",
        "https://lab.example\\@b/",
        "ftp://lab.example/",
        "https:///x",
        "https://lab.example:x/",
        "",
        "x",
    ):
        with pytest.raises(GeodesError, match="is not sent to"):
            origin.guard(address, "A key")
    with dask.config.set({"geodes_lab.credentials.plain": ["lab.example:80"]}):
        origin.guard("http://lab.example/stac", "A key")
    # Between the pods of a lab in a cluster names are those of its services.
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "x")
    origin.guard("http://catalogue:8080/stac", "A key")
    with pytest.raises(GeodesError):
        origin.guard("http://lab.example/stac", "A key")
    with (
        dask.config.set({"geodes_lab.datalake.endpoint": "http://s3.example", "geodes_lab.datalake.mirror": None}),
        pytest.MonkeyPatch.context() as patch,
    ):
        patch.setenv("AWS_ACCESS_KEY_ID", "a")
        patch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
        with pytest.raises(GeodesError, match="The key of the datalake is not sent to"):
            locate("s3://bucket/a").size()
        with (
            pytest.raises(GeodesError, match="The key of the datalake is not sent to"),
            gdal_env.environment("/vsis3/bucket/a"),
        ):
            pass
        with pytest.raises(GeodesError, match="The key of the datalake is not sent to"):
            gl.filesystem()


@pytest.mark.parametrize(
    ("one", "other", "is_below"),
    [
        ("https://a/b", "https://a/b", True), ("https://a/b/c", "https://a/b/", True), ("https://A:443/b", "https://a/b", True),
        ("https://a/bc", "https://a/b", False), ("http://a/b", "https://a/b", False), ("https://a:444/b", "https://a/b", False),
        ("https://a.b/b", "https://a/b", False), ("https://a/b/../c", "https://a/b", False), ("https://a/b/%2e%2e/c", "https://a/b", False),
        ("https://a/b/%252e%252e/c", "https://a/b", False), ("https://a/b/..%5cc", "https://a/b", False),
        ("https://a/b/%25252e%25252e/c", "https://a/b", False), ("https://a/b/..;x=1/c", "https://a/b", False), ("https://a/b/.%2e;/c", "https://a/b", False),
        ("https://a/b/.../c", "https://a/b", False), ("https://a/b/%20../c", "https://a/b", False), ("https://a/b/%" + "25" * 9 + "2e", "https://a/b", False),
        ("https://a/b/c..d/..e/f.;x", "https://a/b", True), ("https://a/b/50%25/c", "https://a/b", True),
        ("https://a@b/b", "https://b/b", False),
        ("https://a\\b/b", "https://a/b", False), ("", "https://a", False), ("/b", "/b", False), ("file:///b", "file:///b", False),
    ],
)  # fmt: skip
def test_what_is_below_an_address(one, other, is_below):
    assert origin.below(one, other) is is_below


# The portal's key.


@pytest.fixture
def portal(pair, monkeypatch) -> Iterator[tuple[Witness, Witness]]:
    monkeypatch.setenv("GEODES_API_KEY", SECRET)
    monkeypatch.setattr(fetch, "_PAUSES", ())
    with dask.config.set({"geodes_lab.download.hosts": [pair[0].url.removeprefix("http://")]}):
        yield pair


def fetched(address: str, path: Path) -> None:
    with path.open("wb") as file:
        Remote("a", address, ObjectLocation(address, "http", address, ""), None, None).fetch(file, lambda _: None)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_redirected_download(portal, tmp_path, status):
    home, other = portal
    home.answer = lambda told: (status, {"Location": f"{other.url}/file"}, b"")
    other.answer = lambda told: (200, {"Content-Type": "application/zip"}, b"data")
    fetched(f"{home.url}/file", tmp_path / "a")
    assert home.saw(SECRET)
    assert other.told
    assert not other.saw(SECRET)


def test_redirect_and_back_again(portal, tmp_path):
    home, other = portal
    home.answer = lambda told: (
        (302, {"Location": f"{other.url}/b"}, b"") if told.path == "/a" else (200, {"Content-Type": "x/y"}, b"data")
    )
    other.answer = lambda told: (302, {"Location": f"{home.url}/c"}, b"")
    fetched(f"{home.url}/a", tmp_path / "a")
    assert not other.saw(SECRET)


def test_download_from_another_port_or_host(portal, tmp_path):
    home, other = portal
    other.answer = lambda told: (200, {"Content-Type": "x/y"}, b"data")
    fetched(f"{other.url}/file", tmp_path / "a")
    assert other.told
    assert not other.saw(SECRET)
    host = home.url.removeprefix("http://")
    for address in (f"{other.url}/#{host}", f"{home.url}@elsewhere.example/", f"http://elsewhere.example\\@{host}/", f"http://{host}.elsewhere.example/",
                    f"https://elsewhere.example/{host}", "http://elsewhere.example/"):  # fmt: skip
        assert fetch.key(address) is None
    assert fetch.key(f"{home.url}/x") == SECRET
    with dask.config.set({"geodes_lab.download.hosts": ["portal.example"]}):
        assert fetch.key("https://portal.example/x") == SECRET
        assert fetch.key("https://portal.example:8443/x") is None
        assert fetch.key("http://portal.example/x") is None


def test_question_for_tape(portal):
    home, other = portal
    told = {"products": [{"files": [{"checksum": "sum", "available": True}]}]}
    made = {
        w: pystac.Item.from_dict(item(properties={"datetime": "2021-06-05T00:00:00Z", "geodes:urn": "u"}))
        for w in ("home", "other")
    }
    made["home"].add_asset("product", pystac.Asset(f"{home.url}/api/download/sum"))
    made["other"].add_asset("product", pystac.Asset(f"{other.url}/api/download/sum"))
    assert tape.product(made["other"]) is None
    home.answer = lambda t: (307, {"Location": f"{other.url}{t.path}"}, b"")
    with pytest.raises(GeodesError):
        tape.on_disk([tape.product(made["home"])])
    assert other.told == []
    home.answer = lambda t: told
    assert tape.on_disk([tape.product(made["home"])]) == [True]
    assert home.saw(SECRET)
    home.answer = lambda t: (200, {}, b" " * 2**24)
    with pytest.raises(GeodesError, match="larger than any"):
        tape.on_disk([tape.product(made["home"])])


def test_the_doctors_look_at_a_product(portal):
    """Where a product is fetched is the catalogue's word."""
    home, other = portal
    raw = item(assets={"a": {"href": f"{other.url}/file", "type": "application/zip"}})
    home.answer = lambda told: {"features": [raw], "context": {"matched": 1}}
    told = {"kind": "geodes", "url": f"{home.url}/stac", "portal": home.url}
    with dask.config.set({"geodes_lab.catalog.profiles.looked": told}):
        found = {f.fact: f for f in doctor.examine("looked")}
    assert found["byte ranges"].state == "not tried"
    assert home.saw(SECRET)
    assert other.told == []


# The datalake's keys, and GDAL.


@pytest.mark.parametrize("said", ["netrc", "headers"])
def test_an_address_of_the_web_never_gets_the_datalakes_keys(pair, monkeypatch, tmp_path, said):
    home, other = pair
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "known-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_SESSION_TOKEN", SECRET)
    monkeypatch.setenv("HOME", str(tmp_path))
    if said == "headers":  # of GDAL, for no server in particular
        for name, value in (("HEADERS", f"X-Key: {SECRET}"), ("USERPWD", f"ada:{SECRET}"), ("COOKIE", SECRET)):
            monkeypatch.setenv(f"GDAL_HTTP_{name}", value)
    (tmp_path / ".netrc").write_text(f"machine 127.0.0.1 login ada password {SECRET}\n")
    (tmp_path / ".netrc").chmod(0o600)
    with dask.config.set({"geodes_lab.datalake.endpoint": home.url, "geodes_lab.datalake.mirror": None}):
        for href in (f"{other.url}/a.tif", f"{other.url}/a.tif?X-Signature=x"):
            place = locate(href)
            with contextlib.suppress(GeodesError):
                place.size()

            def read(path: str = place.gdal) -> None:
                with rasterio.open(path):
                    pass

            with contextlib.suppress(rasterio.errors.RasterioError):
                gdal_env.within(place.gdal, read)
        assert other.told
        assert not other.saw(SECRET)
        assert not any("known-id" in t.headers for t in other.told)
        assert not any("YWRhOmtub3" in t.headers for t in other.told), "ada's password, as Basic writes it"
        with contextlib.suppress(GeodesError):
            locate("s3://bucket/a.tif").size()
        assert any("known-id" in t.headers for t in home.told)


# The hub's token, and the access token.


def test_the_hubs_token_goes_to_the_hub_alone(pair, monkeypatch):
    home, other = pair
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", SECRET)
    monkeypatch.setenv("JUPYTERHUB_API_URL", f"{home.url}/hub/api")
    for url in (
        f"{other.url}/hub/api/geodes/token",
        f"{home.url}/user/eve/token",
        f"{home.url}/hub/api/../../user/eve",
    ):
        with pytest.raises(GeodesError, match="is not the hub's"):
            sources.hub(url)
    home.answer = lambda told: (307, {"Location": f"{other.url}/x"}, b"")
    with pytest.raises(GeodesError, match="gave no access token"):
        sources.hub("hub")
    assert other.told == []
    home.answer = lambda told: {"token": "given"}
    assert sources.hub("hub")["token"] == "given"
    assert home.saw(SECRET)


def test_the_access_token_goes_to_the_sts_alone(pair):
    home, other = pair
    home.answer = lambda told: (307, {"Location": f"{other.url}/x"}, b"<a/>")
    with pytest.raises(GeodesError, match="gave no keys"):
        sources.sts(home.url, None, 900, Secret({"token": SECRET}))
    assert home.saw(SECRET)
    assert other.told == []
    with pytest.raises(GeodesError, match="Your access token is not sent to"):
        sources.sts("http://sts.example", None, 900, Secret({"token": SECRET}))


def test_threads_that_ask_at_once_are_told_apart(bound):
    """One session serves both: a header that is set for one request is not one of the next."""
    home, other = bound
    found = []

    def ask(address: str) -> None:
        for _ in range(10):
            found.append(len(gl.search("c", profile="bound", url=address)))

    threads = [threading.Thread(target=ask, args=(f"{w.url}/stac",)) for w in (home, other)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert found == [1] * 20
    assert home.saw(SECRET)
    assert not other.saw(SECRET)
