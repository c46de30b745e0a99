"""Which processes there are: those of the lab, those of other packages by entry points, and those of this kernel."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from html import escape
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Literal, overload

from geodes_lab import arguments
from geodes_lab.errors import GeodesError, nearest, shown
from geodes_lab.processing.process import Bands, Gives, Process, check_id

log = logging.getLogger("geodes_lab.processes")
_GROUP = "geodes_lab.processes"
_OURS = ("indices", "composites", "zones", "conversion", "radar", "pairs", "canopy", "altimetry", "notebooks")
_own: dict[str, Process] = {}


class Processes(Mapping[str, Process]):
    """Processes by id; a notebook shows them as a table."""

    def __init__(self, several: dict[str, Process]) -> None:
        self._several = dict(sorted(several.items()))

    def __getitem__(self, name: str) -> Process:
        if name not in self._several:
            raise GeodesError(
                f"There is no process {name!r}{nearest(str(name), self._several) or '.'} See gl.processes()."
            )
        return self._several[name]

    def __contains__(self, name: object) -> bool:
        return name in self._several

    def __iter__(self) -> Iterator[str]:
        return iter(self._several)

    def __len__(self) -> int:
        return len(self._several)

    def __repr__(self) -> str:
        return "\n".join(f"{p.id:<16}{p.version:<6}{shown(p.title)}" for p in self._several.values())

    def _repr_html_(self) -> str:
        left = "style='text-align:left'"
        rows = "".join(
            f"<tr><td {left}><code>{escape(p.id)}</code></td><td {left}>{escape(p.version)}</td>"
            f"<td {left}>{escape(p.title)}</td><td {left}>{escape(', '.join(p.inputs.names))}</td></tr>"
            for p in self._several.values()
        )
        head = "".join(f"<th {left}>{h}</th>" for h in ("process", "version", "what it computes", "inputs"))
        return f"<table><tr>{head}</tr>{rows}</table>"


def processes() -> Processes:
    """Return the processes that `geodes_lab.process` can run.

    Returns
    -------
    Processes
        By id: those that come with the lab, those of installed packages (entry points ``geodes_lab.processes``), and
        those that this kernel defined. ``gl.processes()["ndvi"].describe()`` is the description of OGC API – Processes
        of one, with the JSON schema of each input.
    """
    return Processes({**installed(), **_own})


@cache
def installed() -> dict[str, Process]:
    """Return the processes that every process of this account can import."""
    found: dict[str, Process] = {}
    for entry in entry_points(group=_GROUP):
        try:
            loaded = entry.load()
            for one in [loaded] if isinstance(loaded, Process) else list(loaded):
                found[check_id(one.id)] = _as_installed(one)
        except Exception as error:  # another package's fault stops nobody else's process
            log.warning("The processes of %r cannot be loaded: %s.", shown(entry.value), shown(repr(error))[:300])
    for name in _OURS:
        module = import_module(f"geodes_lab.processing.shipped.{name}")
        found |= {p.id: _as_installed(p) for p in vars(module).values() if isinstance(p, Process)}
    return found


def _as_installed(process: Process) -> Process:
    object.__setattr__(process, "is_installed", True)
    _own.pop(process.id, None)
    return process


@overload
def define(function: Callable[..., Any], /) -> Process: ...


@overload
def define(
    function: None = None,
    /,
    *,
    id: str | None = None,
    version: str = "1",
    bands: Bands = None,
    over: Literal["each", "all"] = "all",
    gives: Gives = "raster",
    region: str | None = None,
    loads: bool = False,
    terrain: Literal["no", "may", "must"] = "no",
    opens: Mapping[str, Any] | None = None,
    resolution: float | None = None,
) -> Callable[[Callable[..., Any]], Process]: ...


def define(
    function: Callable[..., Any] | None = None,
    /,
    *,
    id: str | None = None,
    version: str = "1",
    bands: Bands = None,
    over: Literal["each", "all"] = "all",
    gives: Gives = "raster",
    region: str | None = None,
    loads: bool = False,
    terrain: Literal["no", "may", "must"] = "no",
    opens: Mapping[str, Any] | None = None,
    resolution: float | None = None,
) -> Any:
    """Make a process of a function: a decorator.

    Parameters
    ----------
    function
        Its first parameter is ``cube`` (the lazy Dataset of a tile and a period, as `geodes_lab.open_cube` gives it) or
        ``items`` (a list of `pystac.Item`). The others are inputs, each with a type, such as ``Annotated[float,
        Unit("m"), Between(0, 500)]``; defaults and docstring (numpydoc) are used too. A parameter ``folder`` is a
        folder for files.
    id
        Its name, of a-z, 0-9, _ and -; None: the function's.
    version
        Change it when the results change: results of another version are computed again.
    bands
        The bands of the cube, or a function of the inputs that gives them. None: the input ``bands``.
    over
        Without a region: ``"each"`` computes each product by itself, ``"all"`` all of them together.
    gives
        What the function returns: ``"raster"`` (a Dataset or DataArray with y and x), ``"table"`` (a DataFrame) or
        ``"items"`` (Items of the files that it wrote into ``folder``).
    region
        The input that is the region too.
    loads
        Whether the function works as well on a cube whose values are in memory: a small cube is then read before the
        call, which is faster than a graph. The function may not use dask's own functions then.
    terrain
        Whether the cube may be opened over a terrain model (``"may"``), or must be (``"must"``): the process then has
        the inputs ``dem``, ``dem_heights`` and ``orbits`` of `geodes_lab.open_cube`.
    opens
        Arguments of `geodes_lab.open_cube` that are the same in all jobs, such as ``{"resampling": "average"}``.
    resolution
        Metres of a pixel, where none is asked for; a finer one is refused.

    Returns
    -------
    Process
        It can still be called as the function.

    Examples
    --------
    >>> import geodes_lab as gl                                          # doctest: +SKIP
    >>> @gl.process.define(bands=["red", "nir"])                         # doctest: +SKIP
    ... def difference(cube, scale: float = 1.0):
    ...     return ((cube.nir - cube.red) * scale).median("time").rename("difference")
    """

    def made(function: Callable[..., Any]) -> Process:
        first = next(iter(inspect.signature(function).parameters), "")
        arguments.choice(f"The first parameter of {function.__name__}", first, ("cube", "items"))
        arguments.choice("over", over, ("each", "all"))
        arguments.choice("gives", gives, ("raster", "table", "items"))
        name = check_id(id or function.__name__.strip("_").lower())
        arguments.choice("terrain", terrain, ("no", "may", "must"))
        process = Process(
            name, str(version), function, first, over, gives, bands, region, loads, terrain,  # type: ignore[arg-type]
            dict(opens or {}), resolution,
        )  # fmt: skip
        process.inputs.schemas()  # what has no schema is said now
        _own[name] = process
        return process

    return made if function is None else made(function)


def forget(name: str) -> None:
    """Forget a process of this kernel."""
    _own.pop(name, None)
