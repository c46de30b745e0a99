"""Which chunks of which mosaics a lazy result needs, and which tiles of which files; nothing is read."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, product
from typing import Protocol, runtime_checkable

import xarray as xr
from dask.blockwise import Blockwise
from dask.core import flatten
from dask.highlevelgraph import HighLevelGraph
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling

from geodes_lab.cube.mosaic import Mosaic
from geodes_lab.errors import GeodesError
from geodes_lab.raster import warp
from geodes_lab.raster.geometry import Gridder
from geodes_lab.raster.source import RasterSource, Span
from geodes_lab.reading import edges, overview

_TILE = 1024  # pixels, if a file declares no tiles

Block = tuple[int, int]
"""Number of a chunk in y and in x."""


def mosaics(data: xr.Dataset | xr.DataArray) -> dict[str, Mosaic]:
    """Return the mosaics of a lazy result, by the graph layer that reads them.

    Raises
    ------
    GeodesError
        If ``data`` is not lazy, or does not come from a cube.
    """
    graph = data.__dask_graph__() if isinstance(data, (xr.Dataset, xr.DataArray)) else None
    by_layer = {}
    for layer in graph.layers.values() if isinstance(graph, HighLevelGraph) else ():
        if not isinstance(layer, Blockwise) and len(layer) == 1:
            value = next(iter(layer.values()))
            value = getattr(value, "value", value)  # dask's DataNode holds it
            if isinstance(value, Mosaic):
                by_layer[value.layer] = value
    if not by_layer:
        raise GeodesError(
            "This does not read from any product: give the lazy cube of gl.open_cube, or a lazy result of it, before "
            ".compute()."
        )
    return by_layer


def needed(data: xr.Dataset | xr.DataArray) -> Iterator[tuple[Mosaic, dict[int, frozenset[Block]]]]:
    """Yield the chunks of each mosaic that a result needs, by slice."""
    known = mosaics(data)
    culled = data.__dask_graph__().cull(set(flatten(data.__dask_keys__())))
    for layer in culled.layers.values():  # xarray may have lengthened the names
        if isinstance(layer, Blockwise) and layer.output in known:
            places: dict[int, set[Block]] = {}
            mosaic = known[layer.output]
            inside = {(y, x): not mosaic.is_outside(y, x) for _, _, y, x in layer.get_output_keys()}
            for _, time, y, x in layer.get_output_keys():
                if inside[y, x]:
                    for date in mosaic.dates(time):
                        places.setdefault(date, set()).add((y, x))
            yield mosaic, {time: frozenset(found) for time, found in places.items()}


@runtime_checkable
class Windowed(Gridder, Protocol):
    """A `Gridder` that says which part of its image it will read, before it reads."""

    @property
    def image(self) -> RasterSource:
        """Return the image with its tiles; only the shape of its grid is used."""

    def spans(self, source: RasterSource, grid: GeoBox) -> tuple[Span, Span]:
        """Return the rows and columns of the image that a grid may need, each as the first and the last (excluded).

        Empty if none.
        """


@dataclass(frozen=True)
class Touched:
    """What some chunks need of one file."""

    level: int
    """The overview that is read; 0: the image itself."""
    tiles: frozenset[tuple[int, int]]
    """Rows and columns of the tiles."""
    share: float
    """The fraction of all tiles of that level."""
    pixels: float
    """Pixels that are decoded of one tile, on average."""
    warped: int
    """Pixels of the output that are warped, not copied."""


def file_of(source: RasterSource) -> RasterSource:
    """Return the source that represents a band's file: for a band without a grid, its image."""
    return source.native.image if isinstance(source.native, Windowed) else source


