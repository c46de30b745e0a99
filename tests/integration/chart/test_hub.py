"""The rendered configuration runs: the hub's is loaded from the chart's ConfigMaps, KubeSpawner makes people's pods by it, and each is what
Kubernetes knows and what its Pod Security standard "restricted" wants."""

from __future__ import annotations

import asyncio
import os
import re
import socket
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import kubernetes_validate
import kubespawner
import pytest
from jupyterhub.objects import Hub, Server
from kubernetes_asyncio.client import ApiClient
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from geodes_lab.policy.account import account
from hub.front.supervised import SupervisedProxy
from hub.services.declared import listening
from tests.integration.chart import test_auditor
from tests.support.chart import charting, upstream
from tests.support.chart.charting import EXAMPLES, needs_helm, one, rendered, values
from tests.support.chart.restricted import beyond, violations

TOP = charting.TOP
GROUPS = {"S": "geodes/users", "M": "geodes/users", "L": "geodes/operators", "GPU": "geodes/operators"}
SECRETS = (
    "client_secret",
    "crypt_keys",
    "gateway_token",
    "prometheus_token",
    "trial_token",
    "metrics_token",
    "datalake_key",
    "database_password",
) + tuple(f"{name}_token" for name in listening())
# As zero-to-jupyterhub's own configuration is while it runs ours: get_config is another function there.
AROUND = """
from tests.support.chart import upstream
upstream.spawner(c, VALUES)
def get_config(key, default=None):
    raise AssertionError("this get_config is the chart's")
for path in FILES:
    exec(compile(open(path).read(), path, "exec"))
"""
pytestmark = needs_helm


def mounted(example: str, root: Path, *options: str) -> dict[str, str]:
    """Put files where the hub's pod has them, below a folder; give the environment of the pod, with paths there."""
    documents, told = rendered(example, *options), values(example, "jupyterhub", *options)["hub"]
    volumes = {v["name"]: v for v in told["extraVolumes"]}
    assert not set(volumes) & {"config", "secret", "pvc", "files"}, "zero-to-jupyterhub's own are called so"
    for mount in told["extraVolumeMounts"]:
        if mount["name"] == "tmp":
            assert set(volumes["tmp"]["emptyDir"]) == {"sizeLimit"}
            continue
        assert mount["readOnly"] is True
        volume, folder = volumes[mount["name"]], root / mount["mountPath"].lstrip("/")
        folder.mkdir(parents=True)
        if "configMap" in volume:
            files = one(documents, "ConfigMap", volume["configMap"]["name"])["data"]
        else:
            sources = [s["secret"] for s in volume["projected"]["sources"]]
            assert {s["name"] for s in sources} == {"geodes-lab"}
            # What is not mounted is not there, neither here nor in the pod.
            files = dict.fromkeys([i["path"] for s in sources for i in s["items"] if i["key"] in SECRETS], "ab" * 32)
        for name, text in files.items():
            (folder / name).write_text(text.replace("/run/secrets/", f"{root}/run/secrets/"))
    said = {k: v for k, v in told["extraEnv"].items() if isinstance(v, str)}
    return {
        k: v.replace("/opt/geodes-lab", str(TOP)).replace("/etc/geodes-lab", f"{root}/etc/geodes-lab")
        for k, v in said.items()
    }


@pytest.fixture(params=EXAMPLES)
def hub(request, tmp_path, monkeypatch) -> tuple[str, Config]:
    """The example, and the configuration of its hub."""
    for name in [n for n in os.environ if n.startswith("GEODES_LAB_")]:
        monkeypatch.delenv(name)
    environment = mounted(request.param, tmp_path)
    assert environment.pop("PYTHONPATH") == str(TOP)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("CONFIGPROXY_AUTH_TOKEN", "ab" * 32)  # of zero-to-jupyterhub's own Secret
    # There is no Kubernetes to ask: pods are made, not started.
    monkeypatch.setattr(kubespawner.spawner, "load_config", lambda **_: None)
    monkeypatch.setattr(kubespawner.spawner, "shared_client", lambda _: None)
    return request.param, load(request.param, tmp_path)


