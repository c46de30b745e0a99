"""The small picture of a product, from its catalogue."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable
from urllib.parse import urlsplit

import pystac

from geodes_lab import settings
from geodes_lab.catalog import picture
from geodes_lab.errors import GeodesError
from geodes_lab.storage import external
from geodes_lab.storage.location import locate

_ROLES = ("overview", "thumbnail")
_WITHIN = re.compile(r"data:image/(?:jpeg|png);base64,([A-Za-z0-9+/]{1,20000}={0,2})")
"""A picture in its address, as `geodes_lab.publish` writes it."""
_MOST = 4_000_000  # bytes: a larger file is not a small picture


def read(item: pystac.Item, from_datalake: Callable[[str, int], bytes] | None = None) -> tuple[bytes, str] | None:
    """Read the picture of an Item: from its address itself, the datalake or the portal.

    Parameters
    ----------
    item
        Reads its asset with the role ``overview`` or ``thumbnail``.
    from_datalake
        Reads an address on the datalake, up to so many bytes, with the rights of the person; None: with those of this
        process.

    Returns
    -------
    tuple or None
        The picture, decoded and encoded again, and its media type; None if the Item has none, or its host is not in the
        settings: an Item may come from anybody.

    Raises
    ------
    GeodesError
        If it cannot be read, or is not a picture.
    """
    href = address(item)
    if href is None:
        return None
    if within := _WITHIN.fullmatch(href):
        data = _decoded(within[1], item.id)
    elif is_on_datalake(href):
        data = (from_datalake or _own)(href, _MOST)
    elif external.is_allowed(href, settings.get("download.hosts")):
        data = external.fetched(href, settings.get("download.hosts"), _MOST)
    else:
        return None
    return picture.anew(data, item.id)


def local(item: pystac.Item) -> tuple[bytes, str] | None:
    """Read the picture of an Item from the datalake's mirror on this machine.

    None if it is not there, or is not a picture.
    """
    href = address(item)
    if href is None or not (is_on_datalake(href) or _WITHIN.fullmatch(href)):
        return None
    try:
        if not is_on_datalake(href):
            return read(item)
        place = locate(href)
        return picture.anew(place.read(0, _MOST), item.id) if place.scheme == "file" else None
    except GeodesError:
        return None


def _decoded(text: str, name: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        raise GeodesError(f"The quicklook of {name} is no picture in base64.") from None


def address(item: pystac.Item) -> str | None:
    """Return the address of an Item's picture."""
    return next((str(a.href) for a in item.assets.values() if set(_ROLES) & set(a.roles or ())), None)


def is_on_datalake(href: str) -> bool:
    """Whether an address is an object of the datalake: on one of its hosts, without another port or user name."""
    try:
        parts = urlsplit(href)
        return parts.scheme == "https" and parts.netloc in settings.get("datalake.hosts")
    except ValueError:
        return False


def _own(href: str, most: int) -> bytes:
    place = locate(href)
    return place.read(0, most)
