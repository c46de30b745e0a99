"""Files of the sample's Spot products: DIMAP or MUSCATE documents, GeoTIFFs, the zip."""

from __future__ import annotations

import zipfile
from datetime import datetime
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from geodes_lab.sample import truth
from geodes_lab.sample.spot import (
    BANDS,
    BIAS,
    LISTED,
    ORTHO,
    SIDE,
    SPACING,
    Product,
    degrees,
    ground,
    numbers,
    reflectance,
)

_QUANTIFICATION, _NODATA = 1000.0, -10_000.0


def write(product: Product, path: Path) -> None:
    """Write one product as a zip with stored members. The same product always gets the same bytes."""
    pack(path, product.start, _raw(product) if product.level == "L1A" else _ortho(product))


def pack(path: Path, start: datetime, members: dict[str, bytes]) -> None:
    """Write members into a zip, stored."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            archive.writestr(zipfile.ZipInfo(name, start.timetuple()[:6]), members[name])


def _raw(product: Product) -> dict[str, bytes]:
    line, pixel = np.mgrid[0:SIDE, 0:SIDE]
    x, y = ground(line, pixel)
    image = np.stack([np.clip(np.rint(numbers(n, x, y)), 1, 254) for n in range(len(BANDS))]).astype(np.uint8)
    image[:, :, :3] = 0  # outside the swath
    with MemoryFile(ext=".tif") as memory:
        with (
            rasterio.Env(GDAL_PAM_ENABLED="NO"),
            memory.open(
                driver="GTiff", count=len(BANDS), height=SIDE, width=SIDE, dtype="uint8", interleave="pixel"
            ) as file,
        ):
            file.write(image)
        data = bytes(memory.read())
    return {"SCENE01/METADATA.DIM": _dimap(product).encode(), "SCENE01/IMAGERY.TIF": data}


def _dimap(product: Product) -> str:
    end = SIDE - 1
    corners = [(0, 0), (0, end), (end, end), (end, 0)]
    vertices = ""
    for row, col in corners:
        x, y = ground(np.array(row), np.array(col))
        lon, lat = degrees().transform(float(x), float(y))
        vertices += (
            f"    <Vertex>\n      <FRAME_LON>{lon:+.10e}</FRAME_LON>\n      <FRAME_LAT>{lat:+.10e}</FRAME_LAT>\n      "
            f"<FRAME_ROW>{row + 1}</FRAME_ROW>\n      <FRAME_COL>{col + 1}</FRAME_COL>\n    </Vertex>\n"
        )
    row, col = np.mgrid[0:SIDE:20, 0:SIDE:20]
    lon, lat = (np.asarray(v).ravel() for v in degrees().transform(*ground(row, col)))
    r, c = row.ravel() + 1.0, col.ravel() + 1.0
    terms = np.stack([np.ones_like(r), r, c, r * c, r * r, c * c], axis=1)
    lists = ""
    for tag, values in (("lc", lon), ("pc", lat)):
        weights = np.linalg.lstsq(terms, values, rcond=None)[0]
        lists += (
            f"      <{tag}_List>\n"
            + "".join(f"        <{tag}>{w:+.12e}</{tag}>\n" for w in weights)
            + f"      </{tag}_List>\n"
        )
    gains = {name: gain for name, gain, _ in BANDS}
    spectra = "".join(
        f"    <Spectral_Band_Info>\n      <BAND_INDEX>{n}</BAND_INDEX>\n      "
        f"<BAND_DESCRIPTION>{name}</BAND_DESCRIPTION>\n      <PHYSICAL_UNIT>equivalent radiance "
        f"(W.m-2.Sr-1.um-1)</PHYSICAL_UNIT>\n      <PHYSICAL_BIAS>{BIAS:f}</PHYSICAL_BIAS>\n      "
        f"<PHYSICAL_GAIN>{gains[name]:f}</PHYSICAL_GAIN>\n    </Spectral_Band_Info>\n"
        for n, name in enumerate(LISTED, 1)
    )
    suns = "".join(
        f"        <Band_Solar_Irradiance>\n          <BAND_INDEX>{n}</BAND_INDEX>\n          "
        f"<SOLAR_IRRADIANCE_VALUE>{value:g}</SOLAR_IRRADIANCE_VALUE>\n        </Band_Solar_Irradiance>\n"
        for n, value in enumerate(LISTED.values(), 1)
    )
    specials = "".join(
        f"    <Special_Value>\n      <SPECIAL_VALUE_INDEX>{value}</SPECIAL_VALUE_INDEX>\n      "
        f"<SPECIAL_VALUE_TEXT>{text}</SPECIAL_VALUE_TEXT>\n    </Special_Value>\n"
        for text, value in (("SATURATED", 255), ("NODATA", 0))
    )
    return f"""<?xml version="1.0" encoding="ISO-8859-1"?>
