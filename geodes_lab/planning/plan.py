"""What a computation will read, decode and hold in memory, and how long it will take, before anything is read."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from html import escape
from typing import Any, Protocol

import dask
import numpy as np
import xarray as xr
from dask.utils import format_bytes, parse_bytes

from geodes_lab import settings
from geodes_lab.cluster import Workers, workers
from geodes_lab.cube.chunks import reduction
from geodes_lab.formats.tile_cache import room
from geodes_lab.planning.needed_tiles import Touched, file_of, needed, touched
from geodes_lab.raster.source import RasterSource

# Pixels a second of one core, measured (docs/reference/benchmarks.md): JPEG 2000, other files, a warp, a median.
_JPEG2000, _OTHER, _WARP, _MEDIAN = 8e6, 60e6, 12e6, 10e6
# The fraction of a tile's bytes that overviews of JPEG 2000 need, by level.
_SHARES = (1.0, 0.33, 0.09, 0.026, 0.010, 0.006)
_PACKED = 0.6  # bytes in a file for each byte of its pixels, if its size is unknown
_IDLE = 300 * 2**20  # an idle worker with all imports
_TASKS, _FEW_TASKS = 250_000, 100_000  # that read: too many for a scheduler of 2 GB, with what computes; and good ones
_EACH_TASK = 3_900  # bytes of a scheduler, measured
_TASK_SHARE = 1 / 32  # of a thread's memory, for one chunk of several dates
_AT_ONCE = 32  # simultaneous requests of a worker, on average


class LargePlan(UserWarning):
    """A computation that needs more time or memory than it should."""


@dataclass(frozen=True)
class Plan:
    """What a computation needs."""

    products: int
    """Products that are read."""
    dates: int
    """Slices that are read."""
    windows: int
    """Chunks that are read, over all bands."""
    tiles: int
    """Tiles that are read and decoded, each once with one request.

    The first access to a file needs a few more requests.
    """
    bytes: int
    """Bytes to read from the files."""
    decode: float
    """Seconds of one core for decoding, warping, and a median over time."""
    memory: int
    """Bytes that a worker holds at most."""
    seconds: float
    """Seconds on the workers, if nothing else runs there."""
    workers: Workers
    """The number of workers and threads of the estimate."""
    advice: tuple[str, ...] = ()
    """What to do about a plan that is too large."""

    def _rows(self) -> list[tuple[str, str]]:
        staff = self.workers
        return [
            ("products", f"{self.products} in {self.dates} slices, {self.windows} chunks"),
            ("requests", f"{self.tiles}, one for each tile"),
            ("bytes to read", format_bytes(self.bytes)),
            ("decoding", f"{self.decode:.0f} core-seconds"),
            ("memory of a worker", f"{format_bytes(self.memory)} at most, of {format_bytes(staff.memory)}"),
            (
                "time to expect",
                f"{_span(self.seconds)} on {_several(staff.count, 'worker')} of {_several(staff.threads, 'thread')}",
            ),
        ]

    def __repr__(self) -> str:
        return "\n".join([*(f"{name:<20}{value}" for name, value in self._rows()), *self.advice])

    def _repr_html_(self) -> str:
        left = "style='text-align:left'"
        rows = "".join(f"<tr><th {left}>{n}</th><td {left}>{escape(v)}</td></tr>" for n, v in self._rows())
        return f"<table>{rows}</table>" + "".join(f"<p><b>{escape(a)}</b></p>" for a in self.advice)


class Planned(Protocol):
    """What has a plan of its own: a job that has not begun."""

    def plan(self) -> Any:
        """Return the plan."""


def plan(data: xr.Dataset | xr.DataArray | Planned) -> Any:
    """Estimate the cost of a computation, without reading any pixel.

    Parameters
    ----------
    data
        A lazy cube, or a lazy result of cubes. Only the parts that the result needs are counted. Or a job of
        ``gl.process.prepare`` that has not begun: its plan is a `geodes_lab.batch.plan.JobPlan`.

    Returns
    -------
    Plan
        A notebook shows it as a table. If the plan exceeds the limits of the settings ``geodes_lab.plan`` or the memory
        of the workers, a `LargePlan` warning says how to make it smaller.

    Raises
    ------
    GeodesError
        If ``data`` does not read from products: it is already computed, or does not come from a cube.
    """
    if isinstance(data, (xr.Dataset, xr.DataArray)) or not hasattr(data, "plan"):
        return _of_data(data)  # type: ignore[arg-type]  # what is neither is refused there
    return data.plan()


def _of_data(data: xr.Dataset | xr.DataArray) -> Plan:
    staff = workers()
    files: dict[RasterSource, list[Touched]] = {}
    part: int | None = None
    dates, windows, values, chunk, column = set[tuple[str, int]](), 0, 0, 0, 0
    tasks = 0.0
    for mosaic, places in needed(data):
        size = max(mosaic.chunks[0]) * max(mosaic.chunks[1]) * np.dtype(mosaic.dtype).itemsize
        chunk, column = max(chunk, size * max(mosaic.times or (1,))), max(column, size * len(places))
        if mosaic.parts is not None:
            part = max(part or 0, math.prod(map(max, mosaic.parts)) * len(places) * np.dtype(mosaic.dtype).itemsize)
        blocks_ = sum(map(len, places.values()))
        tasks += blocks_ * len(mosaic.times or mosaic.slices) / max(len(mosaic.slices), 1)
        windows, values = windows + blocks_, values + blocks_ * size // np.dtype(mosaic.dtype).itemsize
        dates |= {(mosaic.cube, time) for time in places}
        for time, blocks in places.items():
            for piece in mosaic.slices[time]:
                for source in (piece.source, *(m.source for m in piece.masks)):
                    some = touched(source, mosaic, blocks)
                    if some.tiles:
                        files.setdefault(file_of(source), []).append(some)
    counts = {source: _together(parts) for source, parts in files.items()}
    tiles = sum(len(t.tiles) for t in counts.values())
    size = int(sum(_bytes(source, t) for source, t in counts.items()))
    decode = sum(_seconds(source, t) for source, t in counts.items()) + _median(data, values)
    seconds = max(
        decode / (staff.count * staff.threads),
        size / (parse_bytes(settings.get("plan.bandwidth")) * staff.count),
        tiles * float(settings.get("plan.latency")) / (_AT_ONCE * staff.count),
    )
    memory = _memory(data, staff, chunk, column, part)
    advice = _advice(size, seconds, memory, staff, tasks, chunk)
    if advice:
        warnings.warn(" ".join(advice), LargePlan, stacklevel=3)
    products = len({source.product for source in counts})
    return Plan(products, len(dates), windows, tiles, size, decode, memory, seconds, staff, advice)


def _together(parts: list[Touched]) -> Touched:
    """Combine what several variables need of one file (a mask).

    Its tiles are decoded once, its pixels warped for each.
    """
    first = max(parts, key=lambda t: len(t.tiles))
    tiles = frozenset[tuple[int, int]]().union(*(t.tiles for t in parts if t.level == first.level))
    share = first.share * len(tiles) / max(len(first.tiles), 1)
    return Touched(first.level, tiles, share, first.pixels, sum(t.warped for t in parts))


def _is_jpeg2000(source: RasterSource) -> bool:
    return source.href.lower().endswith((".jp2", ".j2k"))


def _bytes(source: RasterSource, touched: Touched) -> float:
    whole = source.stored[1] if source.stored else source.shape[0] * source.shape[1] * 2 * _PACKED
    level = min(touched.level, len(_SHARES) - 1)
    return whole * touched.share * (_SHARES[level] if _is_jpeg2000(source) else 0.25**level)


def _seconds(source: RasterSource, touched: Touched) -> float:
    rate = _JPEG2000 if _is_jpeg2000(source) else _OTHER
    return len(touched.tiles) * touched.pixels / rate + touched.warped / _WARP


def _memory(data: xr.Dataset | xr.DataArray, staff: Workers, chunk: int, column: int, part: int | None) -> int:
    """Return the maximum memory of a worker: itself, the shared tiles, the work of its threads, and the result."""
    thread = 4 * chunk
    if column > chunk:  # several dates: they may be reduced
        thread += reduction(column, part)
    result = data.nbytes / staff.count
    return int(_IDLE + room(staff.memory) + staff.threads * thread + result)


def _median(data: xr.Dataset | xr.DataArray, values: int) -> float:
    """Return the core seconds of a median, which costs as much as decoding."""
    return values / _MEDIAN if any(str(n).startswith("nanmedian") for n in data.__dask_graph__().layers) else 0.0


def _advice(size: int, seconds: float, memory: int, staff: Workers, tasks: float, chunk: int) -> tuple[str, ...]:
    import distributed  # noqa: F401  (its settings are there from its import on)

    advice = []
    if memory > staff.memory * float(dask.config.get("distributed.worker.memory.spill") or 1.0):
        advice.append(
            f"A worker may need {format_bytes(memory)} of its {format_bytes(staff.memory)}: compute fewer dates or a "
            "smaller area at once, use gl.save instead of .compute(), or use workers with more memory."
        )
    if size > parse_bytes(settings.get("plan.bytes")) or seconds > float(settings.get("plan.seconds")):
        advice.append(
            f"This reads {format_bytes(size)} and takes about {_span(seconds)}: with a coarser resolution=, overviews "
            "are read instead (at a quarter of the resolution, 9 % of the bytes of JPEG 2000). Or save the result "
            "with gl.save, to read the products only once."
        )
    together = min(math.ceil(tasks / _FEW_TASKS), int(staff.memory / staff.threads * _TASK_SHARE / max(chunk, 1)))
    if tasks > _TASKS and together > 1:
        advice.append(
            f"A scheduler needs some {format_bytes(int(tasks * _EACH_TASK))} for the {tasks:,.0f} tasks that read: "
            f'with chunks={{"time": {together}}} in open_cube, a task reads {together} dates.'
        )
    return tuple(advice)


def _several(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def _span(seconds: float) -> str:
    if seconds < 90:
        return f"{max(seconds, 1):.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
