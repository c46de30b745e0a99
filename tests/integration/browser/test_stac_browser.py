"""STAC Browser, as npm's registry has it, opens the lab's STAC API: `make stac-browser`."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from geodes_lab.catalog.harvesting import shelved
from hub.services.catalogue.app import made
from tests.support.browser import chromium, needs_chromium
from tests.support.paths import TOP
from tests.support.servers.served import served

BUILT = TOP / "build" / "stac-browser"

pytestmark = [
    pytest.mark.slow,  # 450 MB of packages, and minutes to build it: make stac-browser
    pytest.mark.browser,
    needs_chromium,
    pytest.mark.skipif(not (BUILT / "version").exists(), reason="there is no STAC Browser here: make stac-browser"),
]


def of_built(request: Request) -> Response:
    """A file, else the page: its addresses are the page's own."""
    path = (BUILT / request.path_params["path"]).resolve()
    return FileResponse(path if path.is_file() and path.is_relative_to(BUILT) else BUILT / "index.html")


def test_stac_browser_opens_the_catalogue(sample: Path, tmp_path: Path):
    shelved(str(sample / "catalog" / "catalog.json"), tmp_path / "harvested")
    site = Starlette(routes=[Route("/{path:path}", of_built)])
    with served(site) as origin:
        api = made(tmp_path / "harvested", tmp_path / "results", public=True, origins=[origin])
        with served(api) as lab, chromium() as browser:
            page = browser.new_page(viewport={"width": 1366, "height": 768}, locale="en-US")
            wrong: list[str] = []
            page.on("pageerror", lambda e: wrong.append(str(e)))
            page.on("console", lambda m: wrong.append(m.text) if "CORS" in m.text else None)
            at = f"{origin}/external/{lab.replace('://', ':/')}/stac"
            page.goto(f"{at}/")
            expect(page.get_by_role("heading", name="The catalogue of GEODES Lab")).to_be_visible(timeout=60_000)
            page.get_by_role("link", name=re.compile("Sentinel-2 level 1C")).first.click()
            expect(page).to_have_url(re.compile("/collections/PEPS_S2_L1C$"), timeout=60_000)
            item = page.get_by_role("link", name=re.compile("^S2[AB]_MSIL1C")).first
            expect(item).to_be_visible(timeout=60_000)
            name = item.inner_text().strip()
            item.click()
            expect(page.get_by_role("heading", name=name)).to_be_visible(timeout=60_000)
            expect(page.get_by_text("Cloud Cover").first).to_be_visible()
            page.screenshot(path=TOP / "build" / "stac-browser.png")
            # Its search, which asks the API by POST.
            page.goto(f"{origin}/search/external/{lab.replace('://', ':/')}/stac/")
            with page.expect_response(re.compile("/stac/search")) as found:
                page.get_by_role("button", name="Submit").first.click()
            assert found.value.status == 200
            assert found.value.json()["features"]
            assert wrong == []
