"""A person's way: the link, JupyterLab, notebook 01 from top to bottom, the plot, the Dask panel."""

from __future__ import annotations

import io
import json
import re
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from browser import chromium, needs_chromium
from lab import Lab
from PIL import Image
from playwright.sync_api import Page, expect

TOP = Path(__file__).resolve().parents[1]

pytestmark = [pytest.mark.browser, needs_chromium]


def colours(png: bytes) -> int:
    """How many different colours a picture has: a blank one has few."""
    small = Image.open(io.BytesIO(png)).convert("RGB").resize((200, 200))
    return len(set(small.getdata()))


def difference(one: bytes, other: bytes) -> float:
    """How far two pictures are from each other, in levels of 255 a pixel: some change of a cursor is not a new map."""
    a, b = (np.asarray(Image.open(io.BytesIO(p)).convert("RGB").resize((100, 100)), "int16") for p in (one, other))
    return float(np.abs(a - b).mean())


def test_person_runs_notebook_01_and_sees_the_plot(tmp_path, sample):
    build = TOP / "build"
    build.mkdir(exist_ok=True)
    elsewhere: list[str] = []
    refused: list[str] = []

    def note(page: Page) -> None:
        def asked(request):
            if urlsplit(request.url).scheme in ("http", "https", "ws", "wss") and "127.0.0.1" not in request.url:
                elsewhere.append(request.url)

        page.on("request", asked)
        page.on("response", lambda r: refused.append(f"{r.status} {r.url}") if r.status >= 400 else None)

    with Lab(tmp_path, sample=sample) as lab, chromium() as browser:
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        note(page)
        page.goto(lab.url)
        page.wait_for_selector(".jp-Notebook", timeout=90_000)
        expect(page.get_by_text("GEODES (Python · Dask)").first).to_be_visible(timeout=60_000)
        expect(page.get_by_role("heading", name="A summer of vegetation")).to_be_visible()

        page.get_by_role("menuitem", name="Run", exact=True).click()
        page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
        # The last cell has its number when all have run.
        numbers = page.locator(".jp-CodeCell .jp-InputArea-prompt")
        cells = json.loads((TOP / "notebooks" / "01_ndvi_cube.ipynb").read_text())["cells"]
        last = sum(cell["cell_type"] == "code" for cell in cells)
        expect(numbers.last).to_have_text(f"[{last}]:", timeout=150_000)
        assert page.locator(".jp-OutputArea-output[data-mime-type='application/vnd.jupyter.stderr']").count() == 0

        plot = page.locator(".bk-Figure").first
        plot.scroll_into_view_if_needed()
        expect(plot).to_be_visible(timeout=30_000)
        for _ in range(80):  # bokeh paints some time after its canvas is there, and says nothing
            if colours(plot.screenshot()) > 100:
                break
            page.wait_for_timeout(250)
        assert colours(plot.screenshot()) > 100

        # The slider asks the kernel for another month, and the map shows it. Just after the last cell the kernel may
        # not listen to the slider yet: a person would move it again.
        june = plot.screenshot()
        for turn in range(60):
            if turn % 6 == 0:
                page.locator(".noUi-handle").first.press("ArrowRight" if turn % 12 == 0 else "ArrowLeft")
            page.wait_for_timeout(500)
            if difference(june, plot.screenshot()) > 5:
                break
        assert difference(june, plot.screenshot()) > 5

        page.get_by_title("Dask", exact=False).first.click()
        page.get_by_role("button", name="Auto-detect dashboard URL").click()
        expect(page.get_by_role("button", name="Task Stream")).to_be_visible(timeout=20_000)
        picture = page.screenshot(path=build / "lab.png")
        assert colours(picture) > 200

        # The notebook's own cluster is in the panel, its plots show, and it stops when it is told to.
        cluster = page.locator(".dask-ClusterListingItem")
        expect(cluster).to_contain_text(re.compile(r"local [0-9a-f]{4}"), timeout=20_000)
        expect(cluster).to_contain_text("Number of Workers: 1")
        page.get_by_role("button", name="Task Stream").click()
        inside = page.frame_locator("iframe").last
        expect(inside.locator(".bk-Figure, .bk-Row, .bk-GridBox").first).to_be_visible(timeout=30_000)
        page.screenshot(path=build / "dask.png")
        cluster.locator(".dask-ClusterListingItem-stop").click()
        expect(cluster).to_have_count(0, timeout=30_000)

    assert elsewhere == [], "the lab asks nothing of the internet"
    # A dashboard in a process that has imported panel asks for panel's script at the root; it does without.
    assert [r for r in refused if "/static/extensions/panel/panel.min.js" not in r] == []
