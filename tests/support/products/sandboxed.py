"""Products of unknown origin are opened in a child of a fork, which is measured: how it ended, its time, its memory, what it opened.

    python tests/support/products/sandboxed.py    reads a case a line from stdin, as JSON, and writes what came of it

The process that forks has imported all and started no thread, so that a child begins in some milliseconds. Tests and the fuzz of
whole products (`fuzz_products.py`) share it.
"""

from __future__ import annotations

import json
import os
import resource
import select
import signal
import subprocess
import sys
import traceback
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.paths import TOP

ADDRESSES, MEMORY, SECONDS, WALL = 6 * 2**30, 2 * 2**30, 20, 240
"""Bytes of address space, with a gigabyte and a half of libraries; bytes of memory; seconds of processor; seconds of a busy machine."""
_SYSTEM = (
    "/usr",
    "/lib",
    "/lib64",
    "/proc",
    "/sys",
    "/dev",
    "/etc/localtime",
    "/etc/mime.types",
    "/etc/ssl",
    "/root/.pyenv",
)


@dataclass
class Result:
    """What came of a product."""

    outcome: str
    """``opened``, ``refused`` (our one class of error), ``error`` (another), ``signal`` or ``hung``."""
    text: str
    """The sentence, or the traceback, or the name of the signal."""
    cpu: float
    """Seconds."""
    rss: int
    """Bytes of memory, at most."""
    outside: list[str] = field(default_factory=list)
    """Files that Python opened outside of the product."""

    @property
    def problems(self) -> list[str]:
        """What no product may do."""
        found = [f"{self.outcome}: {self.text}"] if self.outcome in ("error", "signal", "hung") else []
        found += (
            [f"the sentence has several lines: {self.text}"] if self.outcome == "refused" and "\n" in self.text else []
        )
        found += [f"{self.cpu:.0f} s of processor"] if self.cpu > SECONDS else []
        found += [f"{self.rss / 2**20:.0f} MiB of memory"] if self.rss > MEMORY else []
        return found + [f"opened {path}" for path in self.outside]


class Sandbox:
    """The process that forks; a context."""

    def __enter__(self) -> Sandbox:
        alone = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.products.sandboxed"], cwd=TOP, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env={**os.environ, **alone, "MALLOC_ARENA_MAX": "2", "GDAL_CACHEMAX": "64", "AWS_EC2_METADATA_DISABLED": "TRUE"},
        )  # fmt: skip
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait(WALL)

    def open(self, product: Path | dict[str, Any], work: Path, use: str = "whole") -> Result:
        """Open a product (a path, or an Item as a dictionary) with ``work`` as the folder for caches; ``use``: one of `USES`."""
        case = {
            "product": product if isinstance(product, dict) else str(Path(product).absolute()),
            "work": str(Path(work).absolute()),
            "use": use,
        }
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(case) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, "the process that forks has ended"
        return Result(**json.loads(answer))


def whole(product: Any) -> None:
    """Open a product in each way, and read a corner of all it has, near and far."""
    import numpy as np

    import geodes_lab as gl
    from geodes_lab import products
    from geodes_lab.products import bands
    from geodes_lab.reading import window

    refused: list[gl.GeodesError] = []
    try:
        tree = gl.open_product(product)
        repr(tree)
        for node in tree.subtree:
            for variable in list(node.data_vars.values())[:4]:
                try:
                    np.asarray(variable[tuple(slice(0, 2) for _ in variable.dims)].values)
                except gl.GeodesError as error:
                    refused.append(error)
    except gl.GeodesError as error:
        refused.append(error)
    try:
        item = products.unpack(product)
        for key in [k for k, a in item.assets.items() if "proj:transform" in a.extra_fields][:3]:
            band = bands.source(item, key)
            grid = band.geobox
            far = (
                [grid.zoom_to((9, 7))] if max(grid.shape) < 5000 else []
            )  # of larger ones it takes as long as an honest image does
            for part in (grid[:16, :16], grid[-16:, -16:], *far):
                try:
                    window.read(band, part)
                except gl.GeodesError as error:
                    refused.append(error)
    except gl.GeodesError as error:
        refused.append(error)
    if refused:
        # Each is one sentence; what is told is the first.
        several = [r for r in refused if "\n" in str(r)]
        raise (several or refused)[0]


