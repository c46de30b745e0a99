"""Products that the user has, rather than the catalogue: a path or a URL becomes an Item."""

from __future__ import annotations

import re
from typing import Any

import pystac

from geodes_lab.archive import Archive
from geodes_lab.datalake import locate
from geodes_lab.errors import GeodesError
from geodes_lab.zarrs import NAMED

_SAFE = re.compile(r"(?:^|/)([^/]+)\.(?:SAFE|SEN3)/", re.IGNORECASE)
# What a product is where no name says it, by a member that its kind alone has.
_KINDS = {
    r"(?i:METADATA\.DIM)": "DIMAP",
    r"MTD_MSIL1C\.xml": "S2MSI1C",
    r"MTD_MSIL2A\.xml": "S2MSI2A",
    r"annotation/s1\w-\w\w-grd-[^/]+\.xml": "GRD",
    r"annotation/s1\w-\w\w\d?-slc-[^/]+\.xml": "SLC",
    r"measurement/s1\w-\w\w\d?-ocn-[^/]+\.nc": "OCN",
}


def item(href: str) -> pystac.Item:
    """Make a bare Item of a path or URL.

    Its ``identifier`` is the name of the SAFE folder, wherever the zip was renamed; its time and footprint are
    unknown until the family reads the product's own metadata.

    Raises
    ------
    GeodesError
        If there is nothing, the zip is damaged, or the folder holds no product.
    """
    place = locate(href)
    name, kind = place.name, None
    if store := NAMED.search(place.path):
        name = place.path[: store.start()].rsplit("/", 1)[-1]
    elif place.is_folder or name.lower().endswith(".zip"):
        archive = Archive(href)
        roots = {m.group(1) for m in map(_SAFE.search, archive.names) if m}
        if len(roots) > 1:
            raise GeodesError(f"{href} holds {len(roots)} products: give the one that you mean.")
        name = roots.pop() if roots else archive.name
        kind = next((k for pattern, k in _KINDS.items() if archive.matching(pattern)), None)
        # A folder that is a product itself has files right in it, such as its metadata.
        is_bare = place.is_folder and name == archive.name and kind is None
        if is_bare and all(n.count("/") > 1 for n in archive.names):
            raise GeodesError(f"{href} is a folder without a product in it: give the product's own folder (.SAFE).")
    unknown: dict[str, Any] = {"identifier": name, "start_datetime": None, "end_datetime": None}
    if kind:
        unknown["product:type"] = kind
    bare = pystac.Item(id=name, geometry=None, bbox=None, datetime=None, properties=unknown)
    bare.add_asset("data", pystac.Asset(href, roles=["data"]))
    return bare
