"""The footprints of products on a map."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import pystac
from shapely import get_parts
from shapely.geometry import shape

from geodes_lab.errors import GeodesError
from geodes_lab.plot.basemap import Ground
from geodes_lab.plot.frames import ready, words
from geodes_lab.util import instant


def footprints(
    items: Iterable[pystac.Item] | pystac.Item, *, title: str = "", width: int = 560, basemap: bool = True
) -> Any:
    """Show the footprints of products on a map. Move the pointer over a footprint to see the product's name.

    Parameters
    ----------
    items
        Items, such as the result of `geodes_lab.search`, or one Item. Only their footprints (longitude and latitude in
        degrees) are used; no product is opened.
    title
        The title above the map.
    width
        Width of the map in pixels of the screen.
    basemap
        See `geodes_lab.plot.tracks`.

    Returns
    -------
    holoviews.Overlay

    Raises
    ------
    GeodesError
        If there is no Item, or no Item has a footprint.
    """
    import holoviews as hv

    ready()
    items = [items] if isinstance(items, pystac.Item) else list(items)
    ground = Ground(basemap)
    polygons = []
    for item in items:
        if not item.geometry:
            continue
        clouds = item.properties.get("eo:cloud_cover")
        description = {
            "product": words(item.id),
            "date": f"{time:%Y-%m-%d}" if (time := instant.begin(item)) else "",
            "clouds": f"{clouds:.0f} %" if isinstance(clouds, (int, float)) else "",
        }
        for part in get_parts(shape(item.geometry)):
            if part.geom_type == "Polygon":
                x, y = ground.place(*np.array(part.exterior.coords)[:, :2].T)
                polygons.append({"longitude": x, "latitude": y, **description})
    if not polygons:
        raise GeodesError("There is no footprint to show: the search found nothing, or the Items have no geometry.")
    x = np.concatenate([p["longitude"] for p in polygons])
    y = np.concatenate([p["latitude"] for p in polygons])
    margin = 0.4 * max(float(np.ptp(x)), float(np.ptp(y)), 1e-3)
    areas = hv.Polygons(polygons, ["longitude", "latitude"], ["product", "date", "clouds"]).opts(
        color="#0b63b5",
        fill_alpha=min(0.25, 2 / len(polygons)),
        line_color="#0b63b5",
        line_width=1.2,
        tools=["hover"],
    )
    west, east = float(x.min()) - margin, float(x.max()) + margin
    south, north = float(y.min()) - margin, float(y.max()) + margin
    return (ground.draw((west, south, east, north)) * areas).opts(
        title=title,
        xlim=(west, east),
        ylim=(south, north),
        frame_width=width,
        frame_height=int(width * 0.7),
        **ground.labels,
    )
