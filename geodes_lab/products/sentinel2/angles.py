"""Sun and view angles of a Sentinel-2 tile.

They are grids of 5 km in its metadata, lazily interpolated to its pixels.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Any

import dask.array as da
import numpy as np
import scipy
import xarray as xr
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geodes_lab.errors import GeodesError
from geodes_lab.products.metadata import Document
from geodes_lab.products.sentinel2.bands import BANDS
from geodes_lab.util import limits

Floats = NDArray[np.float32]

_CHUNK = 2048  # pixels
_NAMES = {
    "sun_zenith": ("solar_zenith_angle", "sun zenith angle"),
    "sun_azimuth": ("solar_azimuth_angle", "sun azimuth angle, clockwise from north"),
    "view_zenith": ("sensor_zenith_angle", "view zenith angle"),
    "view_azimuth": ("sensor_azimuth_angle", "view azimuth angle, clockwise from north"),
}


def grids(told: Document, west: float, north: float) -> xr.Dataset | None:
    """Read the grids of angles from MTD_TL.xml.

    Parameters
    ----------
    told
        The tile's metadata.
    west, north
        The tile's corner in metres, the position of the first value.

    Returns
    -------
    xarray.Dataset or None
        ``sun_zenith``, ``sun_azimuth`` of dims ``(y, x)``; ``view_zenith``, ``view_azimuth`` of ``(band, detector, y,
        x)``, NaN where a detector does not see; degrees. None if the metadata have no angles.

    Raises
    ------
    GeodesError
        If a grid is damaged.
    """
    root = told.root.find(".//Tile_Angles")
    if root is None or (sun := root.find("Sun_Angles_Grid")) is None:
        return None
    views = root.findall("Viewing_Incidence_Angles_Grids")
    places = [_place(told, v.get("bandId", -1), v.get("detectorId", 0)) for v in views]
    return _together(told, sun, list(zip(places, views, strict=True)), west, north)


def muscate_grids(told: Document, west: float, north: float) -> xr.Dataset | None:
    """Read the grids of angles from the metadata of CNES's MUSCATE centre (``*_MTD_ALL.xml``); see `grids`."""
    root = told.root.find(".//Angles_Grids_List")
    if root is None or (sun := root.find("Sun_Angles_Grids")) is None:
        return None
    views = []
    for band in root.iter("Band_Viewing_Incidence_Angles_Grids_List"):
        name = str(band.get("band_id") or band.get("bandId") or "")
        number = next((n for n, b in enumerate(BANDS) if b.name.replace("B0", "B") == name), -1)
        for view in band.findall("Viewing_Incidence_Angles_Grids"):
            views.append((_place(told, number, view.get("detector_id") or view.get("detectorId") or ""), view))
    return _together(told, sun, views, west, north)


def _together(
    told: Document, sun: ET.Element, views: list[tuple[tuple[int, int], ET.Element]], west: float, north: float
) -> xr.Dataset:
    """Put the grids of the sun and of the views, each by the numbers of its band and detector, into one Dataset."""
    of_sun = {kind: _values(told, sun, kind) for kind in ("Zenith", "Azimuth")}
    shape = of_sun["Zenith"].shape
    places = [place for place, _ in views]
    numbers, detectors_seen = (sorted(set(n)) for n in (zip(*places, strict=True) if places else ((), ())))
    if any(not 0 <= n < len(BANDS) for n in numbers):
        raise GeodesError(f"The view angles in {told.name} belong to no known band: fetch the product again.")
    size = 2 * len(numbers) * len(detectors_seen) * shape[0] * shape[-1] if len(shape) == 2 else limits.NUMBERS + 1
    limits.refuse(f"The angles in {told.name}", size, limits.NUMBERS, "numbers")
    seen = {
        kind: np.full((len(numbers), len(detectors_seen), *shape), np.nan, np.float32) for kind in ("Zenith", "Azimuth")
    }
    for (number, detector), view in views:
        place = numbers.index(number), detectors_seen.index(detector)
        for kind, values in seen.items():
            grid = _values(told, view, kind)
            if grid.shape != shape:
                raise GeodesError(f"The angles in {told.name} are on grids of several sizes: fetch the product again.")
            values[place] = grid
    down, across = (told.number(f"Zenith/{tag}", sun) for tag in ("ROW_STEP", "COL_STEP"))
    dims = ("band", "detector", "y", "x")
    result = xr.Dataset(
        {
            "sun_zenith": (dims[2:], of_sun["Zenith"]),
            "sun_azimuth": (dims[2:], of_sun["Azimuth"]),
            "view_zenith": (dims, seen["Zenith"]),
            "view_azimuth": (dims, seen["Azimuth"]),
        },
        coords={
            "band": [BANDS[n].common_name for n in numbers],
            "detector": detectors_seen,
            "y": north - down * np.arange(shape[0]),
            "x": west + across * np.arange(shape[1]),
        },
    )
    return _described(result)


