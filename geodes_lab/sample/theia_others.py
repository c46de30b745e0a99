"""Other products of Theia: Sentinel-1 on the Sentinel-2 grid, the land cover of France, and global maps of POSTEL."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geom import box
from rasterio.enums import Resampling
from rasterio.warp import reproject

from geodes_lab.sample import truth
from geodes_lab.sample.theia import COL, NORTH, ROW, SIDE, WEST
from geodes_lab.sample.theia_files import pack, tiff

# Backscatter of the land cover classes in VV, sigma nought, and the factor from VV to VH.
_BACKSCATTER = {1: 0.11, 2: 0.16, 3: 0.13, 4: 0.09, 5: 0.15, 6: 0.008, 7: 0.42}
_CROSS = 0.21
# The classes of the truth in OSO's nomenclature of 23 classes.
OSO = {1: 6, 2: 10, 3: 9, 4: 13, 5: 16, 6: 23, 7: 1}
OSO_ORIGIN, OSO_SIDE = (603_400, 6_276_400), 400  # Lambert 93, 10 m
LAI_BLOCK = 40  # pixels of 0.05° in a block with one value


@dataclass(frozen=True)
class Radar:
    """One acquisition of Sentinel-1 in the form of S1Tiling: two images, and the mask of their border."""

    time: datetime
    """The time of the acquisition, UTC."""

    @property
    def name(self) -> str:
        """Return the product's name, from its first image."""
        return f"s1a_31TCJ_vv_DES_110_{self.time:%Y%m%dt%H%M%S}"

    @property
    def collection(self) -> str:
        """Return the collection's id in GEODES."""
        return "THEIA_S1TILING_SENTINEL1_L1"

    @property
    def key(self) -> str:
        """The path on the datalake: bucket and key."""
        return f"sentinel1-s1tiling/T31TCJ/{self.time:%Y/%m/%d}/{self.name}.zip"

    @property
    def properties(self) -> dict[str, Any]:
        """Return its properties in the catalogue."""
        return {
            "platform": "S1A",
            "instrument": "SAR-C SAR",
            "product:type": "S1TILING",
            "processing:level": "L1",
            "grid:code": "T31TCJ",
            "sar:polarizations": "VV VH",
            "sat:orbit_state": "Descending",
            "sat:relative_orbit": 110,
            "eo:cloud_cover": 0.0,
        }

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Return the polygon of the product in degrees, closed."""
        area = box(WEST, NORTH - 10 * SIDE, WEST + 10 * SIDE, NORTH, f"EPSG:{truth.EPSG}").to_crs("EPSG:4326")
        return [(float(x), float(y)) for x, y in area.exterior.points]

    def seen(self) -> NDArray[np.bool_]:
        """Return which pixels the swath covers."""
        y, x = np.mgrid[0:SIDE, 0:SIDE]
        return x > 20 + 0.1 * y

    def numbers(self, polarisation: str) -> NDArray[np.float32]:
        """Return linear backscatter of ``vv`` or ``vh``; 0 is no data."""
        ground = np.zeros(max(_BACKSCATTER) + 1)
        ground[list(_BACKSCATTER)] = list(_BACKSCATTER.values())
        mean = ground[truth.land_cover()[ROW : ROW + SIDE, COL : COL + SIDE]] * (_CROSS if polarisation == "vh" else 1)
        speckle = np.random.default_rng([truth.SEED, self.time.toordinal(), polarisation == "vh"]).gamma(
            4.4, 1 / 4.4, mean.shape
        )
        return np.where(self.seen(), mean * speckle, 0).astype(np.float32)

    def write(self, path: Path) -> None:
        """Write it as a zip with stored members."""
        second = self.time + timedelta(seconds=25)
        members = {}
        for polarisation in ("vv", "vh"):
            tags = {
                "ACQUISITION_DATETIME": f"{self.time:%Y:%m:%dT%H:%M:%SZ}",
                "ACQUISITION_DATETIME_1": f"{self.time:%Y:%m:%dT%H:%M:%SZ}",
                "ACQUISITION_DATETIME_2": f"{second:%Y:%m:%dT%H:%M:%SZ}",
                "CALIBRATION": "sigma",
                "FLYING_UNIT_CODE": "s1a",
                "IMAGE_TYPE": "BACKSCATTERING",
                "NOISE_REMOVED": "True",
                "ORBIT_DIRECTION": "DES",
                "ORTHORECTIFIED": "true",
                "POLARIZATION": polarisation,
                "RELATIVE_ORBIT_NUMBER": "110",
                "S2_TILE_CORRESPONDING_CODE": "31TCJ",
                "SPATIAL_RESOLUTION": "10.0",
                "TIFFTAG_SOFTWARE": "S1 Tiling v1.4.0",
            }
            stem = self.name.replace("_vv_", f"_{polarisation}_")
            members[f"{stem}.tif"] = tiff(self.numbers(polarisation), 10, (WEST, NORTH), tags=tags)
            mask = self.seen().astype(np.uint8)
            members[f"{stem}_BorderMask.tif"] = tiff(mask, 10, (WEST, NORTH), tags=tags | {"IMAGE_TYPE": "MASK"})
        pack(path, members, self.time)


@dataclass(frozen=True)
class LandCover:
    """A part of the land cover of France in one year."""

    time: datetime
    """The first day of the year."""

    @property
    def name(self) -> str:
        """Return the product's name."""
        return f"OSO_{self.time:%Y%m%d}_RASTER_V1-0"

    @property
    def collection(self) -> str:
        """Return the collection's id in GEODES."""
        return "THEIA_OSO_RASTER_L3B"

    @property
    def key(self) -> str:
        """The path on the datalake: bucket and key."""
        return f"muscate/OSO/{self.time:%Y/%m/%d}/{self.name}/{self.name}.zip"

    @property
    def properties(self) -> dict[str, Any]:
        """Return its properties in the catalogue."""
        return {"product:type": "RASTER", "processing:level": "L3B"}

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Return the polygon of the product in degrees, closed."""
        (west, north), size = OSO_ORIGIN, 10 * OSO_SIDE
        area = box(west, north - size, west + size, north, "EPSG:2154").to_crs("EPSG:4326")
        return [(float(x), float(y)) for x, y in area.exterior.points]

    def numbers(self) -> NDArray[np.uint8]:
        """Return classes of OSO's nomenclature; 0 is no data."""
        codes = np.zeros(max(OSO) + 1, np.uint8)
        codes[list(OSO)] = list(OSO.values())
        values = np.zeros((OSO_SIDE, OSO_SIDE), np.uint8)
        reproject(
            codes[truth.land_cover()],
            values,
            src_crs=f"EPSG:{truth.EPSG}",
            src_transform=Affine(10, 0, truth.WEST, 0, -10, truth.NORTH),
            dst_crs="EPSG:2154",
            dst_transform=Affine(10, 0, OSO_ORIGIN[0], 0, -10, OSO_ORIGIN[1]),
            resampling=Resampling.nearest,
        )
        return values

    def write(self, path: Path) -> None:
        """Write it as a zip with stored members."""
        image = tiff(self.numbers(), 10, OSO_ORIGIN, epsg=2154)
        spread = np.random.default_rng(truth.SEED).integers(40, 100, (OSO_SIDE, OSO_SIDE))
        sure = tiff(np.where(self.numbers() > 0, spread, 0).astype(np.uint8), 10, OSO_ORIGIN, epsg=2154)
        members = {f"DATA/OCS_{self.time:%Y}.tif": image, f"DATA/OCS_{self.time:%Y}_Confidence.tif": sure}
        pack(path, {f"{self.name}/{name}": data for name, data in members.items()}, self.time)


