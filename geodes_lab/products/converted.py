"""Files that were converted from a product, offered by the product's own Item beside the product."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pystac

from geodes_lab.products import assets, bands
from geodes_lab.util import instant

ROLE = "converted"
"""The role of their assets. None of them has the role ``data``, so that no program takes them for the product."""
_ENDING = f".{ROLE}"


def beside(item: pystac.Item, converted: pystac.Item) -> pystac.Item:
    """Return a product's Item that offers its converted bands too.

    Parameters
    ----------
    item
        The product.
    converted
        An Item of `geodes_lab.convert`, with absolute addresses.
    """
    both = item.clone()
    both.set_self_href(item.get_self_href())
    if instant.begin(item) is None:  # a bare path: its converted bands do not tell the time either
        both.datetime = converted.datetime
        both.properties = {k: v for k, v in both.properties.items() if k not in ("start_datetime", "end_datetime")}
    for key, asset in converted.assets.items():
        if "proj:transform" in asset.extra_fields:
            offered = asset.clone()
            offered.roles = [ROLE]
            both.add_asset(f"{key}{_ENDING}", offered)
    return both


def without(item: pystac.Item) -> pystac.Item:
    """Return the product alone."""
    if not any(map(_is_converted, item.assets.values())):
        return item
    return _with(item, {k: a for k, a in item.assets.items() if not _is_converted(a)})


def preferred(item: pystac.Item, names: Sequence[str]) -> pystac.Item | None:
    """Return an Item of the converted bands; None if there are none, or not all that are wanted.

    Parameters
    ----------
    item
        A product.
    names
        The wanted bands, by any of their names.
    """
    offered = {k.removesuffix(_ENDING): a for k, a in item.assets.items() if _is_converted(a)}
    if not offered:
        return None
    chosen = _with(item, offered)
    for asset in chosen.assets.values():
        asset.roles = ["data"]
    return chosen if all(bands.has(chosen, name) for name in names) else None


def _is_converted(asset: pystac.Asset) -> bool:
    return ROLE in assets.roles(asset)


def _with(item: pystac.Item, some: dict[str, Any]) -> pystac.Item:
    other = item.clone()
    other.set_self_href(item.get_self_href())
    other.assets = {}
    for key, asset in some.items():
        other.add_asset(key, asset.clone())
    return other
