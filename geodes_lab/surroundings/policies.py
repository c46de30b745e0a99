"""Whether the network of the cluster enforces policies.

A door that they close, and behind which somebody is, stays closed.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator

from geodes_lab.errors import GeodesError
from geodes_lab.surroundings.finding import Finding
from geodes_lab.surroundings.kubernetes import Kubernetes

FACT = "policies"
_SLICES = "/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"


def enforced(kubernetes: Kubernetes, service: str, port: int, host: str = "", seconds: float = 4) -> Iterator[Finding]:
    """Try a connection that the chart's policies forbid to this pod.

    Parameters
    ----------
    kubernetes
        Says whether a pod of the Service is ready: what nobody listens to is closed without policies too.
    service, port
        The Service, and where it listens.
    host
        Where it is; by default its name.
    seconds
        For the connection.
    """
    try:
        slices = kubernetes.items(_SLICES, labelSelector=f"kubernetes.io/service-name={service}")
    except GeodesError as error:
        yield Finding(FACT, "not tried", f"{error}, so that nobody says whether a pod of {service} is ready.")
        return
    ready = [
        e for s in slices for e in s.get("endpoints") or [] if (e.get("conditions") or {}).get("ready") is not False
    ]
    if not ready:
        text = f"No pod of {service} is ready, so that a closed door means nothing: try again when one is."
        yield Finding(FACT, "not tried", text)
        return
    try:
        socket.create_connection((host or service, port), seconds).close()
    except OSError as error:
        yield Finding(FACT, "holds", f"The network keeps this pod from {service}:{port} ({error}), as the chart says.")
        return
    yield Finding(
        FACT, "failed",
        f"This pod reaches {service}:{port}, which the chart's policies forbid: the network of the cluster "
        "enforces none, so people's pods reach each other's. Install a network that does, such as Calico or Cilium; if "
        "network.enabled is false, set it to true.",
    )  # fmt: skip
