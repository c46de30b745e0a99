"""Login by a provider, over HTTP: who enters, who does not and why, and what happens when the provider changes its mind."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.support.hub.hubs import Browser, Production, message

DISCOVERY = "/.well-known/openid-configuration"


def test_login_ends_on_the_front_page_as_who_has_logged_in(hub, provider):
    provider.put("carol", groups=["/geodes/theia"])
    browser = Browser(hub)
    before = browser.web.get(f"{hub.url}/")
    assert before.url.path == "/services/home/", "who comes without a login sees the page, and is sent nowhere"
    assert 'href="login"' in before.text
    page = browser.login("carol", "/hub/login")
    assert page.url.path == "/services/home/", str(page.url)
    assert 'href="login"' not in page.text
    assert "carol" in page.text
    again = browser.web.get(f"{hub.url}/")
    assert (again.url.path, "carol" in again.text) == ("/services/home/", True)


def test_member_of_a_nested_group_enters(hub, provider):
    provider.put("alice", groups=["/geodes/theia"])
    browser = Browser(hub)
    page = browser.login("alice")
    assert page.status_code == 200
    assert page.url.path == "/hub/token"
    me = browser.api("GET", "/user").json()
    assert (me["name"], me["admin"], sorted(me["groups"])) == ("alice", False, ["geodes", "geodes/theia"])
    first = next(values for path, values in provider.asked if path == "/oauth2/authorize")
    assert first["code_challenge_method"] == "S256", "PKCE"
    exchanged = next(values for path, values in provider.asked if path == "/oauth2/token")
    assert exchanged["code_verifier"]
    assert "client_secret" not in exchanged, "it goes by the header"


def test_provider_says_its_addresses_itself_and_once(hub, provider):
    provider.put("alice", groups=["geodes"])
    Browser(hub).login("alice")
    assert [path for path, _ in provider.asked].count(DISCOVERY) == 1


def test_realm_role_counts_too(hub, provider):
    provider.put("rosa", realm_access={"roles": ["geodes", "offline_access"]})
    assert Browser(hub).login("rosa").status_code == 200


@pytest.mark.attack
@pytest.mark.parametrize(
    ("sub", "claims", "why"),
    [
        ("nora", {"email": "nora@example.org"}, "did not send your groups (no claim groups nor realm_access.roles)"),
        ("nils", {"groups": []}, "you are in no group yet"),
        ("walt", {"groups": ["waiting", "other"]}, "none of your groups (other, waiting) gives access to this lab"),
        ("nick", {"groups": {"a": 1}}, "in a form that this lab does not understand (groups is a dict)"),
        ("../bob", {"groups": ["geodes"]}, "cannot be used here"),
        ("geodes", {"groups": ["geodesadmins", "x/geodes"]}, "none of your groups"),
    ],
)  # fmt: skip
def test_refused_person_reads_a_sentence(hub, provider, sub, claims, why):
    provider.put(sub, **claims)
    browser = Browser(hub)
    page = browser.login(sub)
    assert page.status_code == 403
    text = message(page).replace("&#39;", "'")
    assert why in text
    assert "desk@example.org" in text
    assert browser.api("GET", "/user").status_code in (401, 403)


def test_refused_person_reads_it_in_french(hub, provider):
    provider.put("nils", groups=[])
    assert "vous n'êtes encore dans aucun groupe" in message(Browser(hub, "fr").login("nils")).replace("&#39;", "'")


def test_operator_sees_people_and_enters_no_server(hub, provider):
    provider.put("olga", groups=["/geodes/admins"])
    provider.put("alice", groups=["geodes"])
    Browser(hub).login("alice")
    browser = Browser(hub)
    assert browser.login("olga").status_code == 200
    me = browser.api("GET", "/user").json()
    assert me["admin"] is False, "JupyterHub's own admin may enter everybody's server"
    assert {"access:services!service=operators", "list:users", "servers"} <= set(me["scopes"])
    assert not {"access:servers", "tokens", "admin:users", "admin:auth_state", "admin-ui"} & set(me["scopes"])
    assert "alice" in [u["name"] for u in browser.api("GET", "/users").json()]
    assert browser.api("POST", "/users/alice/tokens", json={}).status_code in (403, 404)
    assert browser.api("GET", "/users/alice").json().get("auth_state") is None
    # A person is no operator.
    other = Browser(hub)
    other.login("alice")
    assert other.api("GET", "/users").status_code == 403


def test_group_that_changes_between_logins_and_within_one(hub, provider):
    provider.put("carl", groups=["geodes"])
    browser = Browser(hub)
    browser.login("carl")
    token = browser.token("carl")
    ask = lambda: httpx.get(f"{hub.url}/hub/api/user", headers={"Authorization": f"token {token}"})  # noqa: E731
    assert ask().json()["groups"] == ["geodes"]
    provider.put("carl", groups=["/geodes/admins"])
    await_(lambda: "geodes/admins" in ask().json()["groups"])
    # Out of all groups: neither the browser nor a token enters any longer, and a new login says why.
    provider.put("carl", groups=["elsewhere"])
    await_(lambda: ask().status_code in (401, 403))
    assert browser.api("GET", "/user").status_code in (401, 403)
    assert "none of your groups (elsewhere)" in message(browser.login("carl"))
    # Back again.
    provider.put("carl", groups=["geodes"])
    again = Browser(hub)
    assert again.login("carl").status_code == 200
    assert again.api("GET", "/user").json()["groups"] == ["geodes"]


def test_access_token_that_ended_is_refreshed(hub, provider):
    provider.put("dora", groups=["geodes"])
    browser = Browser(hub)
    browser.login("dora")
    provider.expire("dora")
    before = sum(v.get("grant_type") == "refresh_token" for _, v in provider.asked)
    refreshed = lambda: sum(v.get("grant_type") == "refresh_token" for _, v in provider.asked) > before  # noqa: E731
    await_(lambda: browser.api("GET", "/user").status_code == 200 and refreshed())
    # Without a refresh token a new login is needed.
    provider.expire("dora", refresh=True)
    await_(lambda: browser.api("GET", "/user").status_code in (401, 403))


def test_provider_that_is_down_stops_nobodys_work_at_once(hub, provider):
    provider.put("emil", groups=["geodes"])
    browser = Browser(hub)
    browser.login("emil")
    token = browser.token("emil")
    ask = lambda: httpx.get(f"{hub.url}/hub/api/user", headers={"Authorization": f"token {token}"})  # noqa: E731
    provider.stop()
    try:
        await_(lambda: "does not answer about emil" in hub.said() or ask() is None)
        assert ask().status_code == 200, "within the grace"
        # Who comes now is told. The provider's form is gone, so the browser comes straight to the callback.
        stranger = Browser(hub, "fr")
        stranger.web.get(f"{hub.url}/hub/oauth_login", follow_redirects=False)
        state = (
            stranger.web.get(f"{hub.url}/hub/oauth_login", follow_redirects=False)
            .headers["location"]
            .split("state=")[1]
        )
        page = stranger.web.get(f"{hub.url}/hub/oauth_callback?code=x&state={state.split('&')[0]}")
        assert page.status_code == 503
        assert "Le service de connexion ne répond pas" in page.text
        await_(lambda: ask().status_code in (401, 403))
    finally:
        provider.start()
    assert Browser(hub).login("emil").status_code == 200


def test_logout_ends_here_and_leads_to_the_providers(hub, provider):
    provider.put("alice", groups=["geodes"])
    browser = Browser(hub)
    browser.login("alice")
    page = browser.web.get(f"{hub.url}/hub/logout", follow_redirects=False)
    assert page.headers["location"].startswith(f"{provider.url}/oauth2/end_session?client_id=geodes-lab")
    assert browser.api("GET", "/user").status_code in (401, 403)
    gone = browser.web.get(f"{hub.url}/hub/logged-out")
    assert "You have logged out" in gone.text


@pytest.mark.attack
def test_what_the_provider_gave_is_encrypted_and_in_no_log(hub, provider):
    provider.put("alice", groups=["geodes"])
    Browser(hub).login("alice")
    secrets = [t.token for t in [*provider.storage.access_tokens(), *provider.storage.refresh_tokens()]]
    assert secrets
    held = (hub.state / "hub.sqlite").read_bytes() + hub.said().encode()
    assert not [s for s in secrets if s.encode() in held]
    for kept in ("hub.sqlite", "cookie_secret", "secrets/crypt_keys", "secrets/client_secret"):
        assert (hub.state / kept).stat().st_mode & 0o077 == 0, kept


def test_verified_tokens_and_a_key_that_is_rotated(provider, with_login):
    provider.put("ines", groups=["geodes"])
    with Production(with_login(claims={"source": "id_token"}, **provider.addresses)) as running:
        asked = len(provider.asked)
        page = Browser(running).login("ines")
        assert page.status_code == 200, message(page)
        paths = [path for path, _ in provider.asked[asked:]]
        assert "/oauth2/token" in paths
        assert DISCOVERY not in paths, "what the operator's file says is not asked for"
        provider.rotate()
        assert Browser(running).login("ines").status_code == 200, "the new key was fetched"
        # Negative control: signed by a key that the provider does not publish.
        published, forged = provider.storage.jwk, None
        provider.rotate()
        forged, provider.storage.jwk = provider.storage.jwk, published
        sign = provider.app.view_functions["oidc-provider-mock.jwks"]
        provider.app.view_functions["oidc-provider-mock.jwks"] = lambda: json.dumps({"keys": [published.as_dict()]})
        provider.storage.jwk = forged
        try:
            page = Browser(running).login("ines")
            assert page.status_code == 403
            assert "does not match its keys" in message(page)
        finally:
            provider.storage.jwk = published
            provider.app.view_functions["oidc-provider-mock.jwks"] = sign


def await_(condition, seconds: float = 15) -> None:
    import time

    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not come true"
        time.sleep(0.2)
