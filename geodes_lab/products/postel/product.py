"""POSTEL: global maps of vegetation, radiation and water as HDF5, one file each, often compressed by gzip.

Based on what public readers of these files use: GEOV2 from AVHRR (``THEIA_GEOV2_R01_AVHRR_LAI_20100105``: numbers of a
byte, 0.05°, the first pixel at 90°N, 180°W; LAI is the number divided by 30, up to 210), and the attributes that
Geoland's files share with those of the Land SAF. A file without such information is opened unscaled.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import pystac
import xarray as xr
from odc.geo.xr import xr_coords

from geodes_lab.archive.member import Member
from geodes_lab.errors import GeodesError
from geodes_lab.formats.netcdf import dataset
from geodes_lab.formats.netcdf.layer import Layer
from geodes_lab.products import bands as bands_
from geodes_lab.products.bands import name_of
from geodes_lab.products.postel.hdf5_file import NAMED, Array, File
from geodes_lab.raster.source import RasterSource
from geodes_lab.reading import window
from geodes_lab.storage.location import locate

_NAME = re.compile(r"(THEIA_)?GEOV\d(-GCM)?_\w+_\d{8}")
_CLASSES = re.compile(r"LAND_?COVER|Q(UALITY)?_?FLAG|Q_?F$", re.IGNORECASE)
# GEOV2's defaults for files without attributes: divisor, offset, and the greatest valid number.
_GEOV2 = {
    "LAI": (30.0, 0.0, 210.0),
    "FAPAR": (250.0, 0.0, 235.0),
    "FCOVER": (250.0, 0.0, 250.0),
    "NDVI": (250.0, -0.08, 250.0),
}
_MISSING = 255.0
# Quantities with CF names: standard name, long name, units.
_QUANTITIES = {
    "LAI": ("leaf_area_index", "Leaf area index", "1"),
    "FAPAR": (
        "fraction_of_surface_downwelling_photosynthetic_radiative_flux_absorbed_by_vegetation",
        "Fraction of the photosynthetically active radiation that vegetation absorbs",
        "1",
    ),
    "FCOVER": ("vegetation_area_fraction", "Fraction of green vegetation", "1"),
    "NDVI": ("normalized_difference_vegetation_index", "Normalized difference vegetation index", "1"),
}


def matches(item: pystac.Item) -> bool:
    """Whether an Item is such a product, or any HDF5 file: by its collection, its name, or its file's name."""
    collection = str(item.collection_id or item.properties.get("dataset") or "")
    return (
        re.match(r"(THEIA_)?POSTEL_", collection) is not None
        or _NAME.match(name_of(item)) is not None
        or (bool(item.assets) and all(NAMED.search(a.href) for a in item.assets.values()))
    )


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Make the band Item: an asset for each array on a grid of latitude and longitude, with its name in the file.

    The file's metadata are read; a file compressed by gzip is extracted once, and a warning says so. A band Item is
    returned unchanged.
    """
    if bands_.is_band_item(item):
        return item
    file = File(item)
    band_item = _placed(item, file)
    if not band_item.assets:
        raise GeodesError(
            f"{file.name} has no array with a position on a map: it cannot be part of a cube; use gl.open_product."
        )
    return band_item


def _placed(item: pystac.Item, file: File) -> pystac.Item:
    """Return the band Item, with an asset for each array that has a grid."""
    band_item = item.clone()
    band_item.id = NAMED.sub("", name_of(item))
    band_item.properties["identifier"] = band_item.id
    band_item.assets = {}
    for array in file.arrays():
        if (transform := array.transform(_NAME.match(file.name) is not None)) is not None:
            band_item.assets[array.key] = _asset(file, array, transform, band_item.id)
            # Land cover, and quality flags.
            if _CLASSES.search(f"{item.collection_id or ''} {array.key}") or "FLAG_VALUES" in array.attrs:
                band_item.assets[array.key].extra_fields["geodes:classes"] = True
    band_item.properties |= {"geodes:source": file.source, "proj:code": "EPSG:4326"}
    band_item.datetime = file.day or band_item.datetime
    return band_item


def open(item: pystac.Item) -> xr.DataTree:
    """Open a product: arrays with latitude and longitude if the file has them, else its groups unchanged.

    Measures are scaled, and NaN where there is no data. Arrays without a grid have the numbers and attributes of the
    file, and generated names of dimensions.
    """
    unpacked = item
    if not bands_.is_band_item(item):
        file = File(item)
        unpacked = _placed(item, file)
        if not unpacked.assets:
            return _as_it_is(unpacked.id, file)
    attrs = {
        "title": name_of(unpacked),
        "time": unpacked.datetime.isoformat() if unpacked.datetime else "",
        "source": unpacked.properties["geodes:source"],
        "Conventions": "CF-1.11",
    }
    nodes: dict[str, xr.Dataset] = {"/": xr.Dataset(attrs=attrs)}
    for key in unpacked.assets:
        band = bands_.source(unpacked, key)
        about = unpacked.assets[key].extra_fields["geodes:attributes"] | {"grid_mapping": "spatial_ref"}
        grid = band.geobox
        array = xr.DataArray(window.lazy(band), dims=grid.dimensions, coords=xr_coords(grid), attrs=about)
        node = f"/r{band.transform[0]:.6g}deg"
        nodes[node] = nodes.get(node, xr.Dataset()).assign({key: array})
    return xr.DataTree.from_dict(nodes)


def _as_it_is(product: str, file: File) -> xr.DataTree:
    nodes = {f"/{g}": dataset.open(file.member, file.name, g, decode=False) for g in file.groups()}
    nodes["/"] = dataset.open(file.member, file.name, decode=False)
    nodes["/"].attrs |= {
        "title": product, "time": file.day.isoformat() if file.day else "", "source": file.source,
    }  # fmt: skip
    return xr.DataTree.from_dict(nodes)


def _asset(
    file: File, array: Array, transform: tuple[float, float, float, float, float, float], product: str
) -> pystac.Asset:
    quantity = array.key.upper().split("_")[-1]
    base = quantity.removesuffix("-RMSE")
    known = _GEOV2.get(base) if _NAME.match(file.name) else None
    divisor, offset, highest = known or (None, 0.0, None)
    scaling = array.number("SCALING_FACTOR")
    if scaling == 0:
        raise GeodesError(f"SCALING_FACTOR of {array.path} in {file.name} is 0: the measure would be infinite.")
    divisor = scaling or divisor
    missing = array.number("MISSING_VALUE", "_FILLVALUE")
    source = RasterSource(
        file.member.place.gdal, product, array.key, 4326, transform, array.shape, array.dtype,
        scale=1 / divisor if divisor else 1.0, offset=offset if (at := array.number("OFFSET")) is None else at,
        nodata=_MISSING if missing is None and known else missing,
    )  # fmt: skip
    standard, title, units = _QUANTITIES.get(base, (None, base, None))
    if quantity != base:
        standard, title = None, f"{title}: root mean square error"
    asset = bands_.asset(source, common_name=None, wavelength=None, title=title, media_type="application/x-hdf5")
    place = file.member.place
    asset.href = place.gdal if place.scheme == "file" else place.href
    about = {"long_name": title, "units": units, "standard_name": standard}
    if divisor is None:
        about["comment"] = "the file has no scale: these are its stored numbers"
    asset.extra_fields |= {
        "data_type": array.dtype,
        "gsd": transform[0] * 111_320,  # metres at the equator
        "geodes:native": "postel",
        "geodes:names": [array.key.lower()],
        "geodes:layer": {"path": array.path, "start": file.member.start, "size": file.member.size, "highest": highest},
        "geodes:attributes": {k: v for k, v in about.items() if v},
    }
    return asset


def _layer(item: pystac.Item, key: str) -> Layer:
    asset = item.assets[key]
    scaling = asset.extra_fields["geodes:layer"]
    return Layer(Member(locate(asset.href), scaling["start"], scaling["size"]), scaling["path"], scaling["highest"])


bands_.natives["postel"] = _layer
