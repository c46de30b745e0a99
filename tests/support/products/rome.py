"""The real annotations of an image over Rome with pixels of our own, and terrain models under it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.windows import Window

from tests.support.paths import SHARED

SHAPE = 16_705, 26_102
CRS = "EPSG:32633"

Lines = Callable[[np.ndarray, np.ndarray], np.ndarray]


def product(folder: Path, numbers: Lines, lines: tuple[int, int] = (0, SHAPE[0])) -> Path:
    """Write the product with other pixels.

    Parameters
    ----------
    folder
        Where its SAFE folder is made.
    numbers
        Gives digital numbers of lines and pixels, (n, 1) and (1, m).
    lines
        The first and last line with data; of the others nothing is stored.
    """
    (real,) = (SHARED / "s1-grd-rome").glob("*.SAFE")
    safe = folder / real.name
    shutil.copytree(real, safe, ignore=shutil.ignore_patterns("*.tiff"), copy_function=shutil.copyfile)
    for made in (safe, *(p for p in safe.rglob("*") if p.is_dir())):
        made.chmod(0o755)
    (image,) = (real / "measurement").iterdir()
    profile = {"driver": "GTiff", "height": SHAPE[0], "width": SHAPE[1], "count": 1, "dtype": "uint16"}
    pixel = np.arange(SHAPE[1])[np.newaxis]
    # As ESA's: a strip for each line, nothing compressed.
    with rasterio.open(safe / "measurement" / image.name, "w", **profile, blockysize=1, sparse_ok=True) as file:
        for first in range(*lines, 500):
            line = np.arange(first, min(first + 500, lines[1]))[:, np.newaxis]
            block = np.broadcast_to(numbers(line, pixel), (len(line), SHAPE[1])).astype(np.uint16)
            file.write(block, 1, window=Window(0, first, SHAPE[1], len(line)))
    return safe


def relief(path: Path, grid: GeoBox, height: np.ndarray) -> Path:
    """Write heights above the ellipsoid on a grid, metres."""
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=grid.shape[0], width=grid.shape[1], dtype="float32",
        crs=str(grid.crs), transform=grid.affine, tiled=True, compress="deflate",
    ) as file:  # fmt: skip
        file.write(height.astype(np.float32), 1)
    return path


def hills(grid: GeoBox, high: float = 1.0) -> np.ndarray:
    """Ridges and valleys of several sizes on a grid, metres; their steepest slopes are 45° times ``high``, about."""
    x, y = (v.astype(float) for v in np.meshgrid(*(grid.coords[d].values for d in ("x", "y"))))
    height = np.zeros(x.shape)
    for metres, size, angle in ((420, 5200, 0.3), (210, 2300, 1.4), (110, 1300, 2.5), (55, 800, 0.9)):
        along = x * np.cos(angle) + y * np.sin(angle)
        height += metres * high * np.sin(2 * np.pi * along / size) * (1 + 0.4 * np.sin(2 * np.pi * (x + y) / 9000))
    return 900 + height
