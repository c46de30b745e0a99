"""The two charts below ours: what is known of them in the tests is what they are, and they take and make what ours means.

Their schemas and defaults lie with the reference data; the charts themselves are there where `helm dependency build` has brought them.
"""

from __future__ import annotations

import base64
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from traitlets.config import Config
from traitlets.config.loader import PyFileConfigLoader

from tests.support.chart import budgets, charting, upstream
from tests.support.chart.charting import EXAMPLES, needs_helm, needs_upstream, one, values, whole
from tests.support.chart.netpol import matches
from tests.support.chart.restricted import beyond, violations

KNOWN = {"jupyterhub": upstream.JUPYTERHUB, "dask-gateway": upstream.DASK_GATEWAY}
needs_schemas = pytest.mark.skipif(
    not all(folder.is_dir() for folder in upstream.FOLDERS.values()), reason="the charts' schemas are not there"
)
pytestmark = needs_helm


@needs_schemas
@pytest.mark.parametrize("example", EXAMPLES)
@pytest.mark.parametrize("name", KNOWN)
def test_examples_pass_the_schemas_of_both_charts(example, name):
    told = upstream.merged(name, values(example, name))
    validator = jsonschema.Draft7Validator(upstream.schema(name))
    assert [f"{'.'.join(map(str, e.path))}: {e.message}" for e in validator.iter_errors(told)] == []
    wrong = {"jupyterhub": {"hub": {"replicas": 2}}, "dask-gateway": {"gateway": {"replica": 2}}}[name]
    assert list(validator.iter_errors(upstream.merged(name, wrong))), "the control"


@needs_schemas
@pytest.mark.parametrize("name", KNOWN)
def test_names_that_the_tests_know_are_in_the_schemas(name):
    def strangers(known: upstream.Known, schema: dict[str, Any], path: str) -> Iterator[str]:
        told = schema.get("properties", {})
        for key, inside in known.items():
            if key not in told:
                yield f"{path}{key}"
            elif inside is not None:
                yield from strangers(inside, told[key], f"{path}{key}.")

    assert list(strangers(KNOWN[name], upstream.schema(name), "")) == []


@pytest.mark.parametrize("example", EXAMPLES)
def test_upstream_takes_our_values(example):
    hub, gateway = values(example, "jupyterhub"), values(example, "dask-gateway")
    assert list(upstream.unknown(hub, upstream.JUPYTERHUB)) == []
    assert list(upstream.unknown(gateway, upstream.DASK_GATEWAY)) == []
    hub["singleuser"]["cloudMetadata"]["blokWithIptables"] = False
    assert list(upstream.unknown(hub, upstream.JUPYTERHUB)) == ["singleuser.cloudMetadata.blokWithIptables"], (
        "the control"
    )


@needs_upstream
@pytest.mark.parametrize("example", EXAMPLES)
def test_with_the_charts_themselves(example):
    documents = whole(example)
    policies = [d for d in documents if d["kind"] == "NetworkPolicy"]
    assert all(d["metadata"]["name"].startswith("geodes-lab-") for d in policies), "no second set"
    made = charting.pods(documents)
    # Those that hold images on nodes, or room for people to come, are under what is denied to all and under nothing else.
    idle = {"continuous-image-puller", "hook-image-puller", "user-placeholder"}
    for name, pod in made.items():
        holding = sum(matches(p["spec"]["podSelector"], pod["metadata"]["labels"]) for p in policies)
        assert holding == 2 if name.partition("/")[2] in idle else holding > 2, f"{name} is not held"
        if "dask-gateway" not in name:  # which has no value for it: docs/operations/chart.md
            assert not [s for s in beyond(pod["spec"]) if "writes into its image" in s], name
            if not pod["spec"].get("serviceAccountName"):
                assert pod["spec"]["automountServiceAccountToken"] is False, name
    for name in ("Deployment/hub", "Deployment/proxy"):
        assert list(violations(made[name]["spec"])) == []
    assert one(documents, "Service", "traefik-dask-gateway")["kind"] == "Service", "whose name the hub is told"


