"""Two Sentinel-1 IW SLC products over the hills, twelve days apart, and an earthquake between them.

Each has three bursts of one swath. Meadows keep most of their coherence, trees lose most of it; the earthquake lifts the
ground on one side of a line and lowers it on the other. The second product's clock is late, by less than a line.
"""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer
from rasterio.io import MemoryFile

from geodes_lab.sample import truth
from geodes_lab.sample.sentinel1 import document, grd, hills, speckle
from geodes_lab.sample.sentinel1.grd import LIGHT, Floats
from geodes_lab.sample.sentinel1.slc import SAMPLING

BURSTS, HEIGHT, SAMPLES = 3, 240, 1024  # lines of a burst, samples of a line
CYCLE = 176  # lines from a burst to the next: they overlap
VALID_LINES, VALID_SAMPLES = (10, 229), (12, 1011)  # first and last valid line and sample of each burst
STEP = 2.055556e-3  # seconds from line to line
FREQUENCY, STEERING = 5.405000454334350e09, 1.590368784  # Hz, degrees per second
RATE, CENTROID = (-2150.0, 4.1e5, 0.0), (12.0, 4.0e3, 0.0)  # Hz/s and Hz, by seconds of range from the first sample
BANDS, WEIGHTS = (327.0, 56.5e6), (0.7, 0.75)  # of azimuth and range
BASELINE = 70.0, 25.0  # metres to the right and upward of the second orbit
LATE = 1.2e-4  # seconds, 0.06 of a line
MEADOW, TREES = 0.85, 0.4  # coherence
TIES = 480.0  # metres: the height of the tie points
AMPLITUDE = 180.0  # root mean square of digital numbers
WAVELENGTH = LIGHT / FREQUENCY
TRACK, FIRST_BURST = 162, 346_627

_LINES = (BURSTS - 1) * CYCLE + HEIGHT  # from the first line to the last, in time


@dataclass(frozen=True)
class Product:
    """One product of the pair."""

    number: int
    """0 before the earthquake, 1 after it."""

    @property
    def start(self) -> datetime:
        """Zero-Doppler time of the first line, UTC."""
        return grd.FIRST + timedelta(days=grd.REPEAT * (11 + self.number))

    @property
    def stop(self) -> datetime:
        """Return the zero-Doppler time of the last line."""
        return self.burst(BURSTS - 1) + timedelta(seconds=STEP * (HEIGHT - 1))

    @property
    def orbit(self) -> int:
        """The absolute orbit number."""
        return 40_134 + 175 * self.number

    @property
    def name(self) -> str:
        """Return the product's name, without ``.SAFE``."""
        span = f"{self.start:%Y%m%dT%H%M%S}_{self.stop:%Y%m%dT%H%M%S}"
        return f"S1A_IW_SLC__1SSV_{span}_{self.orbit:06d}_{0x04C290 + 0x584 * self.number:06X}_7E9{self.number}"

    @property
    def stem(self) -> str:
        """The name of the image's files, without extension."""
        return f"s1a-iw1-slc-vv-{'-'.join(self.name.split('_')[5:9])}-001".lower()

    @property
    def footprint(self) -> list[tuple[float, float]]:
        """Return longitude and latitude of the corners, closed."""
        line, pixel = np.array([[_LINES - 1.0] * 2, [0.0] * 2]), np.array([[0.0, SAMPLES - 1.0]] * 2)
        lon, lat = speckle.level(_sensor(self.number, 0), line, pixel, TIES)
        ring = [(0, 0), (0, 1), (1, 1), (1, 0), (0, 0)]
        return [(float(lon[at]), float(lat[at])) for at in ring]

    def burst(self, number: int) -> datetime:
        """Zero-Doppler time of the first line of a burst, counted from 0."""
        return self.start + timedelta(seconds=number * CYCLE * STEP)


def products() -> list[Product]:
    """Return both products."""
    return [Product(0), Product(1)]


def moved(lon: Floats, lat: Floats) -> Floats:
    """Return by how many metres the earthquake took the ground away from the satellite, along the line of sight."""
    x, y = Transformer.from_crs(4326, truth.EPSG, always_xy=True).transform(lon, lat)
    east, north = x - hills.CENTRE[0], y - hills.CENTRE[1]
    across, along = east * np.cos(0.5) - north * np.sin(0.5), east * np.sin(0.5) + north * np.cos(0.5)
    return np.asarray(0.115 * across / 900 * np.exp(-((across / 1000) ** 2) - (along / 2100) ** 2))


def coherence(lon: Floats, lat: Floats) -> Floats:
    """Return the coherence of places."""
    x, y = Transformer.from_crs(4326, truth.EPSG, always_xy=True).transform(lon, lat)
    return np.where(hills.is_forest(np.asarray(x), np.asarray(y)), TREES, MEADOW)


def path(number: int, seconds: Floats) -> tuple[Floats, Floats]:
    """Return position and velocity of a product's satellite, by seconds since it is abreast of the image's centre."""
    place, velocity = grd.orbit(seconds, hills.CENTRE)
    at, flight = grd.orbit(0.0, hills.CENTRE)
    up, ahead = at / np.linalg.norm(at), flight / np.linalg.norm(flight)
    aside = np.cross(ahead, up)
    return place + number * (BASELINE[0] * aside + BASELINE[1] * up), velocity


