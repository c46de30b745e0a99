"""Two maps of one place, with a movable border between them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import xarray as xr

from geodes_lab.errors import GeodesError
from geodes_lab.plot import hover, rasterizing
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
        For variables: see `geodes_lab.plot.image`; without limits each side has its own, and its own bar of colours.
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

    rasterize = rasterizing.operation()

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

    last = border.default

    def at(swipe: float | None) -> float:
        nonlocal last
        last = last if swipe is None else swipe
        swipe = last
        return edges[0] + swipe * (edges[1] - edges[0])

    def line(swipe: float) -> Any:
        return hv.VLine(at(swipe)).opts(color="black", line_width=1.5)

    axes = frames[0].axes(width)
    words = titles or (_date(left), _date(right))
    options = {"title": " | ".join(filter(None, words)), **axes}
    make = _pictures if is_picture else _variables
    both, more = make(shown, percentiles if is_picture else clim, gamma, at, words)

    def wiped(swipe: float) -> Any:
        return both(_is_left(x, at(swipe)))

    options |= more
    if not is_picture:
        named = shown[0]["value"].rename(getattr(left, "name", None))
        options["cmap"] = cmap or colours(named)
    size = {"width": axes["frame_width"], "height": axes["frame_height"]}
    return rasterize(hv.DynamicMap(wiped, kdims=[border]), **size).opts(**options) * hv.DynamicMap(line, kdims=[border])


def _pictures(
    shown: list[xr.Dataset], percentiles: Any, gamma: float, at: Any, words: Any
) -> tuple[Any, dict[str, Any]]:
    """Return the picture for a border, and how it looks; each side is stretched by itself."""
    import holoviews as hv

    stretches = [stretch(s, percentiles) for s in shown]
    coloured = [picture(s, each, gamma) for s, each in zip(shown, stretches, strict=True)]
    parts = [np.stack([p.dimension_values(v, flat=False)[::-1] for v in p.vdims]) for p in coloured]

    def both(is_left: Any) -> Any:
        return hv.RGB((shown[0].x.values, shown[0].y.values, *np.where(is_left, *parts)), vdims=list("RGBA"))

    hook = hover.sides(shown[0], at, [hover.levels(s, gamma) for s in stretches], list(shown[0].attrs["bands"]))
    return both, {"bgcolor": "#d9d9d9", "hooks": [hook]}


def _variables(shown: list[xr.Dataset], clim: Any, gamma: float, at: Any, words: Any) -> tuple[Any, dict[str, Any]]:
    """Return the map for a border, and how it looks; without limits each side has its own."""
    import holoviews as hv

    first = shown[0]["value"]
    low, high = clim or limits(first)
    other = clim or limits(shown[1]["value"])
    steps = (high - low) / (other[1] - other[0])
    values = [
        first.values,
        (shown[1]["value"].values - other[0]) * steps + low if not clim else shown[1]["value"].values,
    ]

    def both(is_left: Any) -> Any:
        place = shown[0].x.values, shown[0].y.values
        return hv.Image((*place, np.where(is_left, *values)), ["x", "y"], hv.Dimension("value", label=label(first)))

    codes = [
        hover.scaled(1.0, 0.0),
        hover.scaled(1 / steps, other[0] - low / steps) if not clim else hover.scaled(1.0, 0.0),
    ]
    hooks = [hover.sides(shown[0], at, codes, [label(first) or "value"])]
    names = [" ".join(filter(None, (word, unit(first)))) for word in (words[0] or "left", words[1] or "right")]
    if not clim:
        hooks.append(_bar(other, names[1]))
    look = {"clim": (low, high), "colorbar": True, "clabel": unit(first) if clim else names[0], "hooks": hooks}
    return both, {"clipping_colors": {"NaN": "#d9d9d9"}, **look}


def _bar(clim: tuple[float, float], title: str) -> Any:
    """Return the hook that adds the bar of the right side."""

    def hook(plot: Any, element: Any) -> None:
        from bokeh.models import ColorBar, LinearColorMapper  # type: ignore[attr-defined]

        if plot.state.select({"name": "right side"}) or "color_mapper" not in plot.handles:
            return
        mapper = LinearColorMapper(palette=plot.handles["color_mapper"].palette, low=clim[0], high=clim[1])
        plot.state.add_layout(
            ColorBar(name="right side", color_mapper=mapper, title=title, bar_line_color="black"), "right"
        )

    return hook


def _is_left(x: Any, border: float) -> Any:
    return x <= border if x[0] <= x[-1] else x >= border


def _date(data: xr.DataArray | xr.Dataset) -> str:
    return str(data.time.values)[:10] if "time" in data.coords and data.time.ndim == 0 else ""