def touched(source: RasterSource, mosaic: Mosaic, blocks: frozenset[Block]) -> Touched:
    """Find what chunks of a mosaic need of one file, from the metadata alone."""
    if isinstance(source.native, Windowed):
        return _windows(source, source.native, mosaic, blocks)
    # Thousands of products are on one grid: the result for one is valid for all.
    whole = 2 if source.stored or source.href.lower().endswith(".jp2") else 1
    return _touched(
        RasterSource(
            "",
            "",
            "",
            source.epsg,
            source.transform,
            source.shape,
            source.dtype,
            nodata=source.nodata,
            tile=source.tile,
            overviews=source.overviews,
            exact=source.exact,
        ),
        whole,
        mosaic.grid,
        mosaic.chunks,
        blocks,
        Resampling[mosaic.resampling],
    )


def _windows(source: RasterSource, native: Windowed, mosaic: Mosaic, blocks: frozenset[Block]) -> Touched:
    """Return the tiles of an image without a grid that its announced windows need."""
    rows, cols = (list(accumulate(sizes, initial=0)) for sizes in mosaic.chunks)
    shape = native.image.shape
    high, wide = (min(t, s) for t, s in zip(native.image.tile or (_TILE, _TILE), shape, strict=True))
    tiles, warped = set[tuple[int, int]](), 0
    for y, x in blocks:
        window = mosaic.grid[rows[y] : rows[y + 1], cols[x] : cols[x + 1]]
        if source.touches(window):
            (top, bottom), (left, right) = native.spans(source, window)
            if top < bottom and left < right:
                tiles |= set(product(range(top // high, -(-bottom // high)), range(left // wide, -(-right // wide))))
            warped += window.shape[0] * window.shape[1]
    count = -(-shape[0] // high) * -(-shape[1] // wide)
    pixels = min(high * wide, shape[0] * shape[1] / max(len(tiles), 1))
    return Touched(0, frozenset(tiles), len(tiles) / count, pixels, warped)


@lru_cache(maxsize=4096)
def _touched(
    source: RasterSource,
    shrink: int,
    grid: GeoBox,
    chunks: tuple[tuple[int, ...], tuple[int, ...]],
    blocks: frozenset[Block],
    resampling: Resampling,
) -> Touched:
    rows, cols = (list(accumulate(sizes, initial=0)) for sizes in chunks)
    native = source.place_on(grid) is not None
    # In JPEG 2000, an overview has the image's tiles at half size; in a COG it has its own tiles.
    level = 0 if native else overview.expected(source, grid, resampling, shrink == 2)
    reduced = source.reduced((2**level, 2**level), (-(-source.shape[0] >> level), -(-source.shape[1] >> level)))
    high, wide = source.tile or (_TILE, _TILE)
    if shrink == 2:
        high, wide = max(high >> level, 1), max(wide >> level, 1)
    high, wide = min(high, reduced.shape[0]), min(wide, reduced.shape[1])
    # Beside no data, an overview of JPEG 2000 is read with a margin.
    reach = edges.far(reduced, grid, resampling) if level and shrink == 2 and source.nodata is not None else 0
    margin = warp.margin(reduced, grid, resampling)
    tiles, warped = set[tuple[int, int]](), 0
    for y, x in blocks:
        window = grid[rows[y] : rows[y + 1], cols[x] : cols[x + 1]]
        if source.touches(window):
            (top, bottom), (left, right) = _reaching(reduced.spans(window, margin), reach, reduced.shape)
            tiles |= set(product(range(top // high, -(-bottom // high)), range(left // wide, -(-right // wide))))
            warped += 0 if native else window.shape[0] * window.shape[1]
    (top, bottom), (left, right) = _reaching(reduced.spans(grid, margin), reach, reduced.shape)
    pixels = sum(
        (min((r + 1) * high, bottom) - max(r * high, top)) * (min((c + 1) * wide, right) - max(c * wide, left))
        for r, c in tiles
    )
    count = -(-reduced.shape[0] // high) * -(-reduced.shape[1] // wide)
    return Touched(level, frozenset(tiles), len(tiles) / count, pixels / max(len(tiles), 1), warped)


def _reaching(spans: tuple[Span, Span], reach: int, shape: tuple[int, int]) -> tuple[Span, Span]:
    (top, bottom), (left, right) = spans
    return (max(top - reach, 0), min(bottom + reach, shape[0])), (max(left - reach, 0), min(right + reach, shape[1]))
