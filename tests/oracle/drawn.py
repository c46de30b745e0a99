"""Random rasters and grids for the differential tests, and what GDAL makes of them at full resolution."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from hypothesis import strategies as st
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.io import MemoryFile
from rasterio.vrt import WarpedVRT
from scipy.ndimage import gaussian_filter

SMOOTH = ("bilinear", "cubic", "cubic_spline", "lanczos", "average", "rms")
CHOOSING = ("nearest", "min", "max", "med", "q1", "q3", "mode")
KERNELS = SMOOTH + CHOOSING
# A place in each CRS, in its units, and how large a pixel may be; beside the meridian that two of them share, where pixels of both coincide but for
# rounding, so that a sliver of a neighbour counts or does not.
PLACES = {
    "EPSG:32631": (560_000, 4_800_000, 10),
    "EPSG:32760": (300_000, 6_200_000, 20),
    "EPSG:2154": (850_000, 6_600_000, 2.5),
    "EPSG:3857": (260_000, 5_400_000, 15),
    "EPSG:4326": (3.1, 43.3, 1e-4),
    "EPSG:3413": (200_000, -1_500_000, 60),
}


@dataclass(frozen=True)
class Raster:
    """A GeoTIFF of one band."""

    crs: str
    transform: Affine
    pixels: NDArray[Any]
    """As in the file."""
    nodata: float | None
    scale: float
    offset: float
    block: int | None
    """The side of a tile; None: strips."""

    @property
    def measure(self) -> NDArray[np.float64]:
        """Numbers by scale and offset; NaN where there is no data."""
        found = self.pixels * self.scale + self.offset
        if self.nodata is not None and not np.isnan(self.nodata):
            found[self.pixels == self.nodata] = np.nan
        return found

    @property
    def span(self) -> float:
        return float(np.nanmax(self.measure) - np.nanmin(self.measure)) or 1.0

    def item(self, path: Path) -> dict[str, Any]:
        """Write it; give an Item."""
        tiled = {} if self.block is None else {"tiled": True, "blockxsize": self.block, "blockysize": self.block}
        with rasterio.open(
            path, "w", driver="GTiff", height=self.pixels.shape[0], width=self.pixels.shape[1], count=1, dtype=self.pixels.dtype,
            crs=self.crs, transform=self.transform, nodata=self.nodata, **tiled,
        ) as file:  # fmt: skip
            file.write(self.pixels, 1)
        fields = {"raster:scale": self.scale, "raster:offset": self.offset} if self.scale != 1 else {}
        asset = {"href": str(path), "type": "image/tiff; application=geotiff", "roles": ["data"], **fields}
        box = [[3, 43], [3.1, 43], [3.1, 43.1], [3, 43.1], [3, 43]]
        return {
            "type": "Feature", "stac_version": "1.0.0", "id": path.stem, "stac_extensions": [], "links": [], "assets": {"b": asset},
            "geometry": {"type": "Polygon", "coordinates": [box]}, "bbox": [3, 43, 3.1, 43.1],
            "properties": {"datetime": "2021-06-05T10:50:31Z"},
        }  # fmt: skip


@st.composite
def rasters(draw: st.DrawFn, crs: str | None = None, largest: int = 160) -> Raster:
    """Any raster: noise of some smoothness, with holes or without, of the kinds that files have."""
    crs = crs or draw(st.sampled_from(sorted(PLACES)))
    x, y, size = PLACES[crs]
    rows, cols = draw(st.integers(12, largest)), draw(st.integers(12, largest))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    noise = gaussian_filter(rng.normal(size=(rows, cols)), draw(st.sampled_from([0.0, 0.7, 2.0])))
    noise = (noise - noise.min()) / max(np.ptp(noise), 1e-9)
    kind, nodata, scale, offset = draw(
        st.sampled_from(
            [
                ("uint16", 0.0, 1e-4, -0.1),
                ("uint16", None, 1e-4, 0.0),
                ("int16", -9999.0, 1e-3, 0.0),
                ("float32", float("nan"), 1.0, 0.0),
                ("float32", -9999.0, 1.0, 0.0),
                ("float64", None, 1.0, 0.0),
                ("uint8", 255.0, 1.0, 0.0),
                ("int32", -1.0, 1.0, 0.0),
            ]
        )
    )
    most = 240 if kind == "uint8" else 10_000
    pixels = (most * (0.1 + 0.9 * noise)).astype(kind) if kind[0] != "f" else noise.astype(kind)
    if nodata is not None and draw(st.booleans()):
        top, left = draw(st.integers(0, rows - 1)), draw(st.integers(0, cols - 1))
        pixels[top : top + draw(st.integers(1, 20)), left : left + draw(st.integers(1, 20))] = nodata
    if nodata is not None and draw(st.booleans()):
        pixels[rng.random(pixels.shape) < 0.2] = nodata
    wide = draw(st.sampled_from([1.0, 1.0, 1.0, 0.4, 3.0]))
    shift = draw(st.integers(-1000, 1000))
    transform = Affine(size * wide, 0, x + shift * size, 0, -size, y + shift * size)
    return Raster(crs, transform, pixels, nodata, scale, offset, draw(st.sampled_from([None, 16, 64])))


@st.composite
def grids(draw: st.DrawFn, raster: Raster, crs: str | None = None, times: tuple[float, float] = (0.4, 9)) -> GeoBox:
    """Any grid that has something of a raster, ``times`` as coarse."""
    target = crs or raster.crs
    rows, cols = raster.pixels.shape
    ratio = draw(
        st.one_of(st.sampled_from([1.0, 2.0, 4.0]), st.floats(*times)).filter(lambda v: times[0] <= v <= times[1])
    )
    there = Transformer.from_crs(raster.crs, target, always_xy=True)
    x, y = there.transform(
        *zip(*(raster.transform * c for c in ((0, 0), (cols, 0), (0, rows), (cols, rows))), strict=True)
    )
    wide = (max(x) - min(x)) / cols if target != raster.crs else raster.transform.a
    high = (max(y) - min(y)) / rows if target != raster.crs else -raster.transform.e
    wide, high = wide * ratio, high * ratio
    beyond = draw(st.sampled_from([0.0, 0.0, 0.5, -0.3]))
    left, right = min(x) - beyond * (max(x) - min(x)), max(x) + beyond * (max(x) - min(x))
    top, bottom = max(y) + beyond * (max(y) - min(y)), min(y) - beyond * (max(y) - min(y))
    shape = tuple(min(max(int(n), 1), 120) for n in ((top - bottom) / high, (right - left) / wide))
    shift = (0.0, 0.0) if draw(st.booleans()) else (draw(st.floats(-1, 1)), draw(st.floats(-1, 1)))
    return GeoBox(shape, Affine(wide, 0, left + shift[0] * wide, 0, -high, top + shift[1] * high), target)


@contextmanager
def opened(raster: Raster) -> Iterator[rasterio.DatasetReader]:
    """The measure as a raster of GDAL's own, in double precision."""
    measure = raster.measure
    profile = {"driver": "GTiff", "height": measure.shape[0], "width": measure.shape[1], "count": 1, "dtype": "float64"}
    with MemoryFile() as memory:
        with memory.open(**profile, crs=raster.crs, transform=raster.transform, nodata=float("nan")) as file:
            file.write(measure, 1)
        with memory.open() as file:
            yield file


