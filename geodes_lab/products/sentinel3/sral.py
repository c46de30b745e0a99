"""Sentinel-3's altimeter SRAL, level 1 (SR_1_SRA, _A, _BS) and level 2 (SR_2_LAN, SR_2_WAT, …): tracks, not images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pystac
import xarray as xr

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.formats.netcdf import dataset
from geodes_lab.products import packed
from geodes_lab.products.bands import name_of
from geodes_lab.products.sentinel3 import product_name
from geodes_lab.products.sentinel3 import tracks as sentinel3_tracks

# Level 2 has three files, each with all content of the next; the first available one is opened.
_FILES = (
    "enhanced_measurement.nc",
    "standard_measurement.nc",
    "reduced_measurement.nc",
    "measurement.nc",
    "measurement_l1a.nc",
    "measurement_l1bs.nc",
)
_BESIDE = "acquisition.nc"  # the echoes before the tracker locked, in some level 1 products


def matches(item: pystac.Item) -> bool:
    """Whether an Item is such a product: by its name, or its collection."""
    collection = str(item.collection_id or item.properties.get("dataset") or "")
    return product_name.matches(name_of(item)) or collection == "PEPS_S3_L1"


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Refuse: a track has no pixels.

    Raises
    ------
    GeodesError
        Always; the message says what opens it.
    """
    raise GeodesError(
        f"{name_of(item)} is an altimeter track, not an image: it cannot be part of a cube; open it with "
        "gl.open_product, or several along time with gl.open_tracks."
    )


def open(item: pystac.Item) -> xr.DataTree:
    """Open a product as one node per rate and band, each along ``time``.

    Nodes are ``hz1``, ``ku``, ``c``, ``plrm`` (level 2), or ``ku``, ``plrm``, ``lrm`` (level 1), if the product has
    them; `geodes_lab.products.sentinel3.tracks` describes their variables and names. Longitude (−180…180) and latitude
    are coordinates. Numbers are decoded with CF: scaled, in their units, NaN where nothing was measured; flags are
    integers with their meanings. In level 2 the most complete file is opened, and ``attrs["measurement"]`` names it.
    Times are read now, because they are indexes; nothing else is.
    """
    tracks, attrs = stored(item)
    nodes = {"/": xr.Dataset(attrs=attrs), **{f"/{k}": sentinel3_tracks.finished(t) for k, t in tracks.items()}}
    return xr.DataTree.from_dict(nodes, name=str(attrs["title"]))


def stored(item: pystac.Item, variables: Sequence[str] | None = None) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Find the tracks of a product, in stored form, and the product's attributes.

    Parameters
    ----------
    item
        The product.
    variables
        Those that are needed; None: all.

    Returns
    -------
    tracks : dict of str to xarray.Dataset
        From `geodes_lab.products.sentinel3.tracks.split`; the file's metadata have been read, no number.
    attrs : dict

    Raises
    ------
    GeodesError
        If the product has no measurements, or they are damaged.
    """
    archive = packed.archive(item)
    name = name_of(item)
    paths = [path for file in _FILES for path in archive.matching(file.replace(".", r"\."))]
    if not paths:
        raise GeodesError(f"{archive.place.href} has no measurements ({_FILES[0]}, {_FILES[3]}, …): fetch it again.")
    wanted = None if variables is None else sentinel3_tracks.needed(variables)
    flat = _file(archive, paths[0], wanted)
    tracks = sentinel3_tracks.split(flat)
    if not set(tracks) - {sentinel3_tracks.OTHER}:
        raise GeodesError(
            f"{paths[0]} in {archive.place.href} has no times: it is not a SRAL product, or it is damaged; fetch it "
            "again."
        )
    for path in archive.matching(_BESIDE.replace(".", r"\.")):
        tracks = sentinel3_tracks.split(_file(archive, path, wanted)) | tracks
    parsed_name = product_name.parse(name if product_name.matches(name) else str(flat.attrs.get("product_name")))
    attributes = {k: v for k, v in flat.attrs.items() if not k.startswith("xref_")}
    attrs = {
        **attributes,
        "title": parsed_name.text,
        "time": str(parsed_name.start),
        "source": archive.place.href,
        "Conventions": "CF-1.11",
        "processor": flat.attrs.get("source", ""),
        "measurement": paths[0].rsplit("/", 1)[-1],
        "product_type": parsed_name.kind,
        "platform": parsed_name.platform,
        "cycle": parsed_name.cycle,
        "relative_orbit": parsed_name.orbit,
        "timeliness": parsed_name.timeliness,
        "baseline": parsed_name.baseline,
    }
    return tracks, attrs


def _file(archive: Archive, path: str, wanted: Callable[[str], bool] | None) -> xr.Dataset:
    name = f"{path.rsplit('/', 1)[-1]} in {archive.place.href}"
    return dataset.stored(archive.member(path), name, wanted=wanted)
