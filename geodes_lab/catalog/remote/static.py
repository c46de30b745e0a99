"""A static catalogue: files that link to each other, on disk or on a server."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from typing import Any

import pystac
from pystac.link import HREF
from pystac.stac_io import DefaultStacIO
from requests import RequestException
from urllib3.exceptions import HTTPError
from urllib3.util.retry import Retry

from geodes_lab.catalog.catalogue import Collection
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import Query
from geodes_lab.catalog.remote import parsing
from geodes_lab.catalog.remote.http import Refused, Web, caused
from geodes_lab.catalog.remote.normalize import truthful
from geodes_lab.errors import GeodesError, shown
from geodes_lab.util.pystac_safe import roots as pystac_roots

_DEPTH = 32  # nested catalogues
_LOOKED_AT = 25  # Items of a collection that are read for its queryables
_LINKS = 100_000  # of one document, to Items or to collections
_BYTES, _SECONDS = 2**30, 1800.0  # of all documents that a search reads from a server
_TYPES = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}


class Files(DefaultStacIO):
    """How pystac reads the files of a catalogue.

    Files on a server are read within limits, and cannot lead to this machine.

    Parameters
    ----------
    profile
        The profile of the catalogue.
    """

    def __init__(self, profile: Profile) -> None:
        super().__init__()
        self._profile, self._is_remote = profile, _is_remote(profile.url)
        self._web = Web(profile.url if self._is_remote else "", profile.token, Retry(total=3, backoff_factor=0.2))
        self.begin()

    def begin(self) -> None:
        """Begin a search: its limits of bytes and time count from now."""
        self._left, self._until = _BYTES, time.monotonic() + _SECONDS

    def read_text(self, source: HREF, *_: Any, **__: Any) -> str:
        """Read a file of the catalogue; a server's link to a file of this machine is refused."""
        href = str(os.fspath(source))
        if not _is_remote(href):
            if self._is_remote:
                raise Refused(
                    f"The catalogue {self._profile.url} links to {href!r}, which is not the address of a web server: "
                    "refused."
                )
            return super().read_text(href)
        try:
            answer, text = self._web.ask(href)
        except (RequestException, HTTPError, OSError) as error:
            raise FileNotFoundError(f"{href} does not answer ({error})") from error
        if answer.status_code != 200:
            raise FileNotFoundError(f"{href} returns HTTP {answer.status_code}")
        self._left -= len(text)
        if self._left < 0 or time.monotonic() > self._until:
            raise Refused(
                f"The catalogue {self._profile.url} takes more than {_BYTES >> 20} MiB or {_SECONDS / 60:g} minutes "
                "to read, so the search has stopped: search fewer of its collections at once."
            )
        return text.decode("utf-8")

    def json_loads(self, txt: str, *_: Any, **__: Any) -> dict[str, Any]:
        """Parse a file, within limits."""
        document: dict[str, Any] = parsing.parsed(txt, f"The catalogue {self._profile.url}")
        return document

    def read_json(self, source: HREF, *_: Any, **__: Any) -> dict[str, Any]:
        """Read a document; one from a server may not name a file of this machine, whoever links to it."""
        href = str(os.fspath(source))
        document = super().read_json(href)
        if not _is_remote(href):
            if not isinstance(document.get("id"), str):
                raise TypeError("its id is not text")
            parsing.hold(document)
            return document
        whose = f"The catalogue {self._profile.url}"
        return parsing.document(document, href, whose, files=self._profile.names_files)


def _is_remote(href: str) -> bool:
    """Whether this is neither a path nor a ``file:`` address."""
    return "://" in href and not href.lower().startswith("file:")


