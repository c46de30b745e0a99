"""One product as a folder of GeoTIFFs, with its Item."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pystac
import rasterio

from geodes_lab.conversion import band_file, derived_item
from geodes_lab.conversion.band_file import Written
from geodes_lab.errors import GeodesError
from geodes_lab.products import as_item, bands, unpack
from geodes_lab.raster.source import RasterSource
from geodes_lab.storage.whole_object.folder import ObjectFolder, waited
from geodes_lab.util import file_name, whole_folder

_ENDINGS = re.compile(r"(?:\.SAFE|\.SEN3|\.zip)+$", re.IGNORECASE)


@dataclass(frozen=True)
class Scene:
    """A converted product."""

    folder: str
    """The address of what has its bands: a folder of GeoTIFFs, or a cube."""
    item: Mapping[str, Any]
    """Its Item, as a dictionary with absolute addresses."""
    bands: Mapping[str, Written]
    """Its bands, by name."""


def convert(
    product: Any,
    names: Sequence[str] | None,
    above: ObjectFolder,
    *,
    work: Path | None = None,
    check: Callable[[], None] = lambda: None,
) -> Scene:
    """Convert bands of a product; its folder appears when all of them are written and compared.

    Parameters
    ----------
    product
        An Item, a dictionary of one, a path or a URL.
    names
        Bands by any of their names; None: all that have a map grid.
    above
        The folder that gets the product's folder. In a bucket, the Item comes last, and nothing names the files before.
    work
        Where files are written that go to a bucket; None: the machine's temporary folder.
    check
        Called before each band and before the folder appears; what it raises ends the conversion.

    Raises
    ------
    GeodesError
        If the product cannot be read, has no band with a map grid, or a written file differs from its source. Nothing
        of it is left then.
    """
    item = as_item(product)
    described = unpack(item, names)
    keys = chosen(described, names)
    name = folder_name(item)
    target = above.below(name)
    if above.is_disk:
        partial = above.path / f".{name}.{uuid4().hex}.partial"
        partial.mkdir(parents=True)
    else:
        partial = Path(tempfile.mkdtemp(prefix="geodes-lab-", dir=work))
    try:
        written = dict[str, Written]()
        for key in keys:
            check()
            written[key] = _band(described, key, partial)
        check()
        document = _item(item, described, written, name).to_dict(transform_hrefs=False)
        (partial / f"{name}.json").write_text(json.dumps(document, indent=1))
        if above.is_disk:
            whole_folder.put(partial, target.path)
        else:
            _upload(partial, target, written.values())
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return Scene(str(target), _absolute(document, target.href(f"{name}.json")), written)


def there(item: pystac.Item, names: Sequence[str] | None, above: ObjectFolder) -> Scene | None:
    """The product as it was converted before; None if it was not, or its files are not as its Item says.

    Raises
    ------
    GeodesError
        If it was converted with other bands.
    """
    name = folder_name(item)
    folder = above.below(name)
    if folder.is_disk:
        whole_folder.heal(folder.path)
    try:
        found = json.loads(waited(folder.read(f"{name}.json")) or b"")
        document = pystac.Item.from_dict(found)
    except (OSError, ValueError, KeyError, AttributeError, TypeError, pystac.STACError):
        return None
    if absent := [name for name in names or () if not bands.has(document, name)]:
        raise GeodesError(
            f"{folder} has no band {', '.join(absent)}, only {', '.join(document.assets)}: give overwrite=True, or "
            "another directory."
        )
    written = {}
    for key, asset in document.assets.items():
        file, fields = asset.href.rpartition("/")[2], asset.extra_fields
        if not file_name.is_safe(file) or (size := waited(folder.size(file))) is None or size != fields["file:size"]:
            return None
        written[key] = Written(file, size, str(fields.get("file:checksum")))
    return Scene(str(folder), _absolute(found, folder.href(f"{name}.json")), written)


def refuse_twins(items: Sequence[pystac.Item]) -> None:
    """Refuse two products of one name.

    Raises
    ------
    GeodesError
        If there are any.
    """
    names = [bands.name_of(i) for i in items]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise GeodesError(f"{twice[0]} is there {names.count(twice[0])} times: give each product once.")


def folder_name(item: pystac.Item) -> str:
    """The name of a product's folder.

    Raises
    ------
    GeodesError
        If no file may have the product's name.
    """
    return file_name.of_product(bands.name_of(item), _ENDINGS)


def chosen(described: pystac.Item, names: Sequence[str] | None) -> list[str]:
    """Return the keys of the bands to convert.

    Raises
    ------
    GeodesError
        If the product has not all of them, or none with a map grid.
    """
    if names is not None:
        return list(dict.fromkeys(bands.source(described, name).band for name in names))
    keys = [k for k, a in described.assets.items() if "proj:transform" in a.extra_fields]
    keys = [k for k in keys if "geodes:native" not in described.assets[k].extra_fields]
    if not keys:
        raise GeodesError(
            f"{bands.name_of(described)} has no band with a map grid of its own, so that no other file can have the "
            "same numbers: open it with gl.open_cube, which puts it on a grid, and save that with gl.save."
        )
    return keys


def own_grid(described: pystac.Item, key: str) -> RasterSource:
    """Return a band that has a map grid of its own.

    Raises
    ------
    GeodesError
        If it has none.
    """
    source = bands.source(described, key)
    if source.native is not None:
        raise GeodesError(
            f"Band {key} of {source.product} has no map grid of its own, so that no other file can have the same "
            "numbers: open it with gl.open_cube, which puts it on a grid, and save that with gl.save."
        )
    return source.resolved()


def file_stem(described: pystac.Item, key: str) -> str:
    """Return the name that a file or an array of a band has.

    Raises
    ------
    GeodesError
        If none may have it.
    """
    name = bands.plain(key)
    if not file_name.is_safe(name):
        raise GeodesError(
            f"{bands.name_of(described)} has a band {key!r}, which no file can be named after: leave it out."
        )
    return name


def _band(described: pystac.Item, key: str, folder: Path) -> Written:
    source = own_grid(described, key)
    kind = str(described.assets[key].extra_fields.get("data_type") or source.dtype)
    return band_file.write(source, kind, folder / f"{file_stem(described, key)}.tif")


def _item(item: pystac.Item, described: pystac.Item, written: Mapping[str, Written], name: str) -> pystac.Item:
    files = {
        key: (f"./{file.file}", {"file:size": file.size, "file:checksum": file.checksum})
        for key, file in written.items()
    }
    software = {"GDAL": rasterio.__gdal_version__}
    return derived_item.describe(item, described, files, f"{name}.cog", pystac.MediaType.COG, software)


def _absolute(document: dict[str, Any], href: str) -> dict[str, Any]:
    """Return the document with absolute addresses, and its own."""
    folder, assets = href.rpartition("/")[0], document["assets"]
    own = {"rel": "self", "href": href, "type": "application/geo+json"}
    return {
        **document,
        "links": [*document["links"], own],
        "assets": {k: {**a, "href": f"{folder}/{a['href'].rpartition('/')[2]}"} for k, a in assets.items()},
    }


def _upload(partial: Path, target: ObjectFolder, files: Any) -> None:
    """Bring files to a bucket, each read back there, the Item last; what failed leaves nothing behind."""
    names = [file.file for file in files]
    try:
        for file in files:
            waited(target.write(file.file, partial / file.file))
            band_file.confirm(target, file)
        waited(target.write(f"{target.place.name}.json", partial / f"{target.place.name}.json"))
    except BaseException:
        for name in names:
            waited(target.remove(name))
        raise
