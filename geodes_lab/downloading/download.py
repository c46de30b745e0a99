"""``gl.download``: products, or parts of them, into a directory."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from concurrent.futures import wait as wait_for
from pathlib import Path
from typing import Any, Literal

from geodes_lab import arguments
from geodes_lab.downloading import box, folder, job, whole
from geodes_lab.downloading.job import Job
from geodes_lab.downloading.pace import Pace
from geodes_lab.downloading.report import DownloadFailed, Outcome, Report
from geodes_lab.errors import GeodesError
from geodes_lab.products import several
from geodes_lab.products.bands import name_of
from geodes_lab.storage import fetch, tape
from geodes_lab.storage.whole_object import quota
from geodes_lab.storage.whole_object.stop import Stop, Stopped
from geodes_lab.util import progress

_MOST = 32  # products at the same time
_LOOK = 0.2  # seconds between two looks of the main thread, which Ctrl-C interrupts


def download(
    items: Any,
    directory: str | os.PathLike[str],
    bands: str | Sequence[str] | None = None,
    *,
    only: Literal["metadata"] | None = None,
    bbox: Any = None,
    geometry: Any = None,
    parallel: int = 4,
    on_quota: Literal["wait", "stop"] = "stop",
) -> Report:
    """Download products, several at the same time; whole, the files of some bands, or the tiles of a box.

    To compute with products, open them in place with `geodes_lab.open_cube` instead: that reads only the pixels that
    you need.

    Parameters
    ----------
    items
        Items of `geodes_lab.search`, dictionaries of Items, paths or URLs; one or several.
    directory
        Where they go; it is made if needed. A whole product is the file that the service has, usually a zip, called as
        the product. While it arrives, its name ends in ``.part``; it gets its name when size and checksum are right.
        If the Item publishes no checksum, the CRC-32 of every member of the zip is verified instead.
    bands
        Bands by any of their names, such as ``["red", "nir"]``, or polarisations, such as ``"vv"`` (of SLC
        ``"iw1/vv"`` too). Their files, their masks and the metadata are read from the zip by ranges, each verified by
        its CRC-32 and by the manifest's own checksum, and become a SAFE folder whose manifest lists what is there.
        None: the whole product.
    only
        ``"metadata"``: the documents and small pictures, in a folder as for ``bands``.
    bbox
        West, south, east, north in degrees: of the images, only the tiles that touch this box are fetched, alone or
        with ``bands``. Each image keeps its size, its grid and its name; these tiles are the product's, byte by byte,
        and all other pixels have the number for no data (0 of Sentinel-2), so that the SAFE folder opens as the whole
        product does, here, in GDAL and in SNAP. Its manifest has the new files' sizes and checksums, and
        ``geodes-lab-box.json`` says which tiles are there. For JPEG 2000 images with a map grid (Sentinel-2); masks,
        metadata and images in another coding come whole; products without such images are refused. Another call with
        another box adds its tiles.
    geometry
        Any shape instead of ``bbox``, as for `geodes_lab.open_cube`.
    parallel
        Products at the same time, 1 to 32. Many services allow 4 for each account.
    on_quota
        What happens when the quota of the service is used up: ``"stop"`` ends with an error that lists what did not
        arrive; ``"wait"`` asks again until the service gives more, for two hours at most.

    Returns
    -------
    Report
        What became of each product, with bytes, seconds, and what was verified; displays itself as a table. A file
        that is there and right is not fetched again.

    Raises
    ------
    DownloadFailed
        If some products did not arrive; all others are there. It has the ``report``, and the error of each product in
        ``errors``. Call again: what is there is kept, and ``.part`` files are continued where the server allows it.
    GeodesError
        If an argument is wrong.

    Examples
    --------
    >>> items = gl.search("PEPS_S2_L1C", tile="31TCJ", datetime="2021-06")  # doctest: +SKIP
    >>> gl.download(items, "products")                                      # doctest: +SKIP
    >>> gl.download(items, "products", bands=["red", "nir"])                # doctest: +SKIP
    >>> gl.download(items, "site", ["red"], bbox=(1.2, 43.4, 1.5, 43.6))    # doctest: +SKIP
    """
    names = None if bands is None else arguments.names("bands", bands)
    place = box.area(bbox, geometry)
    if only is not None and only != "metadata":
        raise GeodesError(f"only is 'metadata', not {only!r}; for some bands give bands=.")
    if only is not None and names is not None:
        raise GeodesError("only='metadata' and bands= exclude each other: the metadata come with the bands.")
    if only is not None and place is not None:
        raise GeodesError("only='metadata' has no part for a box: leave bbox= and geometry= out.")
    if names == []:
        raise GeodesError("bands names no band: leave it out for whole products, or give only='metadata'.")
    arguments.choice("on_quota", on_quota, ["wait", "stop"])
    at_once = min(arguments.whole("parallel", parallel, "a number of products, 1 to 32", 1), _MOST)
    target = _directory(directory)
    products = several(items)
    stop = Stop()
    is_part = not (names is None and place is None and only is None)
    part = folder.Wanted(names, place, only is not None) if is_part else None
    call = _Call(target, part, Pace(on_quota == "wait", stop), stop)
    return call.run(products, at_once)


def _directory(path: str | os.PathLike[str]) -> Path:
    if "://" in os.fspath(path):
        raise GeodesError(f"gl.download writes to disk, and {os.fspath(path)} is no directory: give a path.")
    target = Path(path).expanduser().absolute()
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GeodesError(f"{target} cannot be made ({error.strerror}): choose another directory.") from error
    return target


class _Call:
    """One call: its products, its threads and its bar."""

    def __init__(self, target: Path, part: folder.Wanted | None, pace: Pace, stop: Stop) -> None:
        self.target, self.part, self.pace, self.stop = target, part, pace, stop
        self.done: dict[int, int] = {}
        self.total: int | None = None
        self.lock = threading.Lock()
        self.bar: progress.Bar | None = None

    def run(self, products: list[Any], at_once: int) -> Report:
        began = time.monotonic()
        errors: dict[int, GeodesError] = {}
        names, jobs = self._jobs(products, errors)
        on_tape = _on_tape(jobs)
        errors |= {n: error for n, error in on_tape.items() if n not in errors}
        waiting = {n: one for n, one in jobs.items() if n not in errors}
        sizes = [one.whole.size for one in waiting.values()]
        self.total = None if self.part or None in sizes else sum(filter(None, sizes))
        self.bar = progress.new(f"{len(waiting)} products", in_bytes=True) if waiting else None
        try:
            outcomes = self._all(waiting, at_once, errors)
        finally:
            if self.bar is not None:
                self.bar.end()
        rows = [
            outcomes.get(n) or Outcome(names[n], "failed", None, evidence=str(errors[n])) for n in range(len(products))
        ]
        report = Report(rows, time.monotonic() - began, _left(waiting))
        if errors:
            by_name: dict[str, GeodesError] = {}
            for n in sorted(errors):
                by_name[names[n] if names[n] not in by_name else f"{names[n]} ({n + 1})"] = errors[n]
            raise DownloadFailed(by_name, report)
        return report

    def _jobs(self, products: list[Any], errors: dict[int, GeodesError]) -> tuple[list[str], dict[int, Job]]:
        names, jobs, targets = list[str](), dict[int, Job](), dict[Path, Job]()
        for number, product in enumerate(products):
            names.append(_name(product, number))
            try:
                one = job.of(product, self.target)
                names[-1] = one.name
                other = targets.setdefault(one.target, one)
                if other is not one and other.whole != one.whole:
                    raise GeodesError(
                        f"Two products of this call are called {one.name}, and are not the same: download the second "
                        "into another directory."
                    )
                jobs[number] = one
            except GeodesError as error:
                errors[number] = error
            except Exception as error:  # an Item may hold anything
                errors[number] = _damaged(names[-1], error)
        return names, jobs

    def _all(self, jobs: dict[int, Job], at_once: int, errors: dict[int, GeodesError]) -> dict[int, Outcome]:
        outcomes: dict[int, Outcome] = {}
        pool = ThreadPoolExecutor(at_once, thread_name_prefix="download")
        try:
            futures = {pool.submit(self._one, number, one): number for number, one in jobs.items()}
            left = set[Future[Outcome]](futures)
            while left:
                finished, left = wait_for(left, _LOOK)
                for future in finished:
                    number = futures[future]
                    try:
                        outcomes[number] = future.result()
                    except GeodesError as error:
                        errors[number] = error
        except BaseException:  # Ctrl-C, or a bug: the threads leave their .part files, and end
            self.stop.set()
            pool.shutdown(cancel_futures=True)
            raise
        pool.shutdown()
        return outcomes

    def _one(self, number: int, one: Job) -> Outcome:
        def show(done: int) -> None:
            with self.lock:
                self.done[number] = done
                total = sum(self.done.values())
            if self.bar is not None:
                self.bar.update(total, self.total)

        try:
            if self.part is not None:
                return folder.fetch(one, self.part, self.pace, self.stop, show)
            return whole.fetch(one, self.pace, self.stop, show)
        except OSError as error:
            raise _disk(one, self.target, error) from error
        except (GeodesError, Stopped):
            raise
        except Exception as error:  # what no family expects keeps no other product from arriving
            raise _damaged(one.name, error) from error


def _name(product: Any, number: int) -> str:
    """Return a name for a product that may be anything."""
    if isinstance(product, (str, os.PathLike)):
        return os.fspath(product).partition("?")[0]
    if isinstance(product, dict):
        return str(product.get("id") or f"product {number + 1}")
    return name_of(product) if hasattr(product, "properties") else f"product {number + 1}"


def _damaged(name: str, error: Exception) -> GeodesError:
    reason = (str(error).strip().splitlines() or [""])[0][:200].rstrip(".")
    return GeodesError(
        f"{name} could not be downloaded, since what its Item or its metadata say is damaged ({type(error).__name__}: "
        f"{reason}); search again, or tell the operator."
    )


def _disk(one: Job, target: Path, error: OSError) -> GeodesError:
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return one.fail(f"the disk of {target} is full; free some room and call again, what has come is kept as .part")
    return one.fail(f"{target} cannot hold it ({error.strerror or error}); check its permissions and its disk")


def _on_tape(jobs: dict[int, Job]) -> dict[int, GeodesError]:
    """Ask the portal which products are on tape, all at once; if it does not say, their download will."""
    missing = {n: one.item for n, one in jobs.items() if not one.target.exists() and not tape.is_here(one.item)}
    products = {n: p for n, item in missing.items() if (p := tape.product(item))}
    try:
        states = tape.on_disk(list(products.values()))
    except GeodesError:
        return {}
    return {
        n: GeodesError(f"{p.name} is on tape, and cannot be downloaded now: {p.way_out}.")
        for (n, p), state in zip(products.items(), states, strict=True)
        if state is False
    }


def _left(jobs: dict[int, Job]) -> str:
    """Return what is left of the quota of the portal that products came from; empty if nobody counts."""
    portals = {p.portal for one in jobs.values() if (p := tape.product(one.item))}
    for portal in portals:
        try:
            if fetch.key(f"{portal}/") is not None:
                return str(quota.ask(portal))
        except GeodesError:
            continue
    return ""
