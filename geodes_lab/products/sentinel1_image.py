"""The images of a Sentinel-1 product: a measurement each, its annotation, its calibration and its noise."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from geodes_lab.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products import sentinel1_annotation
from geodes_lab.products.sentinel1_annotation import Annotation
from geodes_lab.source import Source


@dataclass(frozen=True)
class Image:
    """One polarisation of a product."""

    member: str
    """The member that is its annotation."""
    calibration: str
    """The member that is its calibration."""
    noise: str | None
    """The member that says the thermal noise in it; None if there is none, or it was subtracted already."""
    source: Source
    """The measurement: of its grid the shape alone counts."""
    annotation: Annotation
    """What the annotation says."""


def images(archive: Archive) -> Iterator[Image]:
    """Find the images of a product; their annotations are read.

    Raises
    ------
    GeodesError
        If an image lacks its annotation, its calibration or its measurement.
    """
    members = archive.matching(r"annotation/s1\w-[\w-]+\.xml")
    if not members:
        raise GeodesError(
            f"{archive.place.href} has no annotation of an image: the product is incomplete; fetch it again."
        )
    for member in members:
        stem = member.rsplit("/", 1)[-1].removesuffix(".xml")
        told = sentinel1_annotation.read(archive, member)
        what = f"{told.polarisation} measurement ({stem}.tiff)"
        image = archive.find(rf"measurement/{re.escape(stem)}(-cog)?\.tiff", what)
        noise = archive.matching(rf"annotation/calibration/noise-{re.escape(stem)}\.xml")
        yield Image(
            member=member,
            calibration=archive.find(rf"calibration-{re.escape(stem)}\.xml", f"{told.polarisation} calibration table"),
            noise=noise[0] if noise and not told.noise_removed else None,
            source=_source(archive, image, told),
            annotation=told,
        )


def _source(archive: Archive, member: str, told: Annotation) -> Source:
    """The image, whose grid is its rows and columns."""
    stored, href = archive.range(member), archive.gdal(member)
    if stored is None and not archive.place.is_folder:
        href = archive.member(member).place.gdal  # compressed: extracted once, so that it can be read by parts
    name = member.split("/")[0].removesuffix(".SAFE")
    return measurement(href, name, told.polarisation.lower(), told.shape, stored)


def measurement(href: str, product: str, band: str, shape: tuple[int, int], stored: tuple[int, int] | None) -> Source:
    """Describe an image that lies on no map: its grid is its rows and columns."""
    return Source(href, product, band, 4326, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), shape, stored=stored, tile=(1024, 1024))
