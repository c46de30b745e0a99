"""The images of a Sentinel-1 product: for each, the measurement, its annotation, its calibration and its noise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import xarray as xr

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products.metadata import Document
from geodes_lab.products.sentinel1 import annotation as sentinel1_annotation
from geodes_lab.products.sentinel1.annotation import Annotation
from geodes_lab.raster.source import RasterSource

_STRIPS = 2**20  # bytes
_ANNOTATION = r"annotation/s1\w-[\w-]+\.xml"
# Swath (absent in names of ground range images), polarisation, number.
_MEASURED = re.compile(r"s1\w-(?P<swath>\w+)-(?P<kind>grd|slc)-(?P<polarisation>\w\w)-[\w-]*-(?P<number>\d{3})\.tiff")


@dataclass(frozen=True)
class Image:
    """One polarisation of a product."""

    member: str
    """The member with its annotation."""
    calibration: str
    """The member with its calibration."""
    noise: str | None
    """The member with its thermal noise; None if there is none, or it was already subtracted."""
    lacks_noise: bool
    """Whether the manifest lists that member, but it is missing."""
    source: RasterSource
    """The measurement: only the shape of its grid is used."""
    annotation: Annotation
    """The parsed annotation."""
    document: Document
    """The annotation's document."""


def images(archive: Archive) -> Iterator[Image]:
    """Find the images of a product; their annotations are read.

    Raises
    ------
    GeodesError
        If an image lacks its annotation, its calibration or its measurement.
    """
    members = archive.matching(_ANNOTATION)
    if not members:
        raise GeodesError(f"{archive.place.href} has no annotation file: the product is incomplete; fetch it again.")
    if not archive.matching(r"measurement/[^/]+\.tiff"):
        raise GeodesError(
            f"{archive.place.href} has no measurement (measurement/….tiff): fetch the images that you need."
        )
    listed = _listed(archive)
    for member in members:
        stem = member.rsplit("/", 1)[-1].removesuffix(".xml")
        document = Document(archive, member)
        annotation = sentinel1_annotation.understood(document)
        measured = archive.matching(rf"measurement/{re.escape(stem)}(-cog)?\.tiff")
        if not measured:
            continue  # see `missing`
        image = measured[0]
        noise = archive.matching(rf"annotation/calibration/noise-{re.escape(stem)}\.xml")
        yield Image(
            member=member,
            calibration=archive.find(
                rf"calibration-{re.escape(stem)}\.xml", f"{annotation.polarisation} calibration table"
            ),
            noise=noise[0] if noise and not annotation.noise_removed else None,
            lacks_noise=not noise and not annotation.noise_removed and f"noise-{stem}.xml" in listed,
            source=_source(archive, image, annotation),
            annotation=annotation,
            document=document,
        )


def missing(archive: Archive) -> list[str]:
    """Name the images that the manifest lists, or that are present in part, and that lack measurement or annotation.

    The product was downloaded in part.

    Returns
    -------
    list of str
        The polarisation, such as ``vh``; for complex images the path of the node, such as ``iw1/vh`` or
        ``wv1/vv/image_001``.
    """
    annotations = {m.rsplit("/", 1)[-1].lower().replace(".xml", ".tiff") for m in archive.matching(_ANNOTATION)}
    measured = {
        m.rsplit("/", 1)[-1].lower().replace("-cog.", ".") for m in archive.matching(r"measurement/[^/]+\.tiff")
    }
    several = dict.fromkeys(
        [*(name.replace("-cog.", ".") for name in _listed(archive)), *sorted(annotations | measured)]
    )
    labels = []
    for name in (m for m in map(_MEASURED.fullmatch, several) if m and m[0] not in annotations & measured):
        number = f"/image_{name['number']}" if name["swath"].startswith("wv") else ""
        is_grid = name["kind"] == "grd"
        labels.append(name["polarisation"] if is_grid else f"{name['swath']}/{name['polarisation']}{number}")
    return sorted(labels)


def _listed(archive: Archive) -> list[str]:
    """Return the names of the files in the manifest."""
    manifest = Document(archive, archive.find(r"manifest\.safe", "manifest (manifest.safe)"))
    return [str(e.get("href", "")).rsplit("/", 1)[-1].lower() for e in manifest.root.iter("fileLocation")]


def processor(archive: Archive) -> tuple[str, str]:
    """Return the product's name, and the version of its processor; empty if the manifest has none."""
    member = archive.find(r"manifest\.safe", "manifest (manifest.safe)")
    software = Document(archive, member).root.findall(".//software")
    versions = [s.get("version", "") for s in software if "IPF" in s.get("name", "")]
    return member.split("/")[0].removesuffix(".SAFE"), versions[0] if versions else ""


def _source(archive: Archive, member: str, annotation: Annotation) -> RasterSource:
    """Describe the image, whose grid is its rows and columns."""
    name = member.split("/")[0].removesuffix(".SAFE")
    return measurement(
        archive.gdal(member), name, annotation.polarisation.lower(), annotation.shape, archive.range(member)
    )


def measurement(
    href: str, product: str, band: str, shape: tuple[int, int], stored: tuple[int, int] | None
) -> RasterSource:
    """Describe an image without a map projection: its grid is its rows and columns."""
    # ESA's have a strip for each line, several of which are read at once; a COG has tiles.
    tile = (1024, 1024) if href.lower().endswith("-cog.tiff") else (max(_STRIPS // (2 * shape[1]), 1), shape[1])
    return RasterSource(href, product, band, 4326, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), shape, stored=stored, tile=tile)


def geolocation(told: Annotation) -> xr.Dataset:
    """Return the geolocation grid of an image as a node of a tree."""
    grid, dims = told.grid, ("grid_line", "grid_pixel")
    return xr.Dataset(
        {
            "height": (dims, grid.height, {"units": "m", "standard_name": "height_above_reference_ellipsoid"}),
            "incidence_angle": (dims, grid.incidence, {"units": "degree", "standard_name": "angle_of_incidence"}),
            "elevation_angle": (dims, grid.elevation, {"units": "degree"}),
            "slant_range_time": (dims, grid.slant_range_time, {"units": "s", "long_name": "two-way slant range time"}),
        },
        coords={
            "image_line": ("grid_line", grid.line.astype(int)),
            "image_pixel": ("grid_pixel", grid.pixel.astype(int)),
            "azimuth_time": (dims, grid.azimuth_time),
            "longitude": (dims, grid.longitude, {"units": "degrees_east", "standard_name": "longitude"}),
            "latitude": (dims, grid.latitude, {"units": "degrees_north", "standard_name": "latitude"}),
        },
    )
