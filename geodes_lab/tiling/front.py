"""`gl.tiles`: an XYZ layer of a lazy cube or of a product, from this process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import xarray as xr
from rasterio.crs import CRS
from rio_tiler.errors import TileOutsideBounds

from geodes_lab import products
from geodes_lab.errors import GeodesError
from geodes_lab.tiling import drawing
from geodes_lab.tiling.layer import Kernel, layer
from geodes_lab.tiling.reader import LabReader
from geodes_lab.tiling.scene import Scene
from geodes_lab.xyz import address, stretch
from geodes_lab.xyz.cube import CubeLayer
from geodes_lab.xyz.layer import SIDE, Layer


class ProductLayer:
    """Products as a `geodes_lab.xyz.layer.Layer`: from overviews where they serve, at all zooms.

    Parameters
    ----------
    reader
        The products.
    ranges, colormap, gamma
        See `geodes_lab.tiling.drawing.picture`.
    """

    def __init__(
        self, reader: LabReader, ranges: Sequence[stretch.Range] | None, colormap: str | None, gamma: float
    ) -> None:
        self._reader, self._ranges, self._colormap, self._gamma = reader, ranges, colormap, gamma
        self.bounds = tuple(reader.get_geographic_bounds(CRS.from_epsg(4326)))
        self.min_zoom, self.max_zoom = 0, reader.maxzoom

    def draw(self, zoom: int, column: int, row: int, step: int = 0) -> bytes | None:
        """See `geodes_lab.xyz.layer.Layer`; there is one time."""
        try:
            image = self._reader.tile(column, row, zoom, tilesize=SIDE)
        except TileOutsideBounds:
            return None
        return drawing.picture(image, "png", ranges=self._ranges, gamma=self._gamma, colormap=self._colormap)[0]


class Tiles:
    """An XYZ layer in this process, from `tiles`; shown by the notebook as a map.

    Parameters
    ----------
    layer
        What is drawn.
    """

    def __init__(self, layer: Layer) -> None:
        self.layer = layer
        """What is drawn."""
        self.published = address.publish(layer)

    @property
    def url(self) -> str:
        """The address for maps, with ``{z}``, ``{x}`` and ``{y}``; ``?t=NUMBER`` chooses the time.

        In a lab it is below the person's own server, and only that person gets an answer.
        """
        return self.published.url

    @property
    def problem(self) -> str:
        """Why the last tile that failed could not be drawn; empty: none failed."""
        return self.published.problem

    def leaflet(self, *, opacity: float = 1.0, step: int = 0) -> Any:
        """Return a layer for a map of ipyleaflet, such as that of `geodes_lab.explore`.

        Parameters
        ----------
        opacity
            From 0 to 1.
        step
            The number of the time, from 0.

        Returns
        -------
        ipyleaflet.TileLayer
        """
        from geodes_lab.xyz import leaflet

        return leaflet.leaflet(self.published, opacity=opacity, step=step)

    def map(self, height: int = 480) -> Any:
        """Return a map with this layer.

        Parameters
        ----------
        height
            In pixels of the screen.

        Returns
        -------
        ipyleaflet.Map
        """
        from geodes_lab.xyz import leaflet

        made = leaflet.ground(self.layer, height)
        made.add(leaflet.leaflet(self.published, pane=leaflet.PANE))
        return made

    def _ipython_display_(self) -> None:
        from IPython.display import display

        display(self.map())

    def __repr__(self) -> str:
        west, south, east, north = self.layer.bounds
        zooms = f"{self.layer.min_zoom} to {self.layer.max_zoom}"
        return f"<Tiles {zooms}, ({west:.3f}, {south:.3f}, {east:.3f}, {north:.3f})>"


def tiles(
    data: Any,
    *,
    bands: Sequence[str] | str = (),
    expression: Sequence[str] | str = (),
    mask: Sequence[str] | str = (),
    range: stretch.Range | Sequence[stretch.Range] | None = None,
    colormap: str | None = None,
    gamma: float = 1.0,
    resampling: Kernel = "nearest",
) -> Tiles:
    """Make an XYZ layer of a lazy cube or of a product; only what is on the screen is computed.

    Parameters
    ----------
    data
        A variable of a cube, (y, x) or (time, y, x), or a Dataset of three; or a product: an Item of
        `geodes_lab.search`, a dictionary of one, a path or a URL. Of several products in a list, the first with data
        fills a pixel.
    bands, expression, mask, resampling
        Of products: up to four bands or band expressions, such as ``"(nir - red) / (nir + red)"``, classes of their
        own masks that hide pixels, and nearest, bilinear, cubic or average. None of them: true colour, or the band that
        shows most.
    range
        The numbers that are drawn darkest and brightest, for all bands or for each; None: from 2 to 98 % of a small
        picture of the product, or of the chunk in the middle of the cube.
    colormap
        A map of colours, for one band; None: grey for products, viridis for cubes.
    gamma
        More than 1 makes dark pixels brighter.

    Returns
    -------
    Tiles
        ``url`` for any map that this browser or machine has, ``leaflet()`` for ipyleaflet. Metadata are read now,
        pixels when a map asks for them.

    Raises
    ------
    GeodesError
        If the data cannot be shown on a map, or a product has no such band.

    Examples
    --------
    >>> import geodes_lab as gl                                                   # doctest: +SKIP
    >>> explorer = gl.explore("PEPS_S2_L1C")                                      # doctest: +SKIP
    >>> explorer.add(gl.tiles(explorer.selected, bands=["nir", "red", "green"]))  # doctest: +SKIP
    """
    ranges = stretch.ranges(range)
    if isinstance(data, (xr.DataArray, xr.Dataset)):
        if bands or expression or mask:
            raise GeodesError("bands=, expression= and mask= are for products: compute them of the cube.")
        several = list(data.data_vars.values()) if isinstance(data, xr.Dataset) else [data]
        return Tiles(CubeLayer(several, ranges, colormap or "viridis", gamma))
    chosen = layer(_texts(bands), _texts(expression), _texts(mask), resampling)
    reader = LabReader(Scene(products.several(data)), layer=chosen)
    return Tiles(ProductLayer(reader, ranges, colormap, gamma))


def _texts(told: Sequence[str] | str) -> Sequence[str]:
    return [told] if isinstance(told, str) and told else list(told)
