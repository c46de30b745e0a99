"""The command line: results for people and for programs, exit codes, help with examples, completion, and quiet where nobody looks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from click.testing import CliRunner, Result

from geodes_lab.cli import main

COMMANDS = [
    "acquire",
    "convert",
    "doctor",
    "download",
    "env",
    "harvest",
    "lab",
    "mcp",
    "open",
    "plan",
    "run",
    "runner",
    "sample",
    "save",
    "search",
]
BOX = "1.80,43.57,1.82,43.58"


def run(*arguments: str, **options) -> Result:
    return CliRunner().invoke(main, list(arguments), **options)


@pytest.fixture
def found(on_disk, tmp_path) -> Path:
    result = run("search", "PEPS_S2_L1C", "--datetime", "2021-07", "--cloud-cover", "30", "--json")
    assert result.exit_code == 0, result.output
    path = tmp_path / "found.json"
    path.write_text(result.stdout)
    return path


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example(command):
    assert sorted(main.commands) == COMMANDS
    result = run(command, "--help")
    assert result.exit_code == 0
    assert f"geodes-lab {command}" in result.stdout.split("Example", 1)[1]


@pytest.mark.parametrize("command", sorted(set(COMMANDS) - {"acquire", "runner", "sample", "lab", "env", "mcp"}))
def test_each_command_with_a_result_gives_it_as_json(command):
    assert "--json" in run(command, "--help").stdout


def test_search_for_people(on_disk):
    result = run(
        "search", "PEPS_S2_L1C", "--tile", "31TCJ", "--where", "platform=S2B", "--sortby", "-datetime", "--limit", "2"
    )
    assert result.exit_code == 0
    lines = result.stdout.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("2021-08-29 10:46  S2B  31TCJ  20 %  S2B_MSIL1C_20210829")
    assert "2 products." in result.stderr


def test_search_for_programs(found):
    told = json.loads(found.read_text())
    assert told["type"] == "FeatureCollection"
    assert len(told["features"]) == 6
    assert {f["properties"]["platform"] for f in told["features"]} == {"S2A"}


def test_nothing_found_is_no_failure(on_disk):
    result = run("search", "PEPS_S2_L1C", "--datetime", "1990")
    assert (result.exit_code, result.stdout) == (0, "")


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["search", "PEPS_S2_L1D"], 1, "did you mean 'PEPS_S2_L1C'?"),
        (["search", "PEPS_S2_L1C", "--bbox", "1,2,3"], 2, "is not west,south,east,north in degrees"),
        (["search", "PEPS_S2_L1C", "--where", "platform"], 2, "is not NAME=VALUE"),
        (["search"], 2, "Missing argument"),
        (["open", "nowhere.zip"], 1, "does not exist"),
        (["plan", "nowhere.json", "--bands", "red"], 1, "No such file"),
        (["save", "x.zip", "--bands", "red"], 2, "Missing option '--to'"),
        (["no-such"], 2, "No such command"),
    ],
)
def test_what_is_wrong_is_said_on_standard_error(on_disk, arguments, code, said):
    result = run(*arguments)
    assert result.exit_code == code
    assert result.stdout == ""
    assert said in result.stderr
    assert "Traceback" not in result.stderr


def test_open_prints_the_tree(product):
    shown = run("open", str(product)).stdout
    assert "Group: /r10m" in shown
    assert "red" in shown
    told = json.loads(run("open", str(product), "--json").stdout)
    assert told["/r10m"]["red"]["dims"] == ["y", "x"]
    assert told["/r10m"]["red"]["dtype"] == "float32"


def test_open_takes_an_item_from_a_pipe(on_disk):
    one = run("search", "PEPS_S2_L1C", "--limit", "1", "--json").stdout
    assert "Group: /r60m" in run("open", "-", input=one).stdout
    two = run("search", "PEPS_S2_L1C", "--limit", "2", "--json").stdout
    assert "contains 2 Items" in run("open", "-", input=two).stderr


def test_plan_of_what_was_found(found):
    shown = run("plan", str(found), "--bands", "red,nir", "--bbox", BOX).stdout
    assert "products" in shown
    assert "requests" in shown
    fine = json.loads(run("plan", str(found), "--bands", "red", "--json").stdout)
    coarse = json.loads(run("plan", str(found), "--bands", "red", "--resolution", "60", "--json").stdout)
    assert fine["products"] == 6
    assert coarse["bytes"] < fine["bytes"] / 4


def test_save_writes_months_as_zarr_and_maps_as_cog(found, tmp_path):
    target = tmp_path / "month.zarr"
    result = run(
        "save",
        str(found),
        "--bands",
        "red,nir",
        "--bbox",
        BOX,
        "--mask",
        "cloud",
        "--every",
        "1MS",
        "--to",
        str(target),
        "--json",
    )
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told["sizes"]["time"] == 1
    assert sum(p["read"] > 0 for p in told["products"]) == 3, "where two tiles overlap, one is read"
    assert float(xr.open_zarr(target, consolidated=False).nir.mean()) > 0.2
    result = run("save", str(found), "--bands", "red", "--bbox", BOX, "--to", str(tmp_path / "red.tif"))
    assert result.exit_code == 0, result.output
    assert "red" in result.stdout
    with rasterio.open(tmp_path / "red.tif") as file:
        assert file.count == 3
        assert np.isfinite(file.read(1)).any()
    again = run("save", str(found), "--bands", "red", "--bbox", BOX, "--to", str(target))
    assert again.exit_code == 1
    assert "overwrite=True" in again.stderr


def test_save_goes_on_where_it_is_told_to(found, altered, tmp_path):
    broken = altered(lambda n, d: d[: len(d) // 2] if n.endswith("_B04.jp2") else d)
    stops = run("save", str(broken), "--bands", "red", "--to", str(tmp_path / "a.zarr"))
    assert stops.exit_code == 1
    assert "Band B04 of S2A_MSIL1C_20210605" in stops.stderr
    assert not (tmp_path / "a.zarr").exists()
    goes = run("save", str(broken), "--bands", "red", "--to", str(tmp_path / "a.zarr"), "--fill")
    assert goes.exit_code == 0
    assert "windows filled" in goes.stderr


def test_harvest_of_a_static_catalogue_is_searched_like_it(on_disk, tmp_path):
    folder = tmp_path / "near"
    for _ in range(2):  # the second takes all anew
        result = run("harvest", "local", str(folder), "--collection", "PEPS_S2_L1C")
        assert result.exit_code == 0, result.output
        assert result.stdout == "PEPS_S2_L1C: 19 new, 19 in all.\n"
    here, near = (run("search", "PEPS_S2_L1C", *more).stdout for more in ([], ["--url", str(folder)]))
    assert near == here


@pytest.mark.thorough
def test_nothing_is_shown_where_there_is_no_terminal(found, tmp_path, sample):
    command = [str(Path(sys.executable).parent / "geodes-lab"), "save", str(found), "--bands", "red", "--bbox", BOX]
    environment = {**os.environ, "DASK_GEODES_LAB__DATALAKE__MIRROR": str(sample / "datalake")}
    done = subprocess.run(
        [*command, "--to", str(tmp_path / "red.zarr")], capture_output=True, text=True, env=environment, check=True
    )
    assert done.stderr == ""
    assert len(done.stdout.splitlines()) == 1


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(shell):
    program = str(Path(sys.executable).parent / "geodes-lab")
    script = subprocess.run(
        [program], capture_output=True, text=True, env={**os.environ, "_GEODES_LAB_COMPLETE": f"{shell}_source"}
    )
    if shell == "bash" and "Couldn't detect Bash version" in script.stderr:
        pytest.skip("there is no bash here")
    assert "geodes-lab" in script.stdout
    words = {"COMP_WORDS": "geodes-lab se", "COMP_CWORD": "se" if shell == "fish" else "1"}
    done = subprocess.run(
        [program],
        capture_output=True,
        text=True,
        env={**os.environ, **words, "_GEODES_LAB_COMPLETE": f"{shell}_complete"},
    )
    assert "search" in done.stdout


def test_lab_without_its_hub_says_where_it_is(monkeypatch, tmp_path):
    import geodes_lab

    monkeypatch.setattr(geodes_lab, "__file__", str(tmp_path / "geodes_lab" / "__init__.py"))
    result = run("lab")
    assert result.exit_code == 1
    assert "clone the project" in result.stderr


def test_download_for_people_and_for_programs(found, tmp_path):
    there = tmp_path / "products"
    result = run("download", str(found), "--to", str(there), "--bands", "red", "--json")
    assert result.exit_code == 0, result.output
    rows = json.loads(result.stdout)["products"]
    assert rows
    assert {r["what"] for r in rows} == {"fetched"}
    assert sorted(Path(r["path"]).name for r in rows) == sorted(p.name for p in there.iterdir())
    again = run("download", str(found), "--to", str(there), "--bands", "red")
    assert again.stdout.startswith(f"{len(rows)} was there: ")


def test_download_that_fails_in_part_says_so_and_exits_with_1(found, tmp_path):
    document = json.loads(found.read_text())
    document["features"] = document["features"][:2]
    for asset in document["features"][0]["assets"].values():
        asset["href"] = "https://s3.datalake.cnes.fr/sentinel2-l1c/gone.zip"
        asset.pop("alternate", None)
    found.write_text(json.dumps(document))
    result = run("download", str(found), "--to", str(tmp_path / "products"))
    assert result.exit_code == 1
    assert "1 of 2 products did not arrive, the others are there: " in result.stderr
    assert "1 failed, 1 fetched: " in result.stdout
    assert len(list((tmp_path / "products").iterdir())) == 1
