"""Which members of a product belong to some of its bands, and which are its metadata."""

from __future__ import annotations

import re
from collections.abc import Sequence

from geodes_lab.archive.archive import Archive
from geodes_lab.downloading.job import Job
from geodes_lab.errors import GeodesError, nearest
from geodes_lab.products import bands as bands_
from geodes_lab.products import unpack

_MEASURES = re.compile(r"\.(?:jp2|tiff?|nc|h5|hdf5?|he5|dat|bin|img|zarr|gz)$", re.IGNORECASE)
# Sentinel-1 names all files of an image by its swath and its polarisation.
_RADAR = re.compile(r"(?:^|[/-])s1[a-d]-(?P<swath>[a-z0-9]+)-(?:grd|slc)-(?P<polarisation>hh|hv|vh|vv)-", re.IGNORECASE)
# Sentinel-2 names its masks by the band; B00 is for all.
_MASK = re.compile(r"/QI_DATA/[^/]*?_(?P<band>B\d[\dA])\w*\.\w+$")


def metadata(archive: Archive) -> list[str]:
    """Return the members without measurements: documents, small pictures, schemas."""
    return sorted(name for name in archive.names if not _MEASURES.search(name))


def of_bands(job: Job, archive: Archive, names: Sequence[str]) -> list[str]:
    """Return the members that some bands need: their images and masks, and the metadata that are not of other bands.

    Parameters
    ----------
    job
        The product.
    archive
        Its members; its metadata are read.
    names
        Bands by any of their names, or polarisations (``"vv"``; of SLC ``"iw1/vv"`` too).

    Raises
    ------
    GeodesError
        If it has no such band, or its bands are not in files of their own.
    """
    radar = {name: match for name in archive.names if (match := _RADAR.search(name))}
    if radar and any("slc" in match[0].lower() for match in radar.values()):
        return _of_slc(job, archive, names, radar)
    images, masks, letters = _images(job, names)
    if radar:
        kinds = {radar[image]["polarisation"].lower() for image in images if image in radar}
        others = {name for name, match in radar.items() if match["polarisation"].lower() not in kinds}
        return sorted(archive.names - others)
    members = set()
    for name in archive.names:
        mask = _MASK.search(name)
        if (
            name in images
            or name in masks
            or (mask and mask["band"] in letters)
            or (not _MEASURES.search(name) and not mask)
        ):
            members.add(name)
    return sorted(members)


def _images(job: Job, names: Sequence[str]) -> tuple[set[str], set[str], set[str]]:
    """Return the members with the images of bands, those with masks, and the bands' own names, with B00 for all."""
    item = unpack(job.item, list(names))
    images, letters = set(), {"B00"}
    for name in names:
        source = bands_.source(item, name)
        images.add(_member(job, source.href, name))
        letters.add(source.band.split("_")[0])
    masks = {
        _member(job, asset.href, key)
        for key, asset in item.assets.items()
        if "data-mask" in (asset.roles or ()) and "}/" in asset.href
    }
    return images, masks, letters


def _member(job: Job, path: str, name: str) -> str:
    """Return the member of the zip that GDAL would open by a path."""
    if not path.startswith("/vsizip/{"):
        raise job.fail(f"its band {name} is not in a file of its own; download the whole product, without bands=")
    return path.partition("}/")[2]


def _of_slc(job: Job, archive: Archive, names: Sequence[str], radar: dict[str, re.Match[str]]) -> list[str]:
    """Return the members of some polarisations of complex images; such images have no bands of a cube."""
    there = {(m["swath"].lower(), m["polarisation"].lower()) for m in radar.values()}
    known = sorted({p for _, p in there} | {f"{s}/{p}" for s, p in there})
    wanted = set[tuple[str, str]]()
    for name in names:
        swath, _, polarisation = name.lower().rpartition("/")
        matches = {(s, p) for s, p in there if p == polarisation and swath in ("", s)}
        if not matches:
            raise GeodesError(f"{job.name} has no {name!r}; it has {', '.join(known)}{nearest(name, known) or '.'}")
        wanted |= matches
    others = {name for name, m in radar.items() if (m["swath"].lower(), m["polarisation"].lower()) not in wanted}
    return sorted(archive.names - others)
