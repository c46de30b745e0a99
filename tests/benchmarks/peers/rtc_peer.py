"""Radiometric terrain correction by sarsen; run by an environment that has it: ``python rtc_peer.py SAFE DEM OUT HOW INTERPOLATION CHUNKS``."""

from __future__ import annotations

import json
import sys
import time

import dask
from peak import peak
from sarsen import Sentinel1SarProduct, terrain_correction


def main() -> None:
    safe, dem, out, how, interpolation, chunks = sys.argv[1:]
    product = Sentinel1SarProduct(safe, "IW/VV")
    began, cpu = time.perf_counter(), time.process_time()
    radiometry = None if how == "none" else how
    with dask.config.set(scheduler="threads", num_workers=2):
        terrain_correction(
            product,
            dem,
            output_urlpath=out,
            correct_radiometry=radiometry,
            interp_method=interpolation,
            seed_step=(32, 32),
            chunks=int(chunks),
        )
    print(json.dumps([time.perf_counter() - began, time.process_time() - cpu, peak()]))


if __name__ == "__main__":
    main()
