"""Two people of a group edit a notebook at the same time, on the server that is the group's; nobody else gets in."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect

from geodes_lab.policy import collaboration
from tests.support.awaiting import awaited
from tests.support.browser import chromium, needs_chromium
from tests.support.browser import enter as enter_at
from tests.support.hub.hubs import Browser, Production, needs_accounts
from tests.support.hub.provider import Provider
from tests.support.paths import TOP

# A hub, a server and three browsers; tests/policy/test_collaboration.py and tests/hub/test_common_servers.py are quick.
pytestmark = [pytest.mark.browser, pytest.mark.slow, pytest.mark.timeout(600), needs_chromium, needs_accounts]

BUILD = TOP / "build"
EXTENSIONS = {"@jupyter/collaboration-extension", "@jupyter/docprovider-extension"}
COMMON = collaboration.server("land")
DOORS = [  # who is a member gets no further than the server
    ("POST", f"/users/{COMMON}/tokens"),
    ("POST", f"/shares/{COMMON}/"),
    ("POST", f"/share-codes/{COMMON}/"),
    ("DELETE", f"/users/{COMMON}"),
]
ALSO = [("POST", f"/users/{COMMON}/server"), ("DELETE", f"/users/{COMMON}/server"), ("GET", f"/users/{COMMON}")]
KERNEL = {"name": "geodes", "display_name": "GEODES (Python · Dask)", "language": "python"}
NOTEBOOK = {
    "type": "notebook",
    "content": new_notebook(cells=[new_code_cell("")], metadata={"kernelspec": KERNEL}),
}


@pytest.fixture(scope="module")
def hub() -> Iterator[Production]:
    groups = Path(tempfile.mkdtemp(prefix="geodes-lab-groups-"))
    groups.chmod(0o711)
    with Provider() as provider:
        for name, mine in {"alice": ["land"], "bob": ["land", "sea"], "carl": ["sea"]}.items():
            provider.put(name, groups=["geodes", *mine])
        file = {
            "login": {"kind": "oidc", "oidc": provider.settings()},
            "servers": {"kind": "accounts"},
            "profiles": {"S": {"title": "Small", "cores": 1, "memory": "2 GiB"}},
            "groups": {
                "geodes": {"profiles": ["S"]},
                "land": {"enter": False, "profiles": ["S"], "collaboration": True},
                "sea": {"enter": False, "profiles": ["S"]},
            },
            "home": {"groups": str(groups)},
        }
        with Production(file, host="lab.localhost") as running:
            yield running
    shutil.rmtree(groups)


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    BUILD.mkdir(exist_ok=True)
    with chromium() as running:
        yield running


def enter(browser: Chromium, hub: Production, name: str) -> Page:
    context = browser.new_context(ignore_https_errors=True, locale="en-US", viewport={"width": 1200, "height": 800})
    return enter_at(context.new_page(), hub.url, name)


def asked(page: Page, method: str, path: str, body: object = None) -> tuple[int, str]:
    """What a server answers to a page of its own."""
    status, text = page.evaluate(
        """async ([method, path, body]) => {
          const {baseUrl} = JSON.parse(document.getElementById("jupyter-config-data").textContent);
          const xsrf = document.cookie.match(/_xsrf=([^;]*)/)[1];
          const reply = await fetch(baseUrl + path, {method, headers: {"X-XSRFToken": xsrf}, body});
          return [reply.status, await reply.text()];
        }""",
        [method, path, json.dumps(body) if body else None],
    )
    return status, text


def loaded(page: Page) -> set[str]:
    """The extensions that JupyterLab loads on a page."""
    told = json.loads(page.locator("#jupyter-config-data").inner_text(timeout=60_000) or "{}")
    return {extension["name"] for extension in told["federated_extensions"]}


def opened(page: Page, name: str):
    """Open a notebook on the common server; give its first cell."""
    page.goto(f"{page.url.split('/lab')[0]}/lab/workspaces/{name}/tree/notebook.ipynb")
    expect(page.get_by_role("button", name="GEODES (Python · Dask) | Idle")).to_be_visible(timeout=90_000)
    return page.locator(".jp-NotebookPanel:visible .jp-CodeCell").first


def test_two_of_a_group_see_each_other_type_and_nobody_else_gets_in(hub, browser):
    alice = enter(browser, hub, "alice")
    alice.get_by_role("link", name="Open the server of land").click()
    alice.get_by_role("button", name="Launch Server").click()
    alice.get_by_role("button", name="Authorize").click(timeout=120_000)  # once: the server may know who it is
    alice.locator(".jp-Launcher").wait_for(timeout=90_000)
    assert loaded(alice) >= EXTENSIONS
    assert asked(alice, "PUT", "api/contents/notebook.ipynb", NOTEBOOK)[0] == 201
    hers = opened(alice, "alice")

    bob = enter(browser, hub, "bob")
    bob.get_by_role("link", name="Open the server of land").click()
    bob.get_by_role("button", name="Authorize").click()
    bob.locator(".jp-Launcher").wait_for(timeout=90_000)
    his = opened(bob, "bob")

    hers.locator(".cm-content").click()
    alice.keyboard.type("print(6 * 7, __import__('os').environ['USER'])")
    expect(his).to_contain_text("environ['USER'])", timeout=30_000)
    expect(bob.locator(".jp-NotebookPanel:visible .jp-remote-cursor").first).to_be_attached(timeout=30_000)
    his.locator(".cm-content").click()
    bob.keyboard.press("Control+Enter")
    for cell in (his, hers):
        expect(cell.locator(".jp-OutputArea")).to_contain_text("42 lab-", timeout=60_000)
    assert "lab-alice" not in hers.inner_text()
    assert "lab-bob" not in hers.inner_text(), "it runs as nobody's own account"

    # Who runs a cell and leaves: what it gave is there for who comes back, and for who stayed.
    hers.locator(".cm-content").click()
    alice.keyboard.press("Control+a")
    alice.keyboard.type("while not __import__('os').path.exists('gone'): pass\nprint('late', 'words')")
    alice.keyboard.press("Control+Enter")
    expect(hers.locator(".jp-InputArea-prompt").first).to_have_text("[*]:")
    away = alice.context.new_page()
    alice.close()
    awaited(lambda: json.loads(asked(bob, "GET", "api/kernels")[1])[0]["connections"] == 1, 60)  # bob's
    assert asked(bob, "PUT", "api/contents/gone", {"type": "file", "format": "text", "content": ""})[0] == 201
    away.goto(alice.url)
    for page in (away, bob):
        cell = page.locator(".jp-NotebookPanel:visible .jp-CodeCell").first
        expect(cell.locator(".jp-OutputArea")).to_contain_text("late words", timeout=60_000)

    carl = enter(browser, hub, "carl")
    expect(carl.get_by_role("heading", name="Welcome, carl")).to_be_visible()
    assert carl.get_by_text("Open the server of").count() == 0
    assert carl.goto(f"{hub.url}/hub/user/{COMMON}/lab").status == 404
    assert carl.goto(bob.url).status == 403
    for name, doors in (("bob", DOORS), ("carl", DOORS + ALSO)):
        person = logged_in(hub, name)
        codes = {(method, path): person.api(method, path, json={}).status_code for method, path in doors}
        assert set(codes.values()) <= {403, 404}, (name, codes)
    headers = {"Authorization": f"token {logged_in(hub, 'carl').token('carl')}"}
    for path in ("api/contents", "api/kernels", "lab", "api/collaboration/room/json:notebook:1"):
        assert httpx.get(f"{hub.server(COMMON)}/{path}", headers=headers).status_code == 403, path


def logged_in(hub: Production, name: str) -> Browser:
    browser = Browser(hub)
    browser.login(name)
    return browser
