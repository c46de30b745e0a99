"""The provider's addresses as it publishes them: taken where the operator's file has none, and held against what is safe."""

from __future__ import annotations

import asyncio
import json

import pytest
from tornado.httpclient import HTTPClientError

from geodes_lab.policy.login import Claims, Oidc
from hub.login.discovery import DiscoveryError, addresses, discover, missing
from tests.support.servers.served import served

ISSUER = "https://sso.geodes.example/realms/geodes"
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "token_endpoint": f"{ISSUER}/token",
    "userinfo_endpoint": f"{ISSUER}/userinfo",
    "jwks_uri": f"{ISSUER}/certs",
    "end_session_endpoint": f"{ISSUER}/logout",
}


def test_what_the_operator_wrote_is_not_asked_for():
    oidc = Oidc(ISSUER, "lab", token_url="https://other.geodes.example/token")
    assert missing(oidc) == ["authorize_url", "userinfo_url", "keys_url", "logout_url"]
    found = addresses(oidc, "it", DOCUMENT)
    assert found == {
        "authorize_url": f"{ISSUER}/auth", "userinfo_url": f"{ISSUER}/userinfo", "keys_url": f"{ISSUER}/certs", "logout_url": f"{ISSUER}/logout",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"issuer": ISSUER + "/"}, "write the provider's own name there, letter by letter"),
        ({"issuer": None}, "of the issuer 'None'"),
        ({"authorization_endpoint": None}, "has no safe authorization_endpoint"),
        ({"token_endpoint": "http://sso.geodes.example/token"}, r"write login\.oidc\.token_url"),
        ({"userinfo_endpoint": ["https://sso.geodes.example"]}, "has no safe userinfo_endpoint"),
        ({"authorization_endpoint": "javascript:alert(1)"}, "has no safe authorization_endpoint"),
        ({"end_session_endpoint": "http://elsewhere.example/"}, "has no safe end_session_endpoint"),
    ],
)
def test_what_does_not_fit_is_refused_in_a_sentence(change, sentence):
    with pytest.raises(DiscoveryError, match=sentence):
        addresses(Oidc(ISSUER, "lab"), "it", {**DOCUMENT, **change})


def test_only_what_is_needed_must_be_there():
    document = {k: v for k, v in DOCUMENT.items() if k not in ("userinfo_endpoint", "end_session_endpoint")}
    assert set(addresses(Oidc(ISSUER, "lab", claims=Claims(source="id_token")), "it", document)) == {
        "authorize_url",
        "token_url",
        "keys_url",
    }
    with pytest.raises(DiscoveryError, match="userinfo_endpoint"):
        addresses(Oidc(ISSUER, "lab"), "it", document)


@pytest.mark.attack
@pytest.mark.parametrize(
    ("status", "body"), [(200, "<html>"), (200, "[1]"), (200, '"' + "x" * 2**19 + '"'), (302, ""), (404, "{}")]
)
def test_answer_that_is_no_document_leads_nowhere(status, body):
    async def provider(scope, receive, send):
        headers = [(b"location", b"https://elsewhere.example/")] if status == 302 else []
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body.encode()})

    with served(provider) as url, pytest.raises((DiscoveryError, HTTPClientError)):
        asyncio.run(discover(Oidc(url, "lab"), {}))


def test_document_is_read_over_http():
    async def provider(scope, receive, send):
        assert scope["path"] == "/realms/geodes/.well-known/openid-configuration"
        own = f"http://127.0.0.1:{scope['server'][1]}/realms/geodes"
        document = {k: v.replace(ISSUER, own) for k, v in DOCUMENT.items()}
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": json.dumps(document).encode()})

    with served(provider) as url:
        found = asyncio.run(discover(Oidc(f"{url}/realms/geodes", "lab"), {}))
        assert found["token_url"] == f"{url}/realms/geodes/token"