def _place(document: Document, band: str | int, detector: str | int) -> tuple[int, int]:
    """Return the numbers of the band and of the detector."""
    try:
        return int(band), int(detector)
    except ValueError as error:
        raise GeodesError(
            f"The view angles in {document.name} have a band or detector without a number: fetch the product again."
        ) from error


def on(angles: xr.Dataset, grid: GeoBox, bands: Sequence[str], detectors: Mapping[str, da.Array]) -> xr.Dataset:
    """Interpolate angles to the pixels of a grid, lazily.

    Parameters
    ----------
    angles
        The result of `grids`.
    grid
        A grid in the CRS of the tile.
    bands
        The bands whose view angles are needed, by common name.
    detectors
        By a band's common name, the number of the detector that saw each pixel of ``grid``; 0: none. Other bands get
        the mean of the detectors that see a place.

    Returns
    -------
    xarray.Dataset
        ``sun_zenith``, ``sun_azimuth`` of dims ``(y, x)``; ``view_zenith``, ``view_azimuth`` of ``(band, y, x)``;
        float32 dask arrays, degrees, bilinear between the values of the metadata.
    """
    chunks = da.core.normalize_chunks((_CHUNK, _CHUNK), grid.shape, dtype="float32")
    axes = angles.y.values, angles.x.values

    def whole(zenith: Any, azimuth: Any, seen: da.Array | None) -> da.Array:
        ids = angles.detector.values if np.ndim(zenith) == 3 else np.array([0])
        tables = tuple(np.reshape(t, (len(ids), *angles.sun_zenith.shape)) for t in (zenith, azimuth))
        blocks = [] if seen is None else [seen.rechunk(chunks)]
        return da.map_blocks(
            _block, *blocks, grid=grid, axes=axes, tables=tables, ids=ids, chunks=((2,), *chunks),
            new_axis=[0] if blocks else None, dtype="float32", meta=np.empty((0, 0, 0), "float32"),
        )  # fmt: skip

    sun = whole(angles.sun_zenith.values, angles.sun_azimuth.values, None)
    names = [b for b in bands if b in angles.band.values]
    views = [
        whole(angles.view_zenith.sel(band=b).values, angles.view_azimuth.sel(band=b).values, detectors.get(b))
        for b in names
    ]
    variables: dict[str, Any] = {"sun_zenith": (("y", "x"), sun[0]), "sun_azimuth": (("y", "x"), sun[1])}
    if views:
        together = da.stack(views)
        variables["view_zenith"] = (("band", "y", "x"), together[:, 0])
        variables["view_azimuth"] = (("band", "y", "x"), together[:, 1])
    return _described(xr.Dataset(variables, coords={"band": names}))


