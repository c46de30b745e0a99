"""A new access token for a user's server, and nothing else: the refresh token never leaves the hub's process.

``GET /hub/api/geodes/token`` with the server's own token returns ``{"access_token": …, "expires_in": seconds}``. A
service beside the hub would need the whole ``auth_state``, including the refresh token; so this is a handler in the
hub.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import time
from typing import Any

from jupyterhub.apihandlers.base import APIHandler
from tornado.web import HTTPError

SCOPE = "custom:geodes-lab:token"
"""The scope that a server's token needs."""

_LEFT = 0.25  # of a token's life: a token with less is renewed
_LONG = 300.0  # seconds that are enough, however long it lives
_UNKNOWN = 60.0  # assumed life, in seconds, of a token without an expiry

_locks: dict[str, asyncio.Lock] = {}  # for each user: using a refresh token twice may end the session
_seen: dict[bytes, float] = {}  # when a token arrived, by its hash


class AccessToken(APIHandler):
    """The handler."""

    async def get(self) -> None:
        """Return a token with more than a quarter of its life left."""
        user = self.current_user
        if user is None or SCOPE not in self.expanded_scopes or not hasattr(user, "get_auth_state"):
            raise HTTPError(403, "Only a user's own server can get the user's access token.")
        async with _locks.setdefault(user.name, asyncio.Lock()):
            state = await user.get_auth_state() or {}
            if not state.get("access_token"):
                raise HTTPError(
                    404, "Your login is too old, or without an organisation's account: log in to the lab again."
                )
            left, life = remaining(state)
            if left < min(_LONG, life * _LEFT):
                state = await self._renewed(user, state)
                left, _ = remaining(state)
        self.set_header("Cache-Control", "no-store")
        self.write(json.dumps({"access_token": state["access_token"], "expires_in": round(left, 1)}))

    async def _renewed(self, user: Any, state: dict[str, Any]) -> dict[str, Any]:
        refresh = state.get("refresh_token")
        if not refresh:
            raise HTTPError(403, "Your login has expired: log in to the lab again.")
        authenticator = self.authenticator
        try:
            token_response = await authenticator.get_token_info(
                self, authenticator.build_refresh_token_request_params(refresh)
            )
            token_response.setdefault("refresh_token", refresh)
            # Like oauthenticator's own refresh_user, which waits until the token has expired.
            model = await authenticator._token_to_auth_model(token_response)
        except Exception as error:
            self.log.warning("The access token of %s was not renewed: %s", user.name, type(error).__name__)
            raise HTTPError(403, "Your organisation no longer renews your login: log in to the lab again.") from None
        if not model:
            raise HTTPError(403, "You no longer have access to the lab: ask its operator.")
        model["name"] = user.name
        await self.auth_to_user(model, user)
        renewed: dict[str, Any] = await user.get_auth_state()
        came(renewed["access_token"])
        return renewed


def remaining(state: dict[str, Any]) -> tuple[float, float]:
    """Return the seconds that are left of an access token, and of its whole life."""
    token, token_response = state["access_token"], state.get("token_response") or {}
    claims = _claims(token)
    if "exp" in claims:
        return claims["exp"] - time.time(), claims["exp"] - claims.get("iat", claims["exp"] - _UNKNOWN)
    life = float(token_response.get("expires_in") or _UNKNOWN)
    since = _seen.get(_mark(token))
    # The age of a token from before the start of the hub, or from the login, is unknown: it is renewed.
    return (0.0 if since is None else since + life - time.time()), life


def came(token: str) -> None:
    """Record the arrival of a token."""
    for old in [k for k, seen in _seen.items() if time.time() - seen > 86_400]:
        del _seen[old]
    _seen[_mark(token)] = time.time()


def _mark(token: str) -> bytes:
    return hashlib.blake2b(token.encode(), digest_size=16).digest()


def _claims(token: str) -> dict[str, Any]:
    """Return the claims of a JWT, which came from its provider over TLS: only its times are used."""
    parts = token.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return {}
    return claims if isinstance(claims, dict) else {}
