"""The real annotations of a pair of complex images, with two passes of our own speckle in parts of two bursts."""

from __future__ import annotations

import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window
from scipy.interpolate import BarycentricInterpolator, CubicHermiteSpline, KroghInterpolator

from geodes_lab.sample.sentinel1 import speckle
from tests.support.paths import SHARED

LIGHT = 299_792_458.0
PRODUCTS = (
    "S1A_IW_SLC__1SDV_20230904T063730_20230904T063757_050174_0609E3_DAA1.SAFE",
    "S1A_IW_SLC__1SDV_20230916T063730_20230916T063757_050349_060FCD_6814.SAFE",
)
FOLDER = SHARED / "s1-insar-pair"


class Told:
    """What a real annotation says, read with nothing but the standard library."""

    def __init__(self, product: str, swath: str = "iw1") -> None:
        (self.path,) = (FOLDER / product / "annotation").glob(f"s1a-{swath}-slc-vv-{product[17:25]}*.xml")
        self.root = ET.parse(self.path).getroot()
        self.interval = self.number("imageAnnotation/imageInformation/azimuthTimeInterval")
        self.near = self.number("imageAnnotation/imageInformation/slantRangeTime")
        self.sampling = self.number("generalAnnotation/productInformation/rangeSamplingRate")
        self.wavelength = LIGHT / self.number("generalAnnotation/productInformation/radarFrequency")
        self.shape = tuple(
            int(self.number(f"imageAnnotation/imageInformation/numberOf{n}")) for n in ("Lines", "Samples")
        )
        states = self.root.findall("generalAnnotation/orbitList/orbit")
        self.epoch = np.datetime64(states[0].findtext("time"), "ns")
        self.since = np.array([self.seconds(s.findtext("time")) for s in states])
        self.position = np.array([[float(s.findtext(f"position/{a}")) for a in "xyz"] for s in states])
        bursts = self.root.findall("swathTiming/burstList/burst")
        self.starts = [self.seconds(b.findtext("azimuthTime")) for b in bursts]
        self.identifiers = [int(b.findtext("burstId")) for b in bursts]
        self.lines = int(self.number("swathTiming/linesPerBurst"))

    def number(self, path: str) -> float:
        return float(self.root.findtext(path))

    def seconds(self, text: str) -> float:
        return float((np.datetime64(text, "ns") - self.epoch) / np.timedelta64(1, "ns")) * 1e-9

    def at(self, when: float) -> tuple[np.ndarray, np.ndarray]:
        """Position and velocity by the polynomial through the eight nearest positions; the velocities are not used."""
        near = np.sort(np.argsort(np.abs(self.since - when))[:8])
        curve = BarycentricInterpolator(self.since[near] - when, self.position[near])
        return curve(0.0), (8 * (curve(0.1) - curve(-0.1)) - (curve(0.2) - curve(-0.2))) / 1.2

    def abreast(self, place: np.ndarray) -> tuple[float, float]:
        """Seconds and metres of zero Doppler, by halving."""
        low, high = self.since[3], self.since[-4]
        for _ in range(60):
            middle = (low + high) / 2
            satellite, velocity = self.at(middle)
            low, high = (low, middle) if (satellite - place) @ velocity > 0 else (middle, high)
        return middle, float(np.linalg.norm(self.at(middle)[0] - place))

    def sensor(self, burst: int) -> speckle.Sensor:
        start = self.starts[burst]
        near = np.sort(np.argsort(np.abs(self.since - start))[:8])
        exact = KroghInterpolator(self.since[near] - start, self.position[near])
        often = np.arange(-4, 8, 0.1)  # seconds, around the burst: quicker, and the same to a nanometre
        curve = CubicHermiteSpline(often, exact(often), exact.derivative(often))
        return speckle.Sensor(
            lambda s: (curve(s - start), curve(s - start, 1)), start, self.interval, self.near * LIGHT / 2,
            LIGHT / 2 / self.sampling,
        )  # fmt: skip

    def ramp(self, burst: int) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
        """ESA's phase of the turning antenna, written once more."""
        middle = self.starts[burst] + (self.lines - 1) / 2 * self.interval
        rates = self.root.findall("generalAnnotation/azimuthFmRateList/azimuthFmRate")
        centroids = self.root.findall("dopplerCentroid/dcEstimateList/dcEstimate")
        rate, centroid = (
            min(several, key=lambda e: abs(self.seconds(e.findtext("azimuthTime")) - middle))
            for several in (rates, centroids)
        )
        speed = np.linalg.norm(self.at(middle)[1])
        turn = np.radians(self.number("generalAnnotation/productInformation/azimuthSteeringRate"))
        ks = 2 * speed / self.wavelength * turn

        def polynomial(element: ET.Element, name: str, pixel: np.ndarray) -> np.ndarray:
            late = self.near + pixel / self.sampling - float(element.findtext("t0"))
            return sum(float(c) * late**n for n, c in enumerate(element.findtext(name).split()))

        def phase(line: np.ndarray, pixel: np.ndarray) -> np.ndarray:
            def centre(at: np.ndarray) -> np.ndarray:
                return -polynomial(centroid, "dataDcPolynomial", at) / polynomial(rate, "azimuthFmRatePolynomial", at)

            ka = polynomial(rate, "azimuthFmRatePolynomial", pixel)
            eta = (line - (self.lines - 1) / 2) * self.interval - (centre(pixel) - centre(np.zeros(1)))
            return (
                np.pi * ka * ks / (ka - ks) * eta**2 + 2 * np.pi * polynomial(centroid, "dataDcPolynomial", pixel) * eta
            )

        return phase


def written(folder: Path, images: list[dict[int, tuple[slice, slice, np.ndarray]]], scale: float = 200.0) -> list[Path]:
    """Write both products with numbers in parts of bursts: by burst, its lines, pixels and complex numbers."""
    made = []
    for name, parts in zip(PRODUCTS, images, strict=True):
        told, safe = Told(name), folder / name
        shutil.copytree(
            FOLDER / name, safe, ignore=shutil.ignore_patterns("*.tiff", "*iw2*"), copy_function=shutil.copyfile
        )
        for folder_ in (safe, *(p for p in safe.rglob("*") if p.is_dir())):
            folder_.chmod(0o755)
        (safe / "measurement").mkdir(exist_ok=True)
        path = safe / "measurement" / told.path.with_suffix(".tiff").name
        profile = {
            "driver": "GTiff",
            "height": told.shape[0],
            "width": told.shape[1],
            "count": 1,
            "dtype": "complex_int16",
        }
        with rasterio.open(path, "w", **profile, blockysize=1, sparse_ok=True) as file:
            for burst, (rows, cols, numbers) in parts.items():
                whole = np.rint(numbers.real * scale) + 1j * np.rint(numbers.imag * scale)
                window = Window(
                    cols.start, burst * told.lines + rows.start, cols.stop - cols.start, rows.stop - rows.start
                )
                file.write(whole.astype(np.complex64), 1, window=window)
        made.append(safe)
    return made
