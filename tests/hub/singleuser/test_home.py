"""The user's home: notebooks that arrive without losing an edit, how full it is, and a server that starts though it is full."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from types import SimpleNamespace

import pytest

from hub.singleuser import start, storage
from hub.singleuser.home import cleaning, notebooks, space
from hub.singleuser.home.meter import Meter
from tests.support.servers.served import served

MIB = 2**20


@pytest.fixture
def source(tmp_path) -> Path:
    folder = tmp_path / "source"
    (folder / "more").mkdir(parents=True)
    (folder / "01.ipynb").write_text("one")
    (folder / "more" / "02.ipynb").write_text("two")
    return folder


def listed(folder: Path) -> dict[str, str]:
    return {p.relative_to(folder).as_posix(): p.read_text() for p in folder.rglob("*.ipynb")}


def test_new_versions_arrive_and_no_edit_is_lost(source, tmp_path):
    target = tmp_path / "home" / "notebooks"
    assert notebooks.deliver(source, target) == ["01.ipynb", "more/02.ipynb"]
    assert notebooks.deliver(source, target) == []
    (target / "01.ipynb").write_text("mine")
    (source / "01.ipynb").write_text("one, better")
    (source / "more" / "02.ipynb").write_text("two, better")
    assert notebooks.deliver(source, target) == ["01.ipynb", "more/02.ipynb"]
    now = listed(target)
    assert now.pop("01.ipynb") == "mine"
    assert now.pop("more/02.ipynb") == "two, better", "nobody had touched it"
    ((beside, text),) = now.items()
    assert beside.startswith("01.new-")
    assert text == "one, better"
    # The next version takes the place of the one that lies beside untouched; one that was touched stays.
    (source / "01.ipynb").write_text("one, best")
    notebooks.deliver(source, target)
    assert sorted(listed(target).values()) == ["mine", "one, best", "two, better"]
    (next(target.glob("01.new-*"))).write_text("mine too")
    (source / "01.ipynb").write_text("one, at last")
    notebooks.deliver(source, target)
    assert sorted(listed(target).values()) == ["mine", "mine too", "one, at last", "two, better"]
    assert notebooks.deliver(source, target) == []


def test_notebook_that_was_removed_stays_away_until_there_is_a_new_one(source, tmp_path):
    target = tmp_path / "notebooks"
    notebooks.deliver(source, target)
    (target / "01.ipynb").unlink()
    assert notebooks.deliver(source, target) == []
    (source / "01.ipynb").write_text("one, better")
    assert notebooks.deliver(source, target) == ["01.ipynb"]


def test_notebooks_of_before_the_memory_are_taken_for_touched(source, tmp_path):
    target = tmp_path / "notebooks"
    target.mkdir()
    (target / "01.ipynb").write_text("from somewhere")
    (target / ".delivered.json").write_text("{broken")
    notebooks.deliver(source, target)
    assert (target / "01.ipynb").read_text() == "from somewhere"


def test_home_is_measured_against_its_quota(tmp_path, monkeypatch):
    (tmp_path / "data").write_bytes(os.urandom(3 * MIB))
    (tmp_path / "link").symlink_to("/usr")
    monkeypatch.setenv("GEODES_LAB_HOME_QUOTA", str(4 * MIB))
    now = space.measure(tmp_path)
    assert 3 * MIB <= now.used < 3.2 * MIB, "what links lead to is not of it"
    assert now.free == now.quota - now.used
    assert 0.7 < now.part < 0.85
    assert space.problem(tmp_path), "less is left than a server needs"
    monkeypatch.setenv("GEODES_LAB_HOME_QUOTA", str(100 * MIB))
    assert space.problem(tmp_path) == ""


def test_what_can_be_made_anew_is_offered_first_and_removed(tmp_path):
    for name, size in {".cache/x/y": 2, "data/big.bin": 3, "deep/er/est/file": 2, "small": 0}.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(os.urandom(size * MIB))
    found = space.fillers(tmp_path)
    assert [name for name, _, _ in found] == [".cache", "data/big.bin", "deep/er/est"]
    assert [anew for _, _, anew in found] == [True, False, False]
    assert space.remove(tmp_path, ".cache") >= 2 * MIB
    assert not (tmp_path / ".cache").exists()


def test_home_without_a_quota_is_not_called_as_full_as_its_disk(tmp_path, monkeypatch):
    monkeypatch.delenv("GEODES_LAB_HOME_QUOTA", raising=False)
    (tmp_path / "data").write_bytes(os.urandom(3 * MIB))
    now = space.measure(tmp_path)
    assert 3 * MIB <= now.used < 3.2 * MIB
    assert now.quota == 0
    assert now.part == 1 - now.free / now.disk, "that is the disk's"
    full = space.Space(used=52 * MIB, quota=0, free=60 * 2**30, disk=330 * 2**30)
    assert round(full.part, 2) == 0.82
    assert not full.is_scarce(0.8), "60 GiB are free"
    assert space.Space(52 * MIB, 0, 2**30, 330 * 2**30).is_scarce(0.8)
    assert space.Space(52 * MIB, 60 * MIB, 8 * MIB, 330 * 2**30).is_scarce(0.8)
    page = cleaning.Page._page(SimpleNamespace(request=SimpleNamespace(headers={}), base_url="/"), full, [], 0)
    assert "Your home contains 52 MiB. Its disk is 82% full: 60 GiB are free." in page


def test_nobody_is_offered_a_part_of_a_store_a_product_or_an_environment(tmp_path):
    files = {
        "cube.zarr/red/c/0": 2,
        "cube.zarr/zarr.json": 0,
        "results/older/red/0.0": 2,
        "results/older/.zgroup": 0,
        "S2A_MSIL1C.SAFE/GRANULE/L1C/IMG_DATA": 2,
        "work/env/pyvenv.cfg": 0,
        "work/env/lib/python": 2,
        "code/.git/objects/pack": 2,
        "code/data.bin": 2,
    }
    for name, size in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(os.urandom(size * MIB))
    offered = {name for name, _, _ in space.fillers(tmp_path)}
    assert offered == {"cube.zarr", "results/older", "S2A_MSIL1C.SAFE", "work/env", "code/data.bin"}
    environment = tmp_path / ".local" / "share" / "geodes-lab" / "environments" / "storms"
    (environment / "lib").mkdir(parents=True)
    (environment / "pyvenv.cfg").write_text("")
    (environment / "lib" / "module.so").write_bytes(b"1" * 2 * MIB)
    added = {name for name, _, _ in space.fillers(tmp_path)} - offered
    assert added == {".local/share/geodes-lab/environments/storms"}, "not all that the lab keeps for a person"


@pytest.mark.attack
def test_nothing_outside_the_home_is_removed(tmp_path):
    home, other = tmp_path / "home", tmp_path / "other"
    home.mkdir()
    other.mkdir()
    (other / "theirs").write_text("x")
    (home / "way").symlink_to(other)
    for name in ("../other", "/etc/hosts", "way/theirs", "", ".", "../home", "no"):
        with pytest.raises(ValueError, match=r".*"):
            space.remove(home, name)
    space.remove(home, "way")
    assert (other / "theirs").exists(), "the link is gone, not what it led to"


def test_shared_folder_is_shown_and_nothing_of_the_users_is_replaced(tmp_path, monkeypatch):
    (tmp_path / "all").mkdir()
    monkeypatch.setenv("GEODES_LAB_SHARED", str(tmp_path / "all"))
    start.share(tmp_path)
    assert (tmp_path / "shared").resolve() == tmp_path / "all"
    (tmp_path / "shared").unlink()
    (tmp_path / "shared").write_text("mine")
    start.share(tmp_path)
    assert (tmp_path / "shared").read_text() == "mine"


def test_folders_of_groups_are_linked_into_the_home(tmp_path, monkeypatch):
    monkeypatch.delenv("GEODES_LAB_SHARED", raising=False)
    (land := tmp_path / "all" / "land").mkdir(parents=True)
    folders = {"land": str(land), "sea": str(tmp_path / "all" / "gone")}
    monkeypatch.setenv("GEODES_LAB_GROUP_FOLDERS", json.dumps(folders))
    (home := tmp_path / "home").mkdir()
    for _ in range(2):
        start.share(home)
    assert [p.name for p in (home / "groups").iterdir()] == ["land"]
    assert (home / "groups" / "land").resolve() == land
    (home / "groups" / "land").unlink()
    (home / "groups").rmdir()
    (home / "groups").write_text("mine")
    start.share(home)
    assert (home / "groups").read_text() == "mine"


def test_server_of_a_full_home_writes_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    environment = start.elsewhere("it is full")
    assert environment["GEODES_LAB_RESCUE"] == "it is full"
    folders = [v for k, v in environment.items() if k.endswith(("DIR", "HOME", "FOLDER"))]
    assert len(folders) > 5
    assert all(Path(f).is_dir() and not Path(f).is_relative_to(Path.home()) for f in folders)


def test_start_itself_needs_little(tmp_path):
    """It runs before each server: what it imports is the standard library."""
    code = "import sys; sys.path.insert(0, sys.argv[1]); from hub.singleuser import start; print(sorted(m for m in sys.modules if 'jupyter' in m))"
    said = subprocess.run(
        [sys.executable, "-c", code, str(Path(start.__file__).parents[2])], capture_output=True, text=True
    )
    assert said.stdout.strip() == "[]"


def test_server_tells_how_large_its_home_is(tmp_path, monkeypatch):
    heard = []

    async def accounts(scope, receive, send):
        heard.append((dict(scope["headers"])[b"authorization"], json.loads((await receive())["body"])))
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body"})

    monkeypatch.setenv("JUPYTERHUB_API_TOKEN", "mine")
    monkeypatch.setenv("GEODES_LAB_HOME_QUOTA", str(2**30))
    own = Meter(tmp_path)
    monkeypatch.setattr(storage, "meter", lambda: own)
    (tmp_path / "cube.zarr").write_bytes(os.urandom(3_000_000))
    with served(accounts) as url:
        told = asyncio.run(storage.tell(f"{url}/services/usage/api/storage"))
    assert heard == [(b"token mine", {"bytes": told})]
    assert 3_000_000 <= told < 3_200_000


def test_meter_measures_once_for_all_who_ask_and_before_it_refuses(tmp_path, monkeypatch):
    monkeypatch.setenv("GEODES_LAB_HOME_QUOTA", str(100))
    used, measured = [50], []

    def measure(home: Path, patience: float) -> space.Space:
        measured.append(used[0])
        return space.Space(used[0], 100, 0, 0)

    async def play() -> list[str]:
        meter = Meter(tmp_path, measure)
        await asyncio.gather(*(meter.now() for _ in range(20)))
        assert len(measured) <= 2
        assert await meter.refusal(40) == ""
        meter.grew(40)
        assert len(measured) <= 2, "a save that fits does not wait for a measurement"
        used[0] = 90
        said = [await meter.refusal(40)]
        used[0] = 10  # somebody has made room in a terminal
        return [*said, await meter.refusal(40), await meter.refusal(-5)]

    refused, again, smaller = asyncio.run(play())
    assert refused.startswith("Your home is full: 90 B of 100 B are used, and this needs 40 B more.")
    assert (again, smaller) == ("", "")
    monkeypatch.delenv("GEODES_LAB_HOME_QUOTA")
    assert asyncio.run(Meter(tmp_path, measure).refusal(10**12)) == "", "without a quota nothing is refused"
