"""What an annotation says of the antenna that turns during a burst: Doppler rates and centroids, bandwidths."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from dataclasses import dataclass

import numpy as np
from numpy.polynomial import Polynomial

from geodes_lab.errors import GeodesError
from geodes_lab.products.metadata import Document
from geodes_lab.products.sentinel1.annotation import entries, seconds, time


@dataclass(frozen=True, eq=False)
class Estimate:
    """A polynomial in range, at one time."""

    time: np.datetime64
    """UTC."""
    start: float
    """The two-way slant range time at which the polynomial is its first coefficient, seconds."""
    polynomial: Polynomial
    """Hz, or Hz per second, by seconds of two-way slant range time from ``start``."""


@dataclass(frozen=True, eq=False)
class Band:
    """The band of frequencies that an image has in one direction, and its weights."""

    width: float
    """Hz."""
    sampling: float
    """Samples a second."""
    weight: float
    """The coefficient of its Hamming window; 1: none."""


@dataclass(frozen=True, eq=False)
class Tops:
    """One image of TOPS mode."""

    frequency: float
    """Of the radar, Hz."""
    steering: float
    """Radians a second by which the antenna turns."""
    rates: tuple[Estimate, ...]
    """Azimuth frequency modulation, Hz per second; at least one."""
    centroids: tuple[Estimate, ...]
    """Doppler centroid, Hz; at least one."""
    range_band: Band
    azimuth_band: Band

    @property
    def wavelength(self) -> float:
        """Metres."""
        return 299_792_458.0 / self.frequency


def understood(told: Document) -> Tops:
    """Extract it from an annotation.

    Raises
    ------
    GeodesError
        If something is missing or impossible: without these numbers, bursts cannot be aligned.
    """
    product, image = "generalAnnotation/productInformation/", "imageAnnotation/imageInformation/"
    sampling, interval = told.number(f"{product}rangeSamplingRate"), told.number(f"{image}azimuthTimeInterval")
    near = told.number(f"{image}slantRangeTime")
    if not (1e6 < sampling < 1e9 and 1e-4 < interval < 0.1 and 1e-3 < near < 0.1):
        raise GeodesError(
            f"{told.name} has impossible samples or lines: {sampling:g} Hz, {interval:g} s; fetch it again."
        )
    rates = entries(told, "generalAnnotation/azimuthFmRateList/azimuthFmRate", 1)
    centroids = entries(told, "dopplerCentroid/dcEstimateList/dcEstimate", 1)
    tops = Tops(
        frequency=told.number(f"{product}radarFrequency"),
        steering=math.radians(told.number(f"{product}azimuthSteeringRate")),
        rates=tuple(_estimate(told, e, "azimuthFmRatePolynomial", ("c0", "c1", "c2")) for e in rates),
        centroids=tuple(_estimate(told, e, "dataDcPolynomial", ()) for e in centroids),
        range_band=_band(told, "rangeProcessing", sampling),
        azimuth_band=_band(told, "azimuthProcessing", 1 / interval),
    )
    if not (1e9 < tops.frequency < 1e11 and abs(tops.steering) < 1 and all(r.polynomial(0) < -1 for r in tops.rates)):
        raise GeodesError(f"{told.name} has an impossible frequency, steering rate or Doppler rate: fetch it again.")
    return tops


def nearest(estimates: tuple[Estimate, ...], when: np.datetime64) -> Estimate:
    """Return the estimate whose time is nearest."""
    return min(estimates, key=lambda e: abs(float(seconds(e.time, when))))


def _estimate(told: Document, element: ET.Element, name: str, old: tuple[str, ...]) -> Estimate:
    # Until 2015 products had the coefficients of the rates in elements of their own.
    if old and element.find(name) is None:
        coefficients = [told.number(tag, element) for tag in old]
    else:
        coefficients = told.numbers(name, element)
    if not np.isfinite(coefficients).all():
        raise GeodesError(f"{name} in {told.name} is not finite: fetch the product again.")
    return Estimate(time(told, "azimuthTime", element), told.number("t0", element), Polynomial(coefficients))


def _band(told: Document, direction: str, sampling: float) -> Band:
    path = f"imageAnnotation/processingInformation/swathProcParamsList/swathProcParams/{direction}"
    width, weight = told.number(f"{path}/processingBandwidth"), 1.0
    if told.root.findtext(f"{path}/windowType", "").strip().lower() == "hamming":
        weight = told.number(f"{path}/windowCoefficient")
    if not (0 < width <= 1.001 * sampling and 0.5 <= weight <= 1):
        raise GeodesError(f"{told.name} has an impossible bandwidth in {direction}: fetch the product again.")
    return Band(width, sampling, weight)
