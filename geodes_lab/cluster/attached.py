"""The front door: one call that gives the Dask cluster of this user, wherever it is."""

from __future__ import annotations

import concurrent.futures
import os
import sys
import threading
from collections.abc import Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import dask

from geodes_lab import extras, settings
from geodes_lab.cluster import first_use
from geodes_lab.cluster.request import PLACES, ClusterRequest, understood
from geodes_lab.errors import GeodesError

if TYPE_CHECKING:
    from geodes_lab.cluster.lifecycle import ClusterLifecycle

_ENDS = 30.0  # seconds in which a cluster that is being stopped gives its memory back

_lock = threading.RLock()
_keeper: ClusterLifecycle | None = None
_start: concurrent.futures.Future[ClusterLifecycle] | None = None


def attach(
    *, workers: int | None = None, memory: str | int | None = None, adaptive: bool = False, place: str | None = None
) -> Any:
    """Return the client of your own Dask cluster; start the cluster if there is none yet.

    The cluster runs on this server, on a dask-gateway, or as jobs in a SLURM queue. The setting
    ``geodes_lab.cluster.place`` chooses the place. Without it, the cluster runs on the configured gateway
    (``DASK_GATEWAY__ADDRESS``), else in SLURM if ``sbatch`` exists, else on this server. It uses TLS with its own keys,
    and only its owner can open its dashboard. It ends with the kernel, after the idle time ``geodes_lab.cluster.idle``,
    or with ``gl.clusters().stop()``. In a kernel of the lab, the first computation calls this function.

    Parameters
    ----------
    workers
        The number of workers; with ``adaptive`` the largest number. None: the number in the settings, or as many as
        fit.
    memory
        The memory of each worker, such as ``"4GiB"``. A change starts a new cluster: results on the old one are lost.
    adaptive
        Whether the number of workers follows the work.
    place
        ``local``, ``gateway`` or ``slurm``; it has priority over the settings.

    Returns
    -------
    distributed.Client
        The same client at each call; arguments change its cluster. If you created a client yourself, it is returned
        unchanged.

    Raises
    ------
    GeodesError
        If an argument is not valid, the cluster does not fit, or the place refuses it.
    """
    wanted = understood(workers, memory, adaptive)
    global _keeper
    with _lock:
        if _start is not None:
            concurrent.futures.wait([_start])  # one that was interrupted goes on
        known = _keeper is not None and not _keeper.is_closed
        if _keeper is not None and not known:
            _keeper.over.wait(_ENDS)
        client = _client()
        if client is not None and not (known and _keeper is not None and client is _keeper.client):
            return client
        if client is None and known and _keeper is not None:
            _keeper.close()  # its client was closed: it must not go on beside the new one
            known = False
        if known and _keeper is not None:
            moves = place is not None and _place(place) != _keeper.place
            if not moves and (wanted.is_nothing or _keeper.change(wanted)):
                return _keeper.client
            _keeper.close()
        return _started(place, wanted).client


def get(dsk: Mapping[Hashable, Any], keys: Sequence[Any] | Hashable, **options: Any) -> Any:
    """Dask's scheduler of the lab's kernels: attach at the first computation, then compute there.

    Set by the kernel as ``dask.config.set(scheduler=get)``. Once the client exists Dask uses it directly.
    """
    return attach().get(dsk, keys, **options)


def _client() -> Any:
    """The client in use; None, if there is none yet."""
    if "distributed" not in sys.modules:
        return None  # imported here, an interruption would leave it half imported
    from distributed import get_client

    try:
        return get_client(timeout=5)
    except ValueError:
        return None


def _started(place: str | None, wanted: ClusterRequest) -> ClusterLifecycle:
    """Start a cluster in a thread of its own, which imports too what it needs.

    Interrupted, neither is left half there: the cluster becomes that of the next computation.
    """
    global _start
    _start = concurrent.futures.Future()
    threading.Thread(target=_begin, args=(place, wanted, _start), name="cluster-starts", daemon=True).start()
    return _start.result()


def _begin(place: str | None, wanted: ClusterRequest, start: concurrent.futures.Future[ClusterLifecycle]) -> None:
    global _keeper
    try:
        with extras.needed("gl.attach"):
            import cryptography  # noqa: F401  (distributed would say itself, and late, that it needs it)

            from geodes_lab.cluster import limits

            module = _module(_place(place))
            limits.refuse()
            first_use.put_aside(get)
            # What fails on a worker is raised here, as one sentence; its log would say it twice more before.
            dask.config.set({"logging": {"distributed": "error", "distributed.worker": "critical"}})
            _keeper = module.start(wanted)
    except BaseException as error:
        first_use.put_back()
        start.set_exception(error)
    else:
        start.set_result(_keeper)


def _place(said: str | None) -> str:
    from geodes_lab.cluster.places import slurm

    place = said or settings.get("cluster.place")
    if place is not None and place not in PLACES:
        raise GeodesError(f"A cluster is {', '.join(PLACES[:-1])} or {PLACES[-1]}, not {place!r}.")
    if place is None:
        by_gateway = os.environ.get("DASK_GATEWAY__ADDRESS") or dask.config.get("gateway.address", None)
        place = "gateway" if by_gateway else "slurm" if slurm.is_there() else "local"
    return str(place)


def _module(place: str) -> Any:
    from geodes_lab.cluster.places import gateway, local, slurm

    return {"local": local, "gateway": gateway, "slurm": slurm}[place]
