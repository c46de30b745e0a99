"""What is in a product or a cube, in a few lines and without a pixel."""

from __future__ import annotations

import contextlib
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import rioxarray  # noqa: F401  (registers .rio)
import xarray as xr
from dask.utils import format_bytes

from geodes_lab.errors import shown

_TEXT = 160  # characters of an attribute
_ATTRIBUTES = 20
_VARIABLES = 100


def of_tree(tree: xr.DataTree) -> str:
    """Describe a product: its groups, and what each has."""
    parts = []
    for node in tree.subtree:
        if node.data_vars or node.coords:
            parts.append("\n".join([f"group {shown(node.path)}", *_lines(node.to_dataset(inherit=True))]))
    attributes = list(_attributes(tree.attrs))
    return "\n\n".join(["\n".join(["attributes", *attributes])] * bool(attributes) + parts) or "It has no variables."


def of_dataset(dataset: xr.Dataset) -> str:
    """Describe a cube."""
    return "\n".join([*_lines(dataset), *(["attributes"] * bool(dataset.attrs)), *_attributes(dataset.attrs)])


def _lines(dataset: xr.Dataset) -> Iterator[str]:
    sizes = ", ".join(f"{shown(str(name))} {size}" for name, size in dataset.sizes.items())
    yield f"  size: {sizes or 'none'}; {format_bytes(dataset.nbytes)} if all of it is computed{_crs(dataset)}"
    for name, coordinate in dataset.coords.items():
        yield f"  coordinate {_variable(name, coordinate)}{_extent(dataset, name)}"
    for number, (name, variable) in enumerate(dataset.data_vars.items()):
        if number == _VARIABLES:
            yield f"  … and {len(dataset.data_vars) - _VARIABLES} more variables"
            break
        yield f"  variable {_variable(name, variable)}"


def _variable(name: Hashable, variable: xr.DataArray) -> str:
    dims = ", ".join(f"{shown(str(d))} {s}" for d, s in variable.sizes.items())
    words = [f"{shown(str(name))} ({dims}) {variable.dtype}, {format_bytes(variable.nbytes)}"]
    if variable.chunks is not None:
        words.append(f"chunks of {' × '.join(str(max(c, default=0)) for c in variable.chunks)}")
    for key in ("units", "long_name", "standard_name"):
        if key in variable.attrs:
            words.append(f"{key} {_short(variable.attrs[key])!r}")
    return ", ".join(words)


def _extent(dataset: xr.Dataset, name: Hashable) -> str:
    """Return the first and the last value of an index; they are in memory."""
    if name not in dataset.xindexes or dataset[name].ndim != 1 or not dataset[name].size:
        return ""
    values = dataset[name].values
    first, last = (
        str(v.astype("datetime64[s]")) if v.dtype.kind == "M" else _short(v) for v in (values[0], values[-1])
    )
    return f", {first} … {last}" if len(values) > 1 else f", {first}"


def _crs(dataset: xr.Dataset) -> str:
    with contextlib.suppress(Exception):  # a product may say anything of its CRS
        crs = dataset.rio.crs
        if crs is not None:
            code = crs.to_epsg()
            return f"; EPSG:{code}" if code else f"; CRS {_short(crs.to_string())}"
    return ""


def _attributes(attrs: dict[Any, Any]) -> Iterator[str]:
    for number, (name, value) in enumerate(attrs.items()):
        if number == _ATTRIBUTES:
            yield f"  … and {len(attrs) - _ATTRIBUTES} more"
            break
        yield f"  {_short(name)}: {_short(value)}"


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray) and value.size > 20:
        return f"{value.size} values"
    text = shown(str(value))
    return text if len(text) <= _TEXT else f"{text[:_TEXT]}…"
