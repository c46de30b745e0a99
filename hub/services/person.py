"""Who sends a request to a service.

Identified by the token of a program, or by the cookie that a browser got when its user logged in at the hub.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from collections.abc import Collection
from dataclasses import dataclass, replace
from urllib.parse import quote, unquote, urlencode, urlsplit

import httpx
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from tornado.web import create_signed_value, decode_signed_value

_KNOWN = 60.0  # seconds
# the same for a browser's cookie: a copy of it stays valid for so long after its owner has logged out
_OF_SESSION = 5.0
_SESSION = "jupyterhub-session-id"  # the hub's cookie, common to all cookies of one login


@dataclass(frozen=True)
class Person:
    """The sender of a request."""

    name: str = ""
    """Empty: not logged in."""
    groups: frozenset[str] = frozenset()
    by_cookie: bool = False
    """Whether a browser sent a cookie automatically: enough to read, not enough to change anything."""
    service: str = ""
    """One of the hub's services, not a person."""


def is_from_elsewhere(request: Request, person: Person) -> bool:
    """Whether a form may have been sent by a page of another site.

    Browsers say where a form comes from; forms of other sites, and browsers that do not say it, change nothing.
    """
    return person.by_cookie and request.headers.get("sec-fetch-site") != "same-origin"


class Hub:
    """The hub of this service, from its environment; without one, nobody is logged in.

    Parameters
    ----------
    acting
        Services that read for people, whom they name in the header ``Geodes-For``.
    remembers
        Seconds for which the owner of a program's token is remembered: a change of groups may take so long.
    """

    def __init__(self, acting: Collection[str] = (), remembers: float = _KNOWN) -> None:
        self._acting, self._remembers = frozenset(acting), remembers
        name = os.environ.get("JUPYTERHUB_SERVICE_NAME", "service")
        self.name = name
        self.prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX", "/")
        # If each service has a host name of its own, a login goes from there to the hub's name and back.
        public, hub = (os.environ.get(f"JUPYTERHUB_PUBLIC_{n}URL", "") for n in ("", "HUB_"))
        apart = bool(public) and urlsplit(public).netloc != urlsplit(hub).netloc
        self._back = f"{public if apart else self.prefix}oauth_callback"
        self._hub = hub if apart else f"{os.environ.get('JUPYTERHUB_BASE_URL', '/')}hub/"
        # A page of a neighbouring host name may set cookies for this one too, but none with this prefix.
        self._host_only = apart and public.startswith("https:")
        self._cookie = f"{'__Host-' if self._host_only else ''}geodes-{name}"
        self._state = f"{self._cookie}-state"
        self._api = os.environ.get("JUPYTERHUB_API_URL", "")
        self._token = os.environ.get("JUPYTERHUB_API_TOKEN", "")
        self._client_id = os.environ.get("JUPYTERHUB_CLIENT_ID", "")
        self._secret = hashlib.sha256(f"{name} {self._token}".encode()).hexdigest()
        self._client = httpx.Client(timeout=10)
        self._known: dict[str, tuple[float, Person]] = {}

    @property
    def is_there(self) -> bool:
        """Whether there is a hub to log in at."""
        return bool(self._api)

    def person(self, request: Request) -> Person:
        """Return the sender; the hub is asked once for each token, and again when the answer is old."""
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() in ("token", "bearer") and token:
            sender = self.who(token.strip())
            named = request.headers.get("Geodes-For")
            # Who it is for decides what it sees; it changes nothing.
            if sender.service and sender.service in self._acting and named and request.method == "GET":
                return replace(self.of(unquote(named)), by_cookie=True)
            return sender
        value = request.cookies.get(self._cookie)
        signed = decode_signed_value(self._secret, self._cookie, value, max_age_days=1) if value and self._api else None
        if not signed:
            return Person()
        # A log-out removes this cookie and invalidates the token: the cached identity is no longer valid.
        return replace(self.who(signed.decode(), request.cookies.get(_SESSION, "")), by_cookie=True)

    def asking(self, request: Request) -> str:
        """Return the sender's name, of a person or a service; empty: nobody."""
        person = self.person(request)
        return person.name or (f"service {person.service}" if person.service else "")

    def token(self, request: Request) -> str:
        """Return the token that identifies the sender.

        Only for requests to another service of the lab as that person.
        """
        kind, _, token = request.headers.get("Authorization", "").partition(" ")
        if kind.lower() in ("token", "bearer") and token:
            return token.strip()
        value = request.cookies.get(self._cookie)
        signed = decode_signed_value(self._secret, self._cookie, value, max_age_days=1) if value and self._api else None
        return signed.decode() if signed else ""

    def who(self, token: str, session: str = "") -> Person:
        """Return the owner of a token, within a browser's session.

        A token without access to this service has no owner.
        """
        if not self._api:
            return Person()
        key = _key(token, session)
        when, person = self._known.get(key, (0.0, Person()))
        if time.monotonic() - when > (_OF_SESSION if session else self._remembers) or not when:
            person = self._asked(token)
            self._known = {k: v for k, v in self._known.items() if time.monotonic() - v[0] < self._remembers}
            self._known[key] = (time.monotonic(), person)
        return person

    def of(self, name: str) -> Person:
        """Return a person of the hub, with groups; nobody, if the hub has none with this name.

        The hub is asked at most once a minute. Only for a person who was identified before, such as by a signed key.
        """
        if not self._api or not name:
            return Person()
        key = f"name {name}"
        when, person = self._known.get(key, (0.0, Person()))
        if time.monotonic() - when > self._remembers or not when:
            answer = self._client.get(
                f"{self._api}/users/{quote(name, safe='')}", headers={"Authorization": f"token {self._token}"}
            )
            is_there = answer.status_code == 200 and answer.json().get("name") == name
            person = Person(name, frozenset(answer.json().get("groups", ()))) if is_there else Person()
            self._known[key] = (time.monotonic(), person)
        return person

    def known(self, token: str) -> Person | None:
        """Return the cached owner of a token, without a request."""
        when, person = self._known.get(_key(token), (0.0, Person()))
        return person if when and time.monotonic() - when <= self._remembers else None

    def _asked(self, token: str) -> Person:
        response = self._client.get(f"{self._api}/user", headers={"Authorization": f"token {token}"})
        owner = response.json() if response.status_code == 200 else {}
        name = owner.get("name")
        # A token without access to this service still says who its owner is, which is not enough.
        needed = {f"access:services!service={self.name}", "access:services"}
        if not name or not needed & set(owner.get("scopes", ())):
            return Person()
        if owner.get("kind") != "user":
            return Person(service=name)
        # The hub says a person's groups to each of their tokens, whatever its scopes: a second question would be
        # half of the hub's work.
        return Person(name, frozenset(owner.get("groups", ())))

    def to_login(self, request: Request) -> Response:
        """Send a browser to this service's login, and from there back to the page that it asked for."""
        query = f"?{request.url.query}" if request.url.query else ""
        return RedirectResponse(f"{self.prefix}login?{urlencode({'next': f'{request.url.path}{query}'})}")

    def begin(self, request: Request) -> Response:
        """Send a browser to the hub, which returns it to `end`."""
        state = secrets.token_urlsafe(24)
        wanted = request.query_params.get("next", "")
        parameters = {"client_id": self._client_id, "redirect_uri": self._back, "response_type": "code", "state": state}
        answer = RedirectResponse(f"{self._hub}api/oauth2/authorize?{urlencode(parameters)}")
        # Pages of this service alone: a link of somebody else's must not lead elsewhere after a login.
        back = wanted if wanted.startswith(self.prefix) and len(wanted) < 2000 else self.prefix
        self._keep(request, answer, self._state, f"{state} {back}", 600)
        return answer

    def end(self, request: Request, code: str, state: str) -> Response:
        """Accept the browser's return from the hub."""
        signed = decode_signed_value(self._secret, self._state, request.cookies.get(self._state, ""), max_age_days=1)
        began, _, back = signed.decode().partition(" ") if signed else ("", "", "")
        if not began or not secrets.compare_digest(began, state):
            return Response("This login did not start here, or is too old: open the page again.", 403)
        parameters = {
            "client_id": self._client_id,
            "client_secret": self._token,
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._back,
        }
        response = self._client.post(f"{self._api}/oauth2/token", data=parameters)
        if response.status_code != 200:
            return Response("The hub does not confirm this login: open the page again.", 403)
        answer = RedirectResponse(back or self.prefix)
        self._keep(request, answer, self._cookie, response.json()["access_token"], 86400)
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
