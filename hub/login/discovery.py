"""The provider's addresses, as it publishes them itself (OpenID Connect Discovery)."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit

from tornado.httpclient import AsyncHTTPClient, HTTPRequest

from geodes_lab.policy.login import Oidc
from geodes_lab.policy.sense import is_loopback

_PLACE = "/.well-known/openid-configuration"
_NAMES = {
    "authorize_url": "authorization_endpoint",
    "token_url": "token_endpoint",
    "userinfo_url": "userinfo_endpoint",
    "keys_url": "jwks_uri",
    "logout_url": "end_session_endpoint",
}
_LARGEST = 2**18  # bytes of such a document


class DiscoveryError(Exception):
    """The provider's document does not fit the operator's file; the message says what does not."""


def missing(oidc: Oidc) -> list[str]:
    """Return the addresses that the operator's file does not say."""
    return [name for name in _NAMES if not getattr(oidc, name)]


async def discover(oidc: Oidc, options: dict[str, Any]) -> dict[str, str]:
    """Ask the provider for the addresses that the operator's file does not say.

    Parameters
    ----------
    oidc
        The provider, of the operator's file.
    options
        For the request, such as the provider's own authority.

    Raises
    ------
    DiscoveryError
        If the answer is not such a document, is of another provider, or leaves out what is needed.
    OSError, tornado.httpclient.HTTPClientError
        If the provider does not answer.
    """
    address = f"{oidc.issuer.rstrip('/')}{_PLACE}"
    # Nothing is followed: the addresses of a login come from the issuer itself.
    request = HTTPRequest(address, follow_redirects=False, request_timeout=10, validate_cert=True, **options)
    answer = await AsyncHTTPClient().fetch(request)
    try:
        document = json.loads(answer.body) if len(answer.body) <= _LARGEST else None
    except ValueError:
        document = None
    return addresses(oidc, address, document)


def addresses(oidc: Oidc, source: str, document: Any) -> dict[str, str]:
    """Take the addresses from the provider's document.

    Raises
    ------
    DiscoveryError
        See `discover`.
    """
    if not isinstance(document, dict):
        raise DiscoveryError(f"{source} is no document of OpenID Connect: see whether login.oidc.issuer is right.")
    if document.get("issuer") != oidc.issuer:
        raise DiscoveryError(
            f"{source} is of the issuer {str(document.get('issuer'))[:200]!r}, and login.oidc.issuer is "
            f"{oidc.issuer!r}: write the provider's own name there, letter by letter."
        )
    needed = {"authorize_url", "token_url", "userinfo_url" if oidc.claims.source == "userinfo" else "keys_url"}
    found = {}
    for name in missing(oidc):
        value = document.get(_NAMES[name])
        if value is None and name not in needed:
            continue
        parts = urlsplit(value) if isinstance(value, str) else None
        if parts is None or not parts.hostname or not (parts.scheme == "https" or is_loopback(parts.hostname)):
            raise DiscoveryError(
                f"{source} has no safe {_NAMES[name]} ({str(value)[:200]!r}): write login.oidc.{name} into the "
                "operator's file."
            )
        found[name] = str(value)
    return found
