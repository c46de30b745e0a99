"""A cluster whose workers are jobs of a real SLURM, with its real commands, daemons and refusals."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from pathlib import Path

import cloudpickle
import dask
import numpy as np
import psutil
import pytest

import geodes_lab as gl
from geodes_lab.cluster import attached, worker_watch
from geodes_lab.cluster.places import slurm as ours
from geodes_lab.environments.overlay import Overlay
from geodes_lab.util import ownership
from tests.cluster.test_local_cluster import Kernel
from tests.environments.test_overlay import wheel
from tests.support.awaiting import awaited
from tests.support.hub.slurming import needs_slurm, slurm
from tests.support.own_software import OwnPython

pytestmark = needs_slurm
cloudpickle.register_pickle_by_value(sys.modules[__name__])  # the jobs do not know this file

SAID = {
    "queue": "lab", "account": None, "walltime": "00:10:00", "cores": 1, "memory": "1GiB", "jobs": 1, "most": 2, "interface": "lo",
    "host": None, "python": None, "directives": [], "prologue": [], "spill": "/tmp",
}  # fmt: skip


@pytest.fixture(scope="module")
def queue(tmp_path_factory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("slurm")
    with slurm(folder) as config:
        yield config


@pytest.fixture
def place(queue, monkeypatch, tmp_path) -> Iterator[dict[str, object]]:
    monkeypatch.setenv("SLURM_CONF", str(queue))
    said = {**SAID, "folder": str(tmp_path / "keys")}
    with dask.config.set({"geodes_lab.cluster.place": None, "geodes_lab.cluster.slurm": said}):
        yield said
        if attached._keeper is not None:
            attached._keeper.close()
        awaited(lambda: jobs() == [], 180)


def jobs() -> list[str]:
    told = subprocess.run(["squeue", "-h", "-n", "geodes-lab", "-o", "%T"], capture_output=True, text=True, timeout=20)
    return [s for s in told.stdout.split() if s != "COMPLETING"]


def test_workers_are_jobs_and_end_with_the_cluster(place, sample, on_disk, tmp_path):
    client = gl.attach()
    assert client.submit(os.getenv, "SLURM_JOB_NAME").result(90) == "geodes-lab"
    assert client.scheduler.address.startswith("tls://127.0.0.1:")
    assert jobs() == ["RUNNING"]
    # the list is as fresh as the keeper's last tick, a second at most
    awaited(lambda: [(one.place, one.workers, one.threads) for one in gl.clusters()] == [("slurm", 1, 1)], 10)
    assert gl.attach() is client
    cube = gl.open_cube(gl.search("PEPS_S2_L1C", datetime="2021-06-05"), bands=["red"], bbox=(1.80, 43.58, 1.82, 43.60))
    with dask.config.set({"scheduler": "synchronous"}):
        expected = cube.red.values
    assert np.array_equal(client.compute(cube.red.data).result(90), expected, equal_nan=True)
    assert gl.attach(workers=2) is client
    awaited(lambda: len(client.scheduler_info()["workers"]) == 2, 90)
    (keys,) = (p for p in (tmp_path / "keys").iterdir() if p.name != "logs")
    assert keys.stat().st_mode & 0o077 == 0
    assert list(keys.iterdir())
    script = client.cluster.job_script()
    assert "BEGIN" not in script
    # What does not fit into their memory is in a folder that nobody could take before them, and nobody else looks into.
    spills = client.run(lambda dask_worker: dask_worker.local_directory)
    folders = {
        Path(s).parents[1] if Path(s).parent.name == "dask-scratch-space" else Path(s).parent for s in spills.values()
    }
    assert len(folders) == 2
    assert all(re.fullmatch(r"/tmp/geodes-lab-\d+-\w{10}", str(f)) and not ownership.private(f) for f in folders), (
        folders
    )
    gl.clusters().stop()
    awaited(lambda: jobs() == [], 180)
    assert not keys.exists()
    awaited(lambda: not any(f.exists() for f in folders), 30)


@pytest.fixture
def overlay(tmp_path, monkeypatch) -> Overlay:
    """An environment of the person's, with a package that is nowhere else."""
    (tmp_path / "home" / "running").mkdir(parents=True, mode=0o700)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    overlay = Overlay.named("default").make()
    overlay.install([str(wheel(tmp_path, "tinystorms", "1.0"))])
    return overlay


def variables(place: dict[str, object]) -> dict[str, str]:
    """The settings as a process gets them."""
    named = {f"DASK_GEODES_LAB__CLUSTER__SLURM__{k.upper()}": str(v) for k, v in place.items() if v}
    return {**named, "DASK_GEODES_LAB__CLUSTER__PLACE": "slurm"}


