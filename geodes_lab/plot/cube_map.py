"""A map in the notebook: a cube above the world, with a colour bar, opacity, times, and the series at a click."""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from typing import Any

import ipywidgets
import xarray as xr

from geodes_lab.errors import GeodesError, shown
from geodes_lab.xyz import address, colormaps
from geodes_lab.xyz.cube import CubeLayer
from geodes_lab.xyz.leaflet import PANE, ground, leaflet
from geodes_lab.xyz.stretch import Range, ranges

_SERIES = 2000  # times of the series at a point


def map(
    data: xr.DataArray | xr.Dataset,
    *,
    range: Range | Sequence[Range] | None = None,
    colormap: str = "viridis",
    opacity: float = 1.0,
    gamma: float = 1.0,
    title: str = "",
    height: int = 480,
) -> CubeMap:
    """Show a lazy cube on a map; only what is on the screen is computed, by the scheduler of this notebook.

    Parameters
    ----------
    data
        A variable with dims (y, x) or (time, y, x), such as ``cube.red`` or an index of it; or a Dataset of three
        variables, as red, green and blue. On any grid with an EPSG code.
    range
        The numbers that are drawn darkest and brightest; for three variables one for all, or three. None: from 2 to
        98 % of the chunk in the middle, which is computed now.
    colormap
        A map of colours for one variable: viridis, greys, rdylgn, …; ``_r`` at the end turns it round.
    opacity
        From 0 to 1; a slider changes it.
    gamma
        More than 1 makes dark pixels brighter.
    title
        The title of the colour bar; empty: the variable's name.
    height
        Of the map, in pixels of the screen.

    Returns
    -------
    CubeMap
        Displayed by the notebook. A click computes the series at that point, which is shown and in ``series``.

    Raises
    ------
    GeodesError
        If the data have no grid on the Earth, or other dims.

    Examples
    --------
    >>> import geodes_lab as gl                                                    # doctest: +SKIP
    >>> ndvi = (cube.nir - cube.red) / (cube.nir + cube.red)                       # doctest: +SKIP
    >>> gl.plot.map(ndvi, range=(-0.2, 0.9), colormap="rdylgn")                    # doctest: +SKIP
    """
    bands = list(data.data_vars.values()) if isinstance(data, xr.Dataset) else [data]
    layer = CubeLayer(bands, ranges(range), colormap, gamma)
    name = title or ", ".join(shown(str(b.name)) for b in bands if getattr(b, "name", None) is not None)
    return CubeMap(layer, name, opacity, height, is_single=len(bands) == 1)


class CubeMap(ipywidgets.VBox):
    """The map with its controls, from `map`."""

    def __init__(self, layer: CubeLayer, title: str, opacity: float, height: int, *, is_single: bool) -> None:
        self.layer = layer
        """What is drawn."""
        self.published = address.publish(layer)
        """Its address."""
        self.series: xr.DataArray | None = None
        """The values at the last click, by time."""
        self._tiles, self._title = leaflet(self.published, opacity=opacity, pane=PANE), title
        self.map = ground(layer, height)
        """The widget of ipyleaflet."""
        self.map.add(self._tiles)
        self.map.on_interaction(self._clicked)
        self._opacity = ipywidgets.FloatSlider(opacity, min=0, max=1, step=0.05, description="Opacity")
        self._opacity.observe(lambda change: self._tiles.set_trait("opacity", change["new"]), names="value")
        controls: list[Any] = [self._opacity]
        if is_single:
            low, high = layer.ranges[0]
            controls.insert(0, ipywidgets.Image(value=colormaps.legend(layer.colormap, low, high, title), format="png"))
        times = layer.times
        if len(times) > 1:
            options = [(time, number) for number, time in enumerate(times)]
            self._time = ipywidgets.SelectionSlider(options=options, description="Time", layout={"width": "460px"})
            self._time.observe(lambda change: self.show(change["new"]), names="value")
            controls.append(self._time)
        self._said = ipywidgets.HTML("Click on the map for the values at a point.")
        self._picture = ipywidgets.Image(format="png", layout={"display": "none", "width": "560px"})
        self.published.on_problem = self._say
        super().__init__([ipywidgets.HBox(controls), self.map, self._said, self._picture])

    def show(self, step: int) -> None:
        """Show the time with this number."""
        self._tiles.url = f"{self.published.url}?t={step}"

    def look_up(self, longitude: float, latitude: float) -> xr.DataArray:
        """Compute the series at a point, as a click does.

        Parameters
        ----------
        longitude, latitude
            In degrees.

        Raises
        ------
        GeodesError
            If the point is outside, or the cube has too many times for a click.
        """
        values = self.layer.at(longitude, latitude)
        if values.size > _SERIES:
            raise GeodesError(f"The cube has {values.size} times; a click computes at most {_SERIES}.")
        self.series = values.compute()
        return self.series

    def _clicked(self, **event: Any) -> None:
        if event.get("type") != "click" or not event.get("coordinates"):
            return
        latitude, longitude = event["coordinates"]
        longitude = (longitude + 180) % 360 - 180
        place = f"{latitude:.5f}, {longitude:.5f}"
        self._say(f"{place}: computing …")
        try:
            series = self.look_up(longitude, latitude)
        except Exception as error:  # of a cube that the person made; the map must go on
            self._say(str(error) if isinstance(error, GeodesError) else f"{type(error).__name__}: {error}")
            return
        if series.size == 1:
            self._say(f"{place}: {float(series.values[0]):.6g}")
            return
        self._say(f"{place}: {series.size} times, also in .series")
        self._picture.value, self._picture.layout.display = _drawn(series, self._title), "block"

    def _say(self, sentence: str) -> None:
        self._said.value = html.escape(shown(sentence[:500]))


def _drawn(series: xr.DataArray, title: str) -> bytes:
    """Draw a series as PNG."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 2.4), layout="constrained")
    axes = figure.subplots()
    has_time = "time" in series.coords and series["time"].ndim == 1
    axes.plot(series["time"].values if has_time else series.values, *([series.values] if has_time else []), marker="o")
    axes.set_ylabel(title)
    axes.grid(visible=True, alpha=0.3)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()