def opened(product: Any) -> None:
    """Open a product, no more."""
    import geodes_lab as gl

    gl.open_product(product)


def coarse(product: Any) -> None:
    """Read the first band of a product on a grid of 32 × 32 that covers it."""
    from geodes_lab import products
    from geodes_lab.products import bands
    from geodes_lab.reading import window

    item = products.unpack(product)
    band = bands.source(item, next(k for k, a in item.assets.items() if "proj:transform" in a.extra_fields))
    window.read(band, band.geobox.zoom_to((32, 32)))


def published(product: Any) -> None:
    """Describe a result as `gl.publish` does."""
    from geodes_lab.results import publish

    publish.item_of(product)


USES = {use.__name__: use for use in (whole, opened, coarse, published)}


def _child(case: dict[str, Any], say: int) -> None:
    import dask

    import geodes_lab as gl

    work = case["work"]
    resource.setrlimit(resource.RLIMIT_AS, (ADDRESSES, ADDRESSES))
    resource.setrlimit(resource.RLIMIT_CPU, (3 * SECONDS, 3 * SECONDS + 5))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    product = case["product"]
    allowed = (*_SYSTEM, sys.prefix, sys.base_prefix, str(TOP / "geodes_lab"), str(TOP / "tests"), work)
    allowed += (product,) if isinstance(product, str) else ()
    outside: list[str] = []

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event == "open" and isinstance(arguments[0], (str, bytes, os.PathLike)):
            path = os.path.abspath(os.fsdecode(arguments[0]))  # noqa: PTH100  (links are not followed)
            if not path.startswith(allowed):
                outside.append(path)

    sys.addaudithook(watch)
    settings = {
        "geodes_lab.cache.folder": f"{work}/cache",
        "geodes_lab.replica.folder": f"{work}/replicas",
        "geodes_lab.datalake.endpoint": "http://127.0.0.1:9",
        "geodes_lab.datalake.mirror": None,
    }
    warnings.simplefilter("ignore")
    with dask.config.set(settings), dask.config.set(scheduler="sync"):
        try:
            USES[case["use"]](product)
            outcome, text = "opened", ""
        except gl.GeodesError as error:
            outcome, text = "refused", str(error)
        except BaseException:
            outcome, text = "error", traceback.format_exc()
    os.write(say, json.dumps([outcome, text[-4000:], outside[:5]]).encode())


def _case(case: dict[str, Any]) -> Result:
    hear, say = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(hear)
            silent = os.open(os.devnull, os.O_RDWR)
            for number in (0, 1, 2):
                os.dup2(silent, number)
            _child(case, say)
        finally:
            os._exit(0)
    os.close(say)
    done = os.pidfd_open(pid)
    hung = not select.select([done], [], [], WALL)[0]
    if hung:
        os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    os.close(done)
    said = b"".join(iter(lambda: os.read(hear, 65536), b""))
    os.close(hear)
    outcome, text, outside = json.loads(said) if said else ("error", "it ended without a word", [])
    if os.WIFSIGNALED(status):
        outcome, text = ("hung", "") if hung else ("signal", signal.Signals(os.WTERMSIG(status)).name)
    return Result(outcome, text, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024, outside)


def main() -> None:
    """Serve."""
    # All that a child needs, else each would import it; and nothing that starts a thread.
    import encodings.cp437  # noqa: F401  (names in zips)

    import dask  # noqa: F401
    import distributed  # noqa: F401
    import h5netcdf  # noqa: F401
    import pystac.extensions.ext  # noqa: F401
    import rioxarray  # noqa: F401
    import scipy.interpolate  # noqa: F401
    import tifffile  # noqa: F401
    import xarray.backends.zarr  # noqa: F401

    import geodes_lab as gl
    from geodes_lab import products
    from geodes_lab.cube import opening  # noqa: F401
    from geodes_lab.results import publish  # noqa: F401

    list(products.families().values())
    _ = gl.open_product, gl.GeodesError
    for line in sys.stdin:
        result = _case(json.loads(line))
        print(json.dumps(result.__dict__), flush=True)


if __name__ == "__main__":
    main()
