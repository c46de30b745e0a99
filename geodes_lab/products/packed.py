"""Products that are one zip or one folder: which asset it is, and where it is read from."""

from __future__ import annotations

from typing import Any, NamedTuple

import pystac

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products import assets
from geodes_lab.products.bands import name_of
from geodes_lab.storage import resolve
from geodes_lab.storage.object_location import ObjectLocation


class Whole(NamedTuple):
    """The file of a whole product, as its Item describes it."""

    hrefs: list[str]
    """Its addresses, in order of preference."""
    size: int | None
    """Its bytes, if the Item has them."""
    checksum: str | None
    """Its multihash in hexadecimal, if the Item has one."""
    media_type: str | None
    """Its media type."""


def is_one(item: pystac.Item) -> bool:
    """Whether an Item has an asset that holds the whole product."""
    return _found(item) is not None


def archive(item: pystac.Item) -> Archive:
    """Open the product of an Item, wherever it is; see `place`.

    Raises
    ------
    GeodesError
        If no asset is the whole product, or it cannot be reached anywhere.
    """
    return Archive(place(item))


def place(item: pystac.Item) -> ObjectLocation:
    """Find the product of an Item: in the mirror, else on the datalake's S3 where it is reachable, else over HTTPS.

    Raises
    ------
    GeodesError
        If no asset is the whole product, or it cannot be reached anywhere. Nothing is read except probes of the
        locations; a product whose only server does not support byte ranges is downloaded once (see
        `geodes_lab.storage.resolve`).
    """
    whole = described(item)
    return resolve.choose(whole.hrefs, size=whole.size, checksum=whole.checksum)


def described(item: pystac.Item) -> Whole:
    """Return what an Item says of the file of the whole product; nothing is read.

    Raises
    ------
    GeodesError
        If no asset is the whole product.
    """
    asset = _asset(item)
    others = asset.extra_fields.get("alternate", {}).values()
    fields = asset.extra_fields
    size: Any = fields.get("file:size")
    return Whole(
        [asset.href, *(o["href"] for o in others if "href" in o)],
        size,
        fields.get("file:checksum"),
        asset.media_type,
    )


def _asset(item: pystac.Item) -> pystac.Asset:
    whole = _found(item)
    if whole is None:
        raise GeodesError(
            f"{name_of(item)} has no asset with the whole product; its assets are: {', '.join(item.assets)}."
        )
    return whole


def _found(item: pystac.Item) -> pystac.Asset | None:
    named = (a for key in ("data", "product") if (a := item.assets.get(key)) and not assets.is_raster(a))
    zips = (a for a in item.assets.values() if "zip" in (a.media_type or "") or a.href.endswith(".zip"))
    return next(named, None) or next(zips, None)
