"""``gl.convert``: products as cloud-optimised GeoTIFFs with the same numbers."""

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
from geodes_lab.conversion import scene
from geodes_lab.conversion.report import ConversionFailed, Outcome, Report
from geodes_lab.errors import GeodesError
from geodes_lab.products import as_item, several
from geodes_lab.products.bands import name_of


def convert(
    items: Any, directory: str | os.PathLike[str], bands: str | Sequence[str] | None = None, *, overwrite: bool = False
) -> Report:
    """Convert products to cloud-optimised GeoTIFF, a file for each band, without changing any number.

    Read in place: nothing is downloaded or unzipped first. Each pixel of the new files is compared with the source
    before the product's Item is written. Dask computes it: on your cluster if you have one, else on this machine.

    Parameters
    ----------
    items
        Items of `geodes_lab.search`, dictionaries of Items, paths or URLs; one or several.
    directory
        A folder that all workers of your cluster can write to, such as a folder in your home; made if needed. Each
        product gets a folder in it, with a file ``<band>.tif`` for each band and the Item ``<product>.json``, which
        says where it comes from (``derived_from``, ``processing:software``, ``file:checksum``).
    bands
        Bands by any of their names, such as ``["red", "nir"]``. None: all that have a map grid.
    overwrite
        Whether to convert again what is there. If not, a product whose folder is there is left as it is.

    Returns
    -------
    Report
        Its ``items`` open with `geodes_lab.open_cube`; its ``table`` has sizes, and how quickly the source and the new
        files were read.

    Raises
    ------
    ConversionFailed
        If some products could not be read or written; the others are there. Nothing is left of those that failed.
    GeodesError
        If there is no product, two have the same name, or the directory cannot be written to.

    Notes
    -----
    The files keep scale and offset of the product, so that they open with the same measure. Deflate with a predictor,
    blocks of 512 pixels, overviews by average (nearest for classes).

    A Sentinel-1 product in its own geometry has no grid: use `geodes_lab.open_cube` and `geodes_lab.save`.

    Examples
    --------
    >>> import geodes_lab as gl                                          # doctest: +SKIP
    >>> scenes = gl.search("PEPS_S2_L1C", tile="31TCJ", datetime="2021-06")  # doctest: +SKIP
    >>> converted = gl.convert(scenes, "workspace/cog", bands=["red", "nir"])  # doctest: +SKIP
    >>> cube = gl.open_cube(converted.items, bands=["red", "nir"])       # doctest: +SKIP
    """
    products = several(items)
    if not products:
        raise GeodesError("There is no product to convert: the list is empty.")
    names = None if bands is None else arguments.names("bands", bands)
    if "://" in os.fspath(directory):
        raise GeodesError(f"gl.convert writes to a folder on a disk, not to {os.fspath(directory)}: give a path.")
    above = Path(directory).expanduser().resolve()
    try:
        above.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GeodesError(f"The folder {above} cannot be made ({error.strerror}): choose another one.") from error
    began = time.monotonic()
    described = [_described(p) for p in products]
    _refuse_twins(described)
    outcomes = [_seen(o) for o in dask.compute(*[_later(p, names, above, overwrite) for p in described])]
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


def _refuse_twins(described: Sequence[pystac.Item | GeodesError]) -> None:
    names = [name_of(d) for d in described if isinstance(d, pystac.Item)]
    if twice := sorted({n for n in names if names.count(n) > 1}):
        raise GeodesError(f"{twice[0]} is there {names.count(twice[0])} times: each product gets one folder.")


def _later(
    product: pystac.Item | GeodesError, names: list[str] | None, above: Path, overwrite: bool
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
    if outcome.scene is None or outcome.scene.item.exists():
        return outcome
    return Outcome(
        outcome.product,
        None,
        f"{outcome.product} was written to {outcome.scene.folder} by a worker on another machine, and is not here: "
        "choose a directory that all workers share with you, or stop the cluster to convert on this machine.",
    )


def _converted(
    document: dict[str, Any], link: str | None, names: list[str] | None, above: Path, overwrite: bool
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
