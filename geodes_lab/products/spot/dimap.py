"""The DIMAP document of a Spot scene.

It describes the bands and their order in the file, the calibration, and the location.
"""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pystac

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products.metadata import Document
from geodes_lab.products.spot import location as spot_location
from geodes_lab.products.spot.location import Location
from geodes_lab.raster.source import RasterSource

MEMBER = r"(?i:METADATA\.DIM)"
_LARGEST = 100_000  # rows or columns; of the largest scenes 24 000
# By DIMAP's names: common name, centre in micrometres, title.
_BANDS = {
    "XS1": ("green", 0.545, "green"),
    "XS2": ("red", 0.645, "red"),
    "XS3": ("nir", 0.835, "near infrared"),
    "SWIR": ("swir16", 1.665, "short-wave infrared"),
    "PAN": ("pan", None, "panchromatic"),
}
_PAN = {"1": 0.615, "2": 0.615, "3": 0.615, "4": 0.645, "5": 0.595}  # micrometres, by the satellite's number
_ALIASES = {
    "B1": "XS1",
    "B2": "XS2",
    "B3": "XS3",
    "B4": "SWIR",
    "XS4": "SWIR",
    "P": "PAN",
    "M": "PAN",
    "HM": "PAN",
    "HMA": "PAN",
    "HMB": "PAN",
    "THX": "PAN",
    "THR": "PAN",
}


@dataclass(frozen=True)
class Band:
    """One band of a scene."""

    name: str
    """The name in the document, such as ``XS1``."""
    index: int
    """Its number in the file, from 1."""
    gain: float
    """Radiance = number / gain + bias."""
    bias: float
    irradiance: float | None
    """Irradiance of the sun at the top of the atmosphere, W m⁻² µm⁻¹, at the mean distance.

    None if the document has none.
    """
    key: str
    """Its common name, else its own in lower case."""
    common_name: str | None
    wavelength: float | None
    """Centre, in micrometres."""
    title: str
    """For people."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One scene."""

    name: str
    """The document's, such as ``40482610111291030381M``.

    Satellite, place on Spot's grid, time, instrument and mode.
    """
    satellite: str
    """Its number, ``1`` to ``5``."""
    instrument: str
    """With its mode, such as ``HRVIR1 I``."""
    time: datetime
    """The acquisition time, UTC."""
    shape: tuple[int, int]
    """Rows and columns."""
    dtype: str
    """The number type."""
    nodata: float
    """The number that stands for no data."""
    saturated: float | None
    """The number that stands for saturation; None if the document says none."""
    sun: tuple[float, float]
    """Azimuth and elevation, degrees."""
    bands: tuple[Band, ...]
    """By wavelength."""
    location: Location
    href: str
    """The path by which GDAL opens the image."""
    stored: tuple[int, int] | None
    """Where it is in its zip, if it is stored."""

    def source(self, band: Band) -> RasterSource:
        """Describe a band; only the shape of its grid is used."""
        plain = image(self.href, self.name, band.key, self.shape, self.stored)
        return replace(
            plain, index=band.index, nodata=self.nodata, saturated=self.saturated, scale=1 / band.gain, offset=band.bias
        )


def image(href: str, product: str, band: str, shape: tuple[int, int], stored: tuple[int, int] | None) -> RasterSource:
    """Describe an image without a map projection: its grid is its rows and columns."""
    return RasterSource(href, product, band, 4326, (1.0, 0.0, 0.0, 0.0, -1.0, 0.0), shape, stored=stored)


def read(archive: Archive) -> Scene:
    """Read the document of a scene.

    Raises
    ------
    GeodesError
        If it is missing or damaged, or does not say how numbers become radiance; or if there are several.
    """
    if len(scenes := archive.matching(MEMBER)) > 1:
        folders = ", ".join(s.rpartition("/")[0] for s in scenes)
        raise GeodesError(
            f"{archive.place.href} contains {len(scenes)} scenes: give the folder of one of them ({folders})."
        )
    member = archive.find(MEMBER, "scene's metadata (METADATA.DIM)")
    document = Document(archive, member)
    folder = member.rpartition("/")[0]
    data = document.root.find(".//Data_File/DATA_FILE_PATH")
    file = (data.get("href") if data is not None else None) or "IMAGERY.TIF"
    path = archive.find(f"(?i:{re.escape(f'{folder}/{file}' if folder else file)})", f"image ({file})")
    special = {
        (e.findtext("SPECIAL_VALUE_TEXT") or "").strip(): document.number("SPECIAL_VALUE_INDEX", e)
        for e in document.root.iter("Special_Value")
    }
    bits = document.number(".//Raster_Encoding/NBITS")
    if bits not in (8, 16):
        raise GeodesError(f"{document.name} has numbers of {bits:g} bits: only 8 and 16 are supported.")
    source = document.root.find(".//Scene_Source")
    date, clock = (document.text(tag, source) for tag in ("IMAGING_DATE", "IMAGING_TIME"))
    try:
        time = pystac.utils.str_to_datetime(f"{date}T{clock}Z").astimezone(UTC)
    except ValueError:
        raise GeodesError(f"IMAGING_DATE in {document.name} is not a date: {date!r} {clock!r}.") from None
    named = (document.root.findtext(f".//{tag}") for tag in ("Source_Information/SOURCE_ID", "Dataset_Id/DATASET_NAME"))
    name = next((n.strip() for n in named if n and n.strip()), archive.name)
    satellite = document.text("MISSION_INDEX", source)
    shape = _count(document, "NROWS"), _count(document, "NCOLS")
    return Scene(
        name=name,
        satellite=satellite,
        instrument=_instrument(source),
        time=time,
        shape=shape,
        dtype=f"uint{bits:.0f}",
        nodata=special.get("NODATA", 0.0),
        saturated=special.get("SATURATED"),
        sun=(document.number("SUN_AZIMUTH", source), document.number("SUN_ELEVATION", source)),
        bands=_bands(document, satellite),
        location=spot_location.read(document, name, shape),
        href=archive.gdal(path),
        stored=archive.range(path),
    )


