"""What ESA's processor of Sentinel-1 (IPF) did otherwise before, and what is done about it here."""

from __future__ import annotations

import re

from geodes_lab.datalake import Place
from geodes_lab.errors import GeodesError
from geodes_lab.products import sentinel1_border, sentinel1_calibration, sentinel1_kept
from geodes_lab.products.sentinel1_image import Image


def version_of(processor: str) -> float | None:
    """The version of the processor as a number that compares, such as 2.36; None if it is none."""
    found = re.fullmatch(r"(\d+\.\d+)\S*", processor.strip())
    return float(found[1]) if found else None


def border(place: Place, image: Image, processor: str) -> str | None:
    """The noise by which the border of an image is told, where there is one; that of an old product is read."""
    version = version_of(processor)
    if version is None or version >= sentinel1_border.SINCE or image.noise is None:
        return None
    try:
        sentinel1_kept.noise(place, image.noise, image.calibration, image.annotation.mode, version)
    except GeodesError:
        return None
    return image.noise


def treated(place: Place, image: Image, noise: str | None, processor: str) -> str:
    """What was made of an old image that of newer ones the processor does itself, in words; empty: nothing.

    ``noise`` is what is subtracted, if anything is.
    """
    version = version_of(processor)
    done = []
    if version is not None and version < sentinel1_border.SINCE:
        if noise and version < sentinel1_calibration.UNITS_SINCE:
            done.append("the noise was scaled by k · dn, as before 2.5")
        if border(place, image, processor):
            done.append("the border below the noise is masked, as before 2.9")
        else:
            done.append("the border is not masked, since the product says no noise that is understood")
    return f"IPF {processor}: {'; '.join(done)}" if done else ""
