"""The page of processing in a real browser: from the form to results on the map, by keyboard too, in both languages."""

from __future__ import annotations

import json
import re
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

import dask
import nbformat
import pytest
from playwright.sync_api import Browser, Page, expect

from geodes_lab.batch.running.runner import Runner
from geodes_lab.batch.running.workers import Here
from geodes_lab.batch.store import tables
from geodes_lab.batch.store.served import ServedStore
from geodes_lab.batch.store.writing import Store
from geodes_lab.policy.lab import Lab
from geodes_lab.policy.reading import read
from geodes_lab.processing import registry
from hub.services.catalogue.access import Rights
from hub.services.catalogue.app import made as catalogue_of
from hub.services.jobs.app import made
from hub.services.jobs.words import french
from hub.services.person import Hub, Person
from tests.integration.browser.test_hub import barriers
from tests.support.batch import scenes
from tests.support.batch.catalogue import catalogued
from tests.support.browser import chromium, needs_chromium
from tests.support.paths import TOP
from tests.support.servers.served import served

BUILD = TOP / "build"


class Known(Hub):
    """Ada, by a token, or by a cookie as a browser has it."""

    def who(self, token: str, session: str = "") -> Person:
        return Person("ada", frozenset({"geodes"})) if token == "a" else Person()

    def person(self, request: Any) -> Person:
        if kept := request.cookies.get("as"):
            return replace(self.who(kept), by_cookie=True)
        return super().person(request)

    def token(self, request: Any) -> str:
        return request.cookies.get("as") or super().token(request)


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimpleNamespace]:
    home = tmp_path_factory.mktemp("home")
    home.chmod(0o700)
    rules = {
        "login": {"kind": "oidc", "oidc": {"issuer": "https://sso.example.org", "client_id": "lab"}},
        "servers": {"kind": "accounts"},
        "subdomains": False,
        "profiles": {"S": {"title": "Small", "cores": 1, "memory": "2 GiB"}},
        "groups": {"geodes": {"profiles": ["S"], "quota": {"core_hours": 40}}},
        "prices": {"currency": "EUR", "core_hour": 3},
    }
    store = Store(tables.opened(home / "jobs.sqlite"))
    modules = Path(sys.prefix) / "proxy" / "node_modules"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(home))
        patch.delenv("JUPYTERHUB_USER", raising=False)
        patch.setenv("JUPYTERHUB_API_TOKEN", "a")
        patch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/services/catalogue/")
        products = catalogue_of(catalogued(home), home / "results", Rights(), Known())
        patch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/services/jobs/")
        with (
            served(products) as catalogue,
            served(made(read(Lab, rules, ""), store, Known(), f"{catalogue}/services/catalogue", assets=modules)) as at,
            dask.config.set(
                {
                    "geodes_lab.jobs.pause": 0.0,
                    "geodes_lab.jobs.results": str(home / "jobs"),
                    "geodes_lab.catalog.profiles.lab": {
                        "kind": "stac",
                        "url": f"{catalogue}/services/catalogue/stac",
                        "token": "JUPYTERHUB_API_TOKEN",
                    },
                }
            ),
        ):
            yield SimpleNamespace(at=f"{at}/services/jobs", home=home)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    BUILD.mkdir(exist_ok=True)
    with chromium() as running:
        yield running


def opened(browser: Browser, lab: SimpleNamespace, wrong: list[str], locale: str, width: int, height: int) -> Page:
    context = browser.new_context(locale=locale, viewport={"width": width, "height": height})
    context.add_cookies([{"name": "as", "value": "a", "url": lab.at}])
    page = context.new_page()
    page.on("request", lambda r: None if r.url.startswith((lab.at, "data:")) else wrong.append(r.url))
    page.on("console", lambda m: wrong.append(m.text) if m.type == "error" else None)  # the page's policy says so too
    page.on("pageerror", lambda e: wrong.append(str(e)))
    page.goto(f"{lab.at}/")
    expect(page.locator("#collection option")).to_have_count(1)
    expect(page.locator("path.land")).not_to_have_count(0)
    return page


def job(page: Page, number: int = 0):
    return page.locator("#jobs > li").nth(number)


class Working:
    """A runner of ada's, which has only HTTP."""

    def __init__(self, lab: SimpleNamespace) -> None:
        store = ServedStore(lab.at, "a")
        self._runner = Runner(store, Here(1), person="ada", publisher=lambda item, *_: item)
        self._thread = threading.Thread(target=self._runner.run)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *error: object) -> None:
        self._runner.stop()
        self._thread.join()


