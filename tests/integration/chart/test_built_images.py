"""The images themselves: built by podman as `make images` builds them, looked into, and run as the chart's pods are, each in a network of its own.

Ten to twenty minutes, as busy as the two cores are. Kubernetes is the tests' API; see tests/support/chart/contained.py.
"""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.chart import images
from tests.support.chart.charting import needs_helm, one, pods, rendered, yaml
from tests.support.chart.images import Images, name
from tests.support.paths import TOP
from tests.support.servers import postgres

MOST = 1_500_000_000  # bytes, the base with its Python among them
KINDS = ("user", "hub")
# What would be found in an image that has them.
FORBIDDEN = {
    "compilers": "find / -xdev -type f ( -name gcc -o -name cc -o -name g++ -o -name c++ -o -name clang -o -name make -o -name ld -o -name strip )",
    "Node and npm": "find / -xdev ( -name node -o -name npm -o -name .npm -o -name npm-cli.js -o -name _cacache )",
    "tests": "find /opt/geodes-lab -type d ( -name tests -o -name test )",
    "tools of ours": "find /opt/geodes-lab/.venv/bin ( -name pytest -o -name uv -o -name ruff -o -name mypy )",
    "caches": "find /root /home /tmp /var/cache/apt/archives /var/lib/apt/lists -type f -size +100k",
    "sources": "find / -xdev -maxdepth 1 -name src",
}
pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(bool(images.hindrance()), reason=images.hindrance() or "images can be built"),
]


@pytest.fixture(scope="module")
def built() -> Iterator[Images]:
    with images.store(Path(tempfile.mkdtemp(prefix="geodes-lab-images-", dir="/tmp"))) as store:
        store.build()
        yield store


@pytest.mark.parametrize("kind", KINDS)
def test_size(built, kind):
    assert built.size(kind) <= MOST


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_in_it_that_only_builds_or_tests(built, kind):
    """As root, who sees every folder; the control is that the same command sees what is there."""

    def look(command: str) -> list[str]:
        program, *arguments = command.split()
        return built.podman("run", "--rm", "--user=0", f"--entrypoint={program}", name(kind), *arguments).splitlines()

    assert "/usr/bin/python3.11" in look("find / -xdev -type f ( -name python3.11 -o -name gcc )")
    assert {what: seen for what, command in FORBIDDEN.items() if (seen := look(command))} == {}


@pytest.mark.parametrize("kind", KINDS)
def test_what_it_runs_can_be_imported_by_nobody_in_particular(built, kind):
    """Compiled modules have lost their symbols, and packages their tests."""
    user = "dask distributed datashader numba panel holoviews bokeh hvplot sklearn cartopy ipyleaflet jupyterlab nbgitpuller debugpy"
    hub = "kubespawner dask_gateway_server.backends.kubernetes.controller psycopg2 pycurl hub.services.catalogue.app hub.trial jupyterhub.app"
    both = "geodes_lab rasterio pyogrio pyproj shapely imagecodecs numcodecs pyarrow.parquet pyarrow.dataset duckdb h5py scipy.optimize pandas obstore cql2"
    code = "import importlib, sys\nfor name in sys.argv[1:]: importlib.import_module(name)\nprint(len(sys.argv) - 1)"
    wanted = [*both.split(), *(user if kind == "user" else hub).split()]
    options = [
        "--rm",
        "--read-only",
        "--tmpfs=/tmp:rw,mode=1777",
        "--cap-drop=all",
        "--env=PYTHONPATH=/opt/geodes-lab",
        "--env=HOME=/tmp",
    ]
    assert built.podman("run", *options, name(kind), "python", "-c", code, *wanted) == str(len(wanted))
    assert built.podman("run", *options, name(kind), "id", "-u") == "1000"
    duck = "import geodes_lab.catalog.harvested.index, duckdb_extension_spatial as d, pathlib; print(len(list(pathlib.Path(d.__file__).parent.rglob('*.duckdb_extension'))))"
    assert built.podman("run", *options, name(kind), "python", "-c", duck) == "1"


@pytest.mark.parametrize("kind", KINDS)
def test_list_of_what_is_in_it_is_true(built, kind):
    listed = json.loads((TOP / "build" / f"sbom-{kind}.json").read_text())["components"]
    code = "import importlib.metadata as m; print(*sorted({d.name.lower().replace('_', '-').replace('.', '-') for d in m.distributions()}))"
    there = set(built.podman("run", "--rm", name(kind), "python", "-c", code).split())
    assert {c["name"].lower().replace("_", "-").replace(".", "-") for c in listed} == there


