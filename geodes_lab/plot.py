"""Pictures of cubes: holoviews objects that zoom and compose; only what is on the screen is computed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from geodes_lab.errors import GeodesError

_MOST_PIXELS = 4_000_000  # of a frame that is sent to the screen's resampling; more is thinned first


def image(
    data: xr.DataArray,
    *,
    cmap: str = "RdYlGn",
    clim: tuple[float, float] | None = None,
    title: str | None = None,
    width: int = 560,
) -> Any:
    """Show a map, with a slider where there is time.

    Parameters
    ----------
    data
        Dims ``(y, x)`` or ``(time, y, x)``; lazy or not. A frame is computed when it is shown, and kept.
    cmap
        A colour map of bokeh or matplotlib.
    clim
        Lowest and highest value of the colours; None: the 2nd and 98th percentile of the first frame.
    title
        Above the map; None: the variable's long name.
    width
        Width of the map in pixels of the screen.

    Returns
    -------
    holoviews.DynamicMap
        It composes with ``+`` and ``*`` as any holoviews object does.

    Raises
    ------
    GeodesError
        If the dims are others, or the first frame has no data at all and no ``clim`` is given.
    """
    import holoviews as hv
    from holoviews.operation.datashader import rasterize

    _ready()
    if not isinstance(data, xr.DataArray):
        raise GeodesError(
            f"gl.plot.image shows one variable, a DataArray such as cube.red, not a {type(data).__name__}."
        )
    if data.dtype == bool:
        data = data.astype("uint8")
    dims = tuple(d for d in data.dims if d not in ("y", "x"))
    if not {"y", "x"} <= set(data.dims) or dims not in ((), ("time",)):
        raise GeodesError(
            f"gl.plot.image shows (y, x) or (time, y, x), not {data.dims}: select one value of the others first."
        )
    data = data.transpose(*dims, "y", "x")
    if dims and not data.indexes["time"].is_unique:
        raise GeodesError("gl.plot.image needs one map for each time: the times of this cube are not unique.")
    label = title if title is not None else str(data.attrs.get("long_name") or data.name or "")
    value = str(data.name or "value")
    unit = {"degree": "°", "degrees_east": "°", "metre": "m"}.get(str(data.x.attrs.get("units", "metre")), "m")

    @lru_cache(maxsize=8)
    def frame(index: int) -> xr.DataArray:
        part = data.isel(time=index) if dims else data
        step = int(np.ceil((part.size / _MOST_PIXELS) ** 0.5))
        return part[::step, ::step].compute()

    if clim is None:
        first = frame(0).values
        if not np.isfinite(first).any():
            raise GeodesError(f"The first frame of {value} has no data: give clim=(lowest, highest).")
        low, high = np.nanpercentile(first, (2, 98))
        clim = (float(low), float(high) if high > low else float(low) + 1.0)

    times = list(data.time.values) if dims else []

    def show(time: np.datetime64 | None = None) -> Any:
        shown = frame(0 if time is None else int(np.flatnonzero(data.time.values == np.datetime64(time))[0]))
        return hv.Image((shown.x.values, shown.y.values, shown.values), ["x", "y"], hv.Dimension(value))

    frames = hv.DynamicMap(show, kdims=[hv.Dimension("time", values=times)] if times else [])
    height = int(width * data.sizes["y"] / data.sizes["x"])
    return rasterize(frames, aggregator="mean", width=width, height=height).opts(
        cmap=cmap,
        clim=clim,
        colorbar=True,
        tools=["hover"],
        frame_width=width,
        frame_height=height,
        title=label,
        xlabel=f"x ({unit})",
        ylabel=f"y ({unit})",
        **({"xformatter": "%d", "yformatter": "%d"} if unit == "m" else {}),
        clabel="" if data.attrs.get("units", "1") == "1" else str(data.attrs["units"]),
        clipping_colors={"NaN": "#d9d9d9"},
    )


def _ready() -> None:
    """Load holoviews' bokeh backend once, so that nobody has to call ``hv.extension``."""
    import holoviews as hv

    if not getattr(hv.extension, "_loaded", False):
        hv.extension("bokeh")
        hv.output(widget_location="bottom")
