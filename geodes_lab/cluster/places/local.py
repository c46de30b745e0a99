"""A cluster in the user's own server: behind TLS on loopback, within what the server may use."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
from pathlib import Path
from typing import Any

import dask
from dask.utils import format_bytes

from geodes_lab import settings
from geodes_lab.cluster import dashboard_gate, process_group, running, worker_watch
from geodes_lab.cluster.lifecycle import ClusterLifecycle
from geodes_lab.cluster.request import ClusterRequest
from geodes_lab.cluster.size import Workers, allowance, size
from geodes_lab.errors import GeodesError
from geodes_lab.util import ownership, user_folder

_IN_MEMORY = ("tmpfs", "ramfs")


def start(wanted: ClusterRequest) -> ClusterLifecycle:
    """Start a cluster, after room was made for it: clusters of other kernels that do nothing and hold nothing end.

    Raises
    ------
    GeodesError
        If the workers do not fit beside those of the user's other clusters.
    """
    from distributed import LocalCluster

    with running.alone():  # two kernels that start at once must not both take the same memory
        workers = _room(wanted)
        cluster = LocalCluster(
            n_workers=1 if wanted.adaptive else workers.count,
            threads_per_worker=workers.threads,
            memory_limit=workers.memory,
            security=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            scheduler_kwargs={"worker_ttl": worker_watch.DISTRIBUTEDS},
            silence_logs=logging.ERROR,
            local_directory=spill_folder(),
            preload=[process_group.__name__, dashboard_gate.__name__],  # before their own pages, which nobody needs
            preload_nanny=[process_group.__name__],
        )
        link = dashboard(cluster.scheduler)
        if wanted.adaptive:
            cluster.adapt(minimum=1, maximum=workers.count)
        return ClusterLifecycle(cluster, "local", link, change, reserved=workers.count * workers.memory)


def change(keeper: ClusterLifecycle, wanted: ClusterRequest) -> bool:
    """Change the number of workers of a cluster; False if it has to be another cluster, since the workers differ."""
    each = int(keeper.cluster.new_spec["options"]["memory_limit"])
    free = allowance().memory - sum(o.reserved for o in _beside() if o.id != keeper.id)
    count = wanted.workers or max(free // each, 1)
    if wanted.memory not in (None, each) or count * each > free:
        return False
    keeper.reserve(count * each)
    if wanted.adaptive:
        keeper.cluster.adapt(minimum=1 if wanted.least is None else wanted.least, maximum=count)
    else:
        with contextlib.suppress(AttributeError):  # else it would go on to change the number
            keeper.cluster._adaptive.stop()
        keeper.cluster.scale(count)
    return True


def dashboard(scheduler: Any) -> str:
    """Close the dashboard to strangers; give where its owner finds it: behind the hub's login, if there is a hub."""
    secret, prefix = dashboard_gate.close(scheduler), os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    template = f"{prefix}proxy/{{port}}/{secret}/status" if prefix else f"http://127.0.0.1:{{port}}/{secret}/status"
    dask.config.set({"distributed.dashboard.link": template})  # what the client's own repr shows
    return template.format(port=scheduler.http_server.port)


def spill_folder() -> str:
    """Where workers put what does not fit into their memory: on the local disk, never in the home, which has a quota.

    It is closed to others, in a place where nobody else can put another in its stead; one that somebody has taken is
    passed over.

    Raises
    ------
    GeodesError
        If the setting names a folder in the home, or there is no disk but the home.
    """
    setting = settings.get("cluster.spill")
    home = Path.home().resolve()
    candidates = (
        [Path(setting)] if setting else [Path(os.environ.get("TMPDIR") or tempfile.gettempdir()), Path("/var/tmp")]
    )
    tried = []
    for one in candidates:
        where = one.expanduser().resolve()
        if not where.is_dir() or not os.access(where, os.W_OK):
            tried.append(f"{where} is not a folder that you can write into")
        elif where.is_relative_to(home):
            tried.append(f"{where} is in your home")
        elif _kind(where) in _IN_MEMORY:
            tried.append(f"{where} is in memory")
        elif (own_folder := user_folder.below(where)) is None or ownership.make(own_folder / "spill"):
            tried.append(ownership.fault(where) or f"{where} cannot hold new folders")
        else:
            return str(own_folder / "spill")
    raise GeodesError(
        f"Workers have no folder on a local disk ({'; '.join(tried)}): set geodes_lab.cluster.spill to a folder on a "
        "local disk that belongs to you or to root."
    )


def _kind(where: Path) -> str:
    """The kind of file system that a folder lies on; empty where the system does not tell."""
    mounts = Path("/proc/mounts")
    if not mounts.exists():
        return ""
    best, kind = "", ""
    for line in mounts.read_text().splitlines():
        _, at, this, *_ = line.split()
        at = at.replace("\\040", " ")
        if where.is_relative_to(at) and len(at) >= len(best):
            best, kind = at, this
    return kind


def _room(wanted: ClusterRequest) -> Workers:
    others = _beside()
    try:
        return size(wanted.workers, wanted.memory, sum(o.reserved for o in others))
    except GeodesError:
        if not others:
            raise
        # They come back at their next computation.
        idle = [o.id for o in others if not o.tasks and not o.held]
        if not idle or not running.stopped(idle, 20):
            raise _full(others) from None
    return size(wanted.workers, wanted.memory, sum(o.reserved for o in _beside()))


def _beside() -> list[running.Running]:
    """The clusters that share the memory of this server."""
    server = running.me("local", "", "").server
    return [o for o in running.listed() if o.place == "local" and o.server == server]


def _full(others: list[running.Running]) -> GeodesError:
    users = ", ".join(
        f"{o.name} (from the kernel with process {o.pid}) uses {format_bytes(o.reserved)} and "
        f"{'computes' if o.tasks else 'holds results'}"
        for o in others
    )
    return GeodesError(
        f"There is no memory left for another cluster: {users}. Wait until it has finished, stop it in the Dask panel "
        "or with gl.clusters().stop(), or take a larger profile."
    )
