"""Band Items: an asset per band with its grid and radiometry, in the terms of STAC 1.1 and of STAC 1.0."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pystac
import xarray as xr
from odc.geo.crs import CRS
from odc.geo.xr import xr_coords

from geodes_lab.errors import GeodesError, nearest
from geodes_lab.products import addresses, assets
from geodes_lab.raster.geometry import Gridder, PredictedBand
from geodes_lab.raster.source import RasterSource
from geodes_lab.reading import window

promises: dict[str, Callable[[pystac.Item, str], PredictedBand]] = {}
"""Creates the object that confirms a predicted band, by the family's name, which is in ``geodes:promise``."""
natives: dict[str, Callable[[pystac.Item, str], Gridder]] = {}
"""Creates the object that puts a band on a grid, by the family's name, which the asset has in ``geodes:native``."""

RESERVED = ("x", "y", "time", "spatial_ref", "product", "baseline", "offset", "quality", "longitude", "latitude")
"""Names of coordinates in cubes and nodes, and of the pixels' quality.

A band with such a name becomes ``band_x``.
"""

_LARGEST = 2**22  # pixels in a row or column


def name_of(item: pystac.Item) -> str:
    """The product's name: ``identifier`` if the catalogue has one, else the Item's id."""
    return str(item.properties.get("identifier") or item.id)


def asset(
    source: RasterSource, *, common_name: str | None, wavelength: float | None, title: str, media_type: str
) -> pystac.Asset:
    """Describe one band.

    Parameters
    ----------
    source
        The band's file, grid and radiometry.
    common_name
        STAC's common name, such as ``red``; None if there is none.
    wavelength
        The centre of the band, in micrometres.
    title
        A title for people.
    media_type
        The file's media type.

    Notes
    -----
    STAC 1.1 has ``bands`` and ``proj:code``; stackstac 0.5 and odc-stac 0.5 still read ``raster:bands``, ``eo:bands``
    and ``proj:epsg``. Both are written, with the same content.
    """
    if not 1 <= min(source.shape) <= max(source.shape) <= _LARGEST:
        raise GeodesError(
            f"Band {source.band} of {source.product} has {source.shape[0]} × {source.shape[1]} pixels according to "
            "its metadata, which is not possible; fetch the product again."
        )
    eo = {"common_name": common_name, "center_wavelength": wavelength}
    band = {"name": source.band, **{f"eo:{k}": v for k, v in eo.items() if v is not None}}
    resolution = abs(source.transform[0])
    kind = source.dtype
    if source.dtype == "float32" and (source.scale, source.offset) != (1.0, 0.0):
        kind = "int16" if (source.nodata or 0) < 0 else "uint16"
    nodata = {} if source.nodata is None else {"nodata": source.nodata}
    return pystac.Asset(
        source.href,
        title=title,
        media_type=media_type,
        roles=["data"],
        extra_fields={
            "gsd": resolution,
            "proj:code": f"EPSG:{source.epsg}",
            "proj:shape": list(source.shape),
            "proj:transform": list(source.transform),
            "data_type": kind,
            **nodata,
            "raster:scale": source.scale,
            "raster:offset": source.offset,
            "bands": [band],
            "proj:epsg": source.epsg,
            "raster:bands": [
                {
                    "data_type": kind,
                    **nodata,
                    "scale": source.scale,
                    "offset": source.offset,
                    "spatial_resolution": resolution,
                }
            ],
            "eo:bands": [{"name": source.band, **{k: v for k, v in eo.items() if v is not None}}],
            **({"geodes:band": source.index} if source.index != 1 else {}),
            **({"geodes:stored": list(source.stored)} if source.stored else {}),
            **({"geodes:saturated": source.saturated} if source.saturated is not None else {}),
            **({"geodes:tile": list(source.tile)} if source.tile else {}),
            **({"geodes:overviews": source.overviews} if source.overviews else {}),
        },
    )


