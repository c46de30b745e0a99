"""The form of a result: one cube of tiles, a file of each unit, a table; and how large its pixels are."""

from __future__ import annotations

from typing import Any

from odc.geo.crs import CRS

from geodes_lab import arguments
from geodes_lab.batch.request import Output
from geodes_lab.errors import GeodesError
from geodes_lab.processing.process import Process


def refuse_tiles(process: Process, has_region: bool, clip: bool, output: str | None) -> None:
    """Refuse what only processes over a cube can do: their maps have tiles."""
    if has_region and process.inputs.place is None:
        raise GeodesError(f"The process {process.id} takes no region=: its inputs say where ({_few(process)}).")
    if clip:
        raise GeodesError(f"The process {process.id} computes the whole box of a region: leave out clip=.")
    if output == "zarr":
        raise GeodesError(f"The process {process.id} gives a GeoTIFF of each unit: leave out output=.")


def _few(process: Process) -> str:
    return ", ".join(process.inputs.names) or "it has none"


def resolution(process: Process, crs: int | None, asked: float | None) -> float | None:
    """Return the size of a pixel that is asked for, or that of the process, which is in metres."""
    size = None if asked is None else arguments.number("resolution", asked, "a pixel's size")
    least = process.resolution
    if least is None or (crs is not None and _is_geographic(crs)):
        return size
    if size is not None and size < least:
        raise GeodesError(f"The process {process.id} is for pixels of {least:g} m or more: give resolution={least:g}.")
    return least if size is None else size


def _is_geographic(crs: int) -> bool:
    try:
        return bool(CRS(f"EPSG:{crs}").geographic)
    except ValueError:  # of pyproj: the grid will say that there is none
        return True


def output(process: Process, asked: str | None, region: Any) -> Output:
    """Return the form of a result: what the process gives, or as which file maps are asked for."""
    if process.gives != "raster":
        if asked is not None:
            raise GeodesError(f"The process {process.id} gives no maps: leave out output=.")
        return process.gives
    if process.takes == "items":
        return "cog"
    arguments.choice("output", asked or "zarr", ("zarr", "cog"))
    if asked == "zarr" and region is None:
        raise GeodesError("output='zarr' is one cube over a region: give region=, or output='cog'.")
    return "zarr" if (asked or ("zarr" if region is not None else "cog")) == "zarr" else "cog"
