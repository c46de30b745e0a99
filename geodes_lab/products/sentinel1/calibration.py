"""The tables that convert a Sentinel-1 image's numbers to backscatter.

They are the calibration vectors, and the noise of the instrument.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.products.metadata import Document
from geodes_lab.products.sentinel1.annotation import Floats, entries
from geodes_lab.util import limits

UNITS_SINCE = 2.5
"""The first version of ESA's processor whose noise is in squared digital numbers."""
_SQUARED_SINCE = 2.34
_NOISE = {"IW": 75088.7, "EW": 56065.87}  # of ESA's note, which has no other modes
_LEAST, _MOST = 1e-4, 10**-0.8  # plausible mean sigma nought of the noise

QUANTITIES = {"sigma0": "sigmaNought", "beta0": "betaNought", "gamma0": "gamma"}
"""The quantities, and the table for each."""


@dataclass(frozen=True, eq=False)
class Table:
    """Values at some lines and, for each of those lines, at some pixels; bilinear in between, constant outside."""

    line: Floats
    """(n,) may begin before the image."""
    pixel: tuple[Floats, ...]
    """The pixels of each line."""
    value: tuple[Floats, ...]
    """The values of each line."""

    def at(self, lines: Floats, pixels: Floats) -> Floats:
        """Return the values on all ``lines`` by all ``pixels``."""
        first = max(int(np.searchsorted(self.line, lines.min(), "right")) - 1, 0)
        last = min(int(np.searchsorted(self.line, lines.max(), "left")), len(self.line) - 1)
        knots = slice(first, last + 1)
        rows = np.array([np.interp(pixels, p, v) for p, v in zip(self.pixel[knots], self.value[knots], strict=True)])
        known = self.line[knots]
        if len(known) == 1:
            return np.broadcast_to(rows[0], (len(lines), len(pixels)))
        place = np.clip(np.searchsorted(known, lines, "right") - 1, 0, len(known) - 2)
        weight = np.clip((lines - known[place]) / (known[place + 1] - known[place]), 0, 1)[:, np.newaxis]
        values_between: Floats = rows[place] * (1 - weight) + rows[place + 1] * weight
        return values_between


@dataclass(frozen=True, eq=False)
class Block:
    """The change of one swath's noise along azimuth."""

    lines: tuple[int, int]
    """First and last line."""
    pixels: tuple[int, int]
    """First and last pixel."""
    line: Floats
    """(n,) lines of the values."""
    value: Floats
    """(n,) factors."""


@dataclass(frozen=True, eq=False)
class Noise:
    """The power of the thermal noise, in squared digital numbers."""

    table: Table
    """Along range."""
    blocks: tuple[Block, ...]
    """Along azimuth; empty before IPF 2.9."""
    scale: float = 1.0
    """The factor for the numbers of the table; see `scaled`."""

    def at(self, lines: Floats, pixels: Floats) -> Floats:
        """Return the power on all ``lines`` by all ``pixels``."""
        power = self.table.at(lines, pixels) * self.scale
        for block in self.blocks:
            rows = (lines >= block.lines[0]) & (lines <= block.lines[1])
            cols = (pixels >= block.pixels[0]) & (pixels <= block.pixels[1])
            if rows.any() and cols.any():
                power[np.ix_(rows, cols)] *= np.interp(lines[rows], block.line, block.value)[:, np.newaxis]
        return power


