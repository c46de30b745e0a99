"""The mosaics of a cube: its slices, and for each band what fills them, in which chunks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pystac
from odc.geo.geobox import GeoBox

from geodes_lab.cluster import workers
from geodes_lab.cube import acquisitions
from geodes_lab.cube import chunks as chunks_
from geodes_lab.cube.band_sources import BandSources
from geodes_lab.cube.grid import overlaps
from geodes_lab.cube.mosaic import Mosaic, MosaicSource
from geodes_lab.cube.outline import Outline
from geodes_lab.cube.request import CubeRequest
from geodes_lab.products import masks as masks_
from geodes_lab.raster import mask_buffer as mask_buffer_
from geodes_lab.raster.mask import Mask
from geodes_lab.raster.source import RasterSource


def every(sources: BandSources) -> list[RasterSource]:
    """Return the bands of all products that have them."""
    return [source for of_band in sources.values() for source in of_band if source is not None]


def slices(items: list[pystac.Item], sources: BandSources, grid: GeoBox, request: CubeRequest) -> list[list[int]]:
    """Group the products, by number, into the slices of the cube; products outside of the grid are in none."""
    placed = [next(s for s in (of_band[n] for of_band in sources.values()) if s is not None) for n in range(len(items))]
    return [
        group
        for group in acquisitions.group(items, placed, request.groupby)
        if any(s is not None and overlaps(s, grid) for n in group for s in (of_band[n] for of_band in sources.values()))
    ]


def of(
    items: list[pystac.Item], sources: BandSources, groups: list[list[int]], grid: GeoBox, request: CubeRequest
) -> tuple[dict[str, Mosaic], Any]:
    """Make a mosaic for each band.

    Also return the pieces in which large chunks are computed, if the chunks are automatic.
    """
    all_ = every(sources)
    finest = min(all_, key=lambda s: abs(s.transform[0] * s.transform[4]))
    largest = max((s.dtype for s in all_), key=lambda d: np.dtype(d).itemsize)
    staff = workers()
    sizes, parts = chunks_.choose(grid, finest, len(groups), largest, staff), None
    if request.chunks.is_automatic:
        parts = chunks_.pieces(sizes, len(groups), largest, staff)
    else:
        sizes = request.chunks.sizes(grid, finest, sizes)
    outline = Outline.of(request.geometry, grid) if request.clip and request.geometry is not None else None
    mask_buffer_.margins(grid, request.mask_buffer)  # one that is too large is refused now
    masks = [tuple(replace(m, buffer=request.mask_buffer) for m in masks_.masks(i, request.mask)) for i in items]
    mosaics = {}
    for band, of_band in sources.items():
        first = next(s for s in of_band if s is not None)
        kernel, pasted = request.kernel_of(band, first), _pieces(of_band, masks, groups, grid)
        mosaics[band] = Mosaic(
            "",
            band,
            grid,
            sizes,
            pasted,
            kernel,
            first.dtype,
            first.fill,
            request.errors,
            outline=outline,
            times=request.chunks.times(len(groups)),
        )
    return mosaics, parts


def _pieces(
    sources: list[RasterSource | None], masks: list[tuple[Mask, ...]], groups: list[list[int]], grid: GeoBox
) -> tuple[tuple[MosaicSource, ...], ...]:
    def pieces(number: int) -> list[MosaicSource]:
        source = sources[number]
        copies = [] if source is None else source.copies(grid)
        return [
            MosaicSource(c, tuple(replace(m, source=m.source.moved(c.turned)) for m in masks[number])) for c in copies
        ]

    return tuple(tuple(p for number in group for p in pieces(number)) for group in groups)


def said(mosaic: Mosaic, request: CubeRequest) -> dict[str, str]:
    """Return a note for classes that were not resampled as requested."""
    kernel = request.kernel(mosaic.variable)
    if mosaic.resampling == kernel:
        return {}
    return {"resampling": f"nearest, because classes cannot be averaged ({kernel} was requested)"}
