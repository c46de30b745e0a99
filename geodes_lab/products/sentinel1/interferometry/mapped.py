"""Interferograms on a map: for each pixel the cell of the burst that sees it best."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from geodes_lab.products.sentinel1 import geometry
from geodes_lab.products.sentinel1.annotation import Floats, seconds
from geodes_lab.products.sentinel1.flattening.scene import heights
from geodes_lab.products.sentinel1.interferometry import tiles
from geodes_lab.products.sentinel1.interferometry.burst_pair import BurstPair
from geodes_lab.products.sentinel1.interferometry.interferogram import Complex
from geodes_lab.products.sentinel1.interferometry.offsets import tie_heights
from geodes_lab.products.terrain import sheet
from geodes_lab.products.tiepoints import Lattice

_AROUND = 4000  # lines and pixels around tie points: 8 km of relief move the ground less
_STEP = 500.0  # metres between positions that are computed; linear in between, to 4 cm
LAYERS = ("los_east", "los_north", "los_up", "perpendicular_baseline")
"""What `geometry_on` gives."""


@dataclass(frozen=True, eq=False)
class _Seen:
    """How the primary sees the pixels of a grid."""

    when: Floats
    """Seconds since the first state of the orbit."""
    slant: Floats
    """Metres."""


def on_grid(pairs: tuple[BurstPair, ...], grid: GeoBox) -> Complex:
    """Return the complex coherence at the centres of a grid's pixels; NaN where there is none.

    Of several bursts, the one counts in whose valid part a pixel is deepest, so that bursts meet in the middle of their
    overlap. The images and the terrain are read.
    """
    out = np.full(grid.shape, np.complex64(complex("nan+nanj")))
    best = np.zeros(grid.shape)
    chosen = np.full(grid.shape, -1)
    cell: list[tuple[NDArray[np.int_], NDArray[np.int_]]] = []
    seen = _seen(pairs, grid)
    for number, pair in enumerate(pairs):
        # Each swath's annotation has states of its own, which may begin at another time.
        since = float(seconds(pairs[0].primary.orbit.time[0], pair.primary.orbit.time[0]))
        line, pixel = pair.primary.seen(pair.first, seen.when + since, seen.slant)
        lines, pixels = pair.primary.valid(pair.first)
        spacing = pair.primary.described.annotation.spacing
        depth = np.minimum(_within(line, lines) * spacing[0], _within(pixel, pixels) * spacing[1])
        # Where an overlap's middle is between two pixels, rounding must not decide.
        deeper = depth > best + 1e-3
        best[deeper], chosen[deeper] = depth[deeper], number
        cell.append(
            tuple(
                np.floor((np.where(deeper, v, 0) + 0.5) / looks).astype(int)
                for v, looks in zip((line, pixel), reversed(pair.looks), strict=True)
            )  # type: ignore[arg-type]
        )
    for number, pair in enumerate(pairs):
        here = chosen == number
        if here.any():
            out[here] = tiles.picked(pair, cell[number][0][here], cell[number][1][here])
    return out


def _within(place: Floats, span: tuple[int, int]) -> Floats:
    """Return how far places are from the ends of a span; negative outside, and where they are unknown."""
    depth = np.minimum(place - span[0], span[1] - 1 - place) + 1
    return np.where(np.isfinite(depth), depth, -1.0)


def _seen(pairs: tuple[BurstPair, ...], grid: GeoBox) -> _Seen:
    lattice, height = _lattice(grid), _heights(pairs, grid)
    lon, lat = _degrees(grid, lattice)
    orbit = pairs[0].primary.orbit

    def at(level: float) -> tuple[Floats, ...]:
        return tuple(lattice.between(v) for v in geometry.abreast(orbit, lon, lat, level))

    when, slant = geometry.by_height(at, height)
    return _Seen(when, slant)


def _heights(pairs: tuple[BurstPair, ...], grid: GeoBox) -> Floats:
    """Return metres above the ellipsoid at the centres of a grid's pixels; NaN where unknown.

    The tie points of the swath in which a pixel is say where the sea is, or without a terrain model the height.
    """
    out = np.full(grid.shape, np.nan)
    rest = np.full(grid.shape, True)
    swaths = {p.primary: p for p in pairs}.values()
    # First where tie points are; then around them, where relief brings ground into the image.
    for margin, pair in [(margin, pair) for margin in (0, _AROUND) for pair in swaths]:
        annotation = pair.primary.described.annotation
        known = annotation.grid
        place = annotation.grid.points(annotation.spacing).places(grid)
        inside = rest & (place[1] >= known.pixel[0] - margin) & (place[1] <= known.pixel[-1] + margin)
        inside &= (place[0] >= known.line[0] - margin) & (place[0] <= known.line[-1] + margin)
        if not inside.any():
            continue
        if pair.relief is None:
            found = tie_heights(annotation, place)
        else:
            found = heights(pair.relief, annotation, sheet.points(grid), place)
        out[inside] = found[inside]
        rest &= ~inside
    return out


def _lattice(grid: GeoBox) -> Lattice:
    metres = max(abs(grid.affine.a), abs(grid.affine.e)) * (111_320 if grid.crs.geographic else 1)
    return Lattice(grid, int(np.clip(_STEP / metres, 1, 64)))


def _degrees(grid: GeoBox, lattice: Lattice) -> tuple[Floats, Floats]:
    lon, lat = Transformer.from_crs(str(grid.crs), 4326, always_xy=True).transform(*lattice.centres)
    return np.asarray(lon), np.asarray(lat)


def geometry_on(pair: BurstPair, grid: GeoBox) -> NDArray[np.float32]:
    """Return `LAYERS` at the centres of a grid's pixels, (layers, rows, cols); nothing is read but orbits.

    At sea level of the ellipsoid: a kilometre higher, the direction changes by 0.04° and the baseline by 0.1 %.
    """
    lattice = _lattice(grid)
    lon, lat = _degrees(grid, lattice)
    found = baseline_at(pair, lon, lat)
    return np.stack([lattice.between(v) for v in found]).astype(np.float32)


def baseline_at(pair: BurstPair, lon: Floats, lat: Floats, height: float = 0.0) -> tuple[Floats, ...]:
    """Return the direction from places to the satellite (east, north, up), and the perpendicular baseline in metres.

    The baseline is the secondary orbit's distance from the line of sight, in the plane of zero Doppler: positive if the
    secondary is on the upper, outer side. A metre of height changes the phase by −4π/λ · baseline / (R sin θ).
    """
    first, second = pair.primary.orbit, pair.secondary.orbit
    when, slant = geometry.abreast(first, lon, lat, height)
    later, _ = geometry.abreast(second, lon, lat, height)
    place = np.stack(
        Transformer.from_crs(4979, 4978, always_xy=True).transform(lon, lat, np.full(lon.shape, height)), -1
    )
    satellite = first.path(when)
    back = (satellite - place) / slant[..., np.newaxis]
    flight = first.path.derivative()(when)
    outward = np.cross(-back, flight / np.linalg.norm(flight, axis=-1, keepdims=True))
    perpendicular = ((second.path(later) - satellite) * outward).sum(-1)
    a, b = np.radians(lon), np.radians(lat)
    east = np.stack([-np.sin(a), np.cos(a), np.zeros(a.shape)], axis=-1)
    up = np.stack([np.cos(b) * np.cos(a), np.cos(b) * np.sin(a), np.sin(b)], axis=-1)
    north = np.cross(up, east)
    return *((back * v).sum(-1) for v in (east, north, up)), perpendicular
