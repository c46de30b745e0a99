"""A Sentinel-1 IW SLC product in ESA's form.

Two polarisations of one swath, three bursts, complex numbers from a formula.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.io import MemoryFile

from geodes_lab.sample.sentinel1 import document, grd
from geodes_lab.sample.sentinel1.grd import INTERVAL, LIGHT, Floats

BURSTS, HEIGHT, SAMPLES = 3, 60, 400  # lines of a burst, samples of a line
STEP = 2.055556e-3  # seconds from line to line
OVERLAP = 8  # lines of two bursts that cover the same ground
VALID_LINES, VALID_SAMPLES = (4, 55), (10, 389)  # first and last valid line and sample of each burst
SAMPLING = 6.434523812571428e07  # Hz, in range
POLARISATIONS = ("VH", "VV")
GAIN = 474.0


@dataclass(frozen=True)
class Product:
    """One product of the sample."""

    start: datetime
    """Zero-Doppler time of the first line, UTC."""

    @property
    def stop(self) -> datetime:
        """Return the zero-Doppler time of the last line."""
        return self.burst(BURSTS - 1) + timedelta(seconds=STEP * (HEIGHT - 1))

    @property
    def name(self) -> str:
        """Return the product's name, without ``.SAFE``."""
        return f"S1A_IW_SLC__1SDV_{self.start:%Y%m%dT%H%M%S}_{self.stop:%Y%m%dT%H%M%S}_038209_04824A_3C4D"

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Return longitude and latitude of the corners, closed."""
        last, end = BURSTS * HEIGHT - 1, SAMPLES - 1
        lon, lat = self.degrees(np.array([last, last, 0, 0, last]), np.array([0, end, end, 0, 0]))
        return list(zip(lon.tolist(), lat.tolist(), strict=True))

    def burst(self, number: int) -> datetime:
        """Zero-Doppler time of the first line of a burst, counted from 0."""
        return self.start + timedelta(seconds=number * (HEIGHT - OVERLAP) * STEP)

    def seconds(self, line: NDArray[np.integer]) -> Floats:
        """Return the time of lines of the image since the first line."""
        number = np.minimum(line // HEIGHT, BURSTS - 1)
        return np.asarray(number * (HEIGHT - OVERLAP) * STEP + (line - number * HEIGHT) * STEP)

    def degrees(self, line: NDArray[np.integer], sample: NDArray[np.integer]) -> tuple[Floats, Floats]:
        """Return longitude and latitude of samples."""
        across = np.arange(grd.SAMPLES)
        ground = np.interp(near() + np.asarray(sample) * LIGHT / 2 / SAMPLING, grd.look(across)[0], across)
        return grd.degrees(self.seconds(np.asarray(line)) / INTERVAL, ground)

    def stem(self, polarisation: str) -> str:
        """The name of a polarisation's files, without extension."""
        rest = "-".join(self.name.split("_")[5:9])
        return f"s1a-iw1-slc-{polarisation}-{rest}-{POLARISATIONS.index(polarisation) + 1:03d}".lower()


def products() -> list[Product]:
    """Return the sample's only complex image, from the same pass as the GRD."""
    return [Product(datetime(2021, 6, 6, 6, 1, 0, 246_813, tzinfo=UTC))]


def near() -> float:
    """Return the slant range of the first sample, in metres."""
    return float(grd.look(50)[0])


def numbers(polarisation: str) -> NDArray[np.complex64]:
    """Return the complex numbers (lines, samples), with integer parts; 0 where the sample is not valid."""
    line, sample = np.mgrid[0 : BURSTS * HEIGHT, 0:SAMPLES]
    twist = 1 + POLARISATIONS.index(polarisation)
    formula = ((3 * line + twist * sample) % 2001 - 1000) + 1j * ((line + 2 * twist * sample) % 1501 - 750)
    return np.where(valid(), formula, 0).astype(np.complex64)


def valid() -> NDArray[np.bool_]:
    """Return which samples are valid."""
    line, sample = np.mgrid[0 : BURSTS * HEIGHT, 0:SAMPLES]
    there = (line % HEIGHT >= VALID_LINES[0]) & (line % HEIGHT <= VALID_LINES[1])
    return np.asarray(there & (sample >= VALID_SAMPLES[0]) & (sample <= VALID_SAMPLES[1]))


