"""One product as a folder of GeoTIFFs, with its Item."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any
from uuid import uuid4

import pystac
import rasterio

from geodes_lab.conversion import band_file
from geodes_lab.conversion.band_file import Written
from geodes_lab.errors import GeodesError
from geodes_lab.products import as_item, bands, unpack
from geodes_lab.util import file_name

_SOFTWARE = "https://stac-extensions.github.io/processing/v1.2.0/schema.json"
_FILE = "https://stac-extensions.github.io/file/v2.1.0/schema.json"
# What describes the files of the source, and is not true of the new ones.
_OF_THE_SOURCE = ("geodes:stored", "geodes:tile", "geodes:overviews", "geodes:promise", "geodes:native", "geodes:band")


@dataclass(frozen=True)
class Scene:
    """A converted product."""

    folder: Path
    """Its folder, with a file for each band, and its Item."""
    item: Path
    """The file of its Item."""
    bands: Mapping[str, Written]
    """Its bands, by name."""


def convert(product: Any, names: Sequence[str] | None, above: Path) -> Scene:
    """Convert bands of a product; its folder appears when all of them are written and compared.

    Parameters
    ----------
    product
        An Item, a dictionary of one, a path or a URL.
    names
        Bands by any of their names; None: all that have a map grid.
    above
        The folder that gets the product's folder.

    Raises
    ------
    GeodesError
        If the product cannot be read, has no band with a map grid, or a written file differs from its source. Nothing
        of it is left then.
    """
    item = as_item(product)
    described = unpack(item, names)
    keys = _chosen(described, names)
    target = above / folder_name(item)
    partial = above / f".{target.name}.{uuid4().hex}.partial"
    partial.mkdir(parents=True)
    try:
        written = {key: _band(described, key, partial) for key in keys}
        document = _item(item, described, written, target.name)
        (partial / f"{target.name}.json").write_text(json.dumps(document.to_dict(transform_hrefs=False), indent=1))
        _put(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    written = {key: replace(file, path=target / file.path.name) for key, file in written.items()}
    return Scene(target, target / f"{target.name}.json", written)


def there(item: pystac.Item, names: Sequence[str] | None, above: Path) -> Scene | None:
    """The product as it was converted before; None if it was not, or its files are not as its Item says.

    Raises
    ------
    GeodesError
        If it was converted with other bands.
    """
    folder = above / folder_name(item)
    try:
        document = pystac.Item.from_dict(json.loads((folder / f"{folder.name}.json").read_text()))
    except (OSError, ValueError, KeyError, pystac.STACError):
        return None
    if absent := [name for name in names or () if not bands.has(document, name)]:
        raise GeodesError(
            f"{folder} has no band {', '.join(absent)}, only {', '.join(document.assets)}: give overwrite=True, or "
            "another directory."
        )
    written = {}
    for key, asset in document.assets.items():
        path, fields = folder / Path(asset.href).name, asset.extra_fields
        if not path.is_file() or path.stat().st_size != fields.get("file:size"):
            return None
        written[key] = Written(path, path.stat().st_size, str(fields.get("file:checksum")))
    return Scene(folder, folder / f"{folder.name}.json", written)


def folder_name(item: pystac.Item) -> str:
    """The name of a product's folder.

    Raises
    ------
    GeodesError
        If no file may have the product's name.
    """
    name = re.sub(r"(\.SAFE|\.SEN3|\.zip)+$", "", bands.name_of(item), flags=re.IGNORECASE)
    if not file_name.is_safe(name):
        raise GeodesError(
            f"The product {name!r} has a name that no file may have (a path, a hidden file, or odd characters): give "
            "the Item another id, or its properties another identifier."
        )
    return name


def _chosen(described: pystac.Item, names: Sequence[str] | None) -> list[str]:
    if names is not None:
        return list(dict.fromkeys(bands.source(described, name).band for name in names))
    keys = [k for k, a in described.assets.items() if "proj:transform" in a.extra_fields]
    keys = [k for k in keys if "geodes:native" not in described.assets[k].extra_fields]
    if not keys:
        raise GeodesError(
            f"{bands.name_of(described)} has no band with a map grid of its own, so that no GeoTIFF can have the same "
            "numbers: open it with gl.open_cube, which puts it on a grid, and save that with gl.save."
        )
    return keys


def _band(described: pystac.Item, key: str, folder: Path) -> Written:
    source = bands.source(described, key)
    if source.native is not None:
        raise GeodesError(
            f"Band {key} of {source.product} has no map grid of its own, so that no GeoTIFF can have the same numbers: "
            "open it with gl.open_cube, which puts it on a grid, and save that with gl.save."
        )
    kind = str(described.assets[key].extra_fields.get("data_type") or source.dtype)
    name = bands.plain(key)
    if not file_name.is_safe(name):
        raise GeodesError(f"{source.product} has a band {key!r}, which no file can be named after: leave it out.")
    return band_file.write(source, kind, folder / f"{name}.tif")


def _item(item: pystac.Item, described: pystac.Item, written: Mapping[str, Written], name: str) -> pystac.Item:
    """Describe the new files: the catalogue's properties, and the assets' own grid and radiometry."""
    document = item.clone()
    document.id = f"{name}.cog"
    document.links = []
    document.collection_id = None
    document.bbox, document.geometry = described.bbox, described.geometry
    document.datetime = described.datetime
    document.properties = {k: v for k, v in described.properties.items() if not k.startswith("geodes:source")}
    document.properties["identifier"] = bands.name_of(item)
    document.properties["processing:software"] = {
        "geodes_lab": version("geodes-lab"),
        "GDAL": rasterio.__gdal_version__,
    }
    document.properties["processing:lineage"] = (
        "The numbers of the product's own files, each compared after writing; no-data and saturation are unchanged."
    )
    document.stac_extensions = sorted({*described.stac_extensions, _SOFTWARE, _FILE})
    document.assets = {}
    for key, file in written.items():
        asset = described.assets[key].clone()
        asset.href, asset.media_type = f"./{file.path.name}", pystac.MediaType.COG
        asset.extra_fields = {k: v for k, v in asset.extra_fields.items() if k not in _OF_THE_SOURCE}
        asset.extra_fields |= {"file:size": file.size, "file:checksum": file.checksum}
        document.assets[key] = asset
    if (origin := item.get_self_href() or _whole(item)) is not None:
        link = pystac.Link("derived_from", origin, media_type="application/geo+json", title=bands.name_of(item))
        document.links.append(link)
    return document


def _whole(item: pystac.Item) -> str | None:
    """The address of the product's own file; without a signature, which is nobody else's to have."""
    hrefs = [a.href for a in item.assets.values() if "data" in (a.roles or ["data"])]
    return hrefs[0].partition("?")[0] if hrefs else None


def _put(partial: Path, target: Path) -> None:
    """Give a complete folder its name; one that is there makes way, and is removed last."""
    old = target.with_name(f".{target.name}.{uuid4().hex}.old")
    if target.exists():
        target.rename(old)
    partial.rename(target)
    shutil.rmtree(old, ignore_errors=True)