@dataclass(frozen=True)
class LeafArea:
    """The leaf area index of the Earth, GEOV2 from AVHRR."""

    time: datetime
    """The day of the map."""
    suffix: str
    """The suffix of its file: ``.h5`` or ``.h5.gz``."""

    @property
    def name(self) -> str:
        """Return the product's name."""
        return f"THEIA_GEOV2_R02_AVHRR_LAI_{self.time:%Y%m%d}"

    @property
    def collection(self) -> str:
        """Return the collection's id in GEODES."""
        return "THEIA_POSTEL_VEGETATION_LAI"

    @property
    def key(self) -> str:
        """The path on the datalake: bucket and key."""
        return f"postel/LAI/{self.time:%Y/%m/%d}/{self.name}{self.suffix}"

    @property
    def properties(self) -> dict[str, Any]:
        """Return its properties in the catalogue."""
        return {"platform": "AVHRR", "mission": "GEOV2", "product:type": "LAI"}

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Return the polygon of the product in degrees, closed."""
        return [(-180.0, -90.0), (180.0, -90.0), (180.0, 90.0), (-180.0, 90.0), (-180.0, -90.0)]

    def numbers(self) -> NDArray[np.uint8]:
        """Return numbers for the whole Earth on a grid of 0.05°; 255 is no data."""
        lat, lon = np.radians(np.mgrid[89:-91:-2, -179:181:2])
        green = 105 * (1 + np.cos(2 * lat) * np.sin(3 * lon + self.time.month / 2))
        land = np.sin(2 * lon + 1) + np.sin(3 * lat) > -0.2
        blocks = np.where(land, np.clip(np.rint(green), 0, 210), 255).astype(np.uint8)
        return blocks.repeat(LAI_BLOCK, 0).repeat(LAI_BLOCK, 1)

    def write(self, path: Path) -> None:
        """Write it as HDF5, compressed with gzip if its suffix is ``.h5.gz``. The bytes are always the same."""
        memory = io.BytesIO()
        with h5py.File(memory, "w", track_order=False) as file:
            file.attrs["PRODUCT"] = np.bytes_("LAI")
            for name, numbers in (("LAI", self.numbers()), ("LAI-RMSE", np.where(self.numbers() == 255, 255, 6))):
                array = file.create_dataset(
                    name, data=numbers.astype(np.uint8), chunks=(600, 600), compression="gzip", track_times=False
                )
                array.attrs["SCALING_FACTOR"], array.attrs["OFFSET"], array.attrs["MISSING_VALUE"] = 30.0, 0.0, 255
        path.parent.mkdir(parents=True, exist_ok=True)
        data = memory.getvalue()
        path.write_bytes(gzip.compress(data, mtime=0) if self.suffix.endswith(".gz") else data)


Product = Radar | LandCover | LeafArea


def products() -> list[Product]:
    """Return two radar acquisitions, one land cover map, two maps of leaf area."""

    def at(text: str) -> datetime:
        return datetime.fromisoformat(text).replace(tzinfo=UTC)

    return [
        Radar(at("2021-07-16T06:00:49")),
        Radar(at("2021-07-28T06:00:50")),
        LandCover(at("2021-01-01")),
        LeafArea(at("2021-07-05"), ".h5"),
        LeafArea(at("2021-07-15"), ".h5.gz"),
    ]
