"""Living with the hub, on real servers: a home that is full, a quota that is used up, a server that says that it is used."""

from __future__ import annotations

import contextlib
import html
import os
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from hub.services.usage.accounts import Books
from hub.services.usage.records import Session
from tests.support.hub.hubs import Browser, Person, Production, message, needs_accounts
from tests.support.hub.provider import Provider

pytestmark = [needs_accounts, pytest.mark.slow]


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        for name in ("bob", "fred"):
            running.put(name, groups=["geodes"])
        for name in ("alice", "greta"):
            running.put(name, groups=["geodes", "of the land/team"])
        yield running


@pytest.fixture(scope="module")
def hub(provider, sample) -> Iterator[Production]:
    hub = Production(
        {
            "contact": "desk@example.org",
            "login": {"kind": "oidc", "oidc": provider.settings()},
            "servers": {"kind": "accounts"},
            "profiles": {"S": {"title": "Small", "cores": 1, "memory": "2 GiB"}},
            "groups": {
                "geodes": {"profiles": ["S"], "quota": {"core_hours": 10}},
                "of the land/team": {"enter": False},
            },
            "catalogue": {"static": str(sample / "catalog" / "catalog.json")},
            "usage": {"every": "1 s"},
        }
    )
    # Bob has used what the month allows, before the hub starts.
    now = datetime.now(UTC)
    start = max(now - timedelta(hours=6), now.replace(day=1, hour=0, minute=0, second=0))
    cores = 11 * 3600 / max((now - start).total_seconds(), 1)
    books = Books(hub.state / "usage.sqlite")
    books.saw([Session("bob", "", start, "S", cores, 2**30, ("geodes",))], now)
    with hub as running:
        yield running


@pytest.fixture(scope="module")
def alice(hub) -> Person:
    return Person(hub, "alice")


def test_quota_that_is_used_up_starts_no_server_and_says_so(hub):
    bob = Browser(hub)
    bob.login("bob")
    reply = bob.api("POST", "/users/bob/server", json={})
    assert reply.status_code == 403
    assert "Your quota of this month is used up: 11 of 10 core-hours" in reply.text
    assert "desk@example.org" in reply.text
    page = bob.web.get(f"{hub.url}/hub/spawn")
    assert "used up" in message(page) or "used up" in page.text
    mine = bob.web.get(f"{hub.url}/services/usage/", headers={"Accept-Language": "en"})
    assert "used up" in mine.text


def test_full_home_starts_in_rescue_mode_and_is_cleaned(hub):
    fred = Person(hub, "fred")
    assert fred.run("import os; print(os.environ.get('GEODES_LAB_RESCUE'))") == "None"
    assert "unhandled" not in hub.said(), "the size of a server is heeded"
    home = hub.homes / "lab-fred"
    owner = home.stat()
    fred.kernel.stop()
    assert fred.browser.api("DELETE", "/users/fred/server").status_code in (202, 204)
    _until_stopped(fred)
    # A small disk, which the hub alone sees: it lives in a mount namespace of its own.
    subprocess.run(["nsenter", "-t", str(hub.process.pid), "-m", "mount", "-t", "tmpfs", "-o",
                    f"size=48m,uid={owner.st_uid},gid={owner.st_gid},mode=700", "tmpfs", str(home)], check=True)  # fmt: skip
    inside = f"/proc/{hub.process.pid}/root{home}"
    cache = Path(inside) / ".cache"
    cache.mkdir()
    with contextlib.suppress(OSError), (cache / "waste").open("wb") as waste:
        while True:
            waste.write(b"0" * 2**16)
    for path in (cache, cache / "waste"):
        os.chown(path, owner.st_uid, owner.st_gid)
    again = Person(hub, "fred")
    assert "are used" in again.run("import os; print(os.environ['GEODES_LAB_RESCUE'])") or "No space" in again.run(
        "import os; print(os.environ['GEODES_LAB_RESCUE'])"
    )
    assert "No space left" in again.run(
        "open('/'.join([__import__('os').environ['HOME'], 'x']), 'w').write('1' * 10**6)"
    )
    assert again.run("print(6 * 7)") == "42", "kernels work"
    page = again.browser.web.get(f"{hub.url}/user/fred/geodes/space", headers={"Accept-Language": "en"})
    assert "rescue mode" in page.text
    assert ".cache <small>(can be created again)" in page.text
    tokens = [c.value for c in again.browser.web.cookies.jar if c.name == "_xsrf" and "fred" in (c.path or "")]
    url = f"{hub.url}/user/fred/geodes/space"
    assert again.browser.web.post(url, data={"path": ".cache"}).status_code == 403, "another site's form does nothing"
    cleaned = again.browser.web.post(
        url, data={"path": ".cache", "_xsrf": tokens[-1]}, headers={"Accept-Language": "en"}
    )
    assert cleaned.status_code == 200, cleaned.text
    assert "There is space again" in cleaned.text
    outside = again.browser.web.post(url, data={"path": "../lab-alice", "_xsrf": tokens[-1]})
    assert outside.status_code == 400
    again.kernel.stop()
    again.browser.api("DELETE", "/users/fred/server")
    _until_stopped(again)
    last = Person(hub, "fred")
    assert (
        last.run(
            "import os; print(os.environ.get('GEODES_LAB_RESCUE'), len(os.listdir(os.environ['HOME'] + '/notebooks')) > 0)"
        )
        == "None True"
    )


