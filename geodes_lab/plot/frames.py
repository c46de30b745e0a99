"""The frames of a cube.

There is one map for each time, and only the part and the detail that a screen shows are computed.
"""

from __future__ import annotations

import re
import sys
from functools import lru_cache
from typing import Any

import numpy as np
import xarray as xr

from geodes_lab.errors import GeodesError, shown

MOST = 4_000_000  # pixels of a frame that are computed; of larger ones every second, third … pixel is
_LABEL = 110  # pixels of the screen for each number below a map
Range = tuple[float, float] | None


# Text that bokeh would take for mathematics: it would load a library for it from the internet.
_MATHS = re.compile(r"\$(?=\$)|\\(?=[(\[])")


def words(text: Any) -> str:
    """Return a name from a product or catalogue as a label: text in one line, never mathematics."""
    return _MATHS.sub(r"\g<0> ", shown(str(text)[:200]))


def dimension(name: Any, *others: str) -> Any:
    """Return a dimension of holoviews for a product's name.

    It keeps that name if it is possible beside ``others``.
    """
    import holoviews as hv
    from holoviews.core.util import dimension_sanitizer

    label = words(name)
    plain = re.fullmatch(r"\w[\w .+-]*", label) and dimension_sanitizer(label) not in others
    return hv.Dimension(label if plain else "value", label=label)


def titled(text: str) -> str:
    """Return the text as a title of holoviews, where braces mark fields."""
    return text.replace("{", "{{").replace("}", "}}")


def ready() -> None:
    """Load holoviews' bokeh backend once, so that users need not call ``hv.extension``."""
    import holoviews as hv

    if not getattr(hv.extension, "_loaded", False):
        _spare_figures()
        hv.extension("bokeh")
        hv.output(widget_location="bottom")


def _spare_figures() -> None:
    """Panel imports matplotlib's figures to see whether a widget is one: none is before somebody imports them."""
    from panel.pane.plot import Matplotlib

    applies = Matplotlib.applies
    Matplotlib.applies = staticmethod(  # type: ignore[method-assign, assignment]
        lambda one: "matplotlib.figure" in sys.modules and applies(one)
    )


class Frames:
    """The maps of a variable, or of the bands of a picture, one for each time.

    Parameters
    ----------
    data
        A variable, or the bands of a picture. Dims ``(y, x)`` or ``(time, y, x)``, in any order; lazy or not.
    call
        The function that shows it, for error messages.
    most
        Maximum number of pixels that are computed for a frame.

    Raises
    ------
    GeodesError
        If the dims are others, or a time occurs twice.
    """

    def __init__(self, data: xr.Dataset, call: str, most: int = MOST) -> None:
        dims = tuple(str(d) for d in data.sizes if d not in ("y", "x"))
        if not {"y", "x"} <= set(data.sizes) or dims not in ((), ("time",)):
            raise GeodesError(
                f"{call} shows (y, x) or (time, y, x), not {tuple(data.sizes)}: select one value of the others first."
            )
        if dims and not data.indexes["time"].is_unique:
            raise GeodesError(f"{call} needs one map for each time: the times of this cube are not unique.")
        if empty := [d for d, size in data.sizes.items() if size == 0]:
            raise GeodesError(f"{call} has nothing to show: the cube has no {empty[0]}.")
        self.data = data.map(lambda v: v.astype("uint8") if v.dtype == bool else v).transpose(*dims, "y", "x")
        self.times = list(data.time.values) if dims else []
        self.is_large = data.sizes["y"] * data.sizes["x"] > most
        self._most = most
        self._computed = lru_cache(maxsize=8)(self._compute)

    def show(self, time: Any = None, x_range: Range = None, y_range: Range = None) -> xr.Dataset:
        """Compute the map of a time (None: the first, or the only one), within ranges of the axes if it is large."""
        index = 0 if time is None else int(np.flatnonzero(self.data.time.values == np.datetime64(time))[0])
        rows, cols = slice(0, self.data.sizes["y"]), slice(0, self.data.sizes["x"])
        if self.is_large:
            rows, cols = _within(self.data.y.values, y_range), _within(self.data.x.values, x_range)
        return self._computed(index, rows.start, rows.stop, cols.start, cols.stop)

    def _compute(self, index: int, top: int, bottom: int, left: int, right: int) -> xr.Dataset:
        part = self.data.isel(time=index) if self.times else self.data
        part = part.isel(y=slice(top, bottom), x=slice(left, right))
        step = int(np.ceil((part.sizes["y"] * part.sizes["x"] / self._most) ** 0.5)) or 1
        return part.isel(y=slice(None, None, step), x=slice(None, None, step)).compute()

    def dynamic(self, show: Any) -> Any:
        """Return a holoviews DynamicMap of ``show(frame)``, with a slider for the time.

        A large map follows the zoom.
        """
        import holoviews as hv
        from holoviews.streams import RangeXY

        kdims = [hv.Dimension("time", values=self.times)] if self.times else []
        if not self.is_large:
            return hv.DynamicMap(lambda *time: show(self.show(*time)), kdims=kdims)

        def seen(*time: Any, **ranges: Range) -> Any:
            return show(self.show(time[0] if time else None, **ranges))

        return hv.DynamicMap(seen, kdims=kdims, streams=[RangeXY()])

    def axes(self, width: int) -> dict[str, Any]:
        """Return holoviews' options for the axes of the map, ``width`` screen pixels wide."""
        degrees = str(self.data.x.attrs.get("units", "metre")).startswith("degree")
        unit = "°" if degrees else "m"
        across, down = (_extent(self.data[c].values) for c in ("x", "y"))
        return {
            "frame_width": width,
            "frame_height": max(int(width * down / across), 40),
            "xlabel": f"x ({unit})",
            "ylabel": f"y ({unit})",
            "xticks": max(width // _LABEL, 2),  # numbers of seven digits do not touch
            **({} if degrees else {"xformatter": "%d", "yformatter": "%d"}),
        }


def _within(values: Any, wanted: Range) -> slice:
    """Return the rows or columns whose centres are in a range; all of them if none are."""
    if wanted is None:
        return slice(0, len(values))
    indices = np.flatnonzero((values >= min(wanted)) & (values <= max(wanted)))
    return slice(int(indices[0]), int(indices[-1]) + 1) if len(indices) else slice(0, len(values))


def _extent(values: Any) -> float:
    """Return the extent of pixels along an axis."""
    step = abs(float(values[-1] - values[0])) / max(len(values) - 1, 1) or 1.0
    return step * len(values)
