"""How long a person waits: import, kernel, cluster, hub; ours beside the bare thing, in one run.

``make bench`` prints ratios; an absolute time on a shared machine means little.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager

from geodes_lab.sample import build, edition
from tests.support.paths import TOP

REPEATS = 7


def kernel(name: str) -> float:
    """Seconds from starting a kernel to its first result."""
    folders = [str(TOP / "kernels"), str(Path(sys.prefix) / "share" / "jupyter" / "kernels")]
    manager = KernelManager(kernel_name=name, kernel_spec_manager=KernelSpecManager(kernel_dirs=folders))
    began = time.perf_counter()
    manager.start_kernel(stderr=subprocess.DEVNULL)
    client = manager.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    client.execute_interactive("1 + 1", timeout=60, output_hook=lambda _: None)
    took = time.perf_counter() - began
    client.stop_channels()
    manager.shutdown_kernel(now=True)
    return took


def script(code: str) -> float:
    """Seconds that the code says it took, in a fresh process."""
    timed = f"import time; began = time.perf_counter()\n{code}\nprint(time.perf_counter() - began)"
    return float(subprocess.check_output([sys.executable, "-c", timed], text=True, env=os.environ).split()[-1])


def cluster(ours: bool) -> float:
    """Seconds to a cluster that has computed something; imports are not counted."""
    start = (
        "attach()" if ours else "Client(LocalCluster(security=True, n_workers=w, threads_per_worker=t, memory_limit=m))"
    )
    code = (
        "import logging, time\n"
        "from distributed import Client, LocalCluster\n"
        "from geodes_lab.cluster import attach\nfrom geodes_lab.cluster.size import size\n"
        "if __name__ == '__main__':\n"
        "    s = size(); w, t, m = s.count, s.threads, s.memory\n"
        "    began = time.perf_counter()\n"
        f"    client = {start}\n"
        "    client.submit(abs, -1).result()\n"
        "    print(time.perf_counter() - began)\n"
        "    client.shutdown()\n"
    )
    path = TOP / "build" / "bench_cluster.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(code)
    return float(subprocess.check_output([sys.executable, str(path)], text=True, stderr=subprocess.DEVNULL).split()[0])


def computing(ours: bool) -> float:
    """Seconds for a computation of an unchanged cube, the second time, when the cluster and what it keeps are warm."""
    folder = TOP / "build" / "bench" / "sample"
    if not edition.is_complete(folder):
        build.write(folder)
    start = (
        "attach()" if ours else "Client(LocalCluster(security=True, n_workers=w, threads_per_worker=t, memory_limit=m))"
    )
    code = (
        "import time, dask, geodes_lab as gl\n"
        "from distributed import Client, LocalCluster\n"
        "from geodes_lab.cluster import attach\n"
        "from geodes_lab.cluster.size import size\n"
        "if __name__ == '__main__':\n"
        f"    dask.config.set({{'geodes_lab.catalog.profiles.local.url': {str(folder / 'catalog' / 'catalog.json')!r},\n"
        f"        'geodes_lab.datalake.mirror': {str(folder / 'datalake')!r}}})\n"
        "    s = size(); w, t, m = s.count, s.threads, s.memory\n"
        f"    client = {start}\n"
        "    cube = gl.open_cube(gl.search('PEPS_S2_L1C'), bands=['red', 'nir'])\n"
        "    ndvi = ((cube.nir - cube.red) / (cube.nir + cube.red)).mean('time')\n"
        "    times = []\n"
        "    for _ in range(4):\n"
        "        began = time.perf_counter(); ndvi.compute(); times.append(time.perf_counter() - began)\n"
        "    print(min(times[1:]))\n"
        "    client.shutdown()\n"
    )
    path = TOP / "build" / "bench_computing.py"
    path.write_text(code)
    return float(subprocess.check_output([sys.executable, str(path)], text=True, stderr=subprocess.DEVNULL).split()[0])


def compare(what: str, ours: Callable[[], float], bare: Callable[[], float], target: str) -> None:
    """Run both in turn, so that a busy moment of the machine meets both, and print medians and their ratio."""
    pairs = [(ours(), bare()) for _ in range(REPEATS)]
    mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    print(f"| {what} | {mine:.2f} s | {other:.2f} s | {mine / other:.2f} | {target} |", flush=True)


def main() -> None:
    print(f"median of {REPEATS} runs in turn, {os.cpu_count()} cores, Python {sys.version.split()[0]}\n")
    print("| what | ours | bare | ratio | target |\n|---|---|---|---|---|")
    compare("kernel to first result, beside ipykernel", lambda: kernel("geodes"), lambda: kernel("python3"), "≤ 1.5")
    compare("gl.attach(), beside LocalCluster(security=True)", lambda: cluster(True), lambda: cluster(False), "≤ 1.5")
    compare("a cube computed by it, beside a bare client", lambda: computing(True), lambda: computing(False), "≤ 1.05")
    compare(
        "import geodes_lab, beside import numpy",
        lambda: script("import geodes_lab"),
        lambda: script("import numpy"),
        "< 0.5 s",
    )


if __name__ == "__main__":
    main()
