"""The catalogue: a search gives Items that tell the truth. Only this room knows the dialect of GEODES."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pystac
from pystac_client import ItemSearch
from shapely import box
from shapely.geometry import shape

from geodes_lab import settings
from geodes_lab.errors import GeodesError, nearest

_FAR_PAST, _FAR_FUTURE = datetime(1900, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def search(
    collections: str | Sequence[str],
    *,
    bbox: Sequence[float] | None = None,
    intersects: Mapping[str, Any] | None = None,
    datetime: str | None = None,
    cloud_cover: float | None = None,
    latest: bool = True,
    limit: int | None = None,
    profile: str | None = None,
    url: str | None = None,
) -> pystac.ItemCollection:
    """Find products in a catalogue.

    Parameters
    ----------
    collections
        The id of a collection, such as ``PEPS_S2_L1C``, or several.
    bbox
        West, south, east, north in degrees.
    intersects
        A GeoJSON geometry, in degrees; instead of ``bbox``.
    datetime
        The time of acquisition: an instant, a day, month or year, or an interval such as ``2021-06/2021-08``.
    cloud_cover
        The highest cloud cover, in percent.
    latest
        Only the latest version of each product, where the catalogue keeps several.
    limit
        The largest number of Items; None: all.
    profile
        The name of a catalogue in the settings (``geodes_lab.catalog.profiles``); None: the default one.
    url
        The path or address of a static catalogue's ``catalog.json``, instead of a profile.

    Returns
    -------
    pystac.ItemCollection
        In order of acquisition. ``datetime`` is the acquisition, ``published`` the publication; ``file:size`` and
        ``file:checksum`` stand at the product's asset, whose address is its place on the datalake.

    Raises
    ------
    GeodesError
        If the collection, the profile or the catalogue does not exist, or an argument has no meaning. A search that
        finds nothing is no error: the collection is empty.
    """
    wanted = [collections] if isinstance(collections, str) else list(collections)
    asked = _parsed(bbox=bbox, intersects=intersects, datetime=datetime)
    if limit is not None and limit < 1:
        raise GeodesError(f"limit is a number of Items, at least 1, not {limit}.")
    if cloud_cover is not None and not (isinstance(cloud_cover, (int, float)) and 0 <= cloud_cover <= 100):
        raise GeodesError(f"cloud_cover is the highest percentage, 0 to 100, not {cloud_cover!r}.")
    catalogue = _open(url or _url(profile))
    found = [i for c in _collections(catalogue, wanted) for i in _items(c) if _matches(i, asked, cloud_cover, latest)]
    found.sort(key=lambda i: (i.datetime or _FAR_PAST, i.id))
    return pystac.ItemCollection(found[:limit])


def _url(profile: str | None) -> str:
    name = profile or settings.get("catalog.profile")
    profiles = settings.get("catalog.profiles")
    if name not in profiles:
        raise GeodesError(f"There is no catalogue profile {name!r}; the settings have: {', '.join(profiles)}.")
    url = profiles[name]["url"]
    if not url:
        raise GeodesError(
            f"The catalogue profile {name!r} has no url: start the lab with `make lab`, which sets it, or set "
            f"geodes_lab.catalog.profiles.{name}.url to the path of a catalog.json."
        )
    return str(url)


def _open(url: str) -> pystac.Catalog:
    try:
        return pystac.Catalog.from_file(url)
    except Exception as error:
        raise GeodesError(f"The catalogue {url} does not open ({error}); check its path or address.") from error


def _collections(catalogue: pystac.Catalog, wanted: list[str]) -> list[pystac.Catalog]:
    known = {c.id: c for c in catalogue.get_children()}
    for name in wanted:
        if name not in known:
            raise GeodesError(
                f"There is no collection {name!r} in {catalogue.id}{nearest(name, known) or '.'} "
                f"It has: {', '.join(sorted(known))}."
            )
    return [known[name] for name in wanted]


def _items(collection: pystac.Catalog) -> Iterator[pystac.Item]:
    """Walk the Items; a link that leads nowhere is said, once a collection, and passed over."""
    dangling = []
    for link in collection.get_item_links():
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


def _parsed(**arguments: Any) -> dict[str, Any]:
    """Let pystac-client read dates and boxes, so that a search means the same here as against any API."""
    given = {k: v for k, v in arguments.items() if v is not None}
    if "bbox" in given and "intersects" in given:
        raise GeodesError("Give bbox= or intersects=, not both.")
    try:
        parameters = ItemSearch("https://localhost/search", method="POST", **given).get_parameters()
    except Exception as error:
        raise GeodesError(f"The search does not understand {given}: {error}.") from error
    start, end = _interval(parameters.get("datetime", "../.."))
    area = None
    if "bbox" in parameters:
        if (
            len(parameters["bbox"]) != 4
            or parameters["bbox"][0] >= parameters["bbox"][2]
            or parameters["bbox"][1] >= parameters["bbox"][3]
        ):
            raise GeodesError(f"bbox is (west, south, east, north) in degrees; {tuple(parameters['bbox'])} is not.")
        area = box(*parameters["bbox"])
    elif "intersects" in parameters:
        area = shape(parameters["intersects"])
    return {"start": start, "end": end, "area": area}


def _interval(text: str) -> tuple[datetime, datetime]:
    start, _, end = text.partition("/")
    first = pystac.utils.str_to_datetime(start) if start not in ("", "..") else _FAR_PAST
    if not end and "/" not in text:
        return first, first
    return first, pystac.utils.str_to_datetime(end) if end not in ("", "..") else _FAR_FUTURE


def _matches(item: pystac.Item, asked: dict[str, Any], cloud_cover: float | None, latest: bool) -> bool:
    time = item.datetime
    # pystac-client ends an interval at a whole second.
    if time is not None and not asked["start"] <= time < asked["end"] + timedelta(seconds=1):
        return False
    if asked["area"] is not None and item.geometry and not shape(item.geometry).intersects(asked["area"]):
        return False
    clouds = item.properties.get("eo:cloud_cover")
    if cloud_cover is not None and clouds is not None and clouds > cloud_cover:
        return False
    return not latest or bool(item.properties.get("latest", True))


def truthful(item: pystac.Item) -> pystac.Item:
    """Translate an Item of GEODES into one that means what STAC says; any other Item is given back as it is.

    The service publishes ``datetime`` as the time of publication, the product's place on the datalake as a property,
    and size and checksum inside a sentence.
    """
    if not item.id.startswith("URN:FEATURE:"):
        return item
    if not {"identifier", "start_datetime"} <= set(item.properties):
        raise GeodesError(
            f"{item.id} is an Item of GEODES without identifier or start_datetime: the service has changed."
        )
    made = item.clone()
    made.set_self_href(item.get_self_href())
    p = made.properties
    made.id = p["identifier"]
    p["geodes:urn"] = item.id
    p["published"] = pystac.utils.datetime_to_str(item.datetime) if item.datetime else None
    made.datetime = pystac.utils.str_to_datetime(p["start_datetime"])
    if re.fullmatch(r"T\w{5}", p.get("grid:code", "")):
        p["grid:code"] = f"MGRS-{p['grid:code'][1:]}"
    if isinstance(p.get("sar:polarizations"), str):
        p["sar:polarizations"] = p["sar:polarizations"].split()
    if "SAR" in str(p.get("instrument")):
        p.pop("eo:cloud_cover", None)
    if p.get("sar:instrument_mode") == "INS-NOBS":
        del p["sar:instrument_mode"]
    for filler in ("proj:bbox", "sci:doi"):
        p.pop(filler, None)
    endpoint = p.pop("endpoint_url", None)
    p.pop("endpoint_description", None)
    data = [a for a in made.assets.values() if "data" in (a.roles or []) and "xml" not in (a.media_type or "")]
    zips = [a for a in data if "zip" in (a.media_type or "")]
    whole = zips[0] if zips else data[0] if len(data) == 1 else None  # POSTEL has one HDF5
    if whole is not None:
        _describe(whole)
        download = whole.href
        if endpoint:
            whole.href = endpoint
            whole.extra_fields["alternate"] = {"https": {"href": download, "title": "GEODES download (API key)"}}
        made.assets = {"product": whole, **{k: a for k, a in made.assets.items() if a is not whole}}
    return made


def _describe(asset: pystac.Asset) -> None:
    text = asset.description or ""
    if size := re.search(r"File size: (\d+)", text):
        asset.extra_fields["file:size"] = int(size.group(1))
    if md5 := re.search(r"MD5: ([0-9a-f]{32})", text):
        asset.extra_fields["file:checksum"] = f"d50110{md5.group(1)}"  # multihash: MD5 (0xd5 as a varint), 16 bytes
    asset.description = None
