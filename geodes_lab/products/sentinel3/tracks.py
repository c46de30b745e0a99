"""The tracks in a file of Sentinel-3's altimeter: its single list of variables, sorted by rate and band.

=============================  ==========================================================  =======
track                          variables of level 2, and their time                        level 1
=============================  ==========================================================  =======
``hz1``                        ``*_01``, ``*_01_ku``, ``*_01_c``, … on ``time_01``
``ku``: 20 Hz, Ku band (SAR)   ``*_20_ku`` on ``time_20_ku``                               ``*_echo_sar_ku``
``c``: 20 Hz, C band           ``*_20_c`` on ``time_20_c``
``plrm``: 20 Hz, pseudo-LRM    ``*_20_plrm_ku`` on ``time_20_c``                           ``*_echo_plrm``
``lrm``, ``acq``                                                                           ``*_echo_lrm``, ``*_acq``
=============================  ==========================================================  =======

Each variable loses the part of its name that its track has: ``range_ocog_20_ku`` is ``range_ocog`` of ``ku``; at 1 Hz
the band stays, ``sig0_water_01_ku`` is ``sig0_water_ku`` of ``hz1``. Of several levels in one file the highest has the
short name, the others a suffix: ``ku_l1a``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

import xarray as xr

from geodes_lab.formats.netcdf import dataset as netcdf_dataset

OTHER = "other"
_LEVEL2 = {"01": "hz1", "20_ku": "ku", "20_c": "c", "20_plrm_ku": "plrm"}
_LEVEL1 = re.compile(r"l1(a|b|bs)_(?:echo_)?(\w+)")
_MODES = {"sar_ku": "ku"}
_ORDER = ("ku", "c", "plrm", "lrm", "hz1", "acq")
_SHARED = {"20_plrm_ku": "20_c"}  # pseudo-LRM is derived with the C band: its records are the same
_PLACES = {"lat": "latitude", "lon": "longitude"}


def split(flat: xr.Dataset) -> dict[str, xr.Dataset]:
    """Sort the variables of a file into tracks.

    Parameters
    ----------
    flat
        From `geodes_lab.formats.netcdf.dataset.stored`: nothing is read.

    Returns
    -------
    dict of str to xarray.Dataset
        In stored form, by the name of the track: dimension ``time``, coordinates ``time``, ``longitude``, ``latitude``
        and the sample numbers of further dimensions. Variables without a track are under ``other``.
    """
    ends = sorted(
        (str(d).removeprefix("time_") for d in flat.dims if str(d).startswith("time_")), key=len, reverse=True
    )
    ends = [e for e, of in _SHARED.items() if of in ends] + ends
    members: dict[str, dict[str, str]] = {}
    for name in map(str, flat.data_vars):
        if end := _end(name, [str(d) for d in flat[name].dims], ends):
            members.setdefault(end, {})[name] = _short(name, end)
    tracks = {track: _track(flat, end, members.get(end, {})) for end, track in _names(ends).items()}
    rest = [n for n in map(str, flat.data_vars) if not any(n in names for names in members.values())]
    sorted_tracks = {track: tracks[track] for track in sorted(tracks, key=_rank) if tracks[track].variables}
    return sorted_tracks | ({OTHER: _bare(flat[rest])} if rest else {})


def needed(variables: Sequence[str]) -> Callable[[str], bool]:
    """Return a function that says, by an array's name in the file, whether some variables of a track need it."""
    stems = (f"{re.sub('_(plrm_)?(ku|c)$', '', v)}_" for v in variables)  # at 1 Hz the rate precedes the band
    starts = ("time_", *(f"{p}_" for p in _PLACES), *stems)
    return lambda name: name.startswith(starts) or name.endswith("_ind") or name in variables


def finished(track: xr.Dataset) -> xr.Dataset:
    """Decode a track from `split`: lazy, on dask, with longitude in −180…180.

    Times are read, because they are its index.
    """
    plain_dataset = netcdf_dataset.chunked(netcdf_dataset.decoded(track, {"time": True}))
    return (
        plain_dataset.assign_coords(longitude=wrapped(plain_dataset.longitude))
        if "longitude" in plain_dataset.coords
        else plain_dataset
    )


def wrapped(longitude: xr.DataArray) -> xr.DataArray:
    """Longitude in −180…180; level 2 counts to 360."""
    return longitude.where(~(longitude > 180), longitude - 360).assign_attrs(longitude.attrs)


def _names(ends: list[str]) -> dict[str, str]:
    """Return the name of each track, by the suffix of its variables."""
    names: dict[str, str] = {}
    for end in sorted(ends, reverse=True):  # l1bs before l1b before l1a
        level = _LEVEL1.fullmatch(end)
        track = _MODES.get(level[2], level[2]) if level else _LEVEL2.get(end, end)
        names[end] = f"{track}_l1{level[1]}" if level and track in names.values() else track
    return names


def _rank(track: str) -> tuple[int, str]:
    return (_ORDER.index(track) if track in _ORDER else len(_ORDER)), track


def _end(name: str, dims: list[str], ends: list[str]) -> str | None:
    """Return the track of a variable: by its time, or by its name if it has none, or a shared one."""
    times = [d.removeprefix("time_") for d in dims if d.startswith("time_")]
    suffix = next((e for e in ends if name.endswith(f"_{e}")), None)
    return suffix if not times or (suffix and _SHARED.get(suffix) in times) else times[0]


def _short(name: str, end: str) -> str:
    if end == "01":
        return re.sub(r"_01(?=$|_ku$|_c$|_plrm_ku$)", "", name)
    short = name.removesuffix(f"_{end}")
    return re.sub("_acq(_valid_cyles_ind)?$", "", short) if end.endswith("_acq") else short


def _track(flat: xr.Dataset, end: str, members: dict[str, str]) -> xr.Dataset:
    clock = f"time_{_SHARED.get(end, end)}"
    if end in _SHARED and members:  # positions occur once, for all tracks that share them
        members = members | {n: n[:3] for p in _PLACES if (n := f"{p}_{_SHARED[end]}") in flat}
    shorts = list(members.values())
    short = {n: s if shorts.count(s) == 1 else n for n, s in members.items()}
    names = {n: _PLACES.get(s, s) for n, s in short.items()}
    chosen = flat[list(members)]
    if clock in flat.coords and (members or end not in _SHARED):
        chosen = chosen.assign_coords(xr.Coordinates({clock: flat[clock].variable}, indexes={}))
    renamed = chosen.rename(
        {n: s for n, s in {**names, clock: "time"}.items() if n in chosen.variables or n in chosen.dims}
    )
    return _bare(renamed.set_coords([p for p in _PLACES.values() if p in renamed]))


def _bare(dataset: xr.Dataset) -> xr.Dataset:
    """Drop the attributes that name coordinates by their names in the file."""
    plain_dataset = dataset.copy()
    for variable in plain_dataset.variables.values():
        variable.attrs.pop("coordinates", None)
    plain_dataset.attrs = {}
    return plain_dataset
