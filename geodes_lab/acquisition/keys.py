"""Keys of products in the datalake: GEODES's own scheme, a bucket for each type and then place and day."""

from __future__ import annotations

from datetime import datetime
from pathlib import PurePosixPath

from geodes_lab.acquisition.identity import Identity
from geodes_lab.errors import GeodesError

# Seen in GEODES: sentinel1-grd, sentinel2-l1c (by place and day), sentinel2-l2a-sprid (a folder for each processing).
# The names of other types follow them.
_SENTINEL1 = {"GRD": "sentinel1-grd", "SLC": "sentinel1-slc", "OCN": "sentinel1-ocn", "RAW": "sentinel1-raw"}


def key(identity: Identity, collection: str, ending: str, sensed: datetime | None) -> str:
    """Return the key of a product.

    Parameters
    ----------
    identity
        What it is.
    collection
        Names the bucket of types that GEODES's scheme does not have.
    ending
        Of its file, such as ``.zip``.
    sensed
        The begin of the acquisition.

    Raises
    ------
    GeodesError
        If nothing says when it was acquired.
    """
    sensed = identity.sensed or sensed
    if sensed is None:
        raise GeodesError(
            f"{identity.name} has no time of acquisition: nothing says where it is stored; it is refused."
        )
    day, file = f"{sensed:%Y/%m/%d}", f"{identity.name}{ending}"
    if identity.family == "sentinel2":
        level = "l1c" if identity.product_type == "S2MSI1C" else "l2a"
        zone, band, square = identity.tile[:2], identity.tile[2], identity.tile[3:]
        return f"sentinel2-{level}/{zone}/{band}/{square}/{day}/{file}"
    if identity.family == "sentinel1":
        return f"{_SENTINEL1.get(identity.product_type[:3], 'sentinel1')}/{day}/{file}"
    if identity.family == "sentinel3":
        return f"sentinel3-{identity.product_type.lower().replace('_', '-')}/{day}/{file}"
    return f"{collection.lower()}/{day}/{file}"


def beside(key: str, stamp: str) -> str:
    """Return another key for a product with the same name and other bytes: an object is never overwritten."""
    path = PurePosixPath(key)
    return str(path.parent / path.stem / stamp / path.name)
