"""What a job will cost, before it begins: ``gl.plan`` of some of its units, and what the others then need."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from html import escape
from typing import TYPE_CHECKING

import pandas as pd
from dask.utils import format_bytes

from geodes_lab import products, settings
from geodes_lab.batch.request import Unit
from geodes_lab.batch.running.computing import Call, lazy
from geodes_lab.planning import plan as planning

if TYPE_CHECKING:
    from geodes_lab.batch.submission import Draft

_SAMPLE = 8
"""Units that are planned exactly."""


@dataclass(frozen=True)
class JobPlan:
    """What a job needs."""

    units: int
    products: int
    """Products that are read."""
    bytes: int
    """To read from the files."""
    core_hours: float
    """For decoding, warping and a median."""
    result: int
    """Bytes of the results before compression."""
    seconds: float
    """On the workers that there are, if nothing else runs there."""
    planned: int
    """Units that were planned one by one; the others are taken to be alike."""
    cost: float | None = None
    """At the price of a core-hour; None: there is no price."""
    currency: str = ""

    def _rows(self) -> list[tuple[str, str]]:
        exact = "each planned" if self.planned == self.units else f"{self.planned} planned, the others alike"
        rows = [
            ("units", f"{self.units} ({exact})"),
            ("products", f"{self.products}"),
            ("bytes to read", format_bytes(self.bytes)),
            ("core-hours", f"{self.core_hours:.2f}"),
            ("result", f"{format_bytes(self.result)} before compression"),
            ("time to expect", str(pd.Timedelta(seconds=round(self.seconds)))),
        ]
        return [*rows, ("cost", f"{self.cost:.2f} {self.currency}")] if self.cost is not None else rows

    def __repr__(self) -> str:
        return "\n".join(f"{name:<20}{value}" for name, value in self._rows())

    def _repr_html_(self) -> str:
        left = "style='text-align:left'"
        rows = "".join(f"<tr><th {left}>{n}</th><td {left}>{escape(v)}</td></tr>" for n, v in self._rows())
        return f"<table>{rows}</table>"


def plan(draft: Draft) -> JobPlan:
    """Estimate what a job will cost, without reading any pixel.

    Parameters
    ----------
    draft
        Of ``gl.process.prepare``.

    Returns
    -------
    JobPlan
        From some of the units; metadata of their products are read.

    Raises
    ------
    GeodesError
        If the process is not one over a cube that gives maps: what others read is not known before.
    """
    process, request, units = draft.process, draft.request, [u for u, _ in draft.units]
    process.check_plan()
    step = max(len(units) // _SAMPLE, 1)
    sample = units[::step][:_SAMPLE]
    plans, sizes = [], []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", planning.LargePlan)  # of one unit, it says nothing about the job
        for unit in sample:
            data = lazy(process, _call(draft, unit), [products.as_item(request.items[n]) for n in unit.items])
            plans.append(planning.plan(data))
            sizes.append(sum(v.nbytes for v in data.data_vars.values()))
    factor = len(units) / len(sample)
    seconds = max(sum(p.seconds for p in plans), sum(p.decode for p in plans) / _cores(plans[0]))
    core_hours = factor * sum(p.decode for p in plans) / 3600
    price, currency = settings.get("jobs.core_hour"), str(settings.get("jobs.currency") or "")
    return JobPlan(
        len(units),
        len({n for u in units for n in u.items}),
        int(factor * sum(p.bytes for p in plans)),
        core_hours,
        int(factor * sum(sizes)),
        factor * seconds,
        len(sample),
        None if price is None else core_hours * float(price),
        currency,
    )


def _cores(one: planning.Plan) -> int:
    return max(one.workers.count * one.workers.threads, 1)


def _call(draft: Draft, unit: Unit) -> Call:
    return Call(draft.process.id, draft.process.version, None, replace(draft.request, items=[]), unit, "", 1)
