"""A hub of several people as they meet it, in a browser: login, refusal, the first page, news, notices, and barriers to who cannot see."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import axe_playwright_python
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import chromium, needs_chromium
from tests.support.browser import enter as enter_at
from tests.support.hub.hubs import Production, needs_accounts
from tests.support.hub.provider import Provider
from tests.support.paths import TOP

pytestmark = [pytest.mark.browser, needs_chromium, needs_accounts]

AXE = Path(axe_playwright_python.__file__).with_name("axe.min.js").read_text()
IDLE, WARNING = 75, 60


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        running.put("alice", groups=["geodes"])
        running.put("olga", groups=["operators"])
        running.put("nora", email="nora@example.org")
        yield running


@pytest.fixture(scope="module")
def hub(provider, sample) -> Iterator[Production]:
    file = {
        "contact": "desk@example.org",
        "login": {"kind": "oidc", "oidc": provider.settings()},
        "servers": {"kind": "accounts"},
        "profiles": {"S": {"title": "Small", "titre": "Petit", "cores": 1, "memory": "2 GiB"}},
        "groups": {
            "geodes": {"profiles": ["S"], "quota": {"core_hours": 100, "storage": "1 GiB"}},
            "operators": {"admin": True, "profiles": ["S"]},
        },
        "catalogue": {"static": str(sample / "catalog" / "catalog.json")},
        "datalake": {"folder": str(sample / "datalake"), "gate": True},
        "culling": {"idle": f"{IDLE} s", "warning": f"{WARNING} s", "every": "1 s", "age": 0},
        "usage": {"every": "2 s"},
    }
    with Production(file) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def enter(browser: Browser, hub: Production, name: str, locale: str = "en-US") -> Page:
    """Log in as a person does, from the first page."""
    page = browser.new_context(locale=locale, viewport={"width": 1280, "height": 900}).new_page()
    return enter_at(page, hub.url, name)


def barriers(page: Page) -> list[str]:
    """What axe-core finds on a page."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run()")
    return [f"{v['id']}: {n['html'][:120]}" for v in found["violations"] for n in v["nodes"]]


def test_accepted_refused_and_out_again(hub, provider, browser):
    page = enter(browser, hub, "alice")
    expect(page.get_by_role("heading", name="Welcome, alice")).to_be_visible()
    assert page.url == f"{hub.url}/services/home/"
    stranger = enter(browser, hub, "nora")
    expect(stranger.get_by_text("did not send your groups")).to_be_visible()
    expect(stranger.get_by_text("desk@example.org")).to_be_visible()
    page.goto(f"{hub.url}/hub/logout")
    assert page.url.startswith(f"{provider.url}/oauth2/end_session")
    page.get_by_role("button").first.click()
    expect(page.get_by_text("You have logged out.")).to_be_visible()
    page.goto(f"{hub.url}/hub/home")
    assert "/oauth2/authorize" in page.url, "must log in again"


def test_pages_have_no_barriers_and_work_by_keyboard(hub, browser):
    for name, paths in (
        ("alice", ("services/home/", "services/usage/")),
        ("olga", ("services/home/", "services/usage/all")),
    ):
        page = enter(browser, hub, name, "fr-FR")
        for path in paths:
            page.goto(f"{hub.url}/{path}")
            if page.locator("details summary").count():
                page.locator("details summary").click()
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                assert barriers(page) == [], (path, scheme)
    # The negative control: axe-core sees what is wrong.
    page.evaluate("document.querySelector('main').insertAdjacentHTML('beforeend', '<img src=x><input>')")
    assert {b.split(":")[0] for b in barriers(page)} >= {"image-alt", "label"}
    page.goto(f"{hub.url}/services/home/")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Au contenu")).to_be_focused()
    page.get_by_role("link", name="English").click()
    expect(page.get_by_role("heading", name="Welcome, olga")).to_be_visible()
    stranger = browser.new_context(locale="fr-FR").new_page()
    stranger.goto(f"{hub.url}/services/home/")
    assert barriers(stranger) == []


@pytest.mark.slow
def test_news_and_notices_from_the_operator_to_jupyterlab(hub, browser):
    operator = enter(browser, hub, "olga")
    operator.locator("details summary").click()
    operator.fill("#title", "Baseline 05.11 from Monday")
    operator.fill("#text", "Offsets are taken from each product, as always.")
    operator.fill("#titre", "Version 05.11 à partir de lundi")
    operator.get_by_role("button", name="Publish", exact=True).click()
    expect(operator.get_by_role("heading", name="Baseline 05.11 from Monday")).to_be_visible()

    person = enter(browser, hub, "alice", "fr-FR")
    expect(person.get_by_role("heading", name="Version 05.11 à partir de lundi")).to_be_visible()
    expect(person.get_by_text("Publier une annonce")).to_have_count(0)
    person.get_by_role("link", name="Démarrer mon serveur").click()
    person.wait_for_selector(".jp-Notebook", timeout=90_000)
    expect(
        person.get_by_text("Baseline 05.11 from Monday").or_(person.get_by_text("Version 05.11")).first
    ).to_be_visible(timeout=30_000)
    # Nobody does anything: the lab says so, in time, and stops the server.
    expect(person.get_by_text(re.compile("Il ne se passe rien ici"))).to_be_visible(timeout=(IDLE + 60) * 1000)
    person.screenshot(path=TOP / "build" / "notice.png")
    # A key is enough to keep it.
    person.keyboard.press("Escape")
    expect(person.get_by_text(re.compile("Il ne se passe rien ici"))).to_have_count(0, timeout=60_000)
    # Left alone it is stopped, and the first page says what ran.
    page = enter(browser, hub, "alice")
    for _ in range(60):
        page.reload()
        if page.get_by_text("after 1 min without activity").count():
            break
        page.wait_for_timeout(3000)
    expect(page.get_by_text("These were running: notebooks/01_ndvi_cube.ipynb")).to_be_visible()
    expect(page.get_by_role("link", name="Start my server")).to_be_visible()
