"""Small pictures that a document names: read as the person who asks may, from where the operator allows, and written anew."""

from __future__ import annotations

import contextlib
import gzip
import io
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import dask
import httpx
import pystac
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.responses import RedirectResponse, Response

from geodes_lab.catalog import picture, quicklook
from geodes_lab.errors import GeodesError
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.reading import read
from geodes_lab.storage import external
from hub.services.catalogue.access import Rights
from hub.services.catalogue.app import made
from hub.services.catalogue.quicklooks import Quicklooks
from hub.services.data.gate import made as gated
from hub.services.data.lake import Lake
from hub.services.data.tally import Tally
from hub.services.person import Hub, Person
from tests.support.examples import examples
from tests.support.servers.served import served

LAKE = "https://s3.datalake.cnes.fr"
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><script>alert(1)</script></svg>"
pytestmark = pytest.mark.attack
PAGE = b"<!doctype html><script>alert(document.cookie)</script>"


class Known(Hub):
    """A hub of two people."""

    def who(self, token: str, session: str = "") -> Person:
        people = {"a": Person("alice", frozenset({"radar"})), "b": Person("bob", frozenset({"geodes"}))}
        return people.get(token, Person())

    def known(self, token: str) -> Person | None:
        return self.who(token)


def image(kind: str = "PNG", size: tuple[int, int] = (300, 200), mode: str = "RGB", **more) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size, (200, 30, 40, 128)[: len(mode)]).save(file, kind, **more)
    return file.getvalue()


def png_that_says(width: int, height: int) -> bytes:
    """A PNG of some bytes that says to be large."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(bytes(2**20), 9)) + chunk(b"IEND", b"")


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder with a datalake, and beside it what is nobody's business."""
    folder = tmp_path_factory.mktemp("place")
    files = {"lake/open/q.jpg": image("JPEG"), "lake/secret/q.jpg": image("JPEG"), "shadow.jpg": image("JPEG")}
    files |= {"lake/open/q.svg": SVG, "lake/open/q.html": PAGE, "lake/open/both.png": image() + SVG + PAGE}
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    (folder / "lake" / "open" / "link.jpg").symlink_to(folder / "shadow.jpg")
    return folder


def lab(folder: Path) -> Lab:
    file = {
        "login": {"kind": "oidc", "oidc": {"issuer": "https://sso.example.org", "client_id": "lab"}},
        "subdomains": False,
        "servers": {"kind": "accounts"},
        "groups": {"geodes": {}},
        "restricted": {"RADAR": {"groups": ["radar"], "places": ["secret"]}},
        "datalake": {"gate": True, "folder": str(folder)},
    }
    return read(Lab, file, "")


@pytest.fixture(scope="module", params=["gate", "mirror"])
def service(request, place, tmp_path_factory) -> Iterator[str]:
    """The catalogue's service, before a gate, or with the datalake in a folder."""
    told, results = lab(place / "lake"), tmp_path_factory.mktemp("results")
    mirror = {"geodes_lab.datalake.mirror": str(place / "lake") if request.param == "mirror" else None}
    with (
        dask.config.set(mirror),
        served(gated(told, Lake(told.datalake, Path("/none")), Known(), Tally("", ""))) as gate,
    ):
        looks = Quicklooks(told, gate if request.param == "gate" else "")
        with served(made(results / "h", results / "r", Rights(), Known(), quicklooks=looks)) as url:
            extent = {"spatial": {"bbox": [[0, 40, 5, 45]]}, "temporal": {"interval": [["2021-01-01T00:00:00Z", None]]}}
            document = {
                "type": "Collection", "stac_version": "1.1.0", "id": "alice.x", "description": "x", "license": "other", "extent": extent,
                "links": [], "geodes:readers": ["geodes"],
            }  # fmt: skip
            reply = httpx.post(f"{url}/stac/collections", json=document, headers=as_("a"))
            assert reply.status_code == 201, reply.text
            yield url


def as_(token: str) -> dict[str, str]:
    return {"Authorization": f"token {token}"}


def looked(url: str, href: str, token: str = "b", kind: str = "image/jpeg") -> httpx.Response:
    """What somebody gets who looks at an Item that alice wrote."""
    ring = [[1.0, 43.0], [2.0, 43.0], [2.0, 44.0], [1.0, 44.0], [1.0, 43.0]]
    item = {
        "type": "Feature", "stac_version": "1.1.0", "stac_extensions": [], "id": "one", "collection": "alice.x",
        "geometry": {"type": "Polygon", "coordinates": [ring]}, "bbox": [1.0, 43.0, 2.0, 44.0], "links": [],
        "properties": {"datetime": "2021-06-05T10:50:31Z"},
        "assets": {"q": {"href": href, "type": kind, "roles": ["thumbnail"]}},
    }  # fmt: skip
    httpx.delete(f"{url}/stac/collections/alice.x/items/one", headers=as_("a"))
    reply = httpx.post(f"{url}/stac/collections/alice.x/items", json=item, headers=as_("a"))
    assert reply.status_code == 201, reply.text
    return httpx.get(f"{url}/quicklook/alice.x/one", headers=as_(token), timeout=30)


