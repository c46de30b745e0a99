"""A person's way: the link, JupyterLab, notebooks from top to bottom, plots, the Dask panel, an app that is shared."""

from __future__ import annotations

import contextlib
import io
import json
import re
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import geopandas
import nbformat
import numpy as np
import pytest
import shapely
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from geodes_lab.catalog.place_map import PLACE as ASKED
from hub.lab import Lab
from tests.environments.test_overlay import wheel
from tests.support.browser import chromium, needs_chromium
from tests.support.paths import TOP

BUILD = TOP / "build"

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600), needs_chromium]


def colours(png: bytes) -> int:
    """How many different colours a picture has: a blank one has few."""
    small = Image.open(io.BytesIO(png)).convert("RGB").resize((200, 200))
    return len(set(small.getdata()))


def difference(one: bytes, other: bytes) -> float:
    """How far two pictures are from each other, in levels of 255 a pixel: some change of a cursor is not a new map."""
    a, b = (np.asarray(Image.open(io.BytesIO(p)).convert("RGB").resize((100, 100)), "int16") for p in (one, other))
    return float(np.abs(a - b).mean())


def spread(png: bytes) -> float:
    """How far the colours of a picture span, from its darkest to its brightest, 0 to 255."""
    grey = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    return float(np.subtract(*np.percentile(grey, (95, 5))))


def axes(png: bytes) -> bool:
    """Whether a plot has numbers at its left and below it: dark specks on white, in the margins where no data are."""
    grey = np.asarray(Image.open(io.BytesIO(png)).convert("L"))
    high, wide = grey.shape
    left, below = grey[:, : wide // 14], grey[-high // 16 :, wide // 5 : -wide // 5]
    return all(0.003 < (margin < 130).mean() < 0.3 and (margin > 240).mean() > 0.6 for margin in (left, below))


def without_axes(png: bytes) -> bytes:
    """The same with its margins painted over."""
    grey = np.array(Image.open(io.BytesIO(png)).convert("L"))
    high, wide = grey.shape
    grey[:, : wide // 14] = grey[-high // 16 :] = 255
    painted = io.BytesIO()
    Image.fromarray(grey).save(painted, "png")
    return painted.getvalue()


def blue(png: bytes) -> float:
    """The share of a picture that is as blue as a footprint."""
    r, _, b = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), "int16").transpose(2, 0, 1)
    return float((b - r > 60).mean())


class Person:
    """Somebody at a browser, who has logged in; what the pages ask of other machines, and what is refused, is noted."""

    def __init__(self, page: Page, lab: Lab) -> None:
        self.page, self.root = page, lab.url.split("/hub/")[0]
        self.home = lab.state / "home"
        self.elsewhere: list[str] = []
        self.refused: list[str] = []
        page.context.on("request", self._asked)
        page.context.on("response", lambda r: self.refused.append(f"{r.status} {r.url}") if r.status >= 400 else None)
        page.goto(lab.url)
        page.wait_for_selector(".jp-Notebook", timeout=90_000)

    def _asked(self, request) -> None:
        if urlsplit(request.url).scheme in ("http", "https", "ws", "wss") and "127.0.0.1" not in request.url:
            self.elsewhere.append(request.url)

    def open(self, name: str) -> Locator:
        """Open a notebook of the lab; give what is seen of it."""
        if name not in self.page.url:
            self.page.goto(f"{self.root}/hub/user-redirect/lab/tree/notebooks/{name}.ipynb?reset")
        notebook = self.page.locator(".jp-NotebookPanel:visible .jp-Notebook")
        expect(notebook.get_by_role("heading").first).to_be_visible(timeout=60_000)
        expect(self.page.get_by_role("button", name="GEODES (Python · Dask) | Idle")).to_be_visible(timeout=60_000)
        return notebook

    def run(self, name: str, seconds: int = 400) -> Locator:
        """Run all cells; done when the last cell has its number."""
        notebook = self.open(name)
        numbers = notebook.locator(".jp-CodeCell .jp-InputArea-prompt")
        for _ in range(3):  # a kernel that has just come up may take nothing yet: a person would try again
            self.page.get_by_role("tab", name=f"{name}.ipynb").click()  # the menu acts on what was touched last
            self.page.get_by_role("menuitem", name="Run", exact=True).click()
            self.page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
            with contextlib.suppress(AssertionError):
                expect(numbers.get_by_text(re.compile(r"^\[(\d+|\*)\]:")).first).to_be_attached(timeout=5_000)
                self.page.wait_for_timeout(2_000)  # what was refused is gone again by then
                expect(numbers.get_by_text(re.compile(r"^\[(\d+|\*)\]:")).first).to_be_attached(timeout=1_000)
                break
        cells = json.loads((TOP / "notebooks" / f"{name}.ipynb").read_text())["cells"]
        last = sum(cell["cell_type"] == "code" for cell in cells)
        try:
            expect(numbers.last).to_have_text(f"[{last}]:", timeout=seconds * 1000)
        except AssertionError:
            self.page.screenshot(path=BUILD / f"{name}_stopped.png")
            raise
        warned = notebook.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']")
        assert [t for t in warned.all_inner_texts() if t.strip()] == []
        return notebook

    def painted(self, plot: Locator, least: int = 100) -> bytes:
        """Await a plot's paint, which bokeh does some time after its canvas is there, and says nothing of."""
        plot.scroll_into_view_if_needed()
        expect(plot).to_be_visible(timeout=30_000)
        for _ in range(80):
            if colours(seen := plot.screenshot()) > least:
                return seen
            self.page.wait_for_timeout(250)
        raise AssertionError("the plot stays blank")


