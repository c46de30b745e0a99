"""The documents of the sample's Sentinel-2 products: metadata of product and tile, angles, cloud polygons, manifest."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from geodes_lab.products.sentinel2.bands import BANDS
from geodes_lab.sample import truth

if TYPE_CHECKING:
    from geodes_lab.sample.sentinel2.l1c import Scene

PIXELS = 1320  # number of 10 m pixels in each direction
QUANTIFICATION = 10_000
DETECTORS = (4, 5)  # one detector sees the north of the tile, the other the south, both the middle


def cloud_gml(scene: Scene, opaque: NDArray[np.bool_]) -> str:
    """Return the cloud mask before baseline 04.00: a polygon for each run of cloudy 60 m pixels."""
    west, north = scene.origin
    parts: list[str] = []
    for row, line in enumerate(opaque):
        edges = np.flatnonzero(np.diff(np.concatenate([[0], line.astype(np.int8), [0]])))
        for start, stop in zip(edges[::2], edges[1::2], strict=True):
            x0, x1, y0, y1 = west + 60 * start, west + 60 * stop, north - 60 * row, north - 60 * (row + 1)
            parts.append(
                f'    <eop:MaskFeature gml:id="OPAQUE.{len(parts)}"><eop:maskType '
                'codeSpace="urn:gs2:S2PDGS:maskType">OPAQUE</eop:maskType><eop:extentOf><gml:Polygon '
                f'gml:id="OPAQUE.{len(parts)}_Polygon"><gml:exterior><gml:LinearRing><gml:posList '
                f'srsDimension="2">{x0} {y0} {x1} {y0} {x1} {y1} {x0} {y1} {x0} '
                f"{y0}</gml:posList></gml:LinearRing></gml:exterior></gml:Polygon></eop:extentOf></eop:MaskFeature>"
            )
    members = "  <eop:maskMembers>\n" + "\n".join(parts) + "\n  </eop:maskMembers>\n" if parts else ""
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<eop:Mask xmlns:eop="http://www.opengis.net/eop/2.0" '
        f'xmlns:gml="http://www.opengis.net/gml/3.2" gml:id="MSK_CLOUDS_T{scene.tile}">\n  '
        "<gml:name>MSK_CLOUDS_B00</gml:name>\n  <gml:boundedBy><gml:Envelope "
        f'srsName="urn:ogc:def:crs:EPSG::{truth.EPSG}"><gml:lowerCorner>{west} '
        f"{north - 10 * PIXELS}</gml:lowerCorner><gml:upperCorner>{west + 10 * PIXELS} "
        f"{north}</gml:upperCorner></gml:Envelope></gml:boundedBy>\n{members}</eop:Mask>\n"
    )


def product_xml(scene: Scene, granule: str, stem: str) -> str:
    """Return MTD_MSIL1C.xml."""
    images = "\n".join(
        f"          <IMAGE_FILE>{granule}/IMG_DATA/{stem}_{n}</IMAGE_FILE>" for n in [*(b.name for b in BANDS), "TCI"]
    )
    offsets = ""
    if scene.offset:
        lines = "\n".join(
            f'        <RADIO_ADD_OFFSET band_id="{n}">{scene.offset}</RADIO_ADD_OFFSET>' for n in range(len(BANDS))
        )
        offsets = f"      <Radiometric_Offset_List>\n{lines}\n      </Radiometric_Offset_List>\n"
    spectra = "\n".join(
        f'        <Spectral_Information bandId="{n}" '
        f'physicalBand="{b.name.replace("B0", "B")}"><RESOLUTION>{b.resolution}</RESOLUTION><Wavelength><CENTRAL '
        f'unit="nm">{b.wavelength * 1000:.1f}</CENTRAL></Wavelength></Spectral_Information>'
        for n, b in enumerate(BANDS)
    )
    start = f"{scene.time:%Y-%m-%dT%H:%M:%S}.024Z"
    spacecraft = {"S2A": "Sentinel-2A", "S2B": "Sentinel-2B"}[scene.platform]
    tail = f"{scene.generation:%Y%m%dT%H%M%S}_A{scene.orbit:06d}_T{scene.tile}_N{scene.baseline}"
    strip = f"{scene.generation:%Y%m%dT%H%M%S}_S{scene.time + timedelta(minutes=4, seconds=24):%Y%m%dT%H%M%S}_N{scene.baseline}"
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-1C_User_Product xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/User_Product_Level-1C.xsd" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <n1:General_Info>
    <Product_Info>
      <PRODUCT_START_TIME>{start}</PRODUCT_START_TIME>
      <PRODUCT_STOP_TIME>{start}</PRODUCT_STOP_TIME>
      <PRODUCT_URI>{scene.name}.SAFE</PRODUCT_URI>
      <PROCESSING_LEVEL>Level-1C</PROCESSING_LEVEL>
      <PRODUCT_TYPE>S2MSI1C</PRODUCT_TYPE>
      <PROCESSING_BASELINE>{scene.baseline}</PROCESSING_BASELINE>
      <GENERATION_TIME>{scene.generation:%Y-%m-%dT%H:%M:%S}.000000Z</GENERATION_TIME>
      <PREVIEW_IMAGE_URL>Not applicable</PREVIEW_IMAGE_URL>
      <PREVIEW_GEO_INFO>Not applicable</PREVIEW_GEO_INFO>
      <Datatake datatakeIdentifier="G{scene.platform}_{scene.time:%Y%m%dT%H%M%S}_{scene.orbit:06d}_N{scene.baseline}">
        <SPACECRAFT_NAME>{spacecraft}</SPACECRAFT_NAME>
        <DATATAKE_TYPE>INS-NOBS</DATATAKE_TYPE>
        <DATATAKE_SENSING_START>{start}</DATATAKE_SENSING_START>
        <SENSING_ORBIT_NUMBER>51</SENSING_ORBIT_NUMBER>
        <SENSING_ORBIT_DIRECTION>DESCENDING</SENSING_ORBIT_DIRECTION>
      </Datatake>
      <Query_Options completeSingleTile="true">
        <PRODUCT_FORMAT>SAFE_COMPACT</PRODUCT_FORMAT>
      </Query_Options>
      <Product_Organisation>
        <Granule_List>
        <Granule datastripIdentifier="{scene.platform}_OPER_MSI_L1C_DS_SAMP_{strip}" granuleIdentifier="{scene.platform}_OPER_MSI_L1C_TL_SAMP_{tail}" imageFormat="JPEG2000">
{images}
        </Granule>
        </Granule_List>
      </Product_Organisation>
    </Product_Info>
    <Product_Image_Characteristics>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>NODATA</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>0</SPECIAL_VALUE_INDEX>
      </Special_Values>
      <Special_Values>
        <SPECIAL_VALUE_TEXT>SATURATED</SPECIAL_VALUE_TEXT>
        <SPECIAL_VALUE_INDEX>65535</SPECIAL_VALUE_INDEX>
      </Special_Values>
      <Image_Display_Order>
        <RED_CHANNEL>3</RED_CHANNEL>
        <GREEN_CHANNEL>2</GREEN_CHANNEL>
        <BLUE_CHANNEL>1</BLUE_CHANNEL>
      </Image_Display_Order>
      <QUANTIFICATION_VALUE unit="none">{QUANTIFICATION}</QUANTIFICATION_VALUE>
{offsets}      <Spectral_Information_List>
{spectra}
      </Spectral_Information_List>
    </Product_Image_Characteristics>
  </n1:General_Info>
  <n1:Quality_Indicators_Info>
    <Cloud_Coverage_Assessment>{scene.cloudiness * 100}</Cloud_Coverage_Assessment>
  </n1:Quality_Indicators_Info>
</n1:Level-1C_User_Product>
"""


