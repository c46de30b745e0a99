"""Spellings of an address that other tools use.

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
)  # fsspec's caches, which are ignored: the library has its own cache


class Spelled(NamedTuple):
    """The location that a spelling means."""

    address: str
    """The object: a path, or an ``s3://`` or ``https://`` address."""
    member: str
    """The path in a zip, if a member of it is meant; else empty."""


def understood(href: str) -> Spelled:
    """Translate an address of another tool; an address without such a spelling stays as it is.

    Parameters
    ----------
    href
        A path or an address; if a file with exactly this name exists on disk, it is that file.

    Raises
    ------
    GeodesError
        If the spelling is known, but names no zip; if there is no address.
    """
    if not href.strip():
        raise GeodesError("The path of a product is empty: give its path or URL ('.' is the current folder).")
    href = _CACHES.sub("", href)
    if "://" not in href and _is_there(href):
        return Spelled(href, "")
    if "::" in href and (parts := _FSSPEC.fullmatch(href)):
        return _spelled(parts["zip"], parts["member"].lstrip("/"))
    if href.lower().startswith(("zip://", "zip+")):
        parts = _RASTERIO.fullmatch(href)
        if parts is None:
            raise GeodesError(
                f"{href} contains no zip: write zip:///path/product.zip!member, or only the path of the zip."
            )
        address = f"{parts['scheme']}://{parts['zip']}" if parts["scheme"] else parts["zip"]
        return _spelled(address, parts["member"] or "")
    if href.startswith("/vsizip/"):
        parts = _BRACED.fullmatch(href) or _GDAL.fullmatch(href)
        if parts is None:
            raise GeodesError(f"{href} contains no zip: write /vsizip/{{path}}/member, or only the path of the zip.")
        return _spelled(parts["zip"], parts["member"] or "")
    if parts := _SHORT.fullmatch(href):
        return _spelled(parts["zip"], parts["member"])
    if href.startswith(("/vsis3/", "/vsicurl/")):
        return Spelled(_plain(href), "")
    return Spelled(href, "")


def path_of(href: str) -> str:
    """Return the path by which GDAL opens a file or a member of a zip, however it is written.

    Raises
    ------
    GeodesError
        If it names nothing that can be read.
    """
    address, member = understood(href)
    place = locate(address)
    if not member:
        return place.gdal
    if "{" in place.gdal or "}" in place.gdal:
        raise GeodesError(
            f"{place.href} has a brace in its path, and GDAL cannot open a zip at such a path: rename it."
        )
    return f"/vsizip/{{{place.gdal}}}/{member}"


def _spelled(address: str, member: str) -> Spelled:
    if ".." in member.split("/") or "\0" in member:
        raise GeodesError(
            f"{member[:80]!r} leads out of {address}, which is refused: give the path of the member in the zip."
        )
    return Spelled(_plain(address), member.rstrip("/"))


def _plain(address: str) -> str:
    """Return an address without GDAL's prefixes."""
    if address.startswith("/vsicurl/"):
        return address.removeprefix("/vsicurl/")
    if address.startswith("/vsis3/"):
        place_of(address)  # refuses invalid buckets and keys
        return f"s3://{address.removeprefix('/vsis3/')}"
    if address.startswith("/vsi"):
        raise GeodesError(f"{address} cannot be read in place: give a path, or an s3:// or https:// address.")
    return address


def _is_there(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except (OSError, ValueError, RuntimeError):
        return False
