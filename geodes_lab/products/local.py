"""The user's own products: a path or a URL becomes an Item."""

from __future__ import annotations

import re
from typing import Any

import pystac

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.formats.zarr.named import NAMED
from geodes_lab.storage import resolve, spelling
from geodes_lab.storage.location import locate

# The files by which other tools name a whole product.
_METADATA = re.compile(
    r"(?:^|/)(?:MTD_MSIL\w+\.xml|MTD_TL\.xml|S2\w_\w+_MTD_\w+\.xml|manifest\.safe|xfdumanifest\.xml|METADATA\.DIM|[^/]+_MTD_ALL\.xml)$",
    re.IGNORECASE,
)
_SAFE = re.compile(r"(?:^|/)([^/]+)\.(?:SAFE|SEN3)/", re.IGNORECASE)
# The type of a product whose name does not say it, by a member that only this type has.
_KINDS = {
    r"(?i:METADATA\.DIM)": "DIMAP",
    r"MTD_MSIL1C\.xml": "S2MSI1C",
    r"MTD_MSIL2A\.xml": "S2MSI2A",
    r"annotation/s1\w-\w\w-grd-[^/]+\.xml": "GRD",
    r"annotation/s1\w-\w\w\d?-slc-[^/]+\.xml": "SLC",
    r"measurement/s1\w-\w\w\d?-ocn-[^/]+\.nc": "OCN",
}


def item(href: str) -> pystac.Item:
    """Make a plain Item for a path or URL.

    Its ``identifier`` is the name of the SAFE folder, even if the zip was renamed; its time and footprint are unknown
    until the family reads the product's metadata.

    Raises
    ------
    GeodesError
        If there is nothing, the zip is damaged, or the folder contains no product.
    """
    address, member = spelling.understood(href)
    place = locate(address)
    if member and not _METADATA.search(member) and not member.endswith("/"):
        there = resolve.choose([address]) if place.scheme == "http" else place
        archive = Archive(there.gdal if there.scheme == "file" else address)
        if member in archive.names:
            return _bare(member.rsplit("/", 1)[-1], archive.gdal(member))
        if not any(n.startswith(f"{member}/") for n in archive.names):
            raise GeodesError(f"{address} has no member {member}; its members are {_some(archive.names)}.")
    if _METADATA.search(place.path) and not place.is_folder:
        address = _product_of(address)
        place = locate(address)
    href = address
    name, kind = place.name, None
    if store := NAMED.search(place.path):
        name = place.path[: store.start()].rsplit("/", 1)[-1]
    elif place.is_folder or name.lower().endswith(".zip") or (place.scheme == "http" and "." not in name):
        # From a server without byte ranges the file is downloaded once, as for an Item.
        there = resolve.choose([href]) if place.scheme == "http" else place
        archive = Archive(there.gdal if there.scheme == "file" else href)
        roots = {m.group(1) for m in map(_SAFE.search, archive.names) if m}
        if len(roots) > 1:
            raise GeodesError(f"{href} contains {len(roots)} products: give the path of one of them.")
        name = roots.pop() if roots else archive.name
        kind = next((k for pattern, k in _KINDS.items() if archive.matching(pattern)), None)
        # A folder that is a product itself has files directly in it, such as its metadata.
        is_bare = place.is_folder and name == archive.name and kind is None
        if is_bare and all(n.count("/") > 1 for n in archive.names):
            raise GeodesError(f"{href} is a folder, but not a product: give the product's own folder (.SAFE).")
    return _bare(name, href, kind)


def by_name(href: str) -> pystac.Item:
    """Make a plain Item from the name of a path or URL alone, to find its possible family; reads nothing."""
    is_dimap = href.lower().endswith("metadata.dim")
    if _METADATA.search(href):
        href = _product_of(href)
    name = re.sub(r"(\.(zip|SAFE|SEN3))+$", "", href.rstrip("/").rsplit("/", 1)[-1], flags=re.IGNORECASE)
    return _bare(name, href, "DIMAP" if is_dimap else None)


def _product_of(address: str) -> str:
    """Return the product of a metadata file, such as ``MTD_MSIL2A.xml``: GDAL's users name products so."""
    folders = address.split("/")[:-1]
    product = next(
        (n for n in range(len(folders), 0, -1) if folders[n - 1].lower().endswith((".safe", ".sen3"))), len(folders)
    )
    return "/".join(folders[:product]) or ("/" if address.startswith("/") else ".")


def _some(names: frozenset[str]) -> str:
    first = sorted(names)[:5]
    return ", ".join(first) + (f" and {len(names) - 5} others" if len(names) > 5 else "")


def _bare(name: str, href: str, kind: str | None = None) -> pystac.Item:
    unknown: dict[str, Any] = {"identifier": name, "start_datetime": None, "end_datetime": None}
    if kind:
        unknown["product:type"] = kind
    bare = pystac.Item(id=name, geometry=None, bbox=None, datetime=None, properties=unknown)
    bare.add_asset("data", pystac.Asset(href, roles=["data"]))
    return bare
