"""The vertical datum of a terrain model, geoid or ellipsoid, and its unit.

It follows from its CRS, its name, or the user's argument.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import rasterio
from pyproj import CRS
from rasterio.errors import RasterioError

from geodes_lab.errors import GeodesError
from geodes_lab.formats import gdal_dataset
from geodes_lab.raster import geoid
from geodes_lab.raster.source import RasterSource
from geodes_lab.storage import gdal_env

Above = Literal["geoid", "ellipsoid"]


class _Model(NamedTuple):
    """A terrain model that is known by its name."""

    pattern: str
    above: Above
    title: str
    is_filled: bool = False
    """Whether it has no holes on land, so that no data means sea."""


# In this order, because some names contain others. OpenTopography's ellipsoidal models end in E; TanDEM-X, ArcticDEM
# and REMA are always ellipsoidal.
_MODELS = (
    _Model(
        r"SRTM_?GL[13]_?E(llip\w*)?(?![a-z\d])|AW3D30_?E(llip\w*)?(?![a-z\d])",
        "ellipsoid",
        "OpenTopography's, ellipsoidal",
    ),
    _Model(r"TDM1_EDEM_\w*_W84", "ellipsoid", "TanDEM-X EDEM, WGS 84"),
    _Model(r"TDM1_EDEM_\w*_EGM", "geoid", "TanDEM-X EDEM, EGM2008"),
    _Model(r"TDM1_DEM_", "ellipsoid", "TanDEM-X DEM, WGS 84"),
    _Model(r"arctic_?dem|(?<![a-z])rema(?![a-z])|^SETSM_", "ellipsoid", "ArcticDEM or REMA, WGS 84"),
    _Model(r"GETASSE", "ellipsoid", "GETASSE30, WGS 84"),
    _Model(r"FABDEM", "geoid", "FABDEM, EGM2008", True),
    _Model(
        r"Copernicus_DSM|DEM1_SAR_D[GT]E|cop[-_]?dem|(?<![a-z])COP[39]0(?!\d)|GLO-?[39]0(?!\d)",
        "geoid",
        "Copernicus DEM, EGM2008",
        True,
    ),
    _Model(r"NASADEM_SHHP|NASADEM_SSP", "ellipsoid", "NASADEM before its geoid, WGS 84"),
    _Model(r"NASADEM", "geoid", "NASADEM, EGM96", True),
    _Model(r"SRTM|^[ns]\d\d_?[ew]\d{3}_[13]arc_v\d|^[ns]\d\d[ew]\d{3}\.hgt", "geoid", "SRTM, EGM96"),
    _Model(r"ASTGTM|ASTER_?GDEM", "geoid", "ASTER GDEM, EGM96"),
    _Model(r"ALPSMLC30|AW3D30|alos-dem", "geoid", "ALOS World 3D, EGM96"),
    _Model(r"(?<![a-z])MERIT(?![a-z])|^[ns]\d\d[ew]\d{3}_dem\.tif", "geoid", "MERIT DEM, EGM96", True),
    _Model(r"EU_?DEM_?v?1", "geoid", "EU-DEM, EVRS2000"),
    _Model(r"(?<![a-z])(GEBCO|ETOPO)", "geoid", "GEBCO or ETOPO, sea level"),
    _Model(r"IGN69|IGN78", "geoid", "France's NGF-IGN69 or IGN78"),
    _Model(r"(?<![a-z])3dep(?![a-z])|^USGS_(13|1|1M|NED)_", "geoid", "USGS 3DEP, NAVD 88"),
)
# A file with its model's name whose heights were converted to the ellipsoid may say so in its name.
_MADE = re.compile(r"ellips|(?<![a-z])(hae|w84|wgs84h|ell)(?![a-z])", re.IGNORECASE)
_METRES = {
    **dict.fromkeys(("", "m", "metre", "metres", "meter", "meters"), 1.0),
    **dict.fromkeys(("dm", "decimetre", "decimeter"), 0.1),
    **dict.fromkeys(("cm", "centimetre", "centimeter"), 0.01),
    **dict.fromkeys(("ft", "foot", "feet", "international foot"), 0.3048),
    **dict.fromkeys(("us-ft", "us_ft", "ftus", "us survey foot", "foot_us", "us foot"), 1200 / 3937),
}


@dataclass(frozen=True)
class Datum:
    """The reference of a terrain model's heights."""

    above: Above
    reason: str
    """How it is known, for people."""
    metre: float = 1.0
    """Metres per unit."""
    is_filled: bool = False
    """Whether it has no holes on land."""

    @property
    def note(self) -> str:
        """A description of it and of the conversion, for the attributes of a cube."""
        done = f", made ellipsoidal by {geoid.NAME}" if self.above == "geoid" else ""
        return f"heights above the {self.above} ({self.reason}){done}"


