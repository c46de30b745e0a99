"""The lab's kernel and its Dask cluster: there at first use, the user's own, gone with the kernel."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager

import geodes_lab as gl
from geodes_lab.cluster import size
from tests.support.awaiting import awaited
from tests.support.paths import TOP

SPECS = KernelSpecManager(kernel_dirs=[str(TOP / "kernels")])


@pytest.fixture(scope="module")
def kernel(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[KernelManager]:
    manager = KernelManager(kernel_name="geodes", kernel_spec_manager=SPECS)
    env = {
        **os.environ,
        "JUPYTERHUB_SERVICE_PREFIX": "/user/ada/",
        "HOLOVIEWSRC": str(TOP / "kernels" / "geodes" / "holoviewsrc.py"),
        "PANEL_INLINE": "true",
        "DASK_GEODES_LAB__CLUSTER__FOLDER": str(tmp_path_factory.mktemp("running")),
        "CPU_LIMIT": "1",
        "MEM_LIMIT": str(2 * 2**30),
        "DASK_GEODES_LAB__CATALOG__PROFILES__LOCAL__URL": str(sample / "catalog" / "catalog.json"),
        "DASK_GEODES_LAB__DATALAKE__MIRROR": str(sample / "datalake"),
    }
    manager.start_kernel(env=env)
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module")
def run(kernel: KernelManager) -> Iterator[object]:
    client = kernel.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=60)

    def execute(code: str) -> tuple[str, str]:
        """Run code; give its status and all that a person would read."""
        shown: list[str] = []

        def collect(message: dict[str, object]) -> None:
            content = message["content"]
            if message["msg_type"] == "stream":
                shown.append(content["text"])
            elif message["msg_type"] == "error":
                shown.extend(content["traceback"])
            elif message["msg_type"] in ("execute_result", "display_data"):
                shown.append(content["data"].get("text/plain", ""))

        reply = client.execute_interactive(code, timeout=120, output_hook=collect)
        return reply["content"]["status"], "\n".join(shown)

    yield execute
    client.stop_channels()


def test_gl_is_there_and_nothing_heavy_yet(run):
    status, shown = run(
        "import sys; [m for m in ('xarray', 'distributed', 'rasterio', 'holoviews') if m in sys.modules]"
    )
    assert (status, shown) == ("ok", "[]")
    assert run("gl.__version__") == ("ok", "'0.1.0'")


def test_our_errors_are_one_sentence(run):
    status, shown = run("gl.search('PEPS_S2_L1D')")
    assert status == "error"
    assert "did you mean 'PEPS_S2_L1C'?" in shown
    assert "Traceback" not in shown
    assert "catalog.py" not in shown
    status, shown = run("1 / 0")
    assert "Traceback" in shown, "errors of others are shown as ever"


def test_cluster_is_there_at_first_use_and_is_the_users_own(run):
    run("items = gl.search('PEPS_S2_L1C', datetime='2021-06-05')")
    run("cube = gl.open_cube(items, bands=['red'], bbox=(1.80, 43.58, 1.82, 43.60))")
    status, shown = run("float(cube.red.mean())")
    assert status == "ok", shown
    assert 0.02 < float(shown.splitlines()[-1]) < 0.4  # there may be a bar above
    status, shown = run("import distributed; c = distributed.default_client(); c.scheduler.address, c.dashboard_link")
    assert status == "ok", shown
    assert "tls://127.0.0.1" in shown
    assert "'/user/ada/proxy/" in shown
    assert run("gl.attach() is c") == ("ok", "True")
    assert run("sum(w['memory_limit'] for w in c.scheduler_info()['workers'].values()) <= 1.25 * 2**30") == (
        "ok",
        "True",
    )
    assert run("sum(w['nthreads'] for w in c.scheduler_info()['workers'].values())") == ("ok", "1")


@pytest.mark.attack
def test_stranger_cannot_use_the_cluster(run):
    """Another process on this machine, without the keys of the cluster."""
    _, shown = run("c.scheduler.address")
    address = shown.strip("'")
    for protocol, security in (("tcp", "None"), ("tls", "distributed.Security.temporary()")):
        stranger = (
            "import sys, distributed; "
            f"client = distributed.Client('{protocol}://{address.removeprefix('tls://')}', timeout=4, security={security}); "
            "client.submit(len, 'x').result()"
        )
        refused = subprocess.run([sys.executable, "-c", stranger], capture_output=True, text=True, timeout=60)
        assert refused.returncode != 0
        assert "reset by peer" in refused.stderr or "certificate does not match" in refused.stderr, (
            "it tried, and was refused"
        )


def test_error_on_a_worker_is_one_sentence(run, altered):
    broken = altered(lambda n, d: d[: len(d) // 2] if "IMG_DATA" in n and n.endswith("_B04.jp2") else d)
    status, shown = run(f"gl.open_cube(['{broken}'], bands=['red']).red.mean().compute()")
    assert status == "error"
    assert "Band B04 of S2A_MSIL1C_20210605T105031" in shown
    assert "Traceback" not in shown
    assert "Compute Failed" not in shown


def test_long_computation_has_a_bar_that_leaves_nothing_behind(kernel, run):
    drawn: list[dict[str, str]] = []
    client = kernel.blocking_client()
    client.start_channels()

    def collect(message: dict[str, object]) -> None:
        if message["msg_type"] in ("display_data", "update_display_data"):
            drawn.append(message["content"]["data"])

    code = (
        "import dask.array as da, time; da.ones(4, chunks=1).map_blocks(lambda b: time.sleep(1.2) or b).sum().compute()"
    )
    client.execute_interactive(code, timeout=60, output_hook=collect)
    awaited(
        lambda: (
            (drawn and drawn[-1]["text/plain"] == "") or client.execute_interactive("1", output_hook=collect) is None
        )
    )
    client.stop_channels()
    assert "<progress" in drawn[0]["text/html"]
    assert any("of 4" in d["text/plain"] or " of " in d["text/plain"] for d in drawn), "it says how far it is"
    assert drawn[-1]["text/html"] == ""


def test_plot_renders_without_the_internet(run):
    status, shown = run(
        "p = gl.plot.image(cube.red, clim=(0, 0.3)); from IPython.display import display; display(p); type(p).__name__"
    )
    assert status == "ok", shown
    assert "DynamicMap" in shown


def test_nothing_stays_when_the_kernel_ends(kernel, run):
    process = psutil.Process(kernel.provisioner.pid)
    family = [process, *process.children(recursive=True)]
    assert len(family) > 1, "the cluster's workers are processes"
    kernel.shutdown_kernel(now=False)
    _, alive = psutil.wait_procs(family, timeout=20)
    assert alive == []


def test_import_is_light():
    code = (
        "import sys, geodes_lab; "
        "print(sorted({m.split('.')[0] for m in sys.modules} & {'numpy', 'dask', 'xarray', 'rasterio', 'pystac', 'bokeh'}))"
    )
    assert subprocess.check_output([sys.executable, "-c", code], text=True).strip() == "[]"


def test_shelf_has_what_it_says():
    assert all(getattr(gl, name) is not None for name in gl.__all__)
    assert set(gl.__all__) <= set(dir(gl))
    with pytest.raises(
        AttributeError,
        match="it has GeodesError, altimetry, attach, availability, backscatter, biophysical, clusters, coherence_series, collections",
    ):
        gl.open_cubes  # noqa: B018


def test_kernelspec_names_no_path():
    spec = json.loads((TOP / "kernels" / "geodes" / "kernel.json").read_text())
    assert spec["display_name"] == "GEODES (Python · Dask)"
    assert spec["argv"][0] == "python"
    assert not any(a.startswith("/") for a in spec["argv"])


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        ({"CPU_LIMIT": "8", "MEM_LIMIT": "10737418240"}, (2, 4)),
        ({"CPU_LIMIT": "0.5", "MEM_LIMIT": "1073741824"}, (1, 1)),
        ({"CPU_LIMIT": "5"}, (2, 2)),
    ],
)
def test_size_follows_the_profile(monkeypatch, limits, expected):
    import dask.system

    monkeypatch.setattr(dask.system, "CPU_COUNT", 16)
    monkeypatch.setattr(size, "machine", lambda: 64 * 2**30)
    monkeypatch.delenv("CPU_LIMIT", raising=False)
    monkeypatch.delenv("MEM_LIMIT", raising=False)
    for name, value in limits.items():
        monkeypatch.setenv(name, value)
    found = size.size()
    workers, threads, memory = found.count, found.threads, found.memory
    assert (workers, threads) == expected
    assert workers * memory <= 0.61 * int(limits.get("MEM_LIMIT", 64 * 2**30))


def test_the_machines_memory_is_what_distributed_finds():
    import distributed.system

    assert size.machine() == distributed.system.memory_limit()


@pytest.mark.parametrize("wrong", [{"memory": "much"}, {"memory": "900GiB"}, {"cores": 0.2}, {"memory": "1MiB"}])
def test_sizes_without_meaning_are_refused(wrong):
    import dask

    with dask.config.set({f"geodes_lab.cluster.{k}": v for k, v in wrong.items()}), pytest.raises(gl.GeodesError):
        size.size()


def test_kernel_that_was_killed_for_its_memory_says_so_when_it_is_there_again(tmp_path):
    manager = KernelManager(kernel_name="geodes", kernel_spec_manager=SPECS)
    limit = str(400 * 2**20)
    manager.start_kernel(env={**os.environ, "MEM_LIMIT": limit, "DASK_GEODES_LAB__CLUSTER__FOLDER": str(tmp_path)})
    try:
        client = manager.blocking_client()
        client.start_channels()
        client.wait_for_ready(timeout=60)
        assert shown(client, "1") == "1", "nothing is said of a kernel that is the first"
        client.execute_interactive("held = bytearray(b'x') * (360 * 2**20)", timeout=60)
        note = next((tmp_path / "kernels").glob("*.json"))
        awaited(lambda: json.loads(note.read_text())["own"] > 360 * 2**20)
        process = psutil.Process(manager.provisioner.pid)
        process.kill()  # as the system does
        process.wait(10)
        manager.restart_kernel(now=True)
        client.wait_for_ready(timeout=60)
        said = shown(client, "2")
        assert said.startswith("The kernel was killed because it used too much memory: 4")
        assert ", of 400 MiB. Its variables are lost." in said
        assert shown(client, "3") == "3", "it is said once"
        manager.restart_kernel(now=False)  # the user's own wish
        client.wait_for_ready(timeout=60)
        assert shown(client, "4") == "4"
    finally:
        manager.shutdown_kernel(now=True)


def shown(client: object, code: str) -> str:
    """All that a person would read below a cell."""
    found: list[str] = []

    def collect(message: dict[str, object]) -> None:
        content = message["content"]
        found.append(content.get("text") or content.get("data", {}).get("text/plain", ""))

    client.execute_interactive(code, timeout=60, output_hook=collect)
    return "".join(found)
