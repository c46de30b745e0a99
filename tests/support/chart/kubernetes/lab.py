"""The cluster that the chart's hub meets: the objects that the chart installs, the rights of its accounts, and a node."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from tests.support.chart.charting import rendered
from tests.support.chart.kubernetes import endpoints
from tests.support.chart.kubernetes.api import KINDS, Api, Rule
from tests.support.chart.kubernetes.node import Node, Run

_ALL = ["get", "watch", "list", "create", "delete"]
HUB: list[Rule] = [
    {"apiGroups": [""], "resources": ["pods", "persistentvolumeclaims", "secrets", "services"], "verbs": _ALL},
    {"apiGroups": [""], "resources": ["events"], "verbs": ["get", "watch", "list"]},
]
"""The Role `hub` of zero-to-jupyterhub."""
CONTROLLER: list[Rule] = [
    {"apiGroups": ["gateway.dask.org"], "resources": ["daskclusters", "daskclusters/status"], "verbs": ["*"]},
    {"apiGroups": ["traefik.io"], "resources": ["ingressroutes", "ingressroutetcps"], "verbs": ["get", "create", "delete"]},
    {"apiGroups": [""], "resources": ["pods"], "verbs": _ALL},
    {"apiGroups": [""], "resources": ["endpoints"], "verbs": ["get", "list", "watch"]},
    {"apiGroups": [""], "resources": ["secrets", "services"], "verbs": ["create", "delete"]},
]  # fmt: skip
GATEWAY: list[Rule] = [
    {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get"]},
    {"apiGroups": ["gateway.dask.org"], "resources": ["daskclusters"], "verbs": ["*"]},
]
"""The ClusterRoles of dask-gateway's chart."""
ADMIN: list[Rule] = [
    {
        "apiGroups": ["", "gateway.dask.org", "traefik.io"],
        "resources": [k.partition(".")[0] for k in KINDS],
        "verbs": ["*"],
    }
]
ROLES = {"hub": HUB, "controller": CONTROLLER, "gateway": GATEWAY}
LARGE = {"cpu": "64", "memory": "512Gi", "nvidia.com/gpu": "1"}


@contextmanager
def cluster(example: str, holds: dict[str, str] | None = None, run: Run | None = None) -> Iterator[tuple[Api, Node]]:
    """One with what the chart has installed; tokens are called as the accounts are."""
    api = Api({**ROLES, "admin": ADMIN})
    with api.serving():
        install(api, rendered(example))
        make = lambda: Node(api.store, dict(holds or LARGE), {"hub.jupyter.org/node-purpose": "user"}, run)  # noqa: E731
        api.do(lambda: endpoints.keep(api.store))
        yield api, api.do(make)


def install(api: Api, documents: tuple[dict[str, Any], ...]) -> None:
    """Create those of the chart's objects that it keeps."""
    plural = {kind: resource for resource, kind in KINDS.items()}
    for d in documents:
        if d["kind"] in plural and d["kind"] != "Pod":
            api.do(lambda d=d: api._create(plural[d["kind"]], api.namespace, d))  # type: ignore[misc]
