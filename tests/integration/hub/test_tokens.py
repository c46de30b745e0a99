"""Fresh access tokens: from a real provider, by the hub, to a user's server and its kernel; the refresh token stays in the hub."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import httpx
import pytest
from authlib.oauth2.rfc6750 import BearerTokenGenerator
from oidc_provider_mock import run_server_in_thread

from hub.demo import Visitor, kernel_of
from hub.login.tokens import came, remaining
from tests.support.awaiting import awaited
from tests.support.hub import hubbing

LIFE = 8.0  # seconds of an access token

MORE = """
c.JupyterHub.authenticator_class = "generic-oauth"
c.GenericOAuthenticator.client_id = c.GenericOAuthenticator.client_secret = "lab"
c.GenericOAuthenticator.authorize_url = "PROVIDER/oauth2/authorize"
c.GenericOAuthenticator.token_url = "PROVIDER/oauth2/token"
c.GenericOAuthenticator.userdata_url = "PROVIDER/userinfo"
c.GenericOAuthenticator.oauth_callback_url = "http://127.0.0.1:PORT/hub/oauth_callback"
c.GenericOAuthenticator.scope = ["openid", "offline_access"]
c.GenericOAuthenticator.username_claim = "sub"
c.GenericOAuthenticator.basic_auth = True
c.GenericOAuthenticator.allow_all = True
c.Authenticator.enable_auth_state = True
c.CryptKeeper.keys = [os.urandom(32)]
load_subconfig("HUB/config.d/70-tokens.py")
"""


@pytest.fixture(scope="module")
def provider() -> Iterator[str]:
    with pytest.MonkeyPatch.context() as patch:
        # Else tokens that are got by a refresh token live for an hour.
        patch.setitem(BearerTokenGenerator.GRANT_TYPES_EXPIRES_IN, "refresh_token", int(LIFE))
        with run_server_in_thread(access_token_max_age=timedelta(seconds=LIFE)) as server:
            yield f"http://localhost:{server.server_port}"


@pytest.fixture(scope="module")
def hub(tmp_path_factory, provider, sample) -> Iterator[tuple[str, Path]]:
    state = tmp_path_factory.mktemp("hub")
    with hubbing.hub(state, MORE.replace("PROVIDER", provider), sample / "catalog" / "catalog.json") as url:
        yield url, state


def login(url: str, name: str) -> Visitor:
    """As a browser does: the hub, the provider's page, and back."""
    visitor = Visitor.__new__(Visitor)
    visitor.web = httpx.Client(follow_redirects=True, timeout=60)
    page = visitor.web.get(f"{url}/hub/oauth_login")
    page = visitor.web.post(page.url, data={"sub": name})
    assert re.search(rf"/user/{name}|/hub/(spawn|home)", str(page.url)), f"{page.status_code} {page.url}"
    visitor.root, visitor.name, visitor.api = url, name, f"{url}/hub/api/users/{name}"
    visitor.web.get(f"{url}/hub/spawn")
    visitor.await_server()
    return visitor


def run(kernel, code: str) -> str:
    reply = kernel.execute(code, timeout=60)
    shown = "".join(
        o.get("text") or o.get("data", {}).get("text/plain", "") or "\n".join(o.get("traceback", []))
        for o in reply["outputs"]
    )
    return shown.strip()


@pytest.fixture(scope="module")
def ada(hub) -> Iterator[tuple[Visitor, object]]:
    visitor = login(hub[0], "ada")
    kernel = kernel_of(visitor)
    yield visitor, kernel
    kernel.stop()


NOW = "import geodes_lab.credentials as k; t = k.current('token')['token']; t"


def test_kernel_has_a_token_that_the_provider_takes_longer_than_one_lives(ada, provider):
    _, kernel = ada
    seen, end = set(), time.monotonic() + 8 * LIFE
    while len(seen) < 3 and time.monotonic() < end:
        token = run(kernel, NOW).strip("'")
        answer = httpx.get(f"{provider}/userinfo", headers={"Authorization": f"Bearer {token}"})
        assert answer.status_code == 200, token
        assert answer.json()["sub"] == "ada"
        seen.add(token)
        time.sleep(0.5)
    assert len(seen) == 3


