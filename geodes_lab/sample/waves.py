"""Wave heights of a storm west of France: tracks of two satellites (level 3, as Copernicus Marine has them) and a buoy."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import h5netcdf
import numpy as np
from numpy.typing import NDArray

from geodes_lab.sample import truth

Floats = NDArray[np.float64]

BOX = (-22.0, 38.0, 0.0, 54.0)
"""West, south, east, north of the records, in degrees: all sea, as if there were no land."""
BEGIN = datetime(2022, 2, 14, tzinfo=UTC)
DAYS = 5
BUOY = (-5.0, 45.2)
"""Longitude and latitude of the buoy."""
NOISE, BUOY_NOISE = 0.12, 0.08
"""Standard deviation of a record's error, in metres."""
_ORBIT, _TILT = 27 * 86_400 / 385, np.radians(98.65)  # seconds of a revolution, inclination: Sentinel-3's
_PHASES = {"Sentinel-3A": 0.0, "Sentinel-3B": 140.0}  # degrees on the orbit, which both share
_LON, _SECONDS = 171.0, 1.0  # longitude of the first crossing of the equator; time between records
_SINCE = datetime(2000, 1, 1, tzinfo=UTC)
_GLOBAL = {"Conventions": "CF-1.6", "institution": "GEODES Lab sample: generated, not measured"}


def wave_height(longitude: Any, latitude: Any, seconds: Any) -> Floats:
    """Return the true significant wave height, in metres.

    A storm crosses from the south-west to the north-east, is highest after two days and a half, and leaves a swell.

    Parameters
    ----------
    longitude, latitude
        In degrees.
    seconds
        Since `BEGIN`.
    """
    hours = np.asarray(seconds, float) / 3600
    lon, lat = np.asarray(longitude, float), np.asarray(latitude, float)
    east = (lon - (-21.0 + 0.2 * hours)) * np.cos(np.radians(lat)) * 111.2
    north = (lat - (41.0 + 0.075 * hours)) * 111.2
    strength = 7.5 * np.exp(-(((hours - 60) / 40) ** 2))
    swell = 1.8 + 0.5 * np.sin(np.radians(12 * lon + 9 * lat) + hours / 30)
    return np.asarray(swell + strength * np.exp(-(east**2 + north**2) / 420.0**2))


def ground_track(platform: str, seconds: Floats) -> tuple[Floats, Floats]:
    """Return longitude and latitude under a satellite on a circular orbit that follows the sun, in degrees.

    Parameters
    ----------
    platform
        ``Sentinel-3A`` or ``Sentinel-3B``.
    seconds
        Since `BEGIN`.
    """
    angle = 2 * np.pi * seconds / _ORBIT + np.radians(_PHASES[platform])
    latitude = np.degrees(np.arcsin(np.sin(_TILT) * np.sin(angle)))
    along = np.degrees(np.arctan2(np.cos(_TILT) * np.sin(angle), np.cos(angle)))
    return (_LON + along - seconds / 240 + 180) % 360 - 180, latitude


