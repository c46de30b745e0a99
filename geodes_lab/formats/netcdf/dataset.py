"""NetCDF members: opened in place, lazily, in any of NetCDF's formats."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any
from uuid import uuid4

import numpy as np
import xarray as xr
from dask.array.core import normalize_chunks
from xarray.backends import BackendArray
from xarray.core.indexing import LazilyIndexedArray

from geodes_lab.archive.member import Member
from geodes_lab.errors import GeodesError
from geodes_lab.formats.netcdf import netcdf3, netcdf4
from geodes_lab.util import limits

_CHUNK = 2**25  # bytes of a decoded dask chunk at most; the files' own chunks are often a thousand times smaller
_DAMAGE = (
    OSError,
    KeyError,
    ValueError,
    TypeError,
    RuntimeError,
    IndexError,
    OverflowError,
    MemoryError,
    AttributeError,
)
_FLAGS = ("flag_values", "flag_masks", "flag_meanings")


def open(member: Member, name: str, group: str | None = None, *, decode: bool = True) -> xr.Dataset:
    """Open a NetCDF file, or a group of it.

    Parameters
    ----------
    member
        The file.
    name
        Its name in error messages: the member and the product.
    group
        A group of NetCDF-4, such as ``data_01/ku``; None: the root.
    decode
        Whether scale, offset, fill value and time are applied according to CF. Flags stay integers, see `decoded`.

    Returns
    -------
    xarray.Dataset
        Lazy; its variables are dask arrays with chunks of some 32 MB. All of it can be pickled, and workers read the
        file themselves. Only the metadata and the index coordinates are read now.

    Raises
    ------
    GeodesError
        If the file is empty, is not NetCDF, is damaged, or has no such group; on computing, if numbers are damaged.
    """
    dataset = stored(member, name, group)
    try:
        return chunked(decoded(dataset) if decode else xr.Dataset(dataset.variables, attrs=dataset.attrs))
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def stored(
    member: Member, name: str, group: str | None = None, *, wanted: Callable[[str], bool] | None = None
) -> xr.Dataset:
    """Open a file as `open` does, as it is stored: no decoding, no index, no dask.

    A selection reads only the selected values.

    Parameters
    ----------
    member, name, group
        See `open`.
    wanted
        Whether a variable is needed, by its name: in a file with hundreds of variables, each unneeded one costs a
        millisecond.

    Returns
    -------
    xarray.Dataset
        For `decoded` and `chunked`, after the unneeded variables are dropped.
    """
    try:
        file = member.open()
        head = file.read(4)
        if head in netcdf4.MAGIC:
            variables, attrs = netcdf4.read(member, file, name, group, wanted)
        elif head in netcdf3.MAGIC and group is None:
            variables, attrs = netcdf3.read(member)
        elif head in netcdf3.MAGIC:
            raise GeodesError(f"{name} is a NetCDF-3 file, which has no groups: it cannot have the group {group}.")
        else:
            problem = "is not a NetCDF file" if member.size else "is empty"
            raise GeodesError(f"{name} {problem} ({member.size} bytes): fetch the product again.")
        by_name = {k: told(v, f"{k} of {name}") for k, v in variables.items() if wanted is None or wanted(k)}
        for key, variable in by_name.items():
            size = variable.size * variable.dtype.itemsize
            limits.refuse(f"{key} of {name}", size, limits.ARRAY)
            if variable.dims == (key,):  # it becomes an index, and is read as a whole
                limits.refuse(f"The coordinate {key} of {name}", size, limits.COORDINATE)
        coordinates = xr.Coordinates({k: v for k, v in by_name.items() if v.dims == (k,)}, indexes={})
        return xr.Dataset({k: v for k, v in by_name.items() if v.dims != (k,)}, coordinates, dict(attrs))
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def groups(member: Member, name: str) -> list[str]:
    """Return the paths of the groups of a file, two levels deep; NetCDF-3 has none.

    Raises
    ------
    GeodesError
        If the file is damaged, or has more links than any product.
    """
    try:
        return netcdf4.groups(member, name) if member.read(0, 4) in netcdf4.MAGIC else []
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def decoded(dataset: xr.Dataset, times: bool | Mapping[str, bool] = True) -> xr.Dataset:
    """Apply scale, offset, fill value and time according to CF, lazily; index coordinates are read.

    Parameters
    ----------
    dataset
        From `stored`.
    times
        Which variables become times, of those with such units: their first and last numbers are read now.

    Returns
    -------
    xarray.Dataset
        Missing numbers become NaN. Flags (CF's ``flag_values``, ``flag_masks``, ``flag_meanings``) stay integers, with
        ``_FillValue`` among their attributes: no class is masked.
    """
    masked: Any = {k: not _is_flag(v) for k, v in dataset.variables.items()}
    # decode_cf declares a bool, but accepts a mapping too, and forwards it.
    wanted: Any = {k: times if isinstance(times, bool) else times.get(str(k), False) for k in dataset.variables}
    return xr.decode_cf(dataset, mask_and_scale=masked, decode_times=wanted, decode_timedelta=False)


def chunked(dataset: xr.Dataset) -> xr.Dataset:
    """Make dask arrays of the variables, in chunks of some 32 MB along the edges of the file's chunks.

    The file's encoding is dropped: a saved copy is not stored in the chunks of the file.
    """
    arrays = {
        k: v.chunk(_chunks(v), name=f"{k}-{uuid4().hex}")
        for k, v in dataset.variables.items()
        if k not in dataset.xindexes
    }
    coords = {k: v for k, v in arrays.items() if k in dataset.coords}
    result = dataset.assign({k: v for k, v in arrays.items() if k not in coords}).assign_coords(coords)
    return result.drop_encoding()


def _chunks(variable: xr.Variable) -> dict[Any, tuple[int, ...]]:
    if not variable.size or variable.size * variable.dtype.itemsize <= _CHUNK:
        return {d: (n,) for d, n in variable.sizes.items()}
    edges = variable.encoding.get("preferred_chunks", {})
    before = [_repeated(edges.get(d, 1), n) for d, n in zip(variable.dims, variable.shape, strict=True)]
    sizes = normalize_chunks(
        "auto", variable.shape, limit=_CHUNK, dtype=variable.dtype, previous_chunks=before if edges else None
    )
    return dict(zip(variable.dims, sizes, strict=True))


def _repeated(step: int, size: int) -> tuple[int, ...]:
    step = max(step, -(-size // limits.PIECES))  # edges so close to each other have no meaning
    return tuple(min(step, size - at) for at in range(0, size, step))


def _is_flag(variable: xr.Variable) -> bool:
    attrs = variable.attrs
    return variable.dtype.kind in "iu" and any(f in attrs for f in _FLAGS) and "scale_factor" not in attrs


def told(variable: xr.Variable, name: str, form: str = "NetCDF") -> xr.Variable:
    """Return the same lazy variable, with an error message for failed reads that calls it ``name``."""
    lazy: Any = variable._data  # a LazilyIndexedArray
    array = LazilyIndexedArray(_Numbers(lazy.array, name, form))
    return xr.Variable(variable.dims, array, variable.attrs, variable.encoding)


class _Numbers(BackendArray):
    """The data of a variable, with an error message for failed reads."""

    def __init__(self, array: Any, name: str, form: str) -> None:
        self.array, self.name, self.form = array, name, form
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, key: Any) -> Any:
        try:
            return np.asarray(self.array[key])
        except Exception as error:  # any error of a library or a codec
            raise _damaged(self.name, error, self.form) from error


def _damaged(name: str, error: Exception, form: str = "NetCDF") -> GeodesError:
    cause: BaseException | None = error
    while cause is not None:  # an error of the datalake arrives here through HDF5
        if isinstance(cause, GeodesError):
            return cause
        cause = cause.__cause__ or cause.__context__
    reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return GeodesError(f"{name} cannot be read as {form} ({reason}); fetch the product again.")
