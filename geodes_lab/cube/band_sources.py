"""The products of a cube, unpacked: the requested bands of each."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pystac
from odc.geo.geobox import GeoBox

from geodes_lab import products
from geodes_lab.cube.grid import overlaps
from geodes_lab.cube.request import CubeRequest
from geodes_lab.errors import GeodesError
from geodes_lab.products import bands as bands_
from geodes_lab.products import converted
from geodes_lab.products import masks as masks_
from geodes_lab.products.bands import name_of
from geodes_lab.products.raster import series
from geodes_lab.products.sentinel1.orbit import OrbitFile
from geodes_lab.products.terrain.model import Terrain
from geodes_lab.raster.geometry import Flown, TerrainAware
from geodes_lab.raster.source import RasterSource, holds

_REACH = 15_000.0  # metres around a cube in which terrain matters: it may hide or overlay ground of the cube
CONVERTED = "geodes:converted"
"""The property of a band Item whose files were converted from the product."""


class Unpacked(pystac.Item):
    """A band Item that this process has made of a product: a cube takes it as it is, and looks at no file for it.

    A class, and no property: an Item of elsewhere could claim to be one. A clone is one too.
    """

    @classmethod
    def of(cls, item: pystac.Item) -> Unpacked:
        """Take a band Item of `geodes_lab.products.unpack` for one."""
        item.__class__ = cls
        assert isinstance(item, cls)
        return item


BandSources = dict[str, list[RasterSource | None]]
"""For each band, its file in each product; None for a product without it."""


@dataclass(frozen=True)
class _Chosen:
    """A product, or its converted bands, and what is wanted of it."""

    item: pystac.Item
    bands: list[str]
    is_converted: bool

    def predicted(self) -> pystac.Item | None:
        if isinstance(self.item, Unpacked):
            return self.item
        # Where the Item has a file for each band, nothing is asked. The server of a whole product may be, so that many
        # of them are predicted side by side, by `unpacked`.
        if not set(self.bands) <= set(self.item.assets):
            return None
        return self._marked(products.predicted(self.item, self.bands))

    def unpacked(self) -> pystac.Item | None:
        return self._marked(products.unpack(self.item, self.bands, confirm=False))

    def _marked(self, band_item: pystac.Item | None) -> pystac.Item | None:
        if band_item is not None and self.is_converted:
            band_item.properties[CONVERTED] = True
        return band_item


def unpacked(items: list[Any], request: CubeRequest) -> tuple[list[pystac.Item], list[str]]:
    """Return the band Items, and the messages of the products that do not open, if these may be left out.

    Metadata are read if the catalogue does not have them; no pixel is read.

    Raises
    ------
    GeodesError
        If there are no products, or one does not open and may not be left out.
    """
    if not items:
        raise GeodesError(
            "There are no products to open, because the search found nothing: widen its dates, bbox (west, south, "
            "east, north: longitudes first) or cloud cover."
        )

    def chosen(product: Any) -> _Chosen:
        item = products.as_item(product)
        wanted = [*request.bands, *masks_.keys(item, request.mask)]
        if isinstance(item, Unpacked):
            return _Chosen(item, wanted, False)
        # The names of masks say no more than that: they are the product's own.
        other = converted.preferred(item, wanted) if request.converted and request.mask is None else None
        return _Chosen(other or item, wanted, other is not None)

    def kept(step: Callable[[Any], Any], product: Any) -> Any:
        try:
            return step(product)
        except GeodesError as error:
            if request.errors == "raise":
                raise
            return error

    some = [kept(chosen, product) for product in items]
    done = [kept(_Chosen.predicted, one) if isinstance(one, _Chosen) else one for one in some]
    untold = [n for n, one in enumerate(done) if one is None]
    if untold:
        for one in (some[n] for n in untold):
            kept(lambda chosen: products.family_of(chosen.item), one)  # imported once, not in each thread
        with ThreadPoolExecutor(16) as pool:
            read = pool.map(lambda n: kept(_Chosen.unpacked, some[n]), untold)
            for n, one in zip(untold, read, strict=True):
                done[n] = one
    good = [one for i in done if isinstance(i, pystac.Item) for one in series.apart(i, request.bands)]
    bad = [i for i in done if not isinstance(i, pystac.Item)]
    if not good:
        raise GeodesError(f"None of the {len(items)} products can be opened. The first: {bad[0]}") from bad[0]
    return good, [str(error) for error in bad]


def refuse_reserved(items: Sequence[pystac.Item], request: CubeRequest) -> None:
    """Refuse a band with the name of another variable or coordinate of a cube."""
    for band in request.bands:
        if band in bands_.RESERVED and (band != "quality" or request.errors == "fill"):
            what = "a variable" if band == "quality" else "a coordinate"
            own = next(
                (names[band] for i in items if band in (names := bands_.variables(i.assets))), bands_.plain(band)
            )
            raise GeodesError(
                f"{band!r} is already the name of {what} of a cube: open the band with this name as {own!r}."
            )


def one_by_one(items: list[pystac.Item], request: CubeRequest) -> CubeRequest:
    """Split a name that means a file with several bands, such as a picture, into its bands."""
    bands, resampling = request.bands, request.resampling
    parts = {b: list(dict.fromkeys(bands_.plain(p) for i in items for p in bands_.parts(i, b))) or [b] for b in bands}
    if isinstance(resampling, Mapping):
        resampling = {part: way for band, way in resampling.items() for part in parts[band]}
    names = list(dict.fromkeys(part for several in parts.values() for part in several))
    return replace(request, bands=names, resampling=resampling)


def refuse_raw(items: Sequence[pystac.Item], request: CubeRequest) -> None:
    """Refuse products without orthorectification, unless the output grid is given."""
    names = [name_of(i) for i in items if i.properties.get("geodes:geometry") == "raw"]
    if names and request.geobox is None and request.crs is None:
        raise GeodesError(
            f"{names[0]} is raw geometry (L1A), not orthorectified: choose its grid with crs=, geobox= or like= "
            "(relief stays displaced), or use gl.open_product."
        )


def of_band(items: list[pystac.Item], band: str, request: CubeRequest) -> list[RasterSource | None]:
    """Describe a band of each product; None for a product without it, if others have it.

    A variable has one dtype: if one product has a measure, all are read as numbers with NaN for no data. Integers stay
    integers only if each file declares a number for no data, and if they are not averaged.
    """
    sources = [bands_.source(i, band) if bands_.has(i, band) else None for i in items]
    there = [s for s in sources if s is not None]
    if not there:
        bands_.source(items[0], band)  # raises, with the names that the product has
    is_class = band in request.classes or any(s.is_class for s in there)
    dtype = _common_dtype(band, there, means=not is_class and request.makes_means(band), wanted=request.dtype)
    return [s and replace(s, dtype=dtype, is_class=is_class, exact=not request.overviews) for s in sources]


def _common_dtype(band: str, sources: list[RasterSource], *, means: bool, wanted: str | None) -> str:
    """Return the one dtype of a variable."""
    common = np.result_type(*{s.dtype for s in sources})
    if common.kind == "c":
        raise GeodesError(
            f"Band {band} of {sources[0].product} has complex numbers, and a cube cannot average or combine them: use "
            "gl.open_product, and compute their amplitude or phase."
        )
    if common.kind == "f":
        return wanted or str(common)
    unlike = len({s.nodata for s in sources}) > 1
    unknown = any(s.nodata is None or not holds(common.name, s.nodata) for s in sources)
    if not (means or unlike or unknown):
        return str(common)
    return wanted or ("float32" if common.itemsize <= 2 else "float64")


def over_relief(relief: Terrain, sources_by_band: BandSources, grid: GeoBox) -> BandSources:
    """Apply a terrain model to the bands."""
    if not any(
        s is not None and isinstance(s.native, TerrainAware) for sources in sources_by_band.values() for s in sources
    ):
        raise GeodesError("dem= only applies to bands in radar geometry, and no band here has it: leave dem= out.")
    around = _around(grid, _REACH)
    near = tuple(t for t in relief.tiles if overlaps(t.source, around))
    if not near:
        names = ", ".join(dict.fromkeys(t.source.product for t in relief.tiles))
        raise GeodesError(f"dem= has no heights here: {names} does not cover the cube. Give a terrain model that does.")

    def over(source: RasterSource | None) -> RasterSource | None:
        if source is None or not isinstance(source.native, TerrainAware):
            return source
        return replace(source, native=source.native.over(Terrain(near)))

    return {band: [over(s) for s in sources] for band, sources in sources_by_band.items()}


def refuse_flat(sources_by_band: BandSources) -> None:
    """Refuse bands that are nothing without a terrain model."""
    for band, sources in sources_by_band.items():
        natives = {s.native for s in sources if s is not None and s.native is not None}
        if any(isinstance(native, TerrainAware) and native.needs_relief for native in natives):
            raise GeodesError(f"Band {band} needs the terrain: give a terrain model with dem=.")


def _around(grid: GeoBox, metres: float) -> GeoBox:
    """Return a grid that is wider by some metres on each side: the ground there may be seen in the same pixels."""
    size = abs(grid.affine.a), abs(grid.affine.e)
    unit = 111_320.0 if grid.crs.geographic else 1.0
    if grid.crs.geographic:
        size = size[0] * max(math.cos(math.radians(max(map(abs, grid.boundingbox.bbox[1::2])))), 0.1), size[1]
    return grid.pad(*(math.ceil(metres / (s * unit)) for s in size))


def along_orbits(orbits: Sequence[OrbitFile], sources_by_band: BandSources) -> BandSources:
    """Apply better orbits to the radar bands."""
    if not any(s is not None and isinstance(s.native, Flown) for sources in sources_by_band.values() for s in sources):
        raise GeodesError(
            "orbits= only applies to bands of Sentinel-1 in radar geometry, and no band here has it: leave orbits= out."
        )

    def along(source: RasterSource | None) -> RasterSource | None:
        if source is None or not isinstance(source.native, Flown):
            return source
        return replace(source, native=source.native.along(orbits))

    return {band: [along(s) for s in sources] for band, sources in sources_by_band.items()}
