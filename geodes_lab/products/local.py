"""Products that the user has, rather than the catalogue: a path or a URL becomes an Item."""

from __future__ import annotations

import re

import pystac

from geodes_lab.archive import Archive
from geodes_lab.datalake import locate
from geodes_lab.errors import GeodesError
from geodes_lab.zarrs import NAMED

_SAFE = re.compile(r"^([^/]+)\.SAFE/")


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
    name = place.name
    if store := NAMED.search(place.path):
        name = place.path[: store.start()].rsplit("/", 1)[-1]
    elif place.is_folder or name.lower().endswith(".zip"):
        archive = Archive(href)
        roots = {m.group(1) for m in map(_SAFE.match, archive.names) if m}
        if len(roots) > 1:
            raise GeodesError(f"{href} holds {len(roots)} products: give the one that you mean.")
        if not roots and place.is_folder:
            raise GeodesError(f"{href} is a folder without a product in it: give the .SAFE folder itself.")
        name = roots.pop() if roots else archive.name
    unknown = {"identifier": name, "start_datetime": None, "end_datetime": None}
    bare = pystac.Item(id=name, geometry=None, bbox=None, datetime=None, properties=unknown)
    bare.add_asset("data", pystac.Asset(href, roles=["data"]))
    return bare
