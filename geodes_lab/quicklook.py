"""The small picture of a product, as its catalogue has it."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx
import pystac

from geodes_lab import settings, trust
from geodes_lab.datalake import locate
from geodes_lab.errors import GeodesError

_ROLES = ("overview", "thumbnail")
_MOST = 4_000_000  # bytes: what is larger is no small picture
_TIMEOUT = httpx.Timeout(20.0)


def picture(item: pystac.Item) -> tuple[bytes, str] | None:
    """Read the picture of an Item, from the datalake or the portal.

    Parameters
    ----------
    item
        Its asset of the role ``overview`` or ``thumbnail`` is read.

    Returns
    -------
    tuple or None
        The file and its media type; None if the Item has none, or it lies on a host that the settings do not name: an Item may
        come from anybody.

    Raises
    ------
    GeodesError
        If it cannot be read.
    """
    asset = _asset(item)
    if asset is None:
        return None
    host = urlsplit(asset.href).hostname
    kind = asset.media_type or "image/jpeg"
    if host in settings.get("datalake.hosts"):
        place = locate(asset.href)
        return place.read(0, min(place.size(), _MOST)), kind
    if host not in settings.get("download.hosts"):
        return None
    try:
        answer = httpx.get(asset.href, timeout=_TIMEOUT, verify=trust.context()).raise_for_status()
    except httpx.HTTPError as error:
        raise GeodesError(f"The quicklook of {item.id} cannot be read ({error}): try again later.") from error
    return answer.content[:_MOST], answer.headers.get("Content-Type", kind)


def local(item: pystac.Item) -> tuple[bytes, str] | None:
    """Read the picture of an Item where it lies in the datalake's mirror on this machine; None where it does not."""
    asset = _asset(item)
    if asset is None or urlsplit(asset.href).hostname not in settings.get("datalake.hosts"):
        return None
    try:
        place = locate(asset.href)
        return (place.read(0, _MOST), asset.media_type or "image/jpeg") if place.scheme == "file" else None
    except GeodesError:
        return None


def _asset(item: pystac.Item) -> pystac.Asset | None:
    return next((a for a in item.assets.values() if set(_ROLES) & set(a.roles or ())), None)