def load(example: str, root: Path, **changed: Any) -> Config:
    told = values(example, "jupyterhub")
    told["singleuser"].update(changed)
    files = sorted(str(p) for p in (root / "usr/local/etc/jupyterhub/jupyterhub_config.d").glob("*.py"))
    around = root / "jupyterhub_config.py"
    around.write_text(AROUND.replace("VALUES", repr(told)).replace("FILES", repr(files)))
    return PyFileConfigLoader(str(around)).load_config()


def pod(c: Config, size: str, group: str = "", name: str = "alice") -> dict[str, Any]:
    """The pod of a person's server, after the hub has held the start against its rules."""

    async def made() -> dict[str, Any]:
        user = SimpleNamespace(
            name=name,
            id=1,
            url=f"/user/{name}/",
            escaped_name=name,
            groups=[SimpleNamespace(name=group or GROUPS[size])],
            admin=False,
        )
        spawner = kubespawner.KubeSpawner(
            config=c, user=user, hub=Hub(public_host="", base_url="/hub/"), server=Server(base_url=f"/user/{name}/"), api_token="secret",
            _mock=True,
        )  # fmt: skip
        spawner.user_options = {"size": size}
        await spawner.run_pre_spawn_hook()
        await spawner.load_user_options()  # `start` begins by it
        return ApiClient().sanitize_for_serialization(await spawner.get_pod_manifest())

    return asyncio.run(made())


def test_services_of_the_hub_are_those_of_the_chart(hub):
    example, c = hub
    documents = rendered(example)
    urls = {s["name"]: s["url"] for s in c.JupyterHub.services if "url" in s}
    deployed = {d["metadata"]["name"] for d in documents if d["kind"] == "Deployment"}
    assert urls == {name: f"http://{name}:8080" for name in deployed}
    assert all(len(s["api_token"]) == 64 and "command" not in s for s in c.JupyterHub.services)
    assert {"dask-gateway", "prometheus", "trial", "spawn"} <= {s["name"] for s in c.JupyterHub.services}
    for name in deployed:
        (container,) = one(documents, "Deployment", name)["spec"]["template"]["spec"]["containers"]
        env = {e["name"]: e.get("value", e.get("valueFrom")) for e in container["env"]}
        assert env["JUPYTERHUB_API_TOKEN"] == {"secretKeyRef": {"name": "geodes-lab", "key": f"{name}_token"}}
        assert env["JUPYTERHUB_SERVICE_PREFIX"] == f"/services/{name}/"
        assert (
            env["GEODES_LAB_SETTINGS"]
            == os.environ["GEODES_LAB_SETTINGS"][os.environ["GEODES_LAB_SETTINGS"].index("/etc/") :]
        )
    gateway = values(example, "dask-gateway")["gateway"]
    assert gateway["auth"]["jupyterhub"]["apiTokenFromSecretKey"] == "gateway_token"


@pytest.mark.attack
def test_hub_has_the_secrets_that_it_needs_and_no_other(hub, tmp_path):
    assert sorted(p.name for p in (tmp_path / "run/secrets/geodes-lab").iterdir()) == sorted(
        set(SECRETS) - {"metrics_token", "datalake_key", "database_password"}
    ), "what it does not need, a fault of it does not give away"


def test_services_know_the_host_names_that_the_hub_gives_them(hub):
    example, c = hub
    documents = rendered(example)
    address = urlsplit(c.JupyterHub.subdomain_host)
    for service in c.JupyterHub.services:
        if "url" not in service:
            continue
        (container,) = one(documents, "Deployment", service["name"])["spec"]["template"]["spec"]["containers"]
        env = {e["name"]: e.get("value") for e in container["env"]}
        host = c.JupyterHub.subdomain_hook(service["name"], address.hostname, "service")
        port = f":{address.port}" if address.port else ""
        assert env["JUPYTERHUB_PUBLIC_URL"] == f"{address.scheme}://{host}{port}/services/{service['name']}/"
        assert env["JUPYTERHUB_PUBLIC_HUB_URL"] == f"{c.JupyterHub.subdomain_host}/hub/"
        assert env["PYTHONSAFEPATH"] == "1", "its working folder can be written"