def test_workers_have_it_too(ada, provider):
    _, kernel = ada
    run(kernel, "client = gl.attach()")
    ask = "dict(__import__('geodes_lab.credentials').credentials.current('token'))['token']"
    token = run(kernel, f"print(client.submit(eval, {ask!r}, pure=False).result())").splitlines()[-1]
    assert httpx.get(f"{provider}/userinfo", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_refresh_token_is_nowhere_but_in_the_hub(ada, hub):
    """Neither does the handler give it, nor the hub's own API to the server's token, nor is it in an environment, a file or a log."""
    _, kernel = ada
    code = (
        "import os, httpx; u, h = os.environ['JUPYTERHUB_API_URL'], {'Authorization': 'token ' + os.environ['JUPYTERHUB_API_TOKEN']}\n"
        "print(httpx.get(u + '/geodes/token', headers=h).text)\n"
        "print(httpx.get(u + '/users/ada', headers=h).text)\n"
        "print(httpx.get(u + '/user', headers=h).text)\n"
        "print(dict(os.environ))"
    )
    shown = run(kernel, code)
    assert "access_token" in shown
    assert "refresh" not in shown
    assert json.loads(shown.splitlines()[0]).keys() == {"access_token", "expires_in"}
    assert '"auth_state": null' in shown or "auth_state" not in shown
    log = (hub[1] / "hub.log").read_text()
    assert "Refreshing" in log or "geodes/token" in log or len(log) > 100
    token = run(kernel, NOW).strip("'")
    assert token not in log


@pytest.mark.attack
def test_strangers_get_none(ada, hub):
    visitor, _ = ada
    url = f"{hub[0]}/hub/api/geodes/token"
    assert httpx.get(url).status_code == 403
    assert httpx.get(url, headers={"Authorization": "token x"}).status_code == 403
    # A token of the user's own that is not the server's has not the scope, unless it was asked for.
    made = visitor.web.post(
        f"{visitor.api}/tokens", headers=visitor._headers(), json={"scopes": ["read:users!user"]}
    ).json()
    assert httpx.get(url, headers={"Authorization": f"token {made['token']}"}).status_code == 403


@pytest.mark.attack
def test_another_person_has_another_token(ada, hub):
    _, kernel = ada
    kernel_of_bob = kernel_of(login(hub[0], "bob"))
    try:
        assert run(kernel_of_bob, NOW).strip("'") != run(kernel, NOW).strip("'")
    finally:
        kernel_of_bob.stop()


def test_login_that_the_provider_ended_is_said_in_the_notebook(ada, hub, provider):
    _, kernel = ada
    httpx.put(f"{provider}/users/ada", json={"sub": "ada"})
    revoked = httpx.post(f"{provider}/users/ada/revoke-tokens")
    assert revoked.status_code < 300, revoked.text
    code = "import geodes_lab.credentials.renewal as r; r._forget(); k.current('token')"
    said = awaited(lambda: said if "log in to the lab again" in (said := run(kernel, code)) else "", 30)
    assert (
        "The hub gave no access token (HTTP 403: Your organisation no longer renews your login: log in to the lab again.)"
        in said
    )


def test_times_are_read_from_the_token_or_from_what_came_with_it():
    now = time.time()
    body = (
        __import__("base64")
        .urlsafe_b64encode(json.dumps({"exp": now + 30, "iat": now - 10}).encode())
        .decode()
        .rstrip("=")
    )
    left, life = remaining({"access_token": f"a.{body}.c"})
    assert left == pytest.approx(30, abs=1)
    assert life == pytest.approx(40)
    opaque = {"access_token": "opaque", "token_response": {"expires_in": 100}}
    assert remaining(opaque) == (0, 100), "nobody knows how old it is"
    came("opaque")
    assert remaining(opaque) == (pytest.approx(100, abs=1), 100)
    assert remaining({"access_token": "a.b.c"})[1] == 60
