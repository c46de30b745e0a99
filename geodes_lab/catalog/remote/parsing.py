"""Checks of documents from a server, before they are used.

They are parsed within limits, must have STAC's types, and may not lead to files of this machine.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote, urljoin, urlsplit

import orjson
from shapely.geometry import shape

from geodes_lab.catalog.remote.http import DEPTH, Refused
from geodes_lab.errors import shown
from geodes_lab.storage import spelling
from geodes_lab.storage.location import ELSEWHERE

_LONGEST = 1024  # characters of an id
_PLAIN = re.compile(r"https?://[\w.-]+(:\d{1,5})?/[\w.~/%-]*", re.ASCII)  # an address that no rule changes
Raw = dict[str, Any]


def parsed(text: bytes | str, whose: str) -> Any:
    """Parse an answer.

    Raises
    ------
    Refused
        If its lists and objects are nested deeper than in any real answer.
    ValueError
        If it is not JSON.
    """
    document = orjson.loads(text)
    level = [document]
    for _ in range(DEPTH):
        level = (
            [
                v
                for one in level
                for v in (one.values() if isinstance(one, dict) else one)
                if isinstance(v, (dict, list))
            ]
            if isinstance(document, (dict, list))
            else []
        )
        if not level:
            return document
    raise Refused(f"{whose} returned more than {DEPTH} lists and objects inside each other: refused.")


def page(told: Any, whose: str) -> Raw:
    """Check that a document is a page of a search or of collections.

    Raises
    ------
    Refused
        If it is not one.
    """
    if not isinstance(told, dict):
        raise Refused(f"{whose} did not return a page of Items: check its address.")
    for name in ("features", "collections", "links"):
        if not (isinstance(told.get(name, []), list) and all(isinstance(v, dict) for v in told.get(name, []))):
            raise Refused(
                f"{whose} returned a page whose {name} are not a list of objects: it is not a STAC API, or it has "
                "a fault."
            )
    return told


def document(told: Any, base: str, whose: str, *, files: bool = False) -> Raw:
    """Check a catalogue, a collection or an Item against STAC, and make its addresses absolute.

    Parameters
    ----------
    told
        The parsed document; it is changed.
    base
        Its address, for relative ones.
    whose
        The name of the catalogue in error messages.
    files
        Whether it may name files of this machine. If not, they are marked as being elsewhere, and are not opened.

    Raises
    ------
    Refused
        If it is not one; the sentence says why.
    """
    if not isinstance(told, dict):
        raise Refused(f"{whose} returned a {type(told).__name__} instead of an Item or a collection.")
    name = told.get("id")
    if not isinstance(name, str) or not 0 < len(name) <= _LONGEST or shown(name) != name:
        raise Refused(f"{whose} returned a document whose id is not a name ({str(name)[:80]!r}).")
    try:
        hold(told)
        own = next((link["href"] for link in told.get("links") or () if link["rel"] == "self"), "")
        base = own if urlsplit(own).scheme in ("http", "https") else base
        for link in told.get("links") or ():
            link["href"] = _whole(link["href"], base, files)
        for asset in (told.get("assets") or {}).values():
            asset["href"] = _whole(asset["href"], base, files)
            for other in (asset.get("alternate") or {}).values():
                if "href" in other:
                    other["href"] = _whole(other["href"], base, files)
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
        raise Refused(
            f"{whose} returned {name!r}, which is not valid STAC ({error or type(error).__name__})."
        ) from error
    return told


def _hold_asset(key: str, asset: Any) -> None:
    others = asset.get("alternate") or {} if isinstance(asset, dict) else None
    if not isinstance(asset, dict) or not isinstance(asset.get("href"), str):
        raise TypeError(f"its asset {key!r} has no href")
    if not isinstance(others, dict) or not all(
        isinstance(o, dict) and isinstance(o.get("href", ""), str) for o in others.values()
    ):
        raise TypeError(f"the alternate of its asset {key!r} has no href")
    roles = asset.get("roles") or []
    if not isinstance(roles, list) or not all(isinstance(r, str) for r in roles):
        raise TypeError(f"the roles of its asset {key!r} are not a list of words")
    for field in ("type", "title", "description"):
        if not isinstance(asset.get(field) or "", str):
            raise TypeError(f"the {field} of its asset {key!r} is not text")


def _hold_properties(properties: dict[str, Any]) -> None:
    for key, value in properties.items():
        if key in _TEXTS and not isinstance(value or "", str):
            raise TypeError(f"its {key} is not text")
        if key in _NUMBERS and value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise TypeError(f"its {key} is not a number")


def hold(told: Raw) -> None:
    """Check a document against STAC, whoever wrote it.

    Raises
    ------
    TypeError, ValueError
        If a field that this package or pystac uses has another type than in STAC.
    """
    for key, kind in _KINDS.items():
        if told.get(key) is not None and not isinstance(told[key], kind):
            raise TypeError(f"its {key} is a {type(told[key]).__name__}")
    for link in told.get("links") or ():
        if not isinstance(link, dict) or not isinstance(link.get("href"), str) or not isinstance(link.get("rel"), str):
            raise TypeError("a link has no href or no rel")
    for key, asset in (told.get("assets") or {}).items():
        _hold_asset(key, asset)
    if told.get("type") == "Feature":
        if not isinstance(told.get("properties"), dict):
            raise TypeError("it has no properties")
        _hold_properties(told["properties"])
        bounds = told.get("bbox")
        if bounds is not None and (len(bounds) not in (4, 6) or not all(isinstance(b, (int, float)) for b in bounds)):
            raise TypeError("its bbox is not four or six numbers")
        if told.get("geometry") is not None:
            try:
                shape(told["geometry"])
            except Exception as error:  # shapely and numpy raise many kinds
                raise ValueError(f"its geometry is not valid: {error}") from error


_KINDS: dict[str, type] = {
    "type": str,
    "stac_version": str,
    "stac_extensions": list,
    "collection": str,
    "geometry": dict,
    "bbox": list,
    "properties": dict,
    "links": list,
    "assets": dict,
    "title": str,
    "description": str,
    "extent": dict,
    "conformsTo": list,
}
_TEXTS = {
    "datetime",
    "start_datetime",
    "end_datetime",
    "published",
    "created",
    "updated",
    "identifier",
    "platform",
    "grid:code",
}
_NUMBERS = {"eo:cloud_cover"}


def _whole(href: str, base: str, files: bool) -> str:
    """Make an address absolute as in RFC 3986: a path belongs to the server that names it, never to this machine."""
    if _PLAIN.fullmatch(href):
        return href
    absolute = urljoin(base, href)
    scheme = urlsplit(absolute).scheme
    if (scheme.partition("+")[0] == "zip" or "::" in absolute) and not files:
        # fsspec's and rasterio's spellings of a member of a zip, which may be a file of this machine.
        if urlsplit(spelling.understood(absolute).address).scheme not in ("http", "https", "s3"):
            return f"{ELSEWHERE}:///{quote(absolute)}"
        return absolute
    if scheme == "file" and not files:
        path = absolute.partition(":")[2].removeprefix("//")
        # With two slashes: pystac would read others as relative.
        return f"{ELSEWHERE}://{path if '/' in path else f'/{path}'}"
    if not scheme:
        raise ValueError(f"{href!r} is a relative address, and the document has no address of its own")
    return absolute
