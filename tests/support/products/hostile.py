"""What the tests of hostile products share: a child that opens them, files that nobody may read, what an Item says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine

from geodes_lab.products import bands
from tests.fuzz_products import Canary
from tests.support.products.sandboxed import Result, Sandbox

GRID = {"crs": "EPSG:32631", "transform": Affine(10, 0, 3e5, 0, -10, 4.8e6)}


SMALL = 700 * 2**20  # bytes: what the libraries take, and some tiles


Refused = Callable[..., str]


@pytest.fixture(scope="session")
def sandbox() -> Iterator[Sandbox]:
    with Sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def canary(tmp_path_factory) -> Canary:
    return Canary(tmp_path_factory.mktemp("other") / "canary")


@pytest.fixture
def opened(sandbox, canary, tmp_path) -> Callable[..., Result]:
    """Opens a product and reads a little of it; nothing may happen that no product may do, nor be read of another's."""

    def open(product: Path | dict[str, Any], use: str = "whole", most: int = SMALL) -> Result:
        canary.read()
        work = tmp_path / "work"
        work.mkdir(exist_ok=True)
        result = sandbox.open(product, work, use)
        assert result.problems == []
        assert canary.read() == []
        assert result.rss < most, f"{result.rss >> 20} MiB"
        return result

    return open


@pytest.fixture
def refused(opened) -> Refused:
    """As `opened`; gives the sentence of the refusal."""

    def refuse(product: Path | dict[str, Any], use: str = "whole", most: int = SMALL) -> str:
        result = opened(product, use, most)
        assert result.outcome == "refused"
        return result.text

    return refuse


def raster(path: Path, pixels: np.ndarray | None = None, **options: Any) -> Path:
    pixels = np.ones((1, 256, 256), "uint16") if pixels is None else pixels
    profile = {
        "driver": "GTiff",
        "count": len(pixels),
        "height": pixels.shape[1],
        "width": pixels.shape[2],
        "dtype": pixels.dtype,
    }
    with rasterio.open(path, "w", **(profile | GRID | options)) as file:
        file.write(pixels)
    return path


def band_item(href: str, **fields: Any) -> dict[str, Any]:
    """A band Item, as a hostile catalogue would give it: it says its grid, so that nobody looks."""
    told = {
        "proj:code": "EPSG:32631", "proj:shape": [150, 130], "proj:transform": [20, 0, 3e5, 0, -20, 4.8e6], "gsd": 20, "data_type": "uint16",
        "bands": [{"name": "b"}],
    }  # fmt: skip
    asset = {"href": href, "type": "image/tiff", "roles": ["data"], **told, **fields}
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": "i", "geometry": None, "properties": {"datetime": "2021-06-05T00:00:00Z"}, "links": [],
        "assets": {"b": asset},
    }  # fmt: skip


def gl_source(item: Any) -> Any:
    return bands.source(item, "b")
