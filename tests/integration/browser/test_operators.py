"""The operators' page as an operator uses it: who is there, a message, a cluster and a server that are stopped, costs."""

from __future__ import annotations

import re
from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from tests.integration.browser.test_hub import barriers, enter
from tests.support.browser import chromium, needs_chromium
from tests.support.hub.hubs import Person, Production, needs_accounts
from tests.support.hub.provider import Provider
from tests.support.paths import TOP

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300), needs_chromium, needs_accounts]

BUILD = TOP / "build"
CLUSTER = """
import geodes_lab as gl
client = gl.attach(workers=1)
print(len(client.scheduler_info()["workers"]))
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        for name in ("alice", "bob", "carl", "dora"):
            running.put(name, groups=["geodes"])
        running.put("olga", groups=["operators"])
        yield running


@pytest.fixture(scope="module")
def hub(provider) -> Iterator[Production]:
    file = {
        "name": "Lab of the tests",
        "contact": "desk@example.org",
        "login": {"kind": "oidc", "oidc": provider.settings()},
        "servers": {"kind": "accounts"},
        "profiles": {"S": {"title": "Small", "titre": "Petit", "cores": 1, "memory": "2 GiB"}},
        "groups": {"geodes": {"profiles": ["S"]}, "operators": {"admin": True, "profiles": ["S"]}},
        "culling": {"idle": 0, "age": 0},
        "usage": {"every": "1 s"},
        # So dear that the first second of a server spends the budget.
        "prices": {"currency": "EUR", "core_hour": 5000, "storage_gb_month": 1},
        "projects": {"land": {"title": "Land cover", "people": ["alice"]}},
        "budgets": {"person": 1},
    }
    with Production(file) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    BUILD.mkdir(exist_ok=True)
    with chromium() as running:
        yield running


def section(page: Page, name: str, person: str):
    """A person's row of a table."""
    return (
        page.locator(f"section#{name}")
        .get_by_role("row")
        .filter(has=page.get_by_role("rowheader", name=re.compile(f"^{person}")))
    )


def reloaded(page: Page, what) -> None:
    """Look again, as an operator does, until something is there."""
    for _ in range(100):
        if what().count():
            return
        page.wait_for_timeout(300)
        page.reload()
    raise AssertionError(f"{what()} did not come")


def at_work(hub: Production, name: str) -> Person:
    """Somebody with a server and a cluster, which the server has reported."""
    person = Person(hub, name)
    assert person.run(CLUSTER).endswith("1")
    # As JupyterLab does; the server reports then, if it has not for ten seconds, and each half a minute in any case.
    httpx.get(f"{hub.url}/user/{name}/geodes/notices", headers={"Authorization": f"token {person.token}"})
    return person


# Of the long ones: servers and JupyterLab ask every half a minute; tests/hub/services/test_operators.py tries what they
# are told.
@pytest.mark.slow
def test_person_reads_in_jupyterlab_what_the_operator_says(hub, browser):
    dora = at_work(hub, "dora")
    page = enter(browser, hub, dora.name, "fr-FR")
    page.goto(f"{hub.url}/hub/user-redirect/lab")
    page.wait_for_selector("#jp-top-panel", timeout=90_000)
    operator = enter(browser, hub, "olga")
    operator.goto(f"{hub.url}/services/operators/?to=dora")
    operator.fill("#text", "Please save <b>your</b> work.")
    operator.get_by_role("button", name="Send").click()
    page.keyboard.press("Escape")
    expect(page.get_by_text(re.compile("Message de olga : Please save <b>"))).to_be_visible(timeout=60_000)
    expect(page.get_by_text(re.compile("Votre budget pour ce mois est épuisé"))).to_be_visible(timeout=60_000)
    row = section(operator, "servers", "dora")
    reloaded(operator, lambda: row.get_by_text("here now"))
    row.get_by_text("Stop…").click()
    row.get_by_label("What the person is told").fill("New disks")
    row.get_by_role("button", name="Stop the server").click()
    ordered = page.get_by_text(re.compile("Un opérateur arrête ce serveur à .* New disks"))
    expect(ordered).to_be_visible(timeout=60_000)
    page.screenshot(path=BUILD / "operators_jupyterlab.png")
    row.get_by_role("button", name="Let it run").click()
    operator.get_by_role("button", name="Take back").click()
    expect(ordered).to_have_count(0, timeout=60_000)
    expect(page.get_by_text(re.compile("Message de olga"))).to_have_count(0)
    # The cluster, at once: its person's server stops it when it next reports.
    row = section(operator, "clusters", "dora")
    row.get_by_text("Stop…").click()
    row.get_by_label("When").select_option("at once")
    row.get_by_role("button", name="Stop the cluster").click()
    gone = section(operator, "clusters", "dora")
    for _ in range(100):
        if gone.count() == 0:
            break
        page.wait_for_timeout(500)
        operator.reload()
    assert gone.count() == 0
    # Nor does the server stay for the other tests.
    row = section(operator, "servers", "dora")
    row.get_by_text("Stop…").click()
    row.get_by_label("When").select_option("at once")
    row.get_by_role("button", name="Stop the server").click()


