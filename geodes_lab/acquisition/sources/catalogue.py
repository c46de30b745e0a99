"""GEODES, or any other catalogue that gl.search knows, as a source of products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pystac

from geodes_lab.acquisition import config
from geodes_lab.acquisition.publication import Page, Publication
from geodes_lab.acquisition.sources import Request
from geodes_lab.catalog import lookup
from geodes_lab.catalog import profile as profiles
from geodes_lab.catalog.query import FAR_FUTURE, FAR_PAST, Query
from geodes_lab.errors import GeodesError
from geodes_lab.products import packed
from geodes_lab.products.bands import name_of
from geodes_lab.storage import resolve
from geodes_lab.storage.fetch import Remote
from geodes_lab.util import instant

_FIRST = datetime(2014, 1, 1, tzinfo=UTC)  # nothing was published earlier
_PAGE = 500  # products that are recorded together


@dataclass(frozen=True)
class Catalogue:
    """The source of one profile.

    A catalogue has no list of what it deleted: that is seen when a product is fetched.
    """

    name: str
    settings: config.Catalogue

    def look(self, request: Request, position: str) -> Iterator[Page]:
        """Yield what was published since the position; see `Source`."""
        wanted = request.wanted
        catalogue = lookup.opened(profiles.load(self.settings.profile))
        since = (
            max(datetime.fromisoformat(position) - timedelta(seconds=request.overlap), _FIRST) if position else _FIRST
        )
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
        for first in range(0, max(len(there), 1), _PAGE):
            some = there[first : first + _PAGE]
            end = instant.text(some[-1].published.astimezone(UTC)) if some else position
            ids = tuple(sorted(c.id for c in catalogue.collections())) if not first else ()
            yield Page(tuple(some), refused=tuple(refused) if not first else (), position=end, collections=ids)

    def acknowledge(self, page: Page) -> None:
        """Nothing waits for it."""

    def remote(self, publication: Publication) -> Remote:
        """See `Source`."""
        return remote(publication)


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
