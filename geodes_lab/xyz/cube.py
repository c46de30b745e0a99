"""Tiles of a lazy cube: only the chunks below what is on the screen are computed, each once while it is remembered."""

from __future__ import annotations

import io
import threading
from collections import OrderedDict
from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import dask.array as da
import numpy as np
import odc.geo.xr  # noqa: F401  (registers .odc)
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from PIL import Image

from geodes_lab.errors import GeodesError
from geodes_lab.raster import pixel_places
from geodes_lab.raster.source import RasterSource
from geodes_lab.xyz import colormaps, stretch
from geodes_lab.xyz.layer import SIDE, exists, grid_of, zoom_of

_MOST = 2**26  # pixels of the chunks of one tile
_KEPT = 2**28  # bytes of chunks
_TIMES = 10_000


class CubeLayer:
    """A lazy cube as a `geodes_lab.xyz.layer.Layer`: the nearest pixel, without overviews.

    Parameters
    ----------
    bands
        One variable, or three for red, green and blue, on one grid, with dims (y, x) or (time, y, x). Nothing is
        computed.
    ranges
        The numbers that are drawn darkest and brightest, for all bands or for each; None: from the chunk in the
        middle, which is computed when a tile or `ranges` is first asked for.
    colormap
        A map of colours, for one band.
    gamma
        See `geodes_lab.xyz.stretch.bytes_of`.

    Raises
    ------
    GeodesError
        If it is no cube with a grid on the Earth, or has other dims.
    """

    def __init__(
        self, bands: Sequence[xr.DataArray], ranges: Sequence[stretch.Range] | None = None, colormap: str = "viridis",
        gamma: float = 1.0,
    ) -> None:  # fmt: skip
        if len(bands) not in (1, 3):
            raise GeodesError(f"A map shows one variable, or three as colours, not {len(bands)}.")
        self._bands = [_checked(band) for band in bands]
        grids = [band.odc.geobox for band in self._bands]
        if any(g != grids[0] for g in grids) or len({b.shape for b in self._bands}) > 1:
            raise GeodesError("The three variables of a map must have the same grid and times.")
        self.data = self._bands[0]
        """The first variable, (time, y, x)."""
        self._source = _source(grids[0])
        self._arrays = [_chunked(band) for band in self._bands]
        self._edges = [np.cumsum((0, *chunks)) for chunks in self._arrays[0].chunks]
        self._ranges, self.colormap, self._gamma = ranges, colormap, gamma
        self._kept: OrderedDict[tuple[int, ...], Future[NDArray[Any]]] = OrderedDict()
        self._lock = threading.Lock()
        box = grids[0].geographic_extent.boundingbox
        self.bounds = box.left, box.bottom, box.right, box.top
        self.max_zoom, self.min_zoom = self._zooms(grids[0], (box.top + box.bottom) / 2)
        if len(bands) == 1:
            colormaps.mapped(np.zeros((1, 1), np.uint8), colormap)  # an unknown name is refused now

    @property
    def times(self) -> list[str]:
        """The times, as a person reads them; empty for a cube without times."""
        if "time" not in self.data.coords or not self.data["time"].ndim:
            return []
        return [str(t)[:16].replace("T", " ") for t in self.data["time"].values]

    @property
    def ranges(self) -> Sequence[stretch.Range]:
        """What is drawn darkest and brightest."""
        if self._ranges is None:
            middle = [len(e) // 2 - 1 if len(e) > 2 else 0 for e in self._edges[1:]]
            several = []
            for number in range(len(self._arrays)):
                values = np.asarray(self._block(number, 0, *middle))
                several += stretch.from_statistics(np.ma.masked_invalid(values[:1].astype(np.float32)))
            self._ranges = several
        return self._ranges

    def draw(self, zoom: int, column: int, row: int, step: int = 0) -> bytes | None:
        """See `geodes_lab.xyz.layer.Layer`.

        Raises
        ------
        GeodesError
            If too much would have to be computed, or a pixel cannot be read.
        """
        if not exists(zoom, column, row) or not 0 <= step < self.data.shape[0]:
            return None
        grid = grid_of(zoom, column, row)
        if not self._source.touches(grid):
            return None
        rows, cols = pixel_places.pixels(grid, self._source)
        rows, cols = np.broadcast_arrays(rows, cols)
        inside = (rows >= 0) & (rows < self._source.shape[0]) & (cols >= 0) & (cols < self._source.shape[1])
        if not inside.any():
            return None
        values = np.stack([self._sampled(n, step, rows, cols, inside) for n in range(len(self._arrays))])
        there = inside & np.isfinite(values).all(axis=0)
        return self._png(np.ma.MaskedArray(values, mask=np.broadcast_to(~there, values.shape)), there)

    def at(self, longitude: float, latitude: float) -> xr.DataArray:
        """Return the first variable's values at a point for all times, lazy.

        Raises
        ------
        GeodesError
            If the point is outside the cube.
        """
        from pyproj import Transformer

        box: GeoBox = self.data.odc.geobox
        x, y = Transformer.from_crs("EPSG:4326", str(box.crs), always_xy=True).transform(longitude, latitude)
        col, row = ~box.affine * (x, y)
        if not (0 <= row < box.shape[0] and 0 <= col < box.shape[1]):
            raise GeodesError("The point is outside the cube.")
        return self.data[:, int(row), int(col)]

    def _sampled(self, band: int, step: int, rows: Any, cols: Any, inside: Any) -> NDArray[np.float32]:
        """Return the pixel below each pixel of a tile, chunk by chunk."""
        block_rows = np.searchsorted(self._edges[1], rows, "right") - 1
        block_cols = np.searchsorted(self._edges[2], cols, "right") - 1
        wanted = np.unique(np.stack([block_rows[inside], block_cols[inside]]), axis=1).T
        chunks = self._arrays[band].chunks
        size = sum(chunks[1][i] * chunks[2][j] for i, j in wanted.tolist())
        if size > _MOST:
            raise GeodesError(f"This tile needs {size:,} pixels of the cube: zoom in, or open it with a coarser grid.")
        time = int(np.searchsorted(self._edges[0], step, "right")) - 1
        out = np.full(rows.shape, np.nan, np.float32)
        for i, j in wanted.tolist():
            here = inside & (block_rows == i) & (block_cols == j)
            block = self._block(band, time, i, j)[step - self._edges[0][time]]
            out[here] = block[rows[here] - self._edges[1][i], cols[here] - self._edges[2][j]]
        return out

    def _block(self, *key: int) -> NDArray[Any]:
        """Compute a chunk; who asks for it meanwhile waits for the same computation."""
        with self._lock:
            known = self._kept.get(key)
            mine = known is None
            if known is None:
                known = self._kept[key] = Future()
            self._kept.move_to_end(key)
        if mine:
            try:
                known.set_result(np.asarray(self._arrays[key[0]].blocks[key[1:]].compute()))
            except BaseException as error:
                with self._lock:
                    self._kept.pop(key, None)
                known.set_exception(error)
            self._forget()
        return known.result()

    def _forget(self) -> None:
        with self._lock:
            done = {k: f.result().nbytes for k, f in self._kept.items() if f.done() and not f.exception()}
            held = sum(done.values())
            for key, size in done.items():
                if held <= _KEPT or len(self._kept) == 1:
                    break
                del self._kept[key]
                held -= size

    def _png(self, values: np.ma.MaskedArray[Any, Any], there: NDArray[np.bool_]) -> bytes:
        drawn = stretch.bytes_of(values, self.ranges, self._gamma)
        if len(drawn) == 1:
            drawn = colormaps.mapped(drawn[0], self.colormap)
        picture = np.dstack([*drawn, np.where(there, 255, 0).astype(np.uint8)])
        file = io.BytesIO()
        Image.fromarray(picture).save(file, "PNG", compress_level=1)
        return file.getvalue()

    def _zooms(self, grid: GeoBox, latitude: float) -> tuple[int, int]:
        width = abs(grid.affine.a) * (111_320 if grid.crs.geographic else 1)
        finest = zoom_of(width, latitude)
        largest = self._arrays[0].chunks
        if sum(largest[1]) * sum(largest[2]) <= _MOST:
            return finest, 0
        coarser = int(np.log2(_MOST**0.5 / SIDE / 2))  # a tile's chunks reach beyond it
        return finest, max(finest - coarser, 0)


def _checked(band: Any) -> xr.DataArray:
    if not isinstance(band, xr.DataArray):
        raise GeodesError(f"A map shows variables of a cube, such as cube.red, not {type(band).__name__}.")
    box = band.odc.geobox
    if box is None or box.crs is None or box.crs.epsg is None:
        raise GeodesError("This variable has no grid on the Earth with an EPSG code: open it with gl.open_cube.")
    a, b, _, d, e, _ = box.affine[:6]
    spatial = band.odc.spatial_dims
    if b or d or a <= 0 or e >= 0 or spatial is None:
        raise GeodesError("A map needs a grid whose rows run south and columns run east.")
    others = [dim for dim in band.dims if dim not in spatial]
    if len(others) > 1 or (others and band.sizes[others[0]] > _TIMES):
        raise GeodesError(f"A map shows dims (y, x) or (time, y, x), not {band.dims}: select the others first.")
    if band.dtype.kind not in "fiub":
        raise GeodesError(f"A map shows numbers, not {band.dtype}.")
    ordered = band.transpose(*others, *spatial)
    return ordered if others else ordered.expand_dims("time" if "time" not in band.coords else "step")


def _chunked(band: xr.DataArray) -> da.Array:
    data = band.data
    return data if isinstance(data, da.Array) else da.from_array(data, chunks=(1, 2048, 2048))


def _source(grid: GeoBox) -> RasterSource:
    a, b, c, d, e, f = grid.affine[:6]
    return RasterSource("", "the cube", "", grid.crs.epsg, (a, b, c, d, e, f), tuple(grid.shape))
