"""The entry to all catalogues: one function with one meaning, whichever catalogue is searched."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pystac
from shapely.geometry import mapping

from geodes_lab import arguments, extras
from geodes_lab.catalog import federation, keywords
from geodes_lab.catalog import profile as profiles
from geodes_lab.catalog.catalogue import Catalogue, Collection
from geodes_lab.catalog.harvested import snapshot
from geodes_lab.catalog.items import Items
from geodes_lab.catalog.profile import Profile
from geodes_lab.catalog.query import Query, parse, refuse_both
from geodes_lab.catalog.remote.api import Api
from geodes_lab.catalog.remote.geodes import Geodes
from geodes_lab.catalog.remote.static import Static
from geodes_lab.errors import GeodesError, nearest, shown

if TYPE_CHECKING:
    import pandas as pd

_MOST = 20  # ids in an error message


def search(
    collections: str | Sequence[str],
    *,
    bbox: Sequence[float] | None = None,
    intersects: Any = None,
    datetime: str | None = None,
    cloud_cover: float | None = None,
    orbit: int | Sequence[int] | None = None,
    tile: str | Sequence[str] | None = None,
    product_type: str | Sequence[str] | None = None,
    ids: str | Sequence[str] | None = None,
    latest: bool = True,
    sortby: str | Sequence[str] | None = None,
    limit: int | None = None,
    profile: str | Sequence[str | os.PathLike[str]] | None = None,
    url: str | os.PathLike[str] | None = None,
    **queryables: Any,
) -> Items:
    """Find products in a catalogue, or in several.

    Parameters
    ----------
    collections
        The id of a collection, such as ``PEPS_S2_L1C``, or several; `geodes_lab.collections` lists them.
    bbox
        West, south, east, north in degrees; west may be greater, across the date line.
    intersects
        A shape, instead of ``bbox``: a file (GeoJSON, GeoPackage, Shapefile or a zip of one, KML, KMZ), a GeoDataFrame,
        GeoJSON, or a geometry of shapely in degrees. Several shapes are combined.
    datetime
        The time of acquisition: an instant, a day, month or year, or an interval such as ``2021-06/2021-08``.
    cloud_cover
        The highest cloud cover, in percent.
    orbit
        The relative orbit, or several.
    tile
        The MGRS tile, such as ``31TCJ``, or several.
    product_type
        The product type, such as ``S2MSI1C`` or ``GRD``, or several.
    ids
        The name of a product, or several.
    latest
        Only the latest version of each product, if the catalogue has several.
    sortby
        A property, or several in order of precedence, ``-eo:cloud_cover`` for the greatest first; None: the acquisition
        time.
    limit
        The largest number of Items, of all catalogues together; None: all.
    profile
        The name of a catalogue in the settings (``geodes_lab.catalog.profiles``); None: the default one. A list of
        names, addresses and paths (``["geodes", "lab", "https://…"]``): all of them are searched, each for those of the
        collections that it has.
    url
        The address of a STAC API, or the path or address of a static catalogue's ``catalog.json``, instead of a
        profile's.
    **queryables
        Any other property that the catalogue can search: a value, a list of alternatives, or a tuple of the lowest and
        the highest value. An underscore replaces the colon: ``sat_orbit_state="ascending"``. A misspelt name is
        refused.

    Returns
    -------
    Items
        A `pystac.ItemCollection` in the requested order, which a notebook shows as a map and a table. ``datetime`` is
        the acquisition, ``published`` the publication; the product's asset has ``file:size`` and ``file:checksum``, and
        its address on the datalake. Whether a product without a requested property is included depends on the
        catalogue. Of several catalogues, the property ``geodes:catalogue`` of each Item says where it is from, and
        ``geodes:also_in`` which others have a product of its name; such products are kept, and ``distinct()`` leaves
        one of each. ``catalogues`` says what became of each catalogue.

    Warns
    -----
    UserWarning
        If one of several catalogues fails or cannot be asked this, with its sentence: the Items are those of the
        others, and ``missing`` has the sentence too.

    Raises
    ------
    GeodesError
        If the collection, the profile or the catalogue does not exist, or an argument is not valid; these errors come
        before any request of the search. If the catalogue, or each of several, refuses the request or fails. A search
        without results is not an error: the collection is empty.
    """
    names = arguments.names("collections", collections)
    area: dict[str, Any] | None = None

    def query(wanted: Sequence[str], filters: Mapping[str, Any]) -> Query:
        return parse(
            wanted, bbox=bbox, intersects=area, datetime=datetime, cloud_cover=cloud_cover, orbit=orbit, tile=tile,
            product_type=product_type, ids=ids, latest=latest, sortby=sortby, limit=limit, queryables=filters,
        )  # fmt: skip

    def asked(catalogue: Catalogue, wanted: Sequence[str]) -> Query:
        present = known(catalogue, wanted, stacklevel=4)
        filters = keywords.properties(queryables, catalogue.queryables(present), catalogue.name) if queryables else {}
        return query(present, filters)

    refuse_both(bbox, intersects)
    area = None if intersects is None else _area(intersects)
    if profile is not None and not isinstance(profile, str):
        several = federation.chosen(profile, url)
        query(names, {})  # what no catalogue would understand is refused before any of them is asked
        return federation.searched(several, opened, asked, found, names)
    catalogue = opened(profiles.load(profile, url))
    return Items(found(catalogue, asked(catalogue, names)))


def _area(intersects: Any) -> dict[str, Any]:
    """A shape as GeoJSON in degrees; its import takes half a second, for which only a search by shape waits."""
    from geodes_lab.vector import shapes

    return dict(mapping(shapes.degrees("intersects", intersects)))


def found(catalogue: Catalogue, query: Query) -> list[pystac.Item]:
    """Return a catalogue's Items that match the query, in order and at most as many as its limit."""
    return query.sorted([i for i in catalogue.items(query) if query.matches(i)])[: query.limit]