@pytest.fixture(scope="module")
def person(tmp_path_factory, sample: Path) -> Iterator[Person]:
    BUILD.mkdir(exist_ok=True)
    with Lab(tmp_path_factory.mktemp("lab"), sample=sample) as lab, chromium() as browser:
        person = Person(browser.new_page(viewport={"width": 1440, "height": 900}), lab)
        yield person
    assert person.elsewhere == [], "the lab asks nothing of the internet"
    # A dashboard in a process that has imported panel asks for panel's script at the root, and does without; that of a cluster
    # which was stopped is asked for, by the panel too, until its tab is closed.
    expected = ("/static/extensions/panel/panel.min.js", "/proxy/", "/individual-plots.json")
    assert [r for r in person.refused if not any(e in r for e in expected)] == []


def test_person_runs_notebook_01_and_sees_the_plots(person):
    page = person.page
    notebook = person.run("01_ndvi_cube")
    expect(notebook.get_by_role("heading", name="A summer of vegetation")).to_have_count(1)
    expect(notebook.locator("svg[role=img]").first).to_have_attribute(
        "aria-label", re.compile(r"^Footprints, 1\.\d+° to")
    )
    plots = notebook.locator(".bk-Figure")
    picture, ndvi = person.painted(plots.nth(0)), person.painted(plots.nth(1))
    assert spread(picture) > 60
    assert spread(ndvi) > 60
    (BUILD / "01_ndvi.png").write_bytes(ndvi)
    assert axes(ndvi)
    assert not axes(without_axes(ndvi)), "the control"

    # The slider asks the kernel for another month, and the map shows it. Just after the last cell the kernel may
    # not listen to the slider yet: a person would move it again.
    slider = notebook.locator(".noUi-handle").nth(1)
    for turn in range(60):
        if turn % 6 == 0:
            slider.press("ArrowRight" if turn % 12 == 0 else "ArrowLeft")
        page.wait_for_timeout(500)
        if difference(ndvi, plots.nth(1).screenshot()) > 5:
            break
    assert difference(ndvi, plots.nth(1).screenshot()) > 5

    page.get_by_title("Dask", exact=False).first.click()
    page.get_by_role("button", name="Auto-detect dashboard URL").click()
    expect(page.get_by_role("button", name="Task Stream")).to_be_visible(timeout=20_000)
    seen = page.screenshot(path=BUILD / "lab.png")
    assert colours(seen) > 200


def of_shapes(folder: Path) -> tuple[Path, Path]:
    """A field of the sample as a file of GeoJSON, and as a zipped Shapefile in metres."""
    field = geopandas.GeoDataFrame(geometry=[shapely.box(1.78, 43.55, 1.84, 43.60)], crs=4326)
    plain, whole = folder / "field.geojson", folder / "field.zip"
    field.to_file(plain)
    parts = folder / "parts"
    parts.mkdir()
    field.to_crs(32631).to_file(parts / "field.shp")
    with zipfile.ZipFile(whole, "w") as zipped:
        for part in sorted(parts.iterdir()):
            zipped.write(part, part.name)
    return plain, whole


