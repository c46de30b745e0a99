"""The numbers of a layer on a grid: bands read side by side, masked, pasted from several products, computed."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from dask.system import CPU_COUNT
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geodes_lab.errors import GeodesError
from geodes_lab.reading.window import read
from geodes_lab.tiling.layer import Layer, parsed
from geodes_lab.tiling.scene import Scene

MOST_PIXELS = 2**22
"""Of one picture: 2048²."""
_MEAN = {"bilinear", "cubic", "average"}
_pool: ThreadPoolExecutor | None = None
_pool_lock = threading.Lock()


def of(scene: Scene, layer: Layer, grid: GeoBox) -> np.ma.MaskedArray[Any, Any]:
    """Read a layer on a grid.

    Parameters
    ----------
    scene
        The products; the first with data fills a pixel, and those that are not needed are not read.
    layer
        With bands; see `Scene.chosen`.
    grid
        Any grid, of at most `MOST_PIXELS`.

    Returns
    -------
    numpy.ma.MaskedArray
        (band, y, x): measures as float32 (or float64), classes in their own integers. Masked where any band has no
        data, a mask hides it, or an expression has no finite result.

    Raises
    ------
    GeodesError
        If a band is missing or cannot be read, or the grid is too large.
    """
    if grid.shape[0] * grid.shape[1] > MOST_PIXELS:
        raise GeodesError(f"A picture has at most {MOST_PIXELS:,} pixels, not {grid.shape[0] * grid.shape[1]:,}.")
    out: NDArray[Any] | None = None
    known = np.zeros(grid.shape, bool)
    for number in range(len(scene.items)):
        part = _of_one(scene, number, layer, grid)
        if part is None:
            continue
        values, there = part
        if out is None:
            out, known = values, there
        else:
            new = there & ~known
            out = out.astype(np.result_type(out, values), copy=False)
            out[:, new] = values[:, new]
            known |= there
        if known.all():
            break
    if out is None:
        out = np.zeros((len(layer.bands or layer.expressions), *grid.shape), np.float32)
    return np.ma.MaskedArray(out, mask=np.broadcast_to(~known, out.shape).copy())


def _of_one(scene: Scene, number: int, layer: Layer, grid: GeoBox) -> tuple[NDArray[Any], NDArray[np.bool_]] | None:
    """Read one product; None if it is elsewhere."""
    bands = scene.bands(number, layer)
    if not any(source.touches(grid) for source in bands.sources.values()):
        return None
    wanted = [(source, _kernel(source.is_class, layer)) for source in bands.sources.values()]
    wanted += [(mask.source, "nearest") for mask in bands.masks]
    # Of a tile of the file, only what this picture needs is decoded.
    results = _several(lambda one: read(one[0], grid, one[1], grid), wanted)
    there = np.ones(grid.shape, bool)
    for _, valid in results[: len(bands.sources)]:
        there &= valid
    for mask, (numbers, valid) in zip(bands.masks, results[len(bands.sources) :], strict=True):
        hidden = mask.hides(numbers)
        there &= ~(hidden & (valid | (mask.source.nodata in mask.values)))
    by_name = {name: values for name, (values, _) in zip(bands.sources, results, strict=False)}
    if layer.expressions:
        computed = [_computed(text, by_name, grid) for text in layer.expressions]
        values = np.stack(computed)
        there &= np.isfinite(values).all(axis=0)
    else:
        values = np.stack([by_name[name] for name in layer.bands])
        if values.dtype.kind == "f":
            there &= np.isfinite(values).all(axis=0)
    values[:, ~there] = 0
    return values, there


def _computed(text: str, bands: dict[str, NDArray[Any]], grid: GeoBox) -> NDArray[np.float32]:
    with np.errstate(all="ignore"):
        result = parsed(text).of({name: np.asarray(v, np.float32) for name, v in bands.items()})
    return np.broadcast_to(np.asarray(result, np.float32), grid.shape)


def _kernel(is_class: bool, layer: Layer) -> str:
    return "nearest" if is_class and layer.resampling in _MEAN else layer.resampling


def _several(call: Any, wanted: list[Any]) -> list[Any]:
    """Read bands side by side; a single one in this thread."""
    if len(wanted) == 1:
        return [call(wanted[0])]
    first, *others = wanted
    futures = [pool().submit(call, one) for one in others]
    try:
        return [call(first), *(f.result() for f in futures)]
    except BaseException:
        for future in futures:
            future.cancel()
        raise


def pool() -> ThreadPoolExecutor:
    """Return the threads that read bands, common to all requests of this process."""
    global _pool
    with _pool_lock:
        if _pool is None:
            _pool = ThreadPoolExecutor(max(4, 2 * CPU_COUNT), thread_name_prefix="tiling")
        return _pool
