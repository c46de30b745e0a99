"""People's servers start, are looked after and stop against a Kubernetes API over HTTP, under the chart's configuration of the hub.

The API keeps, watches and refuses (tests/support/chart/kubernetes); KubeSpawner, its reflectors and the client are the real ones.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubespawner
import pytest
from jupyterhub.objects import Hub, Server
from kubernetes_asyncio.client import ApiException
from kubernetes_asyncio.config import kube_config
from traitlets.config import Config

from hub.servers import spawning
from tests.integration.chart.test_hub import GROUPS, load, mounted
from tests.support.chart.charting import needs_helm, one, rendered, yaml
from tests.support.chart.kubernetes.api import Api
from tests.support.chart.kubernetes.lab import cluster
from tests.support.chart.kubernetes.node import Node

SHARED_CLAIM = "geodes-lab-shared"
SIZES = [("kind", "S"), ("kind", "M"), ("cnes", "S"), ("cnes", "M"), ("cnes", "L"), ("cnes", "GPU")]
pytestmark = needs_helm


class Lab:
    """A hub's spawners before a cluster."""

    def __init__(self, example: str, api: Api, node: Node, c: Config) -> None:
        self.example, self.api, self.node, self.c = example, api, node, c
        c.KubeSpawner.start_timeout = 20
        c.KubeSpawner.http_timeout = 5

    def spawner(self, name: str = "alice", group: str = "geodes/users", state: dict[str, Any] | None = None) -> Any:
        """The spawner of somebody, as a hub that has just started makes it from what it has kept."""
        user = SimpleNamespace(
            name=name, id=1, url=f"/user/{name}/", escaped_name=name, groups=[SimpleNamespace(name=group)], admin=False
        )
        made = kubespawner.KubeSpawner(
            config=self.c, user=user, hub=Hub(public_host="", base_url="/hub/"), server=Server(base_url=f"/user/{name}/"),
            api_token="secret", _mock=True, db=SimpleNamespace(commit=lambda: None),
        )  # fmt: skip
        if state is not None:
            made.load_state(state)
        return made

    def run(self, life: Callable[[], Awaitable[Any]]) -> Any:
        """Run it in a loop of its own, as one life of a hub has, with reflectors that begin and end with it."""

        async def whole() -> Any:
            try:
                return await life()
            finally:
                await kubespawner.KubeSpawner._stop_all_reflectors()
                others = [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
                for task in others:
                    task.cancel()
                await asyncio.gather(*others, return_exceptions=True)

        return asyncio.run(whole())

    async def started(self, spawner: Any, size: str) -> str:
        """What the hub does: the hook, then the start."""
        spawner.user_options = {"size": size} if size else {}
        await spawner.run_pre_spawn_hook()
        url: str = await spawner.start()
        return url

    def pods(self) -> list[dict[str, Any]]:
        return self.api.all("pods")


@pytest.fixture
def reach(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Api], None]:
    """Lead the clients of this process to an API, as the account of the hub."""

    def lead(api: Api) -> None:
        monkeypatch.setattr(
            kube_config, "KUBE_CONFIG_DEFAULT_LOCATION", str(api.kubeconfig("hub", tmp_path / "config"))
        )
        kubespawner.spawner.load_config.cache_clear()

    return lead


@pytest.fixture
def lab(request: pytest.FixtureRequest, reach: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Lab]:
    example = getattr(request, "param", "kind")
    for name in [n for n in os.environ if n.startswith("GEODES_LAB_")]:
        monkeypatch.delenv(name)
    for name, value in mounted(example, tmp_path).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(spawning, "_within", nothing_used)
    with cluster(example) as (api, node):
        reach(api)
        yield Lab(example, api, node, load(example, tmp_path))
    kubespawner.spawner.load_config.cache_clear()


async def nothing_used(_: Any) -> None:
    """The accounts of use have a test of their own."""


