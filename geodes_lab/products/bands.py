"""Band Items: an asset per band that says its grid and radiometry, in the words of STAC 1.1 and of STAC 1.0."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pystac
import xarray as xr
from odc.geo.xr import xr_coords

from geodes_lab import reader
from geodes_lab.errors import GeodesError, nearest
from geodes_lab.source import Mask, Native, Promise, Source

promises: dict[str, Callable[[pystac.Item, str], Promise]] = {}
"""Makes what confirms a band of an Item, by the family's name; the asset has that name in ``geodes:promise``."""
natives: dict[str, Callable[[pystac.Item, str], Native]] = {}
"""Makes what puts a band of an Item on a grid, by the family's name; the asset has that name in ``geodes:native``."""

_LARGEST = 2**22  # pixels in a row or column


def name_of(item: pystac.Item) -> str:
    """The product's name: ``identifier`` where the catalogue gives one, else the Item's id."""
    return str(item.properties.get("identifier") or item.id)


def asset(
    source: Source, *, common_name: str | None, wavelength: float | None, title: str, media_type: str
) -> pystac.Asset:
    """Describe one band.

    Parameters
    ----------
    source
        The band's file, grid and radiometry.
    common_name
        STAC's common name, such as ``red``; None where there is none.
    wavelength
        The centre of the band, in micrometres.
    title
        A name for people.
    media_type
        The file's media type.

    Notes
    -----
    STAC 1.1 has ``bands`` and ``proj:code``; stackstac 0.5 and odc-stac 0.5 still read ``raster:bands``,
    ``eo:bands`` and ``proj:epsg``. Both are written, saying the same.
    """
    if not 1 <= min(source.shape) <= max(source.shape) <= _LARGEST:
        raise GeodesError(
            f"Band {source.band} of {source.product} has {source.shape[0]} × {source.shape[1]} pixels, its metadata say, which "
            "no image has; fetch the product again."
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


def saturation(fields: Mapping[str, Any]) -> dict[str, str]:
    """The attribute that says of a variable which number of the file was taken for saturation, if any."""
    number = fields.get("geodes:saturated")
    return {} if number is None else {"saturated": f"{number:g} in the file: more than can be measured, no data here"}


def has(item: pystac.Item, band: str) -> bool:
    """Whether a band Item has a band, by the asset's key, the band's name or its common name."""
    return band in item.assets or any(
        band in (*a.extra_fields.get("geodes:names", ()), b.get("name"), b.get("eo:common_name"))
        for a in item.assets.values()
        if "proj:transform" in a.extra_fields
        for b in a.extra_fields.get("bands", [])
    )


def mask_keys(item: pystac.Item, mask: str | Sequence[str] | Mapping[str, Sequence[int]] | None) -> list[str]:
    """Which assets of an Item, of a catalogue or a band Item, are needed to mask; see `masks`."""
    if mask is None or isinstance(mask, Mapping):
        return list(mask or ())
    wanted = {mask} if isinstance(mask, str) else set(mask)
    names = {k: {*_values(a), *_bits(a)} for k, a in item.assets.items()}
    # Of a name that no mask has, the error will tell those that there are.
    return [k for k, has in names.items() if has and (wanted & has or wanted - set().union(*names.values()))]


def _values(asset: pystac.Asset) -> dict[str, int]:
    """Of a band of classes: their numbers by their names."""
    return {c["name"]: int(c["value"]) for c in asset.extra_fields.get("classification:classes", [])}


def _bits(asset: pystac.Asset) -> dict[str, int]:
    """Of a band of bits: their sum by the names of what they say."""
    fields = asset.extra_fields.get("classification:bitfields", [])
    return {f["name"]: ((1 << f["length"]) - 1) << f["offset"] for f in fields}


def masks(item: pystac.Item, mask: str | Sequence[str] | Mapping[str, Sequence[int]] | None) -> tuple[Mask, ...]:
    """Find what hides the pixels of a product.

    Parameters
    ----------
    item
        A band Item; its masks say their classes in STAC's ``classification:classes`` or ``classification:bitfields``.
    mask
        Names of classes, or bands of classes with the numbers that hide; None: nothing.

    Raises
    ------
    GeodesError
        If the product has no such class; lists those it has.
    """
    if mask is None:
        return ()
    if isinstance(mask, Mapping):
        return tuple(Mask(source(item, band), tuple(map(int, values))) for band, values in mask.items())
    wanted = [mask] if isinstance(mask, str) else list(mask)
    found, known = [], set[str]()
    for key, asset in item.assets.items():
        values, bits = _values(asset), _bits(asset)
        known |= {*values, *bits}
        if hiding := tuple(values[w] for w in wanted if w in values):
            found.append(Mask(source(item, key), hiding))
        if field := sum({bits[w] for w in wanted if w in bits}):
            found.append(Mask(source(item, key), bits=field))
    for word in wanted:
        if word not in known:
            there = f"Its masks have: {', '.join(sorted(known))}" if known else "It has no mask that says its classes"
            raise GeodesError(f"{name_of(item)} has no class {word!r} to mask{nearest(word, known) or '.'} {there}.")
    return tuple(found)


def source(item: pystac.Item, band: str) -> Source:
    """Find one band in a band Item, by the asset's key, the band's name or its common name.

    Raises
    ------
    GeodesError
        If the product has no such band, or several of that common name; lists those it has.
    """
    key = _key(item, band)
    fields = item.assets[key].extra_fields
    code = str(fields.get("proj:code") or item.properties.get("proj:code") or "")
    if not code.startswith("EPSG:") or not fields.get("proj:transform"):
        raise GeodesError(f"Band {key} of {name_of(item)} has no map grid: it cannot join a cube; use gl.open_product.")
    height, width = fields["proj:shape"]
    scale, offset = fields.get("raster:scale", 1.0), fields.get("raster:offset", 0.0)
    kind = fields.get("data_type") or "uint16"
    measured = (scale, offset) != (1.0, 0.0) or np.dtype(kind).kind == "f"
    href = item.assets[key].href
    if not href.startswith("/"):
        href = item.assets[key].get_absolute_href() or href
    a, b, c, d, e, f = fields["proj:transform"][:6]
    return Source(
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
    )


def _key(item: pystac.Item, band: str) -> str:
    if band in item.assets:
        return band
    data = {k: a for k, a in item.assets.items() if "proj:transform" in a.extra_fields}
    if other := [k for k, a in data.items() if band in a.extra_fields.get("geodes:names", ())]:
        return other[0]
    for field in ("name", "eo:common_name"):
        found = [k for k, a in data.items() if any(b.get(field) == band for b in a.extra_fields.get("bands", []))]
        if len(found) == 1:
            return found[0]
        if found:
            raise GeodesError(f"{name_of(item)} has several bands {band!r}: ask for one of {', '.join(found)}.")
    names = [
        *data,
        *(b["eo:common_name"] for a in data.values() for b in a.extra_fields.get("bands", []) if "eo:common_name" in b),
    ]
    known = ", ".join(dict.fromkeys(names)) or "none"
    raise GeodesError(f"{name_of(item)} has no band {band!r}{nearest(band, names) or '.'} It has: {known}.")


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
        A variable per band, dims ``(y, x)``, pixel-centre coordinates, ``spatial_ref``.
    """
    sources = {k: source(item, k) for k in keys}
    grid = sources[keys[0]].geobox
    variables = {
        k: xr.DataArray(reader.lazy(s), dims=("y", "x"), attrs={**attrs.get(k, {}), "grid_mapping": "spatial_ref"})
        for k, s in sources.items()
    }
    return xr.Dataset(variables, coords=xr_coords(grid))
