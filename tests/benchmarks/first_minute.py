"""How long from the link to the first plot: what a person sees, step by step, in a real browser.

``python -m tests.benchmarks.first_minute`` starts the lab with the sample, opens the link, and runs notebook 01 until its first
plot is painted: once after the lab has started with a new browser (cold), and then with the same browser, after the person's server
was stopped (warm). One round takes one to two minutes; ``--only warm`` leaves out the steps of the cold way that the warm one does not
need. Beside the seconds, which mean little on a busy machine, it prints the CPU seconds of each step by who had them. It
leaves no process behind, however it ends.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import re
import signal
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


# Whose CPU seconds they are, by what is in the command.
WHO = {
    "kernels/geodes/kernel.py": "kernel",
    "singleuser": "server",
    "spawn_main": "cluster",
    "chrom": "browser",
    "": "hub, proxy, services",
}


class Meter:
    """CPU seconds of all processes below this one, by who had them; those of processes that have ended are kept."""

    def __init__(self) -> None:
        self._seen: dict[tuple[int, float], tuple[str, float]] = {}

    def read(self) -> dict[str, float]:
        """Return them up to now."""
        for process in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.Error):
                command, times = " ".join(process.cmdline()), process.cpu_times()
                who = next(name for part, name in WHO.items() if part in command)
                self._seen[process.pid, process.create_time()] = who, times.user + times.system
        total = dict.fromkeys(WHO.values(), 0.0)
        for who, seconds in self._seen.values():
            total[who] += seconds
        return total


class Waterfall:
    """Seconds since the link was opened, and CPU seconds of each step."""

    def __init__(self) -> None:
        self._meter = Meter()
        self._before = self._meter.read()
        self._began = time.perf_counter()
        self.ends: dict[str, float] = {}
        self.cpu: dict[str, dict[str, float]] = {}

    def end(self, step: str) -> None:
        """Note the end of a step."""
        self.ends[step] = time.perf_counter() - self._began
        now = self._meter.read()
        self.cpu[step] = {who: now[who] - self._before[who] for who in now}
        self._before = now


def visit(page: Page, lab: Lab, address: str) -> Waterfall:
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
    return steps


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


def enter(page: Page, address: str) -> None:
    """Log in and await the person's server, and stop it again: the browser has JupyterLab's files then."""
    page.goto(address, wait_until="commit")
    page.wait_for_selector("#jp-main-dock-panel", timeout=120_000)
    page.get_by_role("button", name="GEODES (Python · Dask) | Idle").wait_for(timeout=120_000)


def measure(datalake: str, only: str) -> tuple[float, dict[str, Waterfall]]:
    """Return the seconds until the link, and the waterfalls of both ways, or of one."""
    ways = {}
    with tempfile.TemporaryDirectory(prefix="first-minute-") as folder:
        began = time.perf_counter()
        with running(Path(folder) / "lab", datalake) as lab, chromium() as browser:
            started = time.perf_counter() - began
            page = browser.new_page(viewport={"width": 1366, "height": 768})
            if only == "warm":
                enter(page, lab.url)
            else:
                ways["cold"] = visit(page, lab, lab.url)
            if only != "cold":
                root = lab.url.split("/hub/")[0]
                stop_server(page, root)
                ways["warm"] = visit(page, lab, f"{root}/")
            return started, ways


def table(ways: list[Waterfall]) -> str:
    """Return the medians of several rounds, a row for each step."""
    rows = [
        f"| step | seconds | of it | CPU | {' | '.join(WHO.values())} |",
        "|---" * (4 + len(WHO)) + "|",
    ]
    former, whole = 0.0, dict.fromkeys(WHO.values(), 0.0)
    for step in STEPS:
        end = statistics.median(way.ends[step] for way in ways)
        cpu = {who: statistics.median(way.cpu[step][who] for way in ways) for who in whole}
        whole = {who: whole[who] + cpu[who] for who in whole}
        rows.append(_row(step, f"{end:.1f}", f"{end - former:.1f}", cpu))
        former = end
    return "\n".join([*rows, _row("together", f"{former:.1f}", "", whole)])


def _row(name: str, end: str, part: str, cpu: dict[str, float]) -> str:
    return f"| {name} | {end} | {part} | {sum(cpu.values()):.1f} | {' | '.join(f'{one:.1f}' for one in cpu.values())} |"


def _stop(*_: object) -> None:
    raise SystemExit("Stopped.")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3, help="how often (default: 3)")
    parser.add_argument(
        "--datalake", choices=["files", "s3"], default="s3", help="how the sample is read (default: s3)"
    )
    parser.add_argument("--only", choices=["cold", "warm"], default="", help="one of the two ways (default: both)")
    options = parser.parse_args()
    for name in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):  # so that lab and browser end too
        signal.signal(name, _stop)
    print(f"{os.cpu_count()} cores, Python {platform.python_version()}, {time.strftime('%Y-%m-%d')}, ", end="")
    print(f"medians of {options.rounds}; load before: {os.getloadavg()[0]:.1f}\n", flush=True)
    rounds = [measure(options.datalake, options.only) for _ in range(options.rounds)]
    print(f"the link after `make lab`: {statistics.median(r[0] for r in rounds):.1f} s (goal 5)")
    for name, goal in (("cold", COLD), ("warm", WARM)):
        if ways := [round_ways[name] for _, round_ways in rounds if name in round_ways]:
            print(f"\n{name}\n\n{table(ways)}")
            end = statistics.median(way.ends["plot"] for way in ways)
            print(f"\n{name}: {end:.1f} s, goal {goal:.0f}: {'met' if end <= goal else 'missed'}")


if __name__ == "__main__":
    main()
