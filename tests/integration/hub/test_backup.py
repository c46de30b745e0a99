"""A hub with people and results is copied while it runs, destroyed with its accounts, and brought back from the copy alone."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from geodes_lab.util.disk import disk_use
from tests.support.awaiting import awaited
from tests.support.hub import hubs
from tests.support.hub.hubs import Browser, Person, Production, needs_accounts
from tests.support.hub.provider import Provider
from tests.support.paths import TOP

# Two starts of a hub and of a server, minutes on a busy machine; tests/hub/test_backup.py is quick.
pytestmark = [needs_accounts, pytest.mark.slow, pytest.mark.timeout(900)]

_KEPT = ("passwd", "group", "shadow", "gshadow", "subuid", "subgid")


@pytest.fixture
def hub(sample) -> Iterator[Production]:
    with Provider() as provider, tempfile.TemporaryDirectory(prefix="geodes-lab-groups-") as above:
        Path(above).chmod(0o711)
        for name in ("alice", "bob"):
            provider.put(name, groups=["geodes", "land"])
        file = {
            "login": {"kind": "oidc", "oidc": provider.settings()},
            "servers": {"kind": "accounts"},
            "profiles": {"S": {"title": "Small", "cores": 1, "memory": "2 GiB"}},
            "groups": {"geodes": {"profiles": ["S"]}, "land": {"enter": False}},
            "home": {"groups": f"{above}/groups", "quota": "1 GiB"},
            "catalogue": {"static": str(sample / "catalog" / "catalog.json")},
            "usage": {"every": "1 s"},
        }
        with Production(file) as running:
            yield running


def backup(hub: Production, *arguments: str, inside: list[str]) -> subprocess.CompletedProcess[str]:
    """Run the command as an operator does, where the hub's accounts are."""
    command = [*inside, sys.executable, "-m", "hub.backup", *arguments]
    environment = {
        **hub.environment,
        "GEODES_LAB_RUN": "",
        "PYTHONPATH": str(TOP),
        "CLOSED": " ".join(hubs._closed()),
        "KEPT": "",
    }
    return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=TOP)


def killed(hub: Production) -> None:
    hub.process.kill()
    hub.process.wait()
    left = hub.pids()
    for process in left:
        with contextlib.suppress(psutil.Error):
            process.kill()
    psutil.wait_procs(left, timeout=20)


def mine(hub: Production, token: str) -> dict:
    return httpx.get(
        f"{hub.url}/services/usage/api/mine", headers={"Authorization": f"token {token}"}, timeout=20
    ).json()


def shares(person: Browser) -> list[tuple]:
    """What others share with somebody; whether their servers run is another question."""
    items = person.api("GET", "/users/bob/shared").json()["items"]
    return [(s["server"]["user"]["name"], s["scopes"], s["created_at"]) for s in items]


def test_people_groups_shares_results_and_homes_come_back(hub, tmp_path):
    alice, bob = Person(hub, "alice"), Browser(hub)
    bob.login("bob")
    made = alice.run(
        """
        import numpy as np, xarray as xr, rioxarray, pandas as pd, os, pathlib
        x, y = 500005 + 10 * np.arange(8), 4800005 - 10 * np.arange(8)
        one = xr.DataArray(np.ones((2, 8, 8), "float32"), {"time": pd.to_datetime(["2021-06-01", "2021-06-11"]), "y": y, "x": x},
                           ("time", "y", "x"), name="ndvi").rio.write_crs(32631)
        gl.save(one, "ndvi.tif")
        gl.publish("ndvi.tif", "ndvi", readers=["land"])
        notes = pathlib.Path.home() / "notes.txt"
        notes.write_text("mine")
        notes.chmod(0o640)
        print("made")
        """
    )
    assert made == "made"
    code = alice.browser.api("POST", "/share-codes/alice/", json={}).json()["code"]
    form = {"code": code, "_xsrf": bob.xsrf["X-XSRFToken"]}
    assert bob.web.post(f"{hub.url}/hub/accept-share", data=form, follow_redirects=False).status_code in (302, 303)
    shared = shares(bob)
    assert [owner for owner, *_ in shared] == ["alice"]
    hours = awaited(lambda: mine(hub, alice.token)["core_hours"])

    inside = ["nsenter", "-t", str(hub.process.pid), "-m"]
    done = backup(hub, "save", str(tmp_path / "backups"), inside=inside)
    assert done.returncode == 0, done.stderr
    (copy,) = (tmp_path / "backups").iterdir()
    refused = backup(hub, "restore", "--replace", str(copy), inside=inside)
    assert (refused.returncode, "The hub runs" in refused.stderr) == (1, True), refused.stderr

    alice.kernel.stop()
    killed(hub)
    home = hub.homes / "lab-alice"
    uid = home.stat().st_uid
    for folder in (hub.state, hub.homes, Path(hub.file.parent / "run"), _groups(hub)):
        shutil.rmtree(folder)

    # A machine without the lab's accounts, on which another has the number of alice's.
    overlays, etc = tmp_path / f"overlays-{secrets.token_hex(4)}", tmp_path / "etc"
    overlays.mkdir()
    etc.mkdir()
    taken = f"useradd --uid {uid} --no-create-home other; "
    after = f'"$@"; status=$?; for n in {" ".join(_KEPT)}; do cp -p /etc/$n {etc}; done; exit $status'
    anew = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        hubs._APART,
        str(overlays),
        "sh",
        "-c",
        taken + after,
        "sh",
    ]
    done = backup(hub, "restore", str(copy), inside=anew)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "accounts made: lab-alice" in done.stdout
    hub._accounts = lambda: str(etc)
    hub.start()

    assert alice.browser.api("GET", "/user").json()["groups"] == ["geodes", "land"], "her login is still one"
    assert shares(bob) == shared
    assert mine(hub, alice.token)["core_hours"] >= hours
    notes = home / "notes.txt"
    assert (notes.read_text(), notes.stat().st_mode & 0o777, notes.stat().st_uid) == ("mine", 0o640, home.stat().st_uid)
    assert home.stat().st_uid != uid, "the number is another's now"
    assert (hub.state / "secrets" / "client_secret").stat().st_mode & 0o777 == 0o600
    again = Person(hub, "alice")
    read = """
        (item,) = gl.search("alice.ndvi", profile="lab")
        import rasterio
        with rasterio.open(item.assets["tif"].href.removeprefix("file://")) as file:
            print(int(file.read().sum()), open(os.path.expanduser("~/notes.txt")).read())
        """
    assert again.run("import os\n" + "\n".join(line[8:] for line in read.splitlines())) == "128 mine"
    again.kernel.stop()
    # One measure: once nobody writes, the accounts say what is there.
    assert again.browser.api("DELETE", "/users/alice/server").status_code in (202, 204)
    awaited(lambda: not again.browser.api("GET", "/users/alice").json()["servers"])
    awaited(lambda: mine(hub, alice.token)["storage"] == disk_use.of(home), 60)
    assert not os.path.lexists(hub.state / "databases")


def _groups(hub: Production) -> Path:
    import yaml

    return Path(yaml.safe_load(hub.file.read_text())["home"]["groups"])
