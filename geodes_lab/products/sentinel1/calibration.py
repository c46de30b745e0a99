"""The tables that make backscatter of a Sentinel-1 image's numbers.

Calibration vectors, and the noise of the instrument.
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
"""The version of ESA's processor whose noise is in squared digital numbers."""
_SQUARED_SINCE = 2.34
_NOISE = {"IW": 75088.7, "EW": 56065.87}  # of ESA's note, which says none of the other modes
_LEAST, _MOST = 1e-4, 10**-0.8  # that a mean sigma nought of the noise may be

QUANTITIES = {"sigma0": "sigmaNought", "beta0": "betaNought", "gamma0": "gamma"}
"""What can be made of the numbers, and the table that it is made by."""


@dataclass(frozen=True, eq=False)
class Table:
    """Values at some lines and, of each of those lines, at some pixels; bilinear in between, constant beyond."""

    line: Floats
    """(n,) may begin before the image."""
    pixel: tuple[Floats, ...]
    """Of each line its pixels."""
    value: tuple[Floats, ...]
    """Of each line its values."""

    def at(self, lines: Floats, pixels: Floats) -> Floats:
        """The values on all ``lines`` by all ``pixels``."""
        first = max(int(np.searchsorted(self.line, lines.min(), "right")) - 1, 0)
        last = min(int(np.searchsorted(self.line, lines.max(), "left")), len(self.line) - 1)
        knots = slice(first, last + 1)
        rows = np.array([np.interp(pixels, p, v) for p, v in zip(self.pixel[knots], self.value[knots], strict=True)])
        known = self.line[knots]
        if len(known) == 1:
            return np.broadcast_to(rows[0], (len(lines), len(pixels)))
        place = np.clip(np.searchsorted(known, lines, "right") - 1, 0, len(known) - 2)
        weight = np.clip((lines - known[place]) / (known[place + 1] - known[place]), 0, 1)[:, np.newaxis]
        found: Floats = rows[place] * (1 - weight) + rows[place + 1] * weight
        return found


@dataclass(frozen=True, eq=False)
class Block:
    """How the noise of one swath changes along azimuth."""

    lines: tuple[int, int]
    """First and last line."""
    pixels: tuple[int, int]
    """First and last pixel."""
    line: Floats
    """(n,) where it is given."""
    value: Floats
    """(n,) factors."""


@dataclass(frozen=True, eq=False)
class Noise:
    """The power of the thermal noise, in squared digital numbers."""

    table: Table
    """Along range."""
    blocks: tuple[Block, ...]
    """Along azimuth; none before IPF 2.9."""
    scale: float = 1.0
    """What the numbers of the table are multiplied by; see `scaled`."""

    def at(self, lines: Floats, pixels: Floats) -> Floats:
        """The power on all ``lines`` by all ``pixels``."""
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
    """Make backscatter of digital numbers: squared, less the noise if there is any, by the squared gain.

    Returns
    -------
    values : numpy.ndarray
        Linear power, float32; NaN where there is no data.
    there : numpy.ndarray
        Where the number is not 0, which stands for no data. A power below the noise is 0.
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
    told = Document(archive, member)
    names = {**QUANTITIES, "dn": "dn"}
    return {name: _table(told, "calibrationVectorList/calibrationVector", tag) for name, tag in names.items()}


def noise(archive: Archive, member: str) -> Noise:
    """Read the noise of an image, of products since IPF 2.9 (range and azimuth) and before (range).

    Raises
    ------
    GeodesError
        If it is missing or damaged.
    """
    told = Document(archive, member)
    if told.root.find("noiseVectorList/noiseVector") is not None:
        return Noise(_table(told, "noiseVectorList/noiseVector", "noiseLut"), ())
    blocks = []
    for vector in told.root.findall("noiseAzimuthVectorList/noiseAzimuthVector"):
        tags = ("firstAzimuthLine", "lastAzimuthLine", "firstRangeSample", "lastRangeSample")
        if vector.find("firstAzimuthLine") is None:  # of SLC: the whole swath
            first, last, left, right = -(2**31), 2**31, -(2**31), 2**31
        else:
            first, last, left, right = (int(told.number(tag, vector)) for tag in tags)
        line = np.array(told.numbers("line", vector))
        value = np.array(told.numbers("noiseAzimuthLut", vector, len(line)))
        blocks.append(Block((first, last), (left, right), line, value))
    return Noise(_table(told, "noiseRangeVectorList/noiseRangeVector", "noiseRangeLut"), tuple(blocks))


def scaled(noise: Noise, tables: dict[str, Table], mode: str, version: float | None, name: str) -> Noise:
    """Noise in squared digital numbers, whatever the processor that wrote it.

    Before IPF 2.5 the table is in other units: it is to be multiplied by k · dn, and since 2.34 by k · dn², where k is
    a constant of the mode and dn the product's own calibration of the numbers (ESA's note MPC-0243, as pyroSAR has it).
    The two are a factor dn apart, 26 dB or more, and the noise of Sentinel-1 is like a sigma nought of −33 to −18 dB:
    the level shows which of them it is.

    Parameters
    ----------
    noise, tables
        As the product has them.
    mode
        ``IW``, ``EW``, …
    version
        Of the processor; None: unknown.
    name
        What sentences call the noise.

    Raises
    ------
    GeodesError
        If it is neither.
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
        f"The noise in {name} is in units that are not known (IPF {version or 'of unknown version'}, mode {mode}): "
        "take the band without _denoised."
    )


def _table(told: Document, path: str, tag: str) -> Table:
    vectors = entries(told, path, 1)
    line = np.array([told.number("line", v) for v in vectors])
    pixel = tuple(np.array(told.numbers("pixel", v)) for v in vectors)
    value = tuple(np.array(told.numbers(tag, v, len(p))) for v, p in zip(vectors, pixel, strict=True))
    # A table for an image may be made of all of them by the pixels of one.
    limits.refuse(f"{tag} in {told.name}", len(line) * max(map(len, pixel)), limits.NUMBERS, "numbers")
    if (np.diff(line) <= 0).any() or any((np.diff(p) <= 0).any() for p in pixel):
        raise GeodesError(f"The vectors of {tag} in {told.name} are out of order: fetch the product again.")
    if tag != "noiseRangeLut" and tag != "noiseLut" and any((v <= 0).any() for v in value):
        raise GeodesError(f"{tag} in {told.name} has values that are not positive: fetch the product again.")
    return Table(line, pixel, value)
