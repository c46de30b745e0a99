"""Pixels on the catalogue's page where each service has a host name: keys by the session, whom they are given, which page reads what."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, quote, urljoin, urlsplit

import dask
import httpx
import pytest
from playwright.sync_api import expect

import geodes_lab as gl
from hub.services.person import Person
from tests.support.browser import chromium, needs_chromium
from tests.support.servers.tiling import Served, serving_tiles

OPEN, CLOSED = "PEPS_S2_L1C", "THEIA_REFLECTANCE_SENTINEL2_L2A"
PEOPLE = {"a": Person("ada", frozenset({"theia"})), "b": Person("bob"), "j": Person(service="jobs")}
OURS = {"Sec-Fetch-Site": "same-origin"}  # as browsers say of what the page asks


@pytest.fixture(scope="module")
def lab(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with (
        dask.config.set({"geodes_lab.datalake.mirror": str(sample / "datalake")}),  # of the quicklooks
        serving_tiles(
            tmp_path_factory.mktemp("pixels"), sample / "catalog" / "catalog.json", sample / "datalake", PEOPLE,
            restricted={CLOSED: ["theia"]}, apart=True,
        ) as served,
    ):  # fmt: skip
        yield served


@pytest.fixture
def names(on_disk) -> dict[str, str]:
    return {c: gl.search(c, datetime="2021-06-05")[0].id for c in (OPEN, CLOSED)}


def key(lab: Served, collection: str, item: str, **given) -> httpx.Response:
    body = {"collection": collection, "item": item, **given.pop("more", {})}
    return httpx.post(f"{lab.catalogue}/pixels/keys", json=body, timeout=60, **given)


@pytest.mark.attack
def test_key_is_of_the_session_for_one_product_and_an_hour(lab, names):
    cookie = {"cookies": {"person": "a"}}
    made = key(lab, CLOSED, names[CLOSED], headers=OURS, **cookie).json()
    told = lab.keys.read(made["key"])
    assert (told.person, told.collection, told.item) == ("ada", CLOSED, names[CLOSED])
    assert 3000 < told.ends - time.time() <= made["seconds"] + 1 == 3601
    info = f"{lab.url}/{CLOSED}/{quote(names[CLOSED], safe='')}/info"
    assert httpx.get(info, params={"key": made["key"]}, timeout=60).status_code == 200
    # Nobody gets one for another: not by a name, not by a page elsewhere, not without a session, not as a service.
    assert (
        lab.keys.read(key(lab, OPEN, names[OPEN], headers=OURS, cookies={"person": "b"}).json()["key"]).person == "bob"
    )
    assert key(lab, CLOSED, names[CLOSED], headers=OURS, cookies={"person": "b"}).status_code == 404
    assert key(lab, OPEN, names[OPEN], headers=OURS, more={"person": "bob"}, **cookie).status_code == 400
    assert key(lab, OPEN, "", headers=OURS, **cookie).status_code == 400
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        assert key(lab, OPEN, names[OPEN], headers=headers, **cookie).status_code == 401
    for headers in (OURS, {"Authorization": "token x"}, {"Authorization": "token t", "Geodes-For": "ada"}):
        assert key(lab, OPEN, names[OPEN], headers=headers).status_code == 401
    # The service of tiles gives it to the person whose token it gets, and to no service, whomever that names.
    for token, status in (("b", 404), ("t", 401), ("j", 401), ("x", 403)):
        headers = {"Authorization": f"token {token}", "Geodes-For": "ada"}
        body = {"collection": CLOSED, "item": names[CLOSED]}
        assert httpx.post(f"{lab.url}/keys", json=body, headers=headers, timeout=60).status_code == status, token


@pytest.mark.attack
def test_only_the_page_reads_and_only_with_a_key(lab, names):
    origin = lab.page.removesuffix("/services/catalogue/")
    tiles = origin.replace("catalogue-", "tiles-")
    policy = httpx.get(f"{lab.catalogue}/", cookies={"person": "a"}).headers["Content-Security-Policy"]
    assert f"img-src 'self' data: {tiles}; connect-src 'self' {tiles};" in policy
    info = f"{lab.url}/{OPEN}/{quote(names[OPEN], safe='')}/info"
    text = lab.keys.made("ada", OPEN, names[OPEN], 1)[0]

    def allowed(who: str, **given) -> tuple[int, str]:
        answer = httpx.get(info, headers={"Origin": who}, timeout=60, **given)
        assert "Access-Control-Allow-Credentials" not in answer.headers
        assert ("key" in given.get("params", {})) == ("Origin" in answer.headers.get("Vary", ""))
        return answer.status_code, answer.headers.get("Access-Control-Allow-Origin", "")

    assert allowed(origin, params={"key": text}) == (200, origin)
    assert allowed(origin, params={"key": f"{text}x"}) == (401, origin)  # the page says why
    assert allowed(origin, cookies={"person": "a"}) == (200, "")
    for other in ("https://evil.example", tiles, origin.replace("catalogue-", "bob-"), "null"):
        assert allowed(other, params={"key": text}) == (200, "")


@pytest.mark.browser
@needs_chromium
def test_page_draws_pixels_of_another_origin(lab):
    with chromium() as browser:
        context = browser.new_context(viewport={"width": 1366, "height": 768}, locale="en-US")
        context.add_cookies([{"name": "person", "value": "a", "url": urljoin(lab.page, "/")}])
        page, wrong, asked = context.new_page(), [], []
        page.on("console", lambda m: wrong.append(m.text) if m.type == "error" and "404" not in m.text else None)
        page.on("request", lambda request: asked.append(request))
        page.goto(f"{lab.page}?collection={OPEN}")
        expect(page.locator("#said")).to_have_text("18 of 18 products, the latest first.", timeout=30_000)
        page.locator("#results button.product").first.click()
        details = page.get_by_role("region", name="The product")
        expect(details.get_by_label("Image on the map")).to_have_value("true-colour", timeout=30_000)
        drawn = page.locator(".leaflet-tile-pane img.leaflet-tile-loaded")
        expect(drawn.first).to_be_visible(timeout=60_000)
        theirs = [request for request in asked if urlsplit(request.url).netloc.startswith("tiles--service.")]
        assert any("/tiles/" in urlsplit(request.url).path.removeprefix("/services/tiles") for request in theirs)
        for request in theirs:
            assert "key" in parse_qs(urlsplit(request.url).query), request.url
            assert "cookie" not in request.all_headers()
        assert wrong == []
        # A key that ends soon is followed by another one; one that has ended too.
        with page.expect_response("**/pixels/keys"):  # made before the next step moves the service's clock
            page.clock.set_fixed_time(time.time() + 50 * 60)
            details.get_by_label("Image on the map").select_option(label="NDVI")
        expect(details.get_by_role("img", name="Colours of NDVI")).to_be_visible(timeout=60_000)
        expect(drawn.first).to_be_visible(timeout=60_000)
        with page.expect_response(lambda a: a.status == 401 and "/services/tiles/" in a.url):
            lab.keys._now = lambda: time.time() + 3 * 3600
            details.get_by_label("Image on the map").select_option(label="True colour")
        expect(drawn.first).to_be_visible(timeout=60_000)
        expect(page.get_by_text("The image cannot be drawn:")).to_have_count(0)
        context.close()
