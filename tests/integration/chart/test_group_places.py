"""A group's place on Kubernetes: what one member publishes from a pod the other members read in theirs, change nowhere, and nobody else sees.

The pods' volumes are those that KubeSpawner gives them under the chart's configuration, mounted as the kubelet does it.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from traitlets.config import Config

import geodes_lab as gl
from geodes_lab.policy.account import account
from hub.services.catalogue.access import Person, Rights
from hub.services.catalogue.app import made
from hub.services.person import Hub
from tests.integration.chart.test_hub import hub, pod  # noqa: F401  (a fixture)
from tests.support.chart import readonly
from tests.support.chart.charting import needs_helm
from tests.support.chart.mounted import within
from tests.support.paths import TOP
from tests.support.servers.served import served

pytestmark = [
    needs_helm,
    pytest.mark.skipif(
        not readonly.possible(), reason="mounting volumes as a kubelet does needs root and mount namespaces"
    ),
    pytest.mark.skipif(TOP.is_relative_to("/srv"), reason="the project lies below /srv, where pods have their volumes"),
]
GROUPS = {"alice": "geodes/users", "bob": "geodes/users", "olga": "geodes/operators"}
LAND = f"/srv/groups/{account('geodes/users', '')}"
SQUASHED = 65534  # as what servers of NFS make of everybody


class People(Hub):
    """A hub that knows everybody by their names."""

    def who(self, token: str) -> Person:
        return Person(token, frozenset({GROUPS[token]})) if token in GROUPS else Person()


class Cluster:
    """People's pods, and the volumes that they share."""

    def __init__(self, c: Config, folder: Path, catalogue: str) -> None:
        self.c, self.folder, self.catalogue = c, folder, catalogue
        self.claims = {f"geodes-lab-{name}": folder / name for name in ("groups", "shared")}
        for path in self.claims.values():
            path.mkdir(mode=0o2775)
            os.chown(path, SQUASHED, SQUASHED)

    def as_(self, name: str, code: str) -> str:
        """What a program prints in somebody's pod."""
        (home := self.folder / f"home-{name}").mkdir(exist_ok=True)
        spec = pod(self.c, "M", GROUPS[name], name)
        return within(
            spec, self.claims, [sys.executable, "-c", code], HOME=str(home), PYTHONPATH=str(TOP), JUPYTERHUB_USER=name,
            JUPYTERHUB_API_TOKEN=name, DASK_GEODES_LAB__CATALOG__PROFILES__LAB__URL=self.catalogue,
            DASK_GEODES_LAB__CATALOG__PROFILES__LOCAL__URL=self.catalogue,
        )  # fmt: skip


@pytest.fixture
def cluster(hub: Any, tmp_path: Path) -> Iterator[Cluster]:  # noqa: F811
    (tmp_path / "catalogue").mkdir()
    application = made(tmp_path / "catalogue", tmp_path / "results", Rights({}), People())
    with served(application) as url:
        yield Cluster(hub[1], tmp_path, f"{url}/stac")


PUBLISH = """
import warnings
warnings.filterwarnings("error", ".*cannot read the result")
import geodes_lab as gl
# Published again it is replaced, and what the members can read stays where it is.
for path in ("{path}", "{path}", "{land}/results/alice/ndvi.tif"):
    print(gl.publish(path, "ndvi", readers=["geodes/users"]).assets["tif"].href)
"""
READ = """
import geodes_lab as gl, rasterio
(item,) = gl.search("alice.ndvi", profile="lab")
with rasterio.open(item.assets["tif"].href.removeprefix("file://")) as file:
    print(int(file.read().sum()))
"""
CHANGE = """
import pathlib
alices = pathlib.Path("{land}/results/alice")
for path in (alices / "ndvi.tif", alices.with_name("new"), alices.parent.with_name("new")):
    try:
        path.write_text("mine")
    except OSError as error:
        print(error.strerror)
try:
    alices.rename(alices.with_name("gone"))
except OSError as error:
    print(error.strerror)
"""
STRANGER = """
import os
print(os.listdir("/srv/groups"), os.path.exists("{land}"))
"""


@pytest.mark.attack
@pytest.mark.parametrize("hub", ["kind"], indirect=True)
def test_result_for_a_group_is_read_by_its_members_and_changed_by_none(cluster):
    result = cluster.folder / "ndvi.tif"
    y, x = 4800005 - 10 * np.arange(8), 500005 + 10 * np.arange(8)
    times = pd.to_datetime(["2021-06-01", "2021-06-11"])
    ndvi = xr.DataArray(np.ones((2, 8, 8), "float32"), {"time": times, "y": y, "x": x}, ("time", "y", "x"), name="ndvi")
    gl.save(ndvi.rio.write_crs(32631), result)
    said = cluster.as_("alice", PUBLISH.format(path=result, land=LAND))
    assert said.splitlines() == [f"file://{LAND}/results/alice/ndvi.tif"] * 3
    said = cluster.as_("bob", CHANGE.format(land=LAND) + READ)
    assert said.splitlines() == ["Read-only file system"] * 4 + ["128"]
    assert cluster.as_("olga", STRANGER.format(land=LAND)) == f"['{account(GROUPS['olga'], '')}'] False"


@pytest.mark.parametrize("hub", ["kind"], indirect=True)
def test_what_no_other_pod_can_open_is_said_whatever_its_rights(cluster):
    code = """
import warnings, pathlib
from geodes_lab.results.common_place import brought
(path := pathlib.Path.home() / "a.tif").write_text("")
for readers in (["*"], ["geodes/operators"]):
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        assert brought(path, "alice", readers) == path
    print(told[0].message)
"""
    everybody, others = cluster.as_("alice", code).splitlines()
    assert "is in a folder that only you can open: * will find the Item but cannot read the result." in everybody
    assert "geodes/operators will find the Item but cannot read the result." in others
    olga = cluster.as_("olga", code.replace("alice", "olga").replace('(["*"], ["geodes/operators"])', '(["x"],)'))
    assert "x will find the Item" in olga
    copied = """
import pathlib
from geodes_lab.results.common_place import brought
(path := pathlib.Path.home() / "b.tif").write_text("all")
print(brought(path, "olga", ["*"]))
"""
    assert cluster.as_("olga", copied) == "/srv/shared/olga/b.tif", "operators write what everybody reads"
    assert cluster.as_("bob", "print(open('/srv/shared/olga/b.tif').read())") == "all"


@pytest.mark.parametrize("hub", ["kind"], indirect=True)
def test_environment_of_a_group_is_refused_in_a_sentence(cluster):
    code = "from click.testing import CliRunner; from geodes_lab.cli import main; print(CliRunner().invoke(main, {}).output)"
    said = cluster.as_("alice", code.format(["env", "create", "storms", "--group", "geodes/users"]))
    assert "have results alone, since all its servers run as one account: leave the group out" in said
