"""One array of an HDF5 file on a grid of latitude and longitude, read in place and put on any grid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling

from geodes_lab.archive.member import Member
from geodes_lab.errors import GeodesError
from geodes_lab.formats.netcdf import hdf5
from geodes_lab.raster import warp
from geodes_lab.raster.source import RasterSource, Span
from geodes_lab.util import limits

_AT_ONCE = 2**25  # pixels that are warped at once, in double precision


@dataclass(frozen=True)
class Layer:
    """Reads an array of HDF5: a `geodes_lab.raster.source.Gridder`."""

    member: Member
    """The file."""
    path: str
    """The array's path in it."""
    highest: float | None = None
    """The greatest valid number, if known; numbers above it are codes that explain why there is none."""

    @property
    def note(self) -> str:
        """Describe the geometry: nothing is displaced."""
        return "on the file's own grid of longitudes and latitudes"

    def numbers(
        self, source: RasterSource, grid: GeoBox, resampling: Resampling
    ) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        """Read the numbers of a grid, before scale and offset, and where they are data; see `Gridder`."""
        place = source.place_on(grid)
        if place is not None:
            rows, cols, window = place
            stored, there = self._read(
                source,
                (window.row_off, window.row_off + window.height),
                (window.col_off, window.col_off + window.width),
            )
            numbers, valid = np.zeros(grid.shape, stored.dtype), np.zeros(grid.shape, bool)
            numbers[rows, cols], valid[rows, cols] = stored, there
            return numbers, valid
        across: Span
        down, across = source.spans(grid)
        if down[1] <= down[0] or across[1] <= across[0]:
            return np.zeros(grid.shape, np.float32), np.zeros(grid.shape, bool)
        pixels = (down[1] - down[0]) * (across[1] - across[0])
        limits.refuse_pixels(source, pixels)
        if pixels > _AT_ONCE and max(grid.shape) > 1:
            axis = int(grid.shape[1] > grid.shape[0])
            middle = grid.shape[axis] // 2
            halves = (grid[:, :middle], grid[:, middle:]) if axis else (grid[:middle], grid[middle:])
            parts = [self.numbers(source, half, resampling) for half in halves]
            return np.concatenate([p[0] for p in parts], axis), np.concatenate([p[1] for p in parts], axis)
        stored, there = self._read(source, down, across)
        return warp.warped(stored, there, (down[0], across[0]), source, grid, resampling)

    def _read(self, source: RasterSource, rows: Span, cols: Span) -> tuple[NDArray[Any], NDArray[np.bool_]]:
        try:
            with h5py.File(self.member.open(), "r") as file:
                hdf5.check_links(file, self.member.place.href)
                array = file[self.path]
                if array.shape != source.shape:
                    shape = " × ".join(map(str, array.shape))
                    raise source.contradiction(f"has {shape} pixels, not {source.shape[0]} × {source.shape[1]}")
                about = f"{self.path} of {self.member.place.href}"
                hdf5.check(array, about)
                hdf5.check_chunks(array, (slice(*rows), slice(*cols)), about)
                numbers = np.asarray(array[rows[0] : rows[1], cols[0] : cols[1]])
        except GeodesError:
            raise
        except Exception as error:  # any error of HDF5 and the libraries below it
            reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
            raise GeodesError(
                f"Band {source.band} of {source.product} could not be read: its file is damaged ({reason}); fetch the "
                "product again."
            ) from error
        there = source.there(numbers)
        if self.highest is not None:
            there &= numbers <= self.highest
        return numbers, there
