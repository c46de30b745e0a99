"""The Helm chart: rendered by the real helm, held against Kubernetes' own schemas, and what it refuses with which sentence."""

from __future__ import annotations

import ast
import dataclasses
import json
import os
import re
import typing
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

from geodes_lab.policy.lab import Lab, load
from geodes_lab.policy.reading import read
from tests.support.chart import charting
from tests.support.chart.charting import CHART, EXAMPLES, documents, needs_helm, one, rendered, template

TOP = charting.TOP
SNAPSHOTS = Path(__file__).parent / "snapshots"
SCHEMA = json.loads((CHART / "values.schema.json").read_text())
# Objects that are an operator's of Prometheus: Kubernetes itself has no schema of them.
FOREIGN = {"ServiceMonitor", "PrometheusRule"}
pytestmark = needs_helm


@pytest.mark.parametrize("example", EXAMPLES)
def test_lint_finds_nothing(example):
    done = charting.helm("lint", "--strict", str(charting.chart()), "-f", str(CHART / f"values-{example}.yaml"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@pytest.mark.parametrize("example", EXAMPLES)
def test_objects_are_what_kubernetes_knows(example):
    documents = rendered(example)
    for d in documents:
        if d["kind"] not in FOREIGN:
            kubernetes_validate.validate(d, "1.37", strict=True)
    names = [(d["kind"], d["metadata"]["name"]) for d in documents]
    assert len(set(names)) == len(names)
    wrong = {**one(documents, "Service", "usage"), "spec": {"selectr": {}}}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(wrong, "1.37", strict=True)


@pytest.mark.parametrize("example", EXAMPLES)
def test_snapshot(example):
    """What changes in the rendered chart is seen in a review; UPDATE=1 writes it anew."""
    shown = [_short(d) for d in rendered(example)]
    path = SNAPSHOTS / f"chart-{example}.yaml"
    if os.environ.get("UPDATE"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(yaml.safe_dump_all(shown, default_flow_style=None, width=180, sort_keys=True))
    assert path.exists(), "UPDATE=1 writes it"
    assert shown == documents(path.read_text()), "if the change is meant, UPDATE=1 make chart"


def _short(d: dict) -> dict:
    """Files of hub/ as their names, since those have a history of their own."""
    if d["kind"] == "ConfigMap" and "lab.yaml" not in d["data"]:
        return {**d, "data": dict.fromkeys(sorted(d["data"]), "…")}
    if d["kind"] == "PrometheusRule":
        return {**d, "spec": "…"}
    return d


@pytest.mark.parametrize("example", EXAMPLES)
def test_hubs_files_are_mounted_as_they_are(example):
    documents = rendered(example)
    files = one(documents, "ConfigMap", "geodes-lab-config-d")["data"]
    assert files == {p.name: p.read_text() for p in sorted((TOP / "hub" / "config.d").glob("*.py"))}
    (config,) = one(documents, "ConfigMap", "geodes-lab-config")["data"].values()
    assert config == (TOP / "hub" / "jupyterhub_config.py").read_text()
    for d in documents:
        assert len(json.dumps(d)) < 1_000_000, "a ConfigMap has at most a MiB"
    if example == "cnes":
        board = json.loads(one(documents, "ConfigMap", "geodes-lab-dashboard")["data"]["geodes-lab.json"])
        assert board == json.loads((TOP / "hub" / "monitoring" / "dashboard.json").read_text())
        rules = one(documents, "PrometheusRule", "geodes-lab")["spec"]
        assert rules == yaml.safe_load((TOP / "hub" / "monitoring" / "alerts.yaml").read_text())


def test_no_python_in_yaml():
    for path in [*CHART.glob("*.yaml"), *(CHART / "templates").rglob("*.yaml")]:
        lines = [
            line
            for line in path.read_text().splitlines()
            if re.search(r"\bimport \w|\bdef \w+\(|\blambda\b|c\.\w+\.\w+ =|exec\(", line)
        ]
        assert not lines, (path.name, lines)


@pytest.mark.parametrize("example", EXAMPLES)
def test_operators_file_is_read_by_the_hub(example, tmp_path):
    path = tmp_path / "lab.yaml"
    path.write_text(one(rendered(example), "ConfigMap", "geodes-lab")["data"]["lab.yaml"])
    found = load(path)
    assert found.servers.kind == "kubernetes"
    assert found.profiles
    assert found.trial in found.groups


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--set", "lab.adress=x"], "adress"),
        (["--set", "lab.culling.idel=1 h"], "idel"),
        (["--set", "services.usage.replica=2"], "replica"),
        (["--set", "netwrk.internet=false"], "netwrk"),
        (["--set", "services.usage.replicas=two"], "services/usage/replicas"),
        (["--set", "lab.culling.idle=soon"], "lab/culling/idle"),
        (["--set", "lab.profiles.S.memory=much"], "lab/profiles/S/memory"),
        (["--set", "network.internet=yes please"], "network/internet"),
        (["--set", "secret="], "secret"),
        (["--set", "secret=null"], "secret"),
        (["--set", "image.tag=latest@sha256:12"], "image/tag"),
        (["--set", "lab.login.kind=link"], "lab/login/kind"),
        (["--set", "lab.servers.kind=process"], "lab/servers/kind"),
        (["--set", "lab.address="], "lab/address"),
        (["--set", "harvest.schedule=daily"], "harvest/schedule"),
        (["--set-json", 'network.cluster=[{"cidr": "0.0.0.0/0", "ports": [443]}]'], "network/cluster/0/cidr"),
        (["--set-json", 'network.people=[{"cidr": "128.0.0.0/1", "ports": [443]}]'], "network/people/0/cidr"),
        (["--set", "network.cluster=null"], "cluster"),
        (["--set", "lab.subdomains=null"], "subdomains"),
    ],
)  # fmt: skip
def test_schema_refuses(options, said):
    done = template("kind", *options)
    assert done.returncode != 0
    assert said in done.stderr
    assert "schema" in done.stderr


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--set", "jupyterhub.singleuser.image.tag=0.2.0"], "one tag for all"),
        (["--set", "image.tag=0.2.0"], "that of its services"),
        (["--set", "dask-gateway.gateway.backend.image.tag=0.2.0"], "one software"),
        (["--set", "lab.profiles.M.gpus=1,lab.profiles.M.image=host:5000/lab/gpu:0.2.0"], "lab.profiles.M.image is host:5000/lab/gpu:0.2.0: one tag for all"),
        (["--set", "lab.profiles.M.image=host:5000/lab/gpu"], "lab.profiles.M.image is host:5000/lab/gpu: one tag for all"),
        (["--set", "jupyterhub.hub.db.url=postgresql+psycopg2://hub@db/hub"], "add ?sslmode=verify-full to it"),
        (["--set", "backup.enabled=true"], "jupyterhub.hub.db.url is no PostgreSQL"),
        (["--set", "backup.enabled=true,jupyterhub.hub.db.url=postgresql://hub:secret@db/hub?sslmode=require"], "the Secret's key database_password"),
        (["--set", "secret=another"], "the hub mounts geodes-lab"),
        (["--set", "jupyterhub.singleuser.cloudMetadata.blockWithIptables=true"], "a privileged container"),
        (["--set", "jupyterhub.cull.enabled=true"], "the lab's own culler"),
        (["--set-json", 'jupyterhub.hub.extraVolumeMounts=[{"name": "mine", "mountPath": "/mine"}]'], "repeat the lines of values.yaml"),
        (["--set", "jupyterhub.singleuser.networkPolicy.enabled=true"], "the policies of all pods"),
        (["--set", "jupyterhub.hub.pdb.enabled=true,jupyterhub.hub.pdb.minAvailable=1"], "no node can be drained"),
        (["--set", "jupyterhub.proxy.chp.pdb.enabled=true"], "no node can be drained"),
        (["--set", "lab.servers.profile="], "would get the first of M, S"),
        (["--set", "dask-gateway.enabled=false"], "GEODES_LAB_GATEWAY_URL to null"),
        (["--set", "lab.restricted.X.groups={a},lab.restricted.X.places={b}"], "only the gate can protect them"),
        (["--set-json", "network.cluster=[]"], "network.cluster is empty: policies cannot name Kubernetes' own API"),
        (["--set-json", 'network.people=[{"cidr": "169.254.0.0/16", "ports": [80]}]'], "where clouds keep the metadata"),
        (["--set-json", 'network.login=[{"cidr": "169.0.0.0/8", "ports": [80]}]'], "where clouds keep the metadata"),
        (["--set-json", "jupyterhub.proxy.chp.extraCommandLineFlags=[]"], "add --host-routing"),
        (["--set", "lab.subdomains=false"], "extraCommandLineFlags to []"),
        (["--set", "volumes.groups.claim=mine"], "has geodes-lab-groups for groups, and volumes.groups has the claim mine"),
        (["--set-json", 'jupyterhub.singleuser.storage.extraVolumes=[{"name": "shared", "persistentVolumeClaim": {"claimName": "geodes-lab-shared"}}]'], "extraVolumes has nothing for groups"),
        (["--set-json", "dask-gateway.gateway.backend.worker.extraPodConfig.volumes=[]"], "extraPodConfig.volumes has nothing for"),
        (["--set", "jupyterhub.ingress.enabled=true,jupyterhub.ingress.hosts={lab.localhost}"], "ingress.hosts has no *.lab.localhost"),
        (["--set-json", 'jupyterhub.ingress={"enabled": true, "hosts": ["lab.localhost", "*.lab.localhost"], "tls": [{"hosts": ["lab.localhost"]}]}'], "ingress.tls has no *.lab.localhost"),
    ],
)  # fmt: skip
def test_values_that_do_not_go_together_are_refused_in_a_sentence(options, sentence):
    done = template("kind", *options)
    assert done.returncode != 0
    assert sentence in done.stderr