@pytest.mark.parametrize(("lab", "size"), SIZES, indirect=["lab"], ids=lambda v: getattr(v, "example", v))
def test_server_of_each_size_starts_is_seen_and_stops(lab, size):
    async def life() -> dict[str, Any]:
        spawner = lab.spawner(group="geodes/users" if size in "SM" else GROUPS[size])
        assert await lab.started(spawner, size) == "http://127.0.0.1:8888"
        (pod,) = lab.pods()
        assert await spawner.poll() is None
        async with asyncio.timeout(120):
            while [e["reason"] for e in spawner.events] != ["Scheduled", "Pulled"]:
                await asyncio.sleep(0.02)
        await spawner.stop()
        assert await spawner.poll() == 1
        return pod

    pod = lab.run(life)
    lab_file = yaml.safe_load(one(rendered(lab.example), "ConfigMap", "geodes-lab")["data"]["lab.yaml"])
    (container,) = pod["spec"]["containers"]
    assert float(container["resources"]["limits"]["cpu"]) == lab_file["profiles"][size]["cores"]
    assert container["resources"]["limits"].get("nvidia.com/gpu") == ("1" if size == "GPU" else None)
    mounts = {m["mountPath"]: m for m in container["volumeMounts"]}
    assert mounts["/srv/shared"]["readOnly"] is (size in "SM")
    assert len([path for path in mounts if path.startswith("/srv/groups/")]) == 2, (
        "the group's, and the own results in it"
    )
    assert lab.pods() == []
    claims = {d["metadata"]["name"]: d["spec"] for d in lab.api.all("persistentvolumeclaims")}
    assert claims["claim-alice"]["resources"]["requests"]["storage"] == ("1Gi" if lab.example == "kind" else "50Gi")
    assert SHARED_CLAIM in claims, "homes and what is shared stay"
    assert [a for a in lab.api.asked if a[2] >= 400] == []
    assert lab.api.warned == [], "no field that Kubernetes does not know"


def test_default_size_and_that_of_a_server_of_before(lab):
    async def life() -> None:
        first, second = lab.spawner(), lab.spawner("bob")
        await lab.started(first, "")
        assert first.user_options == {"size": "S"}
        second.user_options = {"profile": "M", "profile-option-x": "y", "image": "evil"}  # KubeSpawner's own names
        await second.run_pre_spawn_hook()
        await second.start()
        assert second.user_options == {"size": "M"}

    lab.run(life)
    assert {p["spec"]["containers"][0]["image"] for p in lab.pods()} == {"geodes-lab/user:0.1.0"}


@pytest.mark.parametrize("lab", ["kind", "cnes"], indirect=True)
def test_size_that_is_not_for_a_person_is_refused_before_kubernetes_is_asked(lab):
    """One cluster has no GPU, the other has it for other groups; a request for more than a size means nothing."""

    async def life() -> None:
        spawner = lab.spawner()
        spawner.extra_resource_limits = {"nvidia.com/gpu": "1"}  # as a start before may have left it
        spawner.user_options = {"image": "registry.geodes.example/geodes-lab/gpu:0.1.0", "gpus": 1}
        await spawner.run_pre_spawn_hook()
        assert (spawner.extra_resource_limits, spawner.image.rpartition("/")[2]) == ({}, "user:0.1.0")
        await lab.started(spawner, "GPU")

    with pytest.raises(spawning.SpawnRefused, match="You cannot use the size 'GPU': you can choose M, S"):
        lab.run(life)
    assert lab.api.asked == []


def test_hub_that_starts_anew_takes_up_what_runs(lab):
    async def first() -> dict[str, Any]:
        spawner = lab.spawner()
        await lab.started(spawner, "M")
        return spawner.get_state()

    kept = lab.run(first)
    (pod,) = lab.pods()
    assert pod["metadata"]["name"] == kept["pod_name"]

    async def again() -> None:
        spawner = lab.spawner(state=kept)
        assert await spawner.poll() is None, "it runs"
        await spawner.stop()

    lab.run(again)
    assert lab.pods() == []

    async def gone() -> int:
        return await lab.spawner(state=kept).poll()

    assert lab.run(gone) == 1, "what ended while the hub was away"


def test_home_is_the_same_at_each_start(lab):
    async def life() -> set[str]:
        spawner = lab.spawner()
        await lab.started(spawner, "S")
        await spawner.stop()
        return {d["metadata"]["uid"] for d in lab.api.all("persistentvolumeclaims")}

    assert lab.run(life) == lab.run(life)
    assert ("POST", "persistentvolumeclaims", 409) in lab.api.asked, "a hub that does not remember asks, and is told"


