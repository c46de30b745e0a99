"""Many NetCDF files of tracks become one Dataset along time."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pystac
import xarray as xr
from numpy.typing import NDArray

from geodes_lab.errors import GeodesError, nearest
from geodes_lab.formats.netcdf import dataset
from geodes_lab.products import along_track
from geodes_lab.products.bands import name_of

Box = tuple[float, float, float, float]
_MADE = ("creation_date", "date_created", "history")


@dataclass(eq=False)
class _File:
    """One file's track, and what is known of it."""

    name: str
    platform: str
    made: str
    source: str
    track: xr.Dataset
    attrs: dict[str, Any]


def opened(
    items: Sequence[pystac.Item], node: str | None, box: Box | None, variables: Sequence[str] | None
) -> xr.Dataset:
    """Open files of tracks; see `geodes_lab.open_tracks`.

    Raises
    ------
    GeodesError
        If a file is not one of tracks, files do not agree, or no record is in the box.
    """
    with ThreadPoolExecutor(16) as pool:
        files = list(pool.map(lambda item: _opened(item, node, variables), items))
    files = sorted({f.source: f for f in files}.values(), key=lambda f: (f.made, f.name), reverse=True)
    common = [str(v) for v in files[0].track.data_vars if all(v in f.track.data_vars for f in files)]
    every = {str(v) for f in files for v in f.track.data_vars}
    _check_agreement(files, common)
    parts: list[xr.Dataset] = []
    used: list[_File] = []
    seen: dict[str, list[NDArray[Any]]] = {}
    repeated = 0
    for file in files:  # the latest made comes first, and its records are used
        times = file.track.time.values
        wanted = np.ones(times.shape, bool) if box is None else _inside(file.track, box)
        known = np.concatenate(seen.get(file.platform, [times[:0]]))
        twice = np.isin(times, known)
        repeated += int((twice & wanted).sum())
        seen.setdefault(file.platform, []).append(times)
        if (wanted := wanted & ~twice).any():
            parts.append(_part(file, common, wanted))
            used.append(file)
    if not parts:
        where = "these files has any record" if box is None else f"these files has a record in bbox {box}"
        raise GeodesError(f"None of {where}.")
    data = xr.concat(parts, "time", data_vars="all", coords="minimal", compat="override", combine_attrs="override")
    # Dimensions without numbers of their own, and one platform after the other where two satellites measure at once.
    data = data.isel(time=np.argsort(data.time.values, kind="stable"))
    shared = {k: v for k, v in used[0].attrs.items() if all(f.attrs.get(k) == v for f in used)}
    data.attrs = {
        **{k: v for k, v in shared.items() if k in ("institution", "license", "references", "processing_level")},
        "title": "Measurements along tracks",
        "source": sorted(f.source for f in used),
        "Conventions": "CF-1.11",
        "products": sorted(f.name for f in used),
        "superseded": sorted({f.name for f in files} - {f.name for f in used}) if repeated else [],
        "repeated_records": repeated,
        "left_out": sorted(every - set(common)) if variables is None else [],
    }
    return data


def _opened(item: pystac.Item, node: str | None, variables: Sequence[str] | None) -> _File:
    tracks, attrs = along_track.stored(item)
    chosen = next(iter(tracks)) if node is None else node
    if chosen not in tracks:
        raise GeodesError(
            f"{name_of(item)} has no node {chosen!r}{nearest(chosen, tracks) or ';'} it has: {', '.join(tracks)}."
        )
    track = tracks[chosen]
    for variable in variables or ():
        if variable not in track.data_vars:
            guess = nearest(variable, map(str, track.data_vars))
            listed = f"; it has: {', '.join(map(str, track.data_vars))[:400]}."
            raise GeodesError(f"{name_of(item)} has no variable {variable!r} along time{guess or listed}")
    wanted = track if variables is None else track[list(variables)]
    placed = along_track.placed(wanted, str(attrs["title"]))
    made = next((str(attrs[k])[:19] for k in _MADE if k in attrs), "")
    return _File(str(attrs["title"]), str(attrs["platform"]), made, str(attrs["source"]), placed, attrs)


def _check_agreement(files: list[_File], common: list[str]) -> None:
    """Refuse files whose variables of one name are of different units or samples."""
    first = files[0]
    for name in common:
        for file in files[1:]:
            one, other = first.track[name], file.track[name]
            if one.attrs.get("units") != other.attrs.get("units"):
                raise GeodesError(
                    f"{name} is in {one.attrs.get('units')} in {first.name}, and in {other.attrs.get('units')} in "
                    f"{file.name}: open them in separate calls, or leave it out with variables=."
                )
            if [(d, n) for d, n in one.sizes.items() if d != "time"] != [
                (d, n) for d, n in other.sizes.items() if d != "time"
            ]:
                raise GeodesError(
                    f"{name} does not have the same samples in {first.name} and {file.name}: open them in separate "
                    "calls, or leave it out with variables=."
                )


def _part(file: _File, variables: list[str], wanted: NDArray[np.bool_]) -> xr.Dataset:
    track = file.track[variables]
    chosen = track if wanted.all() else track.isel(time=wanted)
    part, count = dataset.chunked(chosen), chosen.sizes["time"]
    return part.assign_coords(
        longitude=chosen.longitude,
        latitude=chosen.latitude,
        product=("time", np.full(count, file.name, object), {"long_name": "file of the record"}),
        platform=("time", np.full(count, file.platform, object), {"long_name": "satellite"}),
    )


def _inside(track: xr.Dataset, box: Box) -> NDArray[np.bool_]:
    west, south, east, north = box
    longitude, latitude = track.longitude.values, track.latitude.values
    after, before = longitude >= west, longitude <= east
    return ((after | before) if west > east else (after & before)) & (latitude >= south) & (latitude <= north)