def tile_xml(scene: Scene, granule: str, members: list[str]) -> str:
    """Return MTD_TL.xml; ``members`` includes the masks."""
    west, north = scene.origin
    sizes = "\n".join(
        f'      <Size resolution="{r}">\n        <NROWS>{PIXELS * 10 // r}</NROWS>\n        '
        f"<NCOLS>{PIXELS * 10 // r}</NCOLS>\n      </Size>"
        for r in (10, 20, 60)
    )
    places = "\n".join(
        f'      <Geoposition resolution="{r}">\n        <ULX>{west}</ULX>\n        <ULY>{north}</ULY>\n        '
        f"<XDIM>{r}</XDIM>\n        <YDIM>-{r}</YDIM>\n      </Geoposition>"
        for r in (10, 20, 60)
    )
    masks = "\n".join(
        f'      <MASK_FILENAME type="{m.rsplit("/", 1)[-1][:10]}">{m}</MASK_FILENAME>' for m in members if "/MSK_" in m
    )
    return f"""<?xml version="1.0" encoding="UTF-8" standalone="no"?>
<n1:Level-1C_Tile_ID xmlns:n1="https://psd-14.sentinel2.eo.esa.int/PSD/S2_PDI_Level-1C_Tile_Metadata.xsd" xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">
  <n1:General_Info>
    <TILE_ID metadataLevel="Brief">{scene.platform}_OPER_MSI_L1C_TL_SAMP_{scene.generation:%Y%m%dT%H%M%S}_A{scene.orbit:06d}_T{scene.tile}_N{scene.baseline}</TILE_ID>
    <SENSING_TIME metadataLevel="Standard">{scene.time + timedelta(minutes=4, seconds=24):%Y-%m-%dT%H:%M:%S.%f}Z</SENSING_TIME>
  </n1:General_Info>
  <n1:Geometric_Info>
    <Tile_Geocoding metadataLevel="Brief">
      <HORIZONTAL_CS_NAME>WGS84 / UTM zone 31N</HORIZONTAL_CS_NAME>
      <HORIZONTAL_CS_CODE>EPSG:{truth.EPSG}</HORIZONTAL_CS_CODE>
{sizes}
{places}
    </Tile_Geocoding>
{angles()}
  </n1:Geometric_Info>
  <n1:Quality_Indicators_Info metadataLevel="Standard">
    <Image_Content_QI>
      <CLOUDY_PIXEL_PERCENTAGE>{scene.cloudiness * 100}</CLOUDY_PIXEL_PERCENTAGE>
    </Image_Content_QI>
    <Pixel_Level_QI geometry="FULL_RESOLUTION">
{masks}
    </Pixel_Level_QI>
  </n1:Quality_Indicators_Info>
</n1:Level-1C_Tile_ID>
"""


