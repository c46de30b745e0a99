"""Sentinel-1 OCN: wind (OWI), waves (OSW) and radial velocity (RVL) over the ocean, from the NetCDF of each image."""

from __future__ import annotations

import re
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pystac
import xarray as xr

from geodes_lab.archive.archive import Archive
from geodes_lab.errors import GeodesError
from geodes_lab.formats.netcdf import dataset
from geodes_lab.products import packed
from geodes_lab.products.bands import name_of

_NAME = re.compile(r"S1[A-D]_(IW|EW|SM|WV|S\d)_OCN_")
_COMPONENTS = {
    "owi": "ocean wind fields",
    "osw": "ocean swell spectra",
    "rvl": "radial surface velocities",
}
_FILLER = -999.0  # of measures; the files mention it in their descriptions, not as a CF attribute
_DIMS = {
    "AzSize": "azimuth",
    "RaSize": "range",
    "Partitions": "partition",
    "WavenumberBinSize": "wavenumber_bin",
    "AngularBinSize": "angular_bin",
    "Swath": "swath",
    "Polarisation": "polarisation",
}
_FILES = r"measurement/(s1\w-(\w+)-ocn-(\w\w)-[\w-]+-(\d{3}))\.nc"


def matches(item: pystac.Item) -> bool:
    """Whether an Item is such a product: by its name, or its type."""
    return bool(_NAME.match(name_of(item))) or item.properties.get("product:type") == "OCN"


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Refuse: a swath has longitudes and latitudes, but no grid."""
    raise GeodesError(
        f"{name_of(item)} is Sentinel-1 OCN, with measures in a swath: it cannot be part of a cube; use "
        "gl.open_product."
    )


def open(item: pystac.Item) -> xr.DataTree:
    """Open a product as ``/owi``, ``/osw`` and ``/rvl``, if it has them.

    Variables have ESA's names without the component and in lower case (``owiWindSpeed``: ``wind_speed``; each has its
    ``original_name``), dims ``(azimuth, range, …)``, ``longitude`` and ``latitude`` as coordinates, NaN for −999. With
    several polarisations, each has its own child node. In wave mode the images of a pass are concatenated along
    ``image``.
    """
    archive = packed.archive(item)
    members = archive.matching(_FILES)
    if not members:
        raise GeodesError(
            f"{archive.place.href} has no measurement (measurement/*.nc): the product is incomplete; fetch it again."
        )
    with ThreadPoolExecutor(16) as pool:
        files = list(pool.map(lambda m: _opened(archive, m), members))
    first = files[0]
    nodes: dict[str, Any] = {
        "/": xr.Dataset(
            attrs={
                "title": members[0].split("/")[0].removesuffix(".SAFE"),
                "time": str(first.attrs.get("firstMeasurementTime", "")),
                "source": archive.place.href,
                "geometry": "swath: longitude and latitude of each cell",
                "Conventions": "CF-1.11",
            }
        )
    }
    kinds = [re.search(_FILES + "$", m) for m in members]
    labels = [(k[2], k[3], k[4]) for k in kinds if k]
    waves = all(swath.startswith("wv") for swath, _, _ in labels)
    for component, title in _COMPONENTS.items():
        parts = [(label, _component(file, component)) for label, file in zip(labels, files, strict=True)]
        there = [(label, data) for label, data in parts if data.data_vars]
        if waves and there:
            nodes |= _together(component, there)
        else:
            for (_, polarisation, _), data in there:
                nodes[f"/{component}" if len(there) == 1 else f"/{component}/{polarisation}"] = data
        if there:
            nodes.setdefault(f"/{component}", xr.Dataset()).attrs["title"] = title
    if len(nodes) == 1:
        raise GeodesError(f"{archive.place.href} has neither OWI, OSW nor RVL: the product is damaged; fetch it again.")
    return xr.DataTree.from_dict(nodes)


def _opened(archive: Archive, member: str) -> xr.Dataset:
    parts = dataset.open(archive.member(member), f"{member} in {archive.place.href}", decode=False)
    for variable in parts.variables.values():
        if variable.dtype.kind == "f" and "_FillValue" not in variable.attrs:
            variable.attrs["_FillValue"] = variable.dtype.type(variable.attrs.pop("missing_value", _FILLER))
    return xr.decode_cf(parts, decode_times=False, decode_timedelta=False)


def _component(file: xr.Dataset, component: str) -> xr.Dataset:
    """Return one component with plain names."""
    mine = {str(n): v for n, v in file.variables.items() if re.match(rf"{component}[A-Z]", str(n))}
    dims = {str(d): _dimension(str(d)) for v in mine.values() for d in v.dims}
    variables = {}
    for name, variable in mine.items():
        plain = {"Lon": "longitude", "Lat": "latitude"}.get(name[3:], _snake(name[3:]))
        if plain in dims.values() and variable.ndim != 1:
            plain = f"{plain}_values"  # in xarray only an axis may have the name of an axis
        renamed = xr.Variable(
            [dims[str(d)] for d in variable.dims], variable.data, {**variable.attrs, "original_name": name}
        )
        variables[plain] = renamed
    plain_dataset = xr.Dataset(variables)
    for name, unit in (("longitude", "degrees_east"), ("latitude", "degrees_north")):
        if name in plain_dataset:
            plain_dataset = plain_dataset.set_coords(name)
            plain_dataset[name].attrs |= {"units": unit, "standard_name": name}
    return plain_dataset


def _dimension(name: str) -> str:
    short = re.sub("^(owi|osw|rvl)", "", name)
    return _DIMS.get(short, _snake(short))


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _together(component: str, parts: list[tuple[tuple[str, str, str], xr.Dataset]]) -> dict[str, xr.Dataset]:
    """Concatenate the images of a pass along one dimension; separate nodes if their sizes differ."""
    names = {frozenset(d.variables) for _, d in parts}
    sizes = {tuple(sorted(d.sizes.items())) for _, d in parts}
    if len(names) > 1 or len(sizes) > 1:
        return {f"/{component}/image_{number}": data for (_, _, number), data in parts}
    parts = sorted(parts, key=lambda one: one[0][2])
    joined = xr.concat(
        [d for _, d in parts], "image", data_vars="all", coords="all", compat="override", join="override",
        combine_attrs="drop_conflicts",
    )  # fmt: skip
    swaths = np.array([swath for (swath, _, _), _ in parts])
    numbers = np.array([int(number) for (_, _, number), _ in parts])
    return {f"/{component}": joined.assign_coords(image=numbers, swath_name=("image", swaths))}
