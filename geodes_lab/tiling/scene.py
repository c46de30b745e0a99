"""The products that are drawn together, and the bands of each; the first has precedence."""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import orjson
import pystac

from geodes_lab import products
from geodes_lab.errors import GeodesError
from geodes_lab.products import assets, converted
from geodes_lab.products import bands as bands_
from geodes_lab.products import masks as masks_
from geodes_lab.products.bands import name_of
from geodes_lab.raster.mask import Mask
from geodes_lab.raster.source import RasterSource
from geodes_lab.tiling.layer import Layer

_COLOURS = ("red", "green", "blue")
# Without a choice: what shows most of a product, the first that it has.
_FIRST = ("gamma0_vv", "vv", "gamma0_hh", "hh", "sigma0_vv", "nir", "red", "pan")
_FINE = 0.01  # a reflectance's step, at most: pictures, radiances and floating-point numbers have 1
_KEPT = 512  # products of which the band Items are remembered


@dataclass(frozen=True)
class Bands:
    """What one product gives to a layer."""

    sources: dict[str, RasterSource]
    """Each band, by the name that the layer has for it."""
    masks: tuple[Mask, ...]
    """What hides pixels."""


class Scene:
    """Products that are drawn together.

    Parameters
    ----------
    items
        Items, dictionaries of Items, paths or URLs of products; the first with data fills a pixel.
    """

    def __init__(self, items: Sequence[Any]) -> None:
        self.items = tuple(products.as_item(item) for item in items)
        if not self.items:
            raise GeodesError("There are no products here.")

    @cached_property
    def key(self) -> str:
        """A checksum of the Items: equal ones are drawn alike."""
        return hashlib.blake2b("".join(map(_key, self.items)).encode(), digest_size=16).hexdigest()

    def band_item(self, number: int = 0, names: Sequence[str] = (), *, exact: bool = False) -> pystac.Item:
        """Return the band Item of a product; metadata are read at most once while it is remembered.

        Parameters
        ----------
        number
            Of the product.
        names
            The bands that will be read; none: all.
        exact
            Whether nothing may be predicted from the Item.
        """
        item = self.items[number]
        key = _key(item), tuple(names), exact
        with _locks[hash(key) % len(_locks)]:
            if (known := _remembered(key)) is not None:
                return known
            other = converted.preferred(item, names) if names else None
            band_item = products.unpack(other or item, list(names) or None, confirm=exact)
            _remember(key, band_item)
        return band_item

    def names(self) -> list[str]:
        """Return the keys of all bands of the first product that have a map grid."""
        item = self.band_item()
        return [k for k, a in item.assets.items() if "proj:transform" in a.extra_fields]

    def chosen(self, layer: Layer) -> Layer:
        """Return the same layer; one without bands gets those that show most of the product."""
        if layer.names:
            return layer
        item = self.band_item()
        if all(bands_.has(item, name) for name in _COLOURS):
            colours = tuple(_only(item, name) for name in _COLOURS)
            if all(colours):
                return Layer(colours, mask=layer.mask, resampling=layer.resampling)
        names = self.names()
        if not names:
            raise GeodesError(f"{name_of(item)} has no band with a map grid: it has no tiles; use gl.open_product.")
        first = next((n for n in _FIRST if bands_.has(item, n) and _only(item, n)), None)
        pictures = [n for n in names if not assets.is_picture(n, item.assets[n])]
        return Layer((first or (pictures or names)[0],), mask=layer.mask, resampling=layer.resampling)

    def only(self, name: str) -> str:
        """Return the key of a band of the first product; the first measure, if several have this common name.

        Empty if it has none.
        """
        return _only(self.band_item(), name)

    def is_reflectance(self, key: str) -> bool:
        """Whether a band of the first product is a reflectance from 0 to 1 in whole numbers, as its metadata say."""
        item = self.band_item()
        told = item.assets[key].extra_fields
        scale = bands_.source(item, key).scale
        return "unit" not in told and scale <= _FINE and not assets.is_picture(key, item.assets[key])

    def bands(self, number: int, layer: Layer) -> Bands:
        """Return what a product gives to a layer that has bands.

        Raises
        ------
        GeodesError
            If it has no such band or mask.
        """
        try:
            return self._bands(number, layer, exact=False)
        except GeodesError:  # a prediction may be wrong, which is said when the product is read
            return self._bands(number, layer, exact=True)

    def _bands(self, number: int, layer: Layer, *, exact: bool) -> Bands:
        wanted = [*layer.names, *masks_.keys(self.items[number], layer.mask or None)]
        item = self.band_item(number, wanted, exact=exact)
        sources = {
            name: replace(bands_.source(item, name).resolved(), is_picture=True, exact=False) for name in layer.names
        }
        return Bands(sources, masks_.masks(item, layer.mask or None))

    def finest(self, layer: Layer) -> RasterSource:
        """Return the band of the first product with the smallest pixels."""
        several = self.bands(0, layer).sources.values()
        return min(several, key=lambda s: abs(s.transform[0] * s.transform[4]))


def _only(item: pystac.Item, name: str) -> str:
    """Return the key of a band; for one of several with this common name, the first that is a measure."""
    if name in item.assets:
        return name
    keys = [
        key
        for key, asset in item.assets.items()
        if "proj:transform" in asset.extra_fields and name in assets.names(asset) and not assets.is_class(asset)
    ]
    return keys[0] if keys else ""


def _key(item: pystac.Item) -> str:
    known: str | None = getattr(item, "_geodes_key", None)
    if known is None:
        text = orjson.dumps(
            item.to_dict(include_self_link=False, transform_hrefs=False), option=orjson.OPT_SORT_KEYS, default=str
        )
        known = hashlib.blake2b(text + str(item.get_self_href()).encode(), digest_size=16).hexdigest()
        item._geodes_key = known  # type: ignore[attr-defined]
    return known


_Key = tuple[str, tuple[str, ...], bool]
_items: OrderedDict[_Key, pystac.Item] = OrderedDict()
_lock = threading.Lock()
_locks = [threading.Lock() for _ in range(32)]  # of one product, metadata are read once


def _remembered(key: _Key) -> pystac.Item | None:
    with _lock:
        if key in _items:
            _items.move_to_end(key)
        return _items.get(key)


def _remember(key: _Key, item: pystac.Item) -> None:
    with _lock:
        _items[key] = item
        while len(_items) > _KEPT:
            _items.popitem(last=False)
