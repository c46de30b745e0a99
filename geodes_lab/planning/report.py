"""What happened to the products of a cube during the computation: read, retried, filled, dropped, and why."""

from __future__ import annotations

import contextlib
import os
import sys
from collections import Counter
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd
import xarray as xr

from geodes_lab.errors import shown
from geodes_lab.planning.needed_tiles import mosaics
from geodes_lab.reading import read_log
from geodes_lab.reading.read_log import Entry
from geodes_lab.storage.location import object_of
from geodes_lab.storage.traffic import traffic


@dataclass(frozen=True)
class Report:
    """What happened to each product."""

    table: pd.DataFrame
    """A row for each product.

    Windows ``read``, requests ``retried``, windows ``filled``, whether it was ``dropped``, and
    ``why``."""

    def __repr__(self) -> str:
        return "\n".join(map(shown, f"{self._summary()}\n{self.table.to_string()}".splitlines()))

    def _repr_html_(self) -> str:
        return f"<p>{escape(self._summary())}</p>{self.table.to_html(max_rows=50, escape=True, render_links=False)}"

    def _summary(self) -> str:
        t = self.table
        count = int((t["read"] > 0).sum())
        parts = [f"{count} product{'' if count == 1 else 's'} read, {int(t['read'].sum())} windows"]
        parts += [f"{int(t[c].sum())} {word}" for c, word in _SUMS if t[c].sum()]
        return "; ".join(parts) + "."


_SUMS = (("retried", "requests retried"), ("filled", "windows filled"), ("dropped", "products dropped"))


def report(data: xr.Dataset | xr.DataArray) -> Report:
    """Report the reading of each product of a cube, after the computation.

    Parameters
    ----------
    data
        The lazy cube, or a lazy result of it.

    Returns
    -------
    Report
        A notebook shows it as a table. It counts reads in this process and on the present workers; the counts of a
        restarted worker are lost. Retried requests are counted per product, over all cubes.

    Raises
    ------
    GeodesError
        If ``data`` is not lazy, or does not come from a cube.
    """
    by_layer = mosaics(data)
    entries, retries = _gather({m.cube for m in by_layer.values()})
    objects: dict[str, set[str]] = {}
    for mosaic in by_layer.values():
        for piece in (p for slice_ in mosaic.slices for p in slice_):
            objects.setdefault(piece.source.product, set()).add(object_of(piece.source.href).gdal)
    rows: dict[str, dict[str, Any]] = {}
    for product, paths in objects.items():
        entry = entries.get(product, Entry())
        rows[product] = {
            "read": entry.read,
            "retried": sum(retries[p] for p in paths),
            "filled": entry.filled,
            "dropped": False,
            "why": " ".join(entry.reasons),
        }
    nothing = {"read": 0, "retried": 0, "filled": 0, "dropped": True}
    for product in data.attrs.get("superseded", []):
        rows[product] = {**nothing, "why": "a newer processing of the same product was used"}
    for number, sentence in enumerate(data.attrs.get("failed", []), 1):
        rows[f"not opened, {number}"] = {**nothing, "why": sentence}
    table = pd.DataFrame.from_dict(rows, orient="index", columns=["read", "retried", "filled", "dropped", "why"])
    table.index.name = "product"
    return Report(table)


def _gather(cubes: set[str]) -> tuple[dict[str, Entry], Counter[str]]:
    by_process = {os.getpid(): _tell(cubes)}
    if "distributed" in sys.modules:
        from distributed import get_client

        with contextlib.suppress(ValueError, OSError):  # no cluster: everything was read here
            # By process: a cluster's workers may live in this process.
            by_process |= dict(get_client(timeout=1).run(_tell_who, cubes).values())
    entries: dict[str, Entry] = {}
    retries: Counter[str] = Counter()
    for theirs, again in by_process.values():
        retries.update(again)
        for product, entry in theirs.items():
            entries.setdefault(product, Entry()).add(entry)
    return entries, retries


def _tell(cubes: set[str]) -> tuple[dict[str, Entry], dict[str, int]]:
    return read_log.of(cubes), dict(traffic.retries)


def _tell_who(cubes: set[str]) -> tuple[int, tuple[dict[str, Entry], dict[str, int]]]:
    return os.getpid(), _tell(cubes)
