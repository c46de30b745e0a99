"""The background of a map: tiles if the settings name some, else the outlines of the countries, else nothing."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
import xarray as xr
from numpy.typing import NDArray

from geodes_lab import settings
from geodes_lab.errors import GeodesError
from geodes_lab.util import coastlines

_MERCATOR = "EPSG:3857"


def under(data: xr.DataArray, call: str) -> Any:
    """Return the tiles below a cube; None without that setting, so that no request goes to the internet.

    Raises
    ------
    GeodesError
        If tiles are set and the cube is not on their grid.
    """
    import holoviews as hv

    template = settings.get("plot.basemap")
    if template is None:
        return hv.Overlay([])
    crs = data.rio.crs if "spatial_ref" in data.coords else None
    if crs is None or crs.to_epsg() != 3857:
        raise GeodesError(
            f"{call} can only draw a basemap below a cube in EPSG:3857: open the cube with crs='EPSG:3857'."
        )
    return hv.Tiles(template)


class Ground:
    """The plane of a map of positions in degrees: Mercator above tiles, else longitude and latitude."""

    def __init__(self, wanted: bool) -> None:
        self.template = settings.get("plot.basemap") if wanted else None
        self._wanted = wanted

    @property
    def labels(self) -> dict[str, str]:
        """The labels of the axes."""
        return {} if self.template else {"xlabel": "longitude (°)", "ylabel": "latitude (°)"}

    def place(self, longitude: Any, latitude: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return positions in the plane."""
        lon, lat = np.asarray(longitude, "f8"), np.asarray(latitude, "f8")
        if not self.template:
            return lon, lat
        from pyproj import Transformer

        x, y = Transformer.from_crs("EPSG:4326", _MERCATOR, always_xy=True).transform(lon, lat)
        return np.asarray(x), np.asarray(y)

    def draw(self, view: tuple[float, float, float, float] | None = None) -> Any:
        """Return the lowest layer; it never extends the map.

        ``view`` is what the map shows, in degrees: outlines are finer there.
        """
        import holoviews as hv

        if self.template:
            return hv.Tiles(self.template)
        land, lines = coastlines.around(*view) if self._wanted and view is not None else ([], [])
        if land:
            areas = [np.array(part.exterior.coords) for part in _parts(land, "Polygon")]
            drawn = [np.array(part.coords) for part in _parts(lines, "LineString")]
            look = {"color": "#f1efe7", "line_alpha": 0, "apply_ranges": False}
            fill = hv.Polygons(areas, ["longitude", "latitude"]).opts(**look)
            return fill * hv.Path(drawn, ["longitude", "latitude"]).opts(
                color="#9fb0bf", line_width=0.8, apply_ranges=False
            )
        countries = coastlines.outlines() if self._wanted else None
        rings = [
            np.array(polygon[0])
            for feature in (countries or {}).get("features", [])
            for polygon in (
                feature["geometry"]["coordinates"]
                if feature["geometry"]["type"] == "MultiPolygon"
                else [feature["geometry"]["coordinates"]]
            )
        ]
        return hv.Polygons(rings, ["longitude", "latitude"]).opts(
            color="#f1efe7", line_color="#9fb0bf", apply_ranges=False
        )


def _parts(geometries: list[Any], kind: str) -> list[Any]:
    """Return the single parts of geometries that are of one kind."""
    parts = shapely.get_parts(shapely.get_parts(geometries))  # twice: collections may have parts with parts
    return [part for part in parts if part.geom_type == kind]
