"""The catalogue as a person meets it: its page with the map, the notebook that it opens, and the map in a notebook."""

from __future__ import annotations

import json
import re
import zipfile
from urllib.parse import urlsplit

import geopandas
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Page, expect
from shapely.geometry import box, shape

import geodes_lab as gl
from hub.lab import Lab
from tests.integration.browser.test_person import colours
from tests.support.awaiting import awaited
from tests.support.browser import chromium, needs_chromium
from tests.support.paths import TOP

pytestmark = [pytest.mark.browser, needs_chromium]


# What docs/how-to/catalogue.md tells a user to do with results.
PUBLISH = """
import os, httpx
api = httpx.Client(base_url=os.environ["DASK_GEODES_LAB__CATALOG__PROFILES__LAB__URL"],
                   headers={"Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}"})
name = os.environ["JUPYTERHUB_USER"] + ".ndvi"
extent = {"spatial": {"bbox": [[0, 40, 5, 45]]}, "temporal": {"interval": [["2021-01-01T00:00:00Z", None]]}}
collection = {"type": "Collection", "stac_version": "1.1.0", "id": name, "description": "NDVI", "license": "other",
              "extent": extent, "links": []}
made = api.post("/collections", json=collection).status_code
source = gl.search("PEPS_S2_L1C", profile="lab", limit=1)[0]
item = source.clone()
item.id, item.collection_id, item.properties["mean"] = "mine", name, 0.4
put = api.post(f"/collections/{name}/items", json=item.to_dict(include_self_link=False)).status_code
print("published", made, put, [i.id for i in gl.search(name, profile="lab", mean=(0.3, 0.5))])
"""


@pytest.fixture(scope="module")
def person(lab, entering):
    """A browser of somebody who has logged in, and whose server runs."""
    web = entering[1]
    started = lambda: "/hub/" not in web.get(f"{root(lab)}/hub/spawn", follow_redirects=True).url.path  # noqa: E731
    awaited(started, 120)
    with chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        for cookie in web.cookies.jar:
            page.context.add_cookies(
                [{"name": cookie.name, "value": cookie.value or "", "domain": "127.0.0.1", "path": cookie.path}]
            )
        elsewhere: list[str] = []

        def asked(request):
            if urlsplit(request.url).scheme in ("http", "https", "ws", "wss") and "127.0.0.1" not in request.url:
                elsewhere.append(request.url)

        page.on("request", asked)
        yield page
        assert elsewhere == []


def root(lab: Lab) -> str:
    return lab.url.split("/hub/")[0]


def drag(page: Page, selector: str, begin: tuple[float, float], end: tuple[float, float]) -> None:
    """Drag the mouse over an element, in parts of its size."""
    box = page.locator(selector).first.bounding_box()
    (x, y), (to_x, to_y) = ((box["x"] + box["width"] * a, box["y"] + box["height"] * b) for a, b in (begin, end))
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move((x + to_x) / 2, (y + to_y) / 2)
    page.mouse.move(to_x, to_y)
    page.mouse.up()


