"""Converts GEODES's Items to Items that follow STAC; the only module that knows their dialect."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import pystac

from geodes_lab.errors import GeodesError
from geodes_lab.util import instant
from geodes_lab.util.pystac_safe import roots as pystac_roots

_VERSION = "1.1.0"
_FILLERS = ("proj:bbox", "sci:doi", "endpoint_description")  # strings where STAC has other types, or nothing at all
# Chosen by an Item's content; the extensions that the service lists have other versions, and its fields did not follow
# them.
_EXTENSIONS = {
    "published": "timestamps/v1.1.0",
    "grid:code": "grid/v1.1.0",
    "eo:cloud_cover": "eo/v2.0.0",
    "sat:orbit_state": "sat/v1.1.0",
    "processing:level": "processing/v1.2.0",
    "storage:schemes": "storage/v2.0.0",
}
_SCHEME = "datalake"
_ENDPOINT = re.compile(
    r"(?:https?|s3)://[^/]+/[^/]+"
)  # another scheme is not a place on a datalake, such as a file of this machine
_KEYS = {"overview": "quicklook", "data": "metadata"}  # by role; data that are not the product are its XML


def truthful(item: pystac.Item) -> pystac.Item:
    """Convert an Item of GEODES to one that follows STAC; see `normalize_item`.

    Any other Item is returned with its times in UTC.
    """
    if not item.id.startswith("URN:FEATURE:"):
        item.datetime = instant.utc(item.datetime)
        instant.normalize(item.properties)
        return item
    normalized = pystac.Item.from_dict(
        normalize_item(item.to_dict(include_self_link=False, transform_hrefs=False)), preserve_dict=False
    )
    normalized.set_self_href(item.get_self_href())
    link = item.get_root_link()
    root = link.target if link is not None and link.is_resolved() else None
    # It keeps its way of reading links: pystac's default has no limits.
    return pystac_roots.settle(normalized, getattr(item, "_stac_io", None) or getattr(root, "_stac_io", None))


def normalize_item(raw: dict[str, Any]) -> dict[str, Any]:
    """Convert an Item in the service's form; ``raw`` is not changed.

    In the service's form, ``datetime`` is the time of publication, the product's place on the datalake is a property,
    and size and checksum are inside a sentence; some fields have no meaning for a product.

    Returns
    -------
    dict
        STAC 1.1: ``datetime`` is the begin of the acquisition; ``published`` the publication; ``id`` the product's
        name. The asset ``product`` is on the datalake (``storage:refs``), its ``alternate`` is the portal's download;
        ``file:size`` and ``file:checksum`` (a multihash) are the product's. Links to the service's own forms of the
        Item are dropped.

    Raises
    ------
    GeodesError
        If it has no name or no time of acquisition, or fields of other types: the service has changed.
    """
    try:
        return _normalized(raw)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:
        raise GeodesError(
            f"{str(raw.get('id'))[:200]} is an Item of GEODES that cannot be read ({type(error).__name__}: {error}): "
            "the service has changed; run `geodes-lab doctor` to see how."
        ) from error


def _normalized(raw: dict[str, Any]) -> dict[str, Any]:
    p = dict(raw["properties"])
    if not {"identifier", "start_datetime"} <= set(p):
        raise GeodesError(
            f"{raw['id']} is an Item of GEODES without identifier or start_datetime: the service has changed."
        )
    p["geodes:urn"] = raw["id"]
    published = p.get("datetime")
    p["published"] = _time(published) if published else None
    p["start_datetime"] = p["datetime"] = _time(p["start_datetime"])
    p["end_datetime"] = _time(p.get("end_datetime") or p["start_datetime"])
    if re.fullmatch(r"T\w{5}", p.get("grid:code") or ""):
        p["grid:code"] = f"MGRS-{p['grid:code'][1:]}"
    if isinstance(p.get("sar:polarizations"), str):
        p["sar:polarizations"] = p["sar:polarizations"].split()
    if isinstance(p.get("sat:orbit_state"), str):
        p["sat:orbit_state"] = p["sat:orbit_state"].lower()
    instrument = p.get("instrument")
    if isinstance(instrument, str):
        p["instruments"] = instrument.lower().split()
    if "SAR" in str(instrument):
        p.pop("eo:cloud_cover", None)
    if p.get("sar:instrument_mode") == "INS-NOBS":
        del p["sar:instrument_mode"]
    for filler in _FILLERS:
        p.pop(filler, None)
    assets = _assets(raw, p)
    p = {k: v for k, v in p.items() if v is not None}
    extensions = [url for name, url in _EXTENSIONS.items() if name in p]
    if any("file:size" in a for a in assets.values()):
        extensions.append("file/v2.1.0")
    if any("alternate" in a for a in assets.values()):
        extensions.append("alternate-assets/v1.2.0")
    return {
        "type": "Feature",
        "stac_version": _VERSION,
        "stac_extensions": sorted(f"https://stac-extensions.github.io/{e}/schema.json" for e in extensions),
        "id": p["identifier"],
        "collection": raw.get("collection") or p.get("dataset"),
        "geometry": raw.get("geometry"),
        **({"bbox": raw["bbox"]} if raw.get("bbox") else {}),
        "properties": p,
        "links": _links(raw.get("links", ())),
        "assets": assets,
    }


def _links(raw_links: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return STAC's links; a missing link to the collection is derived from the Item's own address."""
    links = [link for link in raw_links if link.get("rel") in ("root", "parent", "collection", "self")]
    own = next((link["href"] for link in links if link["rel"] == "self"), "")
    if "/items/" in own and not any(link["rel"] == "collection" for link in links):
        links.append({"rel": "collection", "href": own.rpartition("/items/")[0], "type": "application/json"})
    return links