@pytest.mark.parametrize("example", EXAMPLES)
def test_loading_the_configuration_asks_nobody(example, tmp_path, monkeypatch):
    """The examples' names lead nowhere, and whoever loads them reaches for nothing."""
    asked: list[object] = []
    for name in ("connect", "connect_ex"):
        monkeypatch.setattr(socket.socket, name, lambda _, where: asked.append(where))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *where, **_: asked.append(where))
    environment = mounted(example, tmp_path)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    c = load(example, tmp_path)
    assert c.JupyterHub.spawner_class == "kubespawner.KubeSpawner"
    assert asked == []
    # What is an address in the examples is a range of the policies, and nothing else; names are nobody's.
    text = (charting.CHART / f"values-{example}.yaml").read_text()
    for line in text.splitlines():
        assert "cidr" in line or not re.search(r"\b(10|192\.168|172\.(1[6-9]|2\d|3[01]))\.\d", line), line
    hosts = set(re.findall(r"https?://([\w.-]+)|@([\w.-]+):\d+/", text))
    for host in {a or b for a, b in hosts}:
        assert host.endswith((".example", ".localhost")) or host == "s3.datalake.cnes.fr", host


def test_auditors_checks_hold_for_the_charts_hub(hub):
    _, c = hub
    for check in (
        test_auditor.login, test_auditor.transport, test_auditor.entrance, test_auditor.services, test_auditor.server_tokens,
        test_auditor.encrypted, test_auditor.no_refresh_token, test_auditor.people_apart, test_auditor.metrics,
    ):  # fmt: skip
        assert check(c) == [], check.__doc__
    assert "bind_url" not in c.JupyterHub, "where it listens is the chart's"
    proxy = SupervisedProxy(config=c)
    assert (proxy.should_start, proxy.api_url) == (False, "http://proxy-api:8001"), "so is the proxy"
    assert c.JupyterHub.last_activity_interval == 300
    assert c.JupyterHub.template_paths == [str(TOP / "hub" / "templates")]


