"""A cluster of a dask-gateway.

On Kubernetes, beside the user's server, within the limits that the gateway has for the user.
"""

from __future__ import annotations

import os
from typing import Any
from urllib.parse import urlsplit

from geodes_lab.cluster import dashboard_gate, versions
from geodes_lab.cluster.lifecycle import ClusterLifecycle
from geodes_lab.cluster.places import gateway_closing
from geodes_lab.cluster.request import ClusterRequest
from geodes_lab.environments.overlay import Overlay
from geodes_lab.errors import GeodesError

_DEFAULT = 4  # workers
_REMEDY = "Restart your server to get the image of the gateway; if this does not help, tell the operator."


def start(wanted: ClusterRequest) -> ClusterLifecycle:
    """Ask the gateway for a cluster; workers are asked for once its scheduler is known to have the kernel's software.

    Raises
    ------
    GeodesError
        If the gateway does not answer, refuses, cannot start a scheduler, or has other software.
    """
    from dask_gateway import Gateway
    from dask_gateway.client import GatewayClusterError, GatewayServerError

    gateway_closing.close_aside()
    try:
        service = Gateway()
        options = _options(service, wanted)
        cluster = service.new_cluster(options, shutdown_on_close=True)
    except (GatewayClusterError, GatewayServerError, ValueError, OSError, TimeoutError) as error:
        raise _explained(error) from error
    try:
        with cluster.get_client(set_as_default=False) as client:
            refuse(client)
            secret = _gated(client)
        if wanted.adaptive:
            cluster.adapt(minimum=0, maximum=wanted.workers or _DEFAULT)
        else:
            cluster.scale(wanted.workers or _DEFAULT)
        return ClusterLifecycle(cluster, "gateway", _link(cluster, secret), change)
    except (GatewayClusterError, GatewayServerError) as error:
        cluster.shutdown()
        raise _explained(error) from error
    except BaseException:
        cluster.shutdown()
        raise


def change(keeper: ClusterLifecycle, wanted: ClusterRequest) -> bool:
    """Change the number of workers; False if it has to be another cluster, since the workers differ."""
    if wanted.memory is not None:
        return False
    if wanted.adaptive:
        keeper.cluster.adapt(minimum=wanted.least or 0, maximum=wanted.workers or _DEFAULT)
    else:
        keeper.cluster.adapt(active=False)
        keeper.cluster.scale(wanted.workers or _DEFAULT)
    return True


def refuse(client: Any) -> None:
    """Refuse a scheduler that has other software than the kernel.

    Raises
    ------
    GeodesError
        If it has.
    """
    overlay = Overlay.present()
    own = [name for name in versions.PACKAGES if overlay is not None and name in overlay.own()]
    remedy = (
        f"You have installed {' and '.join(own)} in place of the lab's: `pip uninstall {' '.join(own)}`, and restart "
        "the kernel."
    )
    versions.refuse(client.run_on_scheduler(eval, versions.ASK), "The gateway's scheduler", remedy if own else _REMEDY)


def _gated(client: Any) -> str:
    """The secret path of the dashboard; the gateway itself shows it to anybody (dask-gateway#570)."""
    secret: str = client.run_on_scheduler(dashboard_gate.close)
    return secret


def _options(service: Any, wanted: ClusterRequest) -> Any:
    options = service.cluster_options()
    if wanted.memory is not None:
        there = {name.lower(): name for name in options}
        name = next((there[n] for n in ("worker_memory", "memory") if n in there), None)
        if name is None:
            raise GeodesError(
                "This gateway does not let users choose the memory of workers: leave memory= out. You can choose: "
                f"{', '.join(options) or 'nothing'}."
            )
        options[name] = wanted.memory / 2**30 if isinstance(options[name], (int, float)) else f"{wanted.memory}"
    return options


def _link(cluster: Any, secret: str) -> str:
    """Through the user's own server, and so behind the hub's login."""
    own, prefix = urlsplit(cluster.dashboard_link), os.environ.get("JUPYTERHUB_SERVICE_PREFIX")
    path = f"{own.path.removesuffix('/status')}/{secret}/status"
    port = own.port or (443 if own.scheme == "https" else 80)
    return f"{prefix}proxy/{own.hostname}:{port}{path}" if prefix else own._replace(path=path).geturl()


def _explained(error: Exception) -> GeodesError:
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    if "failed to start" in reason:
        return GeodesError(
            f"The gateway could not start a scheduler ({reason}). A gateway fails in this way if it starts "
            "dask-scheduler and dask-worker, two commands that distributed no longer has (dask-gateway#945). Ask the "
            "operator to set c.ClusterConfig.scheduler_cmd to ['dask', 'scheduler'] and worker_cmd to ['dask', "
            "'worker']."
        )
    if "limit" in reason.lower():
        return GeodesError(
            f"The gateway refuses another cluster: {reason}. Stop one of your clusters first; gl.clusters() lists them."
        )
    return GeodesError(
        f"The gateway did not start a cluster: {reason}. Check gateway.address in Dask's settings, or tell the "
        "operator."
    )
