"""The download of one whole product: as the zip, or the one file, that it is."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable
from dataclasses import replace

from geodes_lab.downloading.job import Job
from geodes_lab.downloading.pace import Pace
from geodes_lab.downloading.report import Outcome, ReplacedFile, What
from geodes_lab.downloading.verify import Evidence, Wrong, verify
from geodes_lab.errors import shown
from geodes_lab.storage import multihash, resolve
from geodes_lab.storage.whole_object import partial, transfer
from geodes_lab.storage.whole_object.partial import Partial
from geodes_lab.storage.whole_object.stop import Stop


def fetch(job: Job, pace: Pace, stop: Stop, show: Callable[[int], None]) -> Outcome:
    """Bring one product: nothing if it is there and right.

    Parameters
    ----------
    job
        The product.
    pace
        Says when the server may be asked.
    stop
        Ends it; what has come stays as ``….part``.
    show
        Called with the bytes that are there.

    Raises
    ------
    GeodesError
        One sentence, if it does not arrive.
    OSError
        If the disk that is written fails.
    """
    began, target = time.monotonic(), job.target
    kept, problem = _there(job, stop)
    if kept is not None:
        show(kept.size)
        return Outcome(job.name, "was there", target, kept.size, 0, time.monotonic() - began, str(kept))
    checksum = multihash.parse(job.whole.checksum)
    begin = checksum.begin if checksum else None
    with partial.held(target.with_name(f"{target.name}.part"), begin, stop.look) as part:
        # While this one waited, another process may have fetched it.
        kept, problem = _there(job, stop)
        if kept is not None:
            return Outcome(job.name, "was there", target, kept.size, 0, time.monotonic() - began, str(kept))
        if problem:
            warnings.warn(shown(f"{target} is fetched anew: {problem}"), ReplacedFile, stacklevel=2)
        received, evidence = _bring(job, part, pace, stop, show)
        part.keep(target)
    what: What = "fetched anew" if problem else "fetched"
    return Outcome(job.name, what, target, evidence.size, received, time.monotonic() - began, str(evidence))


def _there(job: Job, stop: Stop) -> tuple[Evidence | None, str]:
    """Return what proves that the file is there and right; else what is wrong with it; nothing if it is not there."""
    if not job.target.exists():
        return None, ""
    if job.target.is_dir():
        raise job.fail(f"{job.target} is a folder; move it, or choose another directory")
    try:
        return verify(job.target, job.item, check=stop.check), ""
    except Wrong as error:
        return None, str(error)


def _bring(job: Job, part: Partial, pace: Pace, stop: Stop, show: Callable[[int], None]) -> tuple[int, Evidence]:
    """Bring the bytes and verify them; bytes of several attempts that are not right are fetched once more, whole."""
    remote = resolve.source(job.whole.hrefs, size=job.whole.size, checksum=job.whole.checksum)
    remote = replace(remote, name=job.name)
    if remote.place.is_folder:
        raise job.fail(f"{remote.place.href} is a folder of this machine; copy it")
    for is_last in (False, True):
        continued = part.done if part.version is not None else 0
        if job.whole.size is not None:
            job.refuse_full_disk(part.path.parent, job.whole.size - continued)
        web = remote.address if remote.place.scheme == "http" else ""
        pace.run(job.name, web, lambda: transfer.bring(remote, part, stop, show))
        try:
            return part.received, _verified(job, part, stop)
        except Wrong as error:
            part.begin(None)
            if is_last or not continued:
                raise job.fail(
                    f"what {remote.place.href} gave is not right ({str(error).rstrip('.')}); search again, the "
                    "catalogue may have another version, or tell the operator"
                ) from error
    raise AssertionError("the last attempt returns or fails")


def _verified(job: Job, part: Partial, stop: Stop) -> Evidence:
    # The zip is verified by what it is, although it is not called so yet.
    return verify(part.path, job.item, digest=part.digest, is_zip=job.target.suffix == ".zip", check=stop.check)