def test_page_finds_products_and_opens_them_in_a_notebook(lab, person):
    # Whom the hub knows is known here too.
    person.goto(f"{root(lab)}/services/catalogue/")
    expect(person.locator("header .person")).to_have_text(re.compile("."))
    expect(person.locator("#collection option")).not_to_have_count(0)
    person.select_option("#collection", "PEPS_S2_L1C")
    person.select_option("#property", "platform")
    expect(person.locator("#values option")).to_have_count(2)
    person.fill("#value", "S2A")
    person.fill("#from", "2021-07-01")
    person.fill("#to", "2021-06-01")
    person.get_by_role("button", name="Search").click()
    expect(person.locator("#said")).to_have_text("The period ends before it begins: change From or To.")
    # Without a mouse: the corners of a box, a product, and back.
    person.fill("#to", "")
    person.click("#numbers summary")
    for corner, degrees in {"west": "1", "south": "43", "east": "2.5", "north": "44"}.items():
        person.fill(f"#{corner}", degrees)
    person.get_by_role("button", name="Use this box").press("Enter")
    expect(person.locator("#area")).to_have_text("Box: 1, 43, 2.5, 44")
    person.get_by_role("button", name="Search").press("Enter")
    expect(person.locator("#said")).to_have_text(re.compile("^10 of 10 products"))
    person.locator("#results button.product").nth(1).press("Enter")
    details = person.get_by_role("region", name="The product")
    expect(details.get_by_role("img")).to_be_visible()
    expect(details.get_by_role("row", name="platform S2A")).to_be_visible()
    # Its pixels on the map, by the service of tiles.
    details.get_by_label("Image on the map").select_option(label="True colour")
    expect(person.locator("img.leaflet-tile-loaded").first).to_be_visible(timeout=60_000)
    person.screenshot(path=TOP / "build" / "imagery.png")
    # The address has all of it; a login, if one is needed, leads back to it.
    person.context.clear_cookies(path="/services/catalogue/")
    person.goto(person.url)
    expect(details.get_by_role("row", name="platform S2A")).to_be_visible()
    expect(person.locator("#said")).to_have_text(re.compile("^10 of 10 products"))
    expect(person.locator("#area")).to_have_text("Box: 1, 43, 2.5, 44")
    person.keyboard.press("Escape")
    expect(details).to_have_count(0)
    assert "product=" not in person.url
    person.goto(f"{root(lab)}/services/catalogue/")
    expect(person.locator("path.land")).not_to_have_count(0)
    person.select_option("#collection", "PEPS_S2_L1C")
    person.get_by_role("button", name="Search").click()
    expect(person.locator("#said")).to_have_text("18 of 18 products, the latest first.")
    expect(person.locator("#results li")).to_have_count(18)
    expect(person.locator("path.footprint")).to_have_count(18)
    # Awaited inside the page: a poll of Playwright's evaluates text, which the page's own policy forbids.
    seen = person.locator("#results img").first.evaluate("image => image.decode().then(() => image.naturalWidth)")
    assert seen > 100
    # A box at the west of the footprints, clouds, a property and dates each leave fewer.
    person.fill("#from", "2021-07-01")
    person.locator("#clouds").fill("10")
    person.select_option("#property", "platform")
    person.fill("#value", "S2A")
    person.get_by_role("button", name="Search").click()
    expect(person.locator("#said")).to_have_text(re.compile(r"^\d+ of \d+ products"))
    number = person.locator("#results li").count()
    assert 0 < number < 18
    for name in person.locator("#results .name").all_inner_texts():
        assert name.startswith("S2A_MSIL1C_20210")
    assert colours(person.locator("#map").screenshot()) > 20
    person.get_by_role("link", name="Open in a notebook").click()
    person.wait_for_selector(".jp-Notebook", timeout=60_000)
    expect(person.get_by_role("heading", name="Products from the catalogue")).to_be_visible(timeout=60_000)
    # The first notebook of the lab may be open behind it.
    seen = person.locator(".jp-NotebookPanel:visible")
    expect(seen.locator(".jp-CodeCell").first).to_contain_text("platform='S2A'")
    expect(person.get_by_role("button", name="GEODES (Python · Dask) | Idle")).to_be_visible(timeout=60_000)
    person.get_by_role("menuitem", name="Run", exact=True).click()
    person.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    expect(seen.locator(".jp-OutputArea-output").first).to_contain_text(f"{number} products", timeout=90_000)


def test_property_chosen_before_its_collection_has_answered_is_kept(lab, person):
    person.goto(f"{root(lab)}/services/catalogue/?collection=PEPS_S2_L1C")
    expect(person.locator("#property option[value=platform]")).to_have_count(1)
    values = person.locator("#collection option").evaluate_all("options => options.map(option => option.value)")
    other = next(value for value in values if value != "PEPS_S2_L1C")
    held = []
    person.route("**/queryables", lambda route: held.append(route))
    person.select_option("#collection", other)
    person.select_option("#collection", "PEPS_S2_L1C")
    person.select_option("#property", "platform")
    person.fill("#value", "S2A")
    person.get_by_role("button", name="Search").click()
    expect(person.locator("#said")).to_have_text("Searching …")
    for route in reversed(held):  # the answer for the collection that was left comes last
        route.continue_()
    expect(person.locator("#said")).to_have_text(re.compile(r"^\d+ of \d+ products"))
    names = person.locator("#results .name").all_inner_texts()
    assert names
    assert all(name.startswith("S2A_MSIL1C_") for name in names)
    assert person.locator("#property").input_value() == "platform"
    person.unroute("**/queryables")


def test_box_that_is_drawn_is_the_area_of_the_search(lab, person):
    person.goto(f"{root(lab)}/services/catalogue/?collection=PEPS_S2_L1C")
    expect(person.locator("#property option")).not_to_have_count(0)
    expect(person.locator("#said")).to_have_text("18 of 18 products, the latest first.")  # as the address says
    for _ in range(8):
        person.locator(".leaflet-control-zoom-out").click()
    person.get_by_role("button", name="Draw a box").click()
    drag(person, "#map", (0.1, 0.1), (0.3, 0.3))  # the west of America
    expect(person.locator("#area")).to_have_text(re.compile(r"^Box: -\d"))
    person.get_by_role("button", name="Search").click()
    expect(person.locator("#said")).to_have_text(re.compile("^Nothing found"))
    person.get_by_role("button", name="Whole world").click()
    person.get_by_role("button", name="Search").click()
    expect(person.locator("#said")).to_have_text("18 of 18 products, the latest first.")


