"""dask-gateway's two halves, the API's backend and the controller, against a Kubernetes API over HTTP, each with the rights of its own account."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from dask_gateway_server.backends.base import PublicException
from dask_gateway_server.backends.kubernetes.controller import KubeController
from dask_gateway_server.models import ClusterStatus, User
from kubernetes_asyncio.config import kube_config

from hub.servers import group_mounts
from tests.hub.test_capped import accounts
from tests.hub.test_group_mounts import lab
from tests.integration.chart.test_pods import configured
from tests.support.chart.charting import EXAMPLES, needs_helm
from tests.support.chart.kubernetes.api import Api
from tests.support.chart.kubernetes.lab import cluster
from tests.support.chart.restricted import violations
from tests.support.servers.served import served

ALICE = User("alice", ["geodes/users"])
pytestmark = needs_helm


class Gateway:
    """Both halves under the chart's configuration; in the cluster each is a pod."""

    def __init__(self, example: str, api: Api, folder: Path, patch: pytest.MonkeyPatch) -> None:
        self.api, self.folder, self.patch = api, folder, patch
        self.c = configured(example)
        self.c.KubeController.address = "127.0.0.1:0"
        self.c.CappedKubeBackend.rights_url = ""  # nobody is asked; where it matters a test says who

    def _as(self, account: str) -> None:
        path = self.api.kubeconfig(account, self.folder / account)
        self.patch.setattr(kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(path))

    @asynccontextmanager
    async def backend(self) -> AsyncIterator[Any]:
        """The API's."""
        self._as("gateway")
        backend = self.c.DaskGateway.backend_class(config=self.c)
        await backend.setup(web.Application())
        try:
            yield backend
        finally:
            await backend.cleanup()

    @asynccontextmanager
    async def controller(self) -> AsyncIterator[None]:
        """The controller, from its start to its end."""
        self._as("controller")
        controller = KubeController(config=self.c)
        controller.app = web.Application()  # `initialize` makes it, and would read this program's arguments
        await controller.setup()
        try:
            yield
        finally:
            await controller.cleanup()
            for signal in (15, 2):
                asyncio.get_running_loop().remove_signal_handler(signal)

    def kinds(self) -> Counter[str]:
        """How many of each thing a cluster has."""
        parts = Counter(p["metadata"]["labels"]["app.kubernetes.io/component"] for p in self.api.all("pods"))
        for name in ("secrets", "services", "endpoints", "ingressroutes.traefik.io", "ingressroutetcps.traefik.io"):
            parts[name] = sum("gateway.dask.org/cluster" in o["metadata"].get("labels", {}) for o in self.api.all(name))
        return +parts

    async def until(self, what: Callable[[], Any]) -> None:
        """Await something of the cluster."""
        async with asyncio.timeout(30):
            while not what():
                await asyncio.sleep(0.05)


