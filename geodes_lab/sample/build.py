"""The sample datalake: small products in their exact public formats, with known values, and their catalogue.

The layout is the platform's: ``datalake/<bucket>/<key>`` has the products, ``catalog/`` the Items in GEODES's form,
``truth/`` the expected values.
"""

from __future__ import annotations

import json
import os
import shutil
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from rasterio.errors import NotGeoreferencedWarning

from geodes_lab.sample import (
    catalogue,
    quicklook,
    spot,
    spot_files,
    spot_heritage,
    theia,
    theia_files,
    theia_others,
    truth,
    waves,
)
from geodes_lab.sample.edition import DONE, VERSION
from geodes_lab.sample.entries import Entry, entries
from geodes_lab.sample.sentinel1 import earthquake, grd, hills, ocn, safe, slc
from geodes_lab.sample.sentinel2 import l1c, l2a
from geodes_lab.sample.sentinel3 import products, sen3


def _quiet() -> None:
    """Silence a warning of rasterio: raw scenes and radar images have no map grid while they are written."""
    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)


def write(folder: Path, tell: Callable[[int, int, str], None] | None = None) -> None:
    """Write the sample datalake.

    Parameters
    ----------
    folder
        The folder. An earlier version of the sample is replaced; other content is an error.
    tell
        A function to report progress: gets the number of finished products, the number of all products, and the name of the
        last one.

    Raises
    ------
    FileExistsError
        If the folder has content that is not a sample datalake.

    Notes
    -----
    238 MB, and two minutes of CPU at most: about one minute on two cores that do nothing else. The bytes are always the
    same.
    """
    parts = ("datalake", "catalog", "truth")
    strangers = [p.name for p in folder.iterdir() if p.name not in (*parts, DONE)] if folder.exists() else []
    if strangers:
        raise FileExistsError(
            f"{folder} contains {strangers[0]}, which does not belong to the sample datalake: choose an empty folder."
        )
    for part in parts:
        shutil.rmtree(folder / part, ignore_errors=True)
    (folder / DONE).unlink(missing_ok=True)

    every = entries()
    truth.write(folder / "truth")
    # Processes, not threads: GDAL holds Python's lock while it encodes a JPEG 2000.
    with ProcessPoolExecutor(os.cpu_count(), mp_context=get_context("spawn"), initializer=_quiet) as pool:
        written = 0
        for days in as_completed(pool.submit(_products, group, folder / "datalake") for group in _by_day(every)):
            written += len(days.result())
            if tell:
                tell(written, len(every), days.result()[-1])
    catalogue.write(every, folder)
    (folder / DONE).write_text(json.dumps({"version": VERSION, "products": len(every)}))


_WRITERS: dict[type[Any], Callable[..., None]] = {
    grd.Product: safe.write,
    hills.Product: safe.write,
    hills.Model: hills.Model.write,
    ocn.Product: ocn.write,
    slc.Product: slc.write,
    earthquake.Product: earthquake.write,
    l1c.Scene: l1c.write,
    l2a.Product: l2a.write,
    products.Product: sen3.write,
    spot.Product: spot_files.write,
    spot_heritage.Product: spot_heritage.write,
    theia.Scene: theia_files.write,
    theia_others.LandCover: theia_others.LandCover.write,
    theia_others.LeafArea: theia_others.LeafArea.write,
    theia_others.Radar: theia_others.Radar.write,
    waves.Waves: waves.Waves.write,
}


def _by_day(entries: list[Entry]) -> list[list[Entry]]:
    """Group products whose truth is the same: Sentinel-2's of a day, those over hills, and a pair. The longest come first."""
    groups: dict[Any, list[Entry]] = {}
    for entry in entries:
        scene = entry.product
        same = (scene.time, scene.cloudiness) if isinstance(scene, l1c.Scene) else entry.key
        if isinstance(scene, hills.Product):
            same = "hills"
        if isinstance(scene, earthquake.Product):
            same = "earthquake"
        groups.setdefault(same, []).append(entry)
    return sorted(groups.values(), key=len, reverse=True)


def _products(entries: list[Entry], datalake: Path) -> list[str]:
    """Write products one after the other; return their names."""
    for entry in entries:
        _product(entry, datalake / entry.key)
    return [entry.name for entry in entries]


def _product(entry: Entry, path: Path) -> None:
    _WRITERS[type(entry.product)](entry.product, path)
    quicklook.write(path, path.parents[len(Path(entry.key).parts) - 1] / entry.quicklook)
