"""What is new for a search, as an Atom feed with the rights of its reader; the address is that of the page's search."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode
from xml.sax.saxutils import escape, quoteattr

from fastapi import APIRouter, HTTPException, Request
from fastapi.responses import Response

from geodes_lab.errors import GeodesError
from hub.services.catalogue.news import searches
from hub.services.catalogue.news.keyed import FeedKeys
from hub.services.catalogue.shelves import Shelves
from hub.services.person import Hub

_HEADERS = {"Cache-Control": "private, max-age=300", "Vary": "Authorization, Cookie", "Referrer-Policy": "no-referrer"}
_NO_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_LOGIN = (
    "Log in, send your token (Authorization: token …, from the hub's page Token), or have a key= in the address that "
    "is for this search, has not ended and was not taken back."
)


def routes(shelves: Shelves, hub: Hub, keys: FeedKeys, *, public: bool) -> APIRouter:
    """Return the route of the feed, below the service's prefix."""
    router = APIRouter(prefix=hub.prefix.rstrip("/"), include_in_schema=False)

    @router.get("/feed.atom")
    def feed(request: Request) -> Response:
        pairs = request.query_params.multi_items()
        key = [value for name, value in pairs if name == "key"]
        try:
            search = searches.asked((name, value) for name, value in pairs if name != "key")
            # A key that does not open is no reason to look at who else asks.
            person = hub.of(keys.person(key[0], search)) if key else hub.person(request)
            if not person.name and (key or not public):
                raise HTTPException(401, _LOGIN)
            items = searches.newest(shelves, person, search)
        except searches.NoSuch as error:
            raise HTTPException(404, str(error)) from error
        except GeodesError as error:
            raise HTTPException(400, str(error)) from error
        # Without the key: what a reader shows or sends on is not it.
        address = str(request.url.replace(query=searches.text(search)))
        text = _atom(items, search, address, str(request.url.replace(query="", path=hub.prefix)))
        return Response(text, media_type="application/atom+xml", headers=_HEADERS)

    return router


def _atom(items: list[dict[str, Any]], asked: Mapping[str, str], address: str, page: str) -> str:
    entries = [_entry(item, page) for item in items]
    updated = max((when for when, _ in entries), default="2014-01-01T00:00:00Z")
    title = _text(f"{asked['collection']}: {', '.join(v for k, v in asked.items() if k != 'collection') or '…'}")
    to_page = quoteattr(f"{page}?{urlencode(asked)}")
    return (
        f"<?xml version='1.0' encoding='utf-8'?><feed xmlns='http://www.w3.org/2005/Atom'><id>{_text(address)}</id>"
        f"<title>{title}</title><updated>{updated}</updated><author><name>GEODES Lab</name></author>"
        f"<link rel='self' href={quoteattr(address)}/><link rel='alternate' href={to_page}/>"
        f"{''.join(text for _, text in entries)}</feed>"
    )


def _entry(item: dict[str, Any], page: str) -> tuple[str, str]:
    """Return when a product came, and its entry."""
    properties, name, collection = item["properties"], str(item["id"]), str(item["collection"])
    acquired = str(properties.get("datetime") or properties.get("start_datetime") or "")
    when = _text(searches.came(item))
    clouds = properties.get("eo:cloud_cover")
    told = f", {clouds:.0f} % clouds" if isinstance(clouds, (int, float)) else ""
    summary = f"{acquired[:16].replace('T', ' ')}{told}"
    link = f"{page}?{urlencode({'collection': collection, 'product': name})}"
    number = f"urn:geodes-lab:product:{quote(collection, safe='')}:{quote(name, safe='')}"
    return when, (
        f"<entry><id>{_text(number)}</id><title>{_text(name)}</title><updated>{when}</updated>"
        f"<link rel='alternate' href={quoteattr(link)}/><summary>{_text(summary)}</summary></entry>"
    )


def _text(text: str) -> str:
    return escape(_NO_XML.sub("�", text))
