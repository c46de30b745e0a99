"""The other pods: those that dask-gateway makes by the chart's values and our configuration, and the chart's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from geodes_lab.surroundings.kubernetes import ACCOUNT
from tests.support.chart import budgets, charting, upstream
from tests.support.chart.charting import EXAMPLES, needs_helm, one, rendered, values
from tests.support.chart.quantities import quantity
from tests.support.chart.restricted import beyond, violations

TOP = charting.TOP
pytestmark = needs_helm


def configured(example: str) -> Config:
    """The gateway's configuration, by the chart's values and our file."""
    told = values(example, "dask-gateway")
    c = Config()
    upstream.gateway(c, told)
    (line,) = told["gateway"]["extraConfig"].values()
    path = line.removeprefix('load_subconfig("').removesuffix('")').replace("/opt/geodes-lab", str(TOP))
    c.merge(PyFileConfigLoader(path).load_config())
    assert c.DaskGateway.backend_class.__name__ == "CappedKubeBackend"
    assert c.CappedKubeBackend.rights_url == "http://usage:8080/services/usage", "caps are by groups"
    assert c.JupyterHubAuthenticator.jupyterhub_service_name == "dask-gateway"
    return c


def dask_pods(example: str) -> Iterator[dict[str, Any]]:
    """A scheduler's and a worker's pod, as the gateway's controller makes them."""
    from dask_gateway_server.backends.kubernetes.backend import KubeClusterConfig
    from dask_gateway_server.backends.kubernetes.controller import KubeController

    c = configured(example)
    controller, config = KubeController(config=c), KubeClusterConfig(config=c)
    for is_worker in (False, True):
        yield controller.make_pod("lab", "a1b2c3", config, is_worker)


@pytest.mark.attack
@pytest.mark.parametrize("example", EXAMPLES)
def test_pods_of_dask(example):
    for made, component, command in zip(
        dask_pods(example), ("dask-scheduler", "dask-worker"), (["dask", "scheduler"], ["dask", "worker"]), strict=True
    ):
        kubernetes_validate.validate(made, "1.37", strict=True)
        assert list(violations(made["spec"])) == []
        assert list(beyond(made["spec"])) == []
        (container,) = made["spec"]["containers"]
        assert container["args"][:2] == command, "commands that today's distributed has (dask-gateway#945)"
        assert ("geodes_lab.cluster.dashboard_gate" in container["args"]) is (component == "dask-scheduler")
        assert made["metadata"]["labels"]["app.kubernetes.io/component"] == component
        assert made["spec"].get("imagePullSecrets") == ([{"name": "registry"}] if example == "cnes" else None)
        assert {m["mountPath"] for m in container["volumeMounts"]} >= {
            "/scratch",
            "/var/cache/geodes-lab",
            "/etc/dask-credentials/",
        }
        env = {e["name"]: e.get("value") for e in container["env"]}
        assert env["DASK_GEODES_LAB__CACHE__FOLDER"] == "/var/cache/geodes-lab"
        (user,) = {values(example, "jupyterhub")["singleuser"]["image"]["name"]}
        assert container["image"].startswith(f"{user}:"), "kernels, schedulers and workers are one image"


@pytest.mark.attack
@pytest.mark.parametrize("example", EXAMPLES)
def test_pods_of_the_chart_itself(example):
    made = charting.pods(rendered(example))
    assert {"CronJob/harvest", "Deployment/usage", "Pod/lab-trial"} <= set(made)
    assert ("Deployment/data" in made) is (example == "cnes"), "the gate is there if it is wanted"
    for name, told in made.items():
        assert list(violations(told["spec"])) == [], name
        assert list(beyond(told["spec"])) == [], name
        kubernetes_validate.validate(
            {"apiVersion": "v1", "kind": "Pod", **told, "metadata": {"name": "x"}}, "1.37", strict=True
        )


