"""The local incidence angle: between the direction to the radar and the normal of the terrain."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer

from geodes_lab.products.sentinel1 import geometry
from geodes_lab.products.sentinel1.annotation import Floats
from geodes_lab.products.sentinel1.flattening.mesh import EARTH
from geodes_lab.products.sentinel1.flattening.scene import Scene, heights
from geodes_lab.products.terrain import sheet
from geodes_lab.products.tiepoints import Lattice

_STEP = 16  # pixels from one computed direction to the next; linear in between


def local_incidence(scene: Scene, grid: GeoBox) -> tuple[NDArray[np.float32], Floats]:
    """Return the local incidence angle at the centres of a grid's pixels, and their heights.

    The slope is that between the neighbours of a pixel: of the terrain at twice the size of the grid's pixels.

    Returns
    -------
    angle : numpy.ndarray
        Degrees; more than 90 where the ground faces away. NaN where a height is unknown.
    height : numpy.ndarray
        Metres above the ellipsoid.
    """
    annotation, wide = scene.annotation, grid.pad(1, 1)
    place = annotation.grid.points(annotation.spacing).places(wide)
    height = heights(scene.relief, annotation, sheet.points(wide), place)
    inner = height[1:-1, 1:-1]
    down, right = (height[2:, 1:-1] - height[:-2, 1:-1]) / 2, (height[1:-1, 2:] - height[1:-1, :-2]) / 2
    lattice = Lattice(grid, _STEP)
    at, up = _earth_fixed(grid, *lattice.centres)
    # A step of half a pixel to each side: the grid's own directions, whatever its CRS.
    (a, b, _, d, e, _), (x, y) = (v / 2 for v in grid.affine[:6]), lattice.centres
    across = _earth_fixed(grid, x + a, y + d)[0] - _earth_fixed(grid, x - a, y - d)[0]
    along = _earth_fixed(grid, x + b, y + e)[0] - _earth_fixed(grid, x - b, y - e)[0]
    lon, lat = Transformer.from_crs(str(grid.crs), 4326, always_xy=True).transform(x, y)
    near = annotation.grid.points(annotation.spacing).inverse(str(grid.crs))(x, y)
    upward = np.cross(across, along)
    side = np.sign((upward * up).sum(-1))[..., np.newaxis]
    normal = side * upward, side * np.cross(across, up), side * np.cross(up, along)
    # The normal is normal[0] + down · normal[1] + right · normal[2]; the first is upright, the others are level.

    def at_height(level: float) -> tuple[Floats, ...]:
        ray = geometry.view(annotation, lon, lat, level, near, scene.orbit).satellite - (at + level * up)
        look = ray / np.linalg.norm(ray, axis=-1, keepdims=True)
        return tuple(lattice.between((n * look).sum(-1)) for n in normal)

    towards = geometry.by_height(at_height, inner)
    square = [lattice.between((v * w).sum(-1)) for v, w in ((normal[0],) * 2, (normal[1],) * 2, (normal[2],) * 2)]
    both = lattice.between((normal[1] * normal[2]).sum(-1))
    growth = 1 + inner / EARTH  # pixels are larger up there
    length = growth**2 * square[0] + down**2 * square[1] + right**2 * square[2] + 2 * down * right * both
    cosine = (growth * towards[0] + down * towards[1] + right * towards[2]) / np.sqrt(length)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1))).astype(np.float32), inner


def _earth_fixed(grid: GeoBox, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Return positions on the ellipsoid, (..., 3) metres, and the direction upward there."""
    lon, lat = Transformer.from_crs(str(grid.crs), 4326, always_xy=True).transform(x, y)
    place = Transformer.from_crs(4979, 4978, always_xy=True).transform(lon, lat, np.zeros(np.shape(lon)))
    east, north = np.radians(lon), np.radians(lat)
    up = np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=-1)
    return np.stack(place, axis=-1), up
