"""The metadata of products from CNES's MUSCATE centre, ``*_MTD_ALL.xml``: time, grids, bands, numbers.

One layout serves Sentinel-2, Venµs, Landsat and SPOT. This follows the public descriptions of CNES and CESBIO, and open
readers (MAJA, WASP, SNAP).
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import pystac

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products.metadata import Document

# STAC's common names with the range of their wavelengths and the best one, in micrometres; the first that fits is used,
# so that a sensor's only near infrared is ``nir``.
_COMMON = {
    "blue": (0.45, 0.53, 0.490),
    "green": (0.51, 0.58, 0.560),
    "red": (0.63, 0.69, 0.665),
    "nir": (0.77, 0.90, 0.842),
    "swir16": (1.55, 1.75, 1.610),
    "swir22": (2.05, 2.35, 2.190),
    "coastal": (0.40, 0.45, 0.443),
    "yellow": (0.58, 0.63, 0.600),
    "rededge071": (0.69, 0.73, 0.705),
    "rededge075": (0.73, 0.76, 0.740),
    "rededge078": (0.76, 0.80, 0.783),
    "nir08": (0.83, 0.89, 0.865),
    "nir09": (0.90, 0.98, 0.945),
    "cirrus": (1.35, 1.40, 1.375),
}

# Centres of bands in micrometres, for metadata without them; from the makers of the instruments.
_NOMINAL = {
    "VENUS": {
        "B1": 0.420,
        "B2": 0.443,
        "B3": 0.490,
        "B4": 0.555,
        "B5": 0.620,
        "B6": 0.620,
        "B7": 0.667,
        "B8": 0.702,
        "B9": 0.742,
        "B10": 0.782,
        "B11": 0.865,
        "B12": 0.910,
    },
    "LANDSAT8": {"B1": 0.443, "B2": 0.482, "B3": 0.561, "B4": 0.655, "B5": 0.865, "B6": 1.609, "B7": 2.201},
    "LANDSAT": {"B1": 0.485, "B2": 0.560, "B3": 0.660, "B4": 0.830, "B5": 1.650, "B7": 2.215},
    "SPOT": {
        "XS1": 0.545,
        "XS2": 0.645,
        "XS3": 0.835,
        "SWIR": 1.665,
        "B1": 0.545,
        "B2": 0.645,
        "B3": 0.835,
        "B4": 1.665,
    },
}


@dataclass(frozen=True)
class Grid:
    """The grid of the files in one resolution group."""

    transform: tuple[float, float, float, float, float, float]
    """Pixel to CRS, as in ``proj:transform``."""
    shape: tuple[int, int]
    """Rows and columns."""

    @property
    def resolution(self) -> float:
        """Size of a pixel, in metres."""
        return self.transform[0]


class Metadata:
    """The metadata of one product; read at once, a few hundred kB.

    Parameters
    ----------
    archive
        The product's members.

    Raises
    ------
    GeodesError
        If they are missing or damaged, or have no grid; other missing fields raise an error when they are used.
    """

    def __init__(self, archive: Archive) -> None:
        member = archive.find(r"[^/]+_MTD_ALL\.xml", "product metadata (*_MTD_ALL.xml)")
        self.document = Document(archive, member)
        """The XML document, for other fields."""
        self.name = member.rsplit("/", 1)[-1].removesuffix("_MTD_ALL.xml")
        """The product's name, the prefix of its files."""
        self.epsg = self.document.epsg(".//HORIZONTAL_CS_CODE")
        """The EPSG code of all its grids."""
        self.grids = {str(g.get("group_id")): self._grid(g) for g in self.document.root.iter("Group_Geopositioning")}
        """Grids by group: ``R1`` (10 m) and ``R2`` (20 m) of Sentinel-2, ``XS`` of the others."""
        if not self.grids:
            raise GeodesError(
                f"{self.document.name} has no Group_Geopositioning, so the position of its grid is not known: fetch "
                "the product again."
            )

    def _grid(self, group: ET.Element) -> Grid:
        x, y, dx, dy, rows, cols = (
            self.document.number(tag, group) for tag in ("ULX", "ULY", "XDIM", "YDIM", "NROWS", "NCOLS")
        )
        if not (dx > 0 > dy and rows >= 1 and cols >= 1 and all(map(math.isfinite, (x, y, dx, dy, rows, cols)))):
            raise GeodesError(
                f"{self.document.name} has a grid without pixels, or whose rows run north: it is damaged."
            )
        return Grid((dx, 0.0, x, 0.0, dy, y), (int(rows), int(cols)))

    @property
    def time(self) -> datetime:
        """The acquisition time, UTC; for a synthesis, its reference day."""
        text = self.document.text(".//Product_Characteristics/ACQUISITION_DATE")
        try:
            result = pystac.utils.str_to_datetime(text)
        except ValueError:
            raise GeodesError(f"ACQUISITION_DATE in {self.document.name} is not a date: {text!r}.") from None
        return result if result.tzinfo else result.replace(tzinfo=UTC)  # Venµs leaves the Z away

    @property
    def platform(self) -> str:
        """The satellite in MUSCATE's spelling, such as ``SENTINEL2A`` or ``VENUS``; empty if unknown."""
        return (self.document.root.findtext(".//Product_Characteristics/PLATFORM") or "").strip()

    @property
    def wavelengths(self) -> dict[str, float]:
        """Return the centres of the bands in micrometres, by MUSCATE's names; nominal ones if there are none."""
        result = nominal(self.name)
        for band in self.document.root.iter("Spectral_Band_Informations"):
            if band.find("Wavelength/CENTRAL") is not None:
                value = self.document.number("Wavelength/CENTRAL", band)
                result[str(band.get("band_id"))] = round(value / 1000 if value > 100 else value, 6)  # most are in nm
        return result

    def grid_of(self, band: str, resolution: float | None = None) -> Grid:
        """The grid of a band.

        Parameters
        ----------
        band
            MUSCATE's name, such as ``B4``.
        resolution
            The known pixel size in metres, if there are several groups and the metadata do not say which.

        Raises
        ------
        GeodesError
            If the metadata do not have it.
        """
        if len(self.grids) == 1:
            return next(iter(self.grids.values()))
        groups = [str(g.get("group_id")) for g in self.document.root.iter("Group") if band in _bands(g)]
        for spectrum in self.document.root.iter("Spectral_Band_Informations"):
            if spectrum.get("band_id") == band and spectrum.find("SPATIAL_RESOLUTION") is not None:
                resolution = self.document.number("SPATIAL_RESOLUTION", spectrum)
        alike = [grid for grid in self.grids.values() if grid.resolution == resolution]
        result = [self.grids[g] for g in groups if g in self.grids] or alike
        if not result:
            raise GeodesError(f"{self.document.name} does not give the grid of its band {band}: it is damaged.")
        return result[0]

    def bands_of(self, group: str) -> list[str]:
        """Return the bands of a resolution group, in the order of their bits in masks; empty if unknown."""
        several = [g for g in self.document.root.iter("Group") if g.get("group_id") == group]
        return [(b.text or "").strip() for g in several[:1] for b in g.iter("BAND_ID")]

    def quantification(self, of: str = "REFLECTANCE") -> float:
        """Return the divisor of numbers: of ``REFLECTANCE``, or another word before ``_QUANTIFICATION_VALUE``.

        Raises
        ------
        GeodesError
            If it is missing, or not a positive number.
        """
        result = self.document.number(f".//{of}_QUANTIFICATION_VALUE")
        if not result > 0:
            raise GeodesError(f"{of}_QUANTIFICATION_VALUE in {self.document.name} is {result:g}: it is damaged.")
        return result

    def nodata(self, name: str = "nodata") -> float:
        """Return the number for no data, by the name of the special value.

        Raises
        ------
        GeodesError
            If it is missing.
        """
        return self.document.number(f".//SPECIAL_VALUE[@name='{name}']")


def _bands(group: ET.Element) -> set[str]:
    return {(b.text or "").strip() for b in group.iter("BAND_ID")}


def nominal(product: str) -> dict[str, float]:
    """Return the centres of the bands of a product's instrument in micrometres, from its name; all possible bands."""
    return dict(next((bands for platform, bands in _NOMINAL.items() if product.startswith(platform)), {}))


def common_names(wavelengths: Mapping[str, float]) -> dict[str, str]:
    """Assign STAC's common names to bands by their wavelengths; each name once.

    Parameters
    ----------
    wavelengths
        Centres in micrometres, by band; without panchromatic bands.

    Returns
    -------
    dict
        Common names by band; a band may have none.
    """
    result: dict[str, str] = {}
    for name, (low, high, best) in _COMMON.items():
        fitting = [b for b, centre in wavelengths.items() if low <= centre <= high and b not in result]
        if fitting:  # of two as near as 5 nm the first: Venµs has one band twice
            result[min(fitting, key=lambda b: round(abs(wavelengths[b] - best) / 0.005))] = name
    return result