def test_each_image_may_have_a_digest_of_its_own():
    """Images of one tag are different images."""
    tags = {
        path: f"0.1.0@sha256:{digit * 64}"
        for path, digit in (
            ("image", "a"),
            ("jupyterhub.hub.image", "a"),
            ("jupyterhub.singleuser.image", "b"),
            ("dask-gateway.gateway.backend.image", "b"),
        )
    }
    tags["lab.profiles.GPU.image"] = "registry.example:5000/lab/gpu:0.1.0@sha256:" + "c" * 64
    options = [f"{path}{'' if path.endswith('GPU.image') else '.tag'}={tag}" for path, tag in tags.items()]
    done = template("cnes", "--set-string", ",".join(options))
    assert done.returncode == 0, done.stderr


def test_without_values_is_said_what_is_missing():
    done = template()
    assert done.returncode != 0
    for name in ("address", "groups", "profiles", "oidc"):
        assert f"'{name}'" in done.stderr


def test_nothing_reaches_kubernetes_unless_the_operator_says_where():
    """No default: the values of the chart alone are refused, and without policies there is nothing to say."""
    chart = yaml.safe_load((CHART / "values.yaml").read_text())
    assert chart["network"]["cluster"] == []
    assert template("kind", "--set-json", "network.cluster=[]", "--set", "network.enabled=false").returncode == 0


