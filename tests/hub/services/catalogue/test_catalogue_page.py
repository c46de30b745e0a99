"""The catalogue's page in a browser, with real tiles beside it: dates, imagery, values, two dates, basket, and whom it serves."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urljoin, urlsplit

import axe_playwright_python
import dask
import httpx
import pystac
import pytest
from playwright.sync_api import Browser, Page, expect
from pyproj import Geod

import geodes_lab as gl
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.mail import Mail
from hub.services.catalogue.news.postman import Postman
from hub.services.person import Person
from tests.support.awaiting import awaited
from tests.support.browser import chromium, needs_chromium
from tests.support.servers.mailbox import Mailbox, mail_server
from tests.support.servers.tiling import Served, serving_tiles

pytestmark = [pytest.mark.browser, needs_chromium]

expect.set_options(timeout=30_000)  # on a busy machine too
L1C = "PEPS_S2_L1C"
AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text()


@pytest.fixture(scope="module")
def smtp() -> Iterator[Mailbox]:
    with mail_server() as box:
        yield box


@pytest.fixture(scope="module")
def lab(sample: Path, tmp_path_factory: pytest.TempPathFactory, smtp: Mailbox) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("page")
    mirror = {"geodes_lab.datalake.mirror": str(sample / "datalake")}  # of the quicklooks
    people = {"a": Person("ada")}
    mail = Mail("127.0.0.1", "lab@lab.example", smtp.port, security="none")
    with (
        dask.config.set(mirror),
        serving_tiles(
            folder, sample / "catalog" / "catalog.json", sample / "datalake", people, lab=Lab(mail=mail),
            postman=Postman(mail, folder / "no-password"),
        ) as served,
    ):  # fmt: skip
        yield served


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def opened(browser: Browser, lab: Served, address: str, **options) -> Page:
    """A page of Ada's; what the page's own policy refuses, and what fails, is noted."""
    context = browser.new_context(**{"viewport": {"width": 1366, "height": 768}, "locale": "en-US", **options})
    context.add_cookies([{"name": "person", "value": "a", "url": urljoin(lab.page, "/")}])
    page = context.new_page()
    page.wrong = []
    page.on("console", lambda m: page.wrong.append(m.text) if m.type == "error" and "404" not in m.text else None)
    page.on("pageerror", lambda e: page.wrong.append(str(e)))
    page.goto(f"{lab.page}{address}")
    return page


def barriers(page: Page) -> list[str]:
    page.evaluate(AXE)
    found = page.evaluate("axe.run()")
    return [f"{v['id']}: {n['html'][:150]}" for v in found["violations"] for n in v["nodes"]]


@pytest.mark.slow  # 13 s of a core for tiles; integration/browser/test_catalogue.py sees one image, test_tiles_service.py asks the same
def test_dates_imagery_values_and_two_dates(lab, browser):
    page = opened(browser, lab, f"?collection={L1C}")
    expect(page.locator("#said")).to_have_text("18 of 18 products, the latest first.")
    day = page.get_by_role("slider", name="Day")
    expect(day).to_have_attribute("aria-valuetext", re.compile(r"^2021-\d\d-\d\d · \d product"))
    # By the keyboard from day to day: the product follows, the focus stays.
    last = day.get_attribute("aria-valuetext")
    day.focus()
    day.press("ArrowLeft")
    details = page.get_by_role("region", name="The product")
    expect(details).to_be_visible()
    before = day.get_attribute("aria-valuetext")
    assert before < last
    expect(details.get_by_role("heading", level=2)).to_contain_text(before[:10])
    expect(day).to_be_focused()
    # Its pixels by themselves, then brighter, and the values of all bands at a click.
    expect(details.get_by_label("Image on the map")).to_have_value("true-colour")
    expect(page.locator(".leaflet-tile-pane img.leaflet-tile-loaded").first).to_be_visible(timeout=60_000)
    details.get_by_text("Contrast", exact=True).click()
    with page.expect_request(re.compile(r"/tiles/\d+/\d+/\d+\.png.*rescale=")) as asked:
        details.get_by_label("Brightest").press("ArrowLeft")
    assert len(parse_qs(urlsplit(asked.value.url).query)["rescale"]) == 3
    details.get_by_role("button", name="Values in the middle").click()
    bands = page.locator(".leaflet-popup tr", has_text=re.compile(r"^B\d"))
    expect(bands).to_have_count(13, timeout=30_000)
    red = page.locator(".leaflet-popup tr", has_text="B04").locator("td").inner_text()
    assert 0 < float(red) < 2
    # The nearest other date on the right of a line.
    details.get_by_label("Compare with another date").select_option(index=1)
    expect(page.locator(".leaflet-second-pane img.leaflet-tile-loaded").first).to_be_visible(timeout=30_000)
    swipe = page.get_by_role("slider", name=re.compile(f"^Left {before[:10]}.*right 2021-"))
    clip = page.locator(".leaflet-second-pane").evaluate("pane => pane.style.clip")
    swipe.press("Home")
    assert page.locator(".leaflet-second-pane").evaluate("pane => pane.style.clip") != clip
    # On the right of the line a click asks the second date, and says so.
    second = details.get_by_label("Compare with another date").locator("option:checked").inner_text()[:10]
    details.get_by_role("button", name="Values in the middle").click()
    expect(page.locator(".leaflet-popup b")).to_contain_text(second)
    details.get_by_label("Opacity").fill("0.8")
    # The address has all of it, the place on the map too.
    told = parse_qs(urlsplit(page.url).query)
    assert {"way", "contrast", "second", "product", "at", "opacity"} <= told.keys()
    assert told["swipe"] == ["0"]
    again = opened(browser, lab, f"?{urlsplit(page.url).query}")
    expect(again.get_by_label("Image on the map")).to_have_value("true-colour")
    expect(again.get_by_role("slider", name=re.compile("^Left"))).to_be_visible(timeout=30_000)
    expect(again.get_by_role("slider", name="Day")).to_have_attribute("aria-valuetext", re.compile(f"^{before[:10]}"))
    assert again.url == page.url
    # Tiles that do not come are said, once, and asked for again.
    again.route("**/tiles/*/*/*.png*", lambda route: route.fulfill(status=502, json={"detail": "It is broken."}))
    again.get_by_label("Image on the map").select_option(label="NDVI")
    expect(again.locator(".wrong")).to_contain_text("The image cannot be drawn: It is broken.")
    again.unroute("**/tiles/*/*/*.png*")
    again.get_by_role("button", name="Try again").click()
    expect(again.locator(".wrong")).to_have_text("")

    # A band that cannot be read hides no other one.
    def point(route):
        bands = parse_qs(urlsplit(route.request.url).query)["bands"]
        refused = {"status": 422, "json": {"detail": "B05 needs a model."}}
        route.fulfill(**refused if "B05" in bands else {"json": {"values": [0.5] * len(bands)}})

    again.route("**/point/*", point)
    again.get_by_role("button", name="Values in the middle").click()
    expect(again.locator(".leaflet-popup tr", has_text=re.compile(r"^B\d"))).to_have_count(12)
    expect(again.locator(".leaflet-popup .soft")).to_have_text("Without B05: B05 needs a model.")
    again.wrong = [text for text in again.wrong if "502" not in text and "422" not in text]
    # The other language has the same search.
    again.get_by_role("link", name="Français").click()
    expect(again.locator("#said")).to_have_text("18 produits sur 18, les plus récents d'abord.")
    # From a product that was chosen, the browser's button leads back.
    again.locator("#results button.product").last.click()
    expect(again).not_to_have_url(re.compile(re.escape(told["product"][0])))
    again.go_back()
    expect(again).to_have_url(re.compile(re.escape(told["product"][0])))
    expect(again.locator("#details").get_by_role("heading", level=2)).to_contain_text(before[:10])
    assert again.wrong == page.wrong == []
    assert barriers(page) == []
    for one in (page, again):
        one.context.close()


def test_basket_is_downloaded_opened_processed_exported_and_shared(lab, browser, smtp):
    page = opened(browser, lab, f"?collection={L1C}&bbox=1,43,2.5,44")
    add = page.get_by_role("button", name=re.compile("^In the basket"))
    expect(add).to_have_count(18)
    for n in (0, 1):
        add.nth(n).click()
    page.get_by_text(re.compile("^Basket")).click()
    basket = page.locator("#basket")
    expect(basket).to_contain_text("Basket (2)")
    ids = basket.locator("li .name").all_inner_texts()
    cube = basket.get_by_role("link", name="Open as a cube").get_attribute("href")
    search = json.loads(parse_qs(urlsplit(cube).query)["search"][0])
    assert search == {"collections": [L1C], "ids": ids, "latest": False, "geodes_cube": True}
    job = basket.get_by_role("link", name="Process").get_attribute("href")
    assert json.loads(parse_qs(urlsplit(job).query)["search"][0]) == {"collections": [L1C], "ids": ids}
    with page.expect_download() as coming:
        basket.get_by_role("button", name="Save as STAC").click()
    items = pystac.ItemCollection.from_file(str(coming.value.path()))
    assert {i.id for i in items} == set(ids)
    assert all(i.assets for i in items)
    basket.get_by_label("Only these bands").fill("red,nir")
    basket.get_by_label("Only the box of the search").check()
    expect(basket.locator("pre")).to_contain_text(
        "geodes-lab download found.json --to products --bands red,nir --bbox=1,43,2.5,44"
    )
    fetch = basket.get_by_role("link", name="Download in a notebook").get_attribute("href")
    parts = json.loads(parse_qs(urlsplit(fetch).query)["search"][0])["geodes_download"]
    assert parts == {"bands": ["red", "nir"], "bbox": [1, 43, 2.5, 44]}
    # Somebody else with the address has it too, and whoever comes back still has it.
    shared = basket.get_by_label("Address of this basket").input_value()
    other = opened(browser, lab, urlsplit(shared).query.join(["?", ""]), locale="fr-FR", color_scheme="dark")
    expect(other.locator("#basket")).to_contain_text("Panier (2)")
    page.reload()
    expect(page.locator("#basket")).to_contain_text("Basket (2)")
    # An address with what is not there searches nothing else instead.
    other.goto(f"{lab.page}?collection={L1C}&property=platfrom&value=S2A")
    expect(other.locator("#said")).to_contain_text("ce qui n'est pas ici, ou pas pour vous : platfrom.")
    expect(other.locator("#results li")).to_have_count(0)
    # A search that is kept, with its feed.
    page.locator("#saved > summary").press("Enter")
    page.get_by_label("Name", exact=True).fill("Toulouse")
    page.get_by_role("button", name="Save this search").click()
    feed = page.get_by_role("link", name="Feed of new products: Toulouse").get_attribute("href")
    assert parse_qs(urlsplit(feed).query) == {"collection": [L1C], "bbox": ["1,43,2.5,44"]}
    # Its address for a reader without cookies, until it is taken back.
    page.get_by_role("button", name="Address for a feed reader").click()
    address = page.get_by_label("Address for a feed reader: Toulouse").input_value()
    assert httpx.get(address).text.count("<entry>") == 18
    assert barriers(page) == []
    page.get_by_role("button", name="Take back").click()
    expect(page.get_by_role("button", name="Take back")).to_have_count(0)
    assert httpx.get(address).status_code == 401
    # Mails: the address is confirmed by the link of a letter, the switch is the search's own.
    page.get_by_label("Mails about new products to").fill("ada@lab.example")
    page.get_by_role("button", name="Confirm by a mail").click()
    expect(page.locator("#news-said")).to_contain_text("A mail was sent to ada@lab.example")
    (letter,) = smtp.mails
    link = re.search(r"http://\S+confirm=\S+", letter.get_content())[0]
    page.goto(f"{lab.page}?{urlsplit(link).query}")
    expect(page.locator("#news-said")).to_have_text("The address is confirmed.")
    assert "confirm" not in page.url
    switch = page.get_by_label("Mails about new products: Toulouse")
    switch.check()
    page.reload()
    # By the keyboard: what is above it may still come, and a click would land elsewhere.
    page.locator("#saved > summary").press("Enter")
    expect(switch).to_be_checked()
    assert barriers(page) == []
    page.get_by_role("button", name="Forget the search Toulouse").click()
    expect(switch).to_have_count(0)
    assert barriers(other) == []
    for one in (page, other):
        assert one.wrong == []
        one.context.close()


def test_area_by_name_tile_and_polygon_and_a_distance(lab, browser):
    page = opened(browser, lab, f"?collection={L1C}", locale="fr-FR", has_touch=True)
    said, area = page.locator("#said"), page.locator("#area")
    expect(said).to_contain_text("18 produits sur 18")
    # By the keyboard: a name without accents or case, of a list that comes with the lab.
    field = page.get_by_role("combobox", name="Lieu ou tuile")
    field.fill("haute-garonne, x")
    expect(page.locator("#named-said")).to_contain_text("Aucun lieu de ce nom")
    field.fill("COLOMIERS")
    option = page.get_by_role("option", name=re.compile("Colomiers.*France"))
    expect(option).to_be_visible()
    assert barriers(page) == []
    field.press("ArrowDown")
    expect(option).to_have_attribute("aria-selected", "true")
    field.press("Enter")
    expect(area).to_have_text("Autour de Colomiers, France")
    page.get_by_role("button", name="Chercher").click()
    expect(page).to_have_url(re.compile("place=Colomiers"))
    # A tile: its products, whatever else lies in its box.
    field.fill("t31tcj")
    field.press("Enter")
    expect(area).to_have_text("Tuile 31TCJ")
    page.get_by_role("button", name="Chercher").click()
    expect(said).to_contain_text("9 produits sur 9")
    expect(page.locator("#notebook")).to_be_visible()
    search = parse_qs(urlsplit(page.locator("#notebook").get_attribute("href")).query)["search"][0]
    assert json.loads(search) == {"collections": L1C, "tile": "31TCJ"}
    # Several properties at once, the usual ones of the family first.
    page.get_by_label("Propriété", exact=True).select_option(label="Plateforme")
    page.get_by_label("est", exact=True).fill("S2A")
    page.get_by_role("button", name="Une condition de plus").click()
    page.get_by_label("Propriété", exact=True).select_option(label="Sens de l'orbite")
    page.get_by_label("est", exact=True).fill("descending")
    page.get_by_role("button", name="Chercher").click()
    expect(said).to_contain_text("6 produits sur 6")
    expect(page.locator("#notebook")).to_be_visible()
    search = json.loads(parse_qs(urlsplit(page.locator("#notebook").get_attribute("href")).query)["search"][0])
    assert search == {"collections": L1C, "tile": "31TCJ", "platform": "S2A", "sat_orbit_state": "descending"}
    by_tile = page.url
    page.get_by_role("button", name="Sans la condition Plateforme: S2A").click()
    page.get_by_label("est", exact=True).fill("")
    field.fill("31TZZ<img src=x>")
    expect(page.locator("#named-said")).to_contain_text("Aucun lieu")
    # A value that is none, or of nothing, is said and not searched without.
    page.get_by_label("Propriété", exact=True).select_option(label="Orbite relative")
    for value, sentence in (("abc", "Orbite relative est un nombre, et abc n'en est pas un."), ("51", "9 produits")):
        page.get_by_label("est", exact=True).fill(value)
        page.get_by_role("button", name="Chercher").click()
        expect(said).to_contain_text(sentence)
    page.get_by_label("Propriété", exact=True).select_option("")
    page.get_by_role("button", name="Chercher").click()
    expect(said).to_have_text("Choisissez la propriété qui doit être 51, ou videz le champ.")
    page.get_by_label("est", exact=True).fill("")
    # A polygon, corner by corner: with a mouse and a finger; then written. What is drawn gives up what was under way.
    measuring = page.get_by_role("button", name="Sur la carte", include_hidden=True)
    page.get_by_text("Mesurer une distance").click()
    measuring.click()
    expect(measuring).to_have_count(0)
    page.get_by_role("button", name="Dessiner un rectangle").click()
    expect(measuring).to_have_count(1)
    page.get_by_role("button", name="Dessiner un polygone").click()
    expect(page.get_by_role("button", name="Dessiner un rectangle")).to_have_attribute("aria-pressed", "false")
    box = page.locator("#map").bounding_box()
    at = [(box["x"] + box["width"] * x, box["y"] + box["height"] * y) for x, y in ((0.4, 0.3), (0.6, 0.3), (0.5, 0.8))]
    page.mouse.click(*at[0])
    page.touchscreen.tap(*at[1])
    page.mouse.click(*at[2])
    page.get_by_role("button", name="Terminer (3)").click()
    expect(area).to_have_text("Polygone de 3 coins")
    page.get_by_text("Par coordonnées").click()
    corners = page.get_by_label("Ou les coins d'un polygone")
    assert len(corners.input_value().splitlines()) == 3
    for text in ("1 2\n3 4", "1 2\n3 4\nx y", "1 2\n3 4\n500 6"):
        corners.fill(text)
        page.get_by_role("button", name="Prendre ce polygone").click()
        expect(area).to_contain_text("Donnez 3 à 100 coins")
    corners.fill("1.7 43.5\n1.95 43.5\n1.8 43.65")
    page.get_by_role("button", name="Prendre ce polygone").press("Enter")
    page.get_by_role("button", name="Chercher").click()
    expect(said).to_contain_text("18 produits sur 18")
    expect(page.locator("#notebook")).to_be_visible()
    search = parse_qs(urlsplit(page.locator("#notebook").get_attribute("href")).query)["search"][0]
    assert json.loads(search).keys() == {"collections", "shape"}
    polygon = page.url
    # A distance beside PROJ's geodesics: written, and clicked.
    page.get_by_label("Lieux, un par ligne").fill("1.44 43.6\n-74 40.7\n151.2 -33.9")
    page.get_by_role("button", name="Mesurer", exact=True).click()
    expected = Geod(ellps="WGS84").line_length([1.44, -74, 151.2], [43.6, 40.7, -33.9]) / 1000
    expect(page.locator("#distance")).to_have_text(re.compile(r"^Distance : [\d\s]+ km$"))
    assert kilometres(page) == pytest.approx(expected, abs=0.5)
    page.get_by_role("button", name="Sur la carte").click()
    page.mouse.click(*at[0])
    page.mouse.dblclick(*at[1])
    expect(page.get_by_role("button", name="Sur la carte")).to_be_visible()
    lines = page.get_by_label("Lieux, un par ligne").input_value().splitlines()
    longitudes, latitudes = zip(*(map(float, line.split()) for line in lines), strict=True)
    expected = Geod(ellps="WGS84").line_length(longitudes, latitudes) / 1000
    expect(page.locator("#distance")).not_to_have_text("")
    assert kilometres(page) == pytest.approx(expected, rel=1e-4)
    # What lies across longitude 180 is in one piece; what lies around a pole stays as it is.
    field.fill("01KAB")
    field.press("Enter")
    expect(area).to_have_text("Tuile 01KAB")
    across = [[[178, 0], [180, 0], [180, 1], [178, 0]]], [[[-180, 0], [-179, 0], [-179, 1], [-180, 0]]]
    for given, longitudes in (
        ({"type": "MultiPolygon", "coordinates": across}, [178, 180, 180, 178, 180, 181, 181, 180]),
        ({"type": "Polygon", "coordinates": [[[179, 0], [-179, 0], [-179, 1], [179, 0]]]}, [179, 181, 181, 179]),
        ({"type": "Polygon", "coordinates": [[[-181, 0], [-179, 0], [-179, 1], [-181, 0]]]}, [179, 181, 181, 179]),
        ({"type": "Polygon", "coordinates": [[[-180, 80], [0, 80], [180, 80], [-180, 80]]]}, [-180, 0, 180, -180]),
    ):
        asked = "shape => import('/services/catalogue/assets/land.js').then(land => land.unbroken(shape))"
        drawn = page.evaluate(asked, given)["coordinates"]
        rings = [ring for part in drawn for ring in part] if given["type"] == "MultiPolygon" else drawn
        assert [x for ring in rings for x, _ in ring] == longitudes
    # The address has all of it.
    for address, words in ((polygon, "Polygone de 3 coins"), (by_tile, "Tuile 31TCJ")):
        page.goto(address)
        expect(area).to_have_text(words)
    expect(said).to_contain_text("6 produits sur 6")
    assert barriers(page) == []
    assert page.wrong == []
    page.context.close()


def test_polarisations_of_radar_products(lab, browser, sample):
    page = opened(browser, lab, f"?collection={L1C}", locale="fr-FR")
    expect(page.locator("#said")).to_contain_text("18 produits sur 18")
    group = page.get_by_role("group", name="Polarisation, au moins une")
    expect(group).to_be_hidden()
    page.locator("#collection").select_option("PEPS_S1_L1")
    expect(group).to_be_visible()
    page.locator("#results").evaluate("list => list.replaceChildren()")

    def names(*chosen: str) -> set[str]:
        asked = {"sar_polarizations": list(chosen)} if chosen else {}
        return {i.id for i in gl.search("PEPS_S1_L1", url=str(sample / "catalog" / "catalog.json"), **asked)}

    vertical, crossed = names("VV"), names("VH")
    assert crossed < vertical == names(), "the sample has products of VV alone"
    group.get_by_label("VH").focus()
    page.keyboard.press("Space")
    page.get_by_role("button", name="Chercher").click()
    expect(page.locator("#results li")).to_have_count(len(crossed))
    expect(page).to_have_url(re.compile("polarizations=VH"))
    search = json.loads(parse_qs(urlsplit(page.locator("#notebook").get_attribute("href")).query)["search"][0])
    assert search["sar_polarizations"] == ["VH"]
    assert barriers(page) == []
    page.reload()
    expect(group.get_by_label("VH")).to_be_checked()
    expect(page.locator("#results li")).to_have_count(len(crossed))
    group.get_by_label("VH").uncheck()
    group.get_by_label("HH").check()
    page.get_by_role("button", name="Chercher").click()
    expect(page.locator("#results li")).to_have_count(0)
    group.get_by_label("VV").check()
    page.get_by_role("button", name="Chercher").click()
    expect(page.locator("#results li")).to_have_count(len(vertical))
    assert page.wrong == []
    page.context.close()


def kilometres(page: Page) -> float:
    """The distance that a French page tells."""
    return float(re.sub(r"[^\d,]", "", page.locator("#distance").inner_text()).replace(",", "."))


@pytest.mark.attack
def test_names_of_a_catalogue_are_one_argument_each(lab, browser, tmp_path):
    page = opened(browser, lab, "")
    hostile = ["$(touch pwned)", "a'b; touch pwned #", "--json", "x\ny", '"`touch pwned`"', "\\"]
    items = [{"collection": "-c'", "id": name} for name in hostile]
    text = page.evaluate(
        "items => import('/services/catalogue/assets/script.js').then(m => m.script(items, {bands: 'red; touch pwned', box: ['1;x', 2, 3, 4]}))",
        items,
    )
    page.context.close()
    tool = tmp_path / "geodes-lab"
    tool.write_text('#!/bin/sh\nprintf "%s\\0" "$@" >> argv\n')
    tool.chmod(0o755)
    subprocess.run(["sh"], input=text, text=True, check=True, cwd=tmp_path, env={"PATH": f"{tmp_path}:/usr/bin:/bin"})
    told = (tmp_path / "argv").read_text().split("\0")
    assert [a.removeprefix("--id=") for a in told if a.startswith("--id=")] == hostile
    assert "-c'" in told
    assert "--bands" not in told
    assert not (tmp_path / "pwned").exists()


@pytest.mark.parametrize(
    ("language", "scheme"), [("fr-FR", "dark"), pytest.param("en-US", "light", marks=pytest.mark.slow)]
)
def test_phone_without_barriers(lab, browser, language, scheme):
    page = opened(
        browser, lab, f"?collection={L1C}", viewport={"width": 390, "height": 844}, locale=language, color_scheme=scheme
    )
    expect(page.locator("#results li")).to_have_count(18)
    expect(page.locator("#time")).to_be_visible()
    expect(page.locator("#time text", has_text=re.compile("^2021-0[78]$"))).to_have_count(2)
    # A month with its days, and the coordinates of the middle.
    page.locator("#time button").first.press("Enter")
    month = page.locator("#calendar")
    day = month.locator("button[aria-current=date]")
    expect(day).to_have_attribute("aria-label", re.compile(r"^2021-08-29: 2 .* 20 %"))
    month.locator(".top button").first.press("Enter")
    expect(month.locator("td button")).to_have_count(3)
    assert barriers(page) == []
    month.locator("td button").first.press("Escape")
    expect(month).to_be_hidden()
    page.locator("#map").press("ArrowRight")
    expect(page.locator("#map .where")).to_have_text(re.compile(r"^4\d\.\d+, \d\.\d+$"))
    # From far away, the map goes to a product that is opened, and its details begin at their begin.
    wide = lambda: page.evaluate("document.querySelector('path.footprint').getBoundingClientRect().width")  # noqa: E731
    awaited(lambda: page.locator(".leaflet-control-zoom-out").click() or wide() < 12)
    page.locator("#results button.product").nth(9).click()
    expect(page.locator("#details h2")).to_be_in_viewport()
    awaited(lambda: wide() > 60)
    # Its image above them, and the values of a place inside of the map.
    expect(page.locator("#map img.leaflet-tile-loaded").first).to_be_in_viewport()
    page.locator("#imagery .soft button").click()
    close = page.locator(".leaflet-popup-close-button")
    expect(close).to_have_attribute("aria-label", re.compile("^(Close|Fermer)$"))
    close.click()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    # Who has no session any more is told so, and led to the login.
    page.context.clear_cookies()
    page.locator("#details").press("Escape")
    page.locator("#results button.product").nth(3).click()
    expect(page.locator("#details p[role=status] a")).to_have_attribute("href", re.compile("login.next="))
    page.wrong = [text for text in page.wrong if "401" not in text]
    weight = page.evaluate("performance.getEntries().reduce((sum, e) => sum + (e.transferSize || 0), 0)")
    print("the page weighs", weight)
    assert 10_000 < weight < 3_000_000
    assert barriers(page) == []
    assert page.wrong == []
    page.context.close()
