"""A map in the notebook: draw a box, see footprints and quicklooks, and use the Items in Python."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Any

import ipyleaflet
import ipywidgets
import pystac
import shapely
from shapely.geometry.base import BaseGeometry

from geodes_lab.catalog import profile as profiles
from geodes_lab.catalog import quicklook, search
from geodes_lab.catalog.items import clouds
from geodes_lab.catalog.lookup import opened
from geodes_lab.catalog.place_map import HEIGHT, PLACE, PlaceMap
from geodes_lab.catalog.query import refuse_both
from geodes_lab.errors import GeodesError, shown
from geodes_lab.util import instant
from geodes_lab.vector import shapes, uploaded
from geodes_lab.xyz.leaflet import PANE

_SHOWN = 200  # footprints on the map; more make it slow, and cannot be distinguished


def explore(
    collections: str | Sequence[str] | None = None,
    *,
    bbox: Sequence[float] | None = None,
    intersects: Any = None,
    datetime: str | None = None,
    cloud_cover: float | None = None,
    profile: str | None = None,
    url: str | None = None,
) -> Explorer:
    """Look for products on a map.

    Parameters
    ----------
    collections
        The collection to begin with, or several to choose from; None: all of the catalogue.
    bbox, intersects, datetime, cloud_cover
        Initial values of the form, as in `geodes_lab.search`: ``intersects`` is a file of shapes, a GeoDataFrame,
        GeoJSON or a geometry. With a place or dates, the first search is made at once.
    profile, url
        Where to search; see `geodes_lab.search`.

    Returns
    -------
    Explorer
        Displayed by the notebook. ``items`` has the results of the last search, ``selected`` the chosen Item.

    Raises
    ------
    GeodesError
        If the catalogue does not exist or does not answer, or ``intersects`` has no shape.
    """
    refuse_both(bbox, intersects)
    area = None if intersects is None else shapes.degrees("intersects", intersects)
    catalogue = opened(profiles.load(profile, url))
    ids = sorted(catalogue.ids())
    wanted = [collections] if isinstance(collections, str) else list(collections or ids)
    for name in wanted:
        if name not in ids:
            raise GeodesError(f"There is no collection {name!r} in {catalogue.name}. It has: {', '.join(ids)}.")
    # One name is the initial choice, several are the options.
    explorer = Explorer(
        ids if isinstance(collections, str) else wanted,
        wanted[0],
        bbox=bbox,
        area=area,
        datetime=datetime,
        cloud_cover=cloud_cover,
        profile=profile,
        url=url,
    )
    if bbox is not None or area is not None or datetime is not None:
        # before the map is displayed: it would miss footprints that arrive while the notebook creates it
        explorer.search()
    return explorer


class Explorer(ipywidgets.VBox):
    """The map with its form, from `explore`."""

    def __init__(
        self, choice: Sequence[str], first: str, *, bbox: Sequence[float] | None,
        area: BaseGeometry | None, datetime: str | None, cloud_cover: float | None, profile: str | None,
        url: str | None,
    ) -> None:  # fmt: skip
        self._where = {"profile": profile, "url": url}
        self.items = pystac.ItemCollection([])
        """The Items of the last search."""
        self.selected: pystac.Item | None = None
        """The chosen Item, on the map or in the list."""
        wide = ipywidgets.Layout(width="auto")
        self._collection = ipywidgets.Dropdown(options=list(choice), value=first, description="Collection", layout=wide)
        self._dates = ipywidgets.Text(datetime or "", placeholder="2021-06/2021-08", description="Dates", layout=wide)
        clouds = 100 if cloud_cover is None else cloud_cover
        self._clouds = ipywidgets.FloatSlider(clouds, min=0, max=100, step=1, description="Clouds ≤", layout=wide)
        self._button = ipywidgets.Button(description="Search", button_style="primary", layout=wide)
        self._everywhere = ipywidgets.Button(description="Whole world", tooltip="Forget the box", layout=wide)
        self._file = ipywidgets.FileUpload(
            accept=",".join(uploaded.SUFFIXES), description="Shape from a file", layout=wide,
            tooltip="GeoJSON, GeoPackage, zipped Shapefile, KML; large ones by gl.explore(intersects=…)",
        )  # fmt: skip
        self._said = ipywidgets.HTML("Draw a box on the map, or choose a file of shapes; then search.")
        self._list = ipywidgets.Select(options=[], rows=9, layout=ipywidgets.Layout(width="auto"))
        self._picture = ipywidgets.Image(layout=ipywidgets.Layout(display="none", width="180px"))
        self._facts = ipywidgets.HTML()
        self._map = PlaceMap(bbox, area, self._drawn, lambda name: self._list.set_trait("value", name))
        self._button.on_click(lambda _: self.search())
        self._everywhere.on_click(lambda _: self._forget())
        self._file.observe(lambda change: self._take(change["new"]), names="value")
        self._list.observe(lambda change: self._choose(change["new"]), names="value")
        form = [
            self._collection,
            self._dates,
            self._clouds,
            self._file,
            self._everywhere,
            self._button,
            self._said,
            self._list,
            self._picture,
            self._facts,
        ]
        side = ipywidgets.VBox(form, layout=ipywidgets.Layout(width="340px", padding="0 8px 0 0"))
        super().__init__(
            [ipywidgets.HBox([side, self._map.widget], layout=ipywidgets.Layout(min_height=f"{HEIGHT}px"))]
        )

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments for `geodes_lab.search`, to copy into a notebook without a map."""
        form: dict[str, Any] = {"collections": self._collection.value, **self._where}
        area = None if self._map.area is None else shapely.geometry.mapping(self._map.area)
        form |= {"bbox": self._map.bbox, "intersects": area, "datetime": self._dates.value.strip() or None}
        if self._clouds.value < 100:
            form["cloud_cover"] = self._clouds.value
        return {k: v for k, v in form.items() if v is not None}

    def search(self) -> pystac.ItemCollection:
        """Search, as the button does; errors appear beside it."""
        self._button.disabled, self._said.value = True, "Searching …"
        try:
            self.items = search(**self.arguments)
        except GeodesError as error:
            self.items = pystac.ItemCollection([])
            self._said.value = f"<span style='color:{PLACE}'>{_escaped(str(error))}</span>"
        else:
            number = len(self.items)
            more = f", the first {_SHOWN} on the map" if number > _SHOWN else ""
            self._said.value = f"{number} product{'' if number == 1 else 's'}{more}." if number else "Nothing found."
        finally:
            self._button.disabled = False
        drawn = [i for i in self.items if i.geometry][:_SHOWN]
        self._map.show(drawn)
        self._list.options = [(_line(i), i.id) for i in self.items]
        return self.items

    def add(self, layer: Any) -> Any:
        """Show a layer on the map, above the footprints.

        Parameters
        ----------
        layer
            A layer of ipyleaflet, or the result of `geodes_lab.tiles`.

        Returns
        -------
        ipyleaflet.Layer
            For `remove`.
        """
        added = layer.leaflet() if hasattr(layer, "leaflet") else layer
        added.pane = added.pane or PANE
        self._map.widget.add(added)
        return added

    def remove(self, layer: ipyleaflet.Layer) -> None:
        """Take a layer from the map."""
        self._map.widget.remove(layer)

    def _forget(self) -> None:
        self._map.search_in(None, None)
        self._said.value = "The whole world."

    def _take(self, files: Sequence[Any]) -> None:
        """Search by the shapes of a file that the browser sent."""
        if not files:
            return
        name, data = str(files[0]["name"]), bytes(files[0]["content"])
        self._file.value = ()  # the same file can be chosen again
        try:
            area = uploaded.degrees("intersects", name, data)
        except GeodesError as error:
            self._said.value = f"<span style='color:{PLACE}'>{_escaped(str(error))}</span>"
            return
        self._map.search_in(None, area)
        self._map.look_at(*area.bounds)
        self._said.value = f"Shape: {_escaped(name)}"

    def _drawn(self, box: list[float]) -> None:
        self._said.value = f"Box: {', '.join(map(str, box))}"

    def _choose(self, name: str | None) -> None:
        self.selected = next((i for i in self.items if i.id == name), None)
        self._facts.value, self._picture.layout.display = "", "none"
        if self.selected is None:
            return
        p = self.selected.properties
        properties = [p.get(k) for k in ("platform", "product:type", "grid:code", "sat:orbit_state")]
        self._facts.value = f"<code style='overflow-wrap:anywhere'>{_escaped(self.selected.id)}</code><br>" + _escaped(
            " · ".join(str(v) for v in properties if v)
        )
        try:
            seen = quicklook.read(self.selected)
        except GeodesError as error:
            self._facts.value += f"<br>{_escaped(str(error))}"
            return
        if seen is not None:
            self._picture.value, self._picture.format = seen[0], seen[1].partition("/")[2]
            self._picture.layout.display = "block"


def _line(item: pystac.Item) -> str:
    p = item.properties
    when = f"{time:%Y-%m-%d %H:%M}" if (time := instant.begin(item)) else ""
    text = f"{when}  {p.get('platform', '')}  {str(p.get('grid:code', '')).removeprefix('MGRS-')}  {clouds(item)}"
    return shown(text).rstrip()


def _escaped(text: str) -> str:
    return escape(shown(text))