@dataclass(frozen=True)
class Waves:
    """One pass of a satellite over the area, or the series of the buoy."""

    platform: str
    """The satellite, or the buoy's number."""
    first: int
    """The first record, in seconds since `BEGIN`."""
    count: int
    """Records."""
    step: float = _SECONDS
    """Seconds between them."""
    collection: str = "CMEMS_WAVE_L3"
    """The collection's id."""

    @property
    def seconds(self) -> Floats:
        """Return the time of the records since `BEGIN` (records)."""
        return np.asarray(self.first + np.arange(self.count) * self.step, np.float64)

    @property
    def places(self) -> tuple[Floats, Floats]:
        """Return longitude and latitude of the records."""
        if self.is_buoy:
            return np.full(self.count, BUOY[0]), np.full(self.count, BUOY[1])
        return ground_track(self.platform, self.seconds)

    @property
    def is_buoy(self) -> bool:
        """Whether it is the buoy."""
        return self.platform not in _PHASES

    @property
    def time(self) -> datetime:
        """Return the time of the first record."""
        return BEGIN + timedelta(seconds=self.first)

    @property
    def stop(self) -> datetime:
        """Return the time of the last record."""
        return BEGIN + timedelta(seconds=float(self.seconds[-1]))

    @property
    def name(self) -> str:
        """Return its name, as Copernicus Marine makes them."""
        if self.is_buoy:
            return f"GL_TS_MO_{self.platform}_{self.time:%Y%m%d}"
        times = "_".join(f"{t:%Y%m%dT%H%M%S}" for t in (self.time, self.stop, self.stop + timedelta(hours=3)))
        return f"global_vavh_l3_rt_s3{self.platform[-1].lower()}_{times}"

    @property
    def key(self) -> str:
        """Return its path on the datalake."""
        return f"cmems-wave/{self.time:%Y/%m/%d}/{self.name}.nc"

    @property
    def properties(self) -> dict[str, Any]:
        """Return the fields of its Item."""
        return {
            "platform": self.platform,
            "instrument": "buoy" if self.is_buoy else "SRAL",
            "product:type": "WAVE_BUOY" if self.is_buoy else "WAVE_L3",
            "processing:level": "L3",
            "eo:cloud_cover": 0.0,
        }

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Return longitude and latitude of a strip around the records, closed."""
        lon, lat = (a[[0, -1]] for a in self.places)
        ring = [(lon[0] - 0.05, lat[0]), (lon[0] + 0.05, lat[0]), (lon[1] + 0.05, lat[1]), (lon[1] - 0.05, lat[1])]
        if self.is_buoy:
            ring = [(x, y + dy) for (x, y), dy in zip(ring, (-0.05, -0.05, 0.05, 0.05), strict=True)]
        return [(float(x), float(y)) for x, y in [*ring, ring[0]]]

    def write(self, path: Path) -> None:
        """Write the file (NetCDF-4)."""
        lon, lat = self.places
        rng = np.random.default_rng([truth.SEED, self.first, *map(ord, self.platform)])
        noise = rng.normal(0, BUOY_NOISE if self.is_buoy else NOISE, self.count)
        height = np.maximum(wave_height(lon, lat, self.seconds) + noise, 0)
        name = "VHM0" if self.is_buoy else "VAVH"
        path.parent.mkdir(parents=True, exist_ok=True)
        with h5netcdf.File(path, "w") as file:
            file.attrs.update(_GLOBAL | {"platform": self.platform, "creation_date": f"{self.stop:%Y-%m-%dT%H:%M:%S}"})
            file.dimensions = {"time": self.count}
            for key, values, scale, attrs in (
                ("time", (BEGIN - _SINCE).total_seconds() + self.seconds, None, {
                    "standard_name": "time", "units": "seconds since 2000-01-01 00:00:00.0", "calendar": "gregorian"}),
                ("latitude", lat, 1e-6, {"standard_name": "latitude", "units": "degrees_north"}),
                ("longitude", lon % 360, 1e-6, {"standard_name": "longitude", "units": "degrees_east"}),
                (name, height, 1e-3, {
                    "standard_name": "sea_surface_wave_significant_height", "units": "m",
                    "long_name": "Significant wave height", "coordinates": "longitude latitude"}),
            ):  # fmt: skip
                stored = values if scale is None else np.rint(values / scale).astype("i2" if key == name else "i4")
                variable = file.create_variable(key, ("time",), stored.dtype, data=stored)
                variable.attrs.update(attrs | ({} if scale is None else {"scale_factor": scale}))


def products() -> list[Waves]:
    """Return the passes over the area in the days of the storm, and the buoy's series."""
    seconds = np.arange(0.0, DAYS * 86_400, _SECONDS)
    west, south, east, north = BOX
    found = [Waves("62001", 0, DAYS * 24, 3600.0)]
    for platform in _PHASES:
        lon, lat = ground_track(platform, seconds)
        inside = np.flatnonzero((lon > west) & (lon < east) & (lat > south) & (lat < north))
        for run in np.split(inside, np.flatnonzero(np.diff(inside) > 1) + 1):
            if len(run) > 30:
                found.append(Waves(platform, int(seconds[run[0]]), len(run)))
    return found