def sun(row: float, col: float) -> tuple[float, float]:
    """Return zenith and azimuth of the sun at a node of the 5 km grid, in degrees."""
    return 30 + 0.05 * row + 0.02 * col, 150 + 0.1 * row + 0.2 * col


def view(band: int, detector: int, row: float, col: float) -> tuple[float, float]:
    """Return zenith and azimuth of the view at a node, in degrees. The azimuths cross north."""
    return 4 + 0.1 * band + 0.2 * abs(col - 11), (358 + 0.3 * col + (2 if detector % 2 else 0)) % 360


def angles() -> str:
    """Return the angles of a tile: 23 × 23 values, 5 km apart, from the tile's corner."""

    def grid(kind: int, what: str, value: Callable[[float, float], tuple[float, float]], rows: tuple[int, int]) -> str:
        lines = "\n".join(
            "            <VALUES>"
            + " ".join(f"{value(r, c)[kind]:.4f}" if rows[0] <= r < rows[1] else "NaN" for c in range(23))
            + "</VALUES>"
            for r in range(23)
        )
        return (
            f'        <{what}>\n          <COL_STEP unit="m">5000</COL_STEP>\n          <ROW_STEP '
            f'unit="m">5000</ROW_STEP>\n          <Values_List>\n{lines}\n          </Values_List>\n        '
            f"</{what}>\n"
        )

    parts = ['    <Tile_Angles metadataLevel="Standard">\n      <Sun_Angles_Grid>\n']
    parts += [grid(n, what, sun, (0, 23)) for n, what in enumerate(("Zenith", "Azimuth"))]
    parts.append("      </Sun_Angles_Grid>\n")
    for band in range(len(BANDS)):
        for detector, rows in zip(DETECTORS, ((0, 14), (12, 23)), strict=True):
            parts.append(f'      <Viewing_Incidence_Angles_Grids bandId="{band}" detectorId="{detector}">\n')
            parts += [
                grid(n, what, partial(view, band, detector), rows) for n, what in enumerate(("Zenith", "Azimuth"))
            ]
            parts.append("      </Viewing_Incidence_Angles_Grids>\n")
    return "".join(parts) + "    </Tile_Angles>"


def manifest(members: dict[str, bytes]) -> str:
    """Return manifest.safe."""
    objects = "\n".join(
        f'    <dataObject ID="object{n}"><byteStream mimeType="application/octet-stream" '
        f'size="{len(data)}"><fileLocation locatorType="URL" href="./{name}"/><checksum '
        f'checksumName="MD5">{hashlib.md5(data).hexdigest()}</checksum></byteStream></dataObject>'
        for n, (name, data) in enumerate(sorted(members.items()))
    )
    return f"""<?xml version="1.0" encoding="UTF-8"?>
<xfdu:XFDU xmlns:xfdu="urn:ccsds:schema:xfdu:1" xmlns:safe="http://www.esa.int/safe/sentinel/1.1" version="esa/safe/sentinel/1.1/sentinel-2/msi/archive_l1c_user_product">
  <informationPackageMap/>
  <metadataSection/>
  <dataObjectSection>
{objects}
  </dataObjectSection>
</xfdu:XFDU>
"""
