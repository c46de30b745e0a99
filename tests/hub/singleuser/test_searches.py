"""Notebooks that are made of an address: what is in the address is never code."""

from __future__ import annotations

import ast
import inspect
import json

import nbformat
import pytest
from hypothesis import given
from hypothesis import strategies as st

import geodes_lab as gl
from hub.singleuser.links import jobs
from hub.singleuser.links.searches import NEVER, PLAIN, notebook, read

VALUES = st.one_of(st.text(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans())


def call(made: nbformat.NotebookNode) -> ast.Call:
    """The one search of the notebook."""
    tree = ast.parse(made.cells[1].source)
    assert [type(n) for n in tree.body] == [ast.Import, ast.Assign, ast.Expr, ast.Expr]
    return tree.body[1].value


@given(
    collections=st.one_of(st.text(), st.lists(st.text())),
    asked=st.dictionaries(st.from_regex(r"\A[a-z][a-z0-9_]{0,9}\Z"), st.one_of(VALUES, st.lists(VALUES)), max_size=5),
)
def test_any_values_are_literals_of_one_call(collections, asked):
    asked = {k: v for k, v in asked.items() if k != "collections"}
    try:
        made = notebook({"collections": collections, **asked})
    except ValueError:  # a keyword of Python
        return
    nbformat.validate(made)
    found = call(made)
    assert ast.unparse(found.func) == "gl.search"
    assert ast.literal_eval(found.args[0]) == collections
    assert {k.arg: ast.literal_eval(k.value) for k in found.keywords} == asked


@pytest.mark.parametrize(
    "search",
    [
        {"collections": "A", "x=1); import os; f(y": 1},
        {"collections": {"a": 1}},
        {"bbox": [1, 2, 3, 4]},
        {"collections": "A", "bbox": {"a": 1}},
        {"collections": "A", "if": 1},
        {"collections": ["A", {"b": 1}]},
        {"collections": "A", **{f"a{n}": n for n in range(30)}},
    ],
)
def test_what_is_no_search_is_refused(search):
    with pytest.raises(ValueError, match=r"a search must have|an argument must"):
        notebook(search)


@pytest.mark.parametrize("name", ["url", "profile", "intersects", "token", "headers", "folder", "shape"])
def test_link_never_says_where_is_searched(name):
    """A search at an address of a link's would be sent the reader's token."""
    with pytest.raises(ValueError, match="an argument must be a search criterion"):
        notebook({"collections": "A", name: "lab"})


def test_each_argument_of_a_search_is_a_plain_value_or_never_in_a_link():
    """A new one must be put into one of the two."""
    told = inspect.signature(gl.search).parameters.values()
    named = {p.name for p in told if p.kind is not p.VAR_KEYWORD}
    assert named - NEVER == PLAIN


@pytest.mark.parametrize(
    "search",
    [
        {"collections": "A" * 501},
        {"collections": ["A"] * 101},
        {"collections": "A", "cloud_cover": float("inf")},
        {"collections": "A", "b" * 42: 1},
        {"collections": "A", "geodes_readers": "x"},
    ],
)
def test_what_is_too_large_or_no_value_is_refused(search):
    with pytest.raises(ValueError, match=r"an argument must|a search must have"):
        notebook(search)


@pytest.mark.parametrize("text", ["[" * 16_000, "x" * 16_385, "[]", "5", '{"collections": "A", "cloud_cover": NaN}'])
def test_text_that_is_no_search_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        read(text)


def test_basket_is_opened_as_one_cube():
    made = notebook({"collections": ["A"], "ids": ["x", "y"], "latest": False, "geodes_cube": True})
    nbformat.validate(made)
    assert made.cells[-1].source == "cube = gl.open_cube(items)\ncube"
    assert {k.arg for k in call(made).keywords} == {"ids", "latest"}
    parts = {"bands": ["red", "B04"], "bbox": [1, 43.5, 2, 44]}
    made = notebook({"collections": ["A"], "ids": ["x"], "latest": False, "geodes_download": parts})
    sources = [cell.source for cell in made.cells]
    assert sources[-1] == "gl.download(items, 'products', bands=['red', 'B04'], bbox=[1, 43.5, 2, 44])"
    assert "print(gl.quota())" in sources[-3]
    assert notebook({"collections": "A", "geodes_download": {}}).cells[-1].source == "gl.download(items, 'products')"
    for wrong in (
        [],
        {"to": "/"},
        {"bands": "red"},
        {"bands": ["a', x"]},
        {"bbox": [1, 2, 3]},
        {"bbox": ["1", 2, 3, 4]},
        {"bbox": [1, 99, 3, 4]},
    ):
        with pytest.raises(ValueError, match="geodes_download"):
            notebook({"collections": "A", "geodes_download": wrong})
    with pytest.raises(ValueError, match="geodes_cube is true or false"):
        notebook({"collections": "A", "geodes_cube": "x"})


def test_shape_is_a_file_beside_the_notebook():
    made, shape = read(json.dumps({"collections": "A", "shape": "0f" * 16}))
    assert shape == "0f" * 16
    assert {k.arg: ast.literal_eval(k.value) for k in call(made).keywords} == {
        "intersects": "shape-0f0f0f0f0f0f0f0f.geojson"
    }


@pytest.mark.parametrize("shape", ["../../etc/passwd", "0f", ["0f" * 16], 5, "0F" * 16, "0f" * 16 + "\n"])
def test_name_of_a_shape_is_a_checksum_alone(shape):
    with pytest.raises(ValueError, match="a shape is named by its checksum"):
        read(json.dumps({"collections": "A", "shape": shape}))


def test_notebook_of_a_job_has_its_id_and_nothing_else_of_the_address():
    made = jobs.notebook("0" * 32)
    nbformat.validate(made)
    assert f'["{"0" * 32}"]' in made.cells[1].source
    for wrong in ("", "0" * 31, "0" * 33, '"]; import os #' + "0" * 17, "0" * 32 + "\n"):
        with pytest.raises(ValueError, match="32 hexadecimal"):
            jobs.notebook(wrong)