@dataclass(frozen=True)
class Static:
    """The catalogue of one profile; each search reads all of its Items."""

    profile: Profile

    @property
    def name(self) -> str:
        """Its name in error messages."""
        return self._root.id

    @cached_property
    def _files(self) -> Files:
        return Files(self.profile)

    @cached_property
    def _root(self) -> pystac.Catalog:
        try:
            io = self._files
            catalogue = io.read_stac_object(self.profile.url)
            if not isinstance(catalogue, pystac.Catalog):
                raise TypeError(f"it is of type {type(catalogue).__name__}, neither a catalogue nor a collection")
            catalogue.set_self_href(self.profile.url)
            catalogue._stac_io = io
            catalogue.set_root(catalogue)
            return catalogue
        except Exception as error:
            raise caused(error) or GeodesError(
                f"The catalogue {self.profile.url} cannot be opened ({error}); check its path or address."
            ) from error

    @cached_property
    def _found(self) -> dict[str, list[pystac.Catalog]]:
        """Return what has Items, by id: collections at any depth, and catalogues outside of collections.

        Several may have the same id.
        """
        self._files.begin()
        by_id: dict[str, list[pystac.Catalog]] = {}
        for node, collection in _below(self._root, self.profile.url):
            if isinstance(node, pystac.Collection) or (collection is None and node.get_item_links()):
                by_id.setdefault(node.id, []).append(node)
        return by_id

    def ids(self) -> Sequence[str]:
        """Return the ids of its collections; reads their files."""
        return list(self._found)

    def collections(self) -> list[Collection]:
        """Return all of its collections; reads their files."""
        return [self._told(name, several) for name, several in self._found.items()]

    def _told(self, name: str, several: list[pystac.Catalog]) -> Collection:
        first, start, end = several[0], None, None
        if isinstance(first, pystac.Collection) and first.extent.temporal.intervals:
            start, end = first.extent.temporal.intervals[0]
        links = sum(len(node.get_item_links()) for node in self._holding([name]))
        return Collection(name, first.title or first.description, start, end, links)

    def _holding(self, names: Sequence[str]) -> list[pystac.Catalog]:
        """Return the catalogues and collections with the Items of some collections, each once."""
        several = [n for name in names for top in self._found[name] for n, _ in _below(top, self.profile.url)]
        return list({id(node): node for node in several}.values())

    def queryables(self, collections: Sequence[str]) -> Mapping[str, str]:
        """Return the properties of the first Items of each collection; reads them."""
        self._files.begin()
        several = [i for name in collections for i in islice(self._items([name], _LOOKED_AT), _LOOKED_AT)]
        return {k: _TYPES.get(type(v), "") for i in several for k, v in i.properties.items()}

    def items(self, query: Query) -> list[pystac.Item]:
        """Return the Items of the requested collections, and of all collections inside of them.

        Broken links are reported in a warning, once for each collection.
        """
        self._files.begin()
        return list(self._items(query.collections))

    def _items(self, names: Sequence[str], most: int | None = None) -> Iterator[pystac.Item]:
        for node in self._holding(names):
            yield from _items(node, most)


def _below(
    node: pystac.Catalog,
    whose: str,
    collection: pystac.Collection | None = None,
    seen: set[str] | None = None,
    depth: int = 0,
) -> Iterator[tuple[pystac.Catalog, pystac.Collection | None]]:
    """Yield a catalogue and everything below it, each once, with its collection."""
    seen = set() if seen is None else seen
    place = node.get_self_href() or node.id
    if place in seen:
        return
    seen.add(place)
    yield node, collection
    if depth >= _DEPTH:
        raise GeodesError(f"The catalogue {whose} has more than {_DEPTH} catalogues inside each other: refused.")
    inside = node if isinstance(node, pystac.Collection) else collection
    _refuse_many(node.get_child_links(), node)
    try:
        children = list(node.get_children())
    except Exception as error:  # pystac raises many kinds of errors for other documents
        raise caused(error) or GeodesError(
            f"A link of the catalogue {whose} cannot be opened ({error}); tell the author of the catalogue."
        ) from error
    for child in children:
        yield from _below(child, whose, inside, seen, depth + 1)


def _refuse_many(links: Sequence[pystac.Link], node: pystac.Catalog) -> None:
    if len(links) > _LINKS:
        raise Refused(
            f"{node.id} has {len(links):,} links, more than the limit of {_LINKS:,}: ask its author to split it."
        )


def _items(node: pystac.Catalog, most: int | None = None) -> Iterator[pystac.Item]:
    dangling = []
    collection = node if isinstance(node, pystac.Collection) else node.get_parent()
    while collection is not None and not isinstance(collection, pystac.Collection):
        collection = collection.get_parent()
    _refuse_many(node.get_item_links(), node)
    for link in node.get_item_links()[:most]:
        try:
            link.resolve_stac_object(root=node.get_root())
        except Exception as error:  # pystac raises many kinds of errors for other documents
            if refusal := caused(error):
                raise refusal from error
            dangling.append(shown(link.href))
            continue
        if isinstance(link.target, pystac.Item):
            item = pystac_roots.settle(truthful(link.target))
            if isinstance(collection, pystac.Collection):
                item.set_collection(collection)
            yield item
    if dangling:
        warnings.warn(
            f"{len(dangling)} Items of {node.id} cannot be opened and are left out; the first is {dangling[0]}.",
            stacklevel=4,
        )
