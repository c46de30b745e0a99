"""Engines in processes of their own, each of which dies; a line is ``CONFIG POINT NUMBER``: see `tests.support.dying`."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import dask

from geodes_lab.acquisition.engine import Engine
from geodes_lab.acquisition.loading import load
from geodes_lab.products import families
from tests.support import dying


def between_disks(source: Path, target: Path) -> None:
    """As if the work and the datalake were on two disks."""
    if Path(source).parent != Path(target).parent:
        raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
    link(source, target)


link = os.link


def live(config: str, point: str, number: str) -> None:
    dying.die_at(point, int(number))
    if point == "store.copied":
        os.link = between_disks
    Engine(load(Path(config))).run()


def main(cache: str) -> None:
    dask.config.set({"geodes_lab.datalake.endpoint": "http://127.0.0.1:9", "geodes_lab.cache.folder": cache})
    list(families().values())
    dying.forked(live)


if __name__ == "__main__":
    main(*sys.argv[1:])
