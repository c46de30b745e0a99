"""A runner of one's own, where nobody else runs jobs: a process that goes on when the kernel ends."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import dask

from geodes_lab import settings
from geodes_lab.batch import places
from geodes_lab.batch.store.chosen import AnyStore
from geodes_lab.errors import GeodesError

_PATIENCE = 60.0  # seconds in which a runner that was started says that it is alive

_lock = threading.Lock()
_started = -_PATIENCE


def needed(store: AnyStore, person: str) -> None:
    """Start a runner, if none is alive that takes this person's units and the settings want one.

    Parameters
    ----------
    store
        The store of the settings: a runner that is started finds no other.
    person
        Whose units wait; nothing is started for anybody else than this account.
    """
    global _started
    if settings.get("jobs.runner") != "start" or person != places.person():
        return
    with _lock:
        if time.monotonic() - _started < _PATIENCE or store.has_runner(person):
            return
        _started = time.monotonic()
        places.results().mkdir(parents=True, exist_ok=True)
        path = places.results() / "runner.log"
        _start(path)


def _start(log: Path) -> None:
    code = "from geodes_lab.cli import main; main()"
    command = [sys.executable, "-P", "-c", code, "runner", "--idle", str(settings.get("jobs.idle"))]
    # With the settings of this kernel, as Dask gives them to its workers; secrets are never settings.
    environment = os.environ | {"DASK_INTERNAL_INHERIT_CONFIG": dask.config.serialize(dask.config.global_config)}
    try:
        with log.open("ab") as output:
            # In a session of its own: the end of the kernel is not its end.
            subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
                cwd=Path.home(), env=environment,
            )  # fmt: skip
    except OSError as error:
        raise GeodesError(
            f"No runner could be started ({error.strerror}): run `geodes-lab runner` in a terminal. The job waits."
        ) from error
