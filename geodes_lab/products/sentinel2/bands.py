"""The bands of Sentinel-2's MultiSpectral Instrument, and the files of one product that hold them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pystac

from geodes_lab.products import bands as bands_
from geodes_lab.raster.source import RasterSource


@dataclass(frozen=True)
class Band:
    """One spectral band of the MultiSpectral Instrument."""

    name: str
    """The name in file names, such as ``B8A``."""
    resolution: int
    """Metres a pixel."""
    common_name: str | None
    """STAC's common name."""
    wavelength: float
    """Centre, in micrometres."""
    title: str
    """A title for people."""


# In the order of the product's bandId, 0 to 12.
BANDS = (
    Band("B01", 60, "coastal", 0.443, "Coastal aerosol"),
    Band("B02", 10, "blue", 0.490, "Blue"),
    Band("B03", 10, "green", 0.560, "Green"),
    Band("B04", 10, "red", 0.665, "Red"),
    Band("B05", 20, "rededge071", 0.704, "Red edge 1"),
    Band("B06", 20, "rededge075", 0.740, "Red edge 2"),
    Band("B07", 20, "rededge078", 0.783, "Red edge 3"),
    Band("B08", 10, "nir", 0.842, "Near infrared"),
    Band("B8A", 20, "nir08", 0.865, "Narrow near infrared"),
    Band("B09", 60, "nir09", 0.945, "Water vapour"),
    Band("B10", 60, "cirrus", 1.375, "Cirrus"),
    Band("B11", 20, "swir16", 1.610, "Short-wave infrared 1"),
    Band("B12", 20, "swir22", 2.190, "Short-wave infrared 2"),
)
NUMBERS = {band.name: number for number, band in enumerate(BANDS)}

# Rows and columns of a JPEG 2000 tile by resolution, equal in all baselines; the file's header is checked before it is
# read.
TILES = {10: (1024, 1024), 20: (640, 640), 60: (192, 192)}


@dataclass(frozen=True)
class Image:
    """One image of a product."""

    key: str
    """The band's name, or ``B02_20m`` if the band exists at a finer resolution too."""
    band: str
    """The name in file names: ``B02``, ``AOT``, ``WVP``, ``SCL`` or ``TCI``."""
    resolution: int
    """Metres a pixel."""
    member: str
    """The path in the archive."""


def images(members: tuple[str, ...]) -> Iterator[Image]:
    """Find the images of a product by their names; level 2A has many bands at several resolutions.

    The image with the band's own resolution has the plain name; otherwise the finest.
    """
    by_band: dict[str, dict[int, str]] = {}
    for member in members:
        if match := re.search(r"_(B\d[\dA]|AOT|WVP|SCL|TCI)(?:_(\d\d)m)?\.jp2$", member):
            own = BANDS[NUMBERS[match[1]]].resolution if match[1] in NUMBERS else 10
            by_band.setdefault(match[1], {})[int(match[2] or own)] = member
    for band, files in by_band.items():
        own = BANDS[NUMBERS[band]].resolution if band in NUMBERS else 0
        main = own if own in files else min(files)
        for resolution, member in sorted(files.items()):
            yield Image(band if resolution == main else f"{band}_{resolution}m", band, resolution, member)


def names_of(image: Image) -> list[str]:
    """Return an image's names beside its key: only the image with the plain name has the common name."""
    common = BANDS[NUMBERS[image.band]].common_name if image.band in NUMBERS and image.key == image.band else None
    return [common] if common else []


_OTHERS = {
    "AOT": "Aerosol optical thickness at 550 nm",
    "WVP": "Water vapour of the column",
    "SCL": "Scene classification",
}
# The scene classification, in the order of its numbers.
CLASSES = (
    "no_data",
    "saturated_or_defective",
    "dark_area_pixels",
    "cloud_shadows",
    "vegetation",
    "not_vegetated",
    "water",
    "unclassified",
    "cloud_medium_probability",
    "cloud_high_probability",
    "thin_cirrus",
    "snow",
)


def asset(source: RasterSource, band: str) -> pystac.Asset:
    """Describe an image with numbers.

    Parameters
    ----------
    source
        The image; its band is the key.
    band
        The name in file names. Only the image with the plain name has the common name.
    """
    about = BANDS[NUMBERS[band]] if band in NUMBERS else None
    result = bands_.asset(
        source,
        common_name=about.common_name if about and source.band == band else None,
        wavelength=about.wavelength if about else None,
        title=f"{about.title} ({source.band})" if about else _OTHERS[band],
        media_type=pystac.MediaType.JPEG2000,
    )
    if band == "SCL":
        result.extra_fields["classification:classes"] = [{"value": n, "name": name} for n, name in enumerate(CLASSES)]
    return result
