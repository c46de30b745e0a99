"""rio-tiler's interface to products: tiles, parts, previews and points by our own reader, in place."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import attr
import numpy as np
from affine import Affine
from morecantile import Tile, TileMatrixSet
from odc.geo.geobox import GeoBox
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.warp import transform, transform_bounds
from rio_tiler.constants import WEB_MERCATOR_TMS, WGS84_CRS
from rio_tiler.errors import PointOutsideBounds, TileOutsideBounds
from rio_tiler.io import BaseReader
from rio_tiler.models import BandStatistics, ImageData, Info, PointData

from geodes_lab.errors import GeodesError
from geodes_lab.products import assets
from geodes_lab.products.bands import name_of
from geodes_lab.tiling import colours, pixels
from geodes_lab.tiling.layer import Layer
from geodes_lab.tiling.scene import Scene
from geodes_lab.xyz import stretch

MOST_SIDE = 2048
"""Rows or columns of a picture."""
_NOTHING = Layer()


@attr.s
class LabReader(BaseReader):
    """Products as rio-tiler reads them; nothing is open between two calls.

    Parameters
    ----------
    input
        The products.
    tms
        The grids of tiles.
    layer
        What is drawn, unless a call says it.
    """

    input: Scene = attr.ib()
    tms: TileMatrixSet = attr.ib(default=WEB_MERCATOR_TMS)
    layer: Layer = attr.ib(default=_NOTHING)

    def __attrs_post_init__(self) -> None:
        """Place the first product; its metadata are read if they are not remembered."""
        self.layer = self.input.chosen(self.layer)
        source = self.input.finest(self.layer)
        self.crs = CRS.from_epsg(source.epsg)
        self.transform = Affine(*source.transform)
        self.height, self.width = source.shape
        self.bounds = tuple(source.geobox.boundingbox.bbox)

    @property
    def minzoom(self) -> int:
        """The zoom at which the product is about one tile."""
        return self._minzoom

    @property
    def maxzoom(self) -> int:
        """The zoom whose pixels are as large as the product's."""
        return self._maxzoom

    def info(self) -> Info:
        """Return the bands of the first product, and the products' names."""
        names = self.input.names()
        item = self.input.band_item()
        described = [(name, " ".join(dict.fromkeys(assets.names(item.assets[name])))) for name in names]
        source = self.input.finest(self.layer)
        return Info(
            bounds=self.bounds,
            crs=f"EPSG:{source.epsg}",
            band_metadata=[(n, {"resolution": abs(item.assets[n].extra_fields["proj:transform"][0])}) for n in names],
            band_descriptions=described,
            dtype=source.dtype,
            nodata_type="Mask",
            products=[name_of(i) for i in self.input.items],
            layer=self.layer.titles,
        )

    def statistics(self, layer: Layer | None = None, **_: Any) -> dict[str, BandStatistics]:
        """Return statistics of a picture of the whole product."""
        return self.preview(layer=layer).statistics()

    def tile(
        self, tile_x: int, tile_y: int, tile_z: int, tilesize: int | None = None, layer: Layer | None = None
    ) -> ImageData:
        """Read a tile.

        Raises
        ------
        TileOutsideBounds
            If there is no such tile, or the first and only product is elsewhere.
        """
        if not self.tms.minzoom <= tile_z <= self.tms.maxzoom:
            raise TileOutsideBounds(f"{self.tms.id} has the zooms {self.tms.minzoom} to {self.tms.maxzoom}.")
        matrix = self.tms.matrix(tile_z)
        if not (0 <= tile_x < matrix.matrixWidth and 0 <= tile_y < matrix.matrixHeight):
            raise TileOutsideBounds(f"{self.tms.id} has no tile {tile_z}/{tile_x}/{tile_y}.")
        if len(self.input.items) == 1 and not self.tile_exists(tile_x, tile_y, tile_z):
            raise TileOutsideBounds(f"Tile {tile_z}/{tile_x}/{tile_y} is outside the product.")
        side = tilesize or matrix.tileWidth
        return self.part(
            tuple(self.tms.xy_bounds(Tile(tile_x, tile_y, tile_z))), self.tms.rasterio_crs, side, side, layer=layer
        )

    def part(
        self,
        bbox: tuple[float, float, float, float],
        dst_crs: CRS | None = None,
        height: int | None = None,
        width: int | None = None,
        max_size: int | None = 1024,
        layer: Layer | None = None,
    ) -> ImageData:
        """Read the part of a box.

        Parameters
        ----------
        bbox
            Left, bottom, right, top in ``dst_crs``.
        dst_crs
            The CRS of the picture; None: the product's.
        height, width
            Pixels of the picture; None: as many as ``max_size`` allows.
        """
        crs = dst_crs or self.crs
        left, bottom, right, top = bbox
        if not (all(map(math.isfinite, bbox)) and left < right and bottom < top):
            raise GeodesError("A box is left, bottom, right, top, with an area.")
        rows, cols = _shape((top - bottom) / (right - left), height, width, max_size)
        epsg = crs.to_epsg()
        if epsg is None:
            raise GeodesError("The CRS of a picture needs an EPSG code.")
        affine = Affine((right - left) / cols, 0, left, 0, (bottom - top) / rows, top)
        return self._image(GeoBox((rows, cols), affine, f"EPSG:{epsg}"), layer)

    def preview(
        self,
        max_size: int | None = 1024,
        height: int | None = None,
        width: int | None = None,
        dst_crs: CRS | None = None,
        layer: Layer | None = None,
    ) -> ImageData:
        """Read the whole product, in few pixels."""
        bounds = self.bounds if dst_crs is None else transform_bounds(self.crs, dst_crs, *self.bounds, densify_pts=21)
        return self.part(tuple(bounds), dst_crs, height, width, max_size, layer)

    def point(
        self, lon: float, lat: float, coord_crs: CRS = WGS84_CRS, layer: Layer | None = None, **_: Any
    ) -> PointData:
        """Read the pixel of each band that holds a point, without resampling.

        Raises
        ------
        PointOutsideBounds
            If no product has it.
        """
        layer = self._layer(layer)
        scene, found = self.input, None
        for number in range(len(scene.items)):
            source = scene.finest(layer) if number == 0 else next(iter(scene.bands(number, layer).sources.values()))
            try:
                xs, ys = transform(coord_crs, CRS.from_epsg(source.epsg), [lon], [lat])
            except CPLE_BaseError:  # beyond where the projection has a meaning
                continue
            col, row = ~Affine(*source.transform) * (xs[0], ys[0])
            if not (0 <= row < source.shape[0] and 0 <= col < source.shape[1]):
                continue
            grid = source.geobox[int(row) : int(row) + 1, int(col) : int(col) + 1]
            alone = Scene([scene.items[number]]) if len(scene.items) > 1 else scene
            values = pixels.of(alone, layer, grid)
            found = values if found is None else found
            if not values.mask.all():
                found = values
                break
        if found is None:
            raise PointOutsideBounds("The point is outside the product.")
        titles = layer.titles
        return PointData(
            found[:, 0, 0],
            band_names=[f"b{n + 1}" for n in range(len(titles))],
            band_descriptions=titles,
            coordinates=(lon, lat),
            crs=coord_crs,
        )

    def legend(
        self, ranges: list[stretch.Range] | None, *, is_auto: bool = False
    ) -> tuple[dict[int, colours.Class], list[stretch.Range]]:
        """Return the classes of the layer, or else the range of each band.

        Parameters
        ----------
        ranges
            Those that were asked for.
        is_auto
            Whether classes are drawn as numbers.
        """
        classes = {} if ranges or is_auto else self._classes(self.layer)
        return (classes, []) if classes else ({}, ranges or self._range(self.layer)())

    def feature(self, shape: dict[str, Any]) -> ImageData:
        """Not offered: `geodes_lab.zonal` computes the statistics of shapes."""
        raise GeodesError("There are no pictures of shapes here: use gl.zonal, or a box.")

    def _layer(self, layer: Layer | None) -> Layer:
        """Return what a call draws: what it says, else what the reader was told."""
        if layer is None or layer.names:
            return layer or self.layer
        return replace(self.layer, mask=layer.mask, resampling=layer.resampling)

    def _image(self, grid: GeoBox, layer: Layer | None) -> ImageData:
        layer = self._layer(layer)
        values = pixels.of(self.input, layer, grid)
        titles = layer.titles
        return ImageData(
            values,
            crs=CRS.from_epsg(grid.crs.epsg),
            bounds=grid.boundingbox.bbox,
            band_names=[f"b{n + 1}" for n in range(len(titles))],
            band_descriptions=titles,
            metadata={"classes": self._classes(layer), "range": self._range(layer)},
        )

    def _classes(self, layer: Layer) -> dict[int, colours.Class]:
        """Return the classes of a layer of one band of classes."""
        if len(layer.bands) != 1:
            return {}
        source = self.input.bands(0, layer).sources[layer.bands[0]]
        return colours.classes(self.input.band_item(0, layer.names), source.band) if source.is_class else {}

    def _range(self, layer: Layer) -> Callable[[], list[stretch.Range]]:
        """Return a function for the range of each band: from a small picture of the only product, once."""

        def ranges() -> list[stretch.Range]:
            if len(self.input.items) > 1:
                raise GeodesError("A mosaic has no statistics of its own: give rescale=LOWEST,HIGHEST.")

            def small() -> np.ma.MaskedArray[Any, Any]:
                rows, cols = _shape(self.height / self.width, None, None, 256)
                return pixels.of(self.input, layer, self._whole(rows, cols))

            return stretch.remembered((self.input.key, layer), small)

        return ranges

    def _whole(self, rows: int, cols: int) -> GeoBox:
        left, bottom, right, top = self.bounds
        affine = Affine((right - left) / cols, 0, left, 0, (bottom - top) / rows, top)
        return GeoBox((rows, cols), affine, f"EPSG:{self.crs.to_epsg()}")


def _shape(ratio: float, height: int | None, width: int | None, most: int | None) -> tuple[int, int]:
    """Return rows and columns of a picture whose height is ``ratio`` times its width."""
    if height is None and width is None:
        side = most or 1024
        height, width = (side, side / ratio) if ratio >= 1 else (side * ratio, side)  # type: ignore[assignment]
    elif height is None:
        height = width * ratio  # type: ignore[operator, assignment]
    elif width is None:
        width = height / ratio  # type: ignore[assignment]
    rows, cols = max(round(height), 1), max(round(width), 1)  # type: ignore[arg-type]
    if max(rows, cols) > MOST_SIDE:
        raise GeodesError(f"A picture has at most {MOST_SIDE} pixels in a row or a column, not {max(rows, cols):,}.")
    return rows, cols