def test_a_picture_of_the_datalake_is_seen(service):
    reply = looked(service, f"{LAKE}/open/q.jpg")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/jpeg"), reply.text
    assert Image.open(io.BytesIO(reply.content)).size == (300, 200)
    assert reply.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in reply.headers["content-security-policy"]


@pytest.mark.parametrize(
    "path",
    [
        "x/{place}/shadow.jpg", "open/{place}/shadow.jpg", "open/../../shadow.jpg", "open/%2e%2e/%2e%2e/shadow.jpg", "../shadow.jpg",
        "%2e%2e/shadow.jpg", "open/..%2f..%2fshadow.jpg", "open/%252e%252e/shadow.jpg", "/{place}/shadow.jpg", "x/%2f{place}/shadow.jpg",
        "open/link.jpg", "open//q.jpg", "open/q.jpg%00", "{place}/shadow.jpg",
    ],
)  # fmt: skip
def test_no_address_leads_out_of_the_datalake(service, place, path):
    reply = looked(service, f"{LAKE}/{path.format(place=place)}")
    assert reply.status_code in (403, 404, 502), reply.content[:50]


@pytest.mark.parametrize(
    "href",
    [
        "file://{place}/shadow.jpg",
        "{place}/shadow.jpg",
        "../shadow.jpg",
        "/vsicurl/http://127.0.0.1/",
        "s3://open/q.jpg",
        "ftp://s3.datalake.cnes.fr/open/q.jpg",
    ],
)
def test_no_file_that_a_document_names_is_opened(service, place, href):
    assert looked(service, href.format(place=place)).status_code == 404


def test_restricted_picture_is_for_who_may_read_it(service):
    for path in ("secret/q.jpg", "%73ecret/q.jpg"):
        assert looked(service, f"{LAKE}/{path}", "b").status_code == 403
        assert looked(service, f"{LAKE}/{path}", "a").status_code == 200, "the control"


@pytest.mark.parametrize(
    "kind", ["image/svg+xml", "image/SVG+xml", "image/jpeg", "text/html", "image/png; charset=utf-8"]
)
@pytest.mark.parametrize("name", ["q.svg", "q.html"])
def test_a_program_is_no_picture_whatever_it_is_called(service, name, kind):
    reply = looked(service, f"{LAKE}/open/{name}", kind=kind)
    assert reply.status_code == 502
    assert reply.headers["content-type"] == "application/json"
    assert b"script" not in reply.content


def test_what_comes_with_the_pixels_does_not_go_on(service):
    reply = looked(service, f"{LAKE}/open/both.png", kind="text/html")
    assert (reply.status_code, reply.headers["content-type"]) == (200, "image/jpeg")
    assert b"script" not in reply.content


async def _web(scope, receive, send) -> None:
    match scope["path"]:
        case "/q.jpg":
            await Response(image("JPEG"))(scope, receive, send)
        case "/large":
            await Response(bytes(5_000_000))(scope, receive, send)
        case "/away":
            await RedirectResponse("http://127.0.0.1:9/q.jpg")(scope, receive, send)
        case "/packed":
            await Response(gzip.compress(bytes(4_000)), headers={"Content-Encoding": "gzip"})(scope, receive, send)
        case "/asks":
            await Response(repr(scope["headers"]).encode())(scope, receive, send)
        case _:
            await Response(status_code=404)(scope, receive, send)


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    with served(_web) as url:
        yield url


def test_who_has_not_logged_in_has_nothing_decoded(service):
    looked(service, f"{LAKE}/open/q.jpg")
    assert httpx.get(f"{service}/quicklook/alice.x/one").status_code == 401


def test_only_hosts_that_the_operator_names_are_asked(service, web):
    host = web.removeprefix("http://")
    assert looked(service, f"{web}/q.jpg").status_code == 404, "loopback"
    with dask.config.set({"geodes_lab.download.hosts": [host, "localhost:443", "localhost"]}):
        assert looked(service, f"{web}/q.jpg").status_code == 200, (
            "the control: an address that is written into the list"
        )
        assert looked(service, f"{web}/away").status_code == 502, "a redirect is not followed"
        assert looked(service, f"{web}/large").status_code == 502
        assert "was sent compressed" in looked(service, f"{web}/packed").text
        reply = looked(service, "https://localhost/q.jpg")
        assert (reply.status_code, "not on the internet" in reply.text) == (502, True), (
            "a name that leads to this machine"
        )
        for other in (
            f"http://u:p@{host}/q.jpg",
            f"http://localhost:{host.partition(':')[2]}/q.jpg",
            f"https://{host}/q.jpg",
        ):
            assert looked(service, other).status_code in (404, 502), other


