"""How long from the link to the first plot: what a person sees, step by step, in a real browser.

``python -m tests.benchmarks.first_minute`` starts the lab with the sample, opens the link, and runs notebook 01 until its first
plot is painted: once after the lab has started with a new browser (cold), and then with the same browser, after the person's server
was stopped (warm).
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
from playwright.sync_api import Page

from geodes_lab.sample import build, edition
from hub.lab import Lab
from tests.support.browser import chromium
from tests.support.paths import TOP

NOTEBOOK = "01_ndvi_cube"
COLD, WARM = 25.0, 15.0  # seconds, the goals
STEPS = ("server", "JupyterLab", "notebook", "kernel", "cluster", "products", "cube", "plot")


class Waterfall:
    """Seconds since the link was opened, at the end of each step."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self.ends: dict[str, float] = {}

    def end(self, step: str) -> None:
        """Note the end of a step."""
        self.ends[step] = time.perf_counter() - self._began


def visit(page: Page, lab: Lab, address: str) -> dict[str, float]:
    """Go from an address to the first plot of the notebook, as a person does who runs all cells."""
    steps = Waterfall()
    page.goto(address, wait_until="commit")
    page.wait_for_url(re.compile(r"/user/[^/]+/lab"), timeout=120_000, wait_until="commit")
    steps.end("server")
    page.wait_for_selector("#jp-main-dock-panel", timeout=120_000)
    steps.end("JupyterLab")
    if NOTEBOOK not in page.url:
        raise SystemExit(f"The first page is {page.url}, not the notebook {NOTEBOOK}.")
    page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell .cm-content", timeout=120_000)
    steps.end("notebook")
    page.get_by_role("button", name="GEODES (Python · Dask) | Idle").wait_for(timeout=120_000)
    steps.end("kernel")
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    prompts = page.locator(".jp-NotebookPanel .jp-CodeCell .jp-InputArea-prompt")
    for cell, step in ((1, "cluster"), (2, "products"), (4, "cube")):
        prompts.get_by_text(f"[{cell}]:", exact=True).wait_for(state="attached", timeout=60_000)
        steps.end(step)
    plot = page.locator(".bk-Figure").first
    plot.wait_for(timeout=120_000)
    _painted(page)
    steps.end("plot")
    return steps.ends


def _painted(page: Page) -> None:
    """Await the pixels of the first plot, whose canvas is inside bokeh's shadow roots."""
    page.wait_for_function(
        """() => {
            const all = root => [...root.querySelectorAll('*')].flatMap(e => [e, ...(e.shadowRoot ? all(e.shadowRoot) : [])]);
            return all(document).filter(e => e.tagName === 'CANVAS' && e.width > 50).some(canvas => {
                const pixels = canvas.getContext('2d')?.getImageData(0, 0, canvas.width, canvas.height).data ?? [];
                const colours = new Set();
                for (let i = 0; i < pixels.length && colours.size < 300; i += 4 * 97)
                    colours.add(pixels[i] << 16 | pixels[i + 1] << 8 | pixels[i + 2]);
                return colours.size >= 300;
            });
        }""",
        timeout=120_000,
        polling=100,
    )


@contextmanager
def running(state: Path, datalake: str) -> Iterator[Lab]:
    """Run the lab with the sample of the benchmarks."""
    sample = TOP / "build" / "bench" / "sample"
    if not edition.is_complete(sample):
        build.write(sample)
    with Lab(state, datalake=datalake, sample=sample) as lab:
        yield lab


def stop_server(page: Page, root: str) -> None:
    """Stop the person's server by the hub's own page, and await its end."""
    page.goto(f"{root}/hub/home")
    page.locator("#stop").click()
    page.locator("#start").filter(has_text=re.compile("start", re.IGNORECASE)).wait_for(timeout=120_000)


def measure(datalake: str) -> tuple[float, dict[str, float], dict[str, float], float]:
    """Return the seconds until the link, both waterfalls, and the CPU seconds of all processes of the cold one."""
    with tempfile.TemporaryDirectory(prefix="first-minute-") as folder:
        began = time.perf_counter()
        with running(Path(folder) / "lab", datalake) as lab, chromium() as browser:
            started = time.perf_counter() - began
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            before = _cpu()
            cold = visit(page, lab, lab.url)
            spent = _cpu() - before
            root = lab.url.split("/hub/")[0]
            stop_server(page, root)
            warm = visit(page, lab, f"{root}/")
            return started, cold, warm, spent


def _cpu() -> float:
    times = [p.cpu_times() for p in (psutil.Process(), *psutil.Process().children(recursive=True))]
    return sum(t.user + t.system + t.children_user + t.children_system for t in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often (default: 3)")
    parser.add_argument(
        "--datalake", choices=["files", "s3"], default="s3", help="how the sample is read (default: s3)"
    )
    options = parser.parse_args()
    print(
        f"{os.cpu_count()} cores, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}, medians of {options.rounds}\n"
    )
    rounds = [measure(options.datalake) for _ in range(options.rounds)]
    print(f"the link after `make lab`: {statistics.median(r[0] for r in rounds):.1f} s (goal 5)")
    print(f"CPU of a cold way, browser and cluster included: {statistics.median(r[3] for r in rounds):.1f} s\n")
    print("| step | cold, s | of it | warm, s | of it |\n|---|---|---|---|---|")
    ways = [{step: statistics.median(r[way][step] for r in rounds) for step in STEPS} for way in (1, 2)]
    former = {0: 0.0, 1: 0.0}
    for step in STEPS:
        cells = []
        for index, way in enumerate(ways):
            cells += [f"{way[step]:.1f}", f"{way[step] - former[index]:.1f}"]
            former[index] = way[step]
        print(f"| {step} | {' | '.join(cells)} |")
    for name, way, goal in (("cold", ways[0], COLD), ("warm", ways[1], WARM)):
        print(f"\n{name}: {way['plot']:.1f} s, goal {goal:.0f}: {'met' if way['plot'] <= goal else 'missed'}")


if __name__ == "__main__":
    main()
