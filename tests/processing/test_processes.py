"""Processes: their description from signature and docstring, their inputs, and band expressions, hostile ones too."""

from __future__ import annotations

import contextlib
import warnings
from typing import Annotated, Literal

import jsonschema
import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

import geodes_lab as gl
from geodes_lab.errors import GeodesError
from geodes_lab.processing import registry
from geodes_lab.processing.expression import Expression
from geodes_lab.processing.inputs import Between, Unit
from geodes_lab.processing.reduction import nanmedian
from tests.support.examples import examples


def speed(
    cube: xr.Dataset,
    step: Annotated[float, Unit("m"), Between(0, 500)],
    how: Literal["up", "down"] = "up",
    names: list[str] | None = None,
) -> xr.Dataset:
    """How fast it goes.

    More about it,
    in two lines.

    Parameters
    ----------
    cube
        Not an input.
    step : float
        The step,
        in two lines.
    how
        Which way.

    Returns
    -------
    xarray.Dataset
        Nothing.
    """
    return cube


def test_description_has_what_signature_and_docstring_say():
    process = registry.define(bands=["red"])(speed)
    try:
        said = gl.processes()["speed"].describe()
    finally:
        registry.forget("speed")
    assert (said["title"], said["description"]) == ("How fast it goes", "More about it, in two lines.")
    assert list(said["inputs"]) == ["step", "how", "names", "mask", "mask_buffer", "resampling"]
    step = said["inputs"]["step"]
    assert (step["minOccurs"], step["description"]) == (1, "The step, in two lines.")
    assert step["schema"] == {"type": "number", "minimum": 0, "maximum": 500}
    assert step["additionalParameters"]["parameters"] == [{"name": "unit", "value": ["m"]}]
    assert said["inputs"]["how"]["schema"] == {"type": "string", "enum": ["up", "down"], "default": "up"}
    assert process(1, 2) == 1
    assert "speed" not in gl.processes()


def test_each_process_of_the_lab_describes_itself():
    assert set(gl.processes()) >= {
        "ndvi",
        "ndwi",
        "nbr",
        "band-expression",
        "median",
        "maximum",
        "cloud-free",
        "zonal",
        "track-map",
        "crossovers",
    }
    for process in registry.installed().values():
        assert process.title[-1] not in "."
        for name, one in process.describe()["inputs"].items():
            jsonschema.Draft202012Validator.check_schema(one["schema"])
            assert one["description"] != name, f"{name} of {process.id} is not explained"
    assert "<table>" in gl.processes()._repr_html_()


def test_index_of_a_pixel_below_zero_stays_an_index():
    """As an overview has them beside a sharp edge: red and near infrared add up to nothing."""
    red, nir = ([0.02, 0.0188, 0.0216, np.nan, 0.04], [-0.02, -0.0233, -0.0173, 0.3, 0.36])
    cube = xr.Dataset({n: (("time", "y", "x"), [[v]]) for n, v in {"red": red, "nir": nir}.items()})
    index = gl.processes()["ndvi"](cube).values[0]
    assert list(np.isnan(index)) == [True, True, False, True, False], "nothing is reflected there, or less"
    assert index[2] == -1
    assert index[4] == pytest.approx(0.8)


@given(st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=5), st.lists, max_leaves=4))
@settings(max_examples=examples(150))
def test_inputs_are_valid_by_their_schema_or_refused_in_a_sentence(value):
    inputs = gl.processes()["cloud-free"].inputs
    schemas = inputs.schemas()
    for name in ("bands", "mask", "mask_buffer"):
        with contextlib.suppress(GeodesError):
            jsonschema.validate(inputs.checked({"bands": ["red"], name: value})[name], schemas[name])


@pytest.mark.parametrize(
    ("function", "sentence"),
    [
        (lambda cube, x: cube, "has no type"),
        (lambda pixels: pixels, "The first parameter of <lambda> is 'cube' or 'items'"),
        (lambda cube, *more: cube, "give each input its own name"),
    ],
)
def test_processes_that_cannot_be_described(function, sentence):
    with pytest.raises(GeodesError, match=sentence):
        registry.define(id="odd")(function)
    assert "odd" not in gl.processes()


def test_expressions_compute_what_python_does():
    red, nir = np.random.default_rng(1).uniform(0.1, 0.5, (2, 5, 5))
    bands = {"red": xr.DataArray(red), "nir": xr.DataArray(nir)}
    for text in (
        "(nir - red) / (nir + red)", "-red ** 2 + 1.5", "red ** -2", "2.5 * (nir - red) / (nir + 6 * red + 1)",
        "where((red > 0.2) & ~(nir < 0.3), red, -nir)", "sqrt(abs(red - nir)) + log(nir)", "maximum(red, nir) != nir",
    ):  # fmt: skip
        names = {"where": np.where, "sqrt": np.sqrt, "abs": np.abs, "log": np.log, "maximum": np.maximum}
        expected = eval(text, names, {"red": red, "nir": nir})
        np.testing.assert_allclose(Expression(text).of(bands).values, expected)
    assert Expression("nir / B8A - nir").bands == ["nir", "B8A"]


@pytest.mark.attack
@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').system('id')", "red.__class__", "red[0]", "(lambda: red)()", "[r for r in red]", "red if nir else 1", "'red' * 9",
        "red ** nir", "9 ** 9 ** 9", "red ** 1e9", "1e400 * red", "f'{red}'", "red := 1", "open('x')", "abs(red, x=1)", "abs(*red)", "red; nir",
        "red and nir", "red < nir < 1", "red @ nir", "red // nir", "red << 2", "True & red", "1j * red", "...", "1 + 2", "", " ", "(" * 200 + "red" + ")" * 200,
        "-" * 500 + "red", "+".join(["red"] * 250), "red\n+nir;import os", "\0red", "where(red, nir)", "await red", "__builtins__ + red", "sqrt + red", "x" * 1001,
    ],
)  # fmt: skip
def test_hostile_expressions_are_refused_in_a_sentence(text):
    with pytest.raises(GeodesError) as caught:
        Expression(text)
    assert "expression" in str(caught.value)


@given(st.text(alphabet="rednir0123456789.+-*/()&|~<>=, _[]{}'\"\\\n:", max_size=60))
@settings(max_examples=examples(300))
def test_any_text_is_an_expression_or_refused(text):
    with contextlib.suppress(GeodesError):
        Expression(text)


@given(
    st.integers(2, 20).flatmap(
        lambda n: st.lists(
            st.lists(st.sampled_from([np.nan, -0.5, 0.0, 0.25, 1.0, 3e30, np.inf]), min_size=n, max_size=n),
            min_size=1, max_size=6,
        )
    ),
    st.sampled_from(["float32", "float64"]),
)  # fmt: skip
@settings(max_examples=examples(60), deadline=None)
def test_median_of_few_is_numpy_s(columns, dtype):
    values = np.array(columns, dtype).T
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ours, theirs = nanmedian(values), np.nanmedian(values, axis=0)
    assert ours.dtype == theirs.dtype
    np.testing.assert_array_equal(ours, theirs)
