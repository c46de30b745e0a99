"""A map of one variable."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import xarray as xr

from geodes_lab.errors import GeodesError
from geodes_lab.plot import hover, rasterizing
from geodes_lab.plot.basemap import under
from geodes_lab.plot.frames import Frames, dimension, ready, titled, words


def image(
    data: xr.DataArray,
    *,
    cmap: str | None = None,
    clim: tuple[float, float] | None = None,
    title: str | None = None,
    width: int = 560,
    basemap: bool = False,
) -> Any:
    """Show a map, with a slider if there is a time.

    Parameters
    ----------
    data
        A variable with dims ``(y, x)`` or ``(time, y, x)``; lazy or not. The first frame is computed during this call
        unless ``clim`` is given; other frames are computed and cached when they are shown. Of a large frame only the
        visible part is computed, at the resolution of the screen.
    cmap
        A colour map of bokeh or matplotlib; None: from red to green for an index such as NDVI, grey for a band, viridis
        for a variable with a unit.
    clim
        Lowest and highest value of the colours, in the units of the variable; None: the 2nd and 98th percentile of the
        first frame.
    title
        The title above the map; None: the variable's long name.
    width
        Width of the map in pixels of the screen.
    basemap
        Whether to draw the tiles of the setting ``geodes_lab.plot.basemap`` below the map. The cube must be in
        EPSG:3857. Without that setting, no request goes to the internet.

    Returns
    -------
    holoviews.DynamicMap
        It composes with ``+`` and ``*`` like any holoviews object.

    Raises
    ------
    GeodesError
        If the variable has other dims, or the first frame has no data and no ``clim`` is given.
    """
    import holoviews as hv

    rasterize = rasterizing.operation()

    ready()
    variable = one(data, "gl.plot.image")
    frames, value = Frames(variable, "gl.plot.image"), next(map(str, variable))
    clim = clim or limits(frames.show()[value])

    def show(frame: xr.Dataset) -> Any:
        return hv.Image((frame.x.values, frame.y.values, frame[value].values), ["x", "y"], dimension(value, "x", "y"))

    axes = frames.axes(width)
    picture = rasterize(
        frames.dynamic(show), aggregator="mean", width=axes["frame_width"], height=axes["frame_height"]
    ).opts(
        cmap=cmap or colours(data),
        clim=clim,
        colorbar=True,
        hooks=[hover.value(variable, label(data))],
        title=title if title is not None else titled(label(data)),
        clabel=unit(data),
        clipping_colors={"NaN": "transparent" if basemap else "#d9d9d9"},
        **axes,
    )
    return under(data, "gl.plot.image") * picture if basemap else picture


def one(data: Any, call: str) -> xr.Dataset:
    """Return a Dataset with one variable; refuse other objects."""
    if not isinstance(data, xr.DataArray):
        raise GeodesError(f"{call} shows one variable, a DataArray such as cube.red, not a {type(data).__name__}.")
    return data.to_dataset(name=data.name or "value")


def limits(frame: xr.DataArray) -> tuple[float, float]:
    """Return the 2nd and 98th percentile of a frame."""
    if not np.isfinite(frame.values).any():
        raise GeodesError(f"The first frame of {frame.name} has no data: give clim=(lowest, highest).")
    low, high = np.nanpercentile(frame.values, (2, 98))
    return float(low), float(high) if high > low else float(low) + 1.0


def colours(data: xr.DataArray) -> str:
    """Return a suitable colour map for a variable, from its name and its unit."""
    if re.search(r"\b(nd[a-z]i|savi|msavi|evi)\d?\b", f"{data.name} {data.attrs.get('long_name', '')}".lower()):
        return "RdYlGn"
    return "viridis" if unit(data) else "gray"


def label(data: xr.DataArray) -> str:
    """Return the label of a variable."""
    return words(data.attrs.get("long_name") or data.name or "")


def unit(data: xr.DataArray) -> str:
    """Return the unit of a variable, if it has one."""
    return "" if str(data.attrs.get("units", "1")) == "1" else words(data.attrs["units"])