def plain(name: str) -> str:
    """Return the name of a band as a variable.

    It is not one of `RESERVED`, and has no slash, which separates nodes in a tree.
    """
    return f"band_{name}" if name in RESERVED else name.replace("/", "_")


def variables(keys: Iterable[str]) -> dict[str, str]:
    """Return the variable's name of each band, by key.

    As `plain` returns it, with a ``_`` at the end if another band has that name.
    """
    used, names = set(keys), {}
    for key in list(keys):
        name = plain(key)
        while name != key and name in used:
            name += "_"
        used.add(name)
        names[key] = name
    return names


def is_band_item(item: pystac.Item) -> bool:
    """Whether a family made this Item from a product; a catalogue's Item with an asset per band is different."""
    return "geodes:source" in item.properties and any("proj:transform" in a.extra_fields for a in item.assets.values())


def saturation(fields: Mapping[str, Any]) -> dict[str, str]:
    """Return the variable's attribute that names the number of saturation, if there is one."""
    number = fields.get("geodes:saturated")
    return {} if number is None else {"saturated": f"{number:g} in the file: saturated, no data here"}


def has(item: pystac.Item, band: str) -> bool:
    """Whether a band Item has a band, by the asset's key, the band's name or its common name."""
    return band in item.assets or bool(parts(item, band)) or any(band in names for _, *names in _named(item))


def parts(item: pystac.Item, key: str) -> list[str]:
    """Return the bands of a band Item that come from one asset of the catalogue, if it has several."""
    return [k for k, a in item.assets.items() if a.extra_fields.get("geodes:asset") == key and key not in item.assets]


def _named(item: pystac.Item) -> Iterator[tuple[str, str]]:
    """Yield each band's key with each of its names: other names first, then its own, then the common name."""
    data = {k: a for k, a in item.assets.items() if "proj:transform" in a.extra_fields}
    yield from ((k, n) for k, a in data.items() for n in assets.texts(a, "geodes:names"))
    for field in ("name", "eo:common_name"):
        yield from (
            (k, b[field]) for k, a in data.items() for b in assets.entries(a, "bands") if isinstance(b.get(field), str)
        )
    yield from ((k, name) for k, name in variables(item.assets).items() if k in data and name != k)


def source(item: pystac.Item, band: str) -> RasterSource:
    """Find one band in a band Item, by the asset's key, the band's name or its common name.

    Raises
    ------
    GeodesError
        If the product has no such band, or several with that common name; lists the available ones.
    """
    key = _key(item, band)
    try:
        return _source(item, key)
    except (TypeError, ValueError, KeyError, AttributeError, IndexError, OverflowError) as error:
        raise GeodesError(
            f"The metadata of {name_of(item)} about its band {key} cannot be read ({type(error).__name__}: {error}); "
            "correct the Item, or fetch the product again."
        ) from error


def _source(item: pystac.Item, key: str) -> RasterSource:
    fields = item.assets[key].extra_fields
    code = str(fields.get("proj:code") or item.properties.get("proj:code") or "")
    if not code.startswith("EPSG:") or not fields.get("proj:transform"):
        raise GeodesError(
            f"Band {key} of {name_of(item)} has no map grid: it cannot be part of a cube; use gl.open_product."
        )
    height, width = fields["proj:shape"]
    scale, offset = fields.get("raster:scale", 1.0), fields.get("raster:offset", 0.0)
    kind = fields.get("data_type") or "uint16"
    measured = (scale, offset) != (1.0, 0.0) or np.dtype(kind).kind == "f"
    href = item.assets[key].href
    if not href.startswith("/"):
        href = addresses.of(item.assets[key])
    a, b, c, d, e, f = fields["proj:transform"][:6]
    return RasterSource(
        href=href,
        product=name_of(item),
        band=key,
        epsg=int(code.removeprefix("EPSG:")),
        transform=(a, b, c, d, e, f),
        shape=(height, width),
        dtype="float64" if kind == "float64" else "float32" if measured else kind,
        scale=scale,
        offset=offset,
        nodata=fields.get("nodata"),
        saturated=fields.get("geodes:saturated"),
        index=fields.get("geodes:band", 1),
        stored=tuple(fields["geodes:stored"]) if fields.get("geodes:stored") else None,
        tile=tuple(fields["geodes:tile"]) if fields.get("geodes:tile") else None,
        overviews=fields.get("geodes:overviews", 0),
        promise=promises[fields["geodes:promise"]](item, key) if "geodes:promise" in fields else None,
        native=natives[fields["geodes:native"]](item, key) if "geodes:native" in fields else None,
        is_class=assets.is_class(item.assets[key]),
    )


