"""An image over its terrain: what the computations of slopes begin from."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geodes_lab.formats import tile_cache
from geodes_lab.products.sentinel1 import documents, geometry
from geodes_lab.products.sentinel1.annotation import Annotation, Floats, Orbit
from geodes_lab.products.sentinel1.orbit import OrbitFile
from geodes_lab.products.terrain import model
from geodes_lab.raster.geometry import Relief
from geodes_lab.raster.points import Points
from geodes_lab.storage.object_location import ObjectLocation

_DEEP = 15.0  # metres below the sea: coastal land is never lower


@dataclass(frozen=True)
class Scene:
    """One image over its terrain; the polarisations of a product share one."""

    place: ObjectLocation
    """The product."""
    member: str
    """The member with the annotation."""
    relief: Relief
    """The terrain model."""
    orbit_file: OrbitFile | None
    """The source of the satellite's positions; None: the annotation."""
    epsg: int
    """A CRS in metres that suits the image."""

    @property
    def annotation(self) -> Annotation:
        """The annotation; it is read once."""
        return documents.annotation(self.place, self.member)

    @property
    def orbit(self) -> Orbit | None:
        """The orbit, if not the annotation's."""
        return None if self.orbit_file is None else documents.orbit(self.orbit_file, self.annotation)


def heights(relief: Relief, annotation: Annotation, points: Points, place: tuple[Floats, Floats]) -> Floats:
    """Return metres above the ellipsoid.

    Of a terrain model, and sea level where the model has no height in the sea; NaN elsewhere.

    Parameters
    ----------
    relief
        The terrain model.
    annotation
        Its tie points, which have the height 0 in the sea, say what is sea. Outside of the given tiles, all tie points
        around a place must agree: it may be land whose tile was forgotten. Within a tile one is enough, or none if the
        model has no holes on land. The radar does not see the sea floor that some models contain.
    points
        Where.
    place
        Lines and pixels of the image there, by its tie points.
    """
    with tile_cache.few():
        height, is_within, is_filled = relief.heights_at(points)
    level = model.sea_level(points)
    missing: NDArray[np.bool_] = np.isnan(height)
    deep = height < level - _DEEP
    if missing.any() or deep.any():
        some, every = geometry.sea_at(place, annotation)
        wet = missing & (every | (is_within & some) | is_filled) | deep & some
        height[wet] = level[wet]
    return height
