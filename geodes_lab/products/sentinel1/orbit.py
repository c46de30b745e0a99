"""Orbit files of Sentinel-1 (``…_AUX_POEORB_….EOF``).

The satellite's positions, as they are known weeks after the image.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pystac

from geodes_lab import products
from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products.bands import name_of
from geodes_lab.products.metadata import Document
from geodes_lab.products.sentinel1.annotation import Annotation, Orbit
from geodes_lab.storage.location import locate
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.util import limits

Product = pystac.Item | dict[str, Any] | str | os.PathLike[str]

_NAME = re.compile(
    r"(?P<platform>S1[A-D])_OPER_AUX_(?P<kind>POEORB|RESORB)_\w{4}_(?P<produced>\d{8}T\d{6})"
    r"_V(?P<start>\d{8}T\d{6})_(?P<stop>\d{8}T\d{6})"
)
_KINDS = {"POEORB": "precise", "RESORB": "restituted"}
_AROUND = np.timedelta64(100, "s")  # around an image, whose states are kept


@dataclass(frozen=True)
class OrbitFile:
    """One orbit file, described by its name."""

    place: ObjectLocation
    """Its location; it may be in a zip."""
    name: str
    """Such as ``S1A_OPER_AUX_POEORB_OPOD_…``."""
    platform: str
    """Such as ``S1A``."""
    kind: str
    """``precise`` or ``restituted``."""
    produced: str
    """The time of creation, as in the name."""
    start: np.datetime64
    """The begin of its validity, UTC."""
    stop: np.datetime64
    """The end of its validity, UTC."""

    @property
    def note(self) -> str:
        """A description, for the attributes of a cube."""
        return f"{self.kind} orbit {self.name}"

    def covers(self, platform: str, annotation: Annotation) -> bool:
        """Whether it is valid for an image's satellite and time."""
        return bool(self.platform == platform and self.start <= annotation.start and annotation.stop <= self.stop)

    def orbit(self, annotation: Annotation) -> Orbit:
        """Return the states around the time of an image; the file is read.

        Raises
        ------
        GeodesError
            If it is damaged, is not Earth-fixed, or has too few states.
        """
        whole = _read(self)
        near = (whole.time >= annotation.start - _AROUND) & (whole.time <= annotation.stop + _AROUND)
        if near.sum() < 4:
            raise GeodesError(f"{self.name} has no orbit at {annotation.start}: it is damaged; fetch it again.")
        return Orbit(whole.time[near], whole.position[near], whole.velocity[near])


def of(files: Product | Iterable[Product]) -> tuple[OrbitFile, ...]:
    """Accept orbit files in any form: paths, addresses or Items; only their names are used, no file is read.

    Raises
    ------
    GeodesError
        If one is not an orbit file of Sentinel-1.
    """
    described = tuple(_of(file) for file in products.several(files, "The files of orbits="))
    if not described:
        raise GeodesError("orbits= is an empty list: give orbit files, or leave it out.")
    return described


def _of(file: Product) -> OrbitFile:
    if isinstance(file, (str, os.PathLike)):
        called, hrefs = "", [os.fspath(file)]
    else:
        item = products.as_item(file)
        called, hrefs = name_of(item), [a.get_absolute_href() or a.href for a in item.assets.values()]
    # An Item may have pictures too; and if an address has no name, the Item's id is the file's name.
    places = sorted(map(locate, hrefs), key=lambda p: _NAME.search(p.name) is None)
    for place in places[:1]:
        if name := _NAME.search(place.name) or _NAME.search(called):
            start, stop = (_time(name[key]) for key in ("start", "stop"))
            return OrbitFile(place, name[0], name["platform"], _KINDS[name["kind"]], name["produced"], start, stop)
    raise GeodesError(
        f"{called or hrefs[0]} is not an orbit file of Sentinel-1: give a file with ESA's name, such as "
        "S1A_OPER_AUX_POEORB_OPOD_….EOF, or a zip of it."
    )


def chosen(files: Iterable[OrbitFile], platform: str, annotation: Annotation) -> OrbitFile:
    """Choose the file for an image: precise before restituted, the newest of several.

    Raises
    ------
    GeodesError
        If none is valid for its satellite and time.
    """
    files = list(files)
    fit = [f for f in files if f.covers(platform, annotation)]
    if not fit:
        raise GeodesError(
            f"orbits= has no orbit of {platform} at {annotation.start.astype('datetime64[s]')}, the time of "
            f"{annotation.name}; it has {', '.join(f.name for f in files[:3])}{' …' if len(files) > 3 else ''}. Give "
            "the file of that day."
        )
    return max(fit, key=lambda f: (f.kind == "precise", f.produced))


def _time(text: str) -> np.datetime64:
    return np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:11]}:{text[11:13]}:{text[13:]}", "ns")


@lru_cache(maxsize=8)
def _read(file: OrbitFile) -> Orbit:
    place = file.place
    if place.read(0, 4) == b"PK\x03\x04":
        archive = Archive(place)
        document = Document(archive, archive.find(r"[^/]+\.EOF", "orbit (.EOF)"))
    else:
        limits.refuse(place.name, place.size(), limits.DOCUMENT)
        document = Document.of(place.href, place.read(0, place.size()))
    frame = document.text("Earth_Explorer_Header/Variable_Header/Ref_Frame")
    if frame != "EARTH_FIXED":
        raise GeodesError(
            f"{document.name} has an orbit in the reference frame {frame}, not EARTH_FIXED: give another file."
        )
    states = document.root.findall("Data_Block/List_of_OSVs/OSV")
    texts = [document.text("UTC", s).removeprefix("UTC=") for s in states]
    try:
        times = np.array(texts, "datetime64[ns]")
    except ValueError:
        raise GeodesError(f"{document.name} has an invalid time: it is damaged; fetch it again.") from None
    if len(times) < 4 or (np.diff(times) <= np.timedelta64(0)).any():
        raise GeodesError(
            f"The orbit in {document.name} has {len(times)} states, which are too few or out of order: it is damaged; "
            "fetch it again."
        )
    position, velocity = (
        np.array([[document.number(tag, s) for tag in tags] for s in states])
        for tags in (("X", "Y", "Z"), ("VX", "VY", "VZ"))
    )
    return Orbit(times, position, velocity)