def collections(*, profile: str | None = None, url: str | os.PathLike[str] | None = None) -> pd.DataFrame:
    """List the collections of a catalogue; sends requests to it.

    Parameters
    ----------
    profile, url
        See `search`.

    Returns
    -------
    pandas.DataFrame
        By id: ``title``, ``start`` and ``end`` of the acquisitions (UTC), ``count`` of products if the catalogue has
        it, ``format`` of the products, whether ``open_cube`` can open them, and the ``queryables`` that `search`
        accepts.

    Raises
    ------
    GeodesError
        If the catalogue does not exist or does not answer.
    """
    import pandas as pd  # here, since services search without it, and it takes half a second

    chosen = profiles.load(profile, url)
    catalogue = opened(chosen)
    listed = sorted(catalogue.collections(), key=lambda c: c.id)
    known = chosen.collections or profiles.geodes()["collections"]
    with ThreadPoolExecutor(chosen.parallel) as pool:
        counts = list(pool.map(lambda c: _count(catalogue, c), listed))
    rows = {
        c.id: {
            "title": shown(c.title),
            "start": None if c.start is None else pd.Timestamp(c.start).floor("s"),
            "end": None if c.end is None else pd.Timestamp(c.end).ceil("s"),
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
    """Return the catalogue of a profile; no I/O except to see what is at a path."""
    if chosen.kind == "geodes":
        return Geodes(chosen)
    if chosen.kind == "stac":
        return Api(chosen)
    if snapshot.is_one(chosen.url):
        with extras.needed("A harvested catalogue"):
            from geodes_lab.catalog.harvested.index import Index  # DuckDB comes with an extra
        return Index(chosen)
    return Static(chosen)


def _count(catalogue: Catalogue, collection: Collection) -> int | None:
    if collection.number is None and isinstance(catalogue, Geodes):
        return catalogue.count(Query((collection.id,), latest=False))
    return collection.number


def known(catalogue: Catalogue, wanted: Sequence[str], stacklevel: int = 3) -> list[str]:
    """Return the present ids of collections; a misspelt id is refused."""
    ids = catalogue.ids()
    renamed = catalogue.profile.renamed
    now = []
    for name in wanted:
        if name not in ids and name in renamed:
            warnings.warn(f"The collection {name} has a new name, {renamed[name]}.", stacklevel=stacklevel)
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
