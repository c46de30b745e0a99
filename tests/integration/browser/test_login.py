"""Login by a provider as a browser meets it: groups that change, tokens that end, a provider that fails, a key that is rotated."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import chromium, enter, needs_chromium
from tests.support.hub.hubs import Production, needs_accounts
from tests.support.hub.provider import Provider

pytestmark = [pytest.mark.browser, needs_chromium, needs_accounts]


def lab(provider: Provider, **oidc: object) -> dict:
    return {
        "contact": "desk@example.org",
        "login": {"kind": "oidc", "oidc": provider.settings(**oidc)},
        "servers": {"kind": "accounts"},
        "profiles": {"S": {"title": "Small", "cores": 1, "memory": "2 GiB"}},
        "groups": {"geodes": {"profiles": ["S"]}, "operators": {"admin": True, "profiles": ["S"]}},
    }


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    with Provider() as running:
        yield running


@pytest.fixture(scope="module")
def hub(provider) -> Iterator[Production]:
    with Production(lab(provider, refresh="1 s", grace="3 s")) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


def leave(page: Page, hub: Production) -> None:
    """Log out, at the provider's too."""
    page.goto(f"{hub.url}/hub/logout")
    page.get_by_role("button").first.click()
    expect(page.get_by_text("You have logged out.")).to_be_visible()


def reloaded(page: Page, address: str) -> None:
    """Ask for the same page until it leads there."""
    for _ in range(60):
        page.goto(page.url if address in page.url else page.url.split("?")[0])
        if address in page.url:
            return
        page.wait_for_timeout(250)
    raise AssertionError(f"{page.url} does not lead to {address}")


# Of the long ones: three logins and servers; test_oidc.py changes groups without a browser.
@pytest.mark.slow
def test_group_that_changes_between_logins(hub, provider, browser):
    provider.put("alice", groups=["geodes"])
    page = enter(browser.new_page(), hub.url, "alice")
    expect(page.get_by_role("heading", name="Welcome, alice")).to_be_visible()
    assert page.goto(f"{hub.url}/hub/admin").status == 403, "no operator"
    assert page.goto(f"{hub.url}/services/operators/").status == 403
    leave(page, hub)
    provider.put("alice", groups=["elsewhere"])
    enter(page, hub.url, "alice")
    expect(page.get_by_text("none of your groups (elsewhere)")).to_be_visible()
    expect(page.get_by_text("desk@example.org")).to_be_visible()
    provider.put("alice", groups=["operators"])
    page = enter(browser.new_page(), hub.url, "alice")
    expect(page.get_by_role("heading", name="Welcome, alice")).to_be_visible()
    assert page.goto(f"{hub.url}/hub/admin").status == 200
    assert page.url == f"{hub.url}/services/operators/"
    expect(page.get_by_text("alice").first).to_be_visible()


@pytest.mark.slow  # waits for tokens to end; tests/integration/hub/test_oidc.py does the same without a browser
def test_token_that_ended_is_refreshed_and_without_another_one_logs_in_again(hub, provider, browser):
    provider.put("dora", groups=["geodes"])
    page = enter(browser.new_page(), hub.url, "dora")
    provider.expire("dora")
    before = sum(v.get("grant_type") == "refresh_token" for _, v in provider.asked)
    for _ in range(60):
        page.goto(f"{hub.url}/services/home/")
        page.goto(f"{hub.url}/hub/token")
        if sum(v.get("grant_type") == "refresh_token" for _, v in provider.asked) > before:
            break
        page.wait_for_timeout(250)
    else:
        raise AssertionError("it was not refreshed")
    assert page.url == f"{hub.url}/hub/token", "and nobody was asked for anything"
    provider.expire("dora", refresh=True)
    reloaded(page, "/oauth2/authorize")


@pytest.mark.slow  # as above: test_oidc does the same without a browser
def test_provider_that_fails_within_a_login_and_beside_who_is_in(hub, provider, browser):
    provider.put("emil", groups=["geodes"])
    inside = enter(browser.new_page(), hub.url, "emil")
    inside.goto(f"{hub.url}/hub/token")
    outside = browser.new_context(locale="fr-FR").new_page()
    outside.goto(f"{hub.url}/hub/oauth_login")
    provider.fails = True  # but for its form
    try:
        outside.fill("input[name=sub]", "emil")
        outside.locator("button[type=submit]").first.click()
        expect(outside.get_by_text("Le service de connexion ne répond pas").first).to_be_visible()
        inside.reload()
        assert inside.url == f"{hub.url}/hub/token", "who is in stays, for a while"
    finally:
        provider.fails = False
    again = enter(browser.new_page(), hub.url, "emil")
    expect(again.get_by_role("heading", name="Welcome, emil")).to_be_visible()


@pytest.mark.slow  # a hub of its own; test_oidc does the same without a browser
def test_key_that_is_rotated(provider, browser):
    provider.put("ines", groups=["geodes"])
    with Production(lab(provider, claims={"source": "id_token"})) as hub:
        for _ in range(2):
            page = enter(browser.new_context().new_page(), hub.url, "ines")
            expect(page.get_by_role("heading", name="Welcome, ines")).to_be_visible()
            provider.rotate()