def ramp(line: Floats, pixel: Floats) -> Floats:
    """Return the phase that the turning antenna gives to samples, radians."""
    slant = pixel / SAMPLING
    rate, centroid = (np.polynomial.polynomial.polyval(slant, c) for c in (RATE, CENTROID))
    steering = 2 * np.linalg.norm(path(0, np.zeros(()))[1]) / WAVELENGTH * np.radians(STEERING)
    swept = rate * steering / (rate - steering)
    late = (line - (HEIGHT - 1) / 2) * STEP - (CENTROID[0] / RATE[0] - centroid / rate)
    return np.asarray(np.pi * swept * late**2 + 2 * np.pi * centroid * late)


@cache
def images() -> tuple[NDArray[np.complex64], NDArray[np.complex64]]:
    """Return the complex numbers of both products (lines, samples), with integer parts; 0 where not valid."""
    burst = speckle.Burst(WAVELENGTH, (BANDS[0] * STEP, BANDS[1] / SAMPLING), WEIGHTS, ramp)
    ground = speckle.Ground(
        lambda lon, lat: hills.height(*Transformer.from_crs(4326, truth.EPSG, always_xy=True).transform(lon, lat)),
        coherence,
        moved,
    )
    whole = slice(0, HEIGHT), slice(0, SAMPLES)
    line, sample = np.mgrid[0:HEIGHT, 0:SAMPLES]
    there = (line >= VALID_LINES[0]) & (line <= VALID_LINES[1])
    there &= (sample >= VALID_SAMPLES[0]) & (sample <= VALID_SAMPLES[1])
    result: list[list[NDArray[np.complex64]]] = [[], []]
    for number in range(BURSTS):
        rng = np.random.default_rng([truth.SEED, 20_211_016, number])
        made = speckle.pair(rng, (_sensor(0, number), _sensor(1, number)), burst, ground, (whole, whole), LATE)
        for images_, image in zip(result, made, strict=True):
            scaled = image * (AMPLITUDE / np.sqrt(2))
            images_.append(np.where(there, np.rint(scaled.real) + 1j * np.rint(scaled.imag), 0).astype(np.complex64))
    return np.concatenate(result[0]), np.concatenate(result[1])