# Of the long ones: a browser, and runners that compute; test_jobs_service.py asks for the same without a page.
@pytest.mark.slow
@pytest.mark.browser
@needs_chromium
def test_person_plans_starts_and_sees_a_job_without_code(lab, browser, tmp_path):
    wrong: list[str] = []
    page = opened(browser, lab, wrong, "en-US", 1366, 768)
    expect(page.locator("#told")).to_have_text("You have no jobs yet.")
    # By keyboard: the process and its input, the dates, and a box by its coordinates.
    page.locator("#process").focus()
    page.keyboard.type("ndvi")
    page.get_by_label("How the dates of a period become one map").select_option("maximum")
    page.fill("#from", "2021-06-01")
    page.fill("#to", "2021-07-31")
    page.select_option("#every", "1MS")
    page.locator("summary", has_text="By coordinates").focus()
    page.keyboard.press("Enter")
    west, south, east, north = scenes.BOX.extent.to_crs("EPSG:4326").boundingbox.bbox
    for name, value in {"west": east, "south": south, "east": west, "north": north}.items():
        page.fill(f"#{name}", str(value))
    page.locator("#use").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#area")).to_contain_text("in this order")
    # A file that is dropped on the map is the region instead.
    text = json.dumps({"type": "Feature", "properties": {}, "geometry": scenes.region()})
    page.evaluate(
        """text => { const data = new DataTransfer(); data.items.add(new File([text], "my field.geojson"));
        const event = new DragEvent("drop", {dataTransfer: data, bubbles: true, cancelable: true});
        document.getElementById("map").dispatchEvent(event); }""",
        text,
    )
    expect(page.locator("#area")).to_have_text("Shape: my field.geojson", timeout=60_000)
    page.locator("summary", has_text="Pixels and results").click()
    assert page.locator("#crs").get_attribute("placeholder") == "automatic: 32631"
    page.fill("#title", "Fields <b>of</b> summer")
    with Working(lab):
        page.get_by_role("button", name="Plan").click()
        planned = page.locator("#planned")
        expect(planned).to_contain_text("Core-hours", timeout=60_000)
        for words in ("Units2", "Products3", "EUR", "for this job, of 40"):
            expect(planned).to_contain_text(words)
        page.screenshot(path=BUILD / "jobs_planned.png")
        expect(page.locator("#jobs > li")).to_have_count(0)  # a plan is no job
        page.locator("#start").focus()
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_have_text("The job has begun. Units: 2.")
        expect(job(page).locator(".badge")).to_have_text("done", timeout=60_000)
    expect(job(page).locator("h3")).to_have_text("Fields <b>of</b> summer")
    job(page).get_by_role("button", name="Results on the map").click()
    expect(page.locator("path.footprint.here")).to_have_count(1)
    job(page).get_by_role("button", name="Log").click()
    expect(job(page)).to_contain_text("accepted with 2 units")
    notebook = job(page).get_by_role("link", name="Open in a notebook").get_attribute("href")
    assert re.search(r"/hub/user-redirect/geodes/job\?job=[0-9a-f]{32}$", notebook)
    page.screenshot(path=BUILD / "jobs_done.png")
    assert barriers(page) == []

    # Run again: the form is as it was, and what is changed counts. Nobody computes now: it is cancelled, and goes on.
    page.reload()
    job(page).get_by_role("button", name="Run again").click()
    expect(page.locator("#said")).to_contain_text("The form is as it was")
    assert page.get_by_label("How the dates of a period become one map").input_value() == "maximum"
    assert page.locator("#from").input_value() == "2021-06-01"
    assert page.locator("#every").input_value() == "1MS"
    page.fill("#to", "2021-06-30")
    page.get_by_label("How the dates of a period become one map").select_option("mean")
    page.locator("#start").click()
    expect(page.locator("#said")).to_have_text("The job has begun. Units: 1.")
    job(page).get_by_role("button", name="Cancel").click()
    expect(job(page).locator(".badge")).to_have_text("cancelled")
    job(page).get_by_role("button", name="Try again").click()
    with Working(lab):
        expect(job(page).locator(".badge")).to_have_text("done", timeout=60_000)
    job(page, 1).get_by_role("button", name="Remove").click()
    expect(page.locator("#jobs > li")).to_have_count(1)
    # What cannot be is said by the service, and the page shows it.
    page.fill("#from", "1999-01-01")
    page.fill("#to", "1999-02-01")
    page.locator("#start").click()
    expect(page.locator("#said")).to_have_text("The search finds no product.")
    assert wrong == ["Failed to load resource: the server responded with a status of 400 (Bad Request)"]

    # In French, on a telephone; zones stay apart, and a process without a place for them refuses no box.
    wrong.clear()
    small = opened(browser, lab, wrong, "fr-FR", 390, 844)
    expect(small.get_by_role("heading", level=1)).to_have_text("Traitements")
    small.select_option("#process", "zonal")
    expect(small.locator("#about")).to_contain_text("Statistiques de zones pour chaque date")
    small.fill("#input-bands", "red, nir")
    small.locator("#start").click()
    expect(small.locator("#said")).to_contain_text("dessinez un rectangle")
    zones = [{"type": "Feature", "properties": {"name": n}, "geometry": scenes.region(n)} for n in (40, 90)]
    (tmp_path / "zones.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": zones}))
    small.set_input_files("#file", tmp_path / "zones.geojson")
    expect(small.locator("#area")).to_have_text("2 zones : zones.geojson")
    small.fill("#input-by", "name")
    small.locator("#start").click()
    expect(small.locator("#said")).to_contain_text("Le traitement est lancé")
    with Working(lab):
        expect(small.locator("#jobs > li")).to_have_count(2)
        expect(job(small).locator(".badge")).to_have_text("terminé", timeout=60_000)
    small.screenshot(path=BUILD / "jobs_small.png", full_page=True)
    assert small.evaluate("document.documentElement.scrollWidth") <= 390
    small.emulate_media(color_scheme="dark")
    assert barriers(small) == []
    assert wrong == []

    # The basket of the catalogue's page: the address names the products, and the service looks them up.
    asked = {"collections": [page.locator("#collection").input_value()], "ids": ["one", "other"]}
    page.goto(f"{lab.at}/?{urlencode({'search': json.dumps(asked)})}")
    expect(page.locator("#kept")).to_contain_text("2 products of the catalogue's basket.")
    page.select_option("#process", "ndvi")
    page.locator("#start").click()
    expect(page.locator("#said")).to_have_text("The search finds no product.")
    page.goto(f"{lab.at}/?search=x")
    expect(page.locator("#said")).to_contain_text("names no products that can be read")


