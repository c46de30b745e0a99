"""Runners in processes of their own, each of which ends at a named point, or is killed from outside.

For each line ``POINT NUMBER`` it prints the id of a process, and then its exit code: forks of a process that has imported all and started nothing.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import dask

import geodes_lab as gl
from geodes_lab.batch import places
from geodes_lab.batch.running import faults, runner, workers
from geodes_lab.batch.store import tables
from geodes_lab.batch.store.writing import Store
from geodes_lab.processing import registry
from geodes_lab.products import families

KILLED = 137


def live(settings: dict[str, Any], point: str, number: int) -> None:
    left = number

    def die(here: str) -> None:
        nonlocal left
        if here == point:
            left -= 1
            if left == 0:
                os._exit(KILLED)  # no handler, no flush, no clean-up

    faults.on_reach = die
    given = settings.get("address")
    store = Store(tables.opened(given and tables.URL.create(**given)))
    one = runner.Runner(store, workers.Here(2), person=places.person(), lease=settings["lease"], pause=0.0)
    one.run(idle=0)


def main(text: str) -> None:
    settings = json.loads(text)
    dask.config.set(settings["dask"])
    families()
    registry.installed()
    gl.open_cube  # noqa: B018  (imported before the forks)
    for line in sys.stdin:
        point, number = line.split()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                live(settings, point, int(number))
                code = 0
            finally:
                os._exit(code)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