def test_one_origin_is_possible_and_warned_of():
    options = ("--set", "lab.subdomains=false", "--set-json", "jupyterhub.proxy.chp.extraCommandLineFlags=[]")
    done = template("kind", *options)
    assert done.returncode == 0, done.stderr
    assert "JUPYTERHUB_PUBLIC_URL" not in done.stdout
    notes = (CHART / "templates" / "NOTES.txt").read_text()
    assert "WARNING: lab.subdomains is false" in notes


def test_gateway_may_be_left_out():
    done = template("kind", "--set", "dask-gateway.enabled=false,jupyterhub.hub.extraEnv.GEODES_LAB_GATEWAY_URL=null")
    assert done.returncode == 0, done.stderr
    assert "dask-gateway-values" not in done.stdout
    assert "geodes-lab-dask" not in done.stdout


def test_groups_may_have_no_folders():
    documents = rendered("kind", "--set", "lab.home.groups=")
    claims = {d["metadata"]["name"] for d in documents if d["kind"] == "PersistentVolumeClaim"}
    assert "geodes-lab-groups" not in claims, "the hub and the gateway leave the volume out of their pods"
    assert "geodes-lab-groups" in {d["metadata"]["name"] for d in rendered("kind")}


def walk(schema: dict, path: str = "") -> typing.Iterator[tuple[str, dict]]:
    for name, told in schema.get("properties", {}).items():
        yield f"{path}{name}", told
        yield from walk(told, f"{path}{name}.")
    for more in (schema.get("items"), schema.get("additionalProperties")):
        if isinstance(more, dict):
            yield from walk(more, f"{path}*.")