# Of the long ones: a browser, a kernel, and a runner; test_jobs_schedules.py asks for the same without a page.
@pytest.mark.slow
@pytest.mark.browser
@needs_chromium
def test_person_schedules_a_job_and_runs_a_notebook_without_code(lab, browser):
    cells = [
        nbformat.v4.new_code_cell("cloud = 1", metadata={"tags": ["parameters"]}),
        nbformat.v4.new_code_cell("print(cloud)"),
    ]
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kernel), lab.home / "floods.ipynb")
    wrong: list[str] = []
    page = opened(browser, lab, wrong, "fr-FR", 1366, 768)
    page.select_option("#process", "ndvi")
    page.select_option("#repeat", "1MS")
    page.locator("#start").click()
    expect(page.locator("#said")).to_have_text("Chaque période donne une carte : dessinez une région.")
    page.select_option("#repeat", "product")
    expect(page.locator("#wait")).to_be_hidden()
    expect(page.locator("#start")).to_have_text("Programmer")
    page.fill("#from", "2021-06-25")
    page.locator("summary", has_text="Pixels et résultats").click()
    page.fill("#title", "Nouveau <b>produit</b>")
    page.locator("#start").focus()
    page.keyboard.press("Enter")
    expect(page.locator("#said")).to_have_text("Le traitement est programmé.")
    known = page.locator("#schedules > li")
    expect(known).to_have_count(1)
    expect(known.locator("h3")).to_have_text("Nouveau <b>produit</b>")
    expect(known).to_contain_text("aucun traitement encore")
    before = page.locator("#jobs > li").count()
    with Working(lab):
        page.reload()
        expect(page.locator("#jobs > li")).to_have_count(before + 1, timeout=60_000)
        expect(job(page).locator(".badge")).to_have_text("terminé", timeout=60_000)
        expect(job(page)).to_contain_text("2 unités sur 2")
    page.reload()
    expect(known).to_contain_text("dernier traitement")
    page.screenshot(path=BUILD / "jobs_schedules.png")
    assert barriers(page) == []
    known.get_by_role("button", name="Retirer").click()
    expect(page.locator("#timetable")).to_be_hidden()
    # A notebook has no products and no region; what is no JSON is said before anything is asked.
    page.select_option("#process", "notebook")
    for part in ("#products", "#where", "#when", "#plan"):
        expect(page.locator(part)).to_be_hidden()
    page.fill("#input-notebook", "floods.ipynb")
    page.fill("#input-parameters", "{cloud: 5}")
    page.locator("#start").click()
    expect(page.locator("#said")).to_contain_text("parameters n'est pas du JSON")
    page.fill("#input-parameters", '{"cloud": 5}')
    page.locator("#start").click()
    expect(page.locator("#said")).to_contain_text("Le traitement est lancé")
    with Working(lab):
        expect(job(page).locator(".badge")).to_have_text("terminé", timeout=60_000)
    job(page).get_by_role("button", name="Résultats sur la carte").click()
    expect(job(page)).to_contain_text("Aucun résultat n'a de place sur une carte.")
    job(page).get_by_role("button", name="Relancer").click()
    expect(page.locator("#input-parameters")).to_have_value('{"cloud":5}')
    assert barriers(page) == []
    assert wrong == []


def test_each_sentence_of_the_lab_s_processes_has_its_french():
    for process in registry.installed().values():
        described = process.describe()
        told = [described["title"], described["description"], *(i["description"] for i in described["inputs"].values())]
        assert [text for text in told if not french.has(text)] == [], process.id
