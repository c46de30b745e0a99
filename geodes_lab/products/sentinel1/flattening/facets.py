"""Facets of terrain as a radar sees them: their places in the image, their areas, what hides or overlays them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geodes_lab.products.sentinel1.annotation import Floats
from geodes_lab.products.sentinel1.flattening.mesh import EARTH, LOOKS, Mesh
from geodes_lab.products.sentinel1.flattening.scene import Scene, heights

SHADOW, LAYOVER, UNKNOWN = 1, 2, 255
"""Numbers of the mask: in shadow, overlaid by other ground (3: both), without heights."""

_REACH = 12_000.0  # metres on the ground within which other ground can hide or overlay a place
_ROWS, _COLS = 8, 4  # cells from one probe to the next
_THIN = 1e-3  # cells: a facet that is seen from its edge
_AROUND = 16  # cells more than the probes say: peaks between them


@dataclass(frozen=True, eq=False)
class Facets:
    """The facets of some rows; row by row, all that may be seen in some columns."""

    first: int
    """The number of the first column of facets."""
    cell: Floats
    """(rows, cols + 1) where the image has their corners: numbers of columns, with fractions."""
    area: Floats
    """(rows, cols) m²: what the radar sees of each, perpendicular to the direction of view; 0 in shadow."""
    own: Floats
    """(rows, cols) m²: the area of an image's cell in the plane of slant range and flight."""
    mask: NDArray[np.uint8]
    """(rows, cols) of `SHADOW` and `LAYOVER`, or `UNKNOWN`."""


def facets(scene: Scene, rows: tuple[int, int], cols: tuple[int, int]) -> Facets | None:
    """Return the facets of some rows that may be seen in some columns; None if their ground has no heights.

    The heights of the facets' surroundings are read: as far as other ground may hide or overlay them.
    """
    reach = _reach(scene, rows, cols)
    if reach is None:
        return None
    first, last = reach
    mesh = Mesh(
        scene.annotation, scene.orbit, scene.epsg, np.arange(rows[0], rows[1] + 1.0), np.arange(first, last + 1.0)
    )
    height = heights(scene.relief, scene.annotation, mesh.points, mesh.place)
    void = np.isnan(height)
    if void.all():
        return None
    if void.any():
        height[void] = _elsewhere(scene)
    cell, off_nadir = (_of_rows(v) for v in mesh.positions(height))
    area, own = _areas(mesh, height)
    sunk = np.maximum.accumulate(off_nadir, axis=1)[:, :-1]
    rise = off_nadir[:, 1:] - off_nadir[:, :-1]
    lit = np.divide(off_nadir[:, 1:] - sunk, rise, out=np.zeros_like(rise), where=off_nadir[:, 1:] > sunk)
    before = np.maximum.accumulate(cell, axis=1)[:, :-1]
    after = np.minimum.accumulate(cell[:, ::-1], axis=1)[:, -2::-1]
    overlaid = (cell[:, :-1] < before) | (cell[:, 1:] > after) | (cell[:, 1:] <= cell[:, :-1])
    mask = (SHADOW * (lit < 0.5) + LAYOVER * overlaid).astype(np.uint8)
    mask[void[1:, 1:] | void[1:, :-1] | void[:-1, 1:] | void[:-1, :-1]] = UNKNOWN
    return Facets(first, cell, np.maximum(area, 0) * lit, own, mask)


def _reach(scene: Scene, rows: tuple[int, int], cols: tuple[int, int]) -> tuple[int, int] | None:
    """Return the first and last column of ground that matters for some columns of image and ground; None: no heights.

    Found by probes: ground that the image has in these columns, or that is as far from below the satellite as they are.
    """
    wide = int(_REACH / (LOOKS * scene.annotation.spacing[1]))
    across = np.arange(cols[0] - wide, cols[1] + wide + _COLS, _COLS)
    down = np.append(np.arange(rows[0], rows[1], _ROWS), rows[1])
    mesh = Mesh(scene.annotation, scene.orbit, scene.epsg, down.astype(float), across.astype(float))
    height = heights(scene.relief, scene.annotation, mesh.points, mesh.place)
    known = ~np.isnan(height)
    here = (across >= cols[0]) & (across <= cols[1])
    if not known.any():
        return None
    cell, off_nadir = mesh.positions(np.where(known, height, _elsewhere(scene)))
    cell = np.where(known, cell, across)
    near, far = min(cell[:, here].min(), cols[0]), max(cell[:, here].max(), cols[1])
    first = min(_first(cell >= near, across), cols[0]) - _AROUND
    last = max(-_first(cell[:, ::-1] <= far, -across[::-1]), cols[1]) + _AROUND
    lowest = off_nadir[:, (across >= first) & (across <= last)].min()
    first = min(_first(off_nadir >= lowest, across) - _AROUND, first)
    return max(first, cols[0] - wide), min(last, cols[1] + wide)


def _elsewhere(scene: Scene) -> float:
    """Return a height for ground that the model does not have: that of the tie points, the same in each tile."""
    return float(np.median(scene.annotation.grid.height))


def _first(there: NDArray[np.bool_], across: NDArray[np.int_]) -> int:
    """Return the first column that any row has."""
    columns = there.any(axis=0)
    return int(across[np.argmax(columns)]) if columns.any() else int(across[-1])


def _of_rows(values: Floats) -> Floats:
    """Return values for rows of facets, from those of their corners."""
    return (values[1:] + values[:-1]) / 2


def _areas(mesh: Mesh, height: Floats) -> tuple[Floats, Floats]:
    """Return the area that each facet shows to the radar, negative if it faces away, and the area of a cell."""
    next_row = _of_rows(height)
    middle = (next_row[:, 1:] + next_row[:, :-1]) / 2
    flat, along, across, own = mesh.facets(middle)
    down = (height[1:, 1:] - height[:-1, 1:] + height[1:, :-1] - height[:-1, :-1]) / 2
    right = next_row[:, 1:] - next_row[:, :-1]
    growth = 1 + middle / EARTH
    return growth * (growth * flat + along * down + across * right), own


def gathered(seen: Facets, cols: tuple[int, int]) -> Floats:
    """Return the area that the radar sees in each cell of some columns, (rows, cols) m².

    Each facet spreads its area evenly over the part of the row where the image has it, so that no area is lost,
    and none depends on where cells begin.
    """
    rows, wide = seen.area.shape[0], cols[1] - cols[0]
    one, other = seen.cell[:, :-1] - cols[0], seen.cell[:, 1:] - cols[0]
    begin, end = np.minimum(one, other), np.maximum(one, other)
    short = np.maximum(end - begin, _THIN)
    density = seen.area / short
    # The integral of a step is a ramp: what begins at a place counts fully from the second cell after it on.
    total = np.zeros(rows * (wide + 2))
    row = (np.arange(rows) * (wide + 2))[:, np.newaxis]
    for sign, place in ((1, begin), (-1, begin + short)):
        inside = np.clip(place, 0, wide)
        number = inside.astype(np.int64)
        part = (inside - number) * density
        index = (row + number).ravel()
        total += sign * np.bincount(index, (density - part).ravel(), total.size)
        total += sign * np.bincount(index + 1, part.ravel(), total.size)
    return np.cumsum(total.reshape(rows, wide + 2), axis=1)[:, :wide]
