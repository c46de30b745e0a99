"""Measurements along the tracks of an altimeter, on a map."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr

from geodes_lab.errors import GeodesError, nearest
from geodes_lab.plot.basemap import Ground
from geodes_lab.plot.frames import dimension, ready, titled
from geodes_lab.plot.image import label, unit

_MANY = 20_000  # points that are drawn one by one; more are rasterised


def tracks(
    data: xr.Dataset | xr.DataArray,
    variable: str | None = None,
    *,
    cmap: str = "viridis",
    clim: tuple[float, float] | None = None,
    title: str | None = None,
    width: int = 480,
    basemap: bool = True,
) -> Any:
    """Show measurements along tracks as coloured points on a map.

    Parameters
    ----------
    data
        The result of `geodes_lab.open_tracks`, or one variable along it: dim ``time``, coordinates ``longitude`` and
        ``latitude`` in degrees. The variable and the positions are computed during this call, which reads them from the
        products.
    variable
        The variable to show, if ``data`` is a Dataset.
    cmap, clim
        The colours, and their lowest and highest value; None: the 2nd and 98th percentile.
    title
        The title above the map; None: the variable's long name.
    width
        Width of the map in pixels of the screen.
    basemap
        Whether to draw the tiles of the setting ``geodes_lab.plot.basemap`` below, or, without that setting, the
        outlines of the countries of ``geodes_lab.plot.land``.

    Returns
    -------
    holoviews.Overlay

    Raises
    ------
    GeodesError
        If the variable does not exist, or has no positions or no data.
    """
    import holoviews as hv
    from holoviews.operation.datashader import rasterize

    ready()
    chosen = _chosen(data, variable)
    chosen = chosen.compute()
    values = chosen.values.astype("f8")
    lon, lat = (np.broadcast_to(chosen[c].values, values.shape) for c in ("longitude", "latitude"))
    there = np.isfinite(values) & np.isfinite(lon) & np.isfinite(lat)
    if not there.any():
        raise GeodesError(f"{chosen.name or 'This variable'} has no data along these tracks: there is nothing to show.")
    ground, shown = Ground(basemap), dimension(chosen.name or "value", "longitude", "latitude", "time")
    x, y = ground.place(lon[there], lat[there])
    low, high = clim or (float(v) for v in np.percentile(values[there], (2, 98)))
    colours = {"cmap": cmap, "clim": (low, high if high > low else low + 1.0), "colorbar": True, "clabel": unit(chosen)}
    axes = [hv.Dimension("longitude", label="longitude"), hv.Dimension("latitude", label="latitude")]
    if there.sum() > _MANY:
        points = rasterize(hv.Points((x, y, values[there]), axes, shown), aggregator="mean")
        points = points.opts(**colours)
    else:
        columns = {"longitude": x, "latitude": y, shown.name: values[there], "time": chosen.time.values[there]}
        points = hv.Points(columns, axes, [shown, "time"]).opts(color=shown.name, size=5, tools=["hover"], **colours)
    return (ground.draw() * points).opts(
        title=titled(label(chosen)) if title is None else title,
        frame_width=width,
        frame_height=int(width * _shape(y, x)),
        **ground.labels,
    )


def _chosen(data: xr.Dataset | xr.DataArray, variable: str | None) -> xr.DataArray:
    if isinstance(data, xr.Dataset):
        if variable is None or variable not in data:
            raise GeodesError(
                "gl.plot.tracks shows one "
                f"variable{nearest(str(variable), map(str, data.data_vars)) if variable else ''}: give one of "
                f"{', '.join(map(str, data.data_vars))}."
            )
        data = data[variable]
    if data.dims != ("time",) or not {"longitude", "latitude"} <= set(data.coords):
        raise GeodesError(
            f"gl.plot.tracks shows a variable along time with longitude and latitude; {data.name} has dims "
            f"{data.dims} and coordinates {', '.join(map(str, data.coords)) or 'none'}."
        )
    return data


def _shape(y: Any, x: Any) -> float:
    """Return height by width of the map: those of its content, within what fits on a screen."""
    return float(np.clip(np.ptp(y) / max(np.ptp(x), 1e-9), 0.5, 1.2))
