"""Maps in a lab: a lazy cube in a notebook, and the lab's own tiles with the token of a person's server."""

from __future__ import annotations

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import expect

from hub.lab import Lab
from tests.integration.browser.test_person import colours
from tests.support.browser import chromium, needs_chromium
from tests.support.paths import TOP

pytestmark = [pytest.mark.browser, needs_chromium]

CELLS = [
    """import geodes_lab as gl
items = gl.search("PEPS_S2_L1C", datetime="2021-06-01/2021-07-06", tile="31TCJ")
cube = gl.open_cube(items, bands=["red", "nir"])
ndvi = ((cube.nir - cube.red) / (cube.nir + cube.red)).rename("ndvi")
m = gl.plot.map(ndvi, range=(-0.2, 0.9), colormap="rdylgn")
m""",
    """import os, httpx
item = gl.search("PEPS_S2_L1C", profile="lab", limit=1)[0]
at = f"{os.environ['DASK_GEODES_LAB__TILES__SERVICE']}/PEPS_S2_L1C/{item.id}"
client = httpx.Client(headers={"Authorization": f"token {os.environ['JUPYTERHUB_API_TOKEN']}"}, timeout=120)
drawn = client.get(f"{at}/preview.png?max_size=128")
key = client.post(f"{at.rsplit('/', 2)[0]}/keys", json={"collection": "PEPS_S2_L1C", "item": item.id}).json()["key"]
opened = httpx.get(f"{at}/preview.png?max_size=64&key={key}", timeout=120).status_code
print("tiles", drawn.status_code, drawn.headers["Content-Type"], opened, httpx.get(f"{at}/info").status_code)""",
]


@pytest.mark.slow  # a minute: a whole lab with a browser; tests/xyz and tests/hub/services try the parts without
def test_cube_on_a_map_and_tiles_of_the_lab(tmp_path, sample):
    with Lab(tmp_path, sample=sample) as lab, chromium() as browser:
        kernel = {"name": "geodes", "display_name": "GEODES (Python · Dask)", "language": "python"}
        notebook = new_notebook(cells=[new_code_cell(c) for c in CELLS], metadata={"kernelspec": kernel})
        path = lab.state / "home" / "notebooks" / "map.ipynb"
        path.parent.mkdir(parents=True)
        nbformat.write(notebook, path)
        page = browser.new_page(viewport={"width": 1440, "height": 1000})
        tiles: list[int] = []
        page.on("response", lambda answer: tiles.append(answer.status) if "/proxy/" in answer.url else None)
        page.goto(lab.url)
        page.wait_for_selector(".jp-Notebook", timeout=90_000)
        page.goto(f"{lab.url.split('/hub/')[0]}/hub/user-redirect/lab/tree/notebooks/map.ipynb")
        cells = page.locator(".jp-Notebook:visible .jp-CodeCell")
        expect(cells.first).to_contain_text("gl.plot.map", timeout=60_000)
        expect(page.get_by_role("button", name="GEODES (Python · Dask) | Idle")).to_be_visible(timeout=90_000)
        cells.first.click()
        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        expect(cells.nth(1)).to_contain_text("tiles 200 image/png 200 401", timeout=120_000)
        layer = page.locator(".leaflet-container img.leaflet-tile-loaded")
        expect(layer.first).to_be_visible(timeout=120_000)
        expect(page.locator(".leaflet-container img.leaflet-tile:not(.leaflet-tile-loaded)")).to_have_count(
            0, timeout=60_000
        )
        assert set(tiles) <= {200, 204, 304}
        assert 200 in tiles
        place = page.locator(".leaflet-container")
        place.scroll_into_view_if_needed()
        assert colours(place.screenshot()) > 100
        place.click()
        expect(page.get_by_text("times, also in .series")).to_be_visible(timeout=120_000)
        place.scroll_into_view_if_needed()
        expect(page.locator(".jp-OutputArea img.jupyter-widgets").nth(1)).to_be_visible()
        place.scroll_into_view_if_needed()
        page.screenshot(path=TOP / "build" / "map.png")
        box = place.bounding_box()
        middle = {"x": box["x"] + box["width"] / 3, "y": box["y"] + 150, "width": box["width"] / 3, "height": 200}
        assert colours(page.screenshot(clip=middle)) > 100  # the cube, and no country above it
