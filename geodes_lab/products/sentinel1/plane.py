"""The approximate position of a Sentinel-1 image on a map: which of its lines and pixels a grid may need."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from geodes_lab.products.sentinel1.annotation import Floats
from geodes_lab.raster.source import Span

MARGIN = 16
"""Pixels of the image around the samples: the reach of a cubic spline."""


class Plane(NamedTuple):
    """The approximate position of an image on a map: line = a x + b y + c, pixel = d x + e y + f."""

    line: tuple[float, float, float]
    pixel: tuple[float, float, float]
    reach: float
    """The error of positions, in lines or pixels."""

    @classmethod
    def of(cls, x: Floats, y: Floats, line: Floats, pixel: Floats) -> Plane:
        """Return the best fit to some positions."""
        here = np.stack([x, y, np.ones(x.shape)], axis=1)
        image = np.stack([line, pixel], axis=1)
        fit = np.linalg.lstsq(here, image, rcond=None)[0]
        (a, b, c), (d, e, f) = fit.T.tolist()
        return cls((a, b, c), (d, e, f), float(np.abs(here @ fit - image).max()))

    def spans(self, x: Floats, y: Floats, shape: tuple[int, int]) -> tuple[Span, Span]:
        """Return the lines and pixels of an image around some positions, with the reach of the sampling."""
        result = []
        for (a, b, c), size in zip((self.line, self.pixel), shape, strict=True):
            place, margin = a * x + b * y + c, self.reach + MARGIN + 2
            first = int(np.clip(place.min() - margin, 0, size))
            result.append((first, max(int(np.clip(place.max() + margin, 0, size)), first)))
        return result[0], result[1]
