"""One variable of a cube: the sources of each of its chunks, and the lazy array.

The array is one layer of the graph and one table (the `Mosaic`) in which every task looks up its sources, so that the
graph of a thousand dates is as small as that of one.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Any, Literal

import dask.array as da
import numpy as np
from dask.highlevelgraph import HighLevelGraph
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling

from geodes_lab.cube import layers
from geodes_lab.cube.outline import Outline
from geodes_lab.errors import GeodesError
from geodes_lab.raster import mask_buffer
from geodes_lab.raster.mask import Mask
from geodes_lab.raster.source import RasterSource
from geodes_lab.reading import ahead, overview, read_log
from geodes_lab.reading.window import read

NODATA, MASKED, FAILED, SATURATED = 1, 2, 4, 8
"""Bits of a quality: no product has data there.

A mask or the outline hides it; a product could not be read; one is saturated there.
"""


@dataclass(frozen=True)
class MosaicSource:
    """One product's part in a slice."""

    source: RasterSource
    """Its band."""
    masks: tuple[Mask, ...] = ()
    """The masks that hide its pixels."""


@dataclass(frozen=True)
class Mosaic:
    """One variable of a cube, lazy."""

    cube: str
    """The token of the cube, the same for all its variables."""
    variable: str
    """The name of the variable."""
    grid: GeoBox
    """The cube's grid."""
    chunks: tuple[tuple[int, ...], tuple[int, ...]]
    """Sizes of the chunks in y and in x."""
    slices: tuple[tuple[MosaicSource, ...], ...]
    """For each time its products, in order of precedence: the first with data fills a pixel."""
    resampling: str
    """A name of `rasterio.enums.Resampling`."""
    dtype: str
    """The dtype of the variable."""
    fill: float | int
    """The value for no data."""
    errors: Literal["raise", "fill"] = "raise"
    """What to do with a window that cannot be read."""
    outline: Outline | None = None
    """The shape outside which there is no data, if any."""
    parts: tuple[tuple[int, ...], tuple[int, ...]] | None = None
    """Sizes in y and x into which the chunks are cut after they are read, if at all."""

    times: tuple[int, ...] | None = None
    """Slices of each chunk in time; None: one."""

    def dates(self, time: int) -> range:
        """Return the slices of a chunk, by its number in time."""
        if self.times is None:
            return range(time, time + 1)
        first = sum(self.times[:time])
        return range(first, first + self.times[time])

    @property
    def layer(self) -> str:
        """Return the name of the graph layer that reads it."""
        return f"read-{self.variable}-{self.cube}"

    def window(self, y: int, x: int) -> GeoBox:
        """Return the grid of a chunk."""
        rows, cols = (list(accumulate(sizes, initial=0)) for sizes in self.chunks)
        return self.grid[rows[y] : rows[y + 1], cols[x] : cols[x + 1]]

    def is_outside(self, y: int, x: int) -> bool:
        """Whether a chunk has nothing of the outline: nothing is read for it."""
        return self.outline is not None and not self.outline.touches(self.window(y, x))

    def pixels(self, time: int, y: int, x: int) -> int | None:
        """Return about how many pixels are read for a chunk, or made; None: it is computed, not only read."""
        grid = self.window(y, x)
        most, kernel = grid.shape[0] * grid.shape[1] * len(self.dates(time)), Resampling[self.resampling]
        for piece in (p for date in self.dates(time) for p in self.slices[date]):
            for source in (piece.source, *(mask.source for mask in piece.masks)):
                if source.native is not None:
                    return None
                is_wavelet = source.href.lower().endswith((".jp2", ".j2k"))
                level = overview.expected(source, grid, kernel, is_wavelet)
                most += round(grid.shape[0] * grid.shape[1] * math.prod(source.ratios(grid)) / 4**level)
        return most

    def read(self, time: int, y: int, x: int) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
        """Read one chunk.

        Returns
        -------
        values : numpy.ndarray
            (dates, rows, cols) of ``dtype``.
        quality : numpy.ndarray or None
            With ``errors="fill"`` an array of `NODATA`, `MASKED`, `FAILED`, `SATURATED` with the same shape; 0 where
            there is data.

        Raises
        ------
        GeodesError
            If a product cannot be read and ``errors`` is ``"raise"``.
        """
        grid = self.window(y, x)
        inside = None if self.outline is None else self.outline.holds(grid)
        is_empty, out, flags = inside is not None and not inside.any(), list[NDArray[Any]](), list[NDArray[np.uint8]]()
        for date in self.dates(time):
            values, quality = self._pasted(() if is_empty else self.slices[date], grid)
            if inside is not None:
                values[~inside] = self.fill
                if quality is not None:
                    quality[~inside] = MASKED
            out.append(values)
            flags += [] if quality is None else [quality]
        if len(out) == 1:
            return out[0][np.newaxis], flags[0][np.newaxis] if flags else None
        return np.stack(out), np.stack(flags) if flags else None

    def _pasted(self, pieces: Iterable[MosaicSource], grid: GeoBox) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
        """Paste pieces upon each other, the first with data uppermost; values and quality of ``grid.shape``."""
        values, valid = None, None
        quality = np.full(grid.shape, NODATA, np.uint8) if self.errors == "fill" else None
        for piece in pieces:
            if not piece.source.touches(grid):
                continue
            try:
                band_values, there = read(piece.source, grid, self.resampling, self.grid)
                hidden = self._hidden(piece, grid)
            except GeodesError as error:
                if quality is None:
                    raise
                read_log.note(self.cube, piece.source.product, str(error))
                quality |= FAILED
                continue
            read_log.note(self.cube, piece.source.product)
            if quality is not None and piece.source.saturated is not None and not there.all():
                quality[~there & self._saturated(piece.source, grid)] |= SATURATED
            if hidden is not None:
                hidden &= there
                there &= ~hidden
                band_values[hidden] = self.fill
                if quality is not None:
                    quality[hidden] |= MASKED
            if values is None or valid is None:
                values, valid = band_values, there
            else:
                np.copyto(values, band_values, where=there & ~valid, casting="same_kind")
                valid |= there
            if valid.all():
                break
        if values is None:
            values = np.full(grid.shape, self.fill, self.dtype)
        if quality is not None and valid is not None:
            quality[valid] = 0
        return values, quality

    def _saturated(self, source: RasterSource, grid: GeoBox) -> NDArray[np.bool_]:
        """Return where a band is saturated; in an overview, where most of a pixel is."""
        if source.saturated is None or source.native is not None:
            return np.zeros(grid.shape, bool)
        plain = replace(source, scale=1.0, offset=0.0, dtype="float32", nodata=None, saturated=None)
        numbers = read(plain, grid, "nearest", self.grid)[0]
        return replace(source, nodata=None).suspect(numbers)

    def _hidden(self, piece: MosaicSource, grid: GeoBox) -> NDArray[np.bool_] | None:
        if not piece.masks:
            return None
        hidden = np.zeros(grid.shape, bool)
        buffer = max(mask.buffer for mask in piece.masks)
        rows, columns = mask_buffer.margins(self.grid, buffer)
        # The neighbours of the chunk too: their clouds reach into it.
        wide, within = (g.pad(columns, rows) if rows or columns else g for g in (grid, self.grid))
        seen = np.zeros(wide.shape, bool)
        inside = slice(rows, rows + grid.shape[0]), slice(columns, columns + grid.shape[1])
        for mask in piece.masks:
            numbers, there = read(mask.source, wide, "nearest", within)
            hides = mask.hides(numbers)
            seen |= hides & there
            # A class may be requested that is the mask's own nodata; what is beyond the product's edge has no buffer.
            if mask.source.nodata in mask.values:
                hidden |= hides[inside]
        return hidden | (mask_buffer.grown(seen, self.grid, buffer) if buffer else seen)[inside]


