"""The Item of a converted product: what the product's Item says, about the new files."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import pystac

from geodes_lab.products import bands

_SOFTWARE = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
_FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
# What describes the files of the source, and is not true of the new ones.
_OF_THE_SOURCE = ("geodes:stored", "geodes:tile", "geodes:overviews", "geodes:promise", "geodes:native", "geodes:band")


def describe(
    item: pystac.Item,
    described: pystac.Item,
    files: Mapping[str, tuple[str, Mapping[str, Any]]],
    identifier: str,
    media: str,
    software: Mapping[str, str],
) -> pystac.Item:
    """Describe the new files: the catalogue's properties, and the assets' own grid and radiometry.

    Parameters
    ----------
    item, described
        The product, and its band Item.
    files
        Address and own fields of each new file, by band.
    identifier
        The new Item's id.
    media
        The media type of the files.
    software
        What wrote them, and its version, beside this package.
    """
    document = item.clone()
    document.id = identifier
    document.links = []
    document.collection_id = None
    document.bbox, document.geometry = described.bbox, described.geometry
    document.datetime = described.datetime
    document.properties = {k: v for k, v in described.properties.items() if not k.startswith("geodes:source")}
    document.properties["identifier"] = bands.name_of(item)
    document.properties["processing:software"] = {"geodes_lab": version("geodes-lab"), **software}
    document.properties["processing:lineage"] = (
        "The numbers of the product's own files, each compared after writing; no-data and saturation are unchanged."
    )
    document.stac_extensions = sorted({*described.stac_extensions, _SOFTWARE, _FILE})
    document.assets = {}
    for key, (href, fields) in files.items():
        asset = described.assets[key].clone()
        asset.href, asset.media_type = href, media
        asset.extra_fields = {k: v for k, v in asset.extra_fields.items() if k not in _OF_THE_SOURCE} | dict(fields)
        document.add_asset(key, asset)
    if (origin := item.get_self_href() or _whole(item)) is not None:
        link = pystac.Link("derived_from", origin, media_type="application/geo+json", title=bands.name_of(item))
        document.links.append(link)
    return document


def _whole(item: pystac.Item) -> str | None:
    """The address of the product's own file; without a signature, which is nobody else's to have."""
    hrefs = [a.href for a in item.assets.values() if "data" in (a.roles or ["data"])]
    return hrefs[0].partition("?")[0] if hrefs else None
