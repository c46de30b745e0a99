"""EODAG-cube's way to a window of a zipped JPEG 2000 on S3, in an environment of its own: its pins are not ours.

`tests/benchmarks/read.py --only eodag` makes the environment and runs this file in it. EODAG itself is left out: the
function that opens what EODAG found is called, as `EOProduct.to_xarray` does.
"""

from __future__ import annotations

import json
import sys
import time
from types import SimpleNamespace

import fsspec
from eodag_cube.utils.xarray import try_open_dataset


def main(endpoint: str, box: tuple[float, float, float, float], members: list[tuple[str, str]]) -> None:
    """Read the window of each member of each zip; print the seconds."""
    import rioxarray  # noqa: F401  (imported before the clock starts, as all else)

    options = {"key": "bench", "secret": "bench-secret", "client_kwargs": {"endpoint_url": endpoint}}
    fs = fsspec.filesystem("s3", **options)
    fs.storage_options = options
    began = time.perf_counter()
    for archive, member in members:
        url = f"zip+s3://{archive}!{member}"
        found = try_open_dataset(SimpleNamespace(fs=fs, full_name=url, path=url), engine="rasterio", chunks=None)
        west, south, east, north = box
        found.band_data.sel(x=slice(west, east), y=slice(north, south)).compute()
    print(time.perf_counter() - began)


if __name__ == "__main__":
    main(**json.loads(sys.argv[1]))
