"""The script that tells people in JupyterLab what operators, the culler, budgets and a full home want of them, in a real browser.

JupyterLab and its server are stood in for here; test_operators.py has both, and takes minutes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Route

from tests.support.browser import chromium, needs_chromium
from tests.support.paths import TOP

pytestmark = [pytest.mark.browser, needs_chromium]

SCRIPT = TOP / "hub" / "singleuser" / "labextensions" / "geodes-lab-notices" / "static" / "remoteEntry.js"
LAB = "http://lab.localhost/user/a/"
PAGE = '<script id="jupyter-config-data" type="application/json">{"baseUrl": "/user/a/"}</script><body>'
# What the script is given of JupyterLab: commands, of which two notify and dismiss.
APPLICATION = """
window.shown = new Map();
const own = new Map();
let last = 0;
const commands = {
  addCommand: (name, {execute}) => own.set(name, execute),
  execute: async (name, args) => {
    if (name === "apputils:notify") { window.shown.set(String(++last), args); return String(last); }
    if (name === "apputils:dismiss-notification") { window.shown.delete(args.id); return; }
    return own.get(name)(args);
  },
};
const plugin = (await window._JUPYTERLAB["geodes-lab-notices"].get())().default;
window.app = {commands, restored: Promise.resolve()};
plugin.activate(window.app);
"""
QUIET = {"notice": None, "messages": [], "clusters": [], "budgets": [], "stopped": None}
ROOMY = {"part": 0.1, "warn": False, "over": False, "rescue": "", "quota": 100}
MESSAGE = {"id": "m1", "by": "olga", "text": "Save <img src=x onerror=alert(1)> now."}
AT = "2026-11-28T10:30:00Z"


class Server:
    """What a person's server answers."""

    def __init__(self, page: Page) -> None:
        self.heard: dict[str, Any] = dict(QUIET)
        self.space: dict[str, Any] = dict(ROOMY)
        self.asked: list[tuple[str, str]] = []
        page.route("**/*", self._answer)

    def _answer(self, route: Route) -> None:
        request = route.request
        path = request.url.removeprefix(LAB)
        self.asked.append((request.method, path))
        if path == "lab":
            route.fulfill(body=PAGE, content_type="text/html")
        elif path in ("geodes/notices", "geodes/space"):
            assert request.headers["x-xsrftoken"] == "2|a b"
            answer = self.heard if path.endswith("notices") else self.space
            route.fulfill(body=json.dumps(answer), content_type="application/json")
        else:
            route.fulfill(status=404)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def opened(browser: Browser, language: str = "en-GB") -> tuple[Page, Server]:
    """A page before the script; its clock stands still until a test moves it."""
    context = browser.new_context(locale=language, timezone_id="UTC")
    context.add_cookies([{"name": "_xsrf", "value": "2%7Ca%20b", "url": LAB}])
    page = context.new_page()
    page.on("dialog", lambda dialog: pytest.fail(f"a text was executed: {dialog.message}"))
    page.clock.install()
    return page, Server(page)


def begin(page: Page) -> None:
    page.goto(f"{LAB}lab")
    page.add_script_tag(content=SCRIPT.read_text())
    page.evaluate(f"(async () => {{ {APPLICATION} }})()")


def until(page: Page, *words: str) -> list[dict[str, Any]]:
    """The notifications that are shown, when there is one for each of these words and no other."""
    page.wait_for_function(
        "words => { const all = [...window.shown.values()]; return all.length === words.length && "
        "words.every(w => all.some(n => n.message.includes(w))); }",
        arg=list(words),
    )
    shown: list[dict[str, Any]] = page.evaluate("[...window.shown.values()]")
    return shown


def test_message_is_shown_once_as_text_and_goes_when_it_is_taken_back(browser):
    page, server = opened(browser)
    server.heard["messages"] = [MESSAGE, {"id": "m2", "by": "", "text": "All."}]
    begin(page)
    shown = until(page, "Message from olga: Save <img src=x onerror=alert(1)> now.", "Message: All.")
    assert {n["type"] for n in shown} == {"info"}
    assert all(n["options"]["autoClose"] is False for n in shown)
    page.clock.run_for(30_000)
    assert len(until(page, "olga", "All.")) == 2, "not again"
    action = next(n for n in shown if "olga" in n["message"])["options"]["actions"][0]
    page.evaluate("a => window.app.commands.execute(a.commandId, a.args)", action)
    page.clock.run_for(30_000)
    until(page, "All.")
    server.heard["messages"] = []
    page.clock.run_for(30_000)
    until(page)
    server.heard["messages"] = [MESSAGE]
    begin(page)  # opened anew: what was read stays read
    page.clock.run_for(30_000)
    until(page)


