"""Earlier behaviour of ESA's Sentinel-1 processor (IPF), and how it is corrected here."""

from __future__ import annotations

import re

from geodes_lab.errors import GeodesError
from geodes_lab.products.sentinel1 import border as sentinel1_border
from geodes_lab.products.sentinel1 import documents
from geodes_lab.products.sentinel1.calibration import Noise
from geodes_lab.products.sentinel1.image import Image
from geodes_lab.storage.object_location import ObjectLocation


def version_of(processor: str) -> float | None:
    """Return the version of the processor as a comparable number, such as 2.36; None if there is none."""
    number = re.fullmatch(r"(\d+\.\d+)\S*", processor.strip())
    return float(number[1]) if number else None


def border(place: ObjectLocation, image: Image, processor: str) -> str | None:
    """Return the noise that detects the border of an image, if it has one; the noise of an old product is read."""
    version = version_of(processor)
    is_old = version is not None and version < sentinel1_border.SINCE
    return image.noise if is_old and _noise(place, image, version) else None


def treated(place: ObjectLocation, image: Image, subtracted: str | None, processor: str) -> str:
    """Describe the corrections to an old image that newer processors do themselves; empty: none.

    ``subtracted`` is the noise that is subtracted, if any.
    """
    version = version_of(processor)
    if version is None or version >= sentinel1_border.SINCE:
        return ""
    noise, words = _noise(place, image, version), []
    if subtracted and noise and noise.scale != 1:
        words.append(f"the noise is multiplied by {noise.scale:.4g} (k · dn), as before 2.5")
    if noise:
        words.append("the border below the noise is masked, as before 2.9")
    else:
        words.append("the border is not masked, since the product says no noise that is understood")
    return f"IPF {processor}: {'; '.join(words)}"


def _noise(place: ObjectLocation, image: Image, version: float | None) -> Noise | None:
    """Return the noise of an image, if it has one in known units."""
    if image.noise is None:
        return None
    try:
        return documents.noise(place, image.noise, image.calibration, image.annotation.mode, version)
    except GeodesError:
        return None
