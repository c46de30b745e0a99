"""Measurements along tracks in a NetCDF file with CF's attributes: level 2 and 3 of altimeters (CMEMS, AVISO, Jason).

Time, longitude and latitude are found by their attributes, whatever their names are. NetCDF-4 may have groups: of Jason
and Sentinel-6, ``data_01`` (1 Hz) and ``data_20`` (20 Hz), each with a group for a band, such as ``data_01/ku``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pystac
import xarray as xr

from geodes_lab.archive.member import Member
from geodes_lab.errors import GeodesError, nearest
from geodes_lab.formats.netcdf import dataset
from geodes_lab.products import addresses, packed
from geodes_lab.products.bands import name_of
from geodes_lab.products.sentinel3.tracks import wrapped
from geodes_lab.storage.location import locate
from geodes_lab.util import limits

_NAMED = re.compile(r"\.(nc|nc4|cdf)$", re.IGNORECASE)
_ROOT = "/"
_RATE = re.compile(r"data_\d+")
# Besides the standard names, what CF accepts for units of positions.
_UNITS = {
    "latitude": re.compile(r"degrees?_?(north|N)"),
    "longitude": re.compile(r"degrees?_?(east|E)"),
    "time": re.compile(r"\w+ since .+"),
}
_RANGES = {"latitude": (-90.0, 90.0), "longitude": (-180.0, 360.0)}
_PLATFORM = ("platform", "mission_name", "platform_name", "satellite", "mission")


def matches(item: pystac.Item) -> bool:
    """Whether an Item has an asset that is a NetCDF file, by its name or its media type."""
    return any(map(_is_netcdf, item.assets.values()))


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Refuse: a track has no pixels.

    Raises
    ------
    GeodesError
        Always; the message says what opens it.
    """
    raise GeodesError(
        f"{name_of(item)} is a NetCDF file, not an image: it cannot be part of a cube. Open tracks with "
        "gl.open_product, or several along time with gl.open_tracks; open a grid with xarray.open_dataset."
    )


def open(item: pystac.Item) -> xr.DataTree:
    """Open a file: a node ``track`` for variables along time, or one for each rate (``data_01``, ``data_20``).

    Times, longitudes and latitudes are read now; nothing else is. See `stored` for what becomes of names.
    """
    tracks, attrs = stored(item)
    nodes = {"/": xr.Dataset(attrs=attrs)}
    for name in tracks:
        track = placed(tracks[name], f"{name} of {name_of(item)}")
        whole = dataset.chunked(track).assign_coords(longitude=track.longitude, latitude=track.latitude)
        nodes["/track" if name == _ROOT else f"/{name}"] = whole
    return xr.DataTree.from_dict(nodes, name=str(attrs["title"]))


def stored(item: pystac.Item) -> tuple[dict[str, xr.Dataset], dict[str, Any]]:
    """Find the tracks of a file, in stored form, and the file's attributes.

    Returns
    -------
    tracks : dict of str to xarray.Dataset
        By the name of the group, ``"/"`` for the root. Dimension ``time``, coordinates ``time``, ``longitude`` and
        ``latitude``; the variables of a band's group have its name at their end (``range_ocean_ku``). The file's
        metadata have been read, no number.
    attrs : dict

    Raises
    ------
    GeodesError
        If it is not NetCDF, is damaged or hostile, or has no variables along time with positions.
    """
    place = packed.place(item) if packed.is_one(item) else locate(addresses.of(_asset(item)))
    if place.is_folder or place.name.lower().endswith(".zip"):
        raise GeodesError(f"{name_of(item)} is not a NetCDF file: give the path of the file itself (.nc).")
    member, name = Member(place, 0, place.size()), place.name
    root = dataset.stored(member, name)
    groups = dataset.groups(member, name)
    rates = [g for g in groups if _RATE.fullmatch(g)]
    tracks, reason = {}, ""
    for group in [_ROOT, *rates]:
        flat = root if group == _ROOT else _merged(member, name, group, groups)
        try:
            tracks[group] = _track(flat, name if group == _ROOT else f"{group} of {name}")
        except GeodesError as error:
            reason = reason or str(error)
    if not tracks:
        raise GeodesError(reason)
    attributes = {k: v for k, v in root.attrs.items() if isinstance(v, (str, int, float, np.number))}
    platform = next((str(root.attrs[k]) for k in _PLATFORM if k in root.attrs), "")
    return tracks, {**attributes, "title": _NAMED.sub("", name), "source": place.href, "platform": platform}


