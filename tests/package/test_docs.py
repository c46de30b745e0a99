"""The examples of the documentation run on the sample datalake, as they are printed."""

from __future__ import annotations

import ast
import doctest
import importlib.util
import pkgutil
import re
import warnings
from pathlib import Path

import dask
import pytest

import geodes_lab
from tests.support.paths import TOP

MODULES = [m.name for m in pkgutil.walk_packages(geodes_lab.__path__, "geodes_lab.") if "__main__" not in m.name]


def blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (TOP / "docs" / page).read_text(), re.DOTALL)


@pytest.mark.parametrize(
    ("page", "least"),
    [
        ("reference/products.md", 6),
        ("how-to/recipes.md", 20),
        ("how-to/coming-from.md", 1),
        ("index.md", 1),
        ("../README.md", 1),
    ],
)
@pytest.mark.thorough
def test_examples_run(on_disk, tmp_path, monkeypatch, page, least):
    monkeypatch.chdir(tmp_path)  # some save into workspace/
    found = blocks(page, "python")
    assert len(found) >= least
    names: dict[str, object] = {}
    with dask.config.set(scheduler="sync"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for block in found:
            exec(compile(block, f"docs/{page}", "exec"), names)


def test_examples_of_other_tools_are_python():
    """They need services that are not here: marked ``py``, they are parsed and no more."""
    others = blocks("how-to/coming-from.md", "py") + blocks("how-to/recipes.md", "py")
    assert len(others) == 7
    for block in others:
        ast.parse(block)


@pytest.mark.thorough
def test_examples_in_docstrings_run(on_disk):
    """Those that are not marked as needing a service."""
    tried = 0
    for module in MODULES:
        file = importlib.util.find_spec(module).origin
        if ">>>" in Path(file).read_text():  # doctest looks for each function's source, in all of them for seconds
            tried += doctest.testmod(importlib.import_module(module), raise_on_error=True).attempted
    assert tried


def test_faq_has_its_traps_numbered():
    found = re.findall(r"^(\d+)\. \*\*", (TOP / "docs" / "how-to" / "faq.md").read_text(), re.M)
    assert list(map(int, found)) == list(range(1, len(found) + 1))
    assert len(found) >= 25


def test_every_collection_of_the_sample_is_in_the_table(on_disk):
    text = (TOP / "docs" / "reference" / "products.md").read_text()
    patterns = [re.escape(c).replace(r"\*", r"\w*") for c in re.findall(r"(?:PEPS|THEIA|SWH)_[\w*-]+", text)]
    for folder in (on_disk / "catalog").iterdir():
        if folder.is_dir() and folder.name.startswith(("PEPS", "THEIA", "SWH")):
            assert any(re.match(p, folder.name) for p in patterns), folder.name