@pytest.mark.slow  # a minute; tests/hub/services/test_operators.py tries the same by HTTP
def test_operator_sees_writes_and_stops(hub, browser):
    alice = at_work(hub, "alice")  # whose kernel lives as long as this name
    enter(browser, hub, "bob")
    # Who is there, and what runs.
    operator = enter(browser, hub, "olga")
    operator.goto(f"{hub.url}/hub/home")
    operator.get_by_role("link", name="Operators").click()
    expect(operator.get_by_role("heading", name="Operators")).to_be_visible()
    reloaded(operator, lambda: section(operator, "clusters", "alice"))
    reloaded(operator, lambda: operator.get_by_text("Person alice"))
    expect(section(operator, "servers", "alice")).to_contain_text("S: 1 × 2 GiB")
    expect(section(operator, "clusters", "alice")).to_contain_text("local")
    expect(operator.locator(".tile", has_text="Dask clusters")).to_contain_text(re.compile(r"\d workers?, \d cores?"))
    expect(section(operator, "people", "bob")).to_contain_text("geodes")

    # A message to one person.
    section(operator, "people", "alice").get_by_role("button", name="Message").click()
    expect(operator.locator("#to")).to_have_value("alice")
    operator.fill("#text", "Please save <b>your</b> work.")
    operator.get_by_role("button", name="Send").click()
    expect(operator.get_by_role("status")).to_have_text("The message is sent.")
    expect(operator.get_by_text("Please save <b>your</b> work.")).to_be_visible()
    assert barriers(operator) == []
    operator.screenshot(path=BUILD / "operators.png", full_page=True)

    # The server, with notice, and then without.
    row = section(operator, "servers", "alice")
    row.get_by_text("Stop…").click()
    row.get_by_label("What the person is told").fill("New disks")
    assert barriers(operator) == []
    operator.screenshot(path=BUILD / "operators_stop.png")
    row.get_by_role("button", name="Stop the server").click()
    expect(row).to_contain_text(re.compile(r"Stops at \d\d:\d\d UTC.*New disks"))
    row.get_by_role("button", name="Let it run").click()
    row.get_by_text("Stop…").click()
    row.get_by_label("When").select_option("at once")
    row.get_by_label("What the person is told").fill("New disks")
    row.get_by_role("button", name="Stop the server").click()
    reloaded(operator, lambda: section(operator, "people", "alice").filter(has_not_text="server runs"))
    expect(section(operator, "servers", "alice")).to_have_count(0)

    # The person reads why, and the message, on the lab's first page and on the hub's own.
    person = enter(browser, hub, alice.name, "fr-FR")
    person.goto(f"{hub.url}/services/home/")
    expect(person.get_by_text("L'opérateur écrit : New disks")).to_be_visible()
    expect(person.get_by_text("Votre budget pour ce mois est épuisé")).to_be_visible()
    person.screenshot(path=BUILD / "home_told.png")
    person.goto(f"{hub.url}/hub/home")
    reloaded(person, lambda: person.get_by_text("Please save <b>your</b> work."))
    expect(person.get_by_role("button", name="Démarrer mon serveur")).to_be_visible()
    expect(person.locator("header").get_by_role("link", name="Lab of the tests")).to_be_visible()
    person.screenshot(path=BUILD / "hub_home.png")


@pytest.mark.slow  # half a minute; tests/hub/services/test_operators.py reads the pages
def test_hub_s_pages_have_the_lab_s_face_and_no_admin_page(hub, browser):
    page = enter(browser, hub, "carl")
    for path in ("hub/home", "hub/token", "hub/spawn-pending/carl", "hub/nothing-here"):
        page.goto(f"{hub.url}/{path}")
        expect(page.locator("header").get_by_role("link", name="My usage")).to_be_visible()
        assert page.title() == "Lab of the tests"
        assert page.get_by_text("JupyterHub", exact=True).count() == 0
        expect(page.locator("header").get_by_role("link", name="Operators")).to_have_count(0)
    page.goto(f"{hub.url}/hub/home")
    assert [b for b in barriers(page) if "header" in b] == []
    page.get_by_role("link", name="Français").click()
    expect(page.get_by_role("link", name="Mon usage")).to_be_visible()
    page.goto(f"{hub.url}/hub/home")
    expect(page.get_by_role("button", name="Démarrer mon serveur")).to_be_visible()
    # Who is no operator gets neither JupyterHub's admin page nor the lab's.
    for path in ("hub/admin", "services/operators/"):
        assert page.goto(f"{hub.url}/{path}").status == 403
    # Over the hub's menu the first page knows who has logged in, though it has a session of its own.
    fresh = browser.new_context(locale="en-US").new_page()
    fresh.goto(f"{hub.url}/hub/login")
    fresh.fill("input[name=sub]", "carl")
    fresh.locator("button[type=submit]").first.click()
    expect(fresh.get_by_role("heading", name="Welcome, carl")).to_be_visible()
    fresh.goto(f"{hub.url}/hub/token")
    fresh.context.clear_cookies(name="geodes-home")
    fresh.locator("header").get_by_role("link", name="Home").click()
    expect(fresh.get_by_role("heading", name="Welcome, carl")).to_be_visible()


@pytest.mark.slow  # tests/hub/services/test_costs.py reads the page and the CSV
def test_costs_as_a_page_and_as_csv(hub, browser):
    operator = enter(browser, hub, "olga", "fr-FR")
    operator.goto(f"{hub.url}/services/operators/")
    operator.get_by_role("link", name="Coûts du mois").click()
    expect(operator.get_by_role("heading", name="Coûts du mois")).to_be_visible()
    assert barriers(operator) == []
    operator.screenshot(path=BUILD / "costs.png", full_page=True)
    with operator.expect_download() as download:
        operator.get_by_role("link", name="La même chose en CSV").click()
    assert download.value.path().read_text().startswith("month,kind,name,servers,storage,read,total,budget,currency")
