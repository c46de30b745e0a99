"""The dashboard and the alert rules ask for metrics that there are."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import jupyterhub.metrics
import pytest
import yaml
from prometheus_client import REGISTRY

from hub.services.hubapi import Server
from hub.services.usage.accounts import Books
from hub.services.usage.costs import Costs, written
from hub.services.usage.metrics import metrics
from tests.hub.services.test_costs import lab as with_prices
from tests.hub.services.test_usage import lab, session
from tests.support.paths import TOP

MONITORING = TOP / "hub" / "monitoring"


@pytest.fixture
def known(tmp_path) -> set[str]:
    """The names that the accounts and JupyterHub itself give, histograms with their parts."""
    now = datetime.now(UTC)
    books = Books(tmp_path / "usage.sqlite")
    books.saw([session(started=now - timedelta(hours=1))], now)
    books.add_reads([("alice", "S2", 5)], {"alice": ("geodes",)}, now)
    books.set_storage({"alice": 5}, now)
    books.set_tariff(written(with_prices().tariff), now)
    running = [Server("alice", "", ("geodes",), now, now, "S", True)]
    collector = SimpleNamespace(looked=now, running=running, groups={"alice": ("geodes",)}, lab=lab())
    ours = set(re.findall(r"^(\w+)(?:\{| )", metrics(books, collector, Costs(books)).decode(), re.M))
    hubs = {m.name for m in REGISTRY.collect() if m.name.startswith("jupyterhub_")}
    assert jupyterhub.metrics
    return ours | {f"{m}{end}" for m in hubs for end in ("", "_bucket", "_count", "_sum", "_total")}


def asked(expression: str) -> set[str]:
    return set(re.findall(r"\b(?:geodes_lab|jupyterhub)_\w+", expression))


def test_dashboard_asks_for_what_there_is(known):
    board = json.loads((MONITORING / "dashboard.json").read_text())
    wanted = {name for p in board["panels"] for t in p["targets"] for name in asked(t["expr"])}
    assert wanted
    assert wanted - known == set()
    assert {n for n in known if n.startswith("geodes_lab")} - wanted == {
        "geodes_lab_month_group_read_bytes",
        "geodes_lab_looked_timestamp_seconds",
    }
    places = [(p["gridPos"]["x"], p["gridPos"]["y"]) for p in board["panels"]]
    assert len(set(places)) == len(places)
    assert len({p["id"] for p in board["panels"]}) == len(places)


def test_alerts_ask_for_what_there_is_and_say_what_to_do(known):
    rules = [r for g in yaml.safe_load((MONITORING / "alerts.yaml").read_text())["groups"] for r in g["rules"]]
    assert {name for r in rules for name in asked(r["expr"])} - known == set()
    for rule in rules:
        assert rule["annotations"]["summary"]
        assert rule["annotations"]["description"]
        assert rule["labels"]["severity"] in ("info", "warning", "critical")
        assert rule["expr"].count("(") == rule["expr"].count(")")
    assert asked("rate(jupyterhub_nonsense_total[5m])") - known, "the control"
