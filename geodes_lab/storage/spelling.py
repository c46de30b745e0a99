"""How other tools write where a product is.

GDAL's ``/vsi`` paths, rasterio's ``zip://…!…``, fsspec's ``zip://…::…``, ``zip#member``.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import NamedTuple

from geodes_lab.errors import GeodesError
from geodes_lab.storage.location import locate, place_of

_ZIP = r"\.zip"
_BRACED = re.compile(r"/vsizip/\{(?P<zip>[^{}]+)\}/?(?P<member>.*)", re.DOTALL)
_GDAL = re.compile(rf"/vsizip/(?P<zip>.+?{_ZIP})(?:/(?P<member>.*))?", re.DOTALL | re.IGNORECASE)
_RASTERIO = re.compile(r"zip(?:\+(?P<scheme>\w+))?://(?P<zip>[^!]+?)(?:!/?(?P<member>.*))?", re.DOTALL | re.IGNORECASE)
_FSSPEC = re.compile(r"zip://(?P<member>.*?)::(?P<zip>.+)", re.DOTALL | re.IGNORECASE)
_SHORT = re.compile(rf"(?P<zip>.+?{_ZIP})[#!]/?(?P<member>.*)", re.DOTALL | re.IGNORECASE)
_CACHES = re.compile(
    r"(?:simplecache|filecache|blockcache)::", re.IGNORECASE
)  # of fsspec: what is read here is kept anyway


class Spelled(NamedTuple):
    """Where something is."""

    address: str
    """Of the object: a path, or an ``s3://`` or ``https://`` address."""
    member: str
    """The path in it, if it is a zip and a part of it is meant; else empty."""


def understood(href: str) -> Spelled:
    """Take an address as other tools write it; what is no such spelling stays as it is.

    Parameters
    ----------
    href
        A path or an address; a file on disk that is called so is that file.

    Raises
    ------
    GeodesError
        If it is such a spelling, and names no zip.
    """
    href = _CACHES.sub("", href)
    if "://" not in href and _is_there(href):
        return Spelled(href, "")
    if "::" in href and (found := _FSSPEC.fullmatch(href)):
        return _spelled(found["zip"], found["member"].lstrip("/"))
    if href.lower().startswith(("zip://", "zip+")):
        found = _RASTERIO.fullmatch(href)
        if found is None:
            raise GeodesError(
                f"{href} names no zip: write zip:///path/product.zip!member, or the path of the zip alone."
            )
        address = f"{found['scheme']}://{found['zip']}" if found["scheme"] else found["zip"]
        return _spelled(address, found["member"] or "")
    if href.startswith("/vsizip/"):
        found = _BRACED.fullmatch(href) or _GDAL.fullmatch(href)
        if found is None:
            raise GeodesError(f"{href} names no zip: write /vsizip/{{path}}/member, or the path of the zip alone.")
        return _spelled(found["zip"], found["member"] or "")
    if found := _SHORT.fullmatch(href):
        return _spelled(found["zip"], found["member"])
    if href.startswith(("/vsis3/", "/vsicurl/")):
        return Spelled(_plain(href), "")
    return Spelled(href, "")


def path_of(href: str) -> str:
    """Give the path by which GDAL opens a file, a member of a zip too, however it is written.

    Raises
    ------
    GeodesError
        If it names nothing that is read here.
    """
    address, member = understood(href)
    place = locate(address)
    if not member:
        return place.gdal
    if "{" in place.gdal or "}" in place.gdal:
        raise GeodesError(f"{place.href} has a brace in its path, which GDAL cannot open inside: rename it.")
    return f"/vsizip/{{{place.gdal}}}/{member}"


def _spelled(address: str, member: str) -> Spelled:
    if ".." in member.split("/") or "\0" in member:
        raise GeodesError(f"{member[:80]!r} climbs out of {address}: refused; give the path of the member in the zip.")
    return Spelled(_plain(address), member.rstrip("/"))


def _plain(address: str) -> str:
    """An address without GDAL's beginnings."""
    if address.startswith("/vsicurl/"):
        return address.removeprefix("/vsicurl/")
    if address.startswith("/vsis3/"):
        place_of(address)  # refuses what is no bucket and no key
        return f"s3://{address.removeprefix('/vsis3/')}"
    if address.startswith("/vsi"):
        raise GeodesError(f"{address} is not read in place: give a path, or an s3:// or https:// address.")
    return address


def _is_there(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False