# Of the long ones: half a minute for a button; tests/catalog/test_explorer.py gives the widget the same files.
@pytest.mark.slow
def test_person_searches_by_a_file_of_the_own_computer(person, tmp_path):
    kernel = {"name": "geodes", "display_name": "GEODES (Python · Dask)", "language": "python"}
    cells = [new_markdown_cell("# Explorer"), new_code_cell('explorer = gl.explore("PEPS_S2_L1C")\nexplorer')]
    place = person.home / "notebooks" / "explorer.ipynb"
    nbformat.write(new_notebook(cells=cells, metadata={"kernelspec": kernel}), place)
    notebook = person.open("explorer")
    notebook.locator(".jp-CodeCell .cm-content").click()
    person.page.keyboard.press("Control+Enter")
    map_ = notebook.locator(".leaflet-container")
    expect(map_).to_be_visible(timeout=90_000)
    plain, zipped = of_shapes(tmp_path)

    def choose(file: Path) -> None:
        with person.page.expect_file_chooser() as chooser:
            notebook.get_by_role("button", name="Shape from a file").click()
        chooser.value.set_files(file)

    for file in (plain, zipped, plain):  # the same one twice, too
        choose(file)
        expect(notebook.get_by_text(f"Shape: {file.name}")).to_be_visible(timeout=30_000)
        expect(map_.locator(f"path[stroke='{ASKED}']")).to_have_count(1)
        notebook.get_by_role("button", name="Search").click()
        expect(notebook.get_by_text(re.compile(r"^\d+ products?"))).to_be_visible(timeout=30_000)
    broken = tmp_path / "broken.zip"
    broken.write_bytes(b"no zip")
    choose(broken)
    expect(notebook.get_by_text("broken.zip", exact=False)).to_be_visible(timeout=30_000)
    notebook.screenshot(path=BUILD / "02_uploaded.png")


@pytest.mark.slow  # as the other notebooks
def test_person_finds_products_in_notebook_02(person):
    notebook = person.run("02_catalogue")
    map_ = notebook.locator(".leaflet-container")
    map_.scroll_into_view_if_needed()
    expect(map_.locator("path.leaflet-interactive[stroke='#0b63b5']").first).to_be_attached(timeout=30_000)
    for _ in range(40):  # it flies to what was found
        if blue(map_.screenshot(path=BUILD / "02_map.png")) > 0.002:
            break
        person.page.wait_for_timeout(250)
    assert blue(map_.screenshot()) > 0.002, "footprints are seen"
    expect(notebook.locator("img[src^='data:image/jpeg']").first).to_have_count(1)
    expect(notebook.get_by_text("did you mean 'platform'?")).to_have_count(1)
    expect(notebook.get_by_text("THEIA_SWH-PHASE1_SPOT4_L1C: 1 new, 1 in all.")).to_have_count(1)
    footprints = person.painted(notebook.locator(".bk-Figure").first, 40)
    assert spread(footprints) > 20
    assert axes(footprints)