<Dimap_Document name="METADATA.DIM">
  <Metadata_Id>
    <METADATA_FORMAT version="1.1">DIMAP</METADATA_FORMAT>
    <METADATA_PROFILE>SPOTSCENE_1A</METADATA_PROFILE>
  </Metadata_Id>
  <Dataset_Id>
    <DATASET_NAME>SCENE 4 045-262 {product.start:%y/%m/%d %H:%M:%S} 1 I</DATASET_NAME>
  </Dataset_Id>
  <Dataset_Frame>
{vertices}  </Dataset_Frame>
  <Geoposition>
    <Simplified_Location_Model>
      <Direct_Location_Model>
{lists}      </Direct_Location_Model>
    </Simplified_Location_Model>
  </Geoposition>
  <Image_Display>
    <Band_Display_Order>
      <RED_CHANNEL>1</RED_CHANNEL>
      <GREEN_CHANNEL>2</GREEN_CHANNEL>
      <BLUE_CHANNEL>3</BLUE_CHANNEL>
    </Band_Display_Order>
{specials}  </Image_Display>
  <Dataset_Sources>
    <Source_Information>
      <SOURCE_ID>4045262{product.start:%y%m%d%H%M%S}1I</SOURCE_ID>
      <Scene_Source>
        <IMAGING_DATE>{product.start:%Y-%m-%d}</IMAGING_DATE>
        <IMAGING_TIME>{product.start:%H:%M:%S}</IMAGING_TIME>
        <MISSION>SPOT</MISSION>
        <MISSION_INDEX>4</MISSION_INDEX>
        <INSTRUMENT>HRVIR</INSTRUMENT>
        <INSTRUMENT_INDEX>1</INSTRUMENT_INDEX>
        <SENSOR_CODE>I</SENSOR_CODE>
        <SUN_AZIMUTH>+1.3920e+02</SUN_AZIMUTH>
        <SUN_ELEVATION>+6.1300e+01</SUN_ELEVATION>
      </Scene_Source>
    </Source_Information>
  </Dataset_Sources>
  <Raster_Dimensions>
    <NCOLS>{SIDE}</NCOLS>
    <NROWS>{SIDE}</NROWS>
    <NBANDS>{len(BANDS)}</NBANDS>
  </Raster_Dimensions>
  <Raster_Encoding>
    <NBITS>8</NBITS>
    <DATA_TYPE>UNSIGNED</DATA_TYPE>
  </Raster_Encoding>
  <Data_Access>
    <Data_File>
      <DATA_FILE_PATH href="IMAGERY.TIF"/>
    </Data_File>
  </Data_Access>
  <Data_Strip>
    <Sensor_Calibration>
      <Solar_Irradiance>
{suns}      </Solar_Irradiance>
    </Sensor_Calibration>
  </Data_Strip>
  <Image_Interpretation>
{spectra}  </Image_Interpretation>
</Dimap_Document>
"""


def _ortho(product: Product) -> dict[str, bytes]:
    return ortho(product.name, product.start, {band: reflectance(n) for n, (band, _, _) in enumerate(BANDS)})


def ortho(name: str, start: datetime, bands: dict[str, NDArray[np.float64]]) -> dict[str, bytes]:
    """Return the members of an orthorectified product (L1C) from reflectance by band; its first pixel is the truth's."""
    shape = next(iter(bands.values())).shape
    members = {f"{name}/{name}_MTD_ALL.xml": _muscate(name, start, shape).encode()}
    for band, measured in bands.items():
        values = measured * _QUANTIFICATION
        image = np.where(np.isnan(values), _NODATA, np.rint(values)).astype(np.int16)
        with MemoryFile(ext=".tif") as memory:
            with memory.open(
                driver="GTiff", count=1, height=shape[0], width=shape[1], dtype="int16", crs=f"EPSG:{truth.EPSG}",
                transform=Affine(SPACING, 0, ORTHO[0], 0, -SPACING, ORTHO[1]), compress="deflate", tiled=True,
            ) as file:  # fmt: skip
                file.write(image, 1)
            members[f"{name}/{name}_{band}.tif"] = bytes(memory.read())
    return members


def _muscate(name: str, start: datetime, shape: tuple[int, ...]) -> str:
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<Muscate_Metadata_Document>
  <Product_Characteristics>
    <PRODUCT_ID>{name}</PRODUCT_ID>
    <ACQUISITION_DATE>{start:%Y-%m-%dT%H:%M:%S}.123Z</ACQUISITION_DATE>
    <PRODUCT_LEVEL>L1C</PRODUCT_LEVEL>
    <PLATFORM>{name[:5]}</PLATFORM>
  </Product_Characteristics>
  <Geoposition_Informations>
    <Coordinate_Reference_System>
      <Horizontal_Coordinate_System>
        <HORIZONTAL_CS_CODE>{truth.EPSG}</HORIZONTAL_CS_CODE>
      </Horizontal_Coordinate_System>
    </Coordinate_Reference_System>
    <Geopositioning>
      <Group_Geopositioning_List>
        <Group_Geopositioning group_id="XS">
          <ULX>{ORTHO[0]}</ULX>
          <ULY>{ORTHO[1]}</ULY>
          <XDIM>{SPACING:g}</XDIM>
          <YDIM>-{SPACING:g}</YDIM>
          <NROWS>{shape[0]}</NROWS>
          <NCOLS>{shape[1]}</NCOLS>
        </Group_Geopositioning>
      </Group_Geopositioning_List>
    </Geopositioning>
  </Geoposition_Informations>
  <Radiometric_Informations>
    <REFLECTANCE_QUANTIFICATION_VALUE>{_QUANTIFICATION:g}</REFLECTANCE_QUANTIFICATION_VALUE>
    <Special_Values_List>
      <SPECIAL_VALUE name="nodata">{_NODATA:g}</SPECIAL_VALUE>
    </Special_Values_List>
  </Radiometric_Informations>
</Muscate_Metadata_Document>
"""
