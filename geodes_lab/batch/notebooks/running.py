"""What a runner does with the job of a notebook: it reads it, runs it, and keeps what became of it."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from geodes_lab.batch import own_code
from geodes_lab.batch.notebooks import document, execution, parameters
from geodes_lab.batch.notebooks.submission import ENDING, parts_of
from geodes_lab.batch.request import Impossible, Request, Result
from geodes_lab.batch.running import outputs
from geodes_lab.batch.store.leases import LeaseLost, Leases, Task
from geodes_lab.batch.store.records import Record
from geodes_lab.batch.store.served import ServedLeases
from geodes_lab.errors import GeodesError
from geodes_lab.util import faults, ownership
from geodes_lab.util.database import DatabaseUnusable

_EVERY = 1.0  # seconds between two reports of how many cells are done


@dataclass(frozen=True)
class _Step:
    done: int = 0
    of: int = 0


def made(
    leases: Leases | ServedLeases,
    task: Task,
    record: Record,
    request: Request,
    code: bytes | None,
    seal: str | None,
    folder: Path,
    lost: threading.Event,
) -> Result:
    """Run the notebook of a job, in a kernel beside this process.

    Parameters
    ----------
    leases, task
        The unit; the store is told how many cells are done.
    record, request, code, seal
        The job; ``code`` is the notebook, if it came with the job.
    folder
        Of the job: the executed notebook appears there whole.
    lost
        Set when the unit is no longer this runner's, or is cancelled: the kernel is then killed.

    Raises
    ------
    LeaseLost
        If ``lost`` was set.
    Impossible
        If a cell fails, or the notebook cannot be run at all. A kernel that died is tried again, from the first cell.
    """
    if code is None:
        notebook, place = _of_home(str(request.inputs["notebook"]))
    else:
        own_code.check(code, seal, record.person, own_code.NOTEBOOK)
        notebook = document.of_bytes(code, str(request.inputs["notebook"]))
        place = Path(request.place)
    try:
        parameters.put(notebook, parameters.checked(notebook, request.inputs["parameters"]))
        kernel = execution.chosen_kernel(notebook, str(request.inputs["kernel"]))
    except GeodesError as error:
        raise Impossible(str(error)) from None  # it ends the same each time
    folder.mkdir(parents=True, exist_ok=True)
    if not task.is_new:
        leases.begun(task)
    faults.reach("unit.begun")
    target = folder / f"{task.unit.file}{ENDING}"
    try:
        _run(notebook, kernel, place if place.is_dir() else Path.home(), target, leases, task, lost)
    except execution.Stopped:
        raise LeaseLost from None
    except OSError as error:  # others wait for room on the disk and go on; a notebook would run again each time
        raise Impossible(
            f"The executed notebook could not be written to {target} ({error.strerror}): make room, then retry()."
        ) from None
    return Result([outputs.seen(folder, target)], [{"kernel": kernel, "sha256": notebook.digest}])


def _run(
    notebook: document.Notebook, kernel: str, place: Path, target: Path, leases: Leases | ServedLeases, task: Task,
    lost: threading.Event,
) -> None:  # fmt: skip
    now = _Step()

    def told(done: int, of: int) -> None:
        nonlocal now
        now = _Step(done, of)

    written, when = _Step(), 0.0
    with ThreadPoolExecutor(1, thread_name_prefix="notebook") as pool:
        future = pool.submit(execution.run, notebook, kernel, place, target, told=told, stopped=lost.is_set)
        while not future.done():
            if now != written and time.monotonic() - when >= _EVERY:
                written, when = now, time.monotonic()
                try:
                    leases.stepped(task, written.done, written.of)
                except DatabaseUnusable:
                    pass  # it is away now; the next report says more
                except LeaseLost:
                    lost.set()
            with contextlib.suppress(TimeoutError):
                future.exception(0.25)
        future.result()


def _of_home(path: str) -> tuple[document.Notebook, Path]:
    """Read a notebook that a job only names: one of this account's own home that nobody else can have written.

    Raises
    ------
    Impossible
        If it is not there, is somebody else's, or others can write to it or to a folder above it.
    """
    home = Path.home()
    whole = home.joinpath(*parts_of(path))
    try:
        inside = whole.resolve(strict=True).is_relative_to(home.resolve())
    except (OSError, RuntimeError):
        raise Impossible(f"There is no notebook {path} in your home: check the path.") from None
    if not inside:
        raise Impossible(f"{path} is a link that leads out of your home: copy the notebook into your home.")
    if problem := ownership.fault(whole):
        raise Impossible(f"{path} is not run, since another account could have written it: {problem}.")
    if whole.stat().st_uid != os.geteuid():
        raise Impossible(f"{path} is not run, since another account has written it: copy it.")
    try:
        return document.read(whole), whole.parent
    except GeodesError as error:
        raise Impossible(str(error)) from None