@pytest.mark.parametrize("example", EXAMPLES)
def test_everything_upstream_has_requests(example):
    hub, gateway = values(example, "jupyterhub"), values(example, "dask-gateway")
    places = [
        hub["hub"],
        hub["proxy"]["chp"],
        hub["prePuller"],
        hub["prePuller"]["hook"],
        hub["scheduling"]["userScheduler"],
        gateway["gateway"],
        gateway["controller"],
    ]
    for told in [*places, gateway["traefik"]]:
        assert {"cpu", "memory"} <= set(told["resources"]["requests"])


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_node_can_be_drained(example):
    assert list(budgets.holding(rendered(example))) == []
    hub = values(example, "jupyterhub")
    assert not hub["hub"]["pdb"]["enabled"], "of zero-to-jupyterhub it is minAvailable: 1 with the one replica"
    assert not hub["proxy"]["chp"]["pdb"]["enabled"]
    one_of_one = {"kind": "PodDisruptionBudget", "metadata": {"name": "usage"}, "spec": {"minAvailable": 1}}
    one_of_one["spec"]["selector"] = one(rendered(example), "Deployment", "usage")["spec"]["selector"]
    assert list(budgets.holding((*rendered(example), one_of_one))) == ["usage lets none of 1 go"], "the control"


def test_lab_of_the_try_fits_two_cores():
    """All pods of values-kind.yaml, a person's server with a cluster of one worker, the harvest and the trial, beside kind's own."""
    hub, gateway = values("kind", "jupyterhub"), values("kind", "dask-gateway")
    assert one(rendered("kind"), "CronJob", "doctor")["spec"]["suspend"]  # somebody starts it when nothing else goes on
    requests = [
        c["resources"]["requests"]
        for name, pod in charting.pods(rendered("kind")).items()
        for c in pod["spec"]["containers"]
        if name != "CronJob/doctor"
    ]
    requests += [
        part["resources"]["requests"]
        for part in (hub["hub"], hub["proxy"]["chp"], *(gateway[n] for n in ("gateway", "controller", "traefik")))
    ]
    assert not hub["scheduling"]["userScheduler"]["enabled"]
    requests += [c["resources"]["requests"] for made in dask_pods("kind") for c in made["spec"]["containers"]]
    lab = yaml.safe_load(one(rendered("kind"), "ConfigMap", "geodes-lab")["data"]["lab.yaml"])
    server = lab["profiles"][lab["servers"]["profile"]]  # what one has who chooses nothing, as the robot
    requests.append({"cpu": server["cores"] * 0.25, "memory": server["memory"].replace(" GiB", "Gi")})
    cores = sum(quantity(r["cpu"]) for r in requests)
    memory = sum(quantity(r["memory"]) for r in requests)
    # CoreDNS twice, etcd, API, controllers, scheduler, kindnet: what a node of kind asks for itself.
    assert cores + quantity("950m") <= 2, "two cores"
    assert memory + quantity("290Mi") <= quantity("8Gi")
    assert len(requests) >= 14


@pytest.mark.attack
def test_account_of_the_trial_reads_events_and_nothing_else():
    documents = rendered("cnes")
    role, binding = (one(documents, kind, "geodes-lab-trial") for kind in ("Role", "RoleBinding"))
    assert role["rules"] == [{"apiGroups": [""], "resources": ["events"], "verbs": ["list"]}]
    assert binding["roleRef"]["name"] == role["metadata"]["name"]
    (subject,) = binding["subjects"]
    assert subject == {"kind": "ServiceAccount", "name": "geodes-lab-trial", "namespace": "lab"}
    users = {n: a for n, pod in charting.pods(documents).items() if (a := pod["spec"].get("serviceAccountName"))}
    assert users == {"CronJob/doctor": "geodes-lab-doctor", "Pod/lab-trial": "geodes-lab-trial"}
    spec = one(documents, "Pod", "lab-trial")["spec"]
    (mount,) = (m["mountPath"] for m in spec["containers"][0]["volumeMounts"] if m["name"] == "account")
    assert Path(mount) == ACCOUNT
    without = rendered("kind", "--set", "lab.trial=,doctor.enabled=false")
    assert not [d for d in without if d["kind"] in ("Role", "ServiceAccount", "ClusterRole")]


