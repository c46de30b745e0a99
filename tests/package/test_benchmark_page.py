"""The page of benchmarks: the documents have what was measured, and a noisy ratio is not taken for a sure one."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from tests.benchmarks.page import ratio, table
from tests.support.paths import TOP


def test_the_documents_have_the_table_of_the_result():
    found = json.loads((TOP / "tests" / "benchmarks" / "page" / "page.json").read_text())
    document = (TOP / "docs" / "reference" / "benchmarks.md").read_text()
    assert table.into(document, found) == document
    assert document.count(table.BEGIN) == document.count(table.END) == 1


def test_a_ratio_is_measured_until_it_is_tight_or_the_bound_is_reached():
    steady = ratio.in_turn(lambda _: 1.0, lambda _: 2.0, 1.5, 3, 9, 60)
    assert (len(steady.ours), steady.ratio, steady.interval, steady.met(1.5)) == (3, 2.0, (2.0, 2.0), "yes")
    noisy = ratio.in_turn(lambda n: (1.0, 4.0)[n % 2], lambda n: (2.0, 3.0)[n // 2 % 2], 1.0, 3, 9, 60)
    assert (len(noisy.ours), noisy.met(1.0)) == (9, "in doubt")
    assert ratio.Measured([1.0, 1.0], [1.1, 1.1]).met(1.0) == "in doubt"
    assert ratio.Measured([2.0] * 5, [1.0] * 5).met(1.0) == "no"


def defined(path: Path) -> set[str]:
    """The names that a file of ours has at its top, and the files of a folder."""
    if path.is_dir():
        return {p.stem for p in path.iterdir()} | defined(path / "__init__.py")
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            names |= {a.asname or a.name for a in node.names}
    return names


def test_benchmarks_find_what_they_import_of_the_tests():
    """No test runs a benchmark, and most need programs that are not here: a file that was moved would be seen too late."""
    for file in sorted((TOP / "tests" / "benchmarks").rglob("*.py")):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests"):
                place = TOP / node.module.replace(".", "/")
                place = place if place.is_dir() else place.with_suffix(".py")
                assert place.exists(), f"{file.name} imports {node.module}"
                missing = {a.name for a in node.names} - defined(place)
                assert not missing, f"{file.name} imports {missing} from {node.module}"
