"""What is in a product? The families of products: which one an Item, a path or a URL belongs to.

A family is a small module (see `Family`). Another package adds one with the entry point group ``geodes_lab.products``:
the entry's name is shown, its object is the module.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import Any, Protocol, cast

import pystac
import xarray as xr

from geodes_lab.errors import GeodesError
from geodes_lab.products import converted, local
from geodes_lab.products.bands import name_of
from geodes_lab.storage import tape
from geodes_lab.util.pystac_safe import roots as pystac_roots

_OURS = {
    "zarr": "zarr.product",
    "sentinel2": "sentinel2.safe",
    "sentinel1": "sentinel1.grd",
    "sentinel1_slc": "sentinel1.slc",
    "sentinel1_ocn": "sentinel1.ocn",
    "sentinel3": "sentinel3.sral",
    "spot": "spot.scene",
    "s1tiling": "sentinel1.s1tiling",
    "take5": "theia.take5",
    "theia": "theia.reflectance",
    "theia_raster": "theia.maps",
    "postel": "postel.product",
    "raster": "raster.items",
    "along_track": "along_track",
}
"""The families of this package, the most specific first, and their modules."""
_ANY = {"raster", "zarr", "along_track"}
"""Families of a format that other things use too."""


class Family(Protocol):
    """What the module of a product family contains."""

    def matches(self, item: pystac.Item) -> bool:
        """Whether an Item belongs to this family, from its fields alone: no I/O."""

    def unpack(self, item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
        """Make the band Item: one asset per band. Reads metadata, no pixel.

        ``bands`` names those that must be exact.
        """

    def open(self, item: pystac.Item) -> xr.DataTree:
        """Open the product on its native grids, lazily. Reads metadata, no pixel."""

    # It may also have ``predicted(item, bands) -> Item | None``: the band Item without any reading, if the Item is
    # sufficient for these bands; its assets then have a ``geodes:promise`` (see `bands.promises`).


class _Families(Mapping[str, Family]):
    """Families by name; one of ours is imported when it is asked for: most products belong to one of the first."""

    def __init__(self) -> None:
        self._there = {e.name: cast(Family, e.load()) for e in entry_points(group="geodes_lab.products")}
        self._names = tuple(dict.fromkeys([*self._there, *_OURS]))

    def __getitem__(self, name: str) -> Family:
        if name not in self._there:
            self._there[name] = cast(Family, import_module(f"geodes_lab.products.{_OURS[name]}"))
        return self._there[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


@cache
def families() -> Mapping[str, Family]:
    """Return all families by name: those of other packages first, ours imported when each is asked for."""
    return _Families()


def family_of(item: pystac.Item) -> Family:
    """Find the family of an Item.

    Raises
    ------
    GeodesError
        If no family can open such products.
    """
    for family in families().values():
        if family.matches(item):
            return family
    kind = item.properties.get("product:type") or item.collection_id or "an unknown type"
    raise GeodesError(
        f"No product family can open {name_of(item)} ({kind}); the families are: {', '.join(families())}."
    )


def several(products: Any, what: str = "Products") -> list[Any]:
    """Accept products in any form: one, or a list, a tuple, a generator, an ItemCollection, a dictionary of one.

    Raises
    ------
    GeodesError
        If they have another type.
    """
    if isinstance(products, dict) and products.get("type") == "FeatureCollection":
        products = products.get("features")
    if isinstance(products, (pystac.Item, dict, str, os.PathLike)):
        return [products]
    if (
        isinstance(products, (pystac.Catalog, bytes))
        or not isinstance(products, Iterable)
        or not getattr(products, "ndim", 1)
    ):
        raise GeodesError(
            f"{what} must be Items of gl.search, dictionaries of Items, paths or URLs, one or a list of them, not "
            f"{type(products).__name__}."
        )
    return list(products)


def as_item(product: pystac.Item | dict[str, Any] | str | os.PathLike[str]) -> pystac.Item:
    """Accept a product in any form: an Item, its dictionary, or a path or URL.

    A path becomes a plain Item with one ``data`` asset; its name and its members determine what it is.
    """
    if isinstance(product, pystac.Item):
        return product
    if isinstance(product, dict):
        try:
            item = pystac_roots.settle(pystac.Item.from_dict(product))
            name: Any = item.id
            item.id = str(name) if type(name) is int else name
            if not name or type(name) not in (str, int):
                raise ValueError(f"its id is {name!r}")
        except Exception as error:
            raise GeodesError(
                f"This dictionary is not a STAC Item ({error}); give an Item of gl.search, or a path."
            ) from error
        return item
    if isinstance(product, (str, os.PathLike)):
        return local.item(os.fspath(product))
    raise GeodesError(f"A product is an Item, a dictionary of one, a path or a URL, not {type(product).__name__}.")


def is_named_so(address: str) -> bool:
    """Whether the name of a file or folder is a product name of some family; reads nothing."""
    item = local.by_name(address)
    return any(f.matches(item) for name, f in families().items() if name not in _ANY)


def unpack(
    product: pystac.Item | dict[str, Any] | str | os.PathLike[str],
    bands: Sequence[str] | None = None,
    *,
    confirm: bool = True,
) -> pystac.Item:
    """Convert a catalogue's Item to a band Item: one asset per band, with its grid and its radiometry.

    Any tool of the field can use the result: the assets' addresses are GDAL's, the fields are STAC 1.1 with the STAC
    1.0 spellings beside them.

    Parameters
    ----------
    product
        An Item of `geodes_lab.search`, a dictionary of one, or a path or URL of a product.
    bands
        The bands that will be read, if only some are needed; the others may stay as the catalogue describes them.
    confirm
        Whether to read the product's metadata now. If not, and its family can predict them from the Item, nothing is
        read: the prediction is checked when a band is first read, and until then the assets' addresses are patterns
        that only `geodes_lab` opens. `geodes_lab.open_cube` does this for thousands of products.

    Returns
    -------
    pystac.Item

    Raises
    ------
    GeodesError
        If the product is damaged, incomplete, or of no known family. Metadata are read, no pixel.
    """
    item = converted.without(as_item(product))
    try:
        family = family_of(item)
        return (None if confirm else _predicted(family, item, bands)) or family.unpack(item, bands)
    except GeodesError:
        raise
    except Exception as error:
        raise _damaged(item, error) from error


def predicted(item: pystac.Item, bands: Sequence[str]) -> pystac.Item | None:
    """Return what `unpack` gives without ``confirm``, if nothing has to be read for it; else None."""
    item = converted.without(item)
    try:
        return _predicted(family_of(item), item, bands)
    except GeodesError:
        raise
    except Exception as error:
        raise _damaged(item, error) from error


def _predicted(family: Family, item: pystac.Item, bands: Sequence[str] | None) -> pystac.Item | None:
    predict = getattr(family, "predicted", None)
    return cast(pystac.Item | None, predict(item, bands)) if predict else None


def open_product(product: pystac.Item | dict[str, Any] | str | os.PathLike[str]) -> xr.DataTree:
    """Open one product on its native grids, lazily.

    Parameters
    ----------
    product
        An Item of `geodes_lab.search`, a dictionary of one, or a path or URL of a product (a zip, a SAFE folder,
        a raster file, a Zarr store).

    Returns
    -------
    xarray.DataTree
        One node per native grid; Sentinel-2: ``r10m``, ``r20m``, ``r60m``, each with its bands as variables of dims
        ``(y, x)``, pixel-centre coordinates in metres, reflectance without unit, NaN where there is no data. A Zarr
        store: its own groups, decoded with CF. Only metadata are read; pixels are read when they are computed.

    Raises
    ------
    GeodesError
        If the product is damaged, incomplete, on tape, or of no known family.

    Examples
    --------
    >>> import geodes_lab as gl                                         # doctest: +SKIP
    >>> scene = gl.open_product("S2A_MSIL1C_20210605T105031_N0301_R051_T31TCJ_20210605T125906.zip")  # doctest: +SKIP
    >>> scene["r10m"].nir.mean().compute()                              # doctest: +SKIP
    """
    item = converted.without(as_item(product))
    try:
        return family_of(item).open(item)
    except GeodesError as error:
        raise tape.explained(item, error) from error
    except Exception as error:
        raise _damaged(item, error) from error


def _damaged(item: pystac.Item, error: Exception) -> GeodesError:
    """Return the error for damage that no family expects: products come from anywhere, and may contain anything."""
    reason = (str(error).strip().splitlines() or [""])[0][:200].rstrip(".")
    return GeodesError(
        f"{name_of(item)} cannot be opened, because its metadata are damaged ({type(error).__name__}: {reason}); "
        "fetch the product again."
    )