def calibrated(
    numbers: NDArray[np.generic], gains: Floats, noise: Floats | None = None
) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Convert digital numbers to backscatter: squared, minus the noise if there is any, divided by the squared gain.

    Returns
    -------
    values : numpy.ndarray
        Linear power, float32; NaN where there is no data.
    there : numpy.ndarray
        Where the number is not 0, which means no data. A power below the noise becomes 0.
    """
    there = numbers != 0
    if np.iscomplexobj(numbers):
        power = np.square(numbers.real, dtype=np.float32) + np.square(numbers.imag, dtype=np.float32)
    else:
        power = np.square(numbers, dtype=np.float32)
    if noise is not None:
        power = np.maximum(power - noise.astype(np.float32), np.float32(0))
    values = power / np.square(gains, dtype=np.float32)
    values[~there] = np.nan
    return values, there


def read(archive: Archive, member: str) -> dict[str, Table]:
    """Read the calibration of an image: a table for each of `QUANTITIES`, and ``dn``.

    Raises
    ------
    GeodesError
        If it is missing or damaged.
    """
    document = Document(archive, member)
    names = {**QUANTITIES, "dn": "dn"}
    return {name: _table(document, "calibrationVectorList/calibrationVector", tag) for name, tag in names.items()}


def noise(archive: Archive, member: str) -> Noise:
    """Read the noise of an image, of products since IPF 2.9 (range and azimuth) and before (range).

    Raises
    ------
    GeodesError
        If it is missing or damaged.
    """
    document = Document(archive, member)
    if document.root.find("noiseVectorList/noiseVector") is not None:
        return Noise(_table(document, "noiseVectorList/noiseVector", "noiseLut"), ())
    blocks = []
    for vector in document.root.findall("noiseAzimuthVectorList/noiseAzimuthVector"):
        tags = ("firstAzimuthLine", "lastAzimuthLine", "firstRangeSample", "lastRangeSample")
        if vector.find("firstAzimuthLine") is None:  # in SLC: the whole swath
            first, last, left, right = -(2**31), 2**31, -(2**31), 2**31
        else:
            first, last, left, right = (int(document.number(tag, vector)) for tag in tags)
        line = np.array(document.numbers("line", vector))
        value = np.array(document.numbers("noiseAzimuthLut", vector, len(line)))
        blocks.append(Block((first, last), (left, right), line, value))
    return Noise(_table(document, "noiseRangeVectorList/noiseRangeVector", "noiseRangeLut"), tuple(blocks))


def scaled(noise: Noise, tables: dict[str, Table], mode: str, version: float | None, name: str) -> Noise:
    """Scale noise to squared digital numbers, for any version of the processor.

    Before IPF 2.5 the table has other units: it must be multiplied by k · dn, and since 2.34 by k · dn², where k is a
    constant of the mode and dn the product's own calibration (ESA's note MPC-0243, as in pyroSAR). The two differ by a
    factor dn, 26 dB or more, and the noise of Sentinel-1 corresponds to a sigma nought of −33 to −18 dB: the level
    shows which one is right.

    Parameters
    ----------
    noise, tables
        From the product.
    mode
        ``IW``, ``EW``, …
    version
        The version of the processor; None: unknown.
    name
        The name of the noise in error messages.

    Raises
    ------
    GeodesError
        If neither unit fits.
    """
    if version is not None and version >= UNITS_SINCE:
        return noise
    dn, k = float(tables["dn"].value[0][0]), _NOISE.get(mode)
    factors = [1.0] if k is None else [k * dn, k * dn * dn, 1.0]
    if k is not None and version is not None and version >= _SQUARED_SINCE:
        factors = [k * dn * dn, k * dn, 1.0]
    if version is None:
        factors = [1.0, *factors]
    lines = noise.table.line
    pixels = np.unique(np.concatenate(noise.table.pixel))
    like = float(np.mean(noise.table.at(lines, pixels) / np.square(tables["sigma0"].at(lines, pixels))))
    for factor in factors:
        if _LEAST < like * factor < _MOST:
            return replace(noise, scale=factor)
    raise GeodesError(
        f"The noise in {name} has unknown units (IPF {version or 'of unknown version'}, mode {mode}): use the band "
        "without _denoised."
    )


def _table(document: Document, path: str, tag: str) -> Table:
    vectors = entries(document, path, 1)
    line = np.array([document.number("line", v) for v in vectors])
    pixel = tuple(np.array(document.numbers("pixel", v)) for v in vectors)
    value = tuple(np.array(document.numbers(tag, v, len(p))) for v, p in zip(vectors, pixel, strict=True))
    # The whole table may be evaluated for one image.
    limits.refuse(f"{tag} in {document.name}", len(line) * max(map(len, pixel)), limits.NUMBERS, "numbers")
    if (np.diff(line) <= 0).any() or any((np.diff(p) <= 0).any() for p in pixel):
        raise GeodesError(f"The vectors of {tag} in {document.name} are out of order: fetch the product again.")
    if tag != "noiseRangeLut" and tag != "noiseLut" and any((v <= 0).any() for v in value):
        raise GeodesError(f"{tag} in {document.name} has values that are not positive: fetch the product again.")
    return Table(line, pixel, value)
