"""Engines in processes of their own, each of which ends at a named point, or is killed from outside.

For each line ``CONFIG POINT NUMBER`` it prints the id of a process, and then its exit code. They are forks of a process that has imported all
and started nothing, so that hundreds of deaths take no longer than what the engines do.
"""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import dask

from geodes_lab.acquisition import faults
from geodes_lab.acquisition.engine import Engine
from geodes_lab.acquisition.loading import load
from geodes_lab.products import families

KILLED = 137


def between_disks(source: Path, target: Path) -> None:
    """As if the work and the datalake were on two disks."""
    if Path(source).parent != Path(target).parent:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    link(source, target)


link = os.link


def live(config: str, point: str, number: int) -> None:
    left = number

    def die(here: str) -> None:
        nonlocal left
        if here == point:
            left -= 1
            if left == 0:
                os._exit(KILLED)  # no handler, no flush, no clean-up

    faults.on_reach = die
    if point == "store.copied":
        os.link = between_disks
    Engine(load(Path(config))).run()


def main(cache: str) -> None:
    dask.config.set({"geodes_lab.datalake.endpoint": "http://127.0.0.1:9", "geodes_lab.cache.folder": cache})
    families()
    for line in sys.stdin:
        config, point, number = line.split()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                live(config, point, int(number))
                code = 0
            finally:
                os._exit(code)
        print(child, flush=True)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