def by_gdal(raster: Raster, grid: GeoBox, kernel: str) -> NDArray[np.float64]:
    """What GDAL makes of the whole raster at full resolution, at PROJ's own places; NaN where there is no data."""
    down, across = scale(raster, grid)
    if (
        kernel == "lanczos"
    ):  # GDAL's weights are wrong where two centres are one: see test_kernels_are_what_they_are_called
        raster = replace(raster, transform=raster.transform * Affine.translation(-1.37e-6, -1.37e-6))
    with opened(raster) as file, WarpedVRT(
        file, crs=str(grid.crs), transform=grid.affine, height=grid.shape[0], width=grid.shape[1], tolerance=1e-9,
        resampling=Resampling[kernel], XSCALE=1 / across, YSCALE=1 / down, SOURCE_EXTRA=50,
    ) as virtual:  # fmt: skip
        return virtual.read(1)


def scale(raster: Raster, grid: GeoBox) -> tuple[float, float]:
    """How many pixels make one of a grid, down and across, in the raster's middle: what the width of a kernel follows."""
    rows, cols = raster.pixels.shape
    back = Transformer.from_crs(str(grid.crs), raster.crs, always_xy=True)
    forth = Transformer.from_crs(raster.crs, str(grid.crs), always_xy=True)
    x, y = forth.transform(*(raster.transform * (cols / 2, rows / 2)))
    a, e = grid.affine.a, grid.affine.e
    (left, right, below, above) = (
        ~raster.transform * back.transform(x + i * a / 2, y + j * e / 2) for i, j in ((-1, 0), (1, 0), (0, -1), (0, 1))
    )
    found = np.hypot(right[1] - left[1], above[1] - below[1]), np.hypot(right[0] - left[0], above[0] - below[0])
    # GDAL's cubic spline is wrong where the scale is 1 but for rounding.
    return tuple(1.0 if abs(r - 1) < 1e-3 else float(r) for r in found)


def on_edge(raster: Raster, grid: GeoBox) -> NDArray[np.bool_]:
    """Which pixels of a grid of the same CRS have their centre on the raster's own edge: by rounding, they are in or out."""
    rows, cols = (np.arange(n) + 0.5 for n in grid.shape)
    to = ~raster.transform * grid.affine
    high, wide = raster.pixels.shape
    row, col = to.e * rows + to.f, to.a * cols + to.c
    at = [np.minimum(np.abs(p), np.abs(p - end)) < 1e-3 for p, end in ((row, high), (col, wide))]
    return at[0][:, np.newaxis] | at[1][np.newaxis]