def test_orders_and_ends_are_said_with_their_hour_and_taken_back(browser):
    page, server = opened(browser, "fr-FR")
    server.heard["notice"] = {"why": "order", "stops": AT, "text": "Nouveaux disques"}
    server.heard["clusters"] = [{"id": "c", "name": "local", "stops": AT, "text": ""}]
    begin(page)
    until(
        page,
        "Un opérateur arrête ce serveur à 10:30. Enregistrez votre travail. L’opérateur écrit : Nouveaux disques",
        "Un opérateur arrête votre cluster « local » à 10:30.",
    )
    server.heard |= {"notice": {"why": "idle", "stops": AT.replace("10", "11", 1)}, "clusters": []}
    page.clock.run_for(30_000)
    until(page, "Il ne se passe rien ici : le serveur s’arrête")
    server.heard["notice"] = {"why": "age", "stops": AT.replace("10:", "12:", 1)}
    page.clock.run_for(30_000)
    until(page, "âge limite : il s’arrête à 12:30")
    server.heard["notice"] = None
    page.clock.run_for(30_000)
    until(page)


def test_last_end_and_budgets_are_said_once(browser):
    page, server = opened(browser)
    server.heard["stopped"] = {"why": "order", "when": AT, "after": 0, "running": ["a.ipynb"], "text": "New disks"}
    month = {"month": "2026-11", "kind": "group", "name": "land"}
    server.heard["budgets"] = [{**month, "part": 0.819, "over": False}]
    begin(page)
    until(page, "by an operator", "The budget of the group land of this month: 81 % is used.")
    assert re.search(r"These were running: a\.ipynb\. New disks", str(page.evaluate("[...window.shown.values()]")))
    server.heard["budgets"] = [{**month, "part": 1.2, "over": True}]
    page.clock.run_for(30_000)
    until(page, "by an operator", "81 % is used", "of this month is used up (120 %).")
    begin(page)
    page.clock.run_for(30_000)
    until(page)


@pytest.mark.parametrize(
    ("language", "space", "words"),
    [
        ("en-GB", {"over": True, "part": 1.43}, "Your home is 143 % full. Nothing new is saved until you delete files: "),
        pytest.param("fr-FR", {"over": True, "part": 1.43}, "Votre espace est plein à 143 %. Rien de nouveau n’est enregistré", marks=pytest.mark.slow),  # as the first
        pytest.param("en-GB", {"warn": True, "part": 0.85}, "Your home is 85 % full: ", marks=pytest.mark.slow),  # as the last
        ("fr-FR", {"warn": True, "part": 0.99, "quota": 0}, "Le disque de votre espace est plein à 99 %"),
    ],
)  # fmt: skip
def test_full_home_is_said_when_it_becomes_full(browser, language, space, words):
    page, server = opened(browser, language)
    begin(page)
    page.wait_for_function("window.shown.size === 0")
    server.space |= space
    page.clock.run_for(60_000)
    (shown,) = until(page, words)
    assert f"{LAB}geodes/space" in shown["message"]
    page.clock.run_for(120_000)
    assert len(until(page, words)) == 1


def test_presence_is_said_at_most_each_half_minute_and_a_silent_server_harms_nothing(browser):
    page, server = opened(browser)
    begin(page)
    page.wait_for_function("window.shown.size === 0")
    posts = lambda: [a for a in server.asked if a == ("POST", "geodes/notices")]  # noqa: E731
    for _ in range(20):
        page.keyboard.press("a")
    page.clock.run_for(1000)
    assert len(posts()) == 1
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.unroute_all()
    page.route("**/*", lambda route: route.abort())
    page.clock.run_for(120_000)
    page.keyboard.press("b")
    assert errors == []