def test_silent_kernel_counts_as_use(hub, alice):
    ask = lambda: httpx.get(  # noqa: E731
        f"{hub.url}/user/alice/geodes/notices", headers={"Authorization": f"token {alice.token}"}
    )
    assert ask().json()["notice"] is None
    code = """
        import os, httpx, time
        ask = httpx.Client(headers={'Authorization': 'token ' + os.environ['JUPYTERHUB_API_TOKEN']})
        url = os.environ['GEODES_LAB_CULLER'] + '/beat'
        print(ask.post(url, json={'active': '2020-01-01T00:00:00Z', 'server': ''}).status_code)
        print(ask.post(url.replace('beat', 'stops/bob')).status_code, ask.get(url.replace('beat', 'stops/bob')).status_code)
    """
    assert alice.run(code) == "200\n405 403", "it speaks for itself alone"


def test_share_is_for_who_was_invited_and_for_reading_alone(hub, alice):
    greta, bob = Browser(hub), Browser(hub)
    greta.login("greta")
    bob.login("bob")
    mine, theirs = {"Authorization": f"token {alice.token}"}, {"Authorization": f"token {greta.token('greta')}"}
    page = f"{hub.url}/user/alice/nbconvert/html/notebooks/01_ndvi_cube.ipynb"
    shares = f"{hub.url}/user/alice/geodes/shares"
    assert httpx.get(page, headers=theirs).status_code in (403, 404)
    assert httpx.post(shares, json={"notebook": "../x.ipynb"}, headers=mine).status_code == 400
    assert httpx.post(shares, json={"notebook": "no.ipynb"}, headers=mine).status_code == 404
    told = httpx.post(shares, json={"notebook": "notebooks/01_ndvi_cube.ipynb"}, headers=mine)
    assert told.json()["places"] == ["/user/alice/nbconvert/html/notebooks/01_ndvi_cube.ipynb"]
    # By a link, which whoever gets it accepts once.
    made = alice.browser.api("POST", "/share-codes/alice/", json={})
    assert made.status_code == 200, made.text
    form = {"code": made.json()["code"], "_xsrf": greta.xsrf["X-XSRFToken"]}
    accepted = greta.web.post(f"{hub.url}/hub/accept-share", data=form, follow_redirects=False)
    assert accepted.status_code in (302, 303), accepted.text[-800:]
    # As a browser gets it when its user agrees: a token for this server.
    scopes = ["access:servers!server=alice/", "read:users:name!user=greta"]
    theirs = {"Authorization": f"token {greta.token('greta', scopes=scopes)}"}
    refused = bob.api("POST", "/users/bob/tokens", json={"scopes": ["access:servers!server=alice/"]})
    assert refused.status_code in (400, 403), "not invited"
    seen = httpx.get(page, headers=theirs, timeout=60)
    assert seen.status_code == 200, [
        line for line in seen.text.splitlines() if "<h1" in line or "<p" in line or "is not" in line
    ]
    assert "A summer of vegetation" in seen.text
    assert httpx.get(page, headers={"Authorization": f"token {bob.token('bob')}"}).status_code in (403, 404), (
        "not invited"
    )
    # In the server, and no further: JupyterHub alone would let greta run code as alice.
    for method, path in (
        ("GET", "lab"), ("GET", "api/contents"), ("GET", "api/kernels"), ("POST", "api/kernels"), ("GET", "geodes/shares"),
        ("POST", "geodes/shares"), ("POST", "geodes/space"), ("GET", "geodes/notices"), ("GET", "files/notebooks/01_ndvi_cube.ipynb"),
        ("GET", "proxy/8000/"), ("GET", "dask/clusters"), ("GET", "api/terminals"), ("GET", "nbconvert/python/notebooks/01_ndvi_cube.ipynb"),
        ("GET", "nbconvert/html/notebooks/../notebooks/other.ipynb"),
    ):  # fmt: skip
        answer = httpx.request(
            method, f"{hub.url}/user/alice/{path}", headers=theirs, json={} if method == "POST" else None
        )
        assert answer.status_code in (403, 404), (method, path, answer.status_code)
        assert httpx.get(f"{hub.url}/user/alice/api/kernels", headers=mine).status_code == 200, "the control"
    assert httpx.request("DELETE", shares, json={"notebook": "notebooks/01_ndvi_cube.ipynb"}, headers=mine).json() == {
        "places": []
    }
    assert httpx.get(page, headers=theirs).status_code == 403