def missing(item: pystac.Item) -> dict[str, list[str]]:
    """Return the bands whose files are missing in an incomplete product, by key, with their other names.

    Any Item may have another type of value there.
    """
    entries = item.properties.get("geodes:missing")
    if not isinstance(entries, dict):
        return {}
    return {str(k): [n for n in v if isinstance(n, str)] for k, v in entries.items() if isinstance(v, list)}


def _key(item: pystac.Item, band: str) -> str:
    if band in item.assets:
        return band
    matches = list(dict.fromkeys(k for k, name in _named(item) if name == band)) or parts(item, band)
    if len(matches) == 1:
        return matches[0]
    if matches:
        raise GeodesError(f"{name_of(item)} has several bands {band!r}: ask for one of {', '.join(matches)}.")
    known = {k: a for k, a in item.assets.items() if {"proj:transform", "geodes:names"} & set(a.extra_fields)}
    common = [
        str(b["eo:common_name"]) for a in known.values() for b in assets.entries(a, "bands") if b.get("eo:common_name")
    ]
    gone = next((k for k, names in missing(item).items() if band in (k, *names)), None)
    if gone is not None:
        raise GeodesError(
            f"{name_of(item)} is incomplete: its metadata list {gone}, but the file is missing. It has: "
            f"{', '.join(known) or 'none'}. Fetch that file, or the whole product."
        )
    names = list(
        dict.fromkeys([*known, *common, *(n for a in known.values() for n in assets.texts(a, "geodes:names"))])
    )
    listed = ", ".join(names) or "none"
    raise GeodesError(f"{name_of(item)} has no band {band!r}{nearest(band, names) or '.'} It has: {listed}.")


def dataset(item: pystac.Item, keys: list[str], attrs: dict[str, dict[str, Any]]) -> xr.Dataset:
    """Open bands of one grid as a Dataset, lazily.

    Parameters
    ----------
    item
        A band Item.
    keys
        Assets that share one grid.
    attrs
        The attributes of each variable, by key.

    Returns
    -------
    xarray.Dataset
        A variable per band, dims ``(y, x)``, or ``(latitude, longitude)`` for a grid in degrees, with pixel-centre
        coordinates and ``spatial_ref``. A key that cannot be a variable's name is changed (see `plain`), and becomes
        the variable's ``long_name``.
    """
    sources = {k: source(item, k) for k in keys}
    grid = sources[keys[0]].geobox
    names = variables(item.assets)
    arrays: dict[str, xr.DataArray] = {}
    for key, band in sources.items():
        name = names[key]
        about = {**({"long_name": key} if name != key else {}), **attrs.get(key, {}), "grid_mapping": "spatial_ref"}
        arrays[name] = xr.DataArray(window.lazy(band), dims=grid.dimensions, attrs=about)
    return xr.Dataset(arrays, coords=xr_coords(grid))


def unit(code: str) -> str:
    """Return the unit of a pixel's size, as in names of nodes: ``m``, ``deg`` or ``ft``."""
    crs = CRS(code)
    if crs.geographic:
        return "deg"
    name = str(crs.units[0]).lower()
    return "m" if name in ("metre", "meter") else "ft" if "foot" in name else name.replace(" ", "_")
