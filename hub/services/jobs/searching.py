"""Products by a search of the lab's catalogue, with the token of the person who asks."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import httpx

from geodes_lab.errors import GeodesError
from hub.services.jobs.execution import MOST_ITEMS

_WORDS = {"collections", "datetime", "bbox", "intersects", "ids", "query", "filter", "filter-lang"}
_PAGE, _MOST_BYTES = 500, 64 * 2**20


class Catalogue:
    """The lab's catalogue.

    Parameters
    ----------
    url
        Of the service; empty: there is none.
    """

    def __init__(self, url: str) -> None:
        self._url = url.rstrip("/")
        self._client = httpx.Client(timeout=60, trust_env=False, follow_redirects=False)

    def collections(self, token: str) -> list[dict[str, Any]]:
        """Return the collections that a person sees: id and title.

        Raises
        ------
        GeodesError
            If the catalogue does not answer.
        """
        if not self._url:
            return []
        several = self._got(token, "collections").get("collections", ())
        return [{"id": str(c.get("id")), "title": str(c.get("title") or c.get("id"))} for c in several]

    def criteria(self, token: str, collection: str) -> dict[str, bool]:
        """Return what the products of a collection say of themselves: clouds, and whether they are the latest."""
        if not self._url:
            return {}
        properties = self._got(token, f"collections/{quote(collection, safe='')}/queryables").get("properties", {})
        return {"clouds": "eo:cloud_cover" in properties, "latest": "latest" in properties}

    def _got(self, token: str, path: str) -> dict[str, Any]:
        try:
            answer = self._client.get(f"{self._url}/stac/{path}", headers={"Authorization": f"token {token}"})
            document = answer.json()
        except (httpx.HTTPError, ValueError) as error:
            raise GeodesError(f"The catalogue does not answer ({type(error).__name__}): try again.") from None
        if answer.status_code != 200 or not isinstance(document, dict):
            raise GeodesError(f"The catalogue answers {answer.status_code}: try again.")
        return document

    def found(self, token: str, search: dict[str, Any]) -> list[dict[str, Any]]:
        """Return the Items of a search, page by page.

        Raises
        ------
        GeodesError
            If the catalogue refuses, or finds too many.
        """
        if not self._url:
            raise GeodesError("This lab has no catalogue for jobs: give items instead of search.")
        if unknown := set(search) - _WORDS:
            raise GeodesError(
                f"search has {sorted(map(str, unknown))[0][:40]!r}: it can have {', '.join(sorted(_WORDS))}."
            )
        items: list[dict[str, Any]] = []
        body, size = {**search, "limit": _PAGE}, 0
        while True:
            try:
                answer = self._client.post(
                    f"{self._url}/stac/search", json=body, headers={"Authorization": f"token {token}"}
                )
                page = answer.json()
            except (httpx.HTTPError, ValueError) as error:
                raise GeodesError(f"The catalogue does not answer ({type(error).__name__}): try again.") from None
            if answer.status_code != 200:
                raise GeodesError(
                    f"The catalogue refuses the search: {str(page.get('detail', answer.status_code))[:500]}"
                )
            items += page["features"]
            size += len(answer.content)
            if len(items) > MOST_ITEMS or size > _MOST_BYTES:
                raise GeodesError(f"The search finds too many products (more than {MOST_ITEMS}, or 64 MiB): narrow it.")
            following = next((link for link in page.get("links", ()) if link.get("rel") == "next"), None)
            if following is None or not isinstance(following.get("body"), dict):
                return items
            body = {**search, "limit": _PAGE, **{k: v for k, v in following["body"].items() if k == "token"}}
