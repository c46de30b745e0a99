"""A series of products as one GeoZarr cube, with an Item for each product."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import dask
import numpy as np
import pystac
import zarr

from geodes_lab.conversion import cube_layout, cube_place, derived_item, own_numbers, shards
from geodes_lab.conversion import scene as scene_
from geodes_lab.conversion import series as series_
from geodes_lab.conversion.band_file import Written
from geodes_lab.conversion.piece import Job, Piece
from geodes_lab.conversion.scene import Scene
from geodes_lab.conversion.series import BandSeries, Series
from geodes_lab.errors import GeodesError
from geodes_lab.formats.zarr.writable import Writable
from geodes_lab.storage.whole_object.folder import ObjectFolder, waited

MEDIA = "application/vnd.zarr; version=3"
_PLAN = "plan"  # what is written, so that another series does not go on with its objects
_FINGERPRINT = "geodes:series"


def convert(
    items: Sequence[Any], names: Sequence[str] | None, target: ObjectFolder, wanted: int, overwrite: bool
) -> list[tuple[str, Scene]]:
    """Convert products to one cube; it appears when all of it is written and compared.

    Parameters
    ----------
    items, names
        See `geodes_lab.convert`.
    target
        The cube's folder, whose name ends in ``.zarr``. Beside it come ``….zarr.sha256`` and, last, ``….json`` with an
        Item for each product.
    wanted
        Bytes that an object should have.
    overwrite
        Whether to replace what is there; not in a bucket, where no folder can be renamed.

    Returns
    -------
    list of (str, Scene)
        The name of each product, and what became of it.

    Raises
    ------
    GeodesError
        If the products are no series, one cannot be read, or an object has other numbers than the products. What is
        written stays, and the same call goes on there.
    """
    series = series_.of(items, names)
    cube_layout.refuse_names(series)
    name = target.place.name
    ends = {f"{name}.sha256": b"", f"{name.removesuffix('.zarr')}.json": b""}
    work = target.beside(f".{name}.partial")
    with cube_place.alone(work):
        cube_place.finish(work, target, list(ends))
        if not overwrite and (there := _there(series, target)) is not None:
            return there
        plan = f"{series.fingerprint()} {wanted}".encode()
        goes_on = waited(work.read(_PLAN)) == plan
        cube_place.refuse(target, overwrite, goes_on)
        if not goes_on:
            for part in (work.below("store"), work.below("notes"), *([] if work.is_disk else [target])):
                part.remove_all()
            waited(work.write(_PLAN, plan))
        store = Writable(work.below("store") if work.is_disk else target, {})
        ratios = {b.name: _ratio(b) for several in series.groups.values() for b in several}
        jobs = cube_layout.write(series, store, work.below("notes"), ratios, wanted)
        pieces = _written(series, jobs)
        store.publish()
        sums = _checksums(store.folder, name, pieces)
        scenes = _scenes(series, jobs[0], pieces, target, sums)
        collection: dict[str, Any] = {"type": "FeatureCollection", _FINGERPRINT: series.fingerprint()}
        collection["features"] = [dict(scene.item) for _, scene in scenes]
        for key, data in zip(ends, (sums, json.dumps(collection, indent=1).encode()), strict=True):
            waited((work if work.is_disk else target.above).write(key, data))
        cube_place.finish(work, target, list(ends))
        work.remove_all()
    return scenes


def _there(series: Series, target: ObjectFolder) -> list[tuple[str, Scene]] | None:
    """Return the cube as it was converted before; None if it was not, or from other products or bands."""
    stem = target.place.name.removesuffix(".zarr")
    try:
        found = json.loads(waited(target.above.read(f"{stem}.json")) or b"null")
        same = found[_FINGERPRINT] == series.fingerprint() and waited(target.size("zarr.json")) is not None
        documents = {str(f["properties"]["identifier"]): f for f in found["features"]}
    except (ValueError, TypeError, KeyError):
        return None
    if not same or [m.name for m in series.members] != list(documents):
        return None
    bands = [(group, b) for group, several in series.groups.items() for b in several]
    return [
        (n, Scene(str(target), d, {b.key: Written(f"{group}/0/{b.name}", 0, "") for group, b in bands}))
        for n, d in documents.items()
    ]


def _ratio(band: BandSeries) -> float:
    """Return how many times smaller a band becomes, from the middle of the first product."""
    rows, cols = band.first.shape
    height, width = min(shards.CHUNK, rows), min(2 * shards.CHUNK, cols)
    top, left = (rows - height) // 2, (cols - width) // 2
    own = own_numbers.of(band.first, band.kind)
    return shards.ratio(own_numbers.read(own, band.kind, (top, top + height), (left, left + width)))


def _written(series: Series, jobs: Sequence[Sequence[Job]]) -> dict[tuple[str, tuple[int, int, int]], Piece]:
    """Write all objects with Dask, level by level; return them by array and place."""
    pieces: dict[tuple[str, tuple[int, int, int]], Piece] = {}
    sources = [band.sources for several in series.groups.values() for band in several]
    for number, level in enumerate(jobs):
        later, places = [], []
        for n, job in enumerate(level):
            one = dask.delayed(job, pure=False, traverse=False)
            for place in job.shards.pieces:
                places.append((job.path, place))
                if number == 0:
                    (begin, end), *_ = job.shards.window(place)
                    later.append(dask.delayed(Job.of_sources, pure=False)(one, place, sources[n][begin:end]))
                else:
                    group, _, name = job.path.split("/")
                    finer = f"{group}/{number - 1}/{name}"
                    later.append(dask.delayed(Job.of_level, pure=False)(one, place, finer))
        done = dict(zip(places, dask.compute(*later), strict=True))
        _see(level[0].store.folder, done.values())
        pieces |= done
    return pieces


def _see(folder: ObjectFolder, pieces: Iterable[Piece]) -> None:
    """Refuse what workers have written to disks of their own."""
    for piece in pieces:
        if folder.is_disk and piece.size and waited(folder.size(piece.key)) != piece.size:
            raise GeodesError(
                f"{folder.href(piece.key)} was written by a worker on another machine, and is not here: choose a place "
                "that all workers share with you, or stop the cluster to convert on this machine."
            )


def _checksums(folder: ObjectFolder, name: str, pieces: Mapping[Any, Piece]) -> bytes:
    """Return the SHA-256 of each object, as ``sha256sum`` writes and checks them."""
    known = {piece.key: piece.sha256 for piece in pieces.values() if piece.size}
    lines = []
    for key in sorted(waited(folder.keys())):
        digest = known.get(key) or hashlib.sha256(waited(folder.read(key)) or b"").hexdigest()
        lines.append(f"{digest}  {name}/{key}\n")
    return "".join(lines).encode()


def _scenes(
    series: Series,
    jobs: Sequence[Job],
    pieces: Mapping[tuple[str, tuple[int, int, int]], Piece],
    target: ObjectFolder,
    sums: bytes,
) -> list[tuple[str, Scene]]:
    """Return what became of each product, with its Item; of an object with several times, each has its share."""
    by_band = [(job, band) for job, band in zip(jobs, (b for s in series.groups.values() for b in s), strict=True)]
    checksums = pystac.Asset(
        target.above.href(f"{target.place.name}.sha256"),
        title="SHA-256 of each object, for sha256sum -c",
        media_type="text/plain",
        roles=["metadata"],
        extra_fields={"file:size": len(sums), "file:checksum": f"1220{hashlib.sha256(sums).hexdigest()}"},
    )
    scenes = []
    for n, member in enumerate(series.members):
        files = {
            band.key: (target.href(job.path), {"geodes:band": n + 1, "geodes:tile": list(job.shards.chunk[1:])})
            for job, band in by_band
        }
        name = scene_.folder_name(member.item)
        item = derived_item.describe(
            member.item, member.described, files, f"{name}.zarr", MEDIA, {"zarr": zarr.__version__}
        )
        item.add_asset("checksums", checksums.clone())
        written = {band.key: _share(job, band, n, pieces) for job, band in by_band}
        scenes.append((member.name, Scene(str(target), item.to_dict(transform_hrefs=False), written)))
    return scenes


def _share(job: Job, band: BandSeries, n: int, pieces: Mapping[Any, Piece]) -> Written:
    deep = job.shards.shard[0]
    mine = [pieces[job.path, place] for place in job.shards.pieces if place[0] == n // deep]
    times = min(deep, job.shards.shape[0] - n // deep * deep)
    rows, cols = job.shards.shape[1:]
    stored = band.sources[n].stored
    return Written(
        job.path,
        round(sum(p.size for p in mine) / times),
        "",
        pixels=sum(p.pixels for p in mine) // times,
        numbers=rows * cols * np.dtype(job.kind).itemsize,
        source_size=stored[1] if stored else None,
        source_seconds=sum(p.source_seconds for p in mine) / times,
        file_seconds=sum(p.file_seconds for p in mine) / times,
    )