def test_pod_that_is_left_over_is_replaced(lab):
    async def life() -> str:
        await lab.started(lab.spawner(), "S")
        (pod,) = lab.pods()
        return pod["metadata"]["uid"]

    assert lab.run(life) != lab.run(life)
    assert ("POST", "pods", 409) in lab.api.asked


@pytest.mark.parametrize(("code", "reason"), [(137, "OOMKilled"), (0, "Completed")])
def test_end_of_a_pod_is_seen(lab, code, reason):
    async def life() -> int:
        spawner = lab.spawner()
        await lab.started(spawner, "S")
        lab.api.do(lambda: lab.node.ended(("pods", "lab", spawner.pod_name), code, reason))
        async with asyncio.timeout(120):
            while (ended := await spawner.poll()) is None:
                await asyncio.sleep(0.02)
        return ended

    assert lab.run(life) == code
    assert lab.pods() == [], "KubeSpawner takes it away"


def test_reflector_finds_its_way_again(lab):
    """The API fails for a while, and a watch asks for what the API has forgotten."""

    async def life() -> None:
        spawner = lab.spawner()
        await lab.started(spawner, "S")
        lab.api.do(lab.api.store.forget_history)
        lab.api.out_of_order = 2
        lab.api.do(lambda: lab.api.store.remove(("pods", "lab", spawner.pod_name)))
        lab.api.do(lab.api.store.forget_history)
        async with asyncio.timeout(30):
            while await spawner.poll() is None:
                await asyncio.sleep(0.05)
        await lab.started(spawner, "S")
        assert await spawner.poll() is None

    lab.run(life)


def test_what_has_no_room_waits_and_the_person_is_told(lab):
    lab.c.KubeSpawner.start_timeout = 3
    lab.api.do(lambda: lab.node.holds.update(cpu="100m"))
    told: list[str] = []

    async def life() -> None:
        spawner = lab.spawner()
        spawner.user_options = {"size": "M"}
        await spawner.run_pre_spawn_hook()
        start = spawner.start()
        async for progress in spawner.progress():
            told.append(progress["message"])
        await start

    with pytest.raises(TimeoutError, match="did not start in 3 seconds"):
        lab.run(life)
    assert any("0/1 nodes are available: 1 Insufficient cpu." in line for line in told), told


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        ({"volume_mounts": {"x": {"name": "nowhere", "mountPath": "/x"}}}, "volumeMounts[0].name: Not found: 'nowhere'"),
        ({"volumes": {"a": {"name": "x", "emptyDir": {}}, "b": {"name": "x", "emptyDir": {}}}}, "Duplicate value: 'x'"),
        ({"container_security_context": {"privileged": True}}, 'violates PodSecurity "restricted"'),
        ({"service_account": "nobody"}, "error looking up service account lab/nobody"),
        ({"extra_labels": {"x": "a b"}}, "metadata.labels: Invalid value"),
        ({"cpu_guarantee": 99}, "must be less than or equal to cpu limit"),
    ],
    ids=lambda v: next(iter(v)) if isinstance(v, dict) else "",
)  # fmt: skip
def test_api_refuses_what_the_real_one_refuses(lab, change, refusal):
    """The controls: the tests above would see it."""

    async def life() -> None:
        spawner = lab.spawner()
        spawner.user_options = {"size": "S"}
        await spawner.run_pre_spawn_hook()
        for name, value in change.items():
            setattr(spawner, name, value)
        await spawner.start()

    with pytest.raises(ApiException) as caught:
        lab.run(life)
    assert caught.value.status in (403, 422)
    assert refusal in json.loads(caught.value.body)["message"]
    assert lab.pods() == []


def test_rights_of_the_hub_are_those_of_its_role(lab):
    async def life() -> None:
        spawner = lab.spawner()
        await lab.started(spawner, "S")
        for ask, code in (
            (spawner.api.create_namespaced_config_map("lab", {"metadata": {"name": "x"}}), 403),
            (spawner.api.list_namespaced_pod("kube-system"), 404),
        ):
            with pytest.raises(ApiException) as caught:
                await ask
            assert caught.value.status == code

    lab.run(life)