def write(product: Product, path: Path) -> None:
    """Write one product as a zip with compressed measurements, as in some archives. The bytes are always the same."""
    members: dict[str, bytes] = {"manifest.safe": b'<?xml version="1.0" encoding="UTF-8"?>\n<XFDU/>\n'}
    for polarisation in POLARISATIONS:
        stem = product.stem(polarisation)
        header = {"adsHeader": _header(product, polarisation)}
        knots = np.append(np.arange(0, SAMPLES, 40), SAMPLES - 1)
        vectors = [
            {"azimuthTime": product.burst(n), "line": n * HEIGHT, "pixel": knots}
            | {q: np.full(len(knots), GAIN + n, np.float32) for q in ("sigmaNought", "betaNought", "gamma", "dn")}
            for n in range(BURSTS)
        ]
        ranges = [
            {
                "azimuthTime": product.burst(n),
                "line": n * HEIGHT,
                "pixel": knots,
                "noiseRangeLut": np.full(len(knots), 9.0, np.float32),
            }
            for n in range(BURSTS)
        ]
        folder = "annotation/calibration"
        members[f"annotation/{stem}.xml"] = document.xml("product", header | _annotation(product))
        members[f"{folder}/calibration-{stem}.xml"] = document.xml(
            "calibration", header | {"calibrationVectorList": vectors}
        )
        members[f"{folder}/noise-{stem}.xml"] = document.xml("noise", header | {"noiseRangeVectorList": ranges})
        members[f"measurement/{stem}.tiff"] = _tiff(product, polarisation)
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(f"{product.name}.SAFE/{name}", product.stop.timetuple()[:6])
            info.compress_type = zipfile.ZIP_DEFLATED if name.endswith(".tiff") else zipfile.ZIP_STORED
            archive.writestr(info, members[name])


def _header(product: Product, polarisation: str) -> dict[str, Any]:
    return {
        "missionId": "S1A", "productType": "SLC", "polarisation": polarisation, "mode": "IW", "swath": "IW1",
        "startTime": product.start, "stopTime": product.stop, "absoluteOrbitNumber": 38209,
    }  # fmt: skip


def _annotation(product: Product) -> dict[str, Any]:
    middle = product.start + (product.stop - product.start) / 2
    orbits = []
    for seconds in range(-80, 80, 10):
        place, velocity = (dict(zip("xyz", v.tolist(), strict=True)) for v in grd.orbit(seconds))
        when = middle + timedelta(seconds=seconds)
        orbits.append({"time": when, "frame": "Earth Fixed", "position": place, "velocity": velocity})
    image = {
        "productFirstLineUtcTime": product.start, "productLastLineUtcTime": product.stop,
        "slantRangeTime": 2 * near() / LIGHT, "pixelValue": "Complex", "rangePixelSpacing": LIGHT / 2 / SAMPLING,
        "azimuthPixelSpacing": 13.9, "azimuthTimeInterval": STEP, "numberOfSamples": SAMPLES,
        "numberOfLines": BURSTS * HEIGHT,
    }  # fmt: skip
    lines = np.arange(HEIGHT)
    inside = (lines >= VALID_LINES[0]) & (lines <= VALID_LINES[1])
    first, last = (np.where(inside, edge, -1) for edge in VALID_SAMPLES)
    bursts = [
        {
            "azimuthTime": product.burst(n),
            "azimuthAnxTime": 2235.0 + n,
            "sensingTime": product.burst(n),
            "byteOffset": 0,
        }
        | {"firstValidSample": first, "lastValidSample": last, "burstId": 40_000 + n}
        for n in range(BURSTS)
    ]
    return {
        "generalAnnotation": {
            "productInformation": {"pass": "Descending", "rangeSamplingRate": SAMPLING},
            "orbitList": orbits,
        },
        "imageAnnotation": {
            "imageInformation": image,
            "processingInformation": {"thermalNoiseCorrectionPerformed": "false"},
        },
        "swathTiming": {"linesPerBurst": HEIGHT, "samplesPerBurst": SAMPLES, "burstList": bursts},
        "geolocationGrid": {"geolocationGridPointList": _grid(product)},
    }


def _grid(product: Product) -> list[dict[str, Any]]:
    points = []
    for line in [n * HEIGHT for n in range(BURSTS)] + [BURSTS * HEIGHT - 1]:
        samples = np.rint(np.linspace(0, SAMPLES - 1, 21)).astype(int)
        lon, lat = product.degrees(np.full(21, line), samples)
        when = product.start + timedelta(seconds=float(product.seconds(np.array(line))))
        points += [
            {"azimuthTime": when, "slantRangeTime": 2 * near() / LIGHT + s / SAMPLING, "line": line, "pixel": s}
            | {"latitude": lat[n], "longitude": lon[n], "height": grd.HEIGHT}
            | {"incidenceAngle": 36.0, "elevationAngle": 32.0}
            for n, s in enumerate(samples)
        ]
    return points


def _tiff(product: Product, polarisation: str) -> bytes:
    points = [
        GroundControlPoint(p["line"], int(p["pixel"]), p["longitude"], p["latitude"], p["height"], id=str(n))
        for n, p in enumerate(_grid(product), 1)
    ]
    shape = {"height": BURSTS * HEIGHT, "width": SAMPLES}
    with MemoryFile(ext=".tiff") as memory:
        with memory.open(
            driver="GTiff", count=1, dtype="complex_int16", blockysize=1, gcps=points, crs="EPSG:4326", **shape
        ) as file:
            file.write(numbers(polarisation), 1)
        return bytes(memory.read())
