"""The bursts of a Sentinel-1 image: their lines, times, valid samples, and footprints."""

from __future__ import annotations

import functools
from dataclasses import dataclass

import numpy as np
import scipy
import shapely
from numpy.typing import NDArray

from geodes_lab.errors import GeodesError
from geodes_lab.products.metadata import Document
from geodes_lab.products.sentinel1.annotation import Annotation, seconds, time


@dataclass(frozen=True, eq=False)
class Burst:
    """One burst; an image without bursts counts as one."""

    number: int
    """From 1, ordered by time; 0: the image has no bursts."""
    identifier: int | None
    """The same for one place on Earth in all passes, if the annotation has it."""
    lines: tuple[int, int]
    """First and last (excluded) line of the image."""
    start: np.datetime64
    """Zero-Doppler time of its first line, UTC."""
    first: NDArray[np.int64]
    """(lines,) the first valid sample of each line; -1: none is."""
    last: NDArray[np.int64]
    """(lines,) the last valid sample."""

    def footprint(self, annotation: Annotation) -> shapely.Polygon:
        """Return its corners in degrees, from the geolocation grid, by time.

        Bursts overlap on the ground, not in the image.
        """
        grid = annotation.grid
        known = seconds(grid.azimuth_time[:, 0], self.start)
        ends = np.array([0.0, (self.lines[1] - self.lines[0] - 1) * annotation.interval])
        lon = np.where(np.ptp(grid.longitude) > 180, np.mod(grid.longitude, 360), grid.longitude)
        linear = functools.partial(scipy.interpolate.interp1d, axis=0, bounds_error=False, fill_value="extrapolate")
        corners = [linear(known, values[:, [0, -1]])(ends) for values in (lon, grid.latitude)]
        ring = [(corners[0][row, col], corners[1][row, col]) for row, col in ((0, 0), (0, 1), (1, 1), (1, 0))]
        return shapely.Polygon(ring)


def bursts(annotation: Annotation, told: Document) -> list[Burst]:
    """Return the bursts of an image, or the whole image if it has none.

    Parameters
    ----------
    annotation, told
        The parsed annotation of the image, and its document.

    Raises
    ------
    GeodesError
        If the annotation contradicts itself.
    """
    rows, cols = annotation.shape
    elements = told.root.findall("swathTiming/burstList/burst")
    if not elements:
        edges = np.zeros(rows, int), np.full(rows, cols - 1)
        return [Burst(0, None, (0, rows), annotation.start, *edges)]
    height = int(told.number("swathTiming/linesPerBurst"))
    if height * len(elements) != rows:
        raise GeodesError(
            f"{told.name} has {len(elements)} bursts of {height} lines for an image of {rows}: fetch the product again."
        )
    result = []
    for number, burst in enumerate(elements, 1):
        identifier = burst.find("burstId")
        first, last = (
            np.array(told.numbers(tag, burst, height), int) for tag in ("firstValidSample", "lastValidSample")
        )
        result.append(
            Burst(
                number=number,
                identifier=int(identifier.text) if identifier is not None and identifier.text else None,
                lines=((number - 1) * height, number * height),
                start=time(told, "azimuthTime", burst),
                first=first,
                last=last,
            )
        )
    return result