def test_jobs_have_the_person_s_own_packages(place, overlay):
    with OwnPython(Path.home(), overlay, **variables(place)) as run:
        run("import geodes_lab as gl, tinystorms; client = gl.attach(workers=1); print('ready')")
        task = "lambda: [__import__('tinystorms').__file__, __import__('os').environ['SLURM_JOB_NAME']]"
        file, name = eval(run(f"print(client.submit({task}).result())"))
        assert Path(file).is_relative_to(overlay.packages), "the same files"
        assert name == "geodes-lab"


@pytest.mark.parametrize("unseen", ["environment", "logs"])
def test_folder_that_nodes_do_not_see_is_said(place, overlay, unseen, monkeypatch, capsys):
    monkeypatch.setattr(worker_watch, "_WAITING", 3)
    other = (
        {"python": str(overlay.python), "prologue": [f"mv {overlay.folder} {overlay.folder}-not-here"]}
        if unseen == "environment"
        else {"directives": ["--output=/not/here/%j.log"]}
    )
    with dask.config.set({"geodes_lab.cluster.slurm": {**place, **other}}):
        future = gl.attach(workers=1).submit(abs, -1)
        said = awaited(lambda: capsys.readouterr().err, 120)
        del future
    assert "Your cluster has no worker. The nodes of the queue" in said
    if unseen == "environment":
        assert f"do not see the Python of this kernel, {overlay.python}: your own packages need a folder" in said
    else:
        assert f"cannot write into {place['folder']}: set geodes_lab.cluster.slurm.folder" in said


# Of the long ones: the queue looks for jobs that are gone every some seconds.
@pytest.mark.slow
def test_jobs_end_when_the_kernel_is_killed(place, tmp_path):
    said = {
        f"DASK_GEODES_LAB__CLUSTER__SLURM__{k.upper()}": str(v)
        for k, v in place.items()
        if v and not isinstance(v, list)
    }
    kernel = Kernel(tmp_path, **said, DASK_GEODES_LAB__CLUSTER__PLACE="slurm")
    assert kernel("gl.attach().submit(abs, -1).result()") == "1"
    assert jobs() == ["RUNNING"]
    handler = "(lambda s: s.getsignal(s.SIGINT) is s.default_int_handler)(__import__('signal'))"
    assert kernel(handler) == "True", "dask-jobqueue's own would end Python where a person interrupts"
    psutil.Process(kernel.process.pid).kill()
    kernel.process.wait()
    awaited(lambda: jobs() == [], 90)


@pytest.mark.slow  # as on a local cluster
def test_computation_that_is_interrupted_frees_the_job_that_is_at_it(place, tmp_path):
    """Its steps would take an hour."""
    (begun := tmp_path / "begun").mkdir()

    def step(block: np.ndarray) -> np.ndarray:
        (begun / uuid.uuid4().hex).touch()
        time.sleep(3600)
        return block

    def interrupt() -> None:
        awaited(lambda: list(begun.iterdir()), 120)
        os.kill(os.getpid(), signal.SIGINT)

    client = gl.attach()
    threading.Thread(target=interrupt).start()
    with pytest.raises(KeyboardInterrupt):
        client.get({"x": (step, np.ones(1))}, "x")
    assert gl.attach() is client
    assert client.submit(abs, -1).result(120) == 1
    assert jobs() == ["RUNNING"]


def test_cap_counts_the_jobs_of_all_kernels(place):
    with pytest.raises(
        gl.GeodesError,
        match=r"3 workers are too many: the limit is 2 at once .* and 0 of yours are already in the queue",
    ):
        gl.attach(workers=3)
    client = gl.attach(workers=1)
    client.wait_for_workers(1, timeout=90)
    with pytest.raises(gl.GeodesError, match="the limit is 2 at once"):
        ours._most(2, place)
    assert ours._most(2, place, of_this=1) == 2


def test_refusal_of_the_queue_is_one_sentence(place):
    for change, said in (
        ({"queue": "nowhere"}, "invalid partition"),
        ({"memory": "900GiB"}, "SLURM refuses the workers"),
    ):
        with (
            dask.config.set({"geodes_lab.cluster.slurm": {**place, **change}}),
            pytest.raises(gl.GeodesError, match=said) as caught,
        ):
            gl.attach()
        assert "check geodes_lab.cluster.slurm" in str(caught.value)
    assert jobs() == []


def test_python_with_other_software_is_refused_before_a_job(place, tmp_path):
    bare = tmp_path / "bare" / "bin" / "python"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "bare")], check=True)
    with (
        dask.config.set({"geodes_lab.cluster.slurm": {**place, "python": str(bare)}}),
        pytest.raises(gl.GeodesError, match="dask not at all where this kernel has"),
    ):
        gl.attach()
    with (
        dask.config.set({"geodes_lab.cluster.slurm": {**place, "python": "/no/python"}}),
        pytest.raises(gl.GeodesError, match="does not run here"),
    ):
        gl.attach()
    assert jobs() == []


def test_machine_without_slurm_is_said(place, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("PATH", "/nowhere")
        assert not ours.is_there()
        with pytest.raises(gl.GeodesError, match="This machine has no sbatch"):
            gl.attach(place="slurm")
