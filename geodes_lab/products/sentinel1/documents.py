"""The documents of Sentinel-1 images that a process caches: each is read once, for all chunks of all bands."""

from __future__ import annotations

from functools import lru_cache

from geodes_lab.archive.archive import Archive
from geodes_lab.products.sentinel1 import annotation as sentinel1_annotation
from geodes_lab.products.sentinel1 import calibration as sentinel1_calibration
from geodes_lab.products.sentinel1.annotation import Annotation, Orbit
from geodes_lab.products.sentinel1.calibration import Noise, Table
from geodes_lab.products.sentinel1.orbit import OrbitFile
from geodes_lab.storage.object_location import ObjectLocation


@lru_cache(maxsize=256)
def annotation(place: ObjectLocation, member: str) -> Annotation:
    """Return the annotation of an image."""
    return sentinel1_annotation.read(Archive(place), member)


@lru_cache(maxsize=256)
def tables(place: ObjectLocation, member: str) -> dict[str, Table]:
    """Return the calibration of an image."""
    return sentinel1_calibration.read(Archive(place), member)


@lru_cache(maxsize=256)
def noise(place: ObjectLocation, member: str, calibration: str, mode: str, version: float | None) -> Noise:
    """Return the noise of an image in squared digital numbers.

    See `geodes_lab.products.sentinel1.calibration.scaled`.
    """
    stored = sentinel1_calibration.noise(Archive(place), member)
    return sentinel1_calibration.scaled(stored, tables(place, calibration), mode, version, f"{member} of {place.href}")


@lru_cache(maxsize=64)
def orbit(file: OrbitFile, annotation: Annotation) -> Orbit:
    """Return the states of an orbit file around the time of an image."""
    return file.orbit(annotation)