@pytest.mark.slow  # tests/hub/services/catalogue/test_catalogue_shapes.py sends the same files
def test_file_of_shapes_is_the_area_of_the_search_and_of_its_notebook(lab, person, tmp_path):
    fields = geopandas.GeoDataFrame(geometry=[box(1.75, 43.5, 1.8, 43.55), box(1.8, 43.6, 1.85, 43.62)], crs=4326)
    fields.to_crs("EPSG:2154").to_file(tmp_path / "my fields.shp")
    with zipfile.ZipFile(tmp_path / "my fields.zip", "w") as archive:
        for part in tmp_path.glob("my fields.[!z]*"):
            archive.write(part, part.name)
    person.goto(f"{root(lab)}/services/catalogue/?collection=PEPS_S2_L1C")
    expect(person.locator("#property option[value=platform]")).to_have_count(1)
    person.set_input_files("#file", tmp_path / "my fields.zip")
    expect(person.locator("#area")).to_have_text("Shape: my fields.zip", timeout=60_000)
    person.get_by_role("button", name="Search").click()
    expect(person).to_have_url(re.compile("shape="))
    person.reload()
    expect(person.locator("#area")).to_have_text("Shape: my fields.zip", timeout=60_000)
    expect(person.locator("path.area")).not_to_have_count(0)
    expect(person.locator("#said")).to_have_text(re.compile(r"^\d+ of \d+ products"), timeout=60_000)
    person.screenshot(path=TOP / "build" / "shape.png")
    number = person.locator("#results li").count()
    person.get_by_role("link", name="Open in a notebook").click()
    seen = person.locator(".jp-NotebookPanel:visible")
    expect(seen.locator(".jp-CodeCell").first).to_contain_text("intersects='shape-", timeout=90_000)
    (file,) = (lab.state / "home" / "notebooks").glob("shape-*.geojson")
    area = shape(json.loads(file.read_text())["geometry"])
    assert area.symmetric_difference(fields.union_all()).area < 1e-3 * area.area
    assert number == len(
        gl.search("PEPS_S2_L1C", intersects=area, url=str(lab.sample / "catalog" / "catalog.json"), limit=30)
    )
    # What is no file of shapes is said, and the search is as before.
    person.goto(f"{root(lab)}/services/catalogue/?collection=PEPS_S2_L1C")
    (tmp_path / "wrong.kml").write_text("<kml>")
    person.set_input_files("#file", tmp_path / "wrong.kml")
    expect(person.locator("#area")).to_contain_text("names wrong.kml,", timeout=60_000)
    expect(person.locator("path.area")).to_have_count(0)
    person.get_by_role("button", name="Search").click()
    expect(person.locator("#said")).to_have_text("18 of 18 products, the latest first.", timeout=30_000)


@pytest.mark.slow  # a page of JupyterLab of its own; test_page_finds_products… enters it too
def test_lab_has_its_face_and_its_documentation_at_hand(lab, person):
    person.goto(f"{root(lab)}/hub/user-redirect/lab?reset")
    expect(person.locator("#jp-MainLogo svg[aria-label='GEODES Lab']")).to_be_visible(timeout=60_000)
    expect(person.get_by_role("tab", name="Launcher")).to_be_visible(timeout=60_000)  # all is restored
    person.get_by_role("menuitem", name="Help", exact=True).click()
    for name in ("Documentation", "The First Notebook", "Catalogue", "My Usage", "News"):
        expect(person.get_by_role("menuitem", name=f"GEODES Lab: {name}")).to_be_visible()
    person.screenshot(path=TOP / "build" / "face.png")
    with person.context.expect_page() as opened:
        person.get_by_role("menuitem", name="GEODES Lab: Documentation").click()
    opened.value.get_by_role("link", name="How to", exact=True).click()
    expect(opened.value.get_by_role("heading", level=1)).to_have_text("How to")
    opened.value.close()
    person.get_by_role("menuitem", name="Help", exact=True).click()
    with person.context.expect_page() as opened:
        person.get_by_role("menuitem", name="GEODES Lab: Catalogue").click()
    expect(opened.value.get_by_role("heading", name="Catalogue")).to_be_visible(timeout=60_000)
    opened.value.close()
    # The first notebook, for who reads French.
    french = person.context.browser.new_context(locale="fr-FR", storage_state=person.context.storage_state())
    page = french.new_page()
    page.goto(f"{root(lab)}/hub/user-redirect/geodes/start")
    expect(page).to_have_url(re.compile(r"/lab/tree/notebooks/01_ndvi_cube\.fr\.ipynb"), timeout=60_000)
    french.close()


