"""What the page asks about news: keys of feeds, a person's address, and which searches have mails; each their own."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeVar
from urllib.parse import urlencode

from fastapi import APIRouter, HTTPException, Request
from pydantic import BaseModel, ConfigDict, StringConstraints

from geodes_lab.errors import GeodesError
from hub.services.catalogue.news import letters, searches
from hub.services.catalogue.news.keyed import FeedKeys
from hub.services.catalogue.news.postman import NotSent, Postman
from hub.services.catalogue.news.store import LETTERS, MOST, Store, TooMany, Wanted
from hub.services.catalogue.shelves import Shelves
from hub.services.person import Hub, Person, is_from_elsewhere

_T = TypeVar("_T")
_MANY = f"You have {MOST} of them, which is the limit: take one back first."


class _Search(BaseModel):
    model_config = ConfigDict(extra="forbid")
    search: Annotated[str, StringConstraints(max_length=4000)]


class _Mails(_Search):
    name: Annotated[str, StringConstraints(max_length=80)] = ""
    on: bool


class _Address(BaseModel):
    model_config = ConfigDict(extra="forbid")
    address: Annotated[str, StringConstraints(max_length=300)]
    lang: Literal["en", "fr"] = "en"


class _Code(BaseModel):
    model_config = ConfigDict(extra="forbid")
    code: Annotated[str, StringConstraints(max_length=100)]


@dataclass(frozen=True)
class News:
    """What news need."""

    store: Store
    keys: FeedKeys
    postman: Postman | None = None
    """None: the operator has no mail server."""
    page: str = ""
    """The address of the page, for links in mails."""


def routes(shelves: Shelves, hub: Hub, news: News) -> APIRouter:
    """Return the routes, below the service's prefix."""
    router, store = APIRouter(prefix=f"{hub.prefix}news", include_in_schema=False), news.store
    _of_keys(router, shelves, hub, news)
    _of_addresses(router, hub, news)

    @router.get("")
    def told(request: Request) -> dict[str, Any]:
        name = _asks(hub, request, changes=False).name
        address = store.address(name)
        return {
            "mails": news.postman is not None,
            "address": address.address if address else "",
            "confirmed": bool(address and address.confirmed),
            "searches": [{"search": w.search, "name": w.name} for w in store.wanted(name)],
            "keys": [{"id": key, "search": search, "ends": ends} for key, search, ends in store.keys(name)],
        }

    @router.post("/mails")
    def mails(asked: _Mails, request: Request) -> dict[str, Any]:
        asks = _asks(hub, request)
        search = _search(asked.search)
        text = searches.text(search)
        if not asked.on:
            store.unwant(asks.name, text)
            return {}
        _there(news.postman)
        items = searches.newest(shelves, asks, search)
        since = min(map(searches.came, items)) if len(items) >= searches.MOST else ""
        name = asked.name.strip() or search["collection"]
        _unless_many(lambda: store.want(Wanted(asks.name, text, name, since), [str(i["id"]) for i in items]))
        return {}

    return router


def _of_keys(router: APIRouter, shelves: Shelves, hub: Hub, news: News) -> None:
    @router.post("/keys")
    def key(asked: _Search, request: Request) -> dict[str, Any]:
        asks = _asks(hub, request)
        search = _search(asked.search)
        searches.newest(shelves, asks, search)  # whether it is a search of this person
        try:
            name, text, ends = _unless_many(lambda: news.keys.made(asks.name, search))
        except ValueError as error:
            raise HTTPException(400, str(error)) from error
        return {"id": name, "ends": ends, "feed": f"feed.atom?{urlencode({**search, 'key': text})}"}

    @router.delete("/keys/{name}")
    def no_key(name: str, request: Request) -> dict[str, Any]:
        news.keys.revoke(_asks(hub, request).name, name)
        return {}


def _of_addresses(router: APIRouter, hub: Hub, news: News) -> None:
    store = news.store

    @router.post("/address")
    def address(asked: _Address, request: Request) -> dict[str, Any]:
        asks = _asks(hub, request)
        postman = _there(news.postman)
        to, code = postman.checked(asked.address), secrets.token_urlsafe(24)
        _unless_many(
            lambda: store.propose(asks.name, to, asked.lang, _hash(code)),
            f"{LETTERS} letters a day confirm an address: try again tomorrow.",
        )
        try:
            postman.send(to, *letters.confirmation(asked.lang, asks.name, f"{news.page}?confirm={code}"))
        except NotSent as error:
            raise HTTPException(502, f"{error}. Try again later, or tell the operator.") from error
        return {"address": to}

    @router.delete("/address")
    def no_address(request: Request) -> dict[str, Any]:
        store.forget(_asks(hub, request).name)
        return {}

    @router.post("/confirm")
    def confirm(asked: _Code, request: Request) -> dict[str, Any]:
        if not store.confirm(_asks(hub, request).name, _hash(asked.code)):
            raise HTTPException(
                400, "This confirms no address of yours, or its day is over: give the address once more."
            )
        return {}


def _asks(hub: Hub, request: Request, changes: bool = True) -> Person:
    asks = hub.person(request)
    if not asks.name or (changes and is_from_elsewhere(request, asks)):
        raise HTTPException(401, "Log in on the catalogue's page.")
    return asks


def _search(text: str) -> dict[str, str]:
    return searches.read(text.lstrip("?"))


def _there(postman: Postman | None) -> Postman:
    if postman is None:
        raise GeodesError("This lab sends no mails: its operator has set no mail server. Use the feed.")
    return postman


def _unless_many(act: Callable[[], _T], sentence: str = _MANY) -> _T:
    try:
        return act()
    except TooMany:
        raise HTTPException(409, sentence) from None


def _hash(code: str) -> str:
    return hashlib.sha256(code.encode()).hexdigest()
