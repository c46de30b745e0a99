"""What the codec alone costs: the tiles of a screen and of viewers, drawn in this process, where only OpenJPEG's time counts."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import dask
import imagecodecs
import pytest

from geodes_lab.formats import tile_cache
from geodes_lab.formats.jpeg2000 import openjpeg
from geodes_lab.tiling import drawing
from geodes_lab.tiling.layer import layer
from geodes_lab.tiling.reader import LabReader
from geodes_lab.tiling.scene import Scene
from tests.benchmarks.tiling.bench import Bench
from tests.benchmarks.tiling.measurements import around, looks
from tests.benchmarks.tiling.product import BANDS
from tests.benchmarks.tiling.table import Table

Tile = tuple[int, int, int]


class Spent:
    """CPU-seconds of OpenJPEG, of all threads."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._lock = threading.Lock()

    def timed(self, call: Callable[..., Any]) -> Callable[..., Any]:
        """Count the time of a function's thread."""

        def timed(*arguments: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return call(*arguments, **named)
            finally:
                with self._lock:
                    self.seconds += time.thread_time() - began

        return timed


@contextlib.contextmanager
def counting(bench: Bench) -> Iterator[Spent]:
    """Read from the benchmark's server, with nothing decoded before."""
    spent = Spent()
    told = {"geodes_lab.datalake.endpoint": bench.endpoint, "geodes_lab.cache.folder": str(bench.root / "codec")}
    with pytest.MonkeyPatch.context() as patch, dask.config.set(told):
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setitem(os.environ, name, "bench")
        patch.setattr(openjpeg.Decoder, "__init__", spent.timed(openjpeg.Decoder.__init__))
        patch.setattr(openjpeg.Decoder, "decode", spent.timed(openjpeg.Decoder.decode))
        patch.setattr(imagecodecs, "jpeg2k_decode", spent.timed(imagecodecs.jpeg2k_decode))
        tile_cache.forget()
        yield spent


def alone(bench: Bench, table: Table, many: int, turn: int) -> None:
    """The screens and the viewers of a round; the seconds are those of two cores that do nothing else."""
    readers = [LabReader(Scene([item]), layer=layer(BANDS)) for item in bench.items]

    def cost(asked: Sequence[tuple[int, Tile]]) -> float:
        with counting(bench) as spent:
            for number, (z, x, y) in asked:
                drawing.picture(readers[number].tile(x, y, z, tilesize=256), "png", ranges=[(0, 0.4)])
        return spent.seconds

    whole = 0.0
    for zoom, tiles in around(50 + turn):
        cpu = cost([(2, tile) for tile in tiles])
        whole += cpu
        table.add(f"codec alone, a screen of {len(tiles)} tiles, zoom {zoom}", (cpu / 2, cpu))
    if 50 + turn in table.zipped:
        table.ratios.setdefault("screens by CPU, TiTiler on the zip ÷ codec alone", []).append(
            table.zipped[50 + turn] / whole
        )
    asked = [(n % len(readers), tile) for n in range(many) for tile in looks(n, turn)]
    cpu = cost(asked) / len(asked)
    # Each viewer waits for the tiles of all, on two cores.
    table.add(f"codec alone, a tile of {many} viewers at once", (cpu * many / 2, cpu))
