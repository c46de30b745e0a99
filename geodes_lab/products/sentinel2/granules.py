"""Sentinel-2 products of several tiles: all products before December 2016.

Each tile is opened as a product of its own.
"""

from __future__ import annotations

import os
import re
from typing import Any

import pystac

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products import as_item, packed
from geodes_lab.products.bands import name_of

_GRANULE = re.compile(r"(?:^|/)(GRANULE/[^/]*?_T(\d\d[A-Z]{3})(?:_[^/]*)?)/")


def archive(item: pystac.Item) -> Archive:
    """Return the members of an Item's product; of a product with several tiles, those of the Item's ``grid:code``.

    Raises
    ------
    GeodesError
        If there are several tiles, and the Item does not say which one.
    """
    result = packed.archive(item)
    folders = _folders(result)
    if len(folders) < 2:
        return result
    tile = str(item.properties.get("grid:code", "")).removeprefix("MGRS-")
    if tile not in folders:
        raise GeodesError(
            f"{name_of(item)} contains {len(folders)} tiles ({', '.join(sorted(folders))}): choose from "
            "geodes_lab.products.sentinel2.granules.granules(product), which returns one Item per tile."
        )
    return result.without([f for t, f in folders.items() if t != tile])


def granules(product: pystac.Item | dict[str, Any] | str | os.PathLike[str]) -> list[pystac.Item]:
    """Return an Item for each tile of a product; only its list of members is read.

    Parameters
    ----------
    product
        An Item of `geodes_lab.search`, a dictionary of one, or a path or URL.

    Returns
    -------
    list of pystac.Item
        By tile, which ``grid:code`` names; for a product of one tile, only the product. Both `geodes_lab.open_product`
        and `geodes_lab.open_cube` accept them.
    """
    item = as_item(product)
    folders = _folders(packed.archive(item))
    if len(folders) < 2:
        return [item]
    result = []
    for tile in sorted(folders):
        one = item.clone()
        one.id = f"{name_of(item)}_T{tile}"
        one.properties |= {"identifier": one.id, "grid:code": f"MGRS-{tile}"}
        one.geometry = one.bbox = None  # these describe all tiles together
        result.append(one)
    return result


def _folders(result: Archive) -> dict[str, str]:
    """Return the folders of the tiles, by tile."""
    return {m[2]: m[1] for m in map(_GRANULE.search, result.names) if m}
