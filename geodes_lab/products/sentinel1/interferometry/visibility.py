"""Layover and shadow under a pair: what hides or overlays ground, along lines of one zero-Doppler time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from geodes_lab.products.sentinel1 import geometry
from geodes_lab.products.sentinel1.annotation import Floats
from geodes_lab.products.sentinel1.flattening.facets import LAYOVER, SHADOW, UNKNOWN
from geodes_lab.products.sentinel1.flattening.scene import heights
from geodes_lab.products.sentinel1.interferometry import sight
from geodes_lab.products.sentinel1.interferometry.burst_pair import BurstPair
from geodes_lab.products.tiepoints import Between, Lattice
from geodes_lab.raster.points import Points

_REACH = 12_000.0  # metres on the ground within which other ground can hide or overlay a place
_FINEST, _COARSEST = 20.0, 60.0  # metres between points of a line
_SINE = 0.6  # of a usual angle of incidence: metres of slant range for one on the ground
_ROWS = 64  # lines that are computed at once: a strip is the same, whatever the chunks are
_STEP = 16  # points from one computed position to the next; linear in between


def mask_on(pairs: tuple[BurstPair, ...], grid: GeoBox) -> NDArray[np.uint8]:
    """Return what the primary cannot see by itself at the centres of a grid's pixels.

    A line of points of one zero-Doppler time is followed from near to far. A point is overlaid if ground nearer to the
    track is as far away from the satellite, or ground beyond it as near; it is hidden if ground nearer to the track is
    seen at a larger angle off the nadir.

    Parameters
    ----------
    pairs
        The bursts, which have a terrain model.
    grid
        The grid.

    Returns
    -------
    numpy.ndarray
        (rows, cols): 0, `SHADOW`, `LAYOVER`, both, or `UNKNOWN` where a height is unknown. The terrain is read.
    """
    first = pairs[0]
    annotation, orbit = first.primary.described.annotation, first.primary.orbit
    metres = max(abs(grid.affine.a), abs(grid.affine.e)) * (111_320 if grid.crs.geographic else 1)
    step = float(np.clip(metres / 2, _FINEST, _COARSEST))
    along, across = step * annotation.interval / annotation.spacing[0], step * _SINE
    lattice = Lattice(grid, int(np.clip(500 / metres, 1, 64)))
    lon, lat = Transformer.from_crs(str(grid.crs), 4326, always_xy=True).transform(*lattice.centres)
    when, slant = (lattice.between(v) for v in geometry.abreast(orbit, np.asarray(lon), np.asarray(lat), 0.0))
    row, col = (np.round(v / size).astype(np.int64) for v, size in ((when, along), (slant, across)))
    out = np.full(grid.shape, UNKNOWN, np.uint8)
    wide = int(_REACH / step)
    epsg = _epsg(float(np.mean(lon)), float(np.mean(lat)))
    for strip in range(int(row.min()) // _ROWS, int(row.max()) // _ROWS + 1):
        here = row // _ROWS == strip
        if not here.any():
            continue
        rows = np.arange(strip * _ROWS, (strip + 1) * _ROWS)
        cols = np.arange(int(col[here].min()) - wide, int(col[here].max()) + wide + 1)
        found = _strip(pairs, epsg, rows, cols, (along, across), step)
        out[here] = found[row[here] - rows[0], col[here] - cols[0]]
    return out


def _strip(
    pairs: tuple[BurstPair, ...],
    epsg: int,
    rows: NDArray[np.int_],
    cols: NDArray[np.int_],
    sizes: tuple[float, float],
    step: float,
) -> NDArray[np.uint8]:
    """Return the mask of some lines, by the numbers of their points: time and slant range at sea level."""
    orbit = pairs[0].primary.orbit
    knots = [np.arange(v[0] // _STEP - 1, v[-1] // _STEP + 3) * _STEP for v in (rows, cols)]
    between = Between((knots[0], knots[1]), (rows, cols))
    when, slant = np.meshgrid(*(k * size for k, size in zip(knots, sizes, strict=True)), indexing="ij")
    lon, lat = sight.ground(orbit, when, slant)
    x, y = (np.asarray(v) for v in Transformer.from_crs(4326, epsg, always_xy=True).transform(lon, lat))
    points = Points(CRS(f"EPSG:{epsg}"), (x, y), between, (len(rows), len(cols)), (step, step))
    height = _heights(pairs, points)
    unknown = np.isnan(height)
    if unknown.all():
        return np.full(height.shape, UNKNOWN, np.uint8)
    height[unknown] = float(np.median(pairs[0].primary.described.annotation.grid.height))
    to_ecef = Transformer.from_crs(4979, 4978, always_xy=True)

    def at(level: float) -> tuple[Floats, Floats]:
        seen, far = geometry.abreast(orbit, lon, lat, level)
        satellite = orbit.path(seen)
        ray = np.stack(to_ecef.transform(lon, lat, np.full(lon.shape, level)), axis=-1) - satellite
        cosine = -(ray * satellite).sum(-1) / far / np.linalg.norm(satellite, axis=-1)
        return between(far), between(np.arccos(cosine))

    far, off_nadir = geometry.by_height(at, height)
    before = np.maximum.accumulate(far, axis=1)[:, :-1]
    after = np.minimum.accumulate(far[:, ::-1], axis=1)[:, -2::-1]
    overlaid, hidden = (np.zeros(height.shape, bool) for _ in range(2))
    overlaid[:, 1:] |= far[:, 1:] <= before
    overlaid[:, :-1] |= far[:, :-1] >= after
    hidden[:, 1:] = off_nadir[:, 1:] < np.maximum.accumulate(off_nadir, axis=1)[:, :-1]
    mask = (SHADOW * hidden + LAYOVER * overlaid).astype(np.uint8)
    mask[unknown] = UNKNOWN
    return mask


def _heights(pairs: tuple[BurstPair, ...], points: Points) -> Floats:
    """Return metres above the ellipsoid; the tie points of the swath in which a point is say where the sea is."""
    out = np.full(points.shape, np.nan)
    rest = np.full(points.shape, True)
    swaths = list({p.primary: p for p in pairs}.values())
    for number, pair in enumerate(swaths):
        annotation = pair.primary.described.annotation
        known = annotation.grid
        where = annotation.grid.points(annotation.spacing).inverse(str(points.crs))(*points.centres)
        place = points.between(where[0]), points.between(where[1])
        # What is in no swath is like the last one.
        inside = rest & ((place[1] <= known.pixel[-1]) | (number == len(swaths) - 1))
        if inside.any():
            assert pair.relief is not None
            out[inside] = heights(pair.relief, annotation, points, place)[inside]
            rest &= ~inside
    return out


def _epsg(lon: float, lat: float) -> int:
    return (32600 if lat >= 0 else 32700) + min(int(((lon + 180) % 360) // 6), 59) + 1
