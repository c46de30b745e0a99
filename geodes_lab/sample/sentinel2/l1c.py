"""Sentinel-2 L1C products in ESA's form: SAFE in one zip, JPEG 2000 with ESA's coding parameters."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
from geodes_lab.sample.sentinel2 import xml as sentinel2_xml
from geodes_lab.sample.sentinel2.xml import PIXELS, QUANTIFICATION

# The real grids: west and north edge of each tile, EPSG:32631. A product of the sample covers a window of its tile.
TILES = {"31TCJ": (300_000, 4_900_020), "31TDJ": (399_960, 4_900_020)}

# JPEG 2000 as measured on ESA's files: tile, code block, precinct, in pixels; LRCP, one layer, five resolutions.
_CODING = {10: (1024, 64, 256), 20: (640, 64, 256), 60: (192, 4, 64)}


@dataclass(frozen=True)
class Scene:
    """One product of the sample."""

    time: datetime
    """Start of the datatake, UTC."""
    tile: str
    """The MGRS tile, such as ``31TCJ``."""
    baseline: str
    """The processing baseline, such as ``03.01``."""
    platform: str
    """``S2A`` or ``S2B``."""
    cloudiness: float = 0.0
    """Fraction of the area under clouds."""
    swath_edge: bool = False
    """Whether the swath ends inside the area."""
    generated: datetime | None = None
    """The time of processing; None: two hours after the acquisition."""
    latest: bool = True
    """Whether this is the newest processing in the catalogue."""

    @property
    def offset(self) -> int:
        """Return the offset of the numbers: 0 before baseline 04.00, -1000 from then on."""
        return -1000 if self.baseline >= "04.00" else 0

    @property
    def generation(self) -> datetime:
        """Return the time of processing."""
        return self.generated or self.time.replace(microsecond=0) + timedelta(hours=2, minutes=9, seconds=5)

    @property
    def name(self) -> str:
        """Return the product's name, without ``.SAFE``."""
        baseline = self.baseline.replace(".", "")
        return f"{self.platform}_MSIL1C_{self.time:%Y%m%dT%H%M%S}_N{baseline}_R051_T{self.tile}_{self.generation:%Y%m%dT%H%M%S}"

    @property
    def origin(self) -> tuple[int, int]:
        """Return the west and north edge of the product's window, in metres."""
        west, _ = TILES[self.tile]
        return max(west, truth.WEST), truth.NORTH

    @property
    def orbit(self) -> int:
        """Return the absolute orbit number, counted from a real orbit of the same track."""
        return {"S2A": 31091, "S2B": 22239}[self.platform] + round(
            (self.time.date() - datetime(2021, 6, 5).date()).days * 14.3
        )

    def window(self, whole: NDArray[Any], resolution: int) -> NDArray[Any]:
        """Cut the product's window out of an array of the truth's whole area."""
        col = (self.origin[0] - truth.WEST) // resolution
        size = PIXELS * 10 // resolution
        return whole[:size, col : col + size]

    def numbers(self, band: int) -> NDArray[np.uint16]:
        """Return the digital numbers of a band: quantised, with the offset, and 0 for no data."""
        resolution = BANDS[band].resolution
        whole = truth.reflectance(
            band, resolution, self.time.date(), cloudiness=self.cloudiness, swath_edge=self.swath_edge
        )
        value = np.rint(self.window(whole, resolution) * QUANTIFICATION) - self.offset
        return np.where(np.isnan(value), 0, np.clip(value, 1, 28_000)).astype(np.uint16)