@pytest.mark.parametrize("address", ["10.0.0.1", "192.168.1.1", "169.254.169.254", "127.0.0.1", "::1", "fe80::1", "fd00::1", "0.0.0.0", "100.64.0.1", "224.0.0.1", "::ffff:127.0.0.1", "fec0::1", "64:ff9b:1::7f00:1", "64:ff9b::a00:1", "::127.0.0.1", "5f00::1", "192.0.0.192", "168.63.129.16", "2002:7f00:1::", "ff02::1"])  # fmt: skip
def test_names_that_lead_into_the_house_are_not_asked(monkeypatch, address):
    """One good address beside it does not help: which of them is asked would be chance."""
    both = [(2, 1, 6, "", (a, 443)) for a in ("93.184.215.14", address)]
    monkeypatch.setattr(external.socket, "getaddrinfo", lambda *_, **__: both)
    with pytest.raises(external.NotAllowed, match="not on the internet"):
        external.fetched("https://portal.example/q", ["portal.example"], 10)


@pytest.mark.parametrize(
    "address",
    ["93.184.215.14", "2606:2800:21f:cb07::1", "::ffff:93.184.215.14", "64:ff9b::5db8:d70e", "2002:5db8:d70e::"],
)
def test_addresses_of_the_internet(address):
    assert external.is_public(address)


def test_no_secret_of_the_environment_is_sent(web, tmp_path, monkeypatch):
    host = web.removeprefix("http://")
    (tmp_path / ".netrc").write_text(f"machine {host.partition(':')[0]} login me password netrc-secret\n")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    seen = external.fetched(f"{web}/asks", [host], 10_000)
    assert b"authorization" not in seen.lower()


@pytest.mark.parametrize("data", [b"", b"\x89PNG\r\n\x1a\n", SVG, PAGE, image()[:200], png_that_says(60_000, 60_000), png_that_says(2**31 - 1, 1), image("GIF"), image("TIFF"), image("BMP")])  # fmt: skip
def test_what_is_no_picture_of_ours_is_one_sentence(data):
    with pytest.raises(GeodesError, match="quicklook of P"):
        picture.anew(data, "P")


def test_picture_of_hundreds_of_scans():
    """Each scan of a progressive JPEG is decoded over the whole picture: 500 of them in some kilobytes take minutes."""
    plain = image("JPEG", (200, 200), progressive=True)
    picture.anew(plain, "P")
    last = plain.rfind(b"\xff\xda")
    many = plain[:-2] + plain[last:-2] * 500 + plain[-2:]
    with pytest.raises(GeodesError, match="more than 100 scans"):
        picture.anew(many, "P")


def test_a_picture_is_written_anew_and_small():
    data, kind = picture.anew(image("JPEG", (3000, 1500), comment=b"<script>"), "P")
    assert (kind, Image.open(io.BytesIO(data)).size, b"script" in data) == ("image/jpeg", (1024, 512), False)
    data, kind = picture.anew(image("WEBP", mode="RGBA"), "P")
    assert (kind, Image.open(io.BytesIO(data)).mode) == ("image/png", "RGBA")


@given(seed=st.binary(min_size=1, max_size=20), at=st.integers(0, 2000), kind=st.sampled_from(["PNG", "JPEG", "WEBP"]))
@settings(max_examples=examples(150), deadline=None)
def test_damaged_pictures_are_one_sentence_or_pixels(seed, at, kind):
    data = bytearray(image(kind))
    data[at : at + len(seed)] = seed
    with contextlib.suppress(GeodesError):
        found, media = picture.anew(bytes(data), "P")
        assert media in ("image/jpeg", "image/png")
        Image.open(io.BytesIO(found)).load()


def test_kernels_read_by_the_same_rules(place):
    def item(href: str) -> pystac.Item:
        found = pystac.Item("P", None, None, pystac.utils.str_to_datetime("2021-01-01"), {})
        found.add_asset("q", pystac.Asset(href, roles=["overview"]))
        return found

    with dask.config.set({"geodes_lab.datalake.mirror": str(place / "lake")}):
        assert quicklook.local(item(f"{LAKE}/open/q.jpg"))[1] == "image/jpeg"
        for path in (f"x/{place}/shadow.jpg", "open/../../shadow.jpg", "open/q.svg"):
            assert quicklook.local(item(f"{LAKE}/{path}")) is None
        assert quicklook.read(item("https://s3.datalake.cnes.fr:8443/open/q.jpg")) is None
        assert quicklook.read(item("http://s3.datalake.cnes.fr/open/q.jpg")) is None