def test_share_with_a_group_is_for_its_members(hub, alice):
    greta, bob = Browser(hub), Browser(hub)
    greta.login("greta")
    bob.login("bob")
    alice.run("import os, geodes_lab as gl; os.chdir(os.path.expanduser('~/notebooks'))")
    refused = alice.run("gl.share('02_catalogue.ipynb', groups=['geodes/others'])")
    assert (
        "GeodesError: Sharing with the group geodes/others is refused: you share with groups that you are in" in refused
    )
    page = alice.run(
        "seen = gl.share('02_catalogue.ipynb', groups=['of the land/team']); print(seen.url, seen.invitation)"
    )
    page, invitation = page.split()
    assert page == f"{hub.url}/user/alice/nbconvert/html/notebooks/02_catalogue.ipynb"
    assert invitation == "None"
    seen = _entered(greta, page)
    assert seen.status_code == 200, seen.text[-800:]
    assert "jp-Notebook" in seen.text or "jp-Cell" in seen.text
    assert greta.web.get(f"{hub.url}/user/alice/api/contents").status_code in (403, 404), "no further"
    assert _entered(bob, page).status_code in (403, 404), "no member"
    alice.run("seen.stop()")
    assert greta.web.get(page).status_code == 403


def _entered(who: Browser, page: str) -> httpx.Response:
    """What somebody meets at a page of another's server, having agreed that the server learns who they are."""
    answer = who.web.get(page)
    if "oauth_login" in answer.text or "/oauth2/authorize" in str(answer.url):
        fields = dict(re.findall(r'<input[^>]*name="([^"]+)"[^>]*value="([^"]*)"', answer.text))
        answer = who.web.post(str(answer.url), data={k: html.unescape(v) for k, v in fields.items()})
    return answer


def _until_stopped(person: Person) -> None:
    import time

    deadline = time.monotonic() + 30
    while person.browser.api("GET", f"/users/{person.name}").json()["servers"] and time.monotonic() < deadline:
        time.sleep(0.2)
