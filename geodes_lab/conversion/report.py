"""What a conversion did with each product."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any

import pandas as pd
import pystac
from dask.utils import format_bytes

from geodes_lab.conversion.scene import Scene
from geodes_lab.errors import GeodesError, shown, summed
from geodes_lab.products import as_item, converted, several
from geodes_lab.products.bands import name_of


@dataclass(frozen=True)
class Outcome:
    """What became of one product."""

    product: str
    """Its name."""
    scene: Scene | None
    """The result; None: it failed."""
    problem: str = ""
    """Why it failed."""

    @property
    def size(self) -> int:
        """Bytes of the new files."""
        return sum(b.size for b in self.scene.bands.values()) if self.scene else 0


@dataclass(frozen=True)
class Report:
    """What a conversion did; displays itself as a table."""

    outcomes: list[Outcome]
    """One for each product, in the order of the call."""
    seconds: float
    """How long the call took."""

    @property
    def items(self) -> pystac.ItemCollection:
        """The Items of the converted products; `geodes_lab.open_cube` opens them."""
        documents = [dict(o.scene.item) for o in self.outcomes if o.scene is not None]
        return pystac.ItemCollection([pystac.Item.from_dict(d) for d in documents])

    def beside(self, products: Any) -> pystac.ItemCollection:
        """Return the products' own Items, with the converted bands beside the product.

        `geodes_lab.open_cube` reads the converted bands of such Items; put them into a catalogue for others.

        Parameters
        ----------
        products
            The products of the call.
        """
        by_name = {o.product: o.scene.item for o in self.outcomes if o.scene is not None}
        items = [as_item(p) for p in several(products)]
        both = [(i, by_name.get(name_of(i))) for i in items]
        offering = [i if d is None else converted.beside(i, pystac.Item.from_dict(dict(d))) for i, d in both]
        return pystac.ItemCollection(offering)

    @property
    def table(self) -> pd.DataFrame:
        """A row for each product.

        ``bands``; ``bytes`` of the new files, or the product's share of a cube's objects;
        ``source`` bytes of the bands' own files, if they are known; ``pixels``
        that were compared; megabytes of numbers per second, when the ``source`` and the new ``file`` were read once;
        ``problem``.
        """
        rows = [_row(o) for o in self.outcomes]
        index = pd.Index([o.product for o in self.outcomes], name="product")
        return pd.DataFrame(rows, index=index)

    def __repr__(self) -> str:
        lines = [
            f"{o.product}: {o.problem}" if o.scene is None
            else f"{o.product}: {len(o.scene.bands)} bands, {format_bytes(o.size)}"
            for o in self.outcomes
        ]  # fmt: skip
        return "\n".join(map(shown, [self._summary(), *lines]))

    def _repr_html_(self) -> str:
        table = self.table.to_html(max_rows=50, escape=True, render_links=False)
        return f"<p>{escape(shown(self._summary()))}</p>{table}"

    def _summary(self) -> str:
        done = [o for o in self.outcomes if o.scene is not None]
        pixels = sum(b.pixels for o in done if o.scene for b in o.scene.bands.values())
        return (
            f"{len(done)} of {len(self.outcomes)} products converted in {self.seconds:.1f} s: "
            f"{format_bytes(sum(o.size for o in done))}, {pixels} pixels, all as in the source."
        )


class ConversionFailed(GeodesError):
    """Some products were not converted; all others are there."""

    def __init__(self, errors: Mapping[str, str], report: Report) -> None:
        self.errors, self.report = dict(errors), report
        super().__init__(summed(list(errors.values()), len(report.outcomes), "were not converted"))


def _row(outcome: Outcome) -> dict[str, object]:
    written = list(outcome.scene.bands.values()) if outcome.scene else []
    numbers = sum(b.numbers for b in written) / 1e6
    sources = [b.source_size for b in written]
    return {
        "bands": len(written),
        "bytes": outcome.size,
        "source_bytes": sum(s for s in sources if s is not None) if written and None not in sources else None,
        "pixels": sum(b.pixels for b in written),
        "source_MB_per_s": _rate(numbers, sum(b.source_seconds for b in written)),
        "file_MB_per_s": _rate(numbers, sum(b.file_seconds for b in written)),
        "problem": outcome.problem,
    }


def _rate(megabytes: float, seconds: float) -> float | None:
    return round(megabytes / seconds, 1) if seconds else None
