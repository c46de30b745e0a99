"""The map of a search: the box or shape that is searched, drawn on it or given, and the footprints that were found."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import ipyleaflet
import ipywidgets
import pystac
import shapely
from shapely.geometry.base import BaseGeometry

from geodes_lab import settings
from geodes_lab.util import coastlines
from geodes_lab.xyz.leaflet import PANES

PLACE = "#b3261e"
"""The colour of the box or the shape of the search."""
HEIGHT = 520
"""Pixels; the map is usually wider."""
_LAND = {"color": "#9fb0bf", "weight": 0.6, "fillColor": "#f7f5ef", "fillOpacity": 1}
_FOUND = {"color": "#0b63b5", "weight": 1.5, "fillOpacity": 0.12}
_ABOVE = "place"  # the pane of the place
_CORNERS = 5000  # of a shape on the map; one with more is drawn simpler, and searched as it is
_HOVER = {"weight": 4, "fillOpacity": 0.35}


class PlaceMap:
    """The map of a search.

    Parameters
    ----------
    bbox, area
        What is searched at first: a box in degrees, or a shape; both None: the whole world.
    drawn
        Is called when a person has drawn a box.
    chosen
        Is called with the id of the Item whose footprint a person clicks.
    """

    def __init__(
        self, bbox: Sequence[float] | None, area: BaseGeometry | None, drawn: Callable[[list[float]], None],
        chosen: Callable[[str], None],
    ) -> None:  # fmt: skip
        self.bbox = list(bbox) if bbox is not None else None
        self.area = area
        self.place: ipyleaflet.Layer | None = None
        """What shows the place that is searched."""
        self._told = drawn
        # With data from the start: a browser creates no layer without data, and misses later ones.
        self._footprints = ipyleaflet.GeoJSON(data=_collection([]), style=_FOUND, hover_style=_HOVER)
        self._footprints.on_click(lambda feature=None, **_: chosen(feature["properties"]["id"]))
        self.widget = self._made()
        """For the notebook."""
        if self.bbox or area is not None:
            self.search_in(self.bbox, area)
            self.look_at(*(self.bbox or area.bounds))  # type: ignore[union-attr]

    def search_in(self, bbox: Sequence[float] | None, area: BaseGeometry | None) -> None:
        """Take another place, and show it instead of the last one; both None: the whole world."""
        self.bbox, self.area = list(bbox) if bbox is not None else None, area
        self._show_place()

    def show(self, items: Sequence[pystac.Item]) -> None:
        """Show footprints instead of the last ones; without a place, the map goes to them."""
        # Many that overlap would hide what is below them.
        self._footprints.style = {**_FOUND, "fillOpacity": max(0.01, min(0.12, 1 / max(len(items), 1)))}
        self._footprints.data = _collection(items)
        boxes = [i.bbox for i in items if i.bbox]
        if boxes and not self.bbox and self.area is None:
            west, south = min(b[0] for b in boxes), min(b[1] for b in boxes)
            east, north = max(b[len(b) // 2] for b in boxes), max(b[len(b) // 2 + 1] for b in boxes)
            self.look_at(west, south, east, north)

    def look_at(self, west: float, south: float, east: float, north: float) -> None:
        """Go to a box in degrees; this does not use ``fit_bounds``, which needs a running event loop and a browser.

        A script has neither, and a map that is not displayed has no browser.
        """
        east += 360 if east < west else 0  # across the date line
        middle = (south + north) / 2
        self.widget.center = (middle, (west + east) / 2)
        degrees = 1.2 * max(east - west, (north - south) / math.cos(math.radians(min(abs(middle), 80))), 1e-3)
        pixels = 256 * degrees / 360  # at zoom 0
        self.widget.zoom = max(1, min(int(math.log2(HEIGHT / pixels)), 15))

    def _made(self) -> ipyleaflet.Map:
        template, countries = settings.get("plot.basemap"), coastlines.outlines()
        layers: list[Any] = []
        if template:
            layers.append(ipyleaflet.TileLayer(url=template))
        elif countries:
            layers.append(ipyleaflet.GeoJSON(data=countries, style=_LAND))
        layers.append(self._footprints)
        height = ipywidgets.Layout(height=f"{HEIGHT}px", flex="1 1 auto")
        # The box lies above the footprints, and lets clicks through to them.
        panes = {**PANES, _ABOVE: {"zIndex": 450, "pointerEvents": "none"}}
        map_widget = ipyleaflet.Map(
            layers=layers, panes=panes, center=(30, 5), zoom=2, scroll_wheel_zoom=True, layout=height
        )
        options = {"shapeOptions": {"color": PLACE, "fillOpacity": 0.05}}
        control = ipyleaflet.DrawControl(
            rectangle=options, polygon={}, polyline={}, circle={}, marker={}, circlemarker={}, edit=False, remove=False
        )
        control.on_draw(self._drawn)
        map_widget.add(control)
        return map_widget

    def _show_place(self) -> None:
        """Show the box or the shape of the search, in place of the last one."""
        if self.place is not None:
            self.widget.remove(self.place)
            self.place = None
        if self.bbox and self.bbox[0] < self.bbox[2]:
            west, south, east, north = self.bbox
            # Not filled: ipyleaflet makes every path one that takes clicks, and a filled one all over.
            look = {"color": PLACE, "fill": False, "weight": 2, "pane": _ABOVE}
            self.place = ipyleaflet.Rectangle(bounds=((south, west), (north, east)), **look)
            self.widget.add(self.place)
        elif self.area is not None:
            look = {"color": PLACE, "fill": False, "weight": 2}
            seen = _simpler(self.area)
            feature = {"type": "Feature", "properties": {}, "geometry": shapely.geometry.mapping(seen)}
            self.place = ipyleaflet.GeoJSON(data=feature, style=look, pane=_ABOVE)
            self.widget.add(self.place)

    def _drawn(self, control: Any, action: str, geo_json: dict[str, Any]) -> None:
        if action != "created":
            return
        places = geo_json["geometry"]["coordinates"][0]
        control.data = []  # the tool's own box would take the clicks on footprints
        box = degrees_of([p[0] for p in places], [p[1] for p in places])
        self.search_in(box, None)
        self._told(box)


def _simpler(area: BaseGeometry) -> BaseGeometry:
    """Return a shape as it is drawn."""
    west, south, east, north = area.bounds
    step = max(east - west, north - south, 1e-6) / 4000
    while shapely.get_num_coordinates(area) > _CORNERS:
        area, step = shapely.simplify(area, step), step * 2
    return area


def degrees_of(lons: Sequence[float], lats: Sequence[float]) -> list[float]:
    """Return west, south, east, north, however the map was turned around the world."""
    west, east = min(lons), max(lons)
    around = (-180.0, 180.0) if east - west >= 360 else ((west + 180) % 360 - 180, (east + 180) % 360 - 180)
    return [round(v, 4) for v in (around[0], max(min(lats), -90.0), around[1], min(max(lats), 90.0))]


def _collection(items: Sequence[pystac.Item]) -> dict[str, Any]:
    features = [{"type": "Feature", "geometry": i.geometry, "properties": {"id": i.id}} for i in items]
    return {"type": "FeatureCollection", "features": features}
