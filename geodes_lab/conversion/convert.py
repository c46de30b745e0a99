"""``gl.convert``: products as cloud-optimised GeoTIFFs, or as one cube, with the same numbers."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import dask
import pystac
from dask.delayed import Delayed

from geodes_lab import arguments
from geodes_lab.conversion import cube, scene
from geodes_lab.conversion.report import ConversionFailed, Outcome, Report
from geodes_lab.errors import GeodesError
from geodes_lab.products import as_item, several
from geodes_lab.products.bands import name_of
from geodes_lab.storage.whole_object import folder


def convert(
    items: Any,
    to: str | os.PathLike[str],
    bands: str | Sequence[str] | None = None,
    *,
    objects: int = 32,
    overwrite: bool = False,
) -> Report:
    """Convert products to cloud-optimised GeoTIFF or to one GeoZarr cube, without changing any number.

    Read in place: nothing is downloaded or unzipped first. Each pixel of the new files is compared with the source
    before a product's Item is written. Dask computes it: on your cluster if you have one, else on this machine.

    Parameters
    ----------
    items
        Items of `geodes_lab.search`, dictionaries of Items, paths or URLs; one or several.
    to
        A folder for GeoTIFFs: each product gets a folder in it, with a file ``<band>.tif`` for each band and the Item
        ``<product>.json``. Or a name that ends in ``.zarr`` for one cube of all products, with a group for each grid
        (``r10m``) and arrays ``(time, y, x)``; beside it are ``….json``, which has an Item for each product, and
        ``….zarr.sha256``, which ``sha256sum -c`` checks. All workers of your cluster must be able to write there: a
        folder of your home, or ``s3://bucket/folder`` on the datalake. Items say where they come from
        (``derived_from``, ``processing:software``, ``file:checksum``).
    bands
        Bands by any of their names, such as ``["red", "nir"]``. None: all that have a map grid.
    objects
        Megabytes that each object of a cube has at least on disk, where there are enough numbers: 32; for tape 100.
        No object has more than 256 MiB of numbers, which are in memory as a whole.
    overwrite
        Whether to convert again what is there. If not, products that are there are left as they are. A cube in a bucket
        is never replaced.

    Returns
    -------
    Report
        Its ``items`` open with `geodes_lab.open_cube`; its ``table`` has sizes, and how quickly the source and the new
        files were read.

    Raises
    ------
    ConversionFailed
        If some products could not be converted to GeoTIFF; the others are there. Nothing is left of those that failed.
    GeodesError
        If there is no product, two have the same name, or it cannot be written. If the products of a cube differ in
        grid, type or bands, or one cannot be read. What is written of a cube is kept in ``.<name>.zarr.partial``, and
        the same call goes on there, also after the process was killed.

    Notes
    -----
    The files keep scale and offset of the product, so that they open with the same measure. GeoTIFFs have deflate with
    a predictor, blocks of 512 pixels, and overviews by average (nearest for classes). Cubes have Zarr 3 with shards,
    chunks of 512 pixels, zstd, and levels of half the pixels by average of what is data.

    A Sentinel-1 product in its own geometry has no grid: use `geodes_lab.open_cube` and `geodes_lab.save`.

    Examples
    --------
    >>> import geodes_lab as gl                                          # doctest: +SKIP
    >>> scenes = gl.search("PEPS_S2_L1C", tile="31TCJ", datetime="2021-06")  # doctest: +SKIP
    >>> converted = gl.convert(scenes, "workspace/cog", bands=["red", "nir"])  # doctest: +SKIP
    >>> cube = gl.open_cube(converted.items, bands=["red", "nir"])       # doctest: +SKIP
    >>> gl.convert(scenes, "workspace/june.zarr", bands=["red", "nir"])  # doctest: +SKIP
    """
    products = several(items)
    if not products:
        raise GeodesError("There is no product to convert: the list is empty.")
    names = None if bands is None else arguments.names("bands", bands)
    least = arguments.whole("objects", objects, "a number of megabytes, at least 1", 1) * 10**6
    replaces = arguments.flag("overwrite", overwrite)
    target = folder.at(to)
    began = time.monotonic()
    if target.place.name.endswith(".zarr"):
        scenes = cube.convert(products, names, target, least, replaces)
        return Report([Outcome(name, scene) for name, scene in scenes], time.monotonic() - began)
    if target.is_disk:
        try:
            target.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise GeodesError(f"The folder {target} cannot be made ({error.strerror}): choose another one.") from error
    described = [_described(p) for p in products]
    scene.refuse_twins([d for d in described if isinstance(d, pystac.Item)])
    outcomes = [_seen(o) for o in dask.compute(*[_later(p, names, target, replaces) for p in described])]
    report = Report(outcomes, time.monotonic() - began)
    if failed := {o.product: o.problem for o in outcomes if o.scene is None}:
        raise ConversionFailed(failed, report)
    return report


def _described(product: Any) -> pystac.Item | GeodesError:
    """The product's Item; or why there is none, so that the other products are converted all the same."""
    try:
        return as_item(product)
    except GeodesError as error:
        return GeodesError(f"{str(product)[:200]}: {error}")


def _later(
    product: pystac.Item | GeodesError, names: list[str] | None, above: folder.ObjectFolder, overwrite: bool
) -> Delayed | Outcome:
    if isinstance(product, GeodesError):
        return Outcome(str(product).partition(":")[0], None, str(product))
    link = product.get_self_href()
    later: Delayed = dask.delayed(_converted, pure=False)(
        product.to_dict(transform_hrefs=False), link, names, above, overwrite
    )
    return later


def _seen(outcome: Outcome) -> Outcome:
    """Say so if a worker has written to a disk of its own."""
    if outcome.scene is None or "://" in outcome.scene.folder or Path(outcome.scene.folder).exists():
        return outcome
    return Outcome(
        outcome.product,
        None,
        f"{outcome.product} was written to {outcome.scene.folder} by a worker on another machine, and is not here: "
        "choose a directory that all workers share with you, or stop the cluster to convert on this machine.",
    )


def _converted(
    document: dict[str, Any], link: str | None, names: list[str] | None, above: folder.ObjectFolder, overwrite: bool
) -> Outcome:
    """Convert one product, in a worker; an error is part of the outcome, so that the other products go on."""
    item = as_item(document)
    item.set_self_href(link)
    product = name_of(item)
    try:
        there = None if overwrite else scene.there(item, names, above)
        return Outcome(product, there or scene.convert(item, names, above))
    except GeodesError as error:
        return Outcome(product, None, str(error))
    except OSError as error:
        problem = f"{product} could not be written ({error.strerror or error}): make room, or choose another directory."
        return Outcome(product, None, problem)
