"""NetCDF-4, which is HDF5: the metadata and the numbers, through files that a process keeps open."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import h5py
import numpy as np
import xarray as xr
from xarray.backends import BackendArray, H5NetCDFStore
from xarray.core.indexing import IndexingSupport, LazilyIndexedArray, explicit_indexing_adapter

from geodes_lab.archive.member import Member
from geodes_lab.errors import GeodesError
from geodes_lab.formats.netcdf import hdf5

MAGIC = (b"\x89HDF",)
"""The first bytes of such files."""
_OPEN = 16  # files that a process keeps open, each with the blocks that it remembers (see `member`)

_Key = tuple[Member, str | None, int]
_kept: OrderedDict[_Key, H5NetCDFStore] = OrderedDict()
_lock = threading.Lock()


def read(
    member: Member, file: BinaryIO, name: str, group: str | None, wanted: Callable[[str], bool] | None
) -> tuple[dict[str, xr.Variable], dict[str, Any]]:
    """Read the metadata of a group.

    Parameters
    ----------
    member, file
        The file, and the open file object; it stays open.
    name
        Its name in error messages.
    group
        The group; None: the root.
    wanted
        Whether a variable is needed, by its name; None: all are.

    Returns
    -------
    variables, attributes
        As they are stored; variables are lazy. A pickled one holds an address, and the reader opens the file.

    Raises
    ------
    GeodesError
        If there is no such group.
    """
    try:
        store = _store(member, name, group, file)
    except OSError as error:
        if "group not found" in str(error):
            raise GeodesError(f"{name} has no group {group}; open the file without group= to see its groups.") from None
        raise
    variables = {}
    for key in [n for n in store.ds.variables if wanted is None or wanted(n)]:
        hdf5.check(store.ds.variables[key]._h5ds, f"{key} of {name}")
        stored = store.open_store_variable(key, store.ds.variables[key])
        lazy = LazilyIndexedArray(_Array(member, group, key, stored.shape, stored.dtype))
        variables[key] = xr.Variable(stored.dims, lazy, stored.attrs, stored.encoding)
    return variables, dict(store.get_attrs())


def groups(member: Member, name: str) -> list[str]:
    """Return the paths of the groups, two levels deep; no link to another file is followed."""
    with h5py.File(member.open(), "r") as file:
        hdf5.check_links(file, name)
        outer = [str(k) for k in file if isinstance(file[k], h5py.Group)]
        inner = [f"{k}/{n}" for k in outer for n in file[k] if isinstance(file[k][n], h5py.Group)]
        return [*outer, *inner]


def _store(member: Member, name: str, group: str | None, file: BinaryIO | None = None) -> H5NetCDFStore:
    """Return the file, opened once in this process.

    Opening it for each task would read its metadata each time.
    """
    place = member.place
    stamp = Path(place.gdal).stat().st_mtime_ns if place.scheme == "file" else 0
    key = (member, group, stamp)
    with _lock:
        if key in _kept:
            _kept.move_to_end(key)
            return _kept[key]
    file = file or member.open()
    with h5py.File(file, "r") as looked_at:
        hdf5.check_links(looked_at, name)
        for node in {looked_at, looked_at[group] if group and group in looked_at else looked_at}:
            hdf5.check_attributes(node, name)
    file.seek(0)
    # HDF5 that is not NetCDF has arrays whose dimensions have no names: they get some.
    store = H5NetCDFStore.open(file, group=group, phony_dims="access")
    with _lock:
        _kept[key] = store
        while len(_kept) > _OPEN:
            _kept.popitem(last=False)
    return store


class _Array(BackendArray):
    """The numbers of one variable."""

    def __init__(self, member: Member, group: str | None, name: str, shape: tuple[int, ...], kind: Any) -> None:
        self.member, self.group, self.name, self.shape, self.dtype = member, group, name, shape, np.dtype(kind)

    def __getitem__(self, key: Any) -> Any:
        return explicit_indexing_adapter(key, self.shape, IndexingSupport.OUTER_1VECTOR, self._read)

    def _read(self, key: Any) -> Any:
        about = f"{self.name} of {self.member.place.href}"
        store = _store(self.member, self.member.place.href, self.group)
        with store.lock:
            array = store.ds.variables[self.name]._h5ds
            hdf5.check(array, about)  # in a worker too: the file may have been replaced
            if len(key) == array.ndim:
                hdf5.check_chunks(array, key, about)
            read = store.ds.variables[self.name].__getitem__
            if len(key) == array.ndim and hdf5.is_of_words(array):
                return hdf5.words(array, read, key, about)
            return read(key)
