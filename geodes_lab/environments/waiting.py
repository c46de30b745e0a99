"""A kernel that waits for its notebook, and imports meanwhile what notebooks need up to their first plot.

The person's server starts it when it starts itself (hub/singleuser/kernels/waiting.py): ``python kernel.py --waiting``.
It becomes the kernel of the first notebook as one that starts then would be: with its folder, its environment and its
connection, which come by the standard input. Whatever was changed meanwhile that imports depend on makes it begin anew.
"""

from __future__ import annotations

import builtins
import contextlib
import gc
import json
import os
import select
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from geodes_lab.environments.imports_ahead import QUIET, bring

ARGUMENT = "--waiting"
SECONDS = 600.0
"""So long it waits; then it ends, so that a person who opens no notebook has the memory for something else."""
# In the order in which notebooks need them; small ones, so that a notebook that comes early does not wait long. None
# may look for a kernel when it is imported, as matplotlib.pyplot does.
_MODULES = (
    "numpy",
    "pandas",
    "geodes_lab.catalog",
    "geodes_lab.catalog.lookup",
    "xarray",
    "xarray.namedarray.parallelcompat:list_chunkmanagers",  # it reads the metadata of all packages, once
    "dask.array",
    "distributed",
    "geodes_lab.cluster.attached",
    "geodes_lab.cluster.lifecycle",
    "geodes_lab.cluster.places.local",
    "distributed.http.proxy",
    "cryptography.x509",
    "cryptography.hazmat.primitives.serialization.ssh",
    "bokeh.core.properties",
    "bokeh.models",
    "bokeh.plotting",
    "distributed.dashboard.scheduler",
    "distributed.http.scheduler.prometheus",
    "geodes_lab.cluster.places.gateway",
    "geodes_lab.cluster.places.slurm",
    "rioxarray",
    "geodes_lab.products.converted",
    "geodes_lab.products.zarr.product",
    "geodes_lab.products.sentinel2.safe",
    "geodes_lab.products.raster.items",
    "geodes_lab.cube.opening",
    "geodes_lab.cube.mosaic",
    "param",
    "geodes_lab.environments.descriptions:postpone",
    "numba",
    "numba.cpython.unicode",
    "numba.cpython.randomimpl",
    "numba.cpython.listobj",
    "numba.np.npyimpl",
    "numba.misc.quicksort",
    "datashader",
    "panel.models",
    "panel.widgets",
    "holoviews",
    "holoviews.operation.datashader",
    "matplotlib",
    "holoviews.plotting.bokeh",
    "panel.io.notebook",
    "geodes_lab.plot",
    "geodes_lab.plot.rgb",
    "xarray.backends.plugins:list_engines",
)
LAST = ("geodes_lab.environments.descriptions:write",)
"""What no notebook waits for: done when nothing has happened for a while."""

left: list[str] = []
"""What this process, if it has waited, has yet to import: between the first cells (``kernels/geodes/startup.py``)."""


class Late:
    """What a module that is imported early takes for a standard stream: the one that there is when it writes."""

    def __init__(self, name: str) -> None:
        self._name, self._first = name, getattr(sys, name)

    def __getattr__(self, attribute: str) -> Any:
        now = getattr(sys, self._name)
        return getattr(self._first if now is self else now, attribute)


def wait(given: IO[bytes] | None = None) -> list[str]:
    """Import until the server gives what the kernel starts with, and have it: the caller then starts the kernel.

    The process ends if the server does, or gives nothing for a long time. It is replaced by a fresh one if the
    packages or the settings in the person's files were changed since the imports began.

    Parameters
    ----------
    given
        Where the server writes; None: the standard input.

    Returns
    -------
    list of str
        The modules that are left to import.
    """
    pipe = given or sys.stdin.buffer
    before = _state()
    # What imports make stays: looking through it for what is no longer used takes a seventh of their time.
    gc.disable()
    left = _import_until(pipe)
    gc.freeze()
    gc.enable()
    after = _state()  # some packages write files with settings, if there are none
    if not select.select([pipe], [], [], SECONDS)[0]:
        sys.exit(0)
    text = pipe.read()
    if not text:  # the server has ended, or has no use for it
        sys.exit(0)
    start = json.loads(text)
    for name, value in start["environment"].items():
        if value is None:
            os.environ.pop(name, None)
        else:
            os.environ[name] = value
    os.chdir(start["folder"])
    sys.argv = start["arguments"]
    now = _state()
    is_changed = now != after or any(now.get(path) != was for path, was in before.items())
    if left is None or is_changed or Path("matplotlibrc").exists():
        os.execv(sys.executable, [sys.executable, *sys.argv])
    return left


def _import_until(pipe: IO[bytes]) -> list[str] | None:
    """Import one module after the other until the server writes; return those that are left, None if one failed."""
    os.environ.setdefault("MPLBACKEND", "module://matplotlib_inline.backend_inline")  # as ipykernel does, but later
    with _as_in_a_kernel():
        left = [*_MODULES, *LAST]
        while left and not select.select([pipe], [], [], QUIET if tuple(left) == LAST else 0)[0]:
            try:
                has_more = bring(left[0])
            except ModuleNotFoundError:
                has_more = False  # an extra that is not installed
            except Exception:
                return None  # the cell that imports it says why
            if not has_more:
                del left[0]
    return left


class Stand:
    """Stands where the kernel's shell will be: pandas, param and holoviews ask, when imported, whether there is one.

    It has nothing else, so that a package that wants more of it fails, and the kernel begins anew.
    """

    kernel = None


@contextlib.contextmanager
def _as_in_a_kernel() -> Iterator[None]:
    """What imports look at is as in a kernel: streams that are others later, a shell, no warning."""
    streams = sys.stdout, sys.stderr
    sys.stdout, sys.stderr = Late("stdout"), Late("stderr")
    builtins.get_ipython, builtins.__IPYTHON__ = Stand, True  # type: ignore[attr-defined]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        del builtins.get_ipython, builtins.__IPYTHON__  # type: ignore[attr-defined]
        sys.stdout, sys.stderr = streams


def _state() -> dict[Path, tuple[int, int]]:
    """Return what imports have read that a person may change: own packages, and files with settings."""
    home = Path.home()
    settings = Path(os.environ.get("XDG_CONFIG_HOME") or home / ".config")
    paths = [Path(p) for p in sys.path if p and Path(p).is_dir()]
    paths += [home / ".numba_config.yaml", home / ".holoviews.rc", home / ".config" / "holoviews" / "holoviews.rc"]
    dask = Path(os.environ.get("DASK_CONFIG") or settings / "dask")
    for folder in (dask, settings / "matplotlib", home / ".matplotlib"):  # not the folders, which imports make
        with contextlib.suppress(OSError):
            paths += [path for path in folder.iterdir() if path.is_file()]
    found = {}
    for path in paths:
        with contextlib.suppress(OSError):
            about = path.stat()
            found[path] = about.st_mtime_ns, about.st_size
    return found
