"""Who asks a service.

By the token of a program, or by the cookie that a browser got when its user logged in at the hub.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from dataclasses import dataclass, replace
from urllib.parse import urlencode, urlsplit

import httpx
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from tornado.web import create_signed_value, decode_signed_value

_KNOWN = 60.0  # seconds that an answer of the hub is kept: so long a change of groups may take
_OF_SESSION = 5.0  # the same for a browser's cookie: a copy of it is good for so long after its owner has logged out
_SESSION = "jupyterhub-session-id"  # the hub's cookie, of all that a browser got in one login


@dataclass(frozen=True)
class Person:
    """Who asks."""

    name: str = ""
    """Empty: nobody has logged in."""
    groups: frozenset[str] = frozenset()
    by_cookie: bool = False
    """Whether a browser said it by itself: enough to read, not enough to change anything."""
    service: str = ""
    """Not a person but one of the hub's services."""


class Hub:
    """The hub whose service this is, as its environment says; without one, everybody is nobody."""

    def __init__(self) -> None:
        name = os.environ.get("JUPYTERHUB_SERVICE_NAME", "service")
        self.name = name
        self.prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "/")
        # Where each service has a host name of its own, a login leads from there to the hub's name and back.
        public, hub = (os.environ.get(f"JUPYTERHUB_PUBLIC_{n}URL", "") for n in ("", "HUB_"))
        apart = bool(public) and urlsplit(public).netloc != urlsplit(hub).netloc
        self._back = f"{public if apart else self.prefix}oauth_callback"
        self._hub = hub if apart else f"{os.environ.get('JUPYTERHUB_BASE_URL', '/')}hub/"
        # A page of a neighbour below the same name may set cookies for this one too, but none that is called so.
        self._host_only = apart and public.startswith("https:")
        self._cookie = f"{'__Host-' if self._host_only else ''}geodes-{name}"
        self._state = f"{self._cookie}-state"
        self._api = os.environ.get("JUPYTERHUB_API_URL", "")
        self._token = os.environ.get("JUPYTERHUB_API_TOKEN", "")
        self._client_id = os.environ.get("JUPYTERHUB_CLIENT_ID", "")
        self._secret = hashlib.sha256(f"{name} {self._token}".encode()).hexdigest()
        self._client = httpx.Client(timeout=10)
        self._known: dict[str, tuple[float, Person]] = {}

    def person(self, request: Request) -> Person:
        """Say who asks; the hub is asked at most once a minute for each token."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() in ("token", "bearer") and token:
            return self.who(token.strip())
        value = request.cookies.get(self._cookie)
        kept = decode_signed_value(self._secret, self._cookie, value, max_age_days=1) if value and self._api else None
        if not kept:
            return Person()
        # Who logs out loses this cookie, and the token its worth: what is known of it is not good any longer.
        return replace(self.who(kept.decode(), request.cookies.get(_SESSION, "")), by_cookie=True)

    def asking(self, request: Request) -> str:
        """Who asks, person or service, in a word; empty: nobody."""
        person = self.person(request)
        return person.name or (f"service {person.service}" if person.service else "")

    def token(self, request: Request) -> str:
        """The token by which a request says who asks.

        For asking another service of the lab as that person, and for nothing else.
        """
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() in ("token", "bearer") and token:
            return token.strip()
        value = request.cookies.get(self._cookie)
        kept = decode_signed_value(self._secret, self._cookie, value, max_age_days=1) if value and self._api else None
        return kept.decode() if kept else ""

    def who(self, token: str, session: str = "") -> Person:
        """Say whose token it is, within a session of a browser's.

        Of a token that may not ask this service, nobody's.
        """
        if not self._api:
            return Person()
        key = _key(token, session)
        when, person = self._known.get(key, (0.0, Person()))
        if time.monotonic() - when > (_OF_SESSION if session else _KNOWN) or not when:
            person = self._asked(token)
            self._known = {k: v for k, v in self._known.items() if time.monotonic() - v[0] < _KNOWN}
            self._known[key] = (time.monotonic(), person)
        return person

    def known(self, token: str) -> Person | None:
        """What is known of a token already, without asking."""
        when, person = self._known.get(_key(token), (0.0, Person()))
        return person if when and time.monotonic() - when <= _KNOWN else None

    def _asked(self, token: str) -> Person:
        said = self._client.get(f"{self._api}/user", headers={"Authorization": f"token {token}"})
        told = said.json() if said.status_code == 200 else {}
        name = told.get("name")
        # A token that may not ask this service says who it is, and that is not enough.
        needed = {f"access:services!service={self.name}", "access:services"}
        if not name or not needed & set(told.get("scopes", ())):
            return Person()
        if told.get("kind") != "user":
            return Person(service=name)
        # The groups by our own right: a user's token need not have the scope that tells them.
        mine = self._client.get(f"{self._api}/users/{name}", headers={"Authorization": f"token {self._token}"})
        return Person(name, frozenset(mine.json().get("groups", ())) if mine.status_code == 200 else frozenset())

    def begin(self, request: Request) -> Response:
        """Send a browser to the hub, to come back to `end`."""
        state = secrets.token_urlsafe(24)
        asked = {"client_id": self._client_id, "redirect_uri": self._back, "response_type": "code", "state": state}
        answer = RedirectResponse(f"{self._hub}api/oauth2/authorize?{urlencode(asked)}")
        self._keep(request, answer, self._state, state, 600)
        return answer

    def end(self, request: Request, code: str, state: str) -> Response:
        """Take what the hub sent the browser back with."""
        kept = decode_signed_value(self._secret, self._state, request.cookies.get(self._state, ""), max_age_days=1)
        if not kept or not secrets.compare_digest(kept.decode(), state):
            return Response("This log-in was not begun here, or too long ago: open the page anew.", 403)
        asked = {
            "client_id": self._client_id,
            "client_secret": self._token,
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._back,
        }
        said = self._client.post(f"{self._api}/oauth2/token", data=asked)
        if said.status_code != 200:
            return Response("The hub does not confirm this log-in: open the page anew.", 403)
        answer = RedirectResponse(self.prefix)
        self._keep(request, answer, self._cookie, said.json()["access_token"], 86400)
        answer.delete_cookie(self._state, path=self._path, secure=self._host_only)
        return answer

    @property
    def _path(self) -> str:
        return "/" if self._host_only else self.prefix

    def _keep(self, request: Request, answer: Response, name: str, value: str, seconds: int) -> None:
        signed = create_signed_value(self._secret, name, value).decode()
        secure = self._host_only or request.headers.get("X-Forwarded-Proto", request.url.scheme).startswith("https")
        answer.set_cookie(name, signed, seconds, path=self._path, httponly=True, samesite="lax", secure=secure)


def _key(token: str, session: str = "") -> str:
    return hashlib.sha256(f"{session} {token}".encode()).hexdigest()
