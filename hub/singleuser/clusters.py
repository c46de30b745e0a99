"""JupyterLab's Dask panel shows the user's own clusters, wherever they were started, and stops them.

Computations on them count as activity.

The panel is dask-labextension's. Its requests (list the clusters, stop one, make it larger) are answered from the
clusters' own records (`geodes_lab.cluster.running`), instead of clusters that the panel would start in the server's own
process.
"""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from datetime import UTC, datetime
from types import ModuleType
from typing import Any

from dask.utils import format_bytes
from tornado.ioloop import PeriodicCallback
from tornado.web import HTTPError

from geodes_lab import arguments
from geodes_lab.cluster import resizing, running
from geodes_lab.cluster.request import understood
from geodes_lab.cluster.running import Running
from geodes_lab.errors import GeodesError

_EVERY = 15.0  # seconds between two checks whether clusters compute
_SOON = 10.0  # seconds in which a cluster stops


class Clusters:
    """Replaces ``dask_labextension.manager``."""

    def list_clusters(self) -> list[dict[str, Any]]:
        """Return all clusters of this user."""
        return [_model(one) for one in running.listed()]

    def get_cluster(self, cluster_id: str) -> dict[str, Any] | None:
        """Return one of them."""
        return next((m for m in self.list_clusters() if m["id"] == cluster_id), None)

    async def close_cluster(self, cluster_id: str) -> dict[str, Any] | None:
        """Stop one, and wait until it has stopped."""
        cluster = self.get_cluster(cluster_id)
        if cluster is not None:
            await asyncio.to_thread(running.stopped, [cluster_id], _SOON)
        return cluster

    async def start_cluster(self, cluster_id: str = "", configuration: dict[str, Any] | None = None) -> dict[str, Any]:
        """Refuse: a cluster belongs to a kernel."""
        raise HTTPError(
            409,
            reason="A cluster belongs to a notebook: write gl.attach() in a notebook, or start a computation there.",
        )

    async def scale_cluster(self, cluster_id: str, n: int) -> dict[str, Any] | None:
        """Have the kernel change the number of workers; it knows what fits, and is waited for."""
        mark = _ask(cluster_id, n)
        try:
            await asyncio.to_thread(resizing.answered, cluster_id, mark, _SOON)
        except GeodesError as error:
            raise HTTPError(409, reason=str(error)) from None
        return self.get_cluster(cluster_id)

    def adapt_cluster(self, cluster_id: str, minimum: int, maximum: int) -> dict[str, Any] | None:
        """Have the kernel let workers come and go; the panel cannot wait for it, so a refusal is read in the cell."""
        _ask(cluster_id, maximum, minimum)
        return self.get_cluster(cluster_id)


def _ask(cluster_id: str, workers: int, least: int | None = None) -> str:
    try:
        wanted = understood(workers, None, least is not None)
        if least is not None:
            least = arguments.whole("minimum", least, f"a number of workers, 0 to {workers}", 0)
            if least > workers:
                raise GeodesError(f"minimum must be a number of workers, 0 to {workers}, not {least}.")
        return resizing.ask(cluster_id, replace(wanted, least=least))
    except GeodesError as error:
        raise HTTPError(409, reason=str(error)) from None


def _model(one: Running) -> dict[str, Any]:
    """Return a cluster in the panel's form."""
    return {
        "id": one.id,
        "name": one.name,
        "scheduler_address": one.scheduler,
        "dashboard_link": one.dashboard,
        "workers": one.workers,
        "memory": format_bytes(one.memory),
        "cores": one.threads,
    }


def note(settings: dict[str, Any]) -> bool:
    """Count computing clusters as use of the server: a kernel that waits for its workers looks idle.

    Return whether one is computing.

    Parameters
    ----------
    settings
        The server's settings: keys that end with ``_last_activity`` count for the lab's culler (``presence.py``),
        entries of ``last_activity_times`` for Jupyter's report to the hub.
    """
    works = any(one.tasks for one in running.listed())
    if works:
        now = datetime.now(UTC)
        settings["geodes_lab_clusters_last_activity"] = now
        settings.setdefault("last_activity_times", {})["geodes_lab.clusters"] = now
    return works


def stand_in() -> None:
    """Stand where dask-labextension's own manager is, before it is imported: with it the server imports distributed."""
    sys.modules["dask_labextension.manager"] = stands = ModuleType("dask_labextension.manager")
    stands.__dict__.update(manager=Clusters(), DaskClusterManager=Clusters)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.clusters"}]


def _load_jupyter_server_extension(app: Any) -> None:
    def look() -> None:
        note(app.web_app.settings)

    looks = PeriodicCallback(look, _EVERY * 1000)
    app.io_loop.add_callback(looks.start)
