"""What a download did with each product."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

import pandas as pd
from dask.utils import format_bytes

from geodes_lab.errors import GeodesError, shown, summed

What = Literal["fetched", "was there", "fetched anew", "failed"]
_COLUMNS = ("what", "bytes", "seconds", "evidence", "path")


class ReplacedFile(UserWarning):
    """A file that was there was not right, and is fetched anew."""


@dataclass(frozen=True)
class Outcome:
    """What became of one product."""

    product: str
    """Its name."""
    what: What
    """``fetched``, ``was there`` (and is right), ``fetched anew`` (what was there was wrong), or ``failed``."""
    path: Path | None
    """The file, or the folder of a part; None: it failed."""
    size: int = 0
    """Bytes that are there."""
    received: int = 0
    """Bytes that were received now."""
    seconds: float = 0.0
    """How long it took."""
    evidence: str = ""
    """What was verified; or why it failed."""


@dataclass(frozen=True)
class Report:
    """What a download did; displays itself as a table."""

    outcomes: list[Outcome]
    """One for each product, in the order of the call."""
    seconds: float = 0.0
    """How long the call took."""
    quota: str = ""
    """What is left of the service's quota, if it was asked."""

    @property
    def paths(self) -> list[Path]:
        """The files and folders that are there, in the order of the call."""
        return [o.path for o in self.outcomes if o.path is not None]

    @property
    def table(self) -> pd.DataFrame:
        """A row for each product: ``what`` became of it, ``bytes``, ``seconds``, ``evidence``, ``path``."""
        rows = [(o.what, o.size, round(o.seconds, 2), o.evidence, str(o.path or "")) for o in self.outcomes]
        index = pd.Index([o.product for o in self.outcomes], name="product")
        return pd.DataFrame(rows, index=index, columns=list(_COLUMNS))

    def __repr__(self) -> str:
        lines = [f"{o.product}: {o.what}, {format_bytes(o.size)}; {o.evidence}" for o in self.outcomes]
        return "\n".join(map(shown, [self._summary(), *lines]))

    def _repr_html_(self) -> str:
        table = self.table.to_html(max_rows=50, escape=True, render_links=False)
        return f"<p>{escape(shown(self._summary()))}</p>{table}"

    def _summary(self) -> str:
        counts = Counter(o.what for o in self.outcomes)
        words = ", ".join(f"{count} {what}" for what, count in counts.items()) or "nothing"
        received = sum(o.received for o in self.outcomes)
        rate = f", {format_bytes(int(received / self.seconds))}/s" if received and self.seconds else ""
        ending = f" {self.quota}" if self.quota else ""
        return f"{words}: {format_bytes(received)} received in {self.seconds:.1f} s{rate}.{ending}"


class DownloadFailed(GeodesError):
    """Some products of a download did not arrive; all others are there."""

    def __init__(self, errors: dict[str, GeodesError], report: Report) -> None:
        self.errors, self.report = errors, report
        super().__init__(summed([str(e) for e in errors.values()], len(report.outcomes), "did not arrive"))
