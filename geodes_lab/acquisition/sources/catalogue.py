"""GEODES, or any other catalogue that gl.search knows, as a source of products."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import pystac

from geodes_lab.acquisition.publication import Page, Publication, Withdrawal
from geodes_lab.acquisition.settings.sources import Catalogue as Settings
from geodes_lab.acquisition.sources import Request, recall
from geodes_lab.acquisition.sources.login import Tokens
from geodes_lab.catalog import lookup
from geodes_lab.catalog import profile as profiles
from geodes_lab.catalog.query import FAR_FUTURE, FAR_PAST, Query
from geodes_lab.credentials import origin
from geodes_lab.errors import GeodesError
from geodes_lab.products import packed
from geodes_lab.products.bands import name_of
from geodes_lab.storage import resolve
from geodes_lab.storage.fetch import Remote
from geodes_lab.storage.location import locate
from geodes_lab.util import instant

_FIRST = datetime(2014, 1, 1, tzinfo=UTC)  # nothing was published earlier
_PAGE = 500  # products that are recorded together
_TOGETHER = 50  # products that are asked for again together
_FEW = 5  # products that may be gone at once, however few are asked for
_ENDING = re.compile(r"(?:\.SAFE|\.SEN3)$", re.IGNORECASE)


@dataclass(frozen=True)
class Catalogue:
    """The source of one profile.

    A catalogue has no list of what it deleted: each look asks for some of the known products again, in turn.
    """

    name: str
    settings: Settings

    def look(self, request: Request, position: str) -> Iterator[Page]:
        """Yield what was published since the position; see `Source`."""
        wanted = request.wanted
        catalogue = lookup.opened(profiles.load(self.settings.profile))
        begin = _Position.read(position)
        since = _FIRST
        if begin.published:
            since = max(datetime.fromisoformat(begin.published) - timedelta(seconds=request.overlap), _FIRST)
        query = Query(
            (wanted.upstream or request.collection,), request.area,
            request.start or FAR_PAST, request.end or FAR_FUTURE, latest=False,
            sortby=(("published", False), ("id", False)),
        )  # fmt: skip
        filters: dict[str, Any] = {"published": (since, datetime.now(UTC))}
        if wanted.product_type:
            filters["product:type"] = wanted.product_type
        if wanted.cloud_cover is not None:
            filters["eo:cloud_cover"] = (None, wanted.cloud_cover)
        items = lookup.found(catalogue, replace(query, filters=filters))
        there, refused = list[Publication](), list[tuple[str, str]]()
        for item in items:
            try:
                publication = of_item(item)
            except GeodesError as error:
                refused.append((item.id, str(error)))
                continue
            if not wanted.names or publication.name.startswith(wanted.names):
                there.append(publication)
        there.sort(key=lambda p: p.published)
        end = begin.published
        for first in range(0, max(len(there), 1), _PAGE):
            some = there[first : first + _PAGE]
            end = instant.text(some[-1].published.astimezone(UTC)) if some else end
            ids = tuple(sorted(c.id for c in catalogue.collections())) if not first else ()
            now = _Position(end, begin.checked).text()
            yield Page(tuple(some), refused=tuple(refused) if not first else (), position=now, collections=ids)
        if self.settings.check and begin.published:
            gone, checked = self._gone(catalogue, request, begin.checked)
            yield Page(withdrawn=gone, position=_Position(end, checked).text())

    def _gone(self, catalogue: Any, request: Request, after: str) -> tuple[tuple[Withdrawal, ...], str]:
        """Ask for some known products again; returns those that are gone, and the last id that was asked for."""
        known = request.known_after(after, self.settings.check)
        wanted = request.wanted.upstream or request.collection
        found = set[str]()
        names = sorted(set(known.values()))
        for first in range(0, len(names), _TOGETHER):
            some = tuple(names[first : first + _TOGETHER])
            query = Query((wanted,), ids=tuple(v for n in some for v in (n, f"{n}.SAFE", f"{n}.SEN3")), latest=False)
            for item in lookup.found(catalogue, query):
                found |= {_ENDING.sub("", item.id), _ENDING.sub("", name_of(item))}
        missing = {id_: name for id_, name in known.items() if name not in found}
        if len(missing) > max(_FEW, len(known) // 2):
            raise GeodesError(
                f"{self.name} does not find {len(missing)} of {len(known)} products again that it had: that is taken "
                "for a fault of the service, and nothing is recorded as deleted; ask who runs it."
            )
        when = datetime.now(UTC)
        gone = tuple(Withdrawal(i, n, when, "the catalogue has it no longer") for i, n in missing.items())
        return gone, max(known) if len(known) == self.settings.check else ""

    def acknowledge(self, page: Page) -> None:
        """Nothing waits for it."""

    def remote(self, publication: Publication) -> Remote:
        """See `Source`."""
        if self._tokens is not None:
            for href in publication.hrefs:
                if origin.below(href, self.settings.download):
                    return Remote(publication.name, href, locate(href), publication.size, None, self._tokens.current)
        recall.refuse_at_geodes(publication)
        return remote(publication)

    @cached_property
    def _tokens(self) -> Tokens | None:
        login = self.settings.login
        return None if login is None else Tokens(self.name, self.settings.identity, login)


@dataclass(frozen=True)
class _Position:
    """How far the publications were read, and which of the known products was asked for last."""

    published: str = ""
    checked: str = ""

    @classmethod
    def read(cls, text: str) -> _Position:
        return cls(**json.loads(text)) if text.startswith("{") else cls(text)

    def text(self) -> str:
        return json.dumps({"published": self.published, "checked": self.checked})


def of_item(item: pystac.Item) -> Publication:
    """Return what an Item publishes.

    Raises
    ------
    GeodesError
        If it has no asset that holds the whole product.
    """
    whole = packed.described(item)
    name = name_of(item)
    properties = {k: v for k, v in item.properties.items() if not k.startswith("storage:")}
    if begin := instant.begin(item):
        properties.setdefault("start_datetime", instant.text(begin))
    published = instant.utc(properties.get("published") or properties.get("created") or properties.get("updated"))
    return Publication(
        str(properties.get("geodes:urn") or item.id),
        name,
        published or begin or _FIRST,
        tuple(whole.hrefs),
        whole.size,
        (whole.checksum,) if whole.checksum else (),
        str(properties.get("updated") or ""),
        properties,
        item.geometry,
    )


def remote(publication: Publication) -> Remote:
    """Return where a product of an Item is fetched from: the mirror, the datalake, or the web."""
    checksum = publication.checksums[0] if publication.checksums else None
    found = resolve.source(publication.hrefs, size=publication.size, checksum=checksum)
    if found.place.is_folder:
        raise GeodesError(f"{publication.name} is a folder on this machine, and not one file: pack it as a zip first.")
    return replace(found, name=publication.name)
