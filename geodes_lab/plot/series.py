"""Values along time."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from geodes_lab.errors import GeodesError
from geodes_lab.plot.frames import dimension, ready, titled, words
from geodes_lab.plot.image import label, unit

_LINES = 30  # more cannot be distinguished
_MANY = 20_000  # values of a line that are drawn as points; more are rasterised


def series(data: xr.DataArray | xr.Dataset, *, title: str | None = None, width: int = 640, height: int = 280) -> Any:
    """Show values along time, as a line with its points.

    Parameters
    ----------
    data
        A variable with dim ``time``; a variable with ``time`` and one more dim, with one line for each of its values;
        or a Dataset, with one line for each variable. The data is computed during this call. Missing values are
        skipped, and the line continues to the next value.
    title
        The title above the lines; None: the variable's long name.
    width, height
        In pixels of the screen.

    Returns
    -------
    holoviews.Overlay
        Or an NdOverlay of them, with a legend.

    Raises
    ------
    GeodesError
        If the data has no time dimension, has other dims, or has too many lines to distinguish them.
    """
    import holoviews as hv

    ready()
    if isinstance(data, xr.Dataset):
        lines = {words(k): v for k, v in data.data_vars.items()}
        values, what, title = "value", "variable", title or ""
    else:
        others = [str(d) for d in data.dims if d != "time"]
        if len(others) > 1:
            raise GeodesError(
                f"gl.plot.series shows (time) or (time, one more), not {data.dims}: reduce the others first, such as "
                "by .mean(['y', 'x'])."
            )
        values, what = words(data.name or "value"), (others or [""])[0]
        title = titled(label(data)) if title is None else title
        many = range(data.sizes[what]) if what else ()
        keys = data[what].values if what in data.coords else list(many)
        lines = {_key(k): data.isel({what: n}) for n, k in zip(many, keys, strict=True)} if what else {"": data}
    if len(lines) > _LINES:
        raise GeodesError(
            f"gl.plot.series shows at most {_LINES} lines, and the data has {len(lines)}: select some of them."
        )
    units = {unit(v) for v in lines.values()}
    axis = f"{values} ({units.pop()})" if len(units) == 1 and any(units) else values
    along = hv.Dimension(dimension(values, "time").name, label=axis)
    layers = [_line(v, along) for v in lines.values()]
    options = {"title": title, "frame_width": width, "frame_height": height, "show_grid": True}
    if not what:
        return hv.Overlay(layers[0]).opts(**options)
    each = (dict(zip(lines, drawn, strict=True)) for drawn in zip(*layers, strict=True))
    shown = hv.Overlay([hv.NdOverlay(e, kdims=[dimension(what, "time")], sort=False) for e in each])
    return shown.opts(legend_position="right", **options)


def _line(data: xr.DataArray, dimension: Any) -> list[Any]:
    """Return a line, and its points if they can be distinguished."""
    import holoviews as hv
    from holoviews.operation.datashader import rasterize

    if data.dims != ("time",):
        raise GeodesError(
            f"gl.plot.series shows values along time, not {data.dims}: reduce the others first, such as by "
            ".mean(['y', 'x'])."
        )
    data = data.compute()
    there = np.isfinite(data.values.astype("f8"))
    columns = (data.time.values[there], data.values[there])
    if there.sum() > _MANY:
        return [rasterize(hv.Curve(columns, "time", dimension), line_width=1).opts(cmap="Blues", cnorm="eq_hist")]
    curve = hv.Curve(columns, "time", dimension).opts(tools=["hover"], line_width=1.5)
    return [curve, hv.Scatter(columns, "time", dimension).opts(size=5)]


def _key(value: Any) -> Any:
    return (
        value.item()
        if isinstance(value, np.generic) and not isinstance(value, (np.datetime64, np.str_))
        else words(value)
    )
