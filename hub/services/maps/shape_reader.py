"""Reads a file of shapes in a process of its own, which has little time and memory, and no secrets.

``python -m hub.services.maps.shape_reader NAME <FILE`` prints ``{"geometry": …}`` or ``{"error": …}``. Anybody may
have made the file: what crashes or hangs here does so alone.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import threading
from typing import Any

from geodes_lab.errors import GeodesError, shown
from hub.installation import TOP

_SECONDS, _BYTES = 30, 4 * 2**30
_AT_ONCE = threading.BoundedSemaphore(2)
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "PROJ_DATA", "PROJ_LIB", "GDAL_DATA")


def read(name: str, data: bytes) -> dict[str, Any]:
    """Return the shapes of a file as one GeoJSON geometry, in degrees.

    Raises
    ------
    GeodesError
        If it is none, or takes too long or too much memory.
    """
    environment = {k: os.environ[k] for k in _ENVIRONMENT if k in os.environ}
    command = [sys.executable, "-m", "hub.services.maps.shape_reader", name[:200].replace("\0", "")]
    if not _AT_ONCE.acquire(timeout=_SECONDS):
        raise GeodesError("Many files are read just now: try again in a moment.")
    try:
        done = subprocess.run(
            command, input=data, capture_output=True, timeout=_SECONDS, check=False, cwd=TOP,
            env={**environment, "PYTHONPATH": str(TOP), "OPENBLAS_NUM_THREADS": "1"},
        )  # fmt: skip
        answer = json.loads(done.stdout)
    except (subprocess.TimeoutExpired, ValueError):
        raise GeodesError(
            f"{shown(name[:200])} cannot be read: it takes too long, or is damaged. Simplify it, or write it anew."
        ) from None
    finally:
        _AT_ONCE.release()
    if "geometry" not in answer:
        raise GeodesError(answer["error"])
    geometry: dict[str, Any] = answer["geometry"]
    return geometry


def main() -> None:
    """Be the process."""
    for limit, most in (
        (resource.RLIMIT_CPU, _SECONDS),
        (resource.RLIMIT_AS, _BYTES),
        (resource.RLIMIT_FSIZE, 2**26),
        (resource.RLIMIT_CORE, 0),
    ):
        resource.setrlimit(limit, (most, most))
    import shapely

    from geodes_lab.catalog.harvested import terms
    from geodes_lab.vector import uploaded

    answer: dict[str, Any]
    try:
        area = uploaded.degrees("intersects", sys.argv[1], sys.stdin.buffer.read())
        corners = int(shapely.get_num_coordinates(area))
        if corners > terms.VERTICES:
            raise GeodesError(
                f"{shown(sys.argv[1])} has {corners:,} corners, and a search may have {terms.VERTICES:,}: simplify it."
            )
        answer = {"geometry": json.loads(shapely.to_geojson(area))}
    except GeodesError as error:
        answer = {"error": str(error)}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main()