def lazy(mosaic: Mosaic) -> tuple[da.Array, da.Array | None]:
    """Return the arrays of a mosaic, dims (time, y, x), a chunk for each window and one or more times; no I/O.

    Returns
    -------
    values : dask.array.Array
        With the mosaic's dtype.
    quality : dask.array.Array or None
        With ``errors="fill"``, the quality of each pixel; both come from one read.
    """
    chunks = (mosaic.times or (1,) * len(mosaic.slices), *mosaic.chunks)
    table, fills = f"mosaic-{mosaic.variable}-{mosaic.cube}", mosaic.errors == "fill"
    ahead.tables[table] = mosaic
    layer = layers.Reads.of(mosaic.layer, table, tuple(map(len, chunks)), _read_both if fills else _read_values)
    graph = HighLevelGraph({table: {(table,): mosaic}, mosaic.layer: layer}, {table: set(), mosaic.layer: {table}})
    if not fills:
        return _cut(da.Array(graph, mosaic.layer, chunks, dtype=mosaic.dtype), mosaic), None
    pair = da.Array(graph, mosaic.layer, chunks, dtype=object)
    values = pair.map_blocks(_first, dtype=mosaic.dtype, meta=np.empty((0, 0, 0), mosaic.dtype))
    quality = pair.map_blocks(_second, dtype=np.uint8, meta=np.empty((0, 0, 0), np.uint8))
    return _cut(values, mosaic), _cut(quality, mosaic)


def _cut(array: da.Array, mosaic: Mosaic) -> da.Array:
    return array if mosaic.parts is None else layers.in_parts(array, f"part-of-{array.name}", mosaic.parts)


def _read_values(mosaic: Mosaic, index: tuple[int, int, int]) -> NDArray[Any]:
    return mosaic.read(*index)[0]


def _read_both(mosaic: Mosaic, index: tuple[int, int, int]) -> tuple[NDArray[Any], NDArray[np.uint8] | None]:
    return mosaic.read(*index)


def _first(pair: tuple[NDArray[Any], NDArray[np.uint8]]) -> NDArray[Any]:
    return pair[0]


def _second(pair: tuple[NDArray[Any], NDArray[np.uint8]]) -> NDArray[np.uint8]:
    return pair[1]
