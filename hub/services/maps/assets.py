"""The files of pages with a map: each page's own, the common ones, and packages beside the hub's proxy."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from fastapi import HTTPException
from fastapi.responses import FileResponse, Response

_COMMON = Path(__file__).with_name("page")
COMMON = ("asking.js", "box.js", "corners.js", "land.js", "map.css", "named.js", "place.js", "shape.js", "where.js")
"""Of all pages with a map."""
# Packages of the registry, installed beside the hub's proxy.
_THEIRS = {
    "leaflet.js": "leaflet/dist/leaflet.js",
    "leaflet.css": "leaflet/dist/leaflet.css",
    "topojson.js": "topojson-client/dist/topojson-client.min.js",
    "land.json": "world-atlas/countries-50m.json",
    "geodesic.js": "geographiclib-geodesic/geographiclib-geodesic.min.js",
}
HEAD = "".join(
    f'<link rel="stylesheet" href="assets/{name}.css">' for name in ("leaflet", "map", "page")
) + "".join(f'<script src="assets/{name}.js" defer></script>' for name in ("leaflet", "topojson"))  # fmt: skip
HEAD += '<script src="assets/page.js" type="module"></script>'
"""Of a page with a map, whose own files are ``page.css`` and ``page.js``."""
_TYPES = {".js": "text/javascript", ".css": "text/css", ".json": "application/json"}


def asset(name: str, page: Path, own: Collection[str], modules: Path | None) -> Response:
    """Return a file of a page.

    Parameters
    ----------
    name
        Its name, as the request has it.
    page, own
        The folder of the page, and the names of its files.
    modules
        The folder ``node_modules`` with the map's library; None: the page has no map.

    Raises
    ------
    HTTPException
        404, if the page has no such file.
    """
    if name in own:
        path = page / name
    elif name in COMMON:
        path = _COMMON / name
    elif name in _THEIRS and modules is not None and (modules / _THEIRS[name]).is_file():
        path = modules / _THEIRS[name]
    else:
        raise HTTPException(404, f"There is no {name[:80]}.")
    return FileResponse(path, media_type=_TYPES[Path(name).suffix])
