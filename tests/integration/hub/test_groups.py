"""What the members of a group share on one machine: results that they read, environments that they start."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.hub.hubs import Person, Production, needs_accounts
from tests.support.hub.provider import Provider

pytestmark = [needs_accounts, pytest.mark.slow]  # a hub and two servers; tests/hub/test_group_folders.py is quick


@pytest.fixture(scope="module")
def hub(sample) -> Iterator[Production]:
    groups = Path(tempfile.mkdtemp(prefix="geodes-lab-groups-"))
    groups.chmod(0o711)
    with Provider() as provider:
        provider.put("alice", groups=["geodes", "land"])
        provider.put("bob", groups=["geodes", "land"])
        file = {
            "login": {"kind": "oidc", "oidc": provider.settings()},
            "servers": {"kind": "accounts"},
            "profiles": {"S": {"title": "Small", "cores": 1, "memory": "2 GiB"}},
            "groups": {"geodes": {"profiles": ["S"]}, "land": {"enter": False}},
            "home": {"groups": str(groups)},
            "catalogue": {"static": str(sample / "catalog" / "catalog.json")},
        }
        with Production(file) as running:
            yield running
    shutil.rmtree(groups)


def test_result_and_environment_of_one_member_are_the_other_s_too(hub):
    alice, bob = Person(hub, "alice"), Person(hub, "bob")
    try:
        made = alice.run(
            """
            import numpy as np, xarray as xr, rioxarray, pandas as pd
            x, y = 500005 + 10 * np.arange(8), 4800005 - 10 * np.arange(8)
            one = xr.DataArray(np.ones((2, 8, 8), "float32"), {"time": pd.to_datetime(["2021-06-01", "2021-06-11"]), "y": y, "x": x},
                               ("time", "y", "x"), name="ndvi").rio.write_crs(32631)
            gl.save(one, "ndvi.tif")
            item = gl.publish("ndvi.tif", "ndvi", readers=["land"])
            print(item.assets["tif"].href, "thumbnail" in item.assets)
            """
        )
        assert made.count(" ") == 1, made
        href, has_thumbnail = made.split()
        assert "/land/results/alice/ndvi.tif" in href, made
        read = """
            (item,) = gl.search("alice.ndvi", profile="lab")
            import rasterio
            with rasterio.open(item.assets["tif"].href.removeprefix("file://")) as file:
                print(int(file.read().sum()))
            """
        assert bob.run(read) == "128"
        shell = "import subprocess; print(subprocess.run({}, capture_output=True, text=True))"
        command = ["geodes-lab", "env", "create", "storms", "--group", "land"]
        assert "is in the launcher of all members of land" in alice.run(shell.format(command))
        names = "from hub.singleuser.kernels.kernelspecs import Kernels; print(sorted(Kernels().find_kernel_specs()))"
        for person in (alice, bob):
            specs = person.browser.web.get(
                f"{hub.url}/user/{person.name}/api/kernelspecs", headers={"Authorization": f"token {person.token}"}
            )
            assert "geodes.land.storms" in specs.json()["kernelspecs"], (specs.text, person.run(names))
        kernel = bob.kernel
        kernel.stop()
        kernel.start(name="geodes.land.storms", path="notebooks")
        assert "/land/environments/storms/" in bob.run("import sys; print(sys.prefix)")
        refused = bob.run(shell.format(["pip", "install", "--no-index", "nothing"]))
        assert "Traceback" not in refused
        assert has_thumbnail == "True"
    finally:
        alice.kernel.stop()
        bob.kernel.stop()