# Of the long ones: 85 s; results/ and hub/ try what it calls, and notebook 01 the way through the browser.
@pytest.mark.slow
def test_person_shares_a_result_with_notebook_08(person):
    notebook = person.run("08_share")
    expect(notebook.get_by_text(".ndvi', ")).to_have_count(1)
    expect(notebook.get_by_text("1 product", exact=False).first).to_have_count(1)
    picture = notebook.locator("img[src^='data:image/png']").last
    picture.scroll_into_view_if_needed()
    assert spread(picture.screenshot()) > 60
    # The app, as a page of its own.
    with person.page.context.expect_page(timeout=120_000) as opened:  # it comes when its kernel has drawn it
        notebook.get_by_role("button", name="Open the app").click()
    app = opened.value
    expect(app.locator(".bk-Figure")).to_have_count(2, timeout=120_000)  # it has a kernel of its own
    slider = app.locator(".noUi-handle").first
    plot = max(app.locator(".bk-Figure").all(), key=lambda p: p.bounding_box()["height"])  # the map
    seen = person.painted(plot)
    app.screenshot(path=BUILD / "08_app.png")
    assert spread(seen) > 60
    assert axes(seen)
    for turn in range(40):
        if turn % 6 == 0:
            slider.press("ArrowRight" if turn % 12 == 0 else "ArrowLeft")
        app.wait_for_timeout(500)
        if difference(seen, plot.screenshot()) > 5:
            break
    assert difference(seen, plot.screenshot()) > 5, "another month"
    # The same as colleagues see it: in a sandbox, where it has no origin and no cookie, it works all the same.
    with person.page.context.expect_page(timeout=60_000) as opened:
        notebook.get_by_role("button", name="Open it as they do").click()
    theirs = opened.value
    expect(theirs.locator(".bk-Figure")).to_have_count(2, timeout=120_000)
    assert re.search(r"/geodes/apps/ndvi/~[0-9a-f]+-[0-9a-f]{64}/app$", theirs.url)
    assert theirs.evaluate("self.origin") == "null"
    slider = theirs.locator(".noUi-handle").first
    plot = max(theirs.locator(".bk-Figure").all(), key=lambda p: p.bounding_box()["height"])
    seen = person.painted(plot)
    theirs.screenshot(path=BUILD / "08_shared.png")
    for turn in range(40):
        if turn % 6 == 0:
            slider.press("ArrowRight" if turn % 12 == 0 else "ArrowLeft")
        theirs.wait_for_timeout(500)
        if difference(seen, plot.screenshot()) > 5:
            break
    assert difference(seen, plot.screenshot()) > 5, "its websocket goes through"


def test_person_makes_an_environment_from_the_launcher(person, tmp_path):
    page = person.page
    if "/lab" not in page.url:
        person.open("01_ndvi_cube")
    package = wheel(tmp_path, "tinystorms", "1.0")
    page.get_by_role("menuitem", name="File", exact=True).click()
    page.get_by_role("menuitem", name="New Launcher").click()
    launcher = page.locator(".jp-Launcher:visible")
    card = launcher.locator(".jp-LauncherCard", has_text="New environment…")
    expect(card).to_be_visible(timeout=30_000)
    card.scroll_into_view_if_needed()
    page.screenshot(path=BUILD / "launcher.png")
    with page.context.expect_page(timeout=60_000) as opened:
        card.click()
    form = opened.value
    form.fill("#name", "Storms!")
    form.get_by_role("button", name="Make it").click()
    assert form.evaluate("document.querySelector('#name').validity.patternMismatch")
    form.fill("#name", "storms")
    form.fill("#text", f"{package}\n")
    form.get_by_role("button", name="Make it").click()
    expect(form.get_by_role("status")).to_have_text("storms is made: its kernel is in the launcher.", timeout=120_000)
    expect(form.locator("pre")).to_contain_text("Successfully installed tinystorms-1.0")
    form.screenshot(path=BUILD / "environment.png", full_page=True)
    # No other site can have one made: the form's token is wanted.
    answer = page.request.post(form.url, form={"name": "theirs"})
    assert answer.status == 403
    made = launcher.locator(
        ".jp-LauncherCard[title*='storms (over GEODES)'], .jp-LauncherCard", has_text="storms (over"
    )
    expect(made.first).to_be_visible(timeout=20_000)  # without a new page
    page.bring_to_front()
    made.first.scroll_into_view_if_needed()
    page.screenshot(path=BUILD / "launcher_after.png")
    form.close()


def test_person_stops_a_cluster_in_the_panel(person):
    """Last, since plots that are seen would start another one; of the notebooks above at least one has its cluster still."""
    page = person.page
    listed = page.locator(".dask-ClusterListingItem")
    if not page.locator(".dask-ClusterListing").is_visible():
        page.get_by_title("Dask", exact=False).first.click()
    try:
        expect(listed.first).to_be_attached(timeout=10_000)
    except AssertionError:  # this test alone
        person.run("01_ndvi_cube")
    expect(listed.last).to_contain_text(re.compile(r"local [0-9a-f]{4}"), timeout=20_000)
    expect(listed.last).to_contain_text("Number of Workers: 1")
    listed.last.scroll_into_view_if_needed()
    page.screenshot(path=BUILD / "dask.png")
    name = re.search(r"local [0-9a-f]{4}", listed.last.inner_text())[0]
    listed.last.locator(".dask-ClusterListingItem-stop").click()
    expect(page.locator(".dask-ClusterListingItem", has_text=name)).to_have_count(0, timeout=30_000)