@pytest.mark.slow  # half a minute; tests/catalog/test_explorer.py tries the map without a browser
def test_map_in_a_notebook_gives_the_items_back(lab, person):
    kernel = {"name": "geodes", "display_name": "GEODES (Python · Dask)", "language": "python"}
    sources = [
        "import geodes_lab as gl\ne = gl.explore('PEPS_S2_L1C')\ne",
        f"print('found', len(e.items), e.arguments)\n{PUBLISH}",
    ]
    notebook = new_notebook(cells=[new_code_cell(s) for s in sources], metadata={"kernelspec": kernel})
    nbformat.write(notebook, lab.state / "home" / "notebooks" / "explore.ipynb")
    person.goto(f"{root(lab)}/hub/user-redirect/lab/tree/notebooks/explore.ipynb")
    cells = person.locator(".jp-Notebook:visible .jp-CodeCell")
    expect(cells.first).to_contain_text("gl.explore", timeout=60_000)
    expect(person.get_by_role("button", name="GEODES (Python · Dask) | Idle")).to_be_visible(timeout=60_000)
    cells.first.click()
    person.get_by_role("menuitem", name="Run", exact=True).click()
    person.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    # Results of one's own, put there by the token of one's own server, and found again.
    expect(cells.nth(1)).to_contain_text("published 201 201 ['mine']", timeout=90_000)
    search = person.get_by_role("button", name="Search", exact=True)
    expect(search).to_be_visible(timeout=90_000)
    search.click()
    expect(person.get_by_text("18 products.")).to_be_visible(timeout=60_000)
    expect(person.locator(".leaflet-overlay-pane path[stroke='#0b63b5']")).not_to_have_count(
        0
    )  # footprints, not coasts
    person.screenshot(path=TOP / "build" / "explore.png")
    person.locator("select[size] option, .widget-select select option").first.click()
    expect(person.locator("img.jupyter-widgets")).to_be_visible()
    assert colours(person.locator(".leaflet-container").screenshot()) > 20
    # A box that is drawn stays seen above the footprints, and a click goes through it to one of them.
    person.locator(".leaflet-draw-draw-rectangle").click()
    drag(person, ".leaflet-container", (0.35, 0.35), (0.65, 0.65))
    expect(person.get_by_text(re.compile("^Box: "))).to_be_visible()
    search.click()
    expect(person.get_by_text(re.compile(r"^\d+ products?\.$"))).to_be_visible(timeout=60_000)
    expect(person.locator(".leaflet-place-pane path[stroke='#b3261e']")).to_have_count(1)
    facts = person.locator(".widget-html-content:visible code")
    first = facts.inner_text()  # of the list, which is chosen after a search
    person.locator(".leaflet-container").click()
    expect(facts).not_to_have_text(first)
    expect(facts).to_have_text(re.compile("^S2"))
    # A box in the ocean finds nothing, and Python knows.
    person.locator(".leaflet-control-zoom-out").click()
    person.locator(".leaflet-draw-draw-rectangle").click()
    drag(person, ".leaflet-container", (0.1, 0.7), (0.3, 0.9))
    expect(person.get_by_text(re.compile("^Box: "))).to_be_visible()
    search.click()
    expect(person.get_by_text("Nothing found.")).to_be_visible(timeout=60_000)
    cells.nth(1).click()
    person.keyboard.press("Control+Enter")
    expect(cells.nth(1)).to_contain_text("found 0", timeout=60_000)
    expect(cells.nth(1)).to_contain_text("'bbox'")


def test_page_on_a_phone_in_french(lab, person):
    phone = person.context.browser.new_context(
        viewport={"width": 390, "height": 844},
        locale="fr-FR",
        has_touch=True,
        storage_state=person.context.storage_state(),
    )
    page = phone.new_page()
    page.goto(f"{root(lab)}/services/catalogue/?collection=PEPS_S2_L1C")
    expect(page.locator("#said")).to_have_text("18 produits sur 18, les plus récents d'abord.")
    assert page.locator("#results button.product").first.bounding_box()["y"] < 844  # above the fold
    page.get_by_text("Que chercher").click()
    for _ in range(8):
        page.locator(".leaflet-control-zoom-out").click()
    page.get_by_role("button", name="Dessiner un rectangle").click()
    box = page.locator("#map").bounding_box()
    hand = phone.new_cdp_session(page)  # as a finger does it: Playwright's own only taps
    for kind, part in (("touchStart", 0.2), ("touchMove", 0.4), ("touchMove", 0.5), ("touchEnd", 0.5)):
        at = {"x": box["x"] + box["width"] * part, "y": box["y"] + box["height"] * part}
        hand.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": [] if kind == "touchEnd" else [at]})
    expect(page.locator("#area")).to_have_text(re.compile(r"^Rectangle : -?\d"))
    phone.close()
