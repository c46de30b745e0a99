"""``geodes-lab runner``."""

from __future__ import annotations

import logging
import signal

import click
import dask

from geodes_lab import extras
from geodes_lab.cli.arguments import failing
from geodes_lab.errors import GeodesError


@click.command()
@click.option("--idle", type=float, help="End after so many seconds without work; without it, never.")
@click.option("--once", is_flag=True, help="End as soon as nothing waits.")
@click.option("--threads", type=int, help="Compute in so many threads of this process, without a Dask cluster.")
@click.option("--units", type=int, help="Units at once; without it, two for each thread of the workers.")
@click.option(
    "--everybody",
    is_flag=True,
    help="Take the jobs of all people of the store, but no code of notebooks. Results belong to this account.",
)
def runner(idle: float | None, once: bool, threads: int | None, units: int | None, everybody: bool) -> None:
    """Compute the jobs that wait, on your own Dask cluster.

    It can be stopped at any time, also by kill -9, and called again; several may run at once. The jobs are those of the
    settings geodes_lab.jobs.

    \b
    Examples:
      geodes-lab runner               until it is stopped
      geodes-lab runner --once        what waits now
      geodes-lab runner --threads 2   without a cluster
    """
    # Before distributed is imported: at its usual level it tells of each connection.
    dask.config.set({"logging": {"distributed": "warning", "distributed.worker": "error"}})
    with failing():
        with extras.needed("geodes-lab runner"):
            from geodes_lab.batch import places
            from geodes_lab.batch.running.runner import Runner
            from geodes_lab.batch.running.workers import Here, OnCluster
            from geodes_lab.batch.store import chosen, served
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.WARNING)
        workers = OnCluster(slots=units) if threads is None else Here(units or threads)
        if everybody and served.address():
            raise GeodesError("In a lab a runner takes your own jobs alone: leave out --everybody.")
        person = None if everybody else places.person()
        one = Runner(chosen.store(), workers, person=person)
        for name in (signal.SIGTERM, signal.SIGINT):
            signal.signal(name, lambda *_: one.stop())
        one.run(idle=0 if once else idle)
