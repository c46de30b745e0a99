"""Sentinel-1 OCN products in ESA's form.

Wind, waves and radial velocity in NetCDF-4, computed from a formula, in two modes.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import h5netcdf
import numpy as np
from numpy.typing import NDArray

FILLER = np.float32(-999)
IMAGES = 4  # images of a pass in wave mode
_WEST, _NORTH = 3.2, 43.2  # over the Gulf of Lion
_STEP = 0.01  # degrees from cell to cell

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Product:
    """One product of the sample."""

    mode: str
    """``IW`` or ``WV``."""
    start: datetime
    """Start of the acquisition, UTC."""

    @property
    def stop(self) -> datetime:
        """Return the end of the acquisition, UTC."""
        return self.start + timedelta(seconds=25 if self.mode == "IW" else 15 * IMAGES)

    @property
    def name(self) -> str:
        """Return the product's name, without ``.SAFE``."""
        kind = "SDV" if self.mode == "IW" else "SSV"
        return f"S1A_{self.mode}_OCN__2{kind}_{self.start:%Y%m%dT%H%M%S}_{self.stop:%Y%m%dT%H%M%S}_038216_048289_5E6F"

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Return longitude and latitude of the corners, closed."""
        east, south = _WEST + 0.4, _NORTH - 1.5
        return [(_WEST, south), (east, south), (east, _NORTH), (_WEST, _NORTH), (_WEST, south)]


def products() -> list[Product]:
    """Return one product of each mode."""
    return [
        Product("IW", datetime(2021, 6, 6, 17, 39, 12, tzinfo=UTC)),
        Product("WV", datetime(2021, 6, 7, 5, 52, 40, tzinfo=UTC)),
    ]


def cells(component: str, mode: str, image: int = 0) -> tuple[int, int]:
    """Return the number of cells of a component in azimuth and in range."""
    return (1, 1) if mode == "WV" else {"owi": (12, 15), "osw": (2, 3), "rvl": (6, 8)}[component]


def place(component: str, mode: str, image: int = 0) -> tuple[Floats, Floats]:
    """Return longitude and latitude of the cells."""
    row, col = np.indices(cells(component, mode))
    return (
        (_WEST + col * _STEP * 3 + 0.002 * row).astype("f4"),
        (_NORTH - row * _STEP * 3 - 0.3 * image).astype("f4"),
    )


def wind_speed(mode: str, image: int = 0) -> Floats:
    """Return the values of ``owiWindSpeed`` in m/s; one corner is land, without values."""
    row, col = np.indices(cells("owi", mode))
    speed = (6 + 0.25 * row + 0.1 * col + 0.5 * image).astype("f4")
    return np.where((row == 0) & (col == 0) & (mode == "IW"), FILLER, speed)


def wave_height(mode: str, image: int = 0) -> Floats:
    """Return the values of ``oswHs`` of two partitions, in m."""
    row, col, partition = np.indices((*cells("osw", mode), 2))
    return (1.5 + 0.2 * row + 0.1 * col - 0.7 * partition + 0.05 * image).astype("f4")


def radial_velocity(mode: str, image: int = 0) -> Floats:
    """Return the values of ``rvlRadVel`` of each swath, in m/s."""
    row, col, swath = np.indices((*cells("rvl", mode), 3 if mode == "IW" else 1))
    return (0.1 * row - 0.05 * col + 0.3 * swath + 0.01 * image).astype("f4")


def write(product: Product, path: Path) -> None:
    """Write one product as a zip with stored members. The same product always gets the same numbers."""
    span = f"{product.start:%Y%m%dt%H%M%S}-{product.stop:%Y%m%dt%H%M%S}-038216-048289"
    members = {"manifest.safe": b'<?xml version="1.0" encoding="UTF-8"?>\n<XFDU/>\n'}
    if product.mode == "IW":
        members[f"measurement/s1a-iw-ocn-vv-{span}-001.nc"] = _file(product, 0)
    else:
        for image in range(IMAGES):
            members[f"measurement/s1a-wv{image % 2 + 1}-ocn-vv-{span}-{image + 1:03d}.nc"] = _file(product, image)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            archive.writestr(
                zipfile.ZipInfo(f"{product.name}.SAFE/{name}", product.stop.timetuple()[:6]), members[name]
            )


def _file(product: Product, image: int) -> bytes:
    mode, buffer = product.mode, io.BytesIO()
    when = product.start + timedelta(seconds=15 * image)
    with h5netcdf.File(buffer, "w") as file:
        file.attrs["title"] = np.bytes_(f"Sentinel-1 OCN {mode}")
        file.attrs["missionName"] = np.bytes_("S1A")
        file.attrs["firstMeasurementTime"] = np.bytes_(f"{when:%Y-%m-%dT%H:%M:%SZ}")
        for component in ("owi", "osw", "rvl"):
            file.dimensions[f"{component}AzSize"], file.dimensions[f"{component}RaSize"] = cells(component, mode)
            lon, lat = place(component, mode, image)
            for name, values in ((f"{component}Lon", lon), (f"{component}Lat", lat)):
                _add(file, name, (f"{component}AzSize", f"{component}RaSize"), values, "degrees", name[3:])
        file.dimensions["oswPartitions"], file.dimensions["rvlSwath"] = 2, 3 if mode == "IW" else 1
        wind, waves, water = ("owiAzSize", "owiRaSize"), ("oswAzSize", "oswRaSize"), ("rvlAzSize", "rvlRaSize")
        speed = wind_speed(mode, image)
        _add(file, "owiWindSpeed", wind, speed, "m/s", "SAR wind speed at 10 m")
        _add(file, "owiWindDirection", wind, np.full_like(speed, 320), "degrees", "SAR wind direction, from")
        mask = file.create_variable("owiMask", wind, "i1", data=(speed == FILLER).astype("i1"))
        mask.attrs["flag_values"] = np.array([0, 1], "i1")
        mask.attrs["flag_meanings"] = np.bytes_("valid land")
        _add(file, "oswHs", (*waves, "oswPartitions"), wave_height(mode, image), "m", "Significant wave height")
        _add(
            file, "oswTotalHs", waves, np.hypot(*np.moveaxis(wave_height(mode, image), 2, 0)), "m", "Total wave height"
        )
        _add(file, "rvlRadVel", (*water, "rvlSwath"), radial_velocity(mode, image), "m/s", "Radial velocity")
    return buffer.getvalue()


def _add(file: h5netcdf.File, name: str, dims: tuple[str, ...], values: Floats, units: str, title: str) -> None:
    variable = file.create_variable(name, dims, "f4", data=values.astype("f4"))
    variable.attrs["units"], variable.attrs["long_name"] = np.bytes_(units), np.bytes_(title)
