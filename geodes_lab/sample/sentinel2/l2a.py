"""A Sentinel-2 L2A product in ESA's layout, from a scene that also exists as L1C.

Surface reflectance, classes, aerosol, water.
"""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geodes_lab.products.sentinel2.bands import BANDS
from geodes_lab.sample import truth
from geodes_lab.sample.sentinel2 import l1c
from geodes_lab.sample.sentinel2 import xml as sentinel2_xml

HAZE = 120  # effect of the atmosphere on the numbers of L1C
CIRRUS = 10  # the band without surface reflectance
CLOUD, WATER, VEGETATION, NOTHING = 9, 6, 4, 0  # classes of SCL
AEROSOL, VAPOUR = 187, 2410  # everywhere, in thousandths


@dataclass(frozen=True)
class Product:
    """One product of the sample."""

    scene: l1c.Scene
    """The L1C scene."""

    @property
    def name(self) -> str:
        """Return the product's name, without ``.SAFE``."""
        return self.scene.name.replace("MSIL1C", "MSIL2A")

    @property
    def start(self) -> datetime:
        """Return the time of the acquisition, UTC."""
        return self.scene.time

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Return longitude and latitude of the corners, closed."""
        return l1c.ring(self.scene)

    def numbers(self, band: int) -> NDArray[np.uint16]:
        """Return the digital numbers of a band at its own resolution; 0 for no data."""
        level1 = self.scene.numbers(band)
        return np.where(level1 == 0, 0, np.maximum(level1.astype(int) - HAZE, 1)).astype(np.uint16)

    def classes(self) -> NDArray[np.uint8]:
        """Return the scene classification at 20 m."""
        scene = self.scene
        clouds = scene.window(truth.clouds(scene.time.date(), scene.cloudiness) > 0.5, 60).repeat(3, 0).repeat(3, 1)
        nothing = scene.numbers(4) == 0
        result = np.full(clouds.shape, VEGETATION, np.uint8)
        water = next(kind for kind, name in truth.CLASSES.items() if "water" in str(name).lower())
        result[scene.window(truth.land_cover(), 10)[::2, ::2] == water] = WATER
        result[clouds] = CLOUD
        result[nothing] = NOTHING
        return result


def products() -> list[Product]:
    """Return one product, from a day with clouds."""
    return [Product(next(s for s in l1c.scenes() if s.name.startswith("S2B_MSIL1C_20210829") and s.tile == "31TCJ"))]


def write(product: Product, path: Path) -> None:
    """Write one product as a zip with stored members. The same product always gets the same bytes."""
    scene = product.scene
    granule = f"GRANULE/L2A_T{scene.tile}_A{scene.orbit:06d}_{scene.time:%Y%m%dT%H%M%S}"
    stem = f"T{scene.tile}_{scene.time:%Y%m%dT%H%M%S}"
    members: dict[str, bytes] = {}

    def add(kind: str, resolution: int, numbers: NDArray[np.generic], bits: int) -> None:
        name = f"{granule}/IMG_DATA/R{resolution}m/{stem}_{kind}_{resolution}m.jp2"
        members[name] = l1c.jpeg2000(numbers[np.newaxis], scene.origin, resolution, bits)

    for number, band in enumerate(BANDS):
        if number != CIRRUS:
            add(band.name, band.resolution, product.numbers(number), 15)
    add("B02", 20, product.numbers(1)[::2, ::2], 15)
    add("SCL", 20, product.classes(), 8)
    shape = product.classes().shape
    add("AOT", 20, np.full(shape, AEROSOL, np.uint16), 15)
    add("WVP", 20, np.full(shape, VAPOUR, np.uint16), 15)
    listed = "\n".join(f"          <IMAGE_FILE>{m.removesuffix('.jp2')}</IMAGE_FILE>" for m in sorted(members))
    tile = sentinel2_xml.tile_xml(scene, granule, []).replace("Level-1C", "Level-2A").replace("_L1C_", "_L2A_")
    members[f"{granule}/MTD_TL.xml"] = tile.encode()
    members["MTD_MSIL2A.xml"] = _metadata(scene, granule, stem, listed).encode()
    members["manifest.safe"] = sentinel2_xml.manifest(members).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(f"{product.name}.SAFE/{name}", scene.generation.timetuple()[:6])
            archive.writestr(info, members[name])


def _metadata(scene: l1c.Scene, granule: str, stem: str, listed: str) -> str:
    """Return the product's metadata: the document of L1C with the names and numbers of level 2A."""
    text = sentinel2_xml.product_xml(scene, granule, stem)
    text = re.sub(r" *<IMAGE_FILE>[^\n]*</IMAGE_FILE>(\n *<IMAGE_FILE>[^\n]*</IMAGE_FILE>)*", listed, text, count=1)
    values = "".join(
        f'        <{kind}_QUANTIFICATION_VALUE unit="{unit}">{value}</{kind}_QUANTIFICATION_VALUE>\n'
        for kind, unit, value in (("BOA", "none", 10000), ("AOT", "none", 1000.0), ("WVP", "cm", 1000.0))
    )
    text = re.sub(
        r" *<QUANTIFICATION_VALUE[^\n]*\n",
        f"      <QUANTIFICATION_VALUES_LIST>\n{values}      </QUANTIFICATION_VALUES_LIST>\n",
        text,
    )
    for old, new in (
        ("RADIO_ADD_OFFSET", "BOA_ADD_OFFSET"),
        ("Radiometric_Offset_List", "BOA_ADD_OFFSET_VALUES_LIST"),
        ("Level-1C", "Level-2A"),
        ("MSIL1C", "MSIL2A"),
        ("S2MSI1C", "S2MSI2A"),
        ("_L1C_", "_L2A_"),
    ):
        text = text.replace(old, new)
    return text
