"""The bare library: its wheel in an environment of its own opens, plans and saves, and names the extra that something else needs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from tests.support.paths import TOP

TRIED = """
    import json, sys, warnings
    import geodes_lab as gl

    said = {"version": gl.__version__, "where": gl.__file__}
    items = gl.search("PEPS_S2_L1C", url=sys.argv[1], limit=1)
    scene = gl.open_product(sys.argv[2])
    cube = gl.open_cube(sys.argv[2], bands=["red"])
    said["products"] = gl.plan(cube).products
    said["red"] = float(scene["r10m"]["red"].mean())
    gl.save(cube.isel(x=slice(64), y=slice(64)), sys.argv[3])
    for name, call in {
        "plot": lambda: gl.plot, "explore": lambda: gl.explore(), "attach": lambda: gl.attach(),
        "harvested": lambda: gl.search("PEPS_S2_L1C", url=sys.argv[4]),
    }.items():
        try:
            call()
        except gl.GeodesError as error:
            said[name] = str(error)
    from click.testing import CliRunner
    from geodes_lab.assistant import pages
    from geodes_lab.cli import main
    said["pages"] = sorted(pages.pages())
    said["mcp"] = CliRunner().invoke(main, ["mcp"]).output
    said["brought"] = sorted(m for m in sys.modules if m in ("jupyterhub", "jupyter_server", "IPython", "holoviews", "duckdb", "pyarrow"))
    print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def python(tmp_path_factory) -> Path:
    """The interpreter of an environment with the wheel and what it asks for, in the versions of the lock file."""
    folder, uv = tmp_path_factory.mktemp("bare"), str(Path(sys.prefix) / "bin" / "uv")
    build = ["--build-constraint", str(TOP / "helm" / "images" / "build.txt")]
    subprocess.run([uv, "build", "--quiet", "--wheel", *build, "--out-dir", str(folder), str(TOP)], check=True)
    subprocess.run([uv, "venv", "--quiet", "--python", sys.executable, str(folder / "venv")], check=True)
    (wheel,) = folder.glob("*.whl")
    pinned = folder / "constraints.txt"
    lines = (TOP / "requirements.lock").read_text().splitlines()
    pinned.write_text("".join(f"{line.split(chr(92))[0].strip()}\n" for line in lines if "==" in line))
    found = folder / "venv" / "bin" / "python"
    subprocess.run([uv, "pip", "install", "--quiet", "--python", str(found), "-c", str(pinned), str(wheel)], check=True)
    return found


@pytest.mark.thorough
@pytest.mark.slow  # installs the wheel into an environment of its own; test_project holds what it asks for
def test_library_alone_searches_opens_plans_and_saves(python, sample, product, tmp_path):
    (tmp_path / "harvested").mkdir()
    (tmp_path / "harvested" / "snapshot.json").write_text("{}")
    told = [
        str(sample / "catalog" / "catalog.json"),
        str(product),
        str(tmp_path / "red.zarr"),
        str(tmp_path / "harvested"),
    ]
    environment = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "GEODES", "DASK"))}
    environment["DASK_GEODES_LAB__CACHE__FOLDER"] = str(tmp_path / "cache")
    done = subprocess.run(
        [str(python), "-P", "-c", textwrap.dedent(TRIED), *told],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    said = json.loads(done.stdout)
    assert Path(said["where"]).is_relative_to(python.parents[1]), "the wheel, not the checkout"
    assert said["products"] == 1
    assert 0 < said["red"] < 1
    assert (tmp_path / "red.zarr").is_dir()
    assert (
        said["plot"]
        == "gl.plot needs holoviews, which is not installed: install it with pip install 'geodes-lab[plot]'."
    )
    assert "geodes-lab[map]" in said["explore"]
    assert "geodes-lab[cluster]" in said["attach"]
    assert "geodes-lab[service]" in said["harvested"]
    assert "geodes-lab mcp needs mcp" in said["mcp"]
    assert "geodes-lab[assistant]" in said["mcp"]
    docs = TOP / "docs"
    assert said["pages"] == sorted(p.relative_to(docs).with_suffix("").as_posix() for p in docs.glob("*/**/*.md"))
    assert said["brought"] == []
