"""Small products of two bands and a mask, written by rasterio: a region of 2 × 2 tiles of 64 pixels, some dates."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox

SIDE, TILE = 128, 64
TRANSFORM = Affine(10, 0, 500_000, 0, -10, 4_800_000)
BOX = GeoBox((SIDE, SIDE), TRANSFORM, "EPSG:32631")
DATES = ("2021-06-05", "2021-06-25", "2021-07-05")


def region(pixels: int = SIDE) -> dict[str, Any]:
    """The region as GeoJSON in degrees, a little smaller than the products."""
    grid = BOX[:pixels, :pixels]
    return dict(grid.extent.buffer(-15).to_crs("EPSG:4326").json)


def values(date: str) -> dict[str, Any]:
    numbers = np.random.default_rng(int(date.replace("-", "")))
    red, nir = (numbers.uniform(0.05, 0.4, (SIDE, SIDE)).astype("float32") for _ in range(2))
    red[:5, :5] = np.nan
    clouds = np.zeros((SIDE, SIDE), "uint8")
    clouds[60:68, 61:70] = 9
    return {"red": red, "nir": nir, "scl": clouds}


def item(folder: Path, date: str, **changes: Any) -> dict[str, Any]:
    """Write a product; gives its Item."""
    assets = {}
    for name, array in values(date).items():
        path = folder / f"{date}-{name}.tif"
        if not path.exists():
            nodata = np.nan if array.dtype.kind == "f" else 255
            with rasterio.open(
                path, "w", driver="GTiff", count=1, height=SIDE, width=SIDE, dtype=array.dtype, crs="EPSG:32631",
                transform=TRANSFORM, tiled=True, blockxsize=32, blockysize=32, nodata=nodata,
            ) as file:  # fmt: skip
                file.write(array, 1)
        band: dict[str, Any] = {"name": name, "data_type": str(array.dtype), "nodata": "nan" if name != "scl" else 255}
        assets[name] = {
            "href": path.as_uri(), "type": "image/tiff; application=geotiff", "roles": ["data"], "bands": [band],
            "proj:code": "EPSG:32631", "proj:shape": [SIDE, SIDE], "proj:transform": list(TRANSFORM)[:6],
        }  # fmt: skip
    shape = BOX.extent.to_crs("EPSG:4326")
    return {
        "type": "Feature", "stac_version": "1.1.0", "stac_extensions": [], "id": f"S_{date}", "collection": "S",
        "geometry": dict(shape.json), "bbox": list(shape.boundingbox.bbox),
        "properties": {"datetime": f"{date}T10:50:31Z", "proj:code": "EPSG:32631"} | changes,
        "links": [{"rel": "self", "href": f"https://catalogue.example/S_{date}"}], "assets": assets,
    }  # fmt: skip


def items(folder: Path, dates: Sequence[str] = DATES) -> list[dict[str, Any]]:
    return [item(folder, date) for date in dates]
