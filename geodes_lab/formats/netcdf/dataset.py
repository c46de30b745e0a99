"""Members that are NetCDF: opened in place, lazily, whichever of its formats they have."""

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

_CHUNK = 2**25  # bytes of a dask chunk at most, decoded; those of the files are often a thousand times smaller
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
        What sentences call it: the member and the product.
    group
        A group of NetCDF-4, such as ``data_01/ku``; None: the root.
    decode
        Whether scale, offset, fill value and time are applied, as CF says. Flags stay integers, see `decoded`.

    Returns
    -------
    xarray.Dataset
        Lazy, its variables dask arrays of some 32 MB a chunk; all of it can be pickled, and workers read the file
        themselves. Only what describes the file is read now, and the coordinates that are indexes.

    Raises
    ------
    GeodesError
        If the file is empty, is no NetCDF, is damaged, or has no such group; on computing, if numbers are damaged.
    """
    found = stored(member, name, group)
    try:
        return chunked(decoded(found) if decode else xr.Dataset(found.variables, attrs=found.attrs))
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def stored(
    member: Member, name: str, group: str | None = None, *, wanted: Callable[[str], bool] | None = None
) -> xr.Dataset:
    """Open a file as `open` does, as it is stored: nothing decoded, no index, no dask.

    A selection reads what it selects.

    Parameters
    ----------
    member, name, group
        As for `open`.
    wanted
        Tells variables that are needed by their names: of files with hundreds, the others cost a millisecond each.

    Returns
    -------
    xarray.Dataset
        For `decoded` and `chunked`, once what is not needed has been dropped.
    """
    try:
        file = member.open()
        head = file.read(4)
        if head in netcdf4.MAGIC:
            variables, attrs = netcdf4.read(member, file, name, group, wanted)
        elif head in netcdf3.MAGIC and group is None:
            variables, attrs = netcdf3.read(member)
        elif head in netcdf3.MAGIC:
            raise GeodesError(f"{name} is NetCDF-3, which has no groups: it cannot have {group}.")
        else:
            problem = "is no NetCDF" if member.size else "is empty"
            raise GeodesError(f"{name} {problem} ({member.size} bytes): fetch the product again.")
        made = {k: told(v, f"{k} of {name}") for k, v in variables.items() if wanted is None or wanted(k)}
        for key, variable in made.items():
            size = variable.size * variable.dtype.itemsize
            limits.refuse(f"{key} of {name}", size, limits.ARRAY)
            if variable.dims == (key,):  # it will be an index, and read whole
                limits.refuse(f"The coordinate {key} of {name}", size, limits.COORDINATE)
        coordinates = xr.Coordinates({k: v for k, v in made.items() if v.dims == (k,)}, indexes={})
        return xr.Dataset({k: v for k, v in made.items() if v.dims != (k,)}, coordinates, dict(attrs))
    except _DAMAGE as error:
        raise _damaged(name, error) from error


def decoded(dataset: xr.Dataset, times: bool | Mapping[str, bool] = True) -> xr.Dataset:
    """Apply scale, offset, fill value and time as CF says, lazily; coordinates that are indexes are read.

    Parameters
    ----------
    dataset
        Of `stored`.
    times
        Which variables become times, of those that have such units: their first and last numbers are read now.

    Returns
    -------
    xarray.Dataset
        Numbers that were not measured are NaN. Flags (CF's ``flag_values``, ``flag_masks``, ``flag_meanings``) stay the
        integers that they are, with ``_FillValue`` among their attributes: no number of a class is masked away.
    """
    masked: Any = {k: not _is_flag(v) for k, v in dataset.variables.items()}
    # decode_cf takes what it says is a bool as a mapping too, and hands it on.
    wanted: Any = {k: times if isinstance(times, bool) else times.get(str(k), False) for k in dataset.variables}
    return xr.decode_cf(dataset, mask_and_scale=masked, decode_times=wanted, decode_timedelta=False)


def chunked(dataset: xr.Dataset) -> xr.Dataset:
    """Make dask arrays of the variables, in chunks of some 32 MB along the edges of those in the file.

    How the file stores them is forgotten: what is saved is saved as its numbers are, not in the chunks of the file.
    """
    made = {
        k: v.chunk(_chunks(v), name=f"{k}-{uuid4().hex}")
        for k, v in dataset.variables.items()
        if k not in dataset.xindexes
    }
    coords = {k: v for k, v in made.items() if k in dataset.coords}
    found = dataset.assign({k: v for k, v in made.items() if k not in coords}).assign_coords(coords)
    return found.drop_encoding()


def _chunks(variable: xr.Variable) -> dict[Any, tuple[int, ...]]:
    if not variable.size or variable.size * variable.dtype.itemsize <= _CHUNK:
        return {d: (n,) for d, n in variable.sizes.items()}
    edges = variable.encoding.get("preferred_chunks", {})
    before = [_repeated(edges.get(d, 1), n) for d, n in zip(variable.dims, variable.shape, strict=True)]
    found = normalize_chunks(
        "auto", variable.shape, limit=_CHUNK, dtype=variable.dtype, previous_chunks=before if edges else None
    )
    return dict(zip(variable.dims, found, strict=True))


def _repeated(step: int, size: int) -> tuple[int, ...]:
    step = max(step, -(-size // limits.PIECES))  # edges that are so near to each other tell nothing
    return tuple(min(step, size - at) for at in range(0, size, step))


def _is_flag(variable: xr.Variable) -> bool:
    attrs = variable.attrs
    return variable.dtype.kind in "iu" and any(f in attrs for f in _FLAGS) and "scale_factor" not in attrs


def told(variable: xr.Variable, name: str, form: str = "NetCDF") -> xr.Variable:
    """The same lazy variable, with a sentence for what goes wrong when it is read; it calls the variable ``name``."""
    lazy: Any = variable._data  # a LazilyIndexedArray
    array = LazilyIndexedArray(_Numbers(lazy.array, name, form))
    return xr.Variable(variable.dims, array, variable.attrs, variable.encoding)


class _Numbers(BackendArray):
    """What a variable is read from, with a sentence for what goes wrong."""

    def __init__(self, array: Any, name: str, form: str) -> None:
        self.array, self.name, self.form = array, name, form
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, key: Any) -> Any:
        try:
            return np.asarray(self.array[key])
        except Exception as error:  # whatever a library or a codec stumbles over
            raise _damaged(self.name, error, self.form) from error


def _damaged(name: str, error: Exception, form: str = "NetCDF") -> GeodesError:
    cause: BaseException | None = error
    while cause is not None:  # what the datalake has said reaches us through HDF5
        if isinstance(cause, GeodesError):
            return cause
        cause = cause.__cause__ or cause.__context__
    said = (str(error).strip().splitlines() or [type(error).__name__])[0]
    return GeodesError(f"{name} does not read as {form} ({said}); fetch the product again.")