def _assets(raw: dict[str, Any], properties: dict[str, Any]) -> dict[str, Any]:
    """Return the assets by their meaning; the service names them after files, differently in each Item."""
    several = [dict(asset) for asset in raw.get("assets", {}).values()]
    for asset in several:
        _describe(asset)
    data = [a for a in several if "data" in (a.get("roles") or ()) and "xml" not in (a.get("type") or "")]
    zips = [a for a in data if "zip" in (a.get("type") or "")]
    whole = zips[0] if zips else data[0] if len(data) == 1 else None  # POSTEL has one HDF5
    endpoint = properties.pop("endpoint_url", None)
    if whole is not None and endpoint and _ENDPOINT.match(endpoint):
        whole["alternate"] = {"https": {"href": whole["href"], "alternate:name": "GEODES download (API key)"}}
        whole["href"], whole["storage:refs"] = endpoint, [_SCHEME]
        scheme, _, host, bucket = endpoint.split("/", 4)[:4]
        properties["storage:schemes"] = {
            _SCHEME: {
                "type": "custom-s3",
                "platform": f"{scheme}//{host}",
                "title": "The datalake of CNES",
                "bucket": bucket,
            }
        }
    by_key: dict[str, Any] = {} if whole is None else {"product": whole}
    for asset in several:
        if asset is not whole:
            key = next((k for role, k in _KEYS.items() if role in (asset.get("roles") or ())), "other")
            by_key[key if key not in by_key else f"{key}_{len(by_key)}"] = asset
    return by_key


def _describe(asset: dict[str, Any]) -> None:
    text = asset.pop("description", None) or ""
    if size := re.search(r"File size: (\d+)", text):
        asset["file:size"] = int(size[1])
    if md5 := re.search(r"MD5: ([0-9a-f]{32})", text):
        asset["file:checksum"] = f"d50110{md5[1]}"  # multihash: MD5 (0xd5 as a varint), 16 bytes


def _time(text: str) -> str:
    """Convert the service's many forms of a time to one."""
    time = instant.utc(text)
    if time is None:
        raise ValueError(f"{text!r} is not a time")
    return instant.text(time)
