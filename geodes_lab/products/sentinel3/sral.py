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

# Of level 2 there are three files, each with all of the next; the first that is there is opened.
_FILES = (
    "enhanced_measurement.nc",
    "standard_measurement.nc",
    "reduced_measurement.nc",
    "measurement.nc",
    "measurement_l1a.nc",
    "measurement_l1bs.nc",
)
_BESIDE = "acquisition.nc"  # the echoes before the tracker had locked, which some level 1 has


def matches(item: pystac.Item) -> bool:
    """Whether an Item is such a product: by its name, or its collection."""
    collection = str(item.collection_id or item.properties.get("dataset") or "")
    return product_name.matches(name_of(item)) or collection == "PEPS_S3_L1"


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Refuse: a track has no pixels.

    Raises
    ------
    GeodesError
        Always; says what opens it.
    """
    raise GeodesError(
        f"{name_of(item)} is a track of an altimeter, not an image: it cannot join a cube; open it with "
        "gl.open_product, or several along time with gl.open_tracks."
    )


def open(item: pystac.Item) -> xr.DataTree:
    """Open a product as one node per rate and band, each along ``time``.

    Nodes are ``hz1``, ``ku``, ``c``, ``plrm`` (level 2), or ``ku``, ``plrm``, ``lrm`` (level 1), as far as the product
    has them; which variables they have, and how these are named, is told in `sentinel3_tracks`. Longitude (−180…180)
    and latitude are coordinates. Numbers are CF's: scaled, in their units, NaN where nothing was measured; flags are
    integers with their meanings. Of level 2 the most complete file is opened, ``attrs["measurement"]`` says which.
    Times are read now, since they are indexes; nothing else is.
    """
    tracks, attrs = stored(item)
    nodes = {"/": xr.Dataset(attrs=attrs), **{f"/{k}": sentinel3_tracks.finished(t) for k, t in tracks.items()}}
    return xr.DataTree.from_dict(nodes, name=str(attrs["title"]))


def stored(item: pystac.Item, variables: Sequence[str] | None = None) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Find the tracks of a product, as they are stored, and what the product says of itself.

    Parameters
    ----------
    item
        The product.
    variables
        Those that are needed; None: all.

    Returns
    -------
    tracks : dict of str to xarray.Dataset
        Of `sentinel3_tracks.split`; what describes the file has been read, no number.
    attrs : dict

    Raises
    ------
    GeodesError
        If the product has no measurements, or they are damaged.
    """
    archive = packed.archive(item)
    name = name_of(item)
    found = [path for file in _FILES for path in archive.matching(file.replace(".", r"\."))]
    if not found:
        raise GeodesError(f"{archive.place.href} has no measurements ({_FILES[0]}, {_FILES[3]}, …): fetch it again.")
    wanted = None if variables is None else sentinel3_tracks.needed(variables)
    flat = _file(archive, found[0], wanted)
    tracks = sentinel3_tracks.split(flat)
    if not set(tracks) - {sentinel3_tracks.OTHER}:
        raise GeodesError(f"{found[0]} in {archive.place.href} has no times: it is no product of SRAL, or damaged.")
    for path in archive.matching(_BESIDE.replace(".", r"\.")):
        tracks = sentinel3_tracks.split(_file(archive, path, wanted)) | tracks
    said = product_name.parse(name if product_name.matches(name) else str(flat.attrs.get("product_name")))
    kept = {k: v for k, v in flat.attrs.items() if not k.startswith("xref_")}
    attrs = {
        **kept,
        "title": said.text,
        "time": str(said.start),
        "source": archive.place.href,
        "Conventions": "CF-1.11",
        "processor": flat.attrs.get("source", ""),
        "measurement": found[0].rsplit("/", 1)[-1],
        "product_type": said.kind,
        "platform": said.platform,
        "cycle": said.cycle,
        "relative_orbit": said.orbit,
        "timeliness": said.timeliness,
        "baseline": said.baseline,
    }
    return tracks, attrs


def _file(archive: Archive, path: str, wanted: Callable[[str], bool] | None) -> xr.Dataset:
    name = f"{path.rsplit('/', 1)[-1]} in {archive.place.href}"
    return dataset.stored(archive.member(path), name, wanted=wanted)