@pytest.fixture(params=EXAMPLES)
def gateway(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    with cluster(request.param) as (api, node):
        made = Gateway(request.param, api, tmp_path, monkeypatch)
        made.node = node  # type: ignore[attr-defined]
        yield made


WHOLE = {
    "dask-scheduler": 1, "secrets": 1, "services": 1, "endpoints": 1, "ingressroutes.traefik.io": 1, "ingressroutetcps.traefik.io": 1,
}  # fmt: skip


def test_cluster_starts_grows_and_ends_whole(gateway):
    async def life() -> None:
        async with gateway.backend() as backend:
            async with gateway.controller():
                name = await backend.start_cluster(ALICE, {})
                await gateway.until(lambda: status(backend, name) == ClusterStatus.RUNNING)
                assert gateway.kinds() == WHOLE
                await backend.on_cluster_heartbeat(name, heartbeat(2))
                await gateway.until(lambda: gateway.kinds()["dask-worker"] == 2)
            # The controller is made anew, as after an upgrade: it does nothing twice.
            async with gateway.controller():
                await backend.on_cluster_heartbeat(name, heartbeat(3))
                await gateway.until(lambda: gateway.kinds()["dask-worker"] == 3)
                assert gateway.kinds() == {**WHOLE, "dask-worker": 3}
                await backend.stop_cluster(name)
                await gateway.until(lambda: status(backend, name) == ClusterStatus.STOPPED)
                await gateway.until(lambda: not gateway.kinds())

    asyncio.run(life())
    refused = [a for a in gateway.api.asked if a[2] >= 400]
    assert {(verb, code) for verb, _, code in refused} <= {("DELETE", 404), ("POST", 409)}, "gone or there already"
    # dask-gateway spells a field of its Service `target_port`; Kubernetes takes the port's own number, which is the same.
    assert {w.partition(":")[0] for w in gateway.api.warned} <= {"services"}


def test_workers_mount_the_folders_of_their_users_groups(gateway):
    mounts = group_mounts.mounts("alice", ALICE.groups, lab(*ALICE.groups))

    async def life() -> None:
        async with gateway.backend() as backend, gateway.controller():
            name = await backend.start_cluster(ALICE, {})
            await gateway.until(lambda: status(backend, name) == ClusterStatus.RUNNING)
            await backend.on_cluster_heartbeat(name, heartbeat(1))
            await gateway.until(lambda: gateway.kinds()["dask-worker"] == 1)

    with served(accounts([], mounts=mounts)) as url:
        gateway.c.CappedKubeBackend.rights_url = f"{url}/services/usage"
        asyncio.run(life())
    by_part = {p["metadata"]["labels"]["app.kubernetes.io/component"]: p["spec"] for p in gateway.api.all("pods")}
    (worker,) = by_part["dask-worker"]["containers"]
    mounted = {m["mountPath"]: m for m in worker["volumeMounts"]}
    assert [mounted[m["mountPath"]] for m in mounts] == mounts
    assert mounted["/srv/shared"]["readOnly"] is True
    assert "groups" not in {v["name"] for v in by_part["dask-scheduler"]["volumes"]}, "it opens no file"
    assert list(violations(by_part["dask-worker"])) == []


def test_workers_go_with_a_scheduler_that_died(gateway):
    async def life() -> None:
        async with gateway.backend() as backend, gateway.controller():
            name = await backend.start_cluster(ALICE, {})
            await gateway.until(lambda: status(backend, name) == ClusterStatus.RUNNING)
            await backend.on_cluster_heartbeat(name, heartbeat(1))
            await gateway.until(lambda: gateway.kinds()["dask-worker"] == 1)
            (pod,) = (p for p in gateway.api.all("pods") if "scheduler" in p["metadata"]["name"])
            gateway.api.do(lambda: gateway.node.ended(("pods", "lab", pod["metadata"]["name"]), 137, "OOMKilled"))
            await gateway.until(lambda: status(backend, name) == ClusterStatus.FAILED)
            await gateway.until(lambda: not gateway.kinds())

    asyncio.run(life())


def test_cap_of_a_user_counts_what_kubernetes_has(gateway):
    gateway.c.CappedKubeBackend.user_max_clusters = 1

    async def life() -> None:
        async with gateway.backend() as backend:
            name = await backend.start_cluster(ALICE, {})
            await gateway.until(lambda: name in backend.clusters)
            with pytest.raises(PublicException, match="the limit is 1 clusters at once, and you have lab"):
                await backend.start_cluster(ALICE, {})
            assert await backend.start_cluster(User("bob"), {}), "another's do not count"

    asyncio.run(life())


def status(backend: Any, name: str) -> Any:
    return getattr(backend.clusters.get(name), "status", None)


def heartbeat(count: int) -> dict[str, Any]:
    """What a scheduler tells of itself."""
    return {"count": count, "active_workers": [], "closing_workers": [], "closed_workers": []}
