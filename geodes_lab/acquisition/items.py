"""The Item of a product in the datalake: what its source published, and what the product itself says."""

from __future__ import annotations

import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pystac
from shapely.geometry import shape

from geodes_lab import products
from geodes_lab.acquisition.identity import Identity
from geodes_lab.acquisition.publication import Publication
from geodes_lab.acquisition.verification import OURS, Verified
from geodes_lab.errors import GeodesError
from geodes_lab.storage import multihash
from geodes_lab.util import instant

_TYPES = {".zip": "application/zip", ".h5": "application/x-hdf5", ".nc": "application/x-netcdf", ".tif": "image/tiff"}
_ENDING = re.compile(r"\.(?:zip|nc|h5|tif|tgz|tar|h5\.gz)$", re.IGNORECASE)
_OWN = ("processing:version", "processing:level", "product:type", "platform", "grid:code", "s2:datastrip_id",
        "sat:orbit_state", "sat:relative_orbit", "sat:absolute_orbit", "sar:instrument_mode")  # fmt: skip


def described(publication: Publication, identity: Identity, path: Path) -> dict[str, Any]:
    """Return place, time and properties of a product; what its source does not publish is read from the product.

    Raises
    ------
    GeodesError
        If neither says when it was acquired.
    """
    known = {k: v for k, v in publication.properties.items() if v is not None}
    geometry = publication.geometry
    own = _unpacked(identity, path)
    if own is not None:
        known = {k: v for k in _OWN if (v := own.properties.get(k)) is not None} | known | _grid(own)
        geometry = geometry or own.geometry
        start, end = (own.properties.get(k) for k in ("start_datetime", "end_datetime"))
        known.setdefault("start_datetime", start or (instant.text(own.datetime) if own.datetime else None))
        known.setdefault("end_datetime", end)
    begin = instant.utc(known.get("start_datetime") or known.get("datetime")) or identity.sensed
    if begin is None:
        raise GeodesError(f"{identity.name} has no time of acquisition, in its name or its metadata: it is refused.")
    end = instant.utc(known.get("end_datetime")) or begin
    times = {"datetime": instant.text(begin), "start_datetime": instant.text(begin), "end_datetime": instant.text(end)}
    return {"geometry": geometry, "properties": {**known, **times}}


def item(
    publication: Publication,
    identity: Identity,
    collection: str,
    source: str,
    about: dict[str, Any],
    verified: Verified,
    href: str,
) -> dict[str, Any]:
    """Return the Item of a product that is stored at an address."""
    properties = {
        **about["properties"],
        "identifier": identity.name,
        "dataset": collection,
        "published": instant.text(publication.published),
        "latest": True,
        "geodes:upstream": source,
        "geodes:upstream_id": publication.id,
        "geodes:verified": verified.evidence,
    }
    if identity.product_type:
        properties.setdefault("product:type", identity.product_type)
    if identity.family == "sentinel2":
        properties.setdefault("grid:code", f"MGRS-{identity.tile}")
    geometry = about["geometry"]
    own = _checksum(publication, verified)
    asset = {"href": href, "type": _TYPES.get(ending(publication), "application/octet-stream"), "roles": ["data"]}
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [
            f"https://stac-extensions.github.io/{e}/schema.json" for e in ("file/v2.1.0", "timestamps/v1.1.0")
        ],
        "id": identity.name,
        "collection": collection,
        "geometry": geometry,
        **({"bbox": list(shape(geometry).bounds)} if geometry else {}),
        "properties": properties,
        "links": [],
        "assets": {"product": asset | {"file:size": verified.size, "file:checksum": own}},
    }


def sensed(about: dict[str, Any]) -> datetime | None:
    """Return the begin of the acquisition."""
    return instant.utc(about["properties"]["start_datetime"])


def ending(publication: Publication) -> str:
    """Return the ending of a product's file; products without one are zips."""
    for name in (*(h.partition("?")[0] for h in publication.hrefs), publication.name):
        if match := _ENDING.search(name):
            return match[0].lower()
    return ".zip"


def _checksum(publication: Publication, verified: Verified) -> str:
    """Return a multihash: the one that the source publishes, so that both can be compared, else ours."""
    known = [c for c in publication.checksums if multihash.parse(c)]
    return known[0] if known else f"1e20{verified.checksums[OURS]}"


def _grid(own: pystac.Item) -> dict[str, Any]:
    """Return the grid of the finest band: an Item without it would be taken for one of a usual product."""
    bands = [a.extra_fields for a in own.assets.values() if {"gsd", "proj:shape", "proj:code"} <= a.extra_fields.keys()]
    if not bands:
        return {}
    finest = min(bands, key=lambda f: f["gsd"])
    return {"proj:code": finest["proj:code"], "proj:shape": finest["proj:shape"]}


def _unpacked(identity: Identity, path: Path) -> pystac.Item | None:
    """Read the product's own metadata; None if no family of the lab opens such products."""
    bare = pystac.Item(identity.name, None, None, None, {
        "identifier": identity.name, "start_datetime": None, "end_datetime": None,
        **({"product:type": identity.product_type} if identity.product_type else {}),
    })  # fmt: skip
    bare.add_asset("data", pystac.Asset(str(path), media_type="application/zip", roles=["data"]))
    try:
        family = products.family_of(bare)
    except GeodesError:
        return None
    try:
        return family.unpack(bare)
    except GeodesError:
        return None
