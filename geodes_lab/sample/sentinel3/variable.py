"""One variable of a file of Sentinel-3's altimeter, and functions for files of all types."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np

from geodes_lab.sample import truth
from geodes_lab.sample.sentinel3 import products
from geodes_lab.sample.sentinel3.products import Floats, Product

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
SINCE = "seconds since 2000-01-01 00:00:00.0"
STACK = 180  # echoes summed in each record, which leaves some speckle


@dataclass(frozen=True, eq=False)
class Variable:
    """One variable of a file."""

    name: str
    """Its name in the file."""
    dims: tuple[str, ...]
    """Its dimensions."""
    kind: str
    """Its type in the file."""
    values: Floats
    """Its values, in its units; NaN: no value."""
    scale: float = 1
    """CF's ``scale_factor``."""
    offset: float = 0
    """CF's ``add_offset``."""
    units: str = ""
    """CF's ``units``."""
    title: str = ""
    """CF's ``long_name``."""
    standard: str = ""
    """CF's ``standard_name``."""
    meanings: str = ""
    """CF's ``flag_meanings``, of values from 0."""
    fills: bool = True
    """Whether it has a fill value."""
    places: str = ""
    """CF's ``coordinates``."""
    chunks: tuple[int, ...] | None = None
    """Its chunks in the file, if it has chunks."""


def utc(product: Product, seconds: Floats) -> Floats:
    """Return seconds since 2000, as in the products (records)."""
    return (product.crossing - EPOCH).total_seconds() + seconds


def echoes(product: Product) -> Floats:
    """Return the power of the echoes with speckle (records, gates), in counts."""
    rng = np.random.default_rng([truth.SEED, product.crossing.toordinal()])
    mean = products.echo(product.seconds)
    return np.asarray(mean * rng.gamma(STACK, 1 / STACK, mean.shape))


def samples() -> Variable:
    """Return the numbers of an echo's samples."""
    title = "number of samples in I2+Q2, I and Q echoes"
    return Variable(
        "echo_sample_ind", ("echo_sample_ind",), "i1", np.arange(128.0), units="count", title=title, fills=False
    )
