"""The login of a service: it leads back to the page that was asked for, and never to another site."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from hub.services.person import Hub
from tests.support.servers.served import served


@pytest.fixture
def url(monkeypatch) -> Iterator[str]:
    async def token(_: Request) -> Response:
        return JSONResponse({"access_token": "hers"})

    with served(Starlette(routes=[Route("/oauth2/token", token, methods=["POST"])])) as api:
        monkeypatch.setenv("JUPYTERHUB_API_URL", api)
        monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/services/usage/")
        hub = Hub()

        async def page(request: Request) -> Response:
            return hub.to_login(request)

        async def begin(request: Request) -> Response:
            return hub.begin(request)

        def end(request: Request) -> Response:
            return hub.end(request, request.query_params["code"], request.query_params["state"])

        at = hub.prefix
        routes = [Route(f"{at}costs", page), Route(f"{at}login", begin), Route(f"{at}oauth_callback", end)]
        with served(Starlette(routes=routes)) as address:
            yield address


def back(url: str, first: str) -> str:
    """Where a browser ends that asks for a page, or follows a link to the login."""
    with httpx.Client(base_url=url) as browser:
        answer = browser.get(first)
        while "/oauth2/authorize" not in answer.headers["location"]:
            answer = browser.get(answer.headers["location"])
        state = parse_qs(urlsplit(answer.headers["location"]).query)["state"][0]
        ended = browser.get("/services/usage/oauth_callback", params={"code": "c", "state": state})
        assert ended.status_code == 307
        return ended.headers["location"]


def test_login_leads_back_to_the_page(url):
    assert back(url, "/services/usage/costs?month=2026-11&lang=fr") == "/services/usage/costs?month=2026-11&lang=fr"
    assert back(url, "/services/usage/login") == "/services/usage/"


@pytest.mark.attack
@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example",
        "/hub/logout",
        "/services/usage",
        "javascript:alert(1)",
        "\\\\evil",
        " /",
    ],
)
def test_login_leads_to_no_other_site(url, wanted):
    assert back(url, str(httpx.URL("/services/usage/login", params={"next": wanted}))) == "/services/usage/"


@pytest.mark.attack
def test_login_that_another_browser_began_is_refused(url):
    with httpx.Client(base_url=url) as browser:
        browser.get("/services/usage/login")
        for state in ("", " ", "x", "x /services/usage/"):
            ended = browser.get("/services/usage/oauth_callback", params={"code": "c", "state": state})
            assert ended.status_code == 403
    assert httpx.get(f"{url}/services/usage/oauth_callback", params={"code": "c", "state": ""}).status_code == 403


def test_hub_is_asked_one_question_about_a_token_with_groups(monkeypatch):
    """Whatever the token's scopes: the hub says its owner's groups to each token (`jupyterhub.scopes.identify_scopes`)."""
    asked: list[str] = []

    async def owner(request: Request) -> Response:
        asked.append(request.url.path)
        scopes = ["access:services!service=usage"]
        return JSONResponse({"kind": "user", "name": "ada", "groups": ["geodes"], "scopes": scopes})

    with served(Starlette(routes=[Route("/user", owner), Route("/users/ada", owner)])) as api:
        monkeypatch.setenv("JUPYTERHUB_API_URL", api)
        monkeypatch.setenv("JUPYTERHUB_SERVICE_NAME", "usage")
        hub = Hub()
        ada = hub.who("hers")
        assert (ada.name, ada.groups) == ("ada", {"geodes"})
        assert hub.who("hers") == ada
        assert asked == ["/user"]
        # A service whose senders speak of themselves alone may remember them for longer, or not at all.
        anew = Hub(remembers=0)
        assert [anew.who("hers"), anew.who("hers")] == [ada, ada]
        assert asked == ["/user"] * 3
