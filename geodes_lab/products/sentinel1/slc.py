"""Sentinel-1 SLC: complex images in slant range, a node for each swath, polarisation and burst."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from typing import Any

import dask.array as da
import numpy as np
import pandas as pd
import pystac
import shapely
import xarray as xr
from numpy.typing import NDArray

from geodes_lab.errors import GeodesError
from geodes_lab.products import as_item, packed
from geodes_lab.products.bands import name_of
from geodes_lab.products.sentinel1 import calibration
from geodes_lab.products.sentinel1.burst import Burst
from geodes_lab.products.sentinel1.burst import bursts as bursts_of
from geodes_lab.products.sentinel1.image import Image, geolocation, images, missing
from geodes_lab.reading import sensor_window

_NAME = re.compile(r"S1[A-D]_(IW|EW|SM|WV|S\d)_SLC_")
_CHUNK = 2**24  # bytes: whole lines, as the file has them


def matches(item: pystac.Item) -> bool:
    """Whether an Item is such a product: by its name, or its type."""
    return bool(_NAME.match(name_of(item))) or item.properties.get("product:type") == "SLC"


def unpack(item: pystac.Item, bands: Sequence[str] | None = None) -> pystac.Item:
    """Refuse: complex images in slant range cannot become a cube."""
    raise GeodesError(
        f"{name_of(item)} is Sentinel-1 SLC, with complex numbers in slant range: it cannot be part of a cube; use "
        "gl.open_product, or the GRD product of the same pass."
    )


def open(item: pystac.Item) -> xr.DataTree:
    """Open a product as ``/iw1/vh/burst_1`` and so on.

    Modes without bursts (SM, WV) have ``/s3/vv`` or ``/wv1/vv/image_001``.

    Each has ``measurement``, complex64, NaN where a sample is not valid; dims ``(line, pixel)``, with ``azimuth_time``
    (UTC) and ``slant_range_time`` (two-way, s) as coordinates. Beside the bursts are ``orbit``, ``geolocation`` and
    ``calibration``.
    """
    archive = packed.archive(item)
    nodes: dict[str, Any] = {}
    gone = missing(archive)
    for path, image in _named(list(images(archive))):
        annotation = image.annotation
        about = {
            "title": image.source.product,
            "time": str(annotation.start),
            "source": archive.place.href,
            "geometry": "slant range: not on a map",
            "Conventions": "CF-1.11",
            **({"missing": gone} if gone else {}),
        }
        nodes.setdefault("/", xr.Dataset(attrs=about))
        nodes[path] = xr.Dataset(attrs={"swath": annotation.swath, "polarisation": annotation.polarisation})
        for burst in bursts_of(annotation, image.document):
            nodes[f"{path}/{_name(burst)}"] = _node(image, burst)
        nodes[f"{path}/geolocation"] = geolocation(annotation)
        nodes[f"{path}/calibration"] = _calibration(calibration.read(archive, image.calibration))
        if annotation.orbit is not None:
            nodes[f"{path}/orbit"] = _orbit(image)
    return xr.DataTree.from_dict(nodes)


def bursts(
    product: pystac.Item | dict[str, Any] | str | os.PathLike[str],
    bbox: tuple[float, float, float, float] | None = None,
) -> pd.DataFrame:
    """List the bursts of a product, or those that meet a box; the annotations are read, no sample.

    Parameters
    ----------
    product
        An Item of `geodes_lab.search`, a dictionary of one, or a path or URL.
    bbox
        West, south, east, north in degrees; None: all.

    Returns
    -------
    pandas.DataFrame
        ``path`` (of the node in `geodes_lab.open_product`'s tree), ``swath``, ``polarisation``, ``burst``,
        ``burst_id``, ``azimuth_time`` and ``footprint`` (a shapely polygon, degrees).
    """
    archive = packed.archive(as_item(product))
    rows = []
    for path, image in _named(list(images(archive))):
        annotation = image.annotation
        for burst in bursts_of(annotation, image.document):
            footprint = burst.footprint(annotation)
            if bbox is None or footprint.intersects(shapely.box(*bbox)):
                rows.append(
                    {
                        "path": f"{path}/{_name(burst)}",
                        "swath": annotation.swath,
                        "polarisation": annotation.polarisation,
                        "burst": burst.number,
                        "burst_id": burst.identifier,
                        "azimuth_time": burst.start,
                        "footprint": footprint,
                    }
                )
    names = ("path", "swath", "polarisation", "burst", "burst_id", "azimuth_time", "footprint")
    return pd.DataFrame(rows, columns=list(names))


def _named(product_images: list[Image]) -> Iterator[tuple[str, Image]]:
    """Yield the path of each image's node; in wave mode a swath has many, numbered like their files."""
    for image in product_images:
        annotation = image.annotation
        path = f"/{annotation.swath.lower()}/{annotation.polarisation.lower()}"
        yield (f"{path}/image_{image.member[-7:-4]}" if annotation.mode == "WV" else path), image


def _name(burst: Burst) -> str:
    return f"burst_{burst.number}" if burst.number else "image"


def _node(image: Image, burst: Burst) -> xr.Dataset:
    annotation = image.annotation
    rows, cols = burst.lines[1] - burst.lines[0], annotation.shape[1]
    high = max(_CHUNK // (8 * cols), 1)
    numbers = sensor_window.lazy(image.source, "complex64", burst.lines, (high, cols))
    measured = da.map_blocks(
        _valid, numbers, burst.first, burst.last, dtype="complex64", meta=np.empty((0, 0), "complex64")
    )
    coords = {
        "line": np.arange(*burst.lines),
        "pixel": np.arange(cols),
        "azimuth_time": (
            "line",
            burst.start + np.rint(np.arange(rows) * annotation.interval * 1e9).astype("timedelta64[ns]"),
        ),
        "slant_range_time": (
            "pixel",
            annotation.slant_range_time + np.arange(cols) / annotation.range_rate,
            {"units": "s", "long_name": "two-way slant range time"},
        ),
    }
    about = {"long_name": "complex backscatter, not calibrated", "units": "1"}
    attrs = {"burst": burst.number, **({"burst_id": burst.identifier} if burst.identifier is not None else {})}
    return xr.Dataset({"measurement": (("line", "pixel"), measured, about)}, coords=coords, attrs=attrs)


def _valid(
    numbers: NDArray[np.complex64], first: NDArray[np.int64], last: NDArray[np.int64], block_info: Any = None
) -> NDArray[np.complex64]:
    """Set samples that are not valid to NaN."""
    (top, bottom), (left, right) = block_info[None]["array-location"]
    pixel = np.arange(left, right)
    rows = slice(top, bottom)
    there = (pixel >= first[rows, np.newaxis]) & (pixel <= last[rows, np.newaxis]) & (first[rows, np.newaxis] >= 0)
    return np.where(there, numbers, np.complex64(complex("nan+nanj")))


def _calibration(tables: dict[str, calibration.Table]) -> xr.Dataset:
    """Return the tables on the pixels of their first vector."""
    first = next(iter(tables.values()))
    pixel = first.pixel[0]
    variables = {
        name: (("line", "pixel"), table.at(table.line, pixel), {"long_name": f"what a number is divided by for {name}"})
        for name, table in tables.items()
    }
    return xr.Dataset(variables, coords={"line": first.line.astype(int), "pixel": pixel.astype(int)})


def _orbit(image: Image) -> xr.Dataset:
    orbit = image.annotation.orbit
    assert orbit is not None
    dims = ("azimuth_time", "axis")
    return xr.Dataset(
        {
            "position": (dims, orbit.position, {"units": "m", "long_name": "position, Earth fixed"}),
            "velocity": (dims, orbit.velocity, {"units": "m s-1", "long_name": "velocity, Earth fixed"}),
        },
        coords={"azimuth_time": orbit.time, "axis": ["x", "y", "z"]},
    )
