"""The list of long tests: each entry is a test that there is, and says what it means."""

from __future__ import annotations

import ast

import pytest

from tests.support.long_tests import Entry, entries
from tests.support.paths import TOP


@pytest.mark.parametrize("mark", ["slow", "thorough"])
def test_each_entry_is_there(mark):
    defined = {
        file: {n.name for n in ast.walk(ast.parse((TOP / file).read_text())) if isinstance(n, ast.FunctionDef)}
        for file in {entry.of.split("::")[0] for entry in entries()[mark]}
    }
    wrong = []
    for entry in entries()[mark]:
        file, _, test = entry.of.partition("::")
        named = [test] if test else list(entry.but)
        wrong += [f"{file}::{n}" for n in named if n.split("[")[0] not in defined[file]]
    assert wrong == []


@pytest.mark.parametrize(
    ("entry", "name", "has"),
    [
        (Entry("a/t.py"), "a/t.py::one[x]", True),
        (Entry("a/t.py"), "a/t.pyx::one", False),
        (Entry("a/t.py", ("one[x]",)), "a/t.py::one[x]", False),
        (Entry("a/t.py", ("one[x]",)), "a/t.py::one[y]", True),
        (Entry("a/t.py::one"), "a/t.py::one", True),
        (Entry("a/t.py::one"), "a/t.py::one[x]", True),
        (Entry("a/t.py::one"), "a/t.py::one_more", False),
        (Entry("a/t.py::one[x]"), "a/t.py::one[x]", True),
        (Entry("a/t.py::one[x]"), "a/t.py::one[xy]", False),
        (Entry("a/t.py::one", ("x",)), "a/t.py::one[x]", False),
        (Entry("a/t.py::one", ("x",)), "a/t.py::one[y]", True),
    ],
)
def test_entry_means(entry, name, has):
    assert entry.has(name) is has


def test_one_case_of_so_many_stays():
    entry = Entry("a/t.py::one", every=3)
    assert [entry.has(f"a/t.py::one[{n}]", n) for n in range(7)] == [False, True, True, False, True, True, False]
    assert not entry.has("a/t.py::another[1]", 1)