def _count(document: Document, tag: str) -> int:
    result = document.number(f".//Raster_Dimensions/{tag}")
    if not 1 <= result <= _LARGEST:
        raise GeodesError(f"{tag} in {document.name} is {result:g}, which is not possible; fetch the product again.")
    return int(result)


def _instrument(source: ET.Element | None) -> str:
    tags = ("INSTRUMENT", "INSTRUMENT_INDEX", "SENSOR_CODE")
    name, number, mode = ((source.findtext(t) if source is not None else None) or "" for t in tags)
    return f"{name}{number} {mode}".strip()


def _bands(document: Document, satellite: str) -> tuple[Band, ...]:
    count = _count(document, "NBANDS")
    sun = {
        document.number("BAND_INDEX", e): document.number("SOLAR_IRRADIANCE_VALUE", e)
        for e in document.root.iter("Band_Solar_Irradiance")
    }
    infos = list(document.root.iter("Spectral_Band_Info"))
    listed = {document.number("BAND_INDEX", info): _name(info) for info in infos}
    result = []
    for info in infos:
        number, name = document.number("BAND_INDEX", info), _name(info)
        common, wavelength, title = _BANDS.get(name, (None, None, name))
        gain, bias = document.number("PHYSICAL_GAIN", info), document.number("PHYSICAL_BIAS", info)
        if not (0 < gain < math.inf and math.isfinite(bias)):
            raise GeodesError(
                f"PHYSICAL_GAIN of {name} in {document.name} is {gain:g}, PHYSICAL_BIAS {bias:g}: fetch the product "
                "again."
            )
        key = common or name.lower().replace(" ", "_")
        centre = _PAN.get(satellite) if name == "PAN" else wavelength
        index = _in_file(document, listed).get(name, number)
        result.append(
            Band(name, int(index) if index in listed else 0, gain, bias, sun.get(number), key, common, centre, title)
        )
    if sorted(b.index for b in result) != list(range(1, count + 1)) or len({b.key for b in result}) != count:
        raise GeodesError(
            f"{document.name} describes {len(result)} of {count} bands, or one band twice, so the radiance would "
            "be wrong: fetch the product again."
        )
    return tuple(sorted(result, key=lambda b: b.wavelength or math.inf))


def _name(info: ET.Element) -> str:
    name = (info.findtext("BAND_DESCRIPTION") or "").strip().upper()
    return _ALIASES.get(name, name or "BAND")


def _in_file(document: Document, listed: dict[float, str]) -> dict[str, float]:
    """Return the order of the bands in the file, if it differs from the document's.

    Scenes list their bands by wavelength, as 1 to 4, but their files have the near infrared first: XS3, XS2, XS1 and
    SWIR, the usual false colours as red, green and blue. CNES's Orfeo ToolBox and users who compared real scenes with
    their previews read them so. Any other list is used as it is.
    """
    if [listed.get(n) for n in (1, 2, 3)] != ["XS1", "XS2", "XS3"]:
        return {}
    shown = document.root.find(".//Band_Display_Order")
    if shown is not None:
        order = [document.number(f"{colour}_CHANNEL", shown) for colour in ("RED", "GREEN", "BLUE")]
        if order != [1, 2, 3]:
            raise GeodesError(
                f"{document.name} shows its bands {', '.join(f'{n:g}' for n in order)} as red, green and blue, but "
                "scenes of Spot show 1, 2, 3. The order of the bands in the file is therefore not known, and a guess "
                "could swap green and near infrared."
            )
    return {"XS3": 1, "XS2": 2, "XS1": 3}
