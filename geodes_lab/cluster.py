"""The Dask cluster of this user: local, behind TLS, sized to what the server may use; there at first use."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import dask
from dask.utils import format_bytes, parse_bytes

from geodes_lab import settings
from geodes_lab.errors import GeodesError

# The kernel itself, its plots and the system live on the rest.
_SHARE_OF_MEMORY = 0.6
_CORES_PER_WORKER = 4

_lock = threading.Lock()
_cluster: Any = None


def attach() -> Any:
    """Give the client of this user's own Dask cluster; start the cluster if there is none yet.

    The cluster listens on loopback behind TLS with keys of its own, so that no other user of the machine can give it
    work; its dashboard only shows, and shows to any process of this machine. It ends with the kernel. In a kernel of the lab the first computation calls this by itself.

    Returns
    -------
    distributed.Client
        The same one each time; a client that the user made is left as it is and given back.

    Raises
    ------
    GeodesError
        If the settings ``cluster.memory`` or ``cluster.cores`` make no sense.
    """
    from distributed import Client, LocalCluster, get_client

    with _lock:
        try:
            return get_client(timeout=5)
        except ValueError:
            pass  # none yet
        prefix = os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
        if prefix:
            dask.config.set({"distributed.dashboard.link": f"{prefix}proxy/{{port}}/status"})
        # The kernel's hook (see `get`) has done its work; workers inherit the configuration and must not have it.
        dask.config.set(scheduler=None)
        # What fails on a worker is raised here, as one sentence; its log would say it twice more before.
        dask.config.set({"logging": {"distributed": "error", "distributed.worker": "critical"}})
        workers, threads, memory = size()
        global _cluster
        if _cluster is not None:
            _cluster.close()  # its client was closed: it must not go on beside the new one
        _cluster = LocalCluster(
            n_workers=workers,
            threads_per_worker=threads,
            memory_limit=memory,
            security=True,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            silence_logs=logging.ERROR,
        )
        return Client(_cluster)


@dataclass(frozen=True)
class Workers:
    """The Dask workers that there are, or that `attach` would start."""

    count: int
    threads: int
    """Of each."""
    memory: int
    """Of each, in bytes."""


def workers() -> Workers:
    """Describe the workers of the client in use, the smallest standing for all; without a client, what `attach` would start."""
    import sys

    if "distributed" in sys.modules:
        from distributed import get_client

        try:
            known = list(get_client(timeout=1).scheduler_info(n_workers=-1)["workers"].values())
        except (ValueError, OSError):
            known = []
        if known:
            return Workers(
                len(known), min(w["nthreads"] for w in known), min(int(w["memory_limit"] or 2**62) for w in known)
            )
    return Workers(*size())


def size() -> tuple[int, int, int]:
    """How many workers, threads each, bytes of memory each: from the settings, else from what this server may use.

    What it may use is the smallest of the machine, the control group, and the limits that the hub's profile set.
    """
    from dask.system import CPU_COUNT
    from distributed.system import MEMORY_LIMIT

    try:
        allowed = min(CPU_COUNT, float(os.environ.get("CPU_LIMIT") or CPU_COUNT))
        cores = settings.get("cluster.cores") or max(int(allowed), 1)
        total = parse_bytes(settings.get("cluster.memory") or 0)
        cores = int(cores)
    except ValueError as error:
        raise GeodesError(
            f"The settings of geodes_lab.cluster make no sense ({error}): say memory as '8GiB', cores as 4."
        ) from error
    available = int(min(MEMORY_LIMIT, parse_bytes(os.environ.get("MEM_LIMIT") or MEMORY_LIMIT)))
    total = total or int(available * _SHARE_OF_MEMORY)
    if not cores >= 1 or not 2**28 <= total <= available:
        raise GeodesError(
            f"A cluster of {cores} cores and {format_bytes(total)} does not fit: this server has {format_bytes(available)}; "
            "set geodes_lab.cluster.cores and .memory (at least 256 MiB) accordingly."
        )
    workers = -(-cores // _CORES_PER_WORKER)
    return workers, cores // workers, total // workers


def get(dsk: Mapping[Hashable, Any], keys: Sequence[Any] | Hashable, **options: Any) -> Any:
    """Dask's scheduler of the lab's kernels: attach at the first computation, then compute there.

    Set by the kernel as ``dask.config.set(scheduler=get)``. Once the client exists Dask uses it directly.
    """
    return attach().get(dsk, keys, **options)
