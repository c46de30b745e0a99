"""A cube as a Zarr store: new, appended to or partly replaced; readers see the state before or after, never between."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import xarray as xr

from geodes_lab.errors import GeodesError
from geodes_lab.formats.zarr.writable import Writable
from geodes_lab.results import addition, zarr_layout
from geodes_lab.storage.whole_object.folder import ObjectFolder, waited
from geodes_lab.util import whole_folder

_PATIENCE = 5.0  # seconds for what still writes


def stage(dataset: xr.Dataset, partial: Path, is_sharded: bool) -> None:
    """Compute a Dataset into a store that nobody reads yet."""
    chunked, encoding = zarr_layout.encoded(dataset, is_sharded)
    chunked.to_zarr(partial, mode="w", zarr_format=3, consolidated=False, encoding=encoding)


def write(dataset: xr.Dataset, target: ObjectFolder, is_sharded: bool) -> None:
    """Write a new store; it takes the place of one on a disk."""
    if not target.is_disk:
        _upload(dataset, target, is_sharded)
        return
    partial = target.path.with_name(f".{target.path.name}.{uuid4().hex}.partial")
    try:
        stage(dataset, partial, is_sharded)
        whole_folder.put(partial, target.path)
    finally:
        remove(partial)


def _upload(dataset: xr.Dataset, target: ObjectFolder, is_sharded: bool) -> None:
    """Write to a bucket: chunks first, documents last, the root's at the end."""
    begun = target.beside(f".{target.place.name}.partial")
    if waited(begun.size("begun")) is not None:
        target.remove_all()  # what a process left that was killed, and that no document names
    elif waited(target.names()):
        raise GeodesError(
            f"{target} has objects already, and in a bucket nothing can be replaced in one step: choose another name, "
            "or remove them."
        )
    waited(begun.write("begun", b""))
    store = Writable(target, {})
    chunked, encoding = zarr_layout.encoded(dataset, is_sharded)
    try:
        chunked.to_zarr(store, mode="a", zarr_format=3, consolidated=False, encoding=encoding)
        store.publish()
    except BaseException:
        target.remove_all()
        begun.remove_all()
        raise
    begun.remove_all()


def add(dataset: xr.Dataset, target: ObjectFolder, mode: str) -> None:
    """Append times to a store on a disk, or replace a region of it, in a copy by second names that takes its place.

    Raises
    ------
    GeodesError
        If there is no such store, what is added does not fit, or another process changed the store meanwhile.
    """
    if not target.is_disk:
        raise GeodesError(
            f"{target} is in a bucket, where a Zarr store cannot change in one step: readers would see half of it. "
            f"Keep a cube that grows with icechunk: gl.save(cube, 'icechunk://{target}', mode={mode!r})."
        )
    if not (target.path / "zarr.json").exists():
        raise GeodesError(f"{target} is not a Zarr store that gl.save could add to: save the first part without mode=.")
    former = target.path.stat().st_ino
    partial = target.path.with_name(f".{target.path.name}.{uuid4().hex}.partial")
    try:
        whole_folder.linked(target.path, partial)
        store = Writable(ObjectFolder(target.place).beside(partial.name))
        if add_to(dataset, store, mode):
            whole_folder.put(partial, target.path, former)
    except whole_folder.Changed:
        raise GeodesError(
            f"Another process changed {target} meanwhile, and nothing was added to it: call gl.save again."
        ) from None
    finally:
        remove(partial)


def add_to(dataset: xr.Dataset, store: Any, mode: str) -> bool:
    """Append or replace in any store of zarr-python; return whether there was anything to add."""
    options: dict[str, Any] = {"zarr_format": 3, "consolidated": False, "safe_chunks": False}
    with xr.open_zarr(store, consolidated=False, decode_coords="all", chunks={}) as there:
        if mode == "append":
            new = addition.later(dataset, there)
            if new is None:
                return False
            new.attrs = there.attrs | {"history": dataset.attrs.get("history", "")}
            new.to_zarr(store, mode="a", append_dim="time", **options)
        else:
            part, region = addition.within(dataset, there)
            part.to_zarr(store, mode="r+", region=region, **options)
    return True


def remove(folder: Path) -> None:
    """Remove a store that is not complete; threads that were at it when another failed may still write a chunk."""
    until = time.monotonic() + _PATIENCE
    while folder.exists() and time.monotonic() < until:
        shutil.rmtree(folder, ignore_errors=True)
        time.sleep(0.1)
