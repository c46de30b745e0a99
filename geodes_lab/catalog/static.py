"""A static catalogue: files that link to each other, on disk or on a server."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import pystac

from geodes_lab.catalog.catalogue import Collection
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import Query
from geodes_lab.catalog.truth import truthful
from geodes_lab.errors import GeodesError

_LOOKED_AT = 25  # Items of a collection, for what they may be asked for
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


@dataclass(frozen=True)
class Static:
    """The catalogue of one profile; each of its Items is read for each search."""

    profile: Profile

    @property
    def name(self) -> str:
        """What sentences call it."""
        return self._root.id

    @cached_property
    def _root(self) -> pystac.Catalog:
        try:
            return pystac.Catalog.from_file(self.profile.url)
        except Exception as error:
            raise GeodesError(
                f"The catalogue {self.profile.url} does not open ({error}); check its path or address."
            ) from error

    @cached_property
    def _children(self) -> dict[str, pystac.Catalog]:
        return {c.id: c for c in self._root.get_children()}

    def ids(self) -> Sequence[str]:
        """The ids of its collections; their files are read."""
        return list(self._children)

    def collections(self) -> list[Collection]:
        """All of its collections; their files are read."""
        found = []
        for child in self._children.values():
            start = end = None
            if isinstance(child, pystac.Collection) and child.extent.temporal.intervals:
                start, end = child.extent.temporal.intervals[0]
            found.append(
                Collection(child.id, child.title or child.description, start, end, len(child.get_item_links()))
            )
        return found

    def queryables(self, collections: Sequence[str]) -> Mapping[str, str]:
        """The properties that the first Items of each collection have; they are read."""
        several = [i for name in collections for i in _items(self._children[name], _LOOKED_AT)]
        return {k: _TYPES.get(type(v), "") for i in several for k, v in i.properties.items()}

    def items(self, query: Query) -> list[pystac.Item]:
        """The Items of the collections that are asked for; a link that leads nowhere is said, once a collection."""
        return [i for name in query.collections for i in _items(self._children[name])]


def _items(collection: pystac.Catalog, most: int | None = None) -> Iterator[pystac.Item]:
    dangling = []
    for link in collection.get_item_links()[:most]:
        try:
            link.resolve_stac_object(root=collection.get_root())
        except (FileNotFoundError, KeyError, ValueError, pystac.STACError):
            dangling.append(link.href)
            continue
        if isinstance(link.target, pystac.Item):
            item = truthful(link.target)
            if isinstance(collection, pystac.Collection):
                item.set_collection(collection)
            yield item
    if dangling:
        warnings.warn(
            f"{len(dangling)} Items of {collection.id} do not open and are left out, the first is {dangling[0]}.",
            stacklevel=4,
        )