def scenes() -> list[Scene]:
    """Return the summer of 2021: nine dates on two tiles, two baselines, and the difficulties of real archives."""

    def at(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    a, b = "T10:50:31.024", "T10:46:29.024"
    new = at("2023-02-06T21:14:37")  # reprocessed into Collection 1
    dates: list[tuple[str, str, dict[str, Any]]] = [
        (f"2021-06-05{a}", "S2A", {"baseline": "03.00"}),
        (f"2021-06-10{b}", "S2B", {"baseline": "03.00", "cloudiness": 0.12}),
        (f"2021-06-20{b}", "S2B", {"baseline": "03.00", "cloudiness": 0.78}),
        (f"2021-07-05{a}", "S2A", {"baseline": "03.01"}),
        (f"2021-07-15{a}", "S2A", {"baseline": "03.01", "latest": False}),
        (f"2021-07-15{a}", "S2A", {"baseline": "05.00", "generated": new}),
        (f"2021-07-25{a}", "S2A", {"baseline": "05.00", "generated": new, "cloudiness": 0.05}),
        (f"2021-08-04{a}", "S2A", {"baseline": "05.00", "generated": new}),
        (f"2021-08-14{a}", "S2A", {"baseline": "05.00", "generated": new, "swath_edge": True}),
        (f"2021-08-29{b}", "S2B", {"baseline": "05.00", "generated": new, "cloudiness": 0.2}),
    ]
    result = []
    for time, platform, more in dates:
        for tile in TILES:
            # On one day only one tile was reprocessed, so one slice of a cube has two baselines.
            half_done = time.startswith("2021-07-15") and tile == "31TDJ"
            if not (half_done and more["baseline"] == "05.00"):
                result.append(
                    Scene(
                        time=at(time), tile=tile, platform=platform, **({**more, "latest": True} if half_done else more)
                    )
                )
    return result


def write(scene: Scene, path: Path) -> None:
    """Write one product as a zip with stored members. The same scene always gets the same bytes."""
    granule = (
        f"GRANULE/L1C_T{scene.tile}_A{scene.orbit:06d}_{scene.time + timedelta(minutes=4, seconds=24):%Y%m%dT%H%M%S}"
    )
    stem = f"T{scene.tile}_{scene.time:%Y%m%dT%H%M%S}"
    members: dict[str, bytes] = {}
    for number, band in enumerate(BANDS):
        image = jpeg2000(scene.numbers(number)[np.newaxis], scene.origin, band.resolution, bits=15)
        members[f"{granule}/IMG_DATA/{stem}_{band.name}.jp2"] = image
    members[f"{granule}/IMG_DATA/{stem}_TCI.jp2"] = _true_colour(scene)
    members |= {f"{granule}/QI_DATA/{name}": data for name, data in _masks(scene).items()}
    members[f"{granule}/MTD_TL.xml"] = sentinel2_xml.tile_xml(scene, granule, sorted(members)).encode()
    members["MTD_MSIL1C.xml"] = sentinel2_xml.product_xml(scene, granule, stem).encode()
    members["manifest.safe"] = sentinel2_xml.manifest(members).encode()
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(f"{scene.name}.SAFE/{name}", scene.generation.timetuple()[:6])
            archive.writestr(info, members[name])


def ring(scene: Scene) -> list[tuple[float, float]]:
    """Return longitude and latitude of the corners of a scene's window, closed."""
    west, north = scene.origin
    size = PIXELS * 10
    return list(box(west, north - size, west + size, north, f"EPSG:{truth.EPSG}").to_crs("EPSG:4326").exterior.points)


def jpeg2000(numbers: NDArray[Any], origin: tuple[int, int], resolution: int, bits: int) -> bytes:
    """Encode (band, y, x) as ESA does: lossless 5/3, LRCP, one layer, five resolutions, no TLM marker."""
    tile, block, precinct = _CODING[resolution]
    profile = {
        "driver": "JP2OpenJPEG",
        "count": numbers.shape[0],
        "height": numbers.shape[1],
        "width": numbers.shape[2],
        "dtype": numbers.dtype,
        "crs": f"EPSG:{truth.EPSG}",
        "transform": Affine(resolution, 0, origin[0], 0, -resolution, origin[1]),
        "QUALITY": "100",
        "REVERSIBLE": "YES",
        "YCBCR420": "NO",
        "RESOLUTIONS": "5",
        "PROGRESSION": "LRCP",
        "tiled": True,  # otherwise rasterio ignores the tile width
        "BLOCKXSIZE": tile,
        "BLOCKYSIZE": tile,
        "CODEBLOCK_WIDTH": block,
        "CODEBLOCK_HEIGHT": block,
        "PRECINCTS": ",".join([f"{{{precinct},{precinct}}}"] * 5),
        "NBITS": bits,
        "WRITE_METADATA": "NO",
    }
    with rasterio.Env(GDAL_PAM_ENABLED="NO", GDAL_NUM_THREADS="1"), MemoryFile(ext=".jp2") as memory:
        with memory.open(**profile) as file:
            file.write(numbers)
        return bytes(memory.read())


def _true_colour(scene: Scene) -> bytes:
    measure = [(scene.numbers(b).astype(float) + scene.offset) / QUANTIFICATION for b in (3, 2, 1)]
    colour = np.clip(np.rint(np.stack(measure) * 255 / 0.35), 1, 255)
    colour[:, scene.numbers(3) == 0] = 0
    return jpeg2000(colour.astype(np.uint8), scene.origin, 10, bits=8)


def _masks(scene: Scene) -> dict[str, bytes]:
    """Return the quality masks in the form of the baseline: rasters since 04.00, GML polygons before."""
    opaque = scene.window(truth.clouds(scene.time.date(), scene.cloudiness) > 0.5, 60)
    seen = scene.window(truth.seen(scene.swath_edge), 60)
    if scene.baseline < "04.00":
        return {"MSK_CLOUDS_B00.gml": sentinel2_xml.cloud_gml(scene, opaque & seen).encode()}
    classes = np.zeros((3, *opaque.shape), np.uint8)  # opaque clouds, cirrus, snow
    classes[0] = opaque & seen
    masks = {"MSK_CLASSI_B00.jp2": jpeg2000(classes, scene.origin, 60, bits=8)}
    for band in BANDS:
        # One detector sees the whole area; 0 means that no detector saw the pixel.
        times = 60 // band.resolution
        detector = (seen * 5).astype(np.uint8).repeat(times, 0).repeat(times, 1)
        masks[f"MSK_DETFOO_{band.name}.jp2"] = jpeg2000(detector[np.newaxis], scene.origin, band.resolution, bits=8)
    return masks
