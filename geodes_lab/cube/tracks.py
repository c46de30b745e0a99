"""Many products of altimeters become one Dataset along time."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pystac
import xarray as xr
from numpy.typing import NDArray

from geodes_lab import products as families
from geodes_lab.cube import cf_tracks
from geodes_lab.errors import GeodesError, nearest
from geodes_lab.formats.netcdf import dataset
from geodes_lab.products import along_track
from geodes_lab.products.bands import name_of
from geodes_lab.products.sentinel3 import product_name, sral
from geodes_lab.products.sentinel3 import tracks as sentinel3_tracks
from geodes_lab.products.sentinel3.product_name import Name
from geodes_lab.util.bbox import checked

Box = tuple[float, float, float, float]


def open_tracks(
    products: Sequence[pystac.Item | dict[str, Any] | str | os.PathLike[str]],
    *,
    node: str | None = None,
    bbox: Sequence[float] | None = None,
    variables: Sequence[str] | None = None,
) -> xr.Dataset:
    """Open the tracks of many products of altimeters as one Dataset along time.

    Parameters
    ----------
    products
        Items of `geodes_lab.search`, dictionaries of them, or paths and URLs of products, all of one type: those of
        Sentinel-3 (SAFE), or NetCDF files of tracks with CF's attributes (CMEMS level 3, AVISO, PEACHI, Jason …).
    node
        Rate and band, a node of `geodes_lab.open_product`: ``"ku"`` (20 Hz; None means it), ``"c"``, ``"plrm"``,
        ``"hz1"`` (1 Hz) … Of a NetCDF file: ``"/"`` or a group such as ``"data_01"``; None means the first there is.
    bbox
        West, south, east, north in degrees; if west is more than east, the box crosses the date line. None: everywhere.
    variables
        The variables to open; None: all variables along time that every product has. For hundreds of products, choose
        a few variables.

    Returns
    -------
    xarray.Dataset
        Dimension ``time``, in order; coordinates ``longitude`` (−180…180), ``latitude``, and for each record its
        ``product``, ``cycle`` and ``relative_orbit`` (of the product's first record). The variables are lazy, and hold
        only the records in ``bbox``. If an acquisition was processed several times, the best product is opened
        (timeliness NR < ST < NT, then baseline, then the time of processing), and where products overlap, the best
        product's records are used: ``attrs["superseded"]`` names products that were left out, ``attrs["products"]`` the
        others. ``attrs["left_out"]`` names variables that not every product has, or that are not along time.
        ``.to_dataframe()`` makes a table: choose variables with one dimension first.

        NetCDF files of tracks: time, longitude and latitude are found by their CF attributes, and ``product`` and
        ``platform`` say where each record is from. Where files of one platform have the same time, the record of the
        file that was made last is used: ``attrs["repeated_records"]`` counts the others. Valid ranges stay attributes.

        Metadata and times of each product are read now, and with ``bbox``, or of NetCDF files, longitudes and
        latitudes; nothing else.

    Raises
    ------
    GeodesError
        If there are no products, they are of several types, or they are not altimeter products; if a product does not
        have the node or a variable; if no record is in ``bbox``.

    Examples
    --------
    >>> import geodes_lab as gl                                                           # doctest: +SKIP
    >>> items = gl.search("PEPS_S3_L1", bbox=(1, 43, 2, 44), datetime="2024")             # doctest: +SKIP
    >>> lake = gl.open_tracks(items, bbox=(1.2, 43.2, 1.4, 43.4), variables=["alt", "range_ku"])  # doctest: +SKIP
    >>> (lake.alt - lake.range_ku).to_dataframe(name="height")                            # doctest: +SKIP
    """
    box = None if bbox is None else checked(bbox)
    listed = _listed(products)
    if not any(families.family_of(i) is sral for i in listed) and all(map(along_track.matches, listed)):
        return cf_tracks.opened(listed, node, box, variables)
    node = "ku" if node is None else node
    items = _named(listed)
    names, superseded = newest(list(items))
    # Threads for the zips' lists and the first bytes of the files; HDF5 itself does one operation at a time.
    with ThreadPoolExecutor(16) as pool:
        passes = list(
            pool.map(lambda name: _Pass(name, *_opened(items[name], node, variables, box is not None)), names)
        )
    best = sorted(passes, key=lambda p: p.name.version, reverse=True)
    wanted_records = {p: _records(p, best[:n], box) for n, p in enumerate(best)}
    inside = [(p, run) for p in passes for run in _runs(wanted_records[p])]
    if not inside:
        where = "these products has any record" if box is None else f"these products has a record in bbox {box}"
        raise GeodesError(f"None of {where}.")
    common = [v for v in inside[0][0].along if all(v in p.along for p, _ in inside)]
    every = {str(v) for p, _ in inside for v in p.data.data_vars}
    try:
        data = xr.concat(
            [_part(p, run, common) for p, run in inside],
            "time",
            data_vars="all",
            coords="minimal",
            compat="override",
            join="exact",
            combine_attrs="override",
        )
    except ValueError as error:
        raise GeodesError(
            f"Node {node} does not have the same samples in all of these products ({str(error).splitlines()[0]}): "
            "give variables= of one dimension, or products of one baseline."
        ) from error
    data.attrs = {
        "title": f"{inside[0][0].name.kind} of Sentinel-3, {node}",
        "source": list(dict.fromkeys(p.source for p, _ in inside)),
        "Conventions": "CF-1.11",
        "products": list(dict.fromkeys(p.name.text for p, _ in inside)),
        "superseded": superseded,
        "left_out": sorted(every - set(common)) if variables is None else [],
    }
    return data if data.indexes["time"].is_monotonic_increasing else data.sortby("time")


def within(track: xr.Dataset, bbox: Sequence[float]) -> xr.Dataset:
    """Select the records of a track that are in a box.

    Parameters
    ----------
    track
        A node of `geodes_lab.open_product` as a Dataset, or a result of `open_tracks`.
    bbox
        West, south, east, north in degrees; where west is more than east, it crosses the date line.

    Returns
    -------
    xarray.Dataset
        Still lazy; longitudes and latitudes are read now, and kept in memory. It may be empty.
    """
    box = checked(bbox)
    if not {"longitude", "latitude"} <= set(track.coords):
        raise GeodesError(
            "This track has no longitude and latitude, so bbox cannot select its records: choose another node."
        )
    placed = track.assign_coords(longitude=track.longitude.compute(), latitude=track.latitude.compute())
    runs = _runs(_inside(placed.longitude.values, placed.latitude.values, box))
    return placed.isel(time=runs[0] if len(runs) == 1 else np.concatenate([np.r_[run] for run in [slice(0), *runs]]))


def newest(names: Sequence[Name]) -> tuple[list[Name], list[str]]:
    """Leave out products whose time a better processing covers.

    Return the others in order of time, and the names of those.

    The product of a whole orbit, which comes later, covers a near-real-time product of ten minutes.
    """
    best_names: list[Name] = []
    for name in sorted(set(names), key=lambda n: (n.version, n.text), reverse=True):
        if not any(better.covers(name) for better in best_names):
            best_names.append(name)
    return sorted(best_names, key=lambda n: (n.start, n.text)), sorted(
        {n.text for n in names} - {n.text for n in best_names}
    )


@dataclass(eq=False)
class _Pass:
    """One product's track, as stored except for its index, time."""

    name: Name
    data: xr.Dataset
    source: str

    @cached_property
    def span(self) -> tuple[Any, Any]:
        times = self.data.time.values
        never = np.datetime64("NaT", "ns")  # a value that is ignored where there is a time
        return np.fmin.reduce(times, initial=never), np.fmax.reduce(times, initial=never)

    @property
    def along(self) -> list[str]:
        return [str(k) for k, v in self.data.data_vars.items() if "time" in v.dims]


def _listed(inputs: Sequence[pystac.Item | dict[str, Any] | str | os.PathLike[str]]) -> list[pystac.Item]:
    items = [families.as_item(p) for p in families.several(inputs)]
    if not items:
        raise GeodesError("There are no products to open, because the search found nothing: widen its dates or bbox.")
    return items


def _named(items: list[pystac.Item]) -> dict[Name, pystac.Item]:
    for item in items:
        if families.family_of(item) is along_track:
            raise GeodesError(f"{name_of(item)} is of another type than the others: open each type in a separate call.")
        if families.family_of(item) is not sral:
            raise GeodesError(f"{name_of(item)} is not a product of Sentinel-3's altimeter: try gl.open_product.")
    named = {product_name.parse(name_of(i)): i for i in items}
    if len(kinds := sorted({n.kind for n in named})) > 1:
        raise GeodesError(
            f"These products are of several types ({', '.join(kinds)}): open each type in a separate call."
        )
    return named


def _opened(item: pystac.Item, node: str, variables: Sequence[str] | None, placed: bool) -> tuple[xr.Dataset, str]:
    """Return the track, its index and, if ``placed``, its positions: read now, while the file is open."""
    tracks, attrs = sral.stored(item, variables)
    if node not in tracks:
        raise GeodesError(
            f"{name_of(item)} has no node {node!r}{nearest(node, tracks) or ';'} it has: {', '.join(tracks)}."
        )
    for variable in variables or ():
        if variable not in tracks[node].variables:
            guess = nearest(variable, map(str, sral.stored(item)[0][node].data_vars))
            raise GeodesError(
                f"Node {node} of {name_of(item)} has no variable "
                f"{variable!r}{guess or '; gl.open_product shows what it has.'}"
            )
        if "time" not in tracks[node][variable].dims:
            raise GeodesError(f"{variable} of {name_of(item)} has no time dimension: use gl.open_product.")
    wanted = tracks[node] if variables is None else tracks[node][list(variables)]
    track = dataset.decoded(wanted, {"time": True})
    if placed and not {"longitude", "latitude"} <= set(track.coords):
        raise GeodesError(f"Node {node} of {name_of(item)} has no positions: leave out bbox=, or choose another node.")
    if placed:
        track = track.assign_coords({c: track[c].load() for c in ("longitude", "latitude")})
    return track, str(attrs["source"])


def _records(track: _Pass, better: list[_Pass], box: Box | None) -> NDArray[np.bool_]:
    """Return which records are needed: in the box, and at a time that no better product covers."""
    times = track.data.time.values
    wanted = np.ones(times.shape, bool)
    for other in better:
        same = (other.name.platform, other.name.kind) == (track.name.platform, track.name.kind)
        if same and other.span[0] <= track.span[1] and other.span[1] >= track.span[0]:
            wanted &= (times < other.span[0]) | (times > other.span[1])
    if box is not None:
        wanted &= _inside(sentinel3_tracks.wrapped(track.data.longitude).values, track.data.latitude.values, box)
    return wanted


def _runs(wanted: NDArray[np.bool_]) -> list[slice]:
    """Return runs of adjacent records; for lazy arrays, a slice reads only what it selects."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], wanted, [False]]).astype(np.int8)))
    return [slice(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


def _part(track: _Pass, run: slice, variables: list[str]) -> xr.Dataset:
    part = dataset.chunked(track.data[variables].isel(time=run))
    count = part.sizes["time"]
    coordinates = {
        "product": ("time", np.full(count, track.name.text, object), {"long_name": "product of the record"}),
        "cycle": ("time", np.full(count, track.name.cycle, np.int16), {"long_name": "cycle of 27 days"}),
        "relative_orbit": ("time", np.full(count, track.name.orbit, np.int16), {"long_name": "relative orbit"}),
    }
    if "longitude" in part.coords:
        part = part.assign_coords(longitude=sentinel3_tracks.wrapped(part.longitude))
    return part.assign_coords(coordinates)


def _inside(longitude: NDArray[np.float64], latitude: NDArray[np.float64], box: Box) -> NDArray[np.bool_]:
    west, south, east, north = box
    after, before = longitude >= west, longitude <= east
    return ((after | before) if west > east else (after & before)) & (latitude >= south) & (latitude <= north)