def of(source: RasterSource, names: tuple[str, ...], chosen: Above | None) -> Datum:
    """Find the datum of a terrain model; its header is read.

    Parameters
    ----------
    source
        The band of heights.
    names
        The names of its file, its Item and its collection.
    chosen
        The user's choice, which overrides the model's own information.

    Raises
    ------
    GeodesError
        If it is unknown, or the unit is not a length.
    """
    crs, unit = _header(source)
    known = next((m for m in _MODELS for n in names if re.search(m.pattern, n, re.IGNORECASE)), None)
    vertical = crs and _vertical(crs, source)
    metre = _metre(unit, source) if unit or not vertical else vertical.metre
    filled = known is not None and known.is_filled
    if chosen is not None:
        return Datum(chosen, f"as dem_heights={chosen!r} says", metre, filled)
    if vertical:
        return Datum(vertical.above, vertical.reason, metre, filled)
    if known and (known.above == "ellipsoid" or not any(map(_MADE.search, names))):
        return Datum(known.above, known.title, metre, filled)
    hint = (
        f"its name is the name of {known.title}, but it also mentions the ellipsoid"
        if known
        else "neither its CRS nor its name shows which"
    )
    raise GeodesError(
        f"{source.product} may have heights above the geoid (sea level) or above the ellipsoid, which differ by up to "
        f"100 m, and {hint}: give open_cube dem_heights='geoid' or dem_heights='ellipsoid'."
    )  # fmt: skip


def _header(source: RasterSource) -> tuple[CRS | None, str]:
    """Return the CRS of a file with its vertical part, and the unit of its numbers."""
    if source.native is not None or not source.href:
        return None, ""
    try:
        # GDAL reports a vertical CRS of GeoTIFF 1.0 only on request.
        with (
            gdal_env.environment(source.href),
            rasterio.Env(GTIFF_REPORT_COMPD_CS="YES"),
            gdal_dataset.opened(source.href) as file,
        ):
            return file.crs and CRS.from_wkt(file.crs.to_wkt()), (file.units[source.index - 1] or "").strip()
    except (RasterioError, OSError):
        return None, ""  # such as a Zarr store


def _vertical(crs: CRS, source: RasterSource) -> Datum | None:
    """Return the datum of a three-dimensional CRS; None for a two-dimensional one."""
    axis: Any = None
    if crs.is_compound:
        part = crs.sub_crs_list[-1]
        axis, name = part.axis_info[0], part.name
        if not name or re.search(r"unknown|unnamed|not specified", name, re.IGNORECASE):
            return None
        # WKT 1 has "ellipsoidal" as a kind of vertical datum: WKT 2 does not, but keeps the name.
        above: Above = "ellipsoid" if "llipsoid" in f"{name} {part.datum and part.datum.name}" else "geoid"
    elif len(crs.axis_info) == 3:
        axis, name, above = crs.axis_info[2], f"{crs.name}, of three dimensions", "ellipsoid"
    if axis is None:
        return None
    if axis.direction.lower() == "down":
        raise GeodesError(
            f"{source.product} has depths, not heights (its CRS is {name}): change their sign, and save it again."
        )
    return Datum(above, f"{name}, its CRS says", axis.unit_conversion_factor)


def _metre(unit: str, source: RasterSource) -> float:
    if unit.lower() not in _METRES:
        raise GeodesError(
            f"{source.product} has heights in {unit!r}, which is not a known unit of length: save it in metres."
        )
    return _METRES[unit.lower()]
