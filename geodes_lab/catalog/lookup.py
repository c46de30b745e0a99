"""The front door of all catalogues: one call and one meaning, whichever is asked."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pandas as pd
import pystac

from geodes_lab import arguments, extras
from geodes_lab.catalog import profile as profiles
from geodes_lab.catalog.catalogue import Catalogue, Collection
from geodes_lab.catalog.harvested import snapshot
from geodes_lab.catalog.items import Items
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import Query, parse
from geodes_lab.catalog.remote.api import Api
from geodes_lab.catalog.remote.geodes import Geodes
from geodes_lab.catalog.remote.static import Static
from geodes_lab.errors import GeodesError, nearest, shown

# How the extensions of STAC begin the names of properties; in a keyword a colon is an underscore.
_MOST = 20  # ids in a sentence
_PREFIXES = (
    "eo",
    "grid",
    "landsat",
    "processing",
    "product",
    "proj",
    "s1",
    "s2",
    "sar",
    "sat",
    "sci",
    "storage",
    "view",
)


def search(
    collections: str | Sequence[str],
    *,
    bbox: Sequence[float] | None = None,
    intersects: Mapping[str, Any] | None = None,
    datetime: str | None = None,
    cloud_cover: float | None = None,
    orbit: int | Sequence[int] | None = None,
    tile: str | Sequence[str] | None = None,
    product_type: str | Sequence[str] | None = None,
    ids: str | Sequence[str] | None = None,
    latest: bool = True,
    sortby: str | Sequence[str] | None = None,
    limit: int | None = None,
    profile: str | None = None,
    url: str | os.PathLike[str] | None = None,
    **queryables: Any,
) -> Items:
    """Find products in a catalogue.

    Parameters
    ----------
    collections
        The id of a collection, such as ``PEPS_S2_L1C``, or several; `geodes_lab.collections` lists them.
    bbox
        West, south, east, north in degrees; west may be greater, across the date line.
    intersects
        A GeoJSON geometry, in degrees; instead of ``bbox``.
    datetime
        The time of acquisition: an instant, a day, month or year, or an interval such as ``2021-06/2021-08``.
    cloud_cover
        The highest cloud cover, in percent.
    orbit
        The relative orbit, or several.
    tile
        The MGRS tile, such as ``31TCJ``, or several.
    product_type
        Such as ``S2MSI1C`` or ``GRD``, or several.
    ids
        The name of a product, or several.
    latest
        Only the latest version of each product, where the catalogue keeps several.
    sortby
        A property, or several in order of weight, ``-eo:cloud_cover`` for the greatest first; None: the acquisition.
    limit
        The largest number of Items; None: all.
    profile
        The name of a catalogue in the settings (``geodes_lab.catalog.profiles``); None: the default one.
    url
        The address of a STAC API, or the path or address of a static catalogue's ``catalog.json``, instead of a
        profile's.
    **queryables
        Any other property that the catalogue can be asked for: a value, a list of values of which one is right, or a
        tuple of the lowest and the highest. A colon is an underscore: ``sat_orbit_state="ascending"``. A misspelt one
        is refused.

    Returns
    -------
    Items
        A `pystac.ItemCollection` in the order asked for, which a notebook shows as a map and a table. ``datetime`` is
        the acquisition, ``published`` the publication; ``file:size`` and ``file:checksum`` stand at the product's
        asset, whose address is its place on the datalake. A product that lacks the property asked for stays or goes as
        the catalogue has it.

    Raises
    ------
    GeodesError
        If the collection, the profile or the catalogue does not exist, or an argument has no meaning: before anything
        is searched. If the catalogue refuses or fails. A search that finds nothing is no error: the collection is
        empty.
    """
    catalogue = opened(profiles.load(profile, url))
    wanted = known(catalogue, arguments.names("collections", collections))
    asked = {}
    if queryables:
        asked = _properties(queryables, catalogue.queryables(wanted), catalogue.name)
    query = parse(
        wanted, bbox=bbox, intersects=intersects, datetime=datetime, cloud_cover=cloud_cover, orbit=orbit, tile=tile,
        product_type=product_type, ids=ids, latest=latest, sortby=sortby, limit=limit, queryables=asked,
    )  # fmt: skip
    return Items(found(catalogue, query))


def found(catalogue: Catalogue, query: Query) -> list[pystac.Item]:
    """What a catalogue has, held against the query, in order and no more than asked for."""
    return query.sorted([i for i in catalogue.items(query) if query.matches(i)])[: query.limit]


def collections(*, profile: str | None = None, url: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """List the collections of a catalogue; it is asked.

    Parameters
    ----------
    profile, url
        As for `search`.

    Returns
    -------
    pandas.DataFrame
        By id: ``title``, ``start`` and ``end`` of the acquisitions (UTC), ``count`` of products where the catalogue
        tells, ``format`` of the products, whether ``open_cube`` joins them, and the ``queryables`` that `search` takes.

    Raises
    ------
    GeodesError
        If the catalogue does not exist or does not answer.
    """
    chosen = profiles.load(profile, url)
    catalogue = opened(chosen)
    listed = sorted(catalogue.collections(), key=lambda c: c.id)
    known = chosen.collections or profiles.geodes()["collections"]
    with ThreadPoolExecutor(chosen.parallel) as pool:
        counts = list(pool.map(lambda c: _count(catalogue, c), listed))
    rows = {
        c.id: {
            "title": shown(c.title),
            "start": c.start,
            "end": c.end,
            "count": n,
            "format": known.get(c.id, {}).get("format", ""),
            "open_cube": known.get(c.id, {}).get("cube", ""),
            "queryables": shown(", ".join(sorted(catalogue.queryables([c.id])))),
        }
        for c, n in zip(listed, counts, strict=True)
    }
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("collection")
    return table.astype({"count": "Int64"}) if rows else table


def opened(chosen: Profile) -> Catalogue:
    """The catalogue of a profile; no I/O but to see what lies at a path."""
    if chosen.kind == "geodes":
        return Geodes(chosen)
    if chosen.kind == "stac":
        return Api(chosen)
    if snapshot.is_one(chosen.url):
        with extras.needed("A catalogue that was harvested into files"):
            from geodes_lab.catalog.harvested.index import Index  # DuckDB comes with an extra
        return Index(chosen)
    return Static(chosen)


def _count(catalogue: Catalogue, collection: Collection) -> int | None:
    if collection.number is None and isinstance(catalogue, Geodes):
        return catalogue.count(Query((collection.id,), latest=False))
    return collection.number


def known(catalogue: Catalogue, wanted: Sequence[str]) -> list[str]:
    """The ids as they are now; what is misspelt is refused."""
    ids = catalogue.ids()
    renamed = catalogue.profile.renamed
    now = []
    for name in wanted:
        if name not in ids and name in renamed:
            warnings.warn(f"The collection {name} is called {renamed[name]} now.", stacklevel=3)
            name = renamed[name]
        if name not in ids:
            raise GeodesError(
                f"There is no collection {name!r} in {catalogue.name}{nearest(name, [*ids, *renamed]) or '.'} "
                + (
                    f"It has: {', '.join(sorted(ids))}."
                    if len(ids) <= _MOST
                    else f"gl.collections() lists all {len(ids)}."
                )
            )
        now.append(name)
    return now


def _properties(given: Mapping[str, Any], known: Mapping[str, str], catalogue: str) -> dict[str, Any]:
    """The full names of what is asked for, with values of the properties' types."""
    names = {n.replace(":", "_").replace("-", "_"): n for n in known}
    asked = {}
    for key, value in given.items():
        name = key if key in known else names.get(key)
        if name is None and known:
            raise GeodesError(
                f"{catalogue} cannot be asked for {key!r}{nearest(key, [*names, *_ARGUMENTS]) or '.'} It can be for: "
                f"{', '.join(sorted(names))}."
            )
        prefix, _, rest = key.partition("_")
        name = name or (f"{prefix}:{rest}" if prefix in _PREFIXES and ":" not in key else key)
        asked[name] = _typed(key, value, known.get(name, ""))
    return asked


_ARGUMENTS = (
    "bbox",
    "intersects",
    "datetime",
    "cloud_cover",
    "orbit",
    "tile",
    "product_type",
    "ids",
    "sortby",
    "limit",
)


def _typed(name: str, value: Any, kind: str) -> Any:
    """A value of the property's type: a number in quotes finds nothing, and says nothing."""
    value = arguments.plain(value)
    if isinstance(value, (list, tuple)):
        return type(value)(None if v is None else _typed(name, v, kind) for v in value)
    wanted: type = {"integer": int, "number": float}.get(kind, object)
    if isinstance(value, str) and wanted is not object:
        try:
            return wanted(value)
        except ValueError:
            raise GeodesError(f"{name} is a number, not {value!r}.") from None
    if kind == "boolean" and not isinstance(value, bool):
        raise GeodesError(f"{name} is True or False, not {value!r}.")
    return value
