"""xarray's engine for products: ``xr.open_datatree("S2….zip", engine="geodes")``."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from typing import Any, ClassVar

import dask.array as da
import numpy as np
import pystac
import xarray as xr
from numpy.typing import NDArray
from xarray.backends import BackendArray, BackendEntrypoint
from xarray.core import indexing

from geodes_lab import products
from geodes_lab.errors import GeodesError

Product = pystac.Item | dict[str, Any] | str | os.PathLike[str]
_ENDS = (
    ".zip",
    ".safe",
    ".sen3",
    "/metadata.dim",
    "/mtd_msil1c.xml",
    "/mtd_msil2a.xml",
    "/manifest.safe",
    "/xfdumanifest.xml",
)


class GeodesBackend(BackendEntrypoint):
    """Opens the same products as `geodes_lab.open_product`, with ``engine="geodes"``.

    ``xr.open_datatree`` returns all grids of a product, ``xr.open_dataset`` one of them, chosen with ``group=``.
    ``chunks={}`` makes dask arrays with the chunks in which the product is read; without ``chunks``, numbers are read
    at their first use. Opening reads metadata, no pixel.
    """

    description = "Products of Sentinel-1, -2, -3, SPOT and Theia, read in place from disk, S3 or the web"
    open_dataset_parameters: ClassVar[tuple[str, ...]] = ("filename_or_obj", "drop_variables", "group")
    supports_groups: ClassVar[bool] = True

    def guess_can_open(self, filename_or_obj: Any) -> bool:
        """Whether this is the address of a product, judged by its name alone: a SAFE folder, a zip or a DIMAP document.

        Reads nothing.
        """
        if not isinstance(filename_or_obj, (str, os.PathLike)):
            return False
        address = str(os.fspath(filename_or_obj)).rstrip("/")
        return address.lower().endswith(_ENDS) and products.is_named_so(address)

    def open_dataset(  # type: ignore[override]
        self,
        filename_or_obj: Product,
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
    ) -> xr.Dataset:
        """Open one grid of a product.

        Parameters
        ----------
        filename_or_obj
            See `geodes_lab.open_product`.
        drop_variables
            Variables to leave out.
        group
            The grid, such as ``"r10m"``; None: the only one.

        Raises
        ------
        GeodesError
            If the product does not open, has several grids and none is named, or does not have the named one.
        """
        groups = self.open_groups_as_dict(filename_or_obj, drop_variables=drop_variables)
        return groups[_path(filename_or_obj, groups, group)]

    def open_datatree(  # type: ignore[override]
        self,
        filename_or_obj: Product,
        *,
        drop_variables: str | Iterable[str] | None = None,
        group: str | None = None,
    ) -> xr.DataTree:
        """Open all grids of a product, or those below a group; see `open_dataset`."""
        groups = self.open_groups_as_dict(filename_or_obj, drop_variables=drop_variables)
        top = "/" if group is None else _path(filename_or_obj, groups, group)
        below = {
            "/" + path.removeprefix(top).lstrip("/"): g
            for path, g in groups.items()
            if f"{path}/".startswith(f"{top.rstrip('/')}/")
        }
        return xr.DataTree.from_dict(below)

    def open_groups_as_dict(  # type: ignore[override]
        self, filename_or_obj: Product, *, drop_variables: str | Iterable[str] | None = None
    ) -> dict[str, xr.Dataset]:
        """Open all grids of a product, by path."""
        left_out = {drop_variables} if isinstance(drop_variables, str) else set(drop_variables or ())
        tree = products.open_product(filename_or_obj)
        return {
            node.path: _given(node.to_dataset(inherit=False).drop_vars(left_out, errors="ignore"))
            for node in tree.subtree
        }


class _Lazy(BackendArray):
    """A dask array in the form of a backend's array: xarray chunks it if requested, and caches it otherwise."""

    def __init__(self, array: da.Array) -> None:
        self._array = array
        self.shape, self.dtype = array.shape, array.dtype

    def __getitem__(self, key: indexing.ExplicitIndexer) -> NDArray[Any]:
        values: NDArray[Any] = indexing.explicit_indexing_adapter(
            key, self.shape, indexing.IndexingSupport.BASIC, self._read
        )
        return values

    def _read(self, key: tuple[Any, ...]) -> NDArray[Any]:
        # Inside of a dask task, dask's scheduler must not be used: it may be waiting for that task.
        is_free = threading.current_thread() is threading.main_thread()
        return np.asarray(self._array[key].compute(scheduler="threads" if is_free else "synchronous"))


def _given(dataset: xr.Dataset) -> xr.Dataset:
    """Return the dataset with its dask arrays as backend arrays."""
    for name, variable in dataset.variables.items():
        if isinstance(variable.data, da.Array):
            lazy = xr.Variable(
                variable.dims, indexing.LazilyIndexedArray(_Lazy(variable.data)), variable.attrs, variable.encoding
            )
            lazy.encoding["preferred_chunks"] = dict(zip(variable.dims, variable.data.chunks, strict=True))
            dataset[name] = lazy
    return dataset


def _path(product: Product, groups: dict[str, xr.Dataset], group: str | None) -> str:
    """Return the path of a group; without a group, of the only one with variables, or of the root."""
    full = [path for path, dataset in groups.items() if dataset.data_vars]
    if group is None:
        if len(full) <= 1 or "/" in full:
            return full[0] if len(full) == 1 else "/"
    elif f"/{group.strip('/')}" in groups:
        return f"/{group.strip('/')}"
    problem = "has several groups" if group is None else f"has no group {group[:100]}"
    name = product.id if isinstance(product, pystac.Item) else str(product)[:200]
    raise GeodesError(f"{name} {problem}: give one of {', '.join(p.strip('/') for p in full)} as group=.")
