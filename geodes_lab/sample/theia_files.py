"""Files of the sample's products in MUSCATE's form: the document, GeoTIFFs, masks, the zip."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from geodes_lab.products.sentinel2.bands import BANDS
from geodes_lab.sample import truth
from geodes_lab.sample.sentinel2.xml import DETECTORS, sun, view
from geodes_lab.sample.theia import NODATA, NORTH, SIDE, WEST, Scene


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
