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

# Prefixes of property names in STAC's extensions; in a keyword argument, an underscore replaces the colon.
_MOST = 20  # ids in an error message
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
        The largest number of Items; None: all.
    profile
        The name of a catalogue in the settings (``geodes_lab.catalog.profiles``); None: the default one.
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
        catalogue.

    Raises
    ------
    GeodesError
        If the collection, the profile or the catalogue does not exist, or an argument is not valid; these errors come
        before any request of the search. If the catalogue refuses the request or fails. A search without results is not
        an error: the collection is empty.
    """
    catalogue = opened(profiles.load(profile, url))
    wanted = known(catalogue, arguments.names("collections", collections))
    filters = {}
    if queryables:
        filters = _properties(queryables, catalogue.queryables(wanted), catalogue.name)
    refuse_both(bbox, intersects)
    area = None if intersects is None else _area(intersects)
    query = parse(
        wanted, bbox=bbox, intersects=area, datetime=datetime, cloud_cover=cloud_cover, orbit=orbit, tile=tile,
        product_type=product_type, ids=ids, latest=latest, sortby=sortby, limit=limit, queryables=filters,
    )  # fmt: skip
    return Items(found(catalogue, query))


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


def known(catalogue: Catalogue, wanted: Sequence[str]) -> list[str]:
    """Return the present ids of collections; a misspelt id is refused."""
    ids = catalogue.ids()
    renamed = catalogue.profile.renamed
    now = []
    for name in wanted:
        if name not in ids and name in renamed:
            warnings.warn(f"The collection {name} has a new name, {renamed[name]}.", stacklevel=3)
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


def _properties(keywords: Mapping[str, Any], known: Mapping[str, str], catalogue: str) -> dict[str, Any]:
    """Return the full names of the given properties, with values of their types."""
    names = {n.replace(":", "_").replace("-", "_"): n for n in known}
    filters = {}
    for key, value in keywords.items():
        name = key if key in known else names.get(key)
        if name is None and known:
            raise GeodesError(
                f"{catalogue} has no queryable {key!r}{_meant(key, names)} Its queryables are: "
                f"{', '.join(sorted(names))}."
            )
        prefix, _, rest = key.partition("_")
        name = name or (f"{prefix}:{rest}" if prefix in _PREFIXES and ":" not in key else key)
        filters[name] = _typed(key, value, known.get(name, ""))
    return filters


def _meant(key: str, names: Mapping[str, str]) -> str:
    """The argument that was probably meant, by its spelling, or by a word that other libraries use."""
    if spelt := nearest(key, [*names, *_ARGUMENTS]):
        return spelt
    words = key.lower().split("_")
    usual = [a for a, others in _USUAL.items() if any(w.startswith(o) for w in words for o in others)]
    return f"; did you mean {usual[0]!r}?" if usual else "."


_USUAL = {
    "cloud_cover": ("cloud",),
    "datetime": ("date", "time", "start", "end", "period"),
    "intersects": ("geom", "polygon", "shape", "aoi", "area"),
    "bbox": ("bound", "box", "extent"),
    "limit": ("items", "maxitems", "maxrecords", "results"),
    "ids": ("name", "identifier"),
}
"""Words of other libraries' arguments, by ours; what a catalogue can be asked for counts before."""
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
    """Convert a value to the property's type: a number as text would find nothing, without an error."""
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
