"""dask-gateway's three pods, for which its chart has no values, after the post-renderer: "restricted", and whole otherwise.

The Deployments are the chart's own where it is there; else a picture of them, with what matters to the patches.
"""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest
import yaml

from tests.support.chart import charting
from tests.support.chart.charting import TOP, documents, helm, needs_helm, needs_upstream, whole
from tests.support.chart.restricted import violations

FOLDER = TOP / "helm" / "restricted"
KUBECTL = TOP / "build" / "tools" / "kubectl"
NAMES = {"api": "gateway", "controller": "controller", "traefik": "traefik"}
needs_kubectl = pytest.mark.skipif(
    not KUBECTL.exists(), reason="there is no kubectl: tests/get-helm fetches it, where it can"
)
pytestmark = [needs_helm, needs_kubectl]


def deployment(part: str) -> dict[str, Any]:
    """One of the three as its chart makes it: API and controller have a file mounted, traefik has none, and says as whom it runs."""
    container: dict[str, Any] = {"name": NAMES[part], "image": "x:1", "args": ["a"]}
    spec: dict[str, Any] = {"serviceAccountName": f"{part}-dask-gateway", "containers": [container]}
    if part == "traefik":
        container["securityContext"] = {"runAsUser": 1000, "runAsGroup": 1000}
    else:
        container["volumeMounts"] = [{"mountPath": "/etc/dask-gateway/", "name": "configmap"}]
        spec["volumes"] = [{"name": "configmap", "configMap": {"name": f"{part}-dask-gateway"}}]
    labels = {"app.kubernetes.io/name": "dask-gateway", "app.kubernetes.io/component": part}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"{part}-dask-gateway"},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": spec},
        },
    }


def restricted(text: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], "KUBECTL": str(KUBECTL)}
    script = str(FOLDER / "restrict.sh")
    return subprocess.run([script], input=text, capture_output=True, text=True, env=environment, timeout=60)


def hold(before: tuple[dict[str, Any], ...], after: tuple[dict[str, Any], ...]) -> None:
    """The three are restricted, and everything else is as it was."""
    first = {(d["kind"], d["metadata"]["name"]): d for d in before}
    then = {(d["kind"], d["metadata"]["name"]): d for d in after}
    assert list(first) == list(then), "in their order"
    for key, d in then.items():
        part = key[1].removesuffix("-dask-gateway")
        if key[0] != "Deployment" or part not in NAMES or part == key[1]:
            assert d == first[key], key
            continue
        spec, old = d["spec"]["template"]["spec"], first[key]["spec"]["template"]["spec"]
        assert list(violations(old)), "the control"
        assert list(violations(spec)) == []
        (container,), (was,) = spec["containers"], old["containers"]
        assert container["securityContext"]["readOnlyRootFilesystem"] is True
        assert [m for m in container["volumeMounts"] if m["name"] != "tmp"] == was.get("volumeMounts", [])
        assert [v for v in spec["volumes"] if v["name"] != "tmp"] == old.get("volumes", [])
        changed = ("securityContext", "volumeMounts")
        assert {k: v for k, v in container.items() if k not in changed} == {
            k: v for k, v in was.items() if k not in changed
        }


def test_three_pods_are_restricted_and_the_rest_is_as_it_was():
    before = (*charting.rendered("kind"), *map(deployment, NAMES))
    done = restricted(yaml.safe_dump_all(before, sort_keys=False))
    assert done.returncode == 0, done.stderr
    hold(before, tuple(documents(done.stdout)))


def test_one_that_is_not_there_is_said():
    done = restricted(yaml.safe_dump_all([deployment("api"), deployment("traefik")], sort_keys=False))
    assert done.returncode == 1
    assert "there is no deployment controller-dask-gateway" in done.stderr


@needs_upstream
@pytest.mark.parametrize("example", charting.EXAMPLES)
def test_helm_itself_runs_it(example, tmp_path, monkeypatch):
    """As a plugin, as helm 4 wants it; helm 3 takes the script by its path."""
    monkeypatch.setattr(charting, "ENVIRONMENT", {"KUBECTL": str(KUBECTL), "HOME": str(tmp_path)})
    added = helm("plugin", "install", str(FOLDER))
    assert added.returncode == 0, added.stderr
    done = helm(
        "template", "lab", str(charting.CHART), "--namespace", "lab", "-f", f"{charting.CHART}/values-{example}.yaml",
        "--post-renderer", "geodes-lab-restricted",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    after = tuple(d for d in documents(done.stdout) if d)
    shown = {(d["kind"], d["metadata"]["name"]) for d in after}
    assert shown == {(d["kind"], d["metadata"]["name"]) for d in whole(example)}
    for name, pod in charting.pods(after).items():
        assert list(violations(pod["spec"])) == [], name
