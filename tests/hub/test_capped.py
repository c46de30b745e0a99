"""How much Dask a user of a gateway may have: by groups, as the accounts of use say; one cap for everybody where they do not."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from dask_gateway_server.backends.base import PublicException
from dask_gateway_server.models import User
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route
from traitlets.config import Configurable

from hub.services.gateway.capped import capped
from tests.support.servers.served import served


class Fake(Configurable):
    """A backend as far as caps go."""

    running: tuple[str, ...] = ()
    said: list[str]

    @property
    def log(self) -> Any:
        return SimpleNamespace(warning=lambda text, *values: self.said.append(text % values))

    async def list_clusters(self, username: str) -> list[Any]:
        return [SimpleNamespace(name=n) for n in self.running]

    async def process_cluster_options(self, user: User, request: dict[str, Any]) -> tuple[dict[str, Any], Any]:
        return request, SimpleNamespace(
            cluster_max_cores=None,
            cluster_max_memory=None,
            worker_extra_pod_config={"volumes": [{"name": "tmp"}, {"name": "groups"}]},
            worker_extra_container_config={"volumeMounts": [{"name": "tmp"}]},
        )


def cluster(url: str, user: User, *running: str) -> tuple[Any, list[str]]:
    backend = capped(Fake)(user_max_clusters=3, user_max_cores=30.0, user_max_memory="30 G", rights_url=url)
    backend.running, backend.said = running, []
    _, config = asyncio.run(backend.process_cluster_options(user, {}))
    return config, backend.said


def asked(url: str, user: User, *running: str) -> Any:
    config, said = cluster(url, user, *running)
    return config.cluster_max_cores, config.cluster_max_memory, said


def accounts(heard: list[Any], **answer: Any) -> Starlette:
    async def limits(request: Any) -> JSONResponse:
        heard.append(
            (request.path_params["person"], request.query_params.getlist("group"), request.headers["authorization"])
        )
        told = {"allowed": True, "reason": "", "dask": {"clusters": 2, "cores": 16, "memory": 64 * 2**30}}
        return JSONResponse({**told, **answer})

    return Starlette(routes=[Route("/services/usage/api/limits/{person}", limits)])


def test_groups_say_how_much(monkeypatch):
    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "gateways")
    heard: list[Any] = []
    with served(accounts(heard)) as url:
        usage = f"{url}/services/usage"
        assert asked(usage, User("alice", ["b", "a"]))[:2] == (8.0, 32 * 2**30), "half of it for each of two clusters"
        assert heard == [("alice", ["a", "b"], "token gateways")]
        with pytest.raises(PublicException, match="the limit is 2 clusters at once, and you have one, two"):
            asked(usage, User("alice"), "one", "two")
    with (
        served(accounts([], dask={"clusters": 0, "cores": 0, "memory": 0})) as url,
        pytest.raises(PublicException, match="0 clusters"),
    ):
        asked(f"{url}/services/usage", User("nora"))


def test_used_up_is_said():
    with (
        served(accounts([], allowed=False, reason="500 of 500 core-hours are used.")) as url,
        pytest.raises(PublicException, match="500 of 500 core-hours"),
    ):
        asked(f"{url}/services/usage", User("alice"))


def test_one_cap_for_everybody_where_nobody_says_more():
    assert asked("", User("alice")) == (10.0, 10 * 2**30, [])
    *caps, said = asked("http://127.0.0.1:9/services/usage", User("alice"))
    assert caps == [10.0, 10 * 2**30]
    assert "the general limits apply to alice" in said[0]


def test_workers_mount_what_the_groups_of_the_user_have_and_nobody_else_s():
    mounts = [{"name": "groups", "mountPath": "/srv/groups/land", "subPath": "land", "readOnly": True}]
    with served(accounts([], mounts=mounts)) as url:
        config, _ = cluster(f"{url}/services/usage", User("alice", ["land"]))
    assert config.worker_extra_container_config["volumeMounts"] == [{"name": "tmp"}, *mounts]
    assert [v["name"] for v in config.worker_extra_pod_config["volumes"]] == ["tmp", "groups"]
    for answer in ({}, {"mounts": []}):
        with served(accounts([], **answer)) as url:
            config, _ = cluster(f"{url}/services/usage", User("alice"))
        assert config.worker_extra_container_config["volumeMounts"] == [{"name": "tmp"}]
        assert [v["name"] for v in config.worker_extra_pod_config["volumes"]] == ["tmp"]
    config, said = cluster("http://127.0.0.1:9/services/usage", User("alice"))
    assert said
    assert [v["name"] for v in config.worker_extra_pod_config["volumes"]] == ["tmp"], "nobody says whose it may have"
