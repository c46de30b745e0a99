"""What was measured, and whether it is what is wanted."""

from __future__ import annotations

import sys

import numpy as np


class Table:
    """All that was measured, by row: seconds and CPU-seconds of every run."""

    def __init__(self) -> None:
        self.rows: dict[str, list[tuple[float, float]]] = {}
        self.ratios: dict[str, list[float]] = {}
        self.zipped: dict[int, float] = {}
        """CPU-seconds of TiTiler on the zip for the screens, by their seed."""

    def add(self, row: str, *measured: tuple[float, float]) -> None:
        """Add measurements, and say them: whoever stops the benchmark has them."""
        self.rows.setdefault(row, []).extend(measured)
        print(f"# {row}: {', '.join(f'{s:.2f}' for s, _ in measured)} s", file=sys.stderr, flush=True)

    def show(self, goals: dict[str, float], wanted: dict[str, tuple[str, float]]) -> None:
        """Print each row with its goal; the last word is whether it is met."""
        print("| | number | s, median | s, p95 | CPU-s, median | goal, p95 | |\n|---|---|---|---|---|---|---|")
        for row, several in self.rows.items():
            seconds, cpu = np.array(several).T
            late = float(np.percentile(seconds, 95))
            goal = next((g for start, g in goals.items() if row.startswith(start)), None)
            told = f"≤ {goal:.1f} s | {'met' if late <= goal else 'missed'}" if goal else " | "
            middle = float(np.median(cpu))
            middles = f"{np.median(seconds):.2f} | {late:.2f} | {'' if np.isnan(middle) else f'{middle:.2f}'}"
            print(f"| {row} | {len(several)} | {middles} | {told} |")
        print("\n| | of each run | median | wanted | |\n|---|---|---|---|---|")
        for row, ratios in self.ratios.items():
            middle = float(np.median(ratios))
            sign, limit = wanted.get(row, ("", 0.0))
            is_met = middle >= limit if sign == "≥" else middle <= limit
            each = ", ".join(f"{r:.2f}" for r in ratios)
            told = f"{sign} {limit:g} | {'met' if is_met else 'missed'}" if sign else " | "
            print(f"| {row} | {each} | {middle:.2f} | {told} |")