@pytest.mark.attack
def test_pods_of_every_size(hub):
    example, c = hub
    sizes = charting.yaml.safe_load(one(rendered(example), "ConfigMap", "geodes-lab")["data"]["lab.yaml"])["profiles"]
    for size, told in sizes.items():
        made = pod(c, size)
        kubernetes_validate.validate(made, "1.37", strict=True)
        assert list(violations(made["spec"])) == []
        assert list(beyond(made["spec"])) == []
        (container,) = made["spec"]["containers"]
        memory = int(told["memory"].split()[0]) * 2**30
        assert {int(container["resources"][kind]["memory"]) for kind in ("requests", "limits")} == {memory}
        assert float(container["resources"]["limits"]["cpu"]) == told["cores"]
        assert float(container["resources"]["requests"]["cpu"]) == told["cores"] / 4
        assert container["resources"]["limits"].get("nvidia.com/gpu") == ("1" if size == "GPU" else None)
        assert "nvidia.com/gpu" not in container["resources"]["requests"], "Kubernetes takes the limit for it"
        assert container["image"].endswith("/gpu:0.1.0" if size == "GPU" else "/user:0.1.0")
        taint = {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"}
        assert (taint in made["spec"].get("tolerations", [])) is (size == "GPU")
        assert container["args"] == ["python", "/opt/geodes-lab/hub/singleuser/start.py"]
        assert made["metadata"]["labels"]["component"] == "singleuser-server"
        assert made["metadata"]["labels"]["app"] == "jupyterhub"


def test_environment_of_a_server_is_the_labs_and_the_charts(hub):
    example, c = hub
    env = {e["name"]: e.get("value") for e in pod(c, "S")["spec"]["containers"][0]["env"]}
    assert env["DASK_GEODES_LAB__CACHE__FOLDER"] == "/var/cache/geodes-lab", "of singleuser.extraEnv"
    assert env["DASK_GEODES_LAB__CATALOG__PROFILES__LAB__URL"] == "http://catalogue:8080/services/catalogue/stac", (
        "of config.d"
    )
    assert env["DASK_GATEWAY__ADDRESS"] == "http://traefik-dask-gateway"
    assert env["GEODES_LAB_USAGE"] == "http://usage:8080/services/usage"
    assert env["GEODES_LAB_STORAGE"] == "http://usage:8080/services/usage/api/storage", "nobody else sees the home"
    assert env["JUPYTER_PATH"] == "/opt/geodes-lab"
    if example == "cnes":
        assert env["AWS_ENDPOINT_URL"] == "http://data:8080"
        assert env["AWS_SESSION_TOKEN"] == env["JUPYTERHUB_API_TOKEN"] == "secret"
    else:
        assert "AWS_ENDPOINT_URL" not in env, "there is no gate"
    assert not any(word in name for name in env for word in ("CRYPT", "CLIENT_SECRET", "REFRESH"))


@pytest.mark.parametrize("form", [dict, list], ids=["dicts", "lists"])
def test_volumes_of_a_server(hub, form):
    """zero-to-jupyterhub 4 sets dicts, and before it set lists."""
    _, c = hub
    assert isinstance(c.KubeSpawner.volume_mounts, dict), "as zero-to-jupyterhub has them"
    if form is list:
        for name in ("volumes", "volume_mounts"):
            c.KubeSpawner[name] = list(c.KubeSpawner[name].values())
    for size, writes in (("S", False), ("M", True)):
        made = pod(c, size, "geodes/operators" if writes else "geodes/users")
        (container,) = made["spec"]["containers"]
        mounts = {m["mountPath"]: m for m in container["volumeMounts"]}
        land = f"/srv/groups/{account('geodes/operators' if writes else 'geodes/users', '')}"
        common = {"/srv/shared", land, f"{land}/results/alice"}
        assert set(mounts) == {"/home/lab", "/scratch", "/var/cache/geodes-lab", "/tmp", *common}
        assert mounts["/srv/shared"].get("readOnly", False) is not writes, "all read it, operators write it"
        assert (mounts[land]["readOnly"], mounts[f"{land}/results/alice"]["readOnly"]) == (True, False)
        assert mounts[f"{land}/results/alice"]["subPath"] == f"{land.removeprefix('/srv/groups/')}/results/alice"
        kinds = {v["name"]: next(k for k in v if k != "name") for v in made["spec"]["volumes"]}
        assert kinds["scratch"] == kinds["cache"] == "emptyDir"
        assert kinds["shared"] == kinds["groups"] == "persistentVolumeClaim"
        assert all("sizeLimit" in v["emptyDir"] for v in made["spec"]["volumes"] if "emptyDir" in v)


def test_privileged_container_of_the_upstream_default_would_be_seen(hub, tmp_path):
    """The negative control: what zero-to-jupyterhub does if it is not told otherwise."""
    example, _ = hub
    made = pod(load(example, tmp_path, cloudMetadata={}), "S")
    assert "block-cloud-metadata: privileged" in set(violations(made["spec"]))
    assert "block-cloud-metadata: no limits.memory" in set(beyond(made["spec"]))


def test_what_zero_to_jupyterhub_sets_is_there_in_our_versions():
    from jupyterhub.app import JupyterHub
    from jupyterhub.crypto import CryptKeeper
    from jupyterhub.proxy import ConfigurableHTTPProxy

    for part in (JupyterHub, CryptKeeper, ConfigurableHTTPProxy, kubespawner.KubeSpawner):
        known = part.class_traits(config=True)
        assert [t for t in upstream.TRAITS[part.__name__].split() if t not in known] == [], part.__name__
