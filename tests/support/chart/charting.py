"""The chart, rendered by the real helm. For each of the two charts that it stands upon a stub of the same name and version stands in, which shows
the values that it is given; where `helm dependency build` has brought the charts themselves, one test renders those too."""

from __future__ import annotations

import atexit
import json
import shutil
import subprocess
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.paths import TOP

CHART = TOP / "helm" / "geodes-lab"
HELM = TOP / "build" / "tools" / "helm"
EXAMPLES = ("kind", "cnes")
ENVIRONMENT: dict[str, str] = {}
"""What else helm is told."""
needs_helm = pytest.mark.skipif(not HELM.exists(), reason="there is no helm: tests/get-helm fetches it, where it can")

_STUB = """apiVersion: v1
kind: ConfigMap
metadata: {{name: {name}-values}}
data:
  values: {{{{ .Values | toJson | quote }}}}
"""


def documents(text: str) -> list[Any]:
    """Read YAML by the parser in C, where it is there: the one in Python needs a second of CPU for a rendered chart."""
    return list(yaml.load_all(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))


@cache
def chart() -> Path:
    """A copy of the chart with its dependencies, whole: the links to hub/ are followed."""
    above = tempfile.mkdtemp(prefix="geodes-lab-chart-")
    atexit.register(shutil.rmtree, above, ignore_errors=True)
    folder = Path(above) / "geodes-lab"
    shutil.copytree(CHART, folder, ignore=shutil.ignore_patterns("charts"))
    for needed in yaml.safe_load((CHART / "Chart.yaml").read_text())["dependencies"]:
        stub = folder / "charts" / needed["name"]
        (stub / "templates").mkdir(parents=True)
        told = {"apiVersion": "v2", "name": needed["name"], "version": needed["version"]}
        (stub / "Chart.yaml").write_text(yaml.safe_dump(told))
        (stub / "templates" / "values.yaml").write_text(_STUB.format(name=needed["name"]))
    return folder


def has_upstream() -> bool:
    """Whether the two charts themselves are there."""
    needed = yaml.safe_load((CHART / "Chart.yaml").read_text())["dependencies"]
    return all((CHART / "charts" / f"{d['name']}-{d['version']}.tgz").exists() for d in needed)


needs_upstream = pytest.mark.skipif(
    not has_upstream(),
    reason="`helm dependency build helm/geodes-lab` brings zero-to-jupyterhub and dask-gateway, where it can",
)


@cache
def whole(example: str, *options: str) -> tuple[dict[str, Any], ...]:
    """All objects, those of the two charts too."""
    done = helm("template", "lab", str(CHART), "--namespace", "lab", "-f", f"{CHART}/values-{example}.yaml", *options)
    assert done.returncode == 0, done.stderr
    return tuple(d for d in documents(done.stdout) if d)


def helm(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run helm; it reads no settings of who runs the tests, and asks nobody."""
    home = chart().parent
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin", **ENVIRONMENT}
    return subprocess.run([str(HELM), *arguments], capture_output=True, text=True, env=environment, timeout=60)


def template(example: str = "", *options: str) -> subprocess.CompletedProcess[str]:
    """Render with one of the examples' values and more options of helm."""
    values = ["-f", str(CHART / f"values-{example}.yaml")] if example else []
    return helm("template", "lab", str(chart()), "--namespace", "lab", *values, *options)


@cache
def rendered(example: str, *options: str) -> tuple[dict[str, Any], ...]:
    """The objects, but for what the stubs show."""
    return tuple(d for d in _documents(example, *options) if not d["metadata"]["name"].endswith("-values"))


def values(example: str, name: str, *options: str) -> dict[str, Any]:
    """The values that one of the two charts is given."""
    (shown,) = (d for d in _documents(example, *options) if d["metadata"]["name"] == f"{name}-values")
    found: dict[str, Any] = json.loads(shown["data"]["values"])
    return found


def one(documents: tuple[dict[str, Any], ...], kind: str, name: str) -> dict[str, Any]:
    """The object of a kind and a name."""
    (found,) = (d for d in documents if d["kind"] == kind and d["metadata"]["name"] == name)
    return found


def pods(documents: tuple[dict[str, Any], ...]) -> dict[str, dict[str, Any]]:
    """The pods that objects make, by kind and name; each has metadata and spec."""
    found = {}
    for d in documents:
        match d["kind"]:
            case "Pod":
                pod = d
            case "CronJob":
                pod = d["spec"]["jobTemplate"]["spec"]["template"]
            case "Deployment" | "Job" | "StatefulSet" | "DaemonSet":
                pod = d["spec"]["template"]
            case _:
                continue
        found[f"{d['kind']}/{d['metadata']['name']}"] = {"metadata": pod["metadata"], "spec": pod["spec"]}
    return found


@cache
def _documents(example: str, *options: str) -> tuple[dict[str, Any], ...]:
    done = template(example, *options)
    assert done.returncode == 0, done.stderr
    return tuple(d for d in documents(done.stdout) if d)
