"""Reflectance products in the form of CNES's MUSCATE centre.

MAJA's level 2A of Sentinel-2 and of Venµs, in zips with stored members.
"""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geom import box
from rasterio.io import MemoryFile

from geodes_lab.products.sentinel2.bands import BANDS
from geodes_lab.sample import truth
from geodes_lab.sample.sentinel2.xml import DETECTORS, sun, view

NODATA = -10_000

# The area of all these products, in 10 m pixels of the truth: at the swath's edge, with a river and clouds.
ROW, COL, SIDE = 576, 672, 192
WEST, NORTH = truth.WEST + 10 * COL, truth.NORTH - 10 * ROW

# Reflectance that the air adds in each band of Sentinel-2, and transmission of the air.
_HAZE = (0.080, 0.062, 0.040, 0.024, 0.018, 0.012, 0.009, 0.007, 0.006, 0.004, 0.001, 0.002, 0.001)
_CLEAR = 0.93


@dataclass(frozen=True)
class Scene:
    """One product of the sample."""

    time: datetime
    """The time of the acquisition, UTC."""
    platform: str
    """The platform as in names: ``SENTINEL2A`` or ``VENUS-XS``."""
    zone: str
    """The tile or the site."""
    bands: Mapping[str, tuple[int, int]] = field(hash=False)
    """MUSCATE's bands: number of the most similar band of Sentinel-2, and resolution in metres."""
    groups: Mapping[str, int] = field(hash=False)
    """Resolution by group, in metres."""
    version: str
    """The version of the product, such as ``2-2``."""
    cloudiness: float = 0.0
    """Fraction of the truth's area under clouds."""
    swath_edge: bool = False
    """Whether the swath ends inside the area."""
    quantification: int = 10_000
    """The divisor of the stored numbers."""

    @property
    def name(self) -> str:
        """Return the product's name."""
        stamp = f"{self.time:%Y%m%d-%H%M%S}-{self.time.microsecond // 1000:03d}"
        return f"{self.platform}_{stamp}_L2A_{self.zone}_C_V{self.version}"

    @property
    def collection(self) -> str:
        """Return the collection's id in GEODES."""
        return "THEIA_REFLECTANCE_" + ("SENTINEL2" if self.platform.startswith("SENTINEL2") else "VENUS_VM5") + "_L2A"

    @property
    def key(self) -> str:
        """The path on the datalake: bucket and key."""
        bucket = "sentinel2-l2a-sprid" if self.platform.startswith("SENTINEL2") else "muscate/VENUS"
        return f"{bucket}/{self.zone}/{self.time:%Y/%m/%d}/{self.name.rsplit('_', 1)[0]}/{self.name}.zip"

    @property
    def properties(self) -> dict[str, Any]:
        """Return its properties in the catalogue."""
        is_tile = self.zone.startswith("T31")
        return {
            "platform": "S2A" if is_tile else "VM5",
            "instrument": "MSI" if is_tile else "VSSC",
            "product:type": "REFLECTANCE",
            "processing:level": "L2A",
            "eo:cloud_cover": self.cloudiness * 100,
            **({"grid:code": self.zone} if is_tile else {}),
        }

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Return the polygon of the product in degrees, closed."""
        area = box(WEST, NORTH - 10 * SIDE, WEST + 10 * SIDE, NORTH, f"EPSG:{truth.EPSG}").to_crs("EPSG:4326")
        return [(float(x), float(y)) for x, y in area.exterior.points]

    def numbers(self, kind: str, band: str) -> NDArray[np.int16]:
        """Return the numbers of a file, given ``FRE`` or ``SRE``, and the band."""
        number, resolution = self.bands[band]
        step = max(resolution, 10)
        whole = truth.reflectance(
            number, step, self.time.date(), cloudiness=self.cloudiness, swath_edge=self.swath_edge
        )
        surface = (_cut(whole, step) - _HAZE[number]) / _CLEAR
        if kind == "FRE":  # slopes that face the sun were brighter before the correction
            surface *= 1 + 0.04 * np.sin(np.arange(surface.shape[1]) * step / 310)
        times = step // resolution
        value = np.rint(surface * self.quantification).repeat(times, 0).repeat(times, 1)
        return np.where(np.isnan(value), NODATA, value).astype(np.int16)

    def mask(self, kind: str, group: str) -> NDArray[np.uint8]:
        """Return the numbers of a mask, given ``CLM``, ``MG2``, ``EDG`` or ``SAT``, and the resolution group."""
        times, step = 60 // self.groups[group], self.groups[group]
        cloudy = _cut(truth.clouds(self.time.date(), self.cloudiness) > 0.5, 60)
        seen = _cut(truth.seen(self.swath_edge), 60)
        match kind:
            case "CLM":
                shadow = np.roll(cloudy, (2, -3), (0, 1)) & ~cloudy
                values = np.where(cloudy, 0b0000_0011, np.where(shadow, 0b0000_0101, 0)) * seen
            case "EDG":
                values = ~seen
            case "MG2":
                water = _cut(truth.land_cover() == 6, 10).astype(np.uint8)
                each, coarser = max(10 // step, 1), max(step // 10, 1)
                return water[::coarser, ::coarser].repeat(each, 0).repeat(each, 1)
            case _:
                values = np.zeros_like(seen)
        return values.astype(np.uint8).repeat(times, 0).repeat(times, 1)

    def bands_of(self, group: str) -> list[str]:
        """Return the bands of a resolution group, in the order of their bits in masks."""
        return [band for band, (_, resolution) in self.bands.items() if resolution == self.groups[group]]

    def detector(self, band: str) -> NDArray[np.uint8]:
        """Return the number of the detector that saw each pixel of a band of Sentinel-2.

        The edge between two detectors is oblique, and for each band a little further south, as in real products.
        """
        number, resolution = self.bands[band]
        row, col = np.mgrid[0 : SIDE * 10 // resolution, 0 : SIDE * 10 // resolution] * resolution
        north, south = DETECTORS
        return np.where(row < 900 + col // 8 + 20 * number, north, south).astype(np.uint8)

    def detector_mask(self, group: str, detector: int) -> NDArray[np.uint8]:
        """Return the mask of a detector: a bit for each band of the group."""
        bits = [(self.detector(b) == detector).astype(np.uint8) << n for n, b in enumerate(self.bands_of(group))]
        return np.bitwise_or.reduce(bits)


def scenes() -> list[Scene]:
    """Return a summer of Sentinel-2, with clouds on two dates and the swath's edge on one, and one date of Venµs."""
    numbers = {b.name.replace("B0", "B"): (n, b.resolution) for n, b in enumerate(BANDS) if b.resolution < 60}
    # Venµs has twelve bands at 5 m; each is similar to a band of Sentinel-2.
    near = {
        "B1": 0,
        "B2": 0,
        "B3": 1,
        "B4": 2,
        "B5": 3,
        "B6": 3,
        "B7": 3,
        "B8": 4,
        "B9": 5,
        "B10": 6,
        "B11": 8,
        "B12": 9,
    }
    venus = {band: (number, 5) for band, number in near.items()}

    def at(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    s2: dict[str, Any] = {"zone": "T31TCJ", "bands": numbers, "groups": {"R1": 10, "R2": 20}, "version": "2-2"}
    return [
        Scene(at("2021-07-25T10:50:31.024"), "SENTINEL2A", cloudiness=0.3, **s2),
        Scene(at("2021-08-14T10:50:31.024"), "SENTINEL2A", swath_edge=True, **s2),
        Scene(at("2021-07-26T10:55:54.000"), "VENUS-XS", "LAURAGAIS", venus, {"XS": 5}, "3-1"),
        # The harvest, before them.
        Scene(at("2021-06-05T10:50:31.024"), "SENTINEL2A", **s2),
        Scene(at("2021-06-15T10:50:31.024"), "SENTINEL2A", **s2),
        Scene(at("2021-06-25T10:50:31.024"), "SENTINEL2A", cloudiness=0.2, **s2),
        Scene(at("2021-07-05T10:50:31.024"), "SENTINEL2A", **s2),
        Scene(at("2021-07-15T10:50:31.024"), "SENTINEL2A", **s2),
    ]


def write(scene: Scene, path: Path) -> None:
    """Write one product as a zip with stored members. The same scene always gets the same bytes."""
    members = {f"{scene.name}_MTD_ALL.xml": _xml(scene).encode()}
    for band, (_, resolution) in scene.bands.items():
        for kind in ("FRE", "SRE"):
            members[f"{scene.name}_{kind}_{band}.tif"] = tiff(scene.numbers(kind, band), resolution, (WEST, NORTH))
    for group, resolution in scene.groups.items():
        for kind in ("CLM", "MG2", "EDG", "SAT"):
            image = tiff(scene.mask(kind, group), resolution, (WEST, NORTH))
            members[f"MASKS/{scene.name}_{kind}_{group}.tif"] = image
        for detector in DETECTORS if scene.platform.startswith("S") else ():
            image = tiff(scene.detector_mask(group, detector), resolution, (WEST, NORTH))
            members[f"MASKS/{scene.name}_DTF_{group}-D{detector:02d}.tif"] = image
    pack(path, {f"{scene.name}/{name}": data for name, data in members.items()}, scene.time)


def pack(path: Path, members: Mapping[str, bytes], time: datetime) -> None:
    """Write a zip with stored members that all have the same time."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name, time.timetuple()[:6]), members[name])


def tiff(
    image: NDArray[Any],
    resolution: float,
    origin: tuple[float, float],
    epsg: int = truth.EPSG,
    nodata: float | None = None,
    tags: Mapping[str, str] | None = None,
) -> bytes:
    """Encode (y, x) as a tiled GeoTIFF, without nodata and scale, like MUSCATE's."""
    profile = {
        "driver": "GTiff",
        "count": 1,
        "height": image.shape[0],
        "width": image.shape[1],
        "dtype": image.dtype,
        "crs": f"EPSG:{epsg}",
        "transform": Affine(resolution, 0, origin[0], 0, -resolution, origin[1]),
        "nodata": nodata,
        "tiled": True,
        "blockxsize": 128,
        "blockysize": 128,
        "compress": "deflate",
        "predictor": 1,
    }
    with rasterio.Env(GDAL_NUM_THREADS="1"), MemoryFile(ext=".tif") as memory:
        with memory.open(**profile) as file:
            file.write(image, 1)
            file.update_tags(**(tags or {}))
        return bytes(memory.read())


def _cut(whole: NDArray[Any], resolution: int) -> NDArray[Any]:
    row, col, side = (n * 10 // resolution for n in (ROW, COL, SIDE))
    return whole[row : row + side, col : col + side]


def _xml(scene: Scene) -> str:
    groups = "".join(
        "<Group_Geopositioning "
        f'group_id="{g}"><ULX>{WEST}</ULX><ULY>{NORTH}</ULY><XDIM>{r}</XDIM><YDIM>{-r}</YDIM><NROWS>{SIDE * 10 // r}</NROWS><NCOLS>{SIDE * 10 // r}</NCOLS></Group_Geopositioning>'
        for g, r in scene.groups.items()
    )
    lists = "".join(
        f'<Group group_id="{g}"><Band_List>'
        + "".join(f"<BAND_ID>{b}</BAND_ID>" for b, (_, at) in scene.bands.items() if at == r)
        + "</Band_List></Group>"
        for g, r in scene.groups.items()
    )
    spectra = "".join(
        f'<Spectral_Band_Informations band_id="{b}"><SPATIAL_RESOLUTION '
        f'unit="m">{r}</SPATIAL_RESOLUTION><Wavelength><CENTRAL '
        f'unit="nm">{_centre(scene, b, n):.1f}</CENTRAL></Wavelength></Spectral_Band_Informations>'
        for b, (n, r) in scene.bands.items()
    )
    # MUSCATE omits the Z for Venµs.
    time = f"{scene.time:%Y-%m-%dT%H:%M:%S}.{scene.time.microsecond // 1000:03d}" + "Z" * scene.platform.startswith("S")
    production = f"{scene.time + timedelta(hours=20):%Y-%m-%dT%H:%M:%S}.000Z"
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Muscate_Metadata_Document xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:noNamespaceSchemaLocation="Muscate_Metadata.xsd">
<Metadata_Identification><METADATA_FORMAT version="1.16">METADATA_MUSCATE</METADATA_FORMAT></Metadata_Identification>
<Dataset_Identification><IDENTIFIER>{scene.name.rsplit("_", 1)[0]}</IDENTIFIER><AUTHORITY>THEIA</AUTHORITY><PRODUCER>MUSCATE</PRODUCER><GEOGRAPHICAL_ZONE type="Tile">{scene.zone}</GEOGRAPHICAL_ZONE></Dataset_Identification>
<Product_Characteristics><PRODUCT_ID>{scene.name}</PRODUCT_ID><ACQUISITION_DATE>{time}</ACQUISITION_DATE><PRODUCTION_DATE>{production}</PRODUCTION_DATE><PRODUCT_VERSION>{scene.version.replace("-", ".")}</PRODUCT_VERSION><PRODUCT_LEVEL>L2A</PRODUCT_LEVEL><PLATFORM>{scene.platform.removesuffix("-XS")}</PLATFORM><Band_Group_List>{lists}</Band_Group_List></Product_Characteristics>
<Geoposition_Informations><Coordinate_Reference_System><GEO_TABLES>EPSG</GEO_TABLES><Horizontal_Coordinate_System><HORIZONTAL_CS_TYPE>PROJECTED</HORIZONTAL_CS_TYPE><HORIZONTAL_CS_NAME>WGS 84 / UTM zone 31N</HORIZONTAL_CS_NAME><HORIZONTAL_CS_CODE>{truth.EPSG}</HORIZONTAL_CS_CODE></Horizontal_Coordinate_System></Coordinate_Reference_System><Geopositioning><Group_Geopositioning_List>{groups}</Group_Geopositioning_List></Geopositioning></Geoposition_Informations>
<Radiometric_Informations><REFLECTANCE_QUANTIFICATION_VALUE>{scene.quantification}</REFLECTANCE_QUANTIFICATION_VALUE><Special_Values_List><SPECIAL_VALUE name="nodata">{NODATA}</SPECIAL_VALUE></Special_Values_List><Spectral_Band_Informations_List>{spectra}</Spectral_Band_Informations_List></Radiometric_Informations>
{_angles(scene)}</Muscate_Metadata_Document>
"""


def _angles(scene: Scene) -> str:
    """Return the angles of Sentinel-2: 23 × 23 values, 5 km apart, from the corner; empty for Venµs."""
    if not scene.platform.startswith("S"):
        return ""

    def grid(kind: int, what: str, value: Callable[[float, float], tuple[float, float]]) -> str:
        lines = "".join(
            "<VALUES>" + " ".join(f"{value(row, col)[kind]:.4f}" for col in range(23)) + "</VALUES>"
            for row in range(23)
        )
        return (
            f'<{what} step_unit="m" values_unit="deg"><COL_STEP>5000</COL_STEP><ROW_STEP>5000</ROW_STEP><Values_List>'
            f"{lines}</Values_List></{what}>"
        )

    def pair(value: Callable[[float, float], tuple[float, float]]) -> str:
        return grid(0, "Zenith", value) + grid(1, "Azimuth", value)

    views = "".join(
        f'<Band_Viewing_Incidence_Angles_Grids_List band_id="{band}">'
        + "".join(
            f'<Viewing_Incidence_Angles_Grids detector_id="{detector:02d}">{pair(partial(view, number, detector))}'
            "</Viewing_Incidence_Angles_Grids>"
            for detector in DETECTORS
        )
        + "</Band_Viewing_Incidence_Angles_Grids_List>"
        for band, (number, _) in scene.bands.items()
    )
    return (
        f"<Geometric_Informations><Angles_Grids_List><Sun_Angles_Grids>{pair(sun)}</Sun_Angles_Grids>"
        f"<Viewing_Incidence_Angles_Grids_List>{views}</Viewing_Incidence_Angles_Grids_List></Angles_Grids_List>"
        "</Geometric_Informations>\n"
    )


def _centre(scene: Scene, band: str, number: int) -> float:
    """Return the centre of a band in nanometres."""
    venus = (423.9, 446.9, 491.9, 555.0, 619.7, 619.5, 666.2, 702.0, 741.1, 782.2, 861.1, 908.7)
    return venus[int(band[1:]) - 1] if scene.platform.startswith("VENUS") else BANDS[number].wavelength * 1000
