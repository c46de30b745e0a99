"""Quicklooks for the catalogue, made from the pixels of the products."""

from __future__ import annotations

import re
import warnings
import zipfile
from pathlib import Path

import numpy as np
import rasterio
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning

_SIDE = 220  # pixels
_RGB = re.compile(r"(?:_FRE_B([234])\.tif|/IMG_DATA/[^/]*_B0([234])(?:_10m)?\.jp2)$")  # scale of MAJA; of Sentinel-2
_BRIGHT = 3500.0  # digital numbers shown as white


def write(product: Path, path: Path) -> None:
    """Write the quicklook of a product with red, green and blue bands; other products get none."""
    if product.suffix != ".zip":
        return
    with zipfile.ZipFile(product) as archive:
        files = {m[1] or m[2]: name for name in archive.namelist() if (m := _RGB.search(name))}
    if set(files) != set("234"):
        return
    bands = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)  # the position is not used here
        for band in "432":
            with rasterio.open(f"/vsizip/{product}/{files[band]}") as image:
                bands.append(image.read(1, out_shape=(_SIDE, _SIDE)))
    shown = np.clip(np.stack(bands, -1).astype("float32") / _BRIGHT, 0, 1) ** 0.7
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((shown * 255).astype("uint8")).save(path, quality=85)
