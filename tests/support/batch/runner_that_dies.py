"""Runners in processes of their own, each of which dies; a line is ``POINT NUMBER``: see `tests.support.dying`."""

from __future__ import annotations

import json
import sys
from functools import partial
from typing import Any

import dask

import geodes_lab as gl
from geodes_lab.batch import places
from geodes_lab.batch.running import runner, workers
from geodes_lab.batch.store import tables
from geodes_lab.batch.store.writing import Store
from geodes_lab.processing import registry
from geodes_lab.products import families
from tests.support import dying


def live(settings: dict[str, Any], point: str, number: str) -> None:
    dying.die_at(point, int(number))
    given = settings.get("address")
    store = Store(tables.opened(given and tables.URL.create(**given)))
    one = runner.Runner(store, workers.Here(2), person=places.person(), lease=settings["lease"], pause=0.0)
    one.run(idle=0)


def main(text: str) -> None:
    settings = json.loads(text)
    dask.config.set(settings["dask"])
    list(families().values())
    registry.installed()
    gl.open_cube  # noqa: B018  (imported before the forks)
    dying.forked(partial(live, settings))


if __name__ == "__main__":
    main(sys.argv[1])