@needs_upstream
@pytest.mark.parametrize("example", EXAMPLES)
def test_nodes_can_be_drained_and_an_uninstall_keeps_all_claims(example):
    documents = whole(example)
    assert list(budgets.holding(documents)) == []
    claims = [d["metadata"] for d in documents if d["kind"] == "PersistentVolumeClaim"]
    assert ("hub-db-dir" in {m["name"] for m in claims}) is (example == "kind"), "cnes has a PostgreSQL"
    assert [m["name"] for m in claims if m["annotations"].get("helm.sh/resource-policy") != "keep"] == []


@needs_upstream
def test_lint_with_subcharts_fails_as_the_document_says():
    """It hands each of the two charts our values as a whole; what it refuses is nothing but that."""
    values_of = ["-f", str(charting.CHART / "values-kind.yaml")]
    done = charting.helm("lint", "--with-subcharts", str(charting.CHART), *values_of)
    assert done.returncode != 0
    wrong = [line for line in (done.stdout + done.stderr).splitlines() if "not allowed" in line or "[ERROR]" in line]
    assert wrong
    assert all("additional properties" in line or "don't meet the specifications" in line for line in wrong), wrong
    assert charting.helm("lint", "--strict", str(charting.CHART), *values_of).returncode == 0


@needs_upstream
def test_traefik_is_the_one_that_the_document_names():
    spec = one(whole("kind"), "Deployment", "traefik-dask-gateway")["spec"]["template"]["spec"]
    version = spec["containers"][0]["image"].rpartition(":")[2]
    assert f"**Traefik is {version}**" in (charting.TOP / "docs/operations/chart.md").read_text()


def real(example: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """What zero-to-jupyterhub's own configuration sets, read from the files of its hub's pod, without ours."""
    documents = whole(example)
    for kind, folder in (("ConfigMap", "config"), ("Secret", "secret")):
        (root / folder).mkdir()
        for name, text in one(documents, kind, "hub")["data"].items():
            plain = base64.b64decode(text).decode() if kind == "Secret" else text
            (root / folder / name).write_text(plain.replace("/usr/local/etc/jupyterhub", str(root)))
    for name in ("jupyterhub_config.py", "z2jh.py"):
        (root / name).write_text((root / "config" / name).read_text())
    for name, value in {"HUB_SERVICE_PORT": "8081", "PROXY_API_SERVICE_PORT": "8001", "POD_NAMESPACE": "lab"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(
        "tornado.httpclient.AsyncHTTPClient.configure", lambda *_: None
    )  # it would stay for other tests
    monkeypatch.syspath_prepend(str(root))
    monkeypatch.delitem(sys.modules, "z2jh", raising=False)
    try:
        return PyFileConfigLoader(str(root / "jupyterhub_config.py")).load_config()
    finally:
        sys.modules.pop("z2jh", None)


@needs_upstream
@pytest.mark.parametrize("example", EXAMPLES)
def test_picture_is_what_the_chart_makes(example, tmp_path, monkeypatch):
    """The configuration that `upstream.spawner` makes in all other tests is zero-to-jupyterhub's own, but for secrets and the database."""
    made = real(example, tmp_path, monkeypatch)
    drawn = Config()
    upstream.spawner(drawn, values(example, "jupyterhub"))
    assert isinstance(made.KubeSpawner.volumes, dict)
    assert isinstance(made.KubeSpawner.volume_mounts, dict)
    del made["CryptKeeper"], made.JupyterHub["cookie_secret"], made.JupyterHub["db_url"]

    for name in ("node_affinity_preferred", "node_affinity_required"):  # lists that are appended to
        value = made.KubeSpawner[name]
        made.KubeSpawner[name] = value.get_value([]) if hasattr(value, "get_value") else value
    assert set(drawn) == set(made)
    for section in drawn:
        mine, theirs = dict(drawn[section]), dict(made[section])
        assert {k: v for k, v in mine.items() if theirs.get(k, ...) != v} == {}, section
        assert set(mine) == set(theirs), section
