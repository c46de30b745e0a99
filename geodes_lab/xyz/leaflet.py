"""Layers on a map of ipyleaflet."""

from __future__ import annotations

import math
from typing import Any

import ipyleaflet
import ipywidgets

from geodes_lab import settings
from geodes_lab.util import coastlines
from geodes_lab.xyz import address
from geodes_lab.xyz.layer import MOST_ZOOM, Layer

PANE = "tiles"
"""A pane above the shapes of countries, below which Leaflet draws tiles; clicks go through it."""
PANES = {PANE: {"zIndex": 440, "pointerEvents": "none"}}
_LAND = {"color": "#9fb0bf", "weight": 0.6, "fillColor": "#f7f5ef", "fillOpacity": 1}


def leaflet(
    published: address.Published, *, opacity: float = 1.0, step: int = 0, pane: str = ""
) -> ipyleaflet.TileLayer:
    """Return a layer of ipyleaflet for a published layer; ``pane`` must be one of the map's."""
    layer = published.layer
    west, south, east, north = layer.bounds
    return ipyleaflet.TileLayer(
        url=f"{published.url}?t={step}",
        min_zoom=layer.min_zoom,
        max_zoom=MOST_ZOOM,
        max_native_zoom=min(layer.max_zoom + 1, MOST_ZOOM),
        bounds=[(south, west), (north, east)],
        opacity=opacity,
        attribution="",
        pane=pane,
    )


def ground(layer: Layer, height: int) -> ipyleaflet.Map:
    """Return a map of the world that looks at a layer; what is below comes from the settings."""
    template, countries = settings.get("plot.basemap"), coastlines.outlines()
    below: list[Any] = []
    if template:
        below.append(ipyleaflet.TileLayer(url=template))
    elif countries:
        below.append(ipyleaflet.GeoJSON(data=countries, style=_LAND))
    west, south, east, north = layer.bounds
    wide = max(east - west, 1e-4)
    zoom = min(max(int(math.log2(700 * 360 / (256 * wide))), 1), 18)
    return ipyleaflet.Map(
        layers=below, center=((south + north) / 2, (west + east) / 2), zoom=max(zoom, layer.min_zoom),
        max_zoom=MOST_ZOOM, panes=PANES, scroll_wheel_zoom=True, layout=ipywidgets.Layout(height=f"{height}px"),
    )  # fmt: skip
