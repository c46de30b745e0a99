"""Cubes that grow, in an icechunk repository: each save is a commit, seen as a whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dask
import xarray as xr

from geodes_lab import credentials, extras, settings
from geodes_lab.errors import GeodesError
from geodes_lab.results import zarr_layout, zarr_store
from geodes_lab.storage.whole_object import folder

SCHEME = "icechunk://"


def save(dataset: xr.Dataset, address: str, mode: str, overwrite: bool, is_sharded: bool) -> xr.Dataset:
    """Write a Dataset in one commit; see `geodes_lab.save`.

    Parameters
    ----------
    dataset
        What is saved.
    address
        ``icechunk://`` and a path, or and ``s3://bucket/prefix``.
    mode
        ``"new"``, ``"append"`` or ``"region"``.
    overwrite
        Whether the commit may replace all that is there. The history keeps the former state.
    is_sharded
        Whether an object has several chunks.

    Returns
    -------
    xarray.Dataset
        The state after the commit, opened again lazily.

    Raises
    ------
    GeodesError
        If the package is missing, the repository is not there or not empty, or another process committed meanwhile.
    """
    with extras.needed("gl.save to icechunk://"):
        import icechunk
    icechunk.set_logs_filter("error")  # else it prints that a disk has no safe commits: `_committing` is for that
    place = folder.at(address.removeprefix(SCHEME))
    repository = _opened(icechunk, place, address, mode)
    session = repository.writable_session("main")
    # Its session is not sent to workers: what is saved is computed in threads of this process.
    with dask.config.set(scheduler="threads"):
        if mode != "new":
            if not zarr_store.add_to(dataset, session.store, mode):
                return _read(repository)
        elif not overwrite and len(list(repository.ancestry(branch="main"))) > 1:
            raise GeodesError(
                f"{address} has a cube already: give mode='append' to add times, or overwrite=True to replace it."
            )
        else:
            chunked, encoding = zarr_layout.encoded(dataset, is_sharded)
            chunked.to_zarr(session.store, mode="w", zarr_format=3, consolidated=False, encoding=encoding)
    try:
        with _committing(place):
            session.commit(f"gl.save, mode={mode!r}: {', '.join(map(str, dataset.data_vars))}")
    except icechunk.ConflictError:
        raise GeodesError(
            f"Another process committed to {address} meanwhile, and nothing of this save is there: call gl.save again."
        ) from None
    return _read(repository)


@contextlib.contextmanager
def _committing(place: folder.ObjectFolder) -> Iterator[None]:
    """Let one process of the lab commit at a time: on a disk icechunk itself cannot tell two commits apart."""
    if not place.is_disk:
        yield
        return
    descriptor = os.open(place.path, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _opened(icechunk: Any, place: folder.ObjectFolder, address: str, mode: str) -> Any:
    if place.is_disk:
        if mode != "new" and not Path(place.path).is_dir():
            raise GeodesError(f"{address} is not there: save the first part without mode=.")
        storage = icechunk.local_filesystem_storage(str(place.path))
    else:
        storage = _bucket(icechunk, place)
    try:
        return icechunk.Repository.open_or_create(storage) if mode == "new" else icechunk.Repository.open(storage)
    except icechunk.IcechunkError as error:
        reason = (str(error).strip().splitlines() or ["unknown"])[0].strip()
        raise GeodesError(f"{address} cannot be opened as an icechunk repository ({reason}): check it.") from error


def _bucket(icechunk: Any, place: folder.ObjectFolder) -> Any:
    endpoint = str(settings.get("datalake.endpoint"))
    common = {
        "bucket": place.place.root,
        "prefix": place.place.path,
        "region": settings.get("datalake.region"),
        "endpoint_url": endpoint,
        "allow_http": endpoint.startswith("http://"),
        "force_path_style": True,
    }
    if not credentials.known("s3"):
        return icechunk.s3_storage(**common, anonymous=True)
    return icechunk.s3_storage(**common, get_credentials=_keys)


def _keys() -> Any:
    """Return the keys of the datalake, whenever icechunk asks for them."""
    import icechunk

    keys = credentials.current("s3")
    if keys is None:
        raise GeodesError("The keys of the datalake are missing now: set them again.")
    ends = None if keys.expires is None else datetime.fromtimestamp(keys.expires, UTC)
    return icechunk.S3StaticCredentials(
        keys["access_key_id"], keys["secret_access_key"], keys.get("session_token"), expires_after=ends
    )


def _read(repository: Any) -> xr.Dataset:
    return xr.open_zarr(repository.readonly_session("main").store, consolidated=False, decode_coords="all")
