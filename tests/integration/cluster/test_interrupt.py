"""What a scientist does to a computation that takes too long: each time the next one works, in a real kernel."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from tests.support.awaiting import awaited
from tests.support.kernels import Cell, LabKernel

# Each step leaves a file when it begins, so that the test knows that the cluster computes, and takes `seconds`.
STEPS = """
import dask.array as da, numpy as np, pathlib, time, uuid

def slow(folder, seconds, steps=8):
    def step(block):
        (pathlib.Path(folder) / uuid.uuid4().hex).touch()
        time.sleep(seconds)
        return block
    return da.ones(steps, chunks=1).map_blocks(step, meta=np.empty(0)).sum()
"""
QUICK = "float(da.ones(6, chunks=1).sum().compute())"


@pytest.fixture(scope="module")
def kernel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LabKernel]:
    one = LabKernel(tmp_path_factory.mktemp("running"))
    one(STEPS)
    yield one
    one.end()


def begun(kernel: LabKernel, folder: Path, seconds: float, steps: int = 8) -> Cell:
    """A cell that computes, once its first step has begun."""
    before = len(list(folder.iterdir()))
    cell = kernel.begin(f"slow({str(folder)!r}, {seconds}, {steps}).compute()")
    awaited(lambda: len(list(folder.iterdir())) > before, 120)
    return cell


@pytest.mark.parametrize("first", ["", "gl.attach()", "gl.attach(workers=1)"])
def test_computation_that_is_interrupted_ends_and_the_next_one_works(kernel, tmp_path, first):
    kernel("gl.clusters().stop()")
    kernel(first)
    cell = begun(kernel, tmp_path, seconds=2)
    worker = kernel.worker()
    kernel.interrupt()
    status, shown = cell.result()
    assert status == "error"
    assert shown.splitlines()[-1] == "Interrupted: the computation is cancelled, on the cluster too."
    assert "Traceback" not in shown, shown
    assert "File" not in shown, shown
    status, shown = kernel(QUICK)
    assert (status, shown.splitlines()[-1]) == ("ok", "6.0")
    assert worker.is_running(), "the same worker as before"
    assert os.getpgid(worker.pid) != os.getpgid(kernel.process.pid)
    steps = len(list(tmp_path.iterdir()))
    assert awaited(lambda: kernel("len(gl.attach().futures), len(gl.attach().cluster.scheduler.tasks)")[1] == "(0, 0)")
    assert awaited(lambda: kernel.clusters()[0].tasks == 0)
    assert len(list(tmp_path.iterdir())) == steps <= 4, "no other step has begun"


def test_interruption_while_the_first_cluster_starts(kernel):
    """It starts on, and the next computation has it."""
    kernel("gl.clusters().stop()")
    awaited(lambda: kernel.worker() is None)
    cell = kernel.begin(QUICK)
    awaited(kernel.worker, 120)  # Python itself starts there, which takes a second
    kernel.interrupt()
    status, shown = cell.result()
    assert (status, shown) == ("error", "Interrupted: the computation is cancelled, on the cluster too.")
    status, shown = kernel(QUICK)
    assert (status, shown.splitlines()[-1]) == ("ok", "6.0"), shown
    assert "Traceback" not in shown
    assert [c.workers for c in kernel.clusters()] == [1]


def test_worker_that_is_still_at_the_interrupted_step_is_started_anew(kernel, tmp_path):
    """Both threads of the worker are at steps that would take an hour."""
    kernel(QUICK)
    cell = begun(kernel, tmp_path, seconds=3600)
    kernel.interrupt()
    assert cell.result()[0] == "error"
    began = time.monotonic()
    status, shown = kernel(QUICK)
    assert (status, shown.splitlines()[-1]) == ("ok", "6.0"), shown
    assert time.monotonic() - began < 120
    assert "A worker was still busy with the interrupted computation, and had to restart." in shown


def test_results_that_are_held_outlive_an_interruption(kernel, tmp_path):
    kernel("held = da.ones(4, chunks=2).persist(); distributed = __import__('distributed'); distributed.wait(held)")
    cell = begun(kernel, tmp_path, seconds=2)
    kernel.interrupt()
    assert cell.result()[0] == "error"
    assert kernel("[f.status for f in distributed.futures_of(held)]") == ("ok", "['finished', 'finished']")
    assert kernel("float(held.sum().compute())")[1].endswith("4.0")
    kernel("del held")


def test_own_waiting_of_a_cell_that_is_interrupted_is_shown_as_ever(kernel, tmp_path):
    cell = kernel.begin(f"pathlib.Path({str(tmp_path / 'now')!r}).touch(); time.sleep(600)")
    awaited((tmp_path / "now").exists)
    kernel.interrupt()
    status, shown = cell.result()
    assert status == "error"
    assert "KeyboardInterrupt" in shown
    assert "time.sleep(600)" in shown


def test_worker_that_is_stopped_is_replaced_and_the_result_comes(kernel, tmp_path):
    cell = begun(kernel, tmp_path, seconds=0.5, steps=6)
    worker = kernel.worker()
    worker.suspend()
    status, shown = cell.result()
    assert (status, shown.splitlines()[-1]) == ("ok", "np.float64(6.0)"), shown
    assert "Worker 0 of your cluster was stopped from outside (SIGSTOP): another worker replaces it." in shown
    assert not worker.is_running()


@pytest.mark.slow  # as a worker that is stopped
def test_cluster_that_has_lost_its_nanny_has_workers_again_in_seconds(kernel, tmp_path):
    """What an interruption did: the worker says good-bye, its nanny ends, and nobody replaces them."""
    cell = begun(kernel, tmp_path, seconds=0.5, steps=6)
    kernel.worker().send_signal(signal.SIGINT)
    status, shown = cell.result()
    assert (status, shown.splitlines()[-1]) == ("ok", "np.float64(6.0)"), shown
    assert "Your cluster has lost workers: other workers replace them." in shown


@pytest.mark.parametrize("now", [False, True])
def test_restart_in_the_middle_leaves_nothing_and_the_next_session_attaches(kernel, tmp_path, now):
    kernel(STEPS)
    begun(kernel, tmp_path, seconds=3600)
    family = [p for p in kernel.family() if p.pid != kernel.process.pid]
    before = kernel.process
    if now:
        kernel.worker().suspend()  # it does not see that its kernel is gone
    kernel.restart(now)
    _, alive = psutil.wait_procs([before, *family], timeout=30)
    assert alive == []
    assert kernel.clusters() == []
    kernel(STEPS)
    status, shown = kernel(QUICK)
    assert (status, shown.splitlines()[-1]) == ("ok", "6.0"), shown
    assert len(kernel.clusters()) == 1


@pytest.mark.slow  # sleeps for longer than TCP's time-outs
def test_laptop_that_slept_goes_on_where_it_was(tmp_path):
    """All processes are stopped for longer than any timeout; nothing is lost, and the same worker goes on."""
    slept = LabKernel(
        tmp_path / "running",
        DASK_DISTRIBUTED__SCHEDULER__WORKER_TTL="8s",
        DASK_DISTRIBUTED__COMM__TIMEOUTS__TCP="11s",  # the least that distributed takes
        DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT="11s",
        DASK_GEODES_LAB__CLUSTER__IDLE="11s",
    )
    try:
        slept(f"{STEPS}\n{QUICK}")
        slept("held = da.ones(4, chunks=2).persist(); distributed = __import__('distributed'); distributed.wait(held)")
        (folder := tmp_path / "steps").mkdir()
        cell = begun(slept, folder, seconds=0.5, steps=12)
        worker, family = slept.worker(), slept.family()
        for process in reversed(family):
            process.suspend()
        time.sleep(12)  # it is the clock that tells how long it was
        for process in family:
            process.resume()
        status, shown = cell.result()
        assert (status, shown.splitlines()[-1]) == ("ok", "np.float64(12.0)"), shown
        assert slept("[f.status for f in distributed.futures_of(held)]")[1] == "['finished', 'finished']"
        assert worker.is_running()
        assert [c.workers for c in slept.clusters()] == [1]
    finally:
        slept.end()
