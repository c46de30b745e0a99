"""What makes the sample's land look like land: parcels, hedges, roads, streets, crowns of trees.

It is a part of the truth: the same every day, and no other class than `geodes_lab.sample.truth.land_cover` says.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from geodes_lab.sample import truth

Shares = NDArray[np.float32]
_SIDE = 96  # pixels of a farm, whose fields lie in one direction
_FIELDS, _WOODS, _WATER, _TOWN = (1, 2, 3, 4), 5, 6, 7
# Rows and columns of the roads' bends; the towns are at (820, 420) and (430, 1130).
_ROADS = (
    ((1320, 90), (1100, 230), (820, 420), (700, 610), (560, 860), (430, 1130), (330, 1390), (300, 1656)),
    ((0, 760), (210, 700), (400, 560), (620, 480), (820, 420)),
    ((430, 1130), (640, 1230), (900, 1270), (1140, 1400), (1320, 1420)),
    ((820, 0), (840, 210), (820, 420), (980, 640), (1180, 720), (1320, 800)),
)


@dataclass(frozen=True)
class Details:
    """What is beside the classes, for each pixel of 10 m."""

    shade: Shares
    """The brightness of the ground, about 1."""
    roads: Shares
    """The share under roads."""
    hedges: Shares
    """The share under hedges."""


@cache
def details(year: int) -> Details:
    """Return them for a year, whose towns have streets."""
    rng = np.random.default_rng(truth.SEED + 1)
    shape, classes = (truth.ROWS, truth.COLS), truth.land_cover(year)
    y, x = np.mgrid[0 : shape[0], 0 : shape[1]].astype(np.float32)
    farm, edge, parcel = _parcels(rng, y, x)
    is_field = np.isin(classes, _FIELDS)
    soft = _noise(rng, shape, 14)
    shade = 1 + 0.035 * soft + rng.normal(0, 0.0012, shape)
    shade += np.where(is_field, 0.16 * (parcel - 0.5), 0)
    shade += np.where(classes == _WOODS, 0.035 * _noise(rng, shape, 2.2), 0)
    blocks = np.repeat(np.repeat(rng.normal(0, 0.12, (shape[0] // 3 + 1, shape[1] // 3 + 1)), 3, 0), 3, 1)
    town = classes == _TOWN
    shade += np.where(town, blocks[: shape[0], : shape[1]], 0)
    streets = town & (((y + 0.3 * x) % 11 < 1) | ((x - 0.3 * y) % 9 < 1))
    roads = np.where(streets, 0.6, 0) + np.where(is_field & edge & (farm % 3 == 0), 0.25, 0)
    for road in _ROADS:
        roads = np.maximum(roads, _road(y, x, road))
    hedges = np.where(is_field & edge & (farm % 3 == 1), 0.6, 0)
    dry = classes != _WATER
    return Details(
        *(
            np.asarray(v, np.float32)
            for v in (np.where(dry, shade, 1 + 0.01 * soft), roads * dry, hedges * (roads < 0.3))
        )
    )


def _parcels(rng: np.random.Generator, y: Shares, x: Shares) -> tuple[NDArray[np.int64], NDArray[np.bool_], Shares]:
    """Return the number of each pixel's farm, whether it lies at a parcel's edge, and a number from 0 to 1 of each parcel."""
    wavy_y, wavy_x = y + 22 * np.sin(x / 71) + 9 * np.sin(x / 23), x + 22 * np.sin(y / 67) + 9 * np.sin(y / 29)
    farm = (wavy_y // _SIDE).astype(np.int64) * 64 + (wavy_x // _SIDE).astype(np.int64) + 65
    angles, wide, long = rng.uniform(-0.6, 0.6, 2048), rng.uniform(9, 20, 2048), rng.uniform(28, 60, 2048)
    cos, sin = np.cos(angles)[farm], np.sin(angles)[farm]
    across, along = (x * cos + y * sin) / wide[farm], (y * cos - x * sin) / long[farm]
    number = (
        farm * 7919 + np.floor(across).astype(np.int64) * 104_729 + np.floor(along).astype(np.int64) * 1_299_709
    ) % 65_536
    parcel = rng.permutation(65_536)[number] / 65_536
    edge = (across % 1 < 1 / wide[farm]) | (along % 1 < 1 / long[farm])
    return farm, edge, parcel.astype(np.float32)


def _noise(rng: np.random.Generator, shape: tuple[int, int], size: float) -> Shares:
    """Return noise without steps, of variance 1."""
    smooth = ndimage.gaussian_filter(rng.normal(0, 1, shape).astype(np.float32), size, mode="wrap")
    return np.asarray(smooth / smooth.std(), np.float32)


def _road(y: Shares, x: Shares, bends: tuple[tuple[int, int], ...]) -> Shares:
    """Return the share of each pixel under a road of 12 m."""
    share = np.zeros(y.shape, np.float32)
    for (row, col), (to_row, to_col) in pairwise(bends):
        top, left = max(min(row, to_row) - 3, 0), max(min(col, to_col) - 3, 0)
        part = np.s_[top : max(row, to_row) + 3, left : max(col, to_col) + 3]
        length = np.hypot(to_row - row, to_col - col)
        down, right = (to_row - row) / length, (to_col - col) / length
        aside = np.abs((y[part] - row) * right - (x[part] - col) * down)
        ahead = (y[part] - row) * down + (x[part] - col) * right
        there = np.clip(1.1 - aside, 0, 0.9) * ((ahead > -1) & (ahead < length + 1))
        share[part] = np.maximum(share[part], there)
    return share
