"""The acquisition engine in the chart: off by default; its settings are ones that the engine takes, its pod is as restricted as the others."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml

from geodes_lab.acquisition.loading import load
from geodes_lab.acquisition.settings.config import Config
from tests.integration.chart.test_network import (
    DATABASE,
    DATALAKE,
    HUB,
    KUBERNETES,
    METADATA,
    PROMETHEUS,
    PUBLIC,
    A,
    ours,
)
from tests.support.chart import charting
from tests.support.chart.charting import EXAMPLES, needs_helm, one, pods, rendered, template
from tests.support.chart.netpol import Network
from tests.support.chart.restricted import beyond, violations

pytestmark = needs_helm
ACQUIRE = ours("acquire", "10.2.0.34")
LOGIN = {"user": {"environment": "CDSE_USER"}, "password": {"environment": "CDSE_PASSWORD"}}
CONFIG: dict[str, Any] = {
    "version": 1,
    "sources": {"cdse": {"kind": "cdse", "login": LOGIN}},
    "collections": {"S2": {"source": "cdse", "upstream": "SENTINEL-2"}},
    "destination": {"s3": "s3://lake/own"},
}


def options(**changes: Any) -> tuple[str, ...]:
    acquire = {"enabled": True, "secret": "acquire-keys", "config": CONFIG} | changes
    return (
        "--set", "harvest.enabled=false,monitoring.serviceMonitor=true,lab.catalogue.news=/data/catalogue/news",
        "--set-json", f"acquire={json.dumps(acquire)}",
    )  # fmt: skip


@pytest.mark.parametrize("example", EXAMPLES)
def test_nothing_of_it_is_there_by_default(example: str) -> None:
    assert not [d["metadata"]["name"] for d in rendered(example) if "acquire" in d["metadata"]["name"]]


@pytest.mark.attack
@pytest.mark.parametrize("schedule", ["", "*/20 * * * *"])
def test_pod_and_settings(tmp_path: Path, schedule: str) -> None:
    made = rendered("cnes", *options(schedule=schedule))
    told = pods(made)["CronJob/acquire" if schedule else "Deployment/acquire"]
    assert list(violations(told["spec"])) == []
    assert list(beyond(told["spec"])) == []
    kubernetes_validate.validate(
        {"apiVersion": "v1", "kind": "Pod", **told, "metadata": {"name": "x"}}, "1.37", strict=True
    )
    (container,) = told["spec"]["containers"]
    assert container["envFrom"] == [{"secretRef": {"name": "acquire-keys"}}]
    assert ("--watch" in container["command"]) is not bool(schedule)
    path = tmp_path / "acquire.yaml"
    path.write_text(one(made, "ConfigMap", "geodes-lab-acquire")["data"]["acquire.yaml"])
    config = load(path)
    mounted = {m["mountPath"]: m.get("readOnly", False) for m in container["volumeMounts"]}
    assert mounted[str(config.catalogue)] is False
    assert mounted[str(config.state.folder)] is False
    assert config.metrics_listen == (None if schedule else "0.0.0.0:9109")
    home = pods(made)["Deployment/home"]["spec"]["containers"][0]
    (shown,) = (m for m in home["volumeMounts"] if Path(m["mountPath"]) in config.news.parents)
    assert shown["readOnly"]
    lab = yaml.safe_load(one(made, "ConfigMap", "geodes-lab")["data"]["lab.yaml"])
    assert lab["catalogue"]["news"] == str(config.news)
    names = {d["metadata"]["name"] for d in made if d["kind"] in ("ServiceMonitor", "PrometheusRule")}
    assert ("geodes-lab-acquire" in names) is not bool(schedule)


@pytest.mark.attack
def test_who_reaches_whom() -> None:
    net = Network(tuple(d for d in rendered("cnes", *options()) if d["kind"] == "NetworkPolicy"))
    for target in (PUBLIC, DATALAKE):
        assert net.may(ACQUIRE, target, 443)
    assert net.may(ACQUIRE, DATABASE, 5432)
    assert net.may(PROMETHEUS, ACQUIRE, 9109)
    for source, target, port in (
        (ACQUIRE, HUB, 8081), (ACQUIRE, KUBERNETES, 443), (ACQUIRE, METADATA, 80), (ACQUIRE, A, 8888),
        (A, ACQUIRE, 9109), (HUB, ACQUIRE, 9109), (PROMETHEUS, ACQUIRE, 22),
    ):  # fmt: skip
        assert not net.may(source, target, port), (source.name, target.name, port)


def test_schema_knows_the_engines_settings() -> None:
    own = {"catalogue", "news", "metrics", "metrics_listen"}
    schema = json.loads((charting.CHART / "values.schema.json").read_text())
    known = schema["properties"]["acquire"]["properties"]["config"]["propertyNames"]["enum"]
    assert set(Config.model_fields) - own <= set(known)


@pytest.mark.parametrize(
    ("more", "sentence"),
    [
        (["--set", "harvest.enabled=true"], "two would write one catalogue"),
        (["--set", "acquire.enabled=false"], "nothing writes news"),
        (["--set-json", f"acquire.config={json.dumps({**CONFIG, 'destination': {'folder': '/data/lake'}})}"], "the products would be lost"),
        (["--set-json", 'acquire.config={"version": 1}'], "acquire.config has no"),
        (["--set", "acquire.config.catalogue=/elsewhere"], "'collections', 'destination'"),
        (["--set", "acquire.schedule=daily"], "acquire/schedule"),
        (["--set", "acquire.watch=true"], "watch"),
    ],
)  # fmt: skip
def test_refused(more: list[str], sentence: str) -> None:
    done = template("cnes", *options(), *more)
    assert done.returncode != 0
    assert sentence in done.stderr
