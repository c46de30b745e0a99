"""The public functions of the library: their signatures and their documentation."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable
from typing import Any

import geodes_lab
from geodes_lab.errors import GeodesError, nearest, shown


def names() -> list[str]:
    """Return all public names, as they are written after ``gl.``."""
    plots: list[str] = []
    with contextlib.suppress(GeodesError):  # the extra is not installed
        plots = [f"plot.{name}" for name in geodes_lab.plot.__all__]
    return [*geodes_lab.__all__, *plots]


def listing() -> str:
    """Return what there is, with the first line of each function's documentation."""
    lines = [inspect.cleandoc(geodes_lab.__doc__ or ""), ""]
    for name in names():
        try:
            summary = (inspect.getdoc(_object(name)) or "").partition("\n")[0]
        except GeodesError as error:
            summary = str(error)  # an extra is not installed
        lines.append(f"gl.{name}: {summary}")
    return "\n".join(lines)


def documentation(name: str) -> str:
    """Return the signature and the documentation of one name.

    Parameters
    ----------
    name
        Such as ``open_cube``, ``gl.open_cube`` or ``plot.rgb``.

    Raises
    ------
    GeodesError
        If there is no such name, or it needs an extra that is not installed.
    """
    wanted = name.strip().removesuffix("()").removeprefix("geodes_lab.").removeprefix("gl.")
    if wanted not in names():
        raise GeodesError(
            f"There is no gl.{shown(wanted)[:100]}{nearest(wanted, names()) or '.'} The tool api without a name lists "
            "what there is."
        )
    value = _object(wanted)
    return f"gl.{wanted}{_signature(value)}\n\n{inspect.getdoc(value) or 'It has no documentation.'}"


def _object(name: str) -> Any:
    first, _, rest = name.partition(".")
    value = getattr(geodes_lab, first)
    return getattr(value, rest) if rest else value


def _signature(value: Callable[..., Any]) -> str:
    """Return a function's signature, as its source writes it; a class or a module has none."""
    return str(inspect.signature(value)).replace("'", "") if inspect.isroutine(value) else ""