def _block(
    *seen: NDArray[np.uint8], grid: GeoBox, axes: Any, tables: Any, ids: NDArray[np.int64], block_info: Any = None
) -> Floats:
    """Return zenith and azimuth of a chunk: of the detector that saw each pixel, else the mean of the detectors."""
    (top, bottom), (left, right) = block_info[None]["array-location"][1:]
    part = grid[top:bottom, left:right]
    y = part.affine.f + part.affine.e * (np.arange(part.shape[0]) + 0.5)
    x = part.affine.c + part.affine.a * (np.arange(part.shape[1]) + 0.5)
    total = np.zeros((3, *part.shape))
    for number, zenith, azimuth in zip(ids, *tables, strict=True):
        weight = 1.0 if not seen else (seen[0] == number).astype(float)
        if not np.any(weight):
            continue
        vector, known = directions(zenith, azimuth)
        if not known.any():
            continue
        # Without a footprint, half a mesh beyond the known values.
        inside = weight if seen or known.all() else _at(known.astype(float), axes, y, x) >= 0.5
        total += np.stack([_at(v, axes, y, x) for v in vector]) * inside
    length = np.linalg.norm(total, axis=0)
    unit = total / np.where(length > 0, length, np.nan)
    zenith = np.degrees(np.arctan2(np.hypot(unit[0], unit[1]), unit[2]))
    return np.stack([zenith, np.degrees(np.arctan2(unit[0], unit[1])) % 360]).astype(np.float32)


def directions(
    zenith: NDArray[np.floating], azimuth: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Convert a grid of angles to vectors, because angles jump at north, and reverse at the zenith.

    Returns
    -------
    vectors : numpy.ndarray
        East, north and up, (3, y, x). Where a detector does not see, its nearest value: it holds up to the edge of the
        detector's footprint.
    known : numpy.ndarray
        Where the grid has values, (y, x); nowhere: the vectors are NaN.
    """
    theta, phi = np.radians(zenith, dtype=np.float64), np.radians(azimuth, dtype=np.float64)
    vectors = np.stack([np.sin(theta) * np.sin(phi), np.sin(theta) * np.cos(phi), np.cos(theta)])
    known: NDArray[np.bool_] = np.isfinite(zenith) & np.isfinite(azimuth)
    if known.any() and not known.all():
        nearest = scipy.ndimage.distance_transform_edt(~known, return_distances=False, return_indices=True)
        vectors = vectors[:, nearest[0], nearest[1]]
    return vectors, known


def _at(
    values: NDArray[np.floating], axes: Any, y: NDArray[np.floating], x: NDArray[np.floating]
) -> NDArray[np.floating]:
    """Interpolate bilinearly on all ``y`` by all ``x``, and extrapolate beyond the axes.

    As the product of two small matrices, not pixel by pixel.
    """
    rows, cols = axes
    detectors_seen: NDArray[np.floating] = _weights(rows[::-1], y) @ values[::-1] @ _weights(cols, x).T
    return detectors_seen


def _weights(known: NDArray[np.floating], wanted: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return (wanted, known): the weight of each known position for each wanted one."""
    result = np.zeros((len(wanted), len(known)))
    if len(known) == 1:
        return result + 1
    first = np.clip(np.searchsorted(known, wanted, "right") - 1, 0, len(known) - 2)
    share = (wanted - known[first]) / (known[first + 1] - known[first])
    each = np.arange(len(wanted))
    result[each, first], result[each, first + 1] = 1 - share, share
    return result


def _values(document: Document, within: ET.Element, path: str) -> Floats:
    rows = within.findall(f"{path}/Values_List/VALUES")
    try:
        return np.array([[float(v) for v in (row.text or "").split()] for row in rows], np.float32).reshape(
            len(rows), -1
        )
    except ValueError as error:
        raise GeodesError(f"The angles in {document.name} are damaged ({error}); fetch the product again.") from None


def _described(angles: xr.Dataset) -> xr.Dataset:
    for name, (standard, long) in _NAMES.items():
        if name in angles:
            angles[name].attrs |= {"standard_name": standard, "long_name": long, "units": "degree"}
    return angles