def placed(track: xr.Dataset, name: str) -> xr.Dataset:
    """Decode a track; its times and positions are read and checked.

    Parameters
    ----------
    track
        From `stored`.
    name
        Its name in error messages.

    Returns
    -------
    xarray.Dataset
        Lazy but for ``time``, ``longitude`` (−180…180) and ``latitude``. Records without a time are left out.

    Raises
    ------
    GeodesError
        If a time cannot be decoded, or a position is not on the Earth.
    """
    for key in ("time", *_RANGES):
        limits.refuse(f"{key} of {name}", track[key].size * 8, limits.COORDINATE)
    try:
        decoded = dataset.decoded(track, {"time": True})
        times = decoded.time.load()
        if times.dtype.kind != "M":
            raise ValueError(f"units {track.time.attrs.get('units')!r}, calendar {track.time.attrs.get('calendar')!r}")
    except GeodesError:
        raise
    except Exception as error:  # any error of cftime, pandas and numpy
        problem = (str(error).splitlines() or [type(error).__name__])[0][:160]
        raise GeodesError(f"The times of {name} cannot be decoded ({problem}); fetch the file again.") from error
    for key, (low, high) in _RANGES.items():
        values = decoded[key].load().values
        if values.dtype.kind not in "iuf" or bool(((values < low) | (values > high)).any()):
            raise GeodesError(
                f"The {key} of {name} has numbers that are not from {low:g} to {high:g} degrees: its scale is "
                "wrong, or the file is damaged; fetch it again."
            )
    there = ~np.isnat(times.values)
    decoded = decoded if there.all() else decoded.isel(time=there)
    return decoded.assign_coords(longitude=wrapped(decoded.longitude))


def _is_netcdf(asset: pystac.Asset) -> bool:
    return "netcdf" in (asset.media_type or "").lower() or bool(_NAMED.search(asset.href.partition("?")[0]))


def _asset(item: pystac.Item) -> pystac.Asset:
    files = [a for a in item.assets.values() if _is_netcdf(a)]
    if len(files) != 1:
        raise GeodesError(
            f"{name_of(item)} has {len(files)} assets that are NetCDF files: give the path or URL of the one to open."
        )
    return files[0]


def _merged(member: Member, name: str, group: str, groups: list[str]) -> xr.Dataset:
    """Return a group with the variables of its bands' groups, named after the bands."""
    merged = dataset.stored(member, name, group)
    for inner in [g for g in groups if g.startswith(f"{group}/")]:
        band = inner.rsplit("/", 1)[-1]
        own = dataset.stored(member, name, inner)
        variables = {k: v for k, v in own.variables.items() if k not in own.dims}
        for key, variable in variables.items():
            if all(merged.sizes.get(d) == n for d, n in variable.sizes.items()):
                merged[f"{key}_{band}"] = variable
    return merged


def _track(flat: xr.Dataset, name: str) -> xr.Dataset:
    """Return what is along time, with the usual names for time and positions."""
    found = {what: _found(flat, what) for what in _UNITS}
    if missing := [what for what, key in found.items() if key is None]:
        guess = nearest(missing[0], map(str, flat.variables))
        raise GeodesError(
            f"{name} has no variable of one dimension with CF's attributes of {missing[0]} (standard_name or units)"
            f"{guess}: it is not a file of tracks, or it is damaged; fetch it again."
        )
    keys = {what: str(key) for what, key in found.items()}
    along = flat[keys["time"]].dims[0]
    if any(flat[key].dims != (along,) for key in keys.values()):
        raise GeodesError(
            f"Time, longitude and latitude of {name} have different dimensions: it is a grid, not a file of tracks; "
            "open it with xarray.open_dataset."
        )
    variables = {str(k): v for k, v in flat.variables.items() if along in v.dims}
    usual = {key: what for what, key in keys.items()}
    taken = [k for k in variables if k in keys.values() or k not in _UNITS]
    dims = {along: "time"}
    arrays = {usual.get(k, k): _renamed(variables[k], dims) for k in taken}
    coords = xr.Coordinates({k: arrays.pop(k) for k in _UNITS}, indexes={})
    return xr.Dataset(arrays, coords)


def _renamed(variable: xr.Variable, dims: dict[Any, str]) -> xr.Variable:
    attrs = {k: v for k, v in variable.attrs.items() if k != "coordinates"}
    renamed = [dims.get(d, f"{d}_" if d == "time" else d) for d in variable.dims]
    return xr.Variable(renamed, variable._data, attrs, variable.encoding)


def _found(flat: xr.Dataset, what: str) -> str | None:
    """Return the variable that is time, longitude or latitude: by its standard name, else by its units."""
    single = {str(k): v for k, v in flat.variables.items() if v.ndim == 1}
    named = [k for k, v in single.items() if v.attrs.get("standard_name") == what]
    others = [k for k, v in single.items() if _UNITS[what].fullmatch(str(v.attrs.get("units", "")))]
    candidates = named or others
    usual = [k for k in candidates if k in (what, what[:3]) or (k,) == single[k].dims]
    return next(iter([*usual, *candidates]), None)
