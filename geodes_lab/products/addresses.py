"""The absolute address of an asset, distinguished from a path of this machine."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

import pystac

from geodes_lab.errors import GeodesError


def of(asset: pystac.Asset) -> str:
    """Return the address of an asset: a relative one is below its Item's own.

    Raises
    ------
    GeodesError
        If it is a path of this machine, and the Item comes from a server: the path belongs to that server then.
    """
    href = asset.href
    if href.startswith(("/vsi", "s3://", "https://", "http://")):
        return href  # absolute: pystac takes as long to find that as all else about an asset
    item = asset.owner
    own = item.get_self_href() if isinstance(item, pystac.Item) else None
    if href.startswith("/") and urlsplit(own or "").scheme in ("http", "https") and os.path.lexists(href):
        raise GeodesError(
            f"{href} of {getattr(item, 'id', 'this Item')} exists as a file on this machine, and it is also an "
            f"address on a server, because the Item's self link is {own}. Write file://{href} for the file, or remove "
            "the self link from the Item."
        )
    return asset.get_absolute_href() or href
