"""An animation of a cube."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr

from geodes_lab.errors import GeodesError
from geodes_lab.plot.frames import Frames, dimension, ready, titled
from geodes_lab.plot.image import colours, label, limits, one, unit
from geodes_lab.plot.rgb import picture, stretch, three

_MOST_FRAMES = 200  # more frames make a page of hundreds of megabytes


def animate(
    data: xr.DataArray | xr.Dataset,
    *,
    bands: Sequence[str] = ("red", "green", "blue"),
    cmap: str | None = None,
    clim: tuple[float, float] | None = None,
    percentiles: tuple[float, float] = (2, 98),
    gamma: float = 1.0,
    fps: float = 2.0,
    title: str | None = None,
    width: int = 420,
) -> Any:
    """Show the maps of a cube one after another, with a player below.

    Parameters
    ----------
    data
        A variable ``(time, y, x)``, or a cube with three bands; lazy or not. All frames are computed during this call,
        thinned to the screen, and stored in the page: the animation also plays without a kernel. This reads the
        products of a lazy cube.
    bands, percentiles, gamma
        For a cube: see `geodes_lab.plot.rgb`.
    cmap, clim
        For a variable: see `geodes_lab.plot.image`.
    fps
        Maps per second.
    title
        The title above the map; None: the variable's long name. The date follows.
    width
        Width of the map in pixels of the screen.

    Returns
    -------
    holoviews.HoloMap
        One element for each time, which composes like any holoviews object.

    Raises
    ------
    GeodesError
        If the data has no time dimension or more than 200 times, or the first frame has no data.
    """
    import holoviews as hv

    ready()
    call = "gl.plot.animate"
    is_picture = isinstance(data, xr.Dataset)
    wanted = three(data, bands, call) if is_picture else one(data, call)
    if "time" not in wanted.sizes:
        raise GeodesError(
            f"{call} shows maps one after another, but the data has no time dimension: use gl.plot.image to show one "
            "map."
        )
    if wanted.sizes["time"] > _MOST_FRAMES:
        raise GeodesError(
            f"{call} stores all frames in the page, at most {_MOST_FRAMES}, and the data has {wanted.sizes['time']}: "
            "select or resample the times, or use gl.plot.image."
        )
    step = -(-wanted.sizes["x"] // width)
    thin = wanted.isel(y=slice(None, None, step), x=slice(None, None, step)).compute()
    frames = Frames(thin, call)
    axes = frames.axes(width)
    value = next(map(str, wanted))
    name = title if title is not None else "" if is_picture else titled(label(wanted[value]))
    stretches = stretch(frames.show(), percentiles) if is_picture else []
    clim = clim or (None if is_picture else limits(frames.show()[value]))

    def element(time: Any) -> Any:
        frame, options = frames.show(time), {"title": f"{name} {str(time)[:10]}".strip(), **axes}
        if is_picture:
            return picture(frame, stretches, gamma).opts(bgcolor="#d9d9d9", **options)
        shown = hv.Image((frame.x.values, frame.y.values, frame[value].values), ["x", "y"], dimension(value, "x", "y"))
        look = {"cmap": cmap or colours(wanted[value]), "clim": clim, "colorbar": True, "clabel": unit(wanted[value])}
        return shown.opts(clipping_colors={"NaN": "#d9d9d9"}, **look, **options)

    return _film()({time: element(time) for time in frames.times}, kdims=["time"]).with_speed(fps)


def _film() -> Any:
    """A HoloMap that shows itself with a player; the class is created late, because it imports holoviews."""
    import holoviews as hv

    class Film(hv.HoloMap):
        speed = 2.0

        def with_speed(self, fps: float) -> Film:
            self.speed = fps
            return self

        def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> Any:
            return hv.renderer("bokeh").instance(holomap="scrubber", fps=self.speed).components(self)

    return Film
