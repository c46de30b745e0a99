"""A lattice of ground points in an image's own geometry, and what is smooth between some of them.

Rows are lines of the image and columns are pixels, as its tie points place them. Every row is seen from one place of
the orbit, so that what hides or overlays a point is in its row.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from odc.geo.crs import CRS
from pyproj import Transformer

from geodes_lab.products.sentinel1 import geometry
from geodes_lab.products.sentinel1.annotation import Annotation, Floats, Orbit
from geodes_lab.products.tiepoints import Between, Inverse
from geodes_lab.raster.points import Points

LOOKS = 2
"""Lines and pixels of a cell: what an image in ground range resolves is about two of its pixels."""
_STEP = 16  # cells from one computed position to the next; linear in between
EARTH = 6_371_000.0
"""Metres: the radius of the Earth, for the growth of areas with height."""


class Mesh:
    """Corners of cells, by their numbers: corner (r, c) is at line 2r − 0.5 and pixel 2c − 0.5.

    Parameters
    ----------
    annotation
        The annotation of an image in ground range.
    orbit
        A better orbit than the annotation's; None: the annotation's.
    epsg
        A CRS in metres that suits the image.
    rows, cols
        Numbers of rows and columns, in order; they may be beyond the image.
    """

    def __init__(self, annotation: Annotation, orbit: Orbit | None, epsg: int, rows: Floats, cols: Floats) -> None:
        self.annotation, self._orbit = annotation, orbit
        knots = [np.arange(v[0] // _STEP - 1, v[-1] // _STEP + 3) * _STEP for v in (rows, cols)]
        self.between = Between((knots[0], knots[1]), (rows, cols))
        """Interpolates values at the computed positions to all."""
        self._line, self._pixel = (LOOKS * k - 0.5 for k in np.meshgrid(*knots, indexing="ij"))
        self.place: tuple[Floats, Floats] = tuple(
            np.broadcast_to(v, (len(rows), len(cols)))
            for v in ((LOOKS * rows - 0.5)[:, np.newaxis], (LOOKS * cols - 0.5)[np.newaxis])
        )  # type: ignore[assignment]
        """Lines and pixels, by the tie points."""
        x, y = _on_map(annotation.grid.points(annotation.spacing).inverse(f"EPSG:{epsg}"), self._line, self._pixel)
        spacing = LOOKS * annotation.spacing[1], LOOKS * annotation.spacing[0]
        self.points = Points(CRS(f"EPSG:{epsg}"), (x, y), self.between, (len(rows), len(cols)), spacing)
        """The same, on the map."""
        self._lon, self._lat = Transformer.from_crs(epsg, 4326, always_xy=True).transform(x, y)
        east, north = np.radians(self._lon), np.radians(self._lat)
        self._up = np.stack([np.cos(north) * np.cos(east), np.cos(north) * np.sin(east), np.sin(north)], axis=-1)
        ecef = Transformer.from_crs(4979, 4978, always_xy=True)
        self._at = np.stack(ecef.transform(self._lon, self._lat, np.zeros(x.shape)), axis=-1)

    def seen(self, height: float) -> geometry.View:
        """Return how the image sees the computed positions at a height."""
        guess = self._line, self._pixel
        return geometry.view(self.annotation, self._lon, self._lat, height, guess, self._orbit, at=self._pixel)

    def positions(self, height: Floats) -> tuple[Floats, Floats]:
        """Return where the image has the points, and how far they are from below the satellite.

        Parameters
        ----------
        height
            (rows, cols) metres above the ellipsoid, all finite.

        Returns
        -------
        cell : numpy.ndarray
            Numbers of columns, with fractions.
        off_nadir : numpy.ndarray
            Radians at the satellite.
        """

        def at(level: float) -> tuple[Floats, Floats]:
            view = self.seen(level)
            ray = self._at + level * self._up - view.satellite
            cosine = -(ray * view.satellite).sum(-1)
            cosine /= np.linalg.norm(ray, axis=-1) * np.linalg.norm(view.satellite, axis=-1)
            return self.between((view.pixel + 0.5) / LOOKS), self.between(np.arccos(cosine))

        cell, off_nadir = geometry.by_height(at, height)
        return cell, off_nadir

    def facets(self, height: Floats) -> Facet:
        """Return what the area of a facet needs, for facets from a corner to the next row and column.

        Parameters
        ----------
        height
            (rows, cols) of facets: metres above the ellipsoid, all finite.
        """
        forward, right = (np.gradient(self._at, axis=n) / _STEP for n in (0, 1))
        upward = np.cross(right, forward)
        side = np.sign((upward * self._up).sum(-1, keepdims=True))
        sides = [side * v for v in (upward, np.cross(right, self._up), np.cross(self._up, forward))]
        # Higher ground is seen from another direction: it turns by 0.04° in a kilometre, evenly.
        low, high = float(height.min()), float(height.max()) + 1
        share = (height - low) / (high - low)
        seen = []
        for level in (low, high):
            view = self.seen(level)
            ray = view.satellite - (self._at + level * self._up)
            look = ray / np.linalg.norm(ray, axis=-1, keepdims=True)
            seen.append([self.between((v * look).sum(-1))[:-1, :-1] for v in sides])
        flat, along, across = (one + share * (other - one) for one, other in zip(*seen, strict=True))
        own = self.between(np.linalg.norm(forward, axis=-1) * LOOKS * view.stretch)
        return Facet(flat, along, across, own[:-1, :-1])


class Facet(NamedTuple):
    """What the area of facets needs, (rows, cols) m² each."""

    flat: Floats
    """The area of a level facet, projected on the plane that is perpendicular to the direction of view."""
    along: Floats
    """What a metre more in the next row adds to it."""
    across: Floats
    """What a metre more in the next column adds to it."""
    own: Floats
    """A cell's area in the plane of slant range and flight, beta nought's."""


def _on_map(inverse: Inverse, line: Floats, pixel: Floats) -> tuple[Floats, Floats]:
    """Return x and y of lines and pixels; beyond the spline's ends, they continue straight on."""
    ends = [(k[0], k[-1]) for k in inverse.x.get_knots()]
    inside = [np.clip(v, *end) for v, end in zip((line, pixel), ends, strict=True)]
    beyond = line - inside[0], pixel - inside[1]
    x, y = (
        spline.ev(*inside) + beyond[0] * spline.ev(*inside, dx=1) + beyond[1] * spline.ev(*inside, dy=1)
        for spline in (inverse.x, inverse.y)
    )
    return x, y
