"""The common server of a group in a pod: the chart's value, the hub's configuration, KubeSpawner and a Kubernetes API that refuses.

What it shows JupyterLab's page, and two people who type, tests/integration/browser/test_collaboration.py tries on one machine.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kubespawner
import pytest

from geodes_lab.policy import collaboration
from geodes_lab.policy.account import account
from hub.servers import spawning
from tests.integration.chart.test_hub import load, mounted
from tests.integration.chart.test_spawning import Lab, nothing_used, reach  # noqa: F401  (a fixture)
from tests.support.chart.charting import needs_helm, template
from tests.support.chart.kubernetes.lab import cluster

GROUP = "geodes/users"
COMMON = collaboration.server(GROUP)
LAND = f"/srv/groups/{account(GROUP, '')}"
OPTION = ("--set", f"lab.groups.{GROUP}.collaboration=true")
pytestmark = needs_helm


@pytest.fixture
def lab(reach: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Lab]:  # noqa: F811
    for name in [n for n in os.environ if n.startswith("GEODES_LAB_")]:
        monkeypatch.delenv(name)
    for name, value in mounted("kind", tmp_path, *OPTION).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(spawning, "_within", nothing_used)
    with cluster("kind") as (api, node):
        reach(api)
        yield Lab("kind", api, node, load("kind", tmp_path))
    kubespawner.spawner.load_config.cache_clear()


def common(lab: Lab, name: str = COMMON) -> Any:
    """A spawner of the account that nobody logs in with; the hub knows no group of it yet."""
    spawner = lab.spawner(name)
    user = spawner.user
    user.groups = []
    user.sync_groups = lambda names: setattr(user, "groups", [SimpleNamespace(name=n) for n in names])
    return spawner


def test_its_pod_has_the_group_s_rights_and_nobody_s_files(lab):
    async def life() -> tuple[dict[str, Any], dict[str, Any]]:
        person, its = lab.spawner(), common(lab)
        await lab.started(person, "S")
        (hers,) = lab.pods()
        await lab.started(its, "S")
        (pod,) = (p for p in lab.pods() if p["metadata"]["name"] != hers["metadata"]["name"])
        assert await its.poll() is None
        await its.stop()
        assert await its.poll() == 1
        return hers, pod

    hers, pod = lab.run(life)
    assert [a for a in lab.api.asked if a[2] >= 400] == [], "a name with @ makes no name that Kubernetes refuses"
    (own,), (container,) = hers["spec"]["containers"], pod["spec"]["containers"]
    told, usual = ({e["name"]: e.get("value") for e in c["env"]} for c in (container, own))
    assert told["GEODES_LAB_COLLABORATION"] == "yes"
    assert "GEODES_LAB_COLLABORATION" not in usual
    top = usual["JUPYTER_CONFIG_PATH"]
    assert told["JUPYTER_CONFIG_PATH"] == f"{top}/collaboration:{top}"
    assert "DASK_GEODES_LAB__CREDENTIALS__TOKEN__URL" not in told
    assert told["JUPYTERHUB_USER"] == COMMON
    changed = {n for n in {*told, *usual} if told.get(n) != usual.get(n)}
    assert "GEODES_LAB_DASK_CORES" not in changed, "the rights of its group"
    # The same image, the same limits and the same rights in the cluster; the labels that the policies know.
    for part in ("image", "resources", "securityContext"):
        assert container[part] == own[part]
    kinds = ("app", "component", "hub.jupyter.org/network-access-hub")
    assert {k: pod["metadata"]["labels"].get(k) for k in kinds} == {k: hers["metadata"]["labels"].get(k) for k in kinds}
    # A home of its own, the folder of its group, and no other folder of a person's.
    claims = {
        v["name"]: v["persistentVolumeClaim"]["claimName"]
        for v in pod["spec"]["volumes"]
        if "persistentVolumeClaim" in v
    }
    theirs = {v["persistentVolumeClaim"]["claimName"] for v in hers["spec"]["volumes"] if "persistentVolumeClaim" in v}
    assert theirs - set(claims.values()) == {"claim-alice"}
    mounts = {m["mountPath"]: m for m in container["volumeMounts"] if m["mountPath"].startswith("/srv/groups/")}
    its = f"{LAND}/results/{account(COMMON, '')}"
    assert {path: m["readOnly"] for path, m in mounts.items()} == {LAND: True, its: False}


def test_roles_of_the_hub_let_its_members_enter_and_nobody_else(lab):
    roles = {r["name"]: r for r in lab.c.JupyterHub.load_roles}
    mark = COMMON.partition("@")[0]
    assert roles[f"enters-{mark}"]["groups"] == [GROUP]
    assert roles[f"enters-{mark}"]["scopes"] == [f"servers!user={COMMON}", f"access:servers!user={COMMON}"]
    assert roles[f"is-{mark}"]["users"] == [COMMON]
    scopes = lab.c.Spawner.server_token_scopes
    assert "shares!server" in scopes(SimpleNamespace(user=SimpleNamespace(name="alice")))
    assert "shares!server" not in scopes(SimpleNamespace(user=SimpleNamespace(name=COMMON)))


def test_server_of_a_group_that_may_not_is_refused_before_kubernetes_is_asked(lab):
    async def life() -> None:
        await lab.started(common(lab, collaboration.server("geodes/operators")), "S")

    with pytest.raises(spawning.SpawnRefused, match="whose members may no longer work together"):
        lab.run(life)
    assert lab.api.asked == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ("lab.subdomains=false,jupyterhub.proxy.chp.extraCommandLineFlags=null", "could act for each member who opens it"),
        ("lab.groups.geodes/team.collaboration=true", "no profiles: its common server could not start"),
        ("lab.groups.geodes/operators.collaboration=true", "would have an operator's rights"),
    ],
)  # fmt: skip
def test_chart_refuses_what_the_hub_would_refuse(options, sentence):
    done = template("kind", *OPTION, "--set", options)
    assert done.returncode
    assert sentence in done.stderr, done.stderr