def in_pod(built: Images, container: dict[str, Any], mounts: dict[str, Path], **more: str) -> str:
    """Run the container of a pod: as nobody in particular, and what it writes is in volumes."""
    env = {e["name"]: e["value"] for e in container["env"] if "value" in e} | more
    options = ["--rm", "--read-only", "--tmpfs=/tmp:rw,mode=1777", "--cap-drop=all", "--security-opt=no-new-privileges"]
    options += [f"--env={key}={value}" for key, value in env.items()]
    options += [f"--volume={source}:{target}" for target, source in mounts.items()]
    return built.podman("run", *options, name("hub"), *container["command"], *container.get("args", []))


def volume(built: Images, called: str, **files: str) -> Path:
    """A volume, which the account 1000 writes."""
    (made := Path(tempfile.mkdtemp(prefix=f"{called}-", dir=built.folder))).chmod(0o755)
    for file, text in files.items():
        (made / file).write_text(text)
    for path in (made, *made.iterdir()):
        os.chown(path, 1000, 1000)
    return made


def test_backup_of_an_sqlite_database_by_the_job_of_the_documentation(built):
    page = (TOP / "docs/operations/backup.md").read_text()
    (text,) = re.findall(r"```yaml\n(apiVersion: batch/v1\n.*?)```", page, re.S)
    (container,) = yaml.safe_load(text)["spec"]["template"]["spec"]["containers"]
    state, kept = volume(built, "state"), volume(built, "backup")
    with sqlite3.connect(state / "jupyterhub.sqlite") as database:
        database.execute("create table users (name text)")
        database.execute("insert into users values ('alice')")
    database.close()
    os.chown(state / "jupyterhub.sqlite", 1000, 1000)
    mounts = {"/srv/jupyterhub": state, "/backup": kept}
    assert "The backup is whole: /backup/geodes-lab-" in in_pod(built, container, mounts)
    (backup,) = kept.iterdir()
    (state / "jupyterhub.sqlite").write_bytes(b"damaged")
    restoring = {**container, "command": [*container["command"][:3], "restore", "--replace", f"/backup/{backup.name}"]}
    assert "The backup is restored" in in_pod(built, restoring, mounts)
    with sqlite3.connect(state / "jupyterhub.sqlite") as database:
        assert database.execute("select name from users").fetchall() == [("alice",)]
    database.close()


@needs_helm
@pytest.mark.skipif(bool(postgres.missing()), reason=postgres.missing() or "there is a PostgreSQL")
def test_backup_of_a_postgresql_by_the_chart(built):
    """The hub's image has what dumps one, and brings it back."""
    documents = rendered("cnes")
    (container,) = pods(documents)["CronJob/backup"]["spec"]["containers"]
    settings = volume(built, "settings", **one(documents, "ConfigMap", "geodes-lab")["data"])
    kept = volume(built, "backup")
    secret = volume(built, "secret", authority="a certificate")
    mounts = {"/backup": kept, "/etc/geodes-lab/lab": settings, "/run/secrets/geodes-lab": secret}
    with postgres.serving() as socket:
        mounts["/run/database"] = socket
        address = "postgresql+psycopg2://hub@/lab?host=/run/database"
        postgres.asked(socket, "create table users (name text); insert into users values ('alice')")
        said = in_pod(built, container, mounts, GEODES_LAB_DATABASE=address, PGPASSWORD="x")
        assert "The backup is whole: /backup/geodes-lab-" in said
        (backup,) = kept.iterdir()
        assert {p.name for p in backup.iterdir()} == {"hub.dump", "manifest.json"}
        postgres.asked(socket, "insert into users values ('mallory')")
        restoring = {**container, "args": ["restore", "--replace", f"/backup/{backup.name}"]}
        assert "The backup is restored" in in_pod(built, restoring, mounts, GEODES_LAB_DATABASE=address)
        assert postgres.asked(socket, "select name from users") == "alice"


@pytest.fixture(scope="module")
def lived(built) -> dict[str, Any]:
    """What the containers of a lab did."""
    folder = tempfile.mkdtemp(prefix="lab-", dir=built.folder)
    Path(folder).chmod(0o755)
    command = ["unshare", "--net", "--mount", "--propagation", "private", sys.executable, "-m"]
    done = subprocess.run(
        [*command, "tests.support.chart.contained", str(built.folder), folder],
        cwd=TOP, capture_output=True, text=True, timeout=1200,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-5000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


@needs_helm
def test_person_logs_in_at_the_container_of_the_hub(lived):
    assert lived["login"] == {"page": 200, "answer": 302, "user": "alice"}, lived["logs"]


@needs_helm
def test_server_in_its_container_has_a_cluster_and_reads_a_product(lived):
    """The robot of `helm test`, in a container too."""
    assert lived["trial"].splitlines()[-1] == "the lab works", (lived["trial"], lived["logs"])
    assert "opened of the sample, since the catalogue has no product yet: S2" in lived["trial"]


@needs_helm
def test_worker_in_its_container_reads_a_product(lived):
    host, shape = lived["worker"].split(" ", 1)
    assert (host, shape) == ("worker", "(16, 16)"), (lived["worker"], lived["logs"])