@pytest.mark.attack
def test_account_of_the_doctor_lists_and_changes_nothing():
    documents = rendered("cnes")
    rules = one(documents, "Role", "geodes-lab-doctor")["rules"]
    assert {(*r["apiGroups"], *r["resources"]) for r in rules} == {
        ("", "events", "persistentvolumeclaims"), ("discovery.k8s.io", "endpointslices"),
    }  # fmt: skip
    (everywhere,) = (d for d in documents if d["kind"] == "ClusterRole")
    assert everywhere["rules"] == [
        {"apiGroups": ["storage.k8s.io"], "resources": ["storageclasses"], "verbs": ["list"]}
    ]
    assert {v for r in rules for v in r["verbs"]} == {"list"}
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        (binding,) = (d for d in documents if d["kind"] == kind and "doctor" in d["metadata"]["name"])
        assert binding["subjects"] == [{"kind": "ServiceAccount", "name": "geodes-lab-doctor", "namespace": "lab"}]
    job = one(documents, "CronJob", "doctor")["spec"]
    assert job["suspend"] is True, "it runs when an operator asks"
    mounts = {
        m["name"]: m["mountPath"]
        for m in job["jobTemplate"]["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    }
    assert Path(mounts["account"]) == ACCOUNT


@pytest.mark.parametrize("example", EXAMPLES)
def test_claims_outlive_the_release(example):
    claims = [d for d in rendered(example) if d["kind"] == "PersistentVolumeClaim"]
    assert len(claims) >= 5
    kept = [d["metadata"]["annotations"] for d in claims]
    kept.append(values(example, "jupyterhub")["hub"]["db"]["pvc"]["annotations"])  # hub-db-dir: the users
    assert all(annotations["helm.sh/resource-policy"] == "keep" for annotations in kept)


@pytest.mark.parametrize("example", EXAMPLES)
def test_nothing_upstream_writes_into_its_image(example):
    """Wherever zero-to-jupyterhub has a value for it; dask-gateway's three pods have none (docs/operations/chart.md)."""
    hub = values(example, "jupyterhub")
    places = [
        hub["hub"], hub["proxy"]["chp"], hub["prePuller"], hub["prePuller"]["hook"], hub["prePuller"]["pause"], hub["scheduling"]["userScheduler"],
        hub["scheduling"]["userPlaceholder"],
    ]  # fmt: skip
    assert all(told["containerSecurityContext"]["readOnlyRootFilesystem"] is True for told in places)
    assert hub["hub"]["config"]["KubeSpawner"]["container_security_context"]["readOnlyRootFilesystem"] is True
    assert hub["proxy"]["chp"]["extraPodSpec"]["automountServiceAccountToken"] is False, "it asks Kubernetes nothing"
    assert "tmp" in {m["name"] for m in hub["hub"]["extraVolumeMounts"] if m["mountPath"] == "/tmp"}


@pytest.mark.parametrize(
    ("damage", "seen"),
    [
        ({"hostNetwork": True}, "hostNetwork: true"),
        ({"volumes": [{"name": "etc", "hostPath": {"path": "/etc"}}]}, "volume etc: hostPath"),
        ({"securityContext": {}}, "usage: runAsNonRoot"),
        ({"initContainers": [{"name": "first", "image": "x:1", "securityContext": {"privileged": True}}]}, "first: privileged"),
    ],
)  # fmt: skip
def test_standard_sees_what_is_wrong(damage, seen):
    right = charting.pods(rendered("cnes"))["Deployment/usage"]["spec"]
    assert seen in list(violations({**right, **damage}))
    assert "usage: image x:latest" in list(
        beyond({**right, "containers": [{**right["containers"][0], "image": "x:latest"}]})
    )
    assert "a token of the cluster" in list(beyond({**right, "automountServiceAccountToken": True}))
    open_ = {
        **right["containers"][0],
        "securityContext": {**right["containers"][0]["securityContext"], "readOnlyRootFilesystem": False},
    }
    assert "usage: writes into its image" in list(beyond({**right, "containers": [open_]}))
