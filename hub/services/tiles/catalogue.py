"""Items of the lab's catalogue as a person sees them; the catalogue decides what that is, with each request."""

from __future__ import annotations

import time
from collections import OrderedDict
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlencode

import httpx
import orjson

from geodes_lab.catalog.query import FAR_FUTURE, FAR_PAST, parse
from geodes_lab.errors import GeodesError
from geodes_lab.util import instant
from hub.services.tiles.addresses import NotSo

_KNOWN = 30.0  # seconds for which an answer is remembered: a change of rights may take so long
_MOST_KNOWN = 2000
_LARGEST = 16 * 2**20  # bytes
MOST_ITEMS = 24
"""Products of one tile of a mosaic."""
ORDERS = {"latest": "-datetime", "oldest": "+datetime", "clearest": "+eo:cloud_cover"}
"""Which product is on top."""


def _interval(text: str) -> str:
    """Return an interval as the catalogue takes it; people write days, months and years too."""
    try:
        wanted = parse((), datetime=text, queryables={})
    except (GeodesError, ValueError, TypeError, OverflowError) as error:
        reason = str(error) if isinstance(error, GeodesError) else "write it such as 2021-06-01/2021-06-30."
        raise NotSo(400, f"datetime cannot be read: {reason[:300]}") from None
    start = ".." if wanted.start == FAR_PAST else instant.text(wanted.start)
    end = ".." if wanted.end == FAR_FUTURE else instant.text(wanted.end - timedelta(milliseconds=1))
    return f"{start}/{end}"


class Catalogue:
    """The lab's catalogue.

    Parameters
    ----------
    url
        Of its service.
    token
        This service's own: it asks for persons, who need not send it theirs.
    """

    def __init__(self, url: str, token: str) -> None:
        self._url = f"{url.rstrip('/')}/stac"
        self._client = httpx.AsyncClient(
            timeout=20, trust_env=False, follow_redirects=False, headers={"Authorization": f"token {token}"}
        )
        self._known: OrderedDict[tuple[str, str], tuple[float, Any]] = OrderedDict()

    async def item(self, person: str, collection: str, item: str) -> dict[str, Any] | None:
        """Return an Item; None: there is none, or the person may not see it."""
        return await self._asked(person, f"/collections/{quote(collection, safe='')}/items/{quote(item, safe='')}")

    async def search(
        self, person: str, collection: str, *, bbox: str, datetime: str, order: str, clouds: str
    ) -> tuple[list[dict[str, Any]], bool]:
        """Return the first Items of a search, the one on top first, and whether there are more."""
        query: dict[str, Any] = {"collections": collection, "limit": MOST_ITEMS, "sortby": ORDERS[order]}
        query |= {"bbox": bbox} if bbox else {}
        query |= {"datetime": _interval(datetime)} if datetime else {}
        query |= {"filter-lang": "cql2-text", "filter": f"eo:cloud_cover <= {float(clouds):g}"} if clouds else {}
        page = await self._asked(person, f"/search?{urlencode(query)}")
        if page is None:
            return [], False
        return page["features"], any(link.get("rel") == "next" for link in page.get("links", ()))

    async def may_see(self, person: str, collection: str) -> bool:
        """Whether a person may see a collection."""
        return await self._asked(person, f"/collections/{quote(collection, safe='')}") is not None

    async def _asked(self, person: str, path: str) -> dict[str, Any] | None:
        key, now = (person, path), time.monotonic()
        when, known = self._known.get(key, (-_KNOWN, None))
        if now - when < _KNOWN:
            self._known.move_to_end(key)
            return known
        try:
            answer = await self._client.get(f"{self._url}{path}", headers={"Geodes-For": quote(person, safe="")})
        except httpx.HTTPError:
            raise NotSo(503, "The lab's catalogue does not answer: try again in a moment.") from None
        if answer.status_code not in (200, 400, 404) or len(answer.content) > _LARGEST:
            raise NotSo(503, f"The lab's catalogue does not answer as it should (HTTP {answer.status_code}).")
        if answer.status_code == 400:
            raise NotSo(400, str(orjson.loads(answer.content).get("detail", "The search is not valid."))[:500])
        document = orjson.loads(answer.content) if answer.status_code == 200 else None
        self._known[key] = (now, document)
        while len(self._known) > _MOST_KNOWN:
            self._known.popitem(last=False)
        return document

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()