def test_schema_has_a_sentence_for_each_key_and_lets_no_other_pass():
    keys = dict(walk(SCHEMA))
    assert len(keys) > 150
    for path, told in keys.items():
        assert re.fullmatch(r"[A-Z`].*[^.\s]\.", told.get("description", ""), re.S), path
        if "properties" in told:
            assert told["additionalProperties"] is False, path
    free = {
        p
        for p, told in keys.items()
        if told.get("type") == "object" and "properties" not in told and "additionalProperties" not in told
    }
    assert free == {"global", "jupyterhub", "dask-gateway"}, "they are other charts'"


def test_schema_of_the_operators_file_is_that_of_the_hub():
    """Each line that the hub reads may stand in the values, but for those of labs without Kubernetes; and no other."""

    def fields(of: type) -> dict[str, object]:
        hints = typing.get_type_hints(of)
        found: dict[str, object] = {}
        for f in dataclasses.fields(of):
            inner = [a for a in (hints[f.name], *typing.get_args(hints[f.name])) if dataclasses.is_dataclass(a)]
            found[f.name] = fields(inner[0]) if inner else None
        return found

    def shape(schema: dict) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, told in schema["properties"].items():
            inner = told if "properties" in told else told.get("additionalProperties")
            found[name] = shape(inner) if isinstance(inner, dict) and "properties" in inner else None
        return found

    wanted = fields(Lab)
    for name in ("listen", "certificate", "key"):
        del wanted[name]  # the proxy's, which zero-to-jupyterhub sets
    del wanted["jobs"]["postgresql"]  # the pod of the service has no file with its password: docs/how-to/jobs.md
    del wanted["servers"]["account_prefix"], wanted["home"]["folder"], wanted["catalogue"]["static"]
    assert shape(SCHEMA["properties"]["lab"]) == wanted


def test_operators_example_passes_the_schema():
    """hub/production.yaml, but for the lines that are not of Kubernetes."""
    told = yaml.safe_load((TOP / "hub" / "production.yaml").read_text())
    for name in ("listen", "certificate", "key", "trial"):
        del told[name]
    told |= {"secrets": "/run/secrets/geodes-lab", "state": "/var/lib/geodes-lab"}
    told["servers"] = {"kind": "kubernetes", "folder": "/opt/geodes-lab", "profile": "S"}
    for name in ("folder", "groups"):
        del told["home"][name]
    told["home"]["shared"], told["catalogue"] = "/srv/shared", {}
    told["usage"].pop("metrics_token_file")
    done = template("kind", "--set-json", f"lab={json.dumps(told)}")
    assert done.returncode == 0, done.stderr
    assert read(Lab, told, "").servers.kind == "kubernetes"


def test_one_version_of_all():
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    assert all(re.fullmatch(r"\d+\.\d+\.\d+", d["version"]) for d in chart["dependencies"]), "pinned"
    version = re.search(r'^__version__ = "(.+)"', (TOP / "geodes_lab/__init__.py").read_text(), re.M)[1]
    assert chart["appVersion"] == chart["version"] == version
    tags = set(re.findall(r'tag: "?([\w.]+)"?', (CHART / "values.yaml").read_text()))
    assert tags == {version}
    gateway = next(d["version"] for d in chart["dependencies"] if d["name"] == "dask-gateway")
    lock = (TOP / "requirements.lock").read_text()
    assert f"\ndask-gateway=={gateway}" in lock
    assert f"\ndask-gateway-server=={gateway}" in lock, "one version of chart, server and client"


def test_files_of_the_chart_are_short_and_the_trial_is_no_text_in_yaml():
    for path in [*(CHART / "templates").rglob("*"), CHART / "values.yaml", *CHART.glob("values-*.yaml")]:
        assert path.is_dir() or len(path.read_text().splitlines()) <= 250, path
    trial = one(rendered("cnes"), "Pod", "lab-trial")
    assert trial["metadata"]["annotations"]["helm.sh/hook"] == "test"
    assert trial["spec"]["containers"][0]["command"] == ["python", "-m", "hub.trial"]
    assert ast.parse((TOP / "hub" / "trial.py").read_text())