def write(product: Product, path: Path) -> None:
    """Write one product as a zip with stored members. The bytes are always the same."""
    header = {
        "adsHeader": {
            "missionId": "S1A", "productType": "SLC", "polarisation": "VV", "mode": "IW", "swath": "IW1",
            "startTime": product.start, "stopTime": product.stop, "absoluteOrbitNumber": product.orbit,
        }
    }  # fmt: skip
    knots = np.append(np.arange(0, SAMPLES, 40), SAMPLES - 1)
    flat = {q: np.full(len(knots), 474.0, np.float32) for q in ("sigmaNought", "betaNought", "gamma", "dn")}
    places = [{"azimuthTime": product.burst(n), "line": n * HEIGHT, "pixel": knots} for n in range(BURSTS)]
    noise = {"noiseRangeLut": np.full(len(knots), 9.0, np.float32)}
    members = {
        "manifest.safe": _manifest(product),
        f"annotation/{product.stem}.xml": document.xml("product", header | _annotation(product)),
        f"annotation/calibration/calibration-{product.stem}.xml": document.xml(
            "calibration", header | {"calibrationVectorList": [p | flat for p in places]}
        ),
        f"annotation/calibration/noise-{product.stem}.xml": document.xml(
            "noise", header | {"noiseRangeVectorList": [p | noise for p in places]}
        ),
        f"measurement/{product.stem}.tiff": _tiff(product),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(members):
            info = zipfile.ZipInfo(f"{product.name}.SAFE/{name}", product.stop.timetuple()[:6])
            archive.writestr(info, members[name])


def _sensor(number: int, burst: int) -> speckle.Sensor:
    """Return a pass, as its burst has it."""
    middle = _LINES / 2 * STEP
    near = float(grd.look((grd.SAMPLES - 1) / 2, hills.CENTRE)[0]) - SAMPLES / 2 * LIGHT / 2 / SAMPLING
    step = LIGHT / 2 / SAMPLING
    return speckle.Sensor(lambda s: path(number, s), burst * CYCLE * STEP - middle, STEP, near, step)


def _annotation(product: Product) -> dict[str, Any]:
    sensor = _sensor(product.number, 0)
    abreast = product.start - timedelta(seconds=sensor.start)
    orbits = []
    for seconds in range(-80, 80, 10):
        place, velocity = (
            dict(zip("xyz", v.tolist(), strict=True)) for v in path(product.number, np.array(float(seconds)))
        )
        when = abreast + timedelta(seconds=seconds)
        orbits.append({"time": when, "frame": "Earth Fixed", "position": place, "velocity": velocity})
    when, start = abreast, 2 * sensor.near / LIGHT
    lines = np.arange(HEIGHT)
    inside = (lines >= VALID_LINES[0]) & (lines <= VALID_LINES[1])
    first, last = (np.where(inside, edge, -1) for edge in VALID_SAMPLES)
    node = product.start - timedelta(seconds=2235)
    bursts = [
        {
            "azimuthTime": product.burst(n), "azimuthAnxTime": (product.burst(n) - node).total_seconds(),
            "sensingTime": product.burst(n), "byteOffset": 0, "firstValidSample": first, "lastValidSample": last,
            "burstId": FIRST_BURST + n,
        }
        for n in range(BURSTS)
    ]  # fmt: skip
    return {
        "generalAnnotation": {
            "productInformation": {
                "pass": "Descending", "rangeSamplingRate": SAMPLING, "radarFrequency": FREQUENCY,
                "azimuthSteeringRate": STEERING,
            },
            "orbitList": orbits,
            "azimuthFmRateList": [{"azimuthTime": when, "t0": start, "azimuthFmRatePolynomial": np.array(RATE)}],
        },
        "imageAnnotation": {
            "imageInformation": {
                "productFirstLineUtcTime": product.start, "productLastLineUtcTime": product.stop,
                "ascendingNodeTime": node, "slantRangeTime": start, "pixelValue": "Complex",
                "rangePixelSpacing": LIGHT / 2 / SAMPLING, "azimuthPixelSpacing": 13.7, "azimuthTimeInterval": STEP,
                "numberOfSamples": SAMPLES, "numberOfLines": BURSTS * HEIGHT,
            },
            "processingInformation": {
                "thermalNoiseCorrectionPerformed": "false",
                "swathProcParamsList": [
                    {"swath": "IW1"}
                    | {
                        f"{name}Processing": {"windowType": "Hamming", "windowCoefficient": weight, "processingBandwidth": band}
                        for name, weight, band in zip(("azimuth", "range"), WEIGHTS, BANDS, strict=True)
                    }
                ],
            },
        },
        "dopplerCentroid": {
            "dcEstimateList": [{"azimuthTime": when, "t0": start, "dataDcPolynomial": np.array(CENTROID)}]
        },
        "swathTiming": {"linesPerBurst": HEIGHT, "samplesPerBurst": SAMPLES, "burstList": bursts},
        "geolocationGrid": {"geolocationGridPointList": _grid(product)},
    }  # fmt: skip


def _grid(product: Product) -> list[dict[str, Any]]:
    """Return tie points at the begin of each burst and at the end, like ESA's."""
    sample = np.rint(np.linspace(0, SAMPLES - 1, 21))
    lines = [*(n * HEIGHT for n in range(BURSTS)), BURSTS * HEIGHT - 1]
    late = np.array([*(n * CYCLE for n in range(BURSTS)), _LINES - 1], float)
    pixel = np.broadcast_to(sample, (len(late), 21))
    sensor = _sensor(product.number, 0)
    lon, lat = speckle.level(sensor, np.broadcast_to(late[:, np.newaxis], pixel.shape), pixel, TIES)
    angle = np.interp(
        sample, np.arange(0, SAMPLES, 50), grd.look(500 + (np.arange(0, SAMPLES, 50) - 512) * 0.39, hills.CENTRE)[1]
    )
    return [
        {
            "azimuthTime": product.start + timedelta(seconds=float(late[row]) * STEP),
            "slantRangeTime": 2 * (sensor.near + sensor.step * s) / LIGHT, "line": line, "pixel": int(s),
            "latitude": lat[row, n], "longitude": lon[row, n], "height": TIES, "incidenceAngle": angle[n],
            "elevationAngle": angle[n] - 4.0,
        }
        for row, line in enumerate(lines)
        for n, s in enumerate(sample)
    ]  # fmt: skip


def _tiff(product: Product) -> bytes:
    with MemoryFile(ext=".tiff") as memory:
        with memory.open(
            driver="GTiff", count=1, dtype="complex_int16", blockysize=1, height=BURSTS * HEIGHT, width=SAMPLES
        ) as file:
            file.write(images()[product.number], 1)
        return bytes(memory.read())


def _manifest(product: Product) -> bytes:
    files = "".join(
        f'<dataObject ID="p{n}"><byteStream><fileLocation locatorType="URL" href="./{name}"/></byteStream></dataObject>'
        for n, name in enumerate((f"annotation/{product.stem}.xml", f"measurement/{product.stem}.tiff"))
    )
    orbit = "".join(f'<relativeOrbitNumber type="{t}">{TRACK}</relativeOrbitNumber>' for t in ("start", "stop"))
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n<XFDU><metadataSection><metadataObject ID="processing"><metadataWrap>'
        '<xmlData><software name="Sentinel-1 IPF" version="003.40"/></xmlData></metadataWrap></metadataObject>'
        '<metadataObject ID="measurementOrbitReference"><metadataWrap><xmlData><orbitReference>'
        f"{orbit}</orbitReference></xmlData></metadataWrap></metadataObject></metadataSection><dataObjectSection>{files}"
        "</dataObjectSection></XFDU>\n"
    ).encode()
