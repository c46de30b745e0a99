"""Two maps of one place, with a movable border between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from geodes_lab.errors import GeodesError
from geodes_lab.plot.frames import Frames, ready
from geodes_lab.plot.image import colours, label, limits, one, unit
from geodes_lab.plot.rgb import picture, stretch, three

_MOST = 1_500_000  # pixels: both maps are sent to the screen again for each move


def compare(
    left: xr.DataArray | xr.Dataset,
    right: xr.DataArray | xr.Dataset,
    *,
    bands: Sequence[str] = ("red", "green", "blue"),
    cmap: str | None = None,
    clim: tuple[float, float] | None = None,
    percentiles: tuple[float, float] = (2, 98),
    gamma: float = 1.0,
    titles: tuple[str, str] | None = None,
    width: int = 560,
) -> Any:
    """Show two maps of the same place in one frame, with a slider that moves the border between them.

    Parameters
    ----------
    left, right
        Two variables, or two cubes with three bands, with dims ``(y, x)`` on the same grid; lazy or not. Each is
        computed once, during this call.
    bands
        For cubes: the bands shown as red, green and blue; each cube is stretched separately.
    cmap, clim
        For variables: see `geodes_lab.plot.image`. The default limits come from ``left``.
    percentiles, gamma
        For cubes: see `geodes_lab.plot.rgb`.
    titles
        The labels of the left and the right map; None: the dates, if the maps have a time.
    width
        Width of the map in pixels of the screen.

    Returns
    -------
    holoviews.DynamicMap
        With the dimension ``swipe``, from 0 (all of ``right``) to 1 (all of ``left``).

    Raises
    ------
    GeodesError
        If the two are on different grids, have other dims, or one is a variable and the other a cube.
    """
    import holoviews as hv
    from holoviews.operation.datashader import rasterize

    ready()
    call = "gl.plot.compare"
    is_picture = isinstance(left, xr.Dataset)
    if is_picture != isinstance(right, xr.Dataset):
        raise GeodesError(f"{call} compares two variables, or two cubes of three bands, not one of each.")
    maps = [
        three(m, bands, call) if is_picture else one(m, call).rename({str(m.name or "value"): "value"})
        for m in (left, right)
    ]
    if "time" in maps[0].sizes or "time" in maps[1].sizes:
        raise GeodesError(f"{call} compares two maps (y, x): select one time of each, such as .isel(time=0).")
    frames = [Frames(m.drop_vars("time", errors="ignore"), call, _MOST) for m in maps]
    if any(not np.array_equal(maps[0][d].values, maps[1][d].values) for d in ("y", "x")):
        raise GeodesError(f"{call} compares maps on the same grid: open the second cube with like= and the first cube.")
    shown = [f.show() for f in frames]
    x = shown[0].x.values
    edges = float(x[0]), float(x[-1])
    border = hv.Dimension("swipe", range=(0.0, 1.0), default=0.5, step=0.02)

    def at(swipe: float) -> float:
        return edges[0] + swipe * (edges[1] - edges[0])

    def line(swipe: float) -> Any:
        return hv.VLine(at(swipe)).opts(color="black", line_width=1.5)

    axes = frames[0].axes(width)
    words = titles or (_date(left), _date(right))
    options = {"title": " | ".join(filter(None, words)), **axes}
    if is_picture:
        coloured = [picture(s, stretch(s, percentiles), gamma) for s in shown]
        parts = [np.stack([p.dimension_values(v, flat=False)[::-1] for v in p.vdims]) for p in coloured]

        def wiped(swipe: float) -> Any:
            both = np.where(_is_left(x, at(swipe)), *parts)
            return hv.RGB((x, shown[0].y.values, *both), vdims=list("RGBA"))

        options["bgcolor"] = "#d9d9d9"
    else:
        first = shown[0]["value"]
        named = first.rename(getattr(left, "name", None))
        clim = clim or limits(first)

        def wiped(swipe: float) -> Any:
            both = np.where(_is_left(x, at(swipe)), *(s["value"].values for s in shown))
            return hv.Image((x, shown[0].y.values, both), ["x", "y"], hv.Dimension("value", label=label(first)))

        options |= {
            "cmap": cmap or colours(named),
            "clim": clim,
            "colorbar": True,
            "tools": ["hover"],
            "clabel": unit(first),
        }
        options["clipping_colors"] = {"NaN": "#d9d9d9"}
    size = {"width": axes["frame_width"], "height": axes["frame_height"]}
    return rasterize(hv.DynamicMap(wiped, kdims=[border]), **size).opts(**options) * hv.DynamicMap(line, kdims=[border])


def _is_left(x: Any, border: float) -> Any:
    return x <= border if x[0] <= x[-1] else x >= border


def _date(data: xr.DataArray | xr.Dataset) -> str:
    return str(data.time.values)[:10] if "time" in data.coords and data.time.ndim == 0 else ""
