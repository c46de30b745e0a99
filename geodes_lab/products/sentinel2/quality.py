"""The quality of each pixel of a Sentinel-2 product.

Detectors, defects and clouds, for each baseline.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import dask.array as da
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from geodes_lab.archive.archive import Archive
from geodes_lab.products.sentinel2.bands import BANDS, NUMBERS, TILES
from geodes_lab.products.sentinel2.safe_metadata import Safe
from geodes_lab.raster.source import RasterSource
from geodes_lab.reading import window

# Bands of MSK_QUALIT, since baseline 04.00, in ESA's numbering; bits of the variable in the same order.
_FLAGS = (
    "ancillary_packet_lost",
    "ancillary_packet_degraded",
    "instrument_packet_lost",
    "instrument_packet_degraded",
    "defective",
    "no_data",
    "partially_corrected_crosstalk",
    "saturated",
)
# Earlier, a file of polygons for each; their titles.
_POLYGONS = {
    "defect": "defective pixels",
    "nodata": "pixels without data",
    "satura": "saturated pixels",
    "tecqua": "lost or degraded packets",
}
_DETECTORS = 12


def detectors(archive: Archive, safe: Safe, resolution: int) -> dict[str, da.Array]:
    """Return the detector that saw each pixel of the bands of a resolution, by common name, lazily; 0: none.

    Nothing is read.
    """
    result = {}
    for band in BANDS:
        member = _member(archive, "DETFOO", band.name) if band.resolution == resolution else None
        if member is None or band.common_name is None:
            continue
        source = _source(archive, safe, member, resolution)
        if member.endswith(".jp2"):
            result[band.common_name] = window.lazy(source)
        else:  # the polygons of each detector, one after the other
            result[band.common_name] = da.stack(
                [
                    window.lazy(replace(source, band=f"{source.band}_DETECTOR{n:02d}")) * np.uint8(n)
                    for n in range(1, _DETECTORS + 1)
                ]
            ).max(axis=0)
    return result


def footprint(archive: Archive, safe: Safe, band: str) -> RasterSource | None:
    """Describe the image, or the file of polygons, of a band's detectors; None if the product has none."""
    member = _member(archive, "DETFOO", band)
    resolution = BANDS[NUMBERS[band]].resolution
    return None if member is None else replace(_source(archive, safe, member, resolution), is_class=True)


def node(archive: Archive, safe: Safe, resolution: int, seen: dict[str, da.Array]) -> xr.Dataset:
    """Return the quality of the bands of a resolution, as a node of a tree; lazy, nothing is read.

    ``detector_red`` and so on; since baseline 04.00 ``quality_red``, a bit field; earlier, ``defect_red``,
    ``nodata_red``, ``satura_red`` and ``tecqua_red``, each 1 where it applies. Dims ``(y, x)``, uint8.
    """
    variables: dict[str, Any] = {}
    for name, values in seen.items():
        variables[f"detector_{name}"] = (("y", "x"), values, {"long_name": f"detector that saw the pixel, {name}"})
    for band in BANDS:
        if band.resolution != resolution:
            continue
        if member := _member(archive, "QUALIT", band.name):
            source = _source(archive, safe, member, resolution)
            bits = [
                window.lazy(replace(source, index=n + 1)).astype(bool).astype(np.uint8) << n for n in range(len(_FLAGS))
            ]
            about = {
                "long_name": f"quality of the pixel, {band.common_name}",
                "flag_masks": np.array([1 << n for n in range(len(_FLAGS))], np.uint8),
                "flag_meanings": " ".join(_FLAGS),
            }
            variables[f"quality_{band.common_name}"] = (("y", "x"), _joined(bits), about)
        for kind, title in _POLYGONS.items():
            member = _member(archive, kind.upper(), band.name)
            if member and member.endswith(".gml"):
                source = replace(_source(archive, safe, member, resolution), band=f"{kind}_ANY")
                about = {"long_name": f"{title}, {band.common_name}"}
                variables[f"{kind}_{band.common_name}"] = (("y", "x"), window.lazy(source), about)
    return xr.Dataset(variables)


def _joined(bits: list[da.Array]) -> da.Array:
    together = bits[0]
    for other in bits[1:]:
        together = together | other
    return together


def _member(archive: Archive, kind: str, band: str) -> str | None:
    result = archive.matching(rf"QI_DATA/(?:\w+_)?MSK_{kind}_(?:\w+_)?{re.escape(band)}(?:_MSIL1C)?\.(?:jp2|gml)")
    return result[0] if len(result) == 1 else None


def _source(archive: Archive, safe: Safe, member: str, resolution: int) -> RasterSource:
    transform, shape = safe.grids[resolution]
    return RasterSource(
        href=archive.gdal(member),
        product=safe.name,
        band=re.sub(r"\.\w+$", "", member.rsplit("/", 1)[-1]),
        epsg=safe.epsg,
        transform=transform,
        shape=shape,
        dtype="uint8",
        stored=archive.range(member),
        tile=TILES[resolution],
    )


def saturated(source: RasterSource) -> da.Array:
    """Return where a band is saturated, lazily: uint8."""
    plain = replace(source, scale=1.0, offset=0.0, dtype="uint16", nodata=None, saturated=None)
    return window.lazy(plain).map_blocks(_flagged, source=source, dtype=np.uint8)


def _flagged(numbers: NDArray[np.uint16], source: RasterSource) -> NDArray[np.uint8]:
    return source.is_saturated(numbers).astype(np.uint8)


def true_colour(archive: Archive, safe: Safe, member: str, resolution: int) -> da.Array:
    """Return the product's true-colour picture (TCI): dims (rgb, y, x), uint8, lazily."""
    source = _source(archive, safe, member, resolution)
    return da.stack([window.lazy(replace(source, index=n)) for n in (1, 2, 3)])
