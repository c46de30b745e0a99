"""Published neural networks that estimate what a canopy has from Sentinel-2's surface reflectance.

Eleven inputs, five neurons with a hyperbolic tangent, one linear output, for each variable.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from geodes_lab.science.canopy.domain import Domain

Values = NDArray[np.float32]
Name = Literal["sl2p-2.1", "sl2p-ccrs"]
NAMES: tuple[str, ...] = get_args(Name)

BANDS = ("B03", "B04", "B05", "B06", "B07", "B8A", "B11", "B12")
ANGLES = ("view_zenith", "sun_zenith", "relative_azimuth")
"""The inputs: eight reflectances, and three angles in degrees."""

INPUT_OUT_OF_RANGE, TO_MINIMUM, TO_MAXIMUM, TOO_LOW, TOO_HIGH, NO_DATA, GEOMETRY = (1 << n for n in range(7))
"""Bits of a flag. The first five are those of the Sentinel-2 toolbox (SNAP)."""
MEANINGS = (
    "input_out_of_range output_thresholded_to_minimum output_thresholded_to_maximum output_too_low output_too_high "
    "no_data geometry_out_of_range"
)

# Pixels that are computed together, in the processor's cache. All pieces are equally large, the last one too, so that
# a pixel's numbers do not depend on its place in a chunk; and so small that BLAS starts no threads of its own.
_PIECE = 4096
_NEARLY = 1e-6


@dataclass(frozen=True)
class _Variable:
    """One output of a network."""

    tolerance: float
    """How far beyond its range an output is still set to the end of the range."""
    low: float
    high: float
    """Its range."""


@dataclass(frozen=True, eq=False)
class Network:
    """Some variables of a published network, ready to be computed together."""

    title: str
    citation: str
    variables: tuple[_Variable, ...]
    domain: Domain
    hidden: Values
    """(v, 5, 12): weights of the inputs, and of 1, in each neuron."""
    output: Values
    """(v, 1, 5): weights of the neurons."""
    bias: Values
    """(v,): added to the outputs."""
    geometry: Values
    """(2, 2): smallest and largest cosine of the zenith angles of view and sun in the training."""

    def __call__(self, *inputs: NDArray[np.floating], cosines: bool = False) -> tuple[NDArray[Any], ...]:
        """Compute the variables.

        Parameters
        ----------
        *inputs
            Reflectance of `BANDS`, and `ANGLES` in degrees, or their cosines; eleven arrays of one shape. NaN: no data.
        cosines
            Whether the angles are given as cosines.

        Returns
        -------
        tuple of numpy.ndarray
            Of that shape: the values of each variable, float32, NaN for no data; then the flags of each, uint8.
        """
        shape = inputs[0].shape
        flat = [np.ascontiguousarray(i).reshape(-1) for i in inputs]
        count, size = len(self.variables), flat[0].size
        values, flags = np.empty((count, size), np.float32), np.zeros((count, size), np.uint8)
        work = _Work()
        for begin, end in _pieces(size):
            some = slice(begin, end)
            for row, given in zip(work.inputs, flat, strict=False):
                row[: end - begin] = given[some]
            if not cosines:
                angles = work.inputs[8:11]
                np.multiply(angles, np.float32(np.pi / 180), out=angles)
                np.cos(angles, out=angles)
            self._piece(work, values[:, some], flags[:, some])
        return (*(v.reshape(shape) for v in values), *(f.reshape(shape) for f in flags))

    def _piece(self, work: _Work, values: Values, flags: NDArray[np.uint8]) -> None:
        size = values.shape[1]
        common = np.logical_not(self.domain.holds(work.inputs[:8], work.cells)[:size]).view(np.uint8)
        cosines = work.inputs[8:10, :size]
        if ((geometry := cosines < self.geometry[:, :1]) | (cosines > self.geometry[:, 1:])).any():
            geometry |= cosines > self.geometry[:, 1:]
            common |= geometry.any(axis=0).view(np.uint8) * np.uint8(GEOMETRY)
        flags[:] = common
        for number, variable in enumerate(self.variables):
            value, flag = values[number], flags[number]
            np.matmul(self.hidden[number], work.inputs, out=work.neurons)
            np.tanh(work.neurons, out=work.neurons)
            np.matmul(self.output[number], work.neurons, out=work.output)
            np.add(work.output[0, :size], self.bias[number], out=value)
            _limit(value, flag, variable)
        missing = np.isnan(values[0])  # any input without data
        if missing.any():
            values[:, missing] = np.nan
            flags[:, missing] = NO_DATA


class _Work:
    """Room for one piece."""

    def __init__(self) -> None:
        self.inputs = np.zeros((12, _PIECE), np.float32)
        self.inputs[11] = 1  # weighted by the neurons' bias
        self.cells = np.empty((8, _PIECE), np.float32)
        self.neurons = np.empty((5, _PIECE), np.float32)
        self.output = np.empty((1, _PIECE), np.float32)


def _pieces(size: int) -> Iterator[tuple[int, int]]:
    return ((begin, min(begin + _PIECE, size)) for begin in range(0, size, _PIECE))


def _limit(value: Values, flag: NDArray[np.uint8], variable: _Variable) -> None:
    """Set what is a little beyond the range to its end, and flag it; what is far beyond is only flagged."""
    low, high = value < variable.low, value > variable.high
    if low.any():
        near = low & (value >= variable.low - variable.tolerance)
        flag |= near.view(np.uint8) * np.uint8(TO_MINIMUM)
        flag |= (low ^ near).view(np.uint8) * np.uint8(TOO_LOW)
        np.copyto(value, np.float32(variable.low), where=near)
    if high.any():
        near = high & (value <= variable.high + variable.tolerance)
        flag |= near.view(np.uint8) * np.uint8(TO_MAXIMUM)
        flag |= (high ^ near).view(np.uint8) * np.uint8(TOO_HIGH)
        np.copyto(value, np.float32(variable.high), where=near)


@lru_cache(maxsize=64)
def network(name: str, variables: Sequence[str]) -> Network:
    """Return a published network for some variables; a file of this package is read.

    Parameters
    ----------
    name
        One of `NAMES`.
    variables
        A tuple of ``lai``, ``fapar``, ``fcover``, ``ccc``, ``cwc``.
    """
    tables = _tables(name)
    order = [tables["inputs"].index(i) for i in (*BANDS, *(f"cos_{a}" for a in ANGLES))]
    hidden, output, bias, limits = [], [], [], []
    for variable in variables:
        one = tables["variables"][variable]
        scale, offset = _input(one)
        weights = np.array(one["hidden_weights"])
        # The scaling of the inputs is part of the weights.
        constant = np.array(one["hidden_bias"]) + weights @ offset
        hidden.append(np.column_stack([(weights * scale)[:, order], constant]))
        slope, shift = _output(one)
        output.append([np.array(one["output_weights"]) * slope])
        bias.append(one["output_bias"] * slope + shift)
        limits.append(_Variable(one["tolerance"], *one["range"]))
    scale, offset = _input(tables["variables"][variables[0]])
    ends = np.stack([(-1 - offset) / scale, (1 - offset) / scale], axis=1)[order][8:10]
    domain = tables["domain"]
    return Network(
        tables["title"],
        tables["citation"],
        tuple(limits),
        Domain.of(domain["minimum"], domain["maximum"], domain["cells"], domain.get("is_closed_above", False)),
        np.array(hidden, np.float32),
        np.array(output, np.float32),
        np.array(bias, np.float32),
        (ends + [-_NEARLY, _NEARLY]).astype(np.float32),
    )


@lru_cache(maxsize=len(NAMES))
def _tables(name: str) -> dict[str, Any]:
    text = files("geodes_lab.science.canopy").joinpath(f"{name}.json").read_text()
    tables: dict[str, Any] = json.loads(text)
    return tables


def _input(one: dict[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return slope and offset that bring each input to -1 … 1."""
    if "input_scale" in one:
        return np.array(one["input_scale"]), np.array(one["input_offset"])
    low, high = np.array(one["input_minimum"]), np.array(one["input_maximum"])
    return 2 / (high - low), -1 - 2 * low / (high - low)


def _output(one: dict[str, Any]) -> tuple[float, float]:
    """Return slope and offset that bring -1 … 1 to the variable."""
    if "output_scale" in one:
        return 1 / one["output_scale"], -one["output_offset"] / one["output_scale"]
    half = (one["output_maximum"] - one["output_minimum"]) / 2
    return half, one["output_minimum"] + half
