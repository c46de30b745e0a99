"""The links of Items: to themselves and their collection here, and their own to other places."""

from __future__ import annotations

import re
from typing import Any

from stac_fastapi.types.links import ItemLinks

_HERE = ("self", "root", "parent", "collection")
_PLAIN = re.compile(r"\w[\w.-]*", re.ASCII)


class Linked:
    """Gives Items their links.

    Parameters
    ----------
    base
        The address of the API, as the sender wrote it.
    """

    def __init__(self, base: str) -> None:
        self._base = base
        # To put addresses together takes longer than all else of an Item: those of a collection are made once.
        self._known: dict[str, list[dict[str, Any]]] = {}

    def of(self, record: dict[str, Any]) -> dict[str, Any]:
        """Return an Item with its links; the given one is not changed."""
        own = [link for link in listed(record["links"]) if link.get("rel") not in _HERE]
        return {**record, "links": [*self._here(record["collection"], record["id"]), *own]}

    def _here(self, collection: str, item: str) -> list[dict[str, Any]]:
        # Other names may have a meaning in an address, which the library knows.
        if not _PLAIN.fullmatch(item):
            return ItemLinks(collection, self._base, item).create_links()
        if collection not in self._known:
            self._known[collection] = ItemLinks(collection, self._base, "x").create_links()
        itself, *others = self._known[collection]
        return [{**itself, "href": f"{itself['href'][:-1]}{item}"}, *others]


def listed(links: Any) -> list[dict[str, Any]]:
    """Return the links among whatever stands in their place."""
    return [link for link in links if isinstance(link, dict)] if isinstance(links, list) else []
