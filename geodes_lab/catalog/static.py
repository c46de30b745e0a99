"""A static catalogue: files that link to each other, on disk or on a server."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pystac
from pystac.link import HREF
from pystac.stac_io import DefaultStacIO
from requests import RequestException
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from geodes_lab import roots
from geodes_lab.catalog import received
from geodes_lab.catalog.catalogue import Collection
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import Query
from geodes_lab.catalog.truth import truthful
from geodes_lab.catalog.web import Refused, Web, caused
from geodes_lab.errors import GeodesError, shown

_LOOKED_AT = 25  # Items of a collection, for what they may be asked for
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


class Files(DefaultStacIO):
    """How pystac reads the files of a catalogue: those on a server within bounds, and without a way from there to this machine.

    Parameters
    ----------
    profile
        Of the catalogue.
    """

    def __init__(self, profile: Profile) -> None:
        super().__init__()
        self._profile, self._is_remote = profile, _is_remote(profile.url)
        self._web = Web(profile.url if self._is_remote else "", profile.token, Retry(total=3, backoff_factor=0.2))

    def read_text(self, source: HREF, *_: Any, **__: Any) -> str:
        """Read a file of the catalogue; a link of a server to a file of this machine is refused."""
        href = str(os.fspath(source))
        if not _is_remote(href):
            if self._is_remote:
                raise Refused(
                    f"The catalogue {self._profile.url} leads to {href!r}, which is no address of a web server: refused."
                )
            return super().read_text(href)
        try:
            answer, text = self._web.ask(href)
        except (RequestException, HTTPError, OSError) as error:
            raise FileNotFoundError(f"{href} does not answer ({error})") from error
        if answer.status_code != 200:
            raise FileNotFoundError(f"{href} is answered by HTTP {answer.status_code}")
        return text.decode("utf-8")

    def json_loads(self, txt: str, *_: Any, **__: Any) -> dict[str, Any]:
        """Parse a file, within bounds."""
        found: dict[str, Any] = received.parsed(txt, f"The catalogue {self._profile.url}")
        return found

    def read_json(self, source: HREF, *_: Any, **__: Any) -> dict[str, Any]:
        """Read a document; one of a server names no file of this machine, whoever links to it."""
        href = str(os.fspath(source))
        found = super().read_json(href)
        if not _is_remote(href):
            if not isinstance(found.get("id"), str):
                raise TypeError("its id is no text")
            received.hold(found)
            return found
        whose = f"The catalogue {self._profile.url}"
        return received.document(found, href, whose, files=self._profile.names_files)


def _is_remote(href: str) -> bool:
    """Whether this is no path and no ``file:`` address."""
    return "://" in href and not href.lower().startswith("file:")


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
            return pystac.Catalog.from_file(self.profile.url, stac_io=Files(self.profile))
        except Exception as error:
            raise caused(error) or GeodesError(
                f"The catalogue {self.profile.url} does not open ({error}); check its path or address."
            ) from error

    @cached_property
    def _children(self) -> dict[str, pystac.Catalog]:
        try:
            return {c.id: c for c in self._root.get_children()}
        except Exception as error:  # pystac raises many kinds at what is no catalogue
            raise caused(error) or GeodesError(
                f"A link of the catalogue {self.profile.url} does not open ({error}); tell whoever made it."
            ) from error

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
        except Exception as error:  # pystac raises many kinds at what is no Item
            if said := caused(error):
                raise said from error
            dangling.append(shown(link.href))
            continue
        if isinstance(link.target, pystac.Item):
            item = roots.settle(truthful(link.target))
            if isinstance(collection, pystac.Collection):
                item.set_collection(collection)
            yield item
    if dangling:
        warnings.warn(
            f"{len(dangling)} Items of {collection.id} do not open and are left out, the first is {dangling[0]}.",
            stacklevel=4,
        )
