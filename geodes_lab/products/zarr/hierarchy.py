"""The groups and arrays of one Zarr store, and the information beside an array; metadata and coordinates only."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import numpy as np
import pandas as pd
import pystac
import xarray as xr
import zarr
from xarray.backends import ZarrStore

from geodes_lab.errors import GeodesError
from geodes_lab.formats.netcdf.dataset import told
from geodes_lab.formats.zarr.store import Objects
from geodes_lab.products.zarr.cf import TIMES, dims_of
from geodes_lab.storage.object_location import ObjectLocation
from geodes_lab.util import limits

_DIMS = {"y": "x", "lat": "lon", "latitude": "longitude", "northing": "easting"}


class Hierarchy:
    """One store; its metadata are read at once if they are consolidated, else when they are needed.

    Parameters
    ----------
    place
        The location of the store.
    product
        Its name, for errors.

    Raises
    ------
    GeodesError
        If there is no Zarr store, or its metadata are damaged.
    """

    def __init__(self, place: ObjectLocation, product: str) -> None:
        self.place, self._product, self._objects = place, product, Objects(place)
        self._read: dict[str, Any] = {}
        self._nodes: dict[str, Any] = {}
        try:
            try:
                self._root: Any = zarr.open_group(self._objects, mode="r")
            except FileNotFoundError:
                self._root = zarr.open_array(self._objects, mode="r")
        except GeodesError:
            raise
        except FileNotFoundError:
            raise GeodesError(
                f"{place.href} is not a Zarr store: it has no Zarr metadata; check the address."
            ) from None
        except Exception as error:  # any error of zarr-python
            raise self._damaged(error) from error
        discovery = self._root.attrs.get("stac_discovery")
        discovery = discovery.get("properties") if isinstance(discovery, Mapping) else None
        self.discovered: Mapping[str, Any] = discovery if isinstance(discovery, Mapping) else {}
        """The STAC properties of an EOPF product."""

    def _damaged(self, error: Exception) -> GeodesError:
        return GeodesError(f"The metadata of {self.place.href} are damaged ({_line(error)}); fetch the store again.")

    def images(self, inside: str) -> dict[str, Any]:
        """Return all arrays, below a path in the store, that are images by their dims.

        Raises
        ------
        GeodesError
            If there are none, or the store cannot be listed.
        """
        node = self._node(inside)
        if node is None:
            raise GeodesError(
                f"{self.place.href} of {self._product} has no group or array {inside!r}: check the address."
            )
        if isinstance(node, zarr.Array):
            members = {inside: node}
        else:
            self._refuse_unlisted()
            try:
                listed = sorted(node.members(max_depth=None))
            except GeodesError:
                raise
            except Exception as error:
                raise self._damaged(error) from error
            members = {f"{inside}/{path}".strip("/"): node for path, node in listed}
            self._nodes |= members
        arrays = {p: a for p, a in members.items() if isinstance(a, zarr.Array) and _is_image(a)}
        if not arrays:
            names = ", ".join(members) or "nothing"
            raise GeodesError(f"{self.place.href} of {self._product} has no array of dims (y, x); it has: {names}.")
        return arrays

    def _refuse_unlisted(self) -> None:
        if not self._objects.supports_listing and self._root.metadata.consolidated_metadata is None:
            raise GeodesError(
                f"{self.place.href} has no consolidated metadata, and a web server cannot list folders: consolidate "
                "its metadata, or give the addresses of its arrays."
            )

    def _node(self, path: str) -> Any:
        """Return an array or a group; None if it does not exist."""
        if path not in self._nodes:
            try:
                self._nodes[path] = self._root[path] if path else self._root
            except (KeyError, IndexError, FileNotFoundError):
                self._nodes[path] = None
            except GeodesError:
                raise
            except Exception as error:  # as when the store is opened
                raise self._damaged(error) from error
        return self._nodes[path]

    def near(self, path: str, name: str) -> tuple[str, Any] | None:
        """Return the nearest array with a name: in the group of another array, or in a parent group."""
        parents = path.split("/")[:-1]
        for n in range(len(parents), -1, -1):
            other = "/".join([*parents[:n], name])
            if other and isinstance(node := self._node(other), zarr.Array):
                return other, node
        return None

    def coordinate(self, path: str, dim: str) -> tuple[Any, Mapping[str, Any]] | None:
        """Read the coordinate of an array along a dim, once; None if it has none."""
        match = self.near(path, dim)
        if match is None or match[1].ndim > 1:
            return None
        if match[0] not in self._read:
            size = match[1].size * match[1].dtype.itemsize
            limits.refuse(f"The coordinate {match[0]} of {self.place.href}", size, limits.COORDINATE)
            limits.refuse(f"The coordinate {match[0]} of {self.place.href}", match[1].nchunks, limits.PIECES, "chunks")
            try:
                self._read[match[0]] = np.atleast_1d(match[1][...])
            except GeodesError:
                raise
            except Exception as error:
                raise GeodesError(
                    f"{match[0]} of {self.place.href} cannot be decoded ({_line(error)}); fetch it again."
                ) from error
        return self._read[match[0]], dict(match[1].attrs)

    def scopes(self, path: str, array: Any) -> list[Mapping[str, Any]]:
        """Return the attributes that describe an array: its own, its grid mapping's, those of its parent groups."""
        own = dict(array.attrs)
        named = str(own.get("grid_mapping", "")).partition(":")[0].strip()
        mapping = next((m for m in (self.near(path, n) for n in (named, "spatial_ref", "crs") if n) if m), None)
        parents = path.split("/")[:-1]
        groups = [self._node("/".join(parents[:n])) for n in range(len(parents), -1, -1)] if path else []
        return [own, *([dict(mapping[1].attrs)] if mapping else []), *(dict(g.attrs) for g in groups if g is not None)]

    def time(self, path: str) -> datetime | None:
        """Return the acquisition time: EOPF's, else that of the only slice."""
        try:
            return self._time(path)
        except (ValueError, TypeError, OverflowError) as error:
            raise GeodesError(
                f"The time of {self._product} is not valid ({_line(error)}); fetch the product again."
            ) from error

    def _time(self, path: str) -> datetime | None:
        declared = self.discovered.get("datetime") or self.discovered.get("start_datetime")
        if declared:
            return pystac.utils.str_to_datetime(str(declared))
        for dim in TIMES:
            match = self.coordinate(path, dim)
            if match is not None and match[0].size == 1:
                decoded = xr.decode_cf(xr.Dataset({"time": ("time", *match)})).time.values[0]
                return (
                    None if np.isnat(decoded) else pd.Timestamp(decoded).to_pydatetime(warn=False).replace(tzinfo=UTC)
                )
        return None

    def tree(self, inside: str) -> xr.DataTree:
        """Open a group, or that of an array, with everything below it, lazily and decoded.

        Raises
        ------
        GeodesError
            If its metadata are damaged; on computing, if numbers are damaged.
        """
        node = self._node(inside)
        group = inside.rpartition("/")[0] if node is None or isinstance(node, zarr.Array) else inside
        self._refuse_unlisted()
        try:
            opened_group = self._node(group)
            if not isinstance(opened_group, zarr.Group):
                raise KeyError(f"no group {group!r}")
            below = [p for p, n in sorted(opened_group.members(max_depth=None)) if isinstance(n, zarr.Group)]
            return xr.DataTree.from_dict({f"/{p}": self._dataset(f"{group}/{p}".strip("/")) for p in ["", *below]})
        except GeodesError:
            raise
        except Exception as error:
            raise GeodesError(f"{self._product} cannot be opened as a tree of Datasets ({_line(error)}).") from error

    def _dataset(self, group: str) -> xr.Dataset:
        """Return one group, lazily and decoded."""
        objects: Any = self._objects  # xarray accepts a store of zarr-python, but does not declare it
        whole = self._root.metadata.consolidated_metadata is not None
        store = ZarrStore.open_group(objects, mode="r", group=group or None, consolidated=whole)
        where = f"{group} of {self.place.href}".removeprefix(" of ")
        stored = {str(k): told(v, f"{k} of {where}", "Zarr") for k, v in store.get_variables().items()}
        coordinates = xr.Coordinates({k: v for k, v in stored.items() if v.dims == (k,)}, indexes={})
        flat = xr.Dataset({k: v for k, v in stored.items() if v.dims != (k,)}, coordinates, dict(store.get_attrs()))
        decoded = xr.decode_cf(flat, decode_coords="all")
        chunks = {
            k: v.encoding.get("preferred_chunks", {}) for k, v in decoded.variables.items() if k not in decoded.xindexes
        }
        lazy = {k: decoded[k].variable.chunk(c, name=f"{k}-{uuid4().hex}") for k, c in chunks.items()}
        coords = {k: v for k, v in lazy.items() if k in decoded.coords}
        return decoded.assign({k: v for k, v in lazy.items() if k not in coords}).assign_coords(coords)


def _line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")


def _is_image(array: Any) -> bool:
    dims = [d.lower() for d in dims_of(array)]
    return len(dims) in (2, 3) and _DIMS.get(dims[-2]) == dims[-1] and array.dtype.kind in "biuf"
