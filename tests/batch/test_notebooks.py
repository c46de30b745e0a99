"""Notebooks without a person: parameters, a job from beginning to end, and what goes wrong on the way."""

from __future__ import annotations

import errno
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import psutil
import pytest
from click.testing import CliRunner
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

import geodes_lab as gl
from geodes_lab.batch import own_code, places
from geodes_lab.batch.job import JobFailed
from geodes_lab.batch.notebooks import document, execution, parameters, submission
from geodes_lab.batch.running.runner import Runner
from geodes_lab.batch.running.workers import Here
from geodes_lab.cli import main
from geodes_lab.errors import GeodesError
from tests.support.awaiting import awaited

DEFAULTS = """tile = "31TCJ"  # of MGRS
cloud: int = 20
share = 0.5
bands = ["red", "nir"]
near: float | None = None
also = None
sure = True
where = {"west": 1.0}
late = cloud * 2"""


def notebook(folder: Path, *cells: str, defaults: str | None = DEFAULTS, name: str = "floods.ipynb") -> Path:
    first = [] if defaults is None else [new_code_cell(defaults, metadata={"tags": ["parameters"]})]
    several = [new_markdown_cell("# Floods"), *first, *map(new_code_cell, cells)]
    kernel = {"name": "python3", "display_name": "Python", "language": "python"}
    path = folder / name
    folder.mkdir(parents=True, exist_ok=True)
    nbformat.write(new_notebook(cells=several, metadata={"kernelspec": kernel}), path)
    return path


@pytest.fixture
def kernels(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sockets of kernels in a folder whose path is short enough."""
    short = Path(f"/tmp/geodes-test-{os.getpid()}")
    monkeypatch.setenv("GEODES_LAB_RUNTIME", str(short))
    short.mkdir(mode=0o700, exist_ok=True)
    yield
    import shutil

    shutil.rmtree(short, ignore_errors=True)


def said(path: str | Path) -> str:
    """All that the cells of an executed notebook print."""
    node = nbformat.read(str(path).removeprefix("file://"), 4)
    outputs = [o for c in node.cells if c.cell_type == "code" for o in c.outputs]
    return "".join(o.get("text", "") for o in outputs)


def is_over(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE  # nobody may have asked how it ended
    except psutil.NoSuchProcess:
        return True


def test_parameters_are_typed_by_their_defaults(tmp_path):
    read = document.read(notebook(tmp_path))
    known = parameters.of(read)
    assert list(known) == ["tile", "cloud", "share", "bands", "near", "also", "sure", "where"]
    words = ["tile=007", "cloud=5", "share=1", 'bands=["B04"]', "near=null", "also=[1]", "sure=false", 'where={"w": 2}']
    values = {
        "tile": "007", "cloud": 5, "share": 1.0, "bands": ["B04"], "near": None, "also": [1], "sure": False,
        "where": {"w": 2},
    }  # fmt: skip
    assert parameters.of_words(read, words) == values
    assert parameters.checked(read, values) == values
    parameters.put(read, {"tile": "a'); import os  # \n", "share": 1.0})
    (cell,) = [c for c in read.node.cells if "injected-parameters" in c.metadata.get("tags", [])]
    told: dict[str, Any] = {}
    exec(cell.source, {}, told)  # what was put is literals alone
    assert told == {"tile": "a'); import os  # \n", "share": 1.0}
    parameters.put(read, {"cloud": 1})
    assert [c.source for c in read.node.cells][2] == "# Parameters of this run\ncloud = 1"


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"claud": 1}, "has no parameter 'claud'; did you mean 'cloud'"),
        ({"late": 1}, "has no parameter 'late'"),
        ({"cloud": "many"}, r"The parameter cloud of floods.ipynb cannot be 'many': it is a whole number"),
        ({"cloud": True}, "cannot be True"),
        ({"cloud": 1.5}, "cannot be 1.5"),
        ({"share": "1"}, "it is a number, as its default 0.5"),
        ({"share": float("nan")}, "cannot be written as JSON"),
        ({"bands": "red"}, "it is a list"),
        ({"bands": [1]}, "a list whose values are each a text"),
        ({"near": "x"}, "it is a number or nothing"),
        ({"tile": Path("x")}, "cannot be written as JSON"),
    ],
)
def test_wrong_parameters_are_refused_in_a_sentence(tmp_path, given, sentence):
    with pytest.raises(GeodesError, match=sentence):
        gl.run_notebook(notebook(tmp_path), given)
    assert len(gl.jobs()) == 0


def test_what_is_no_notebook_is_refused(tmp_path):
    (tmp_path / "x.ipynb").write_text("[" * 100_000)
    (tmp_path / "y.ipynb").write_text('{"nbformat": 4, "nbformat_minor": 5, "cells": 3, "metadata": {}}')
    for path, sentence in (("x", "is no notebook that Jupyter"), ("y", "is no notebook that"), ("z", "There is no")):
        with pytest.raises(GeodesError, match=sentence):
            gl.run_notebook(tmp_path / f"{path}.ipynb")
    with pytest.raises(GeodesError, match="has no parameters: give a cell of code the tag"):
        gl.run_notebook(notebook(tmp_path, "1", defaults=None), {"cloud": 1})
    with pytest.raises(GeodesError, match=r"gl\.run_notebook runs it as a job"):
        gl.process("notebook", [])
    for path in ("../x.ipynb", "/etc/x.ipynb", ".ssh/x.ipynb", "a//x.ipynb", "x.py", "a/./x.ipynb"):
        with pytest.raises(GeodesError, match="is no notebook of a home"):
            submission.named(path, {})


def test_job_of_a_notebook_from_beginning_to_end(tmp_path, kernels, store):
    # The last cell waits until a step was recorded: the notebook may be quicker than the next look at its steps.
    wait = "import time\nfrom pathlib import Path\nwhile not Path('seen').exists():\n    time.sleep(0.01)\n"
    path = notebook(tmp_path / "work", "print(tile, cloud)", f"{wait}print(Path('mark').write_text('x'))")
    job = gl.run_notebook(path, {"cloud": 3}, title="June")
    path.unlink()  # the job has the cells
    assert (job.status, str(job.progress)) == ("accepted", "0 of 1 units")
    far = run(store, recorded=(tmp_path / "work" / "seen").touch)
    assert job.status == "successful", job.failures
    assert far["seen"]
    assert far["seen"] <= {(n, 4) for n in range(5)}, "four cells: the parameters, those of this run, and two"
    (item,) = job.results()
    asset = item.assets["notebook"]
    assert said(asset.href) == "31TCJ 3\n1\n"
    assert (tmp_path / "work" / "mark").exists(), "it ran in the folder of the notebook"
    assert asset.extra_fields["file:checksum"].startswith("1220")
    assert item.geometry is None
    assert item.properties["geodes:inputs"] == {"notebook": "floods.ipynb", "parameters": {"cloud": 3}, "kernel": ""}
    assert item.properties["geodes:kernel"] == "python3"
    assert item.properties["processing:software"]["notebook"] == "1"
    again = gl.run_notebook(notebook(tmp_path / "work", "print(tile, cloud)"), {"cloud": 3})
    run(store)
    assert again.status == "successful"
    assert again.results()[0].id != item.id, "what has run before runs again"


def run(store: Any, recorded: Callable[[], Any] = lambda: None, **changes: Any) -> dict[str, Any]:
    """A runner until nothing waits; calls ``recorded`` after each step that it recorded, and tells which these were."""
    runner = Runner(store, Refusing(), person=places.person(), lease=30.0, **changes)
    seen: set[tuple[int, int]] = set()
    stepped = runner.leases.stepped

    def told(task: Any, done: int, total: int) -> None:
        stepped(task, done, total)
        seen.add((done, total))
        progress = store.progress(task.job, None)
        assert (progress.cells_done, progress.cells) == (done, total)
        recorded()

    runner.leases.stepped = told  # type: ignore[method-assign]
    runner.run(idle=0)
    return {"seen": seen}


class Refusing(Here):
    """Workers that no notebook may need: asking for them would start a cluster."""

    @property
    def slots(self) -> int:
        raise AssertionError("a cluster was started for a notebook")

    @slots.setter
    def slots(self, value: int) -> None:
        pass


def test_cell_that_fails_is_named_and_a_retry_begins_anew(tmp_path, kernels, store):
    path = notebook(
        tmp_path / "work", "print('one')", "# divide\n\n1 / Path.__len__()", defaults="from pathlib import Path"
    )
    job = gl.run_notebook(path)
    run(store)
    assert (job.status, len(job.results())) == ("failed", 0)
    with pytest.raises(JobFailed, match=r"Cell 3 of 3 \(# divide\) failed: AttributeError: "):
        job.wait()
    folder = places.folder_of(job.record.folder)
    assert [p.name for p in folder.iterdir()] == ["floods.failed.ipynb"]
    assert "one" in said(folder / "floods.failed.ipynb")
    job.retry()
    run(store)
    assert job.status == "failed", "the job has the cells as they were"
    # A kernel that dies is tried again from the first cell, and then the job has failed.
    once = (
        "from pathlib import Path\nimport os\nseen = Path('seen')\nif not seen.exists():\n    seen.touch(); os._exit(9)"
    )
    lucky = gl.run_notebook(notebook(tmp_path / "work", once, "print('well')", defaults=None))
    never = gl.run_notebook(notebook(tmp_path / "work", "import os; os._exit(9)", defaults=None))
    run(store, attempts=2)
    assert (lucky.status, never.status) == ("successful", "failed")
    assert said(lucky.results()[0].assets["notebook"].href) == "well\n"
    assert "Cell 1 of 1 (import os; os._exit(9)): the kernel died" in never.message
    asked = gl.run_notebook(notebook(tmp_path / "work", "input()", defaults=None))
    unknown = gl.run_notebook(notebook(tmp_path / "work", "1", defaults=None), kernel="r-4")
    run(store)
    assert "StdinNotImplementedError" in asked.message
    assert "The kernel 'r-4' of floods.ipynb is not installed here: choose one of python3" in unknown.message


def test_full_disk_fails_the_job_and_does_not_run_it_again_and_again(tmp_path, kernels, store, monkeypatch):
    def full(*given: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    job = gl.run_notebook(notebook(tmp_path / "work", "open('runs', 'a').write('x')", defaults=None))
    monkeypatch.setattr(execution, "write", full)
    run(store)
    assert "could not be written to" in job.message
    assert (tmp_path / "work" / "runs").read_text() == "x"


def test_cancelled_notebook_leaves_no_process_and_no_result(tmp_path, kernels, store):
    waits = "import os, pathlib, subprocess, time\np = subprocess.Popen(['sleep', '600'])\npathlib.Path('pids').write_text(f'{os.getpid()} {p.pid}')\ntime.sleep(600)"
    job = gl.run_notebook(notebook(tmp_path / "work", waits, defaults=None))
    runner = Runner(store, Here(1), person=places.person(), lease=30.0)
    thread = threading.Thread(target=runner.run, kwargs={"idle": 0})
    thread.start()
    pids = tmp_path / "work" / "pids"
    awaited(lambda: pids.exists() and len(pids.read_text().split()) == 2)
    job.cancel()
    thread.join(60)
    assert not thread.is_alive()
    assert job.status == "dismissed"
    assert all(is_over(int(p)) for p in pids.read_text().split())
    assert list(places.folder_of(job.record.folder).iterdir()) == []


def test_killed_runner_takes_its_kernel_along_and_the_job_goes_on(tmp_path, kernels, store):
    from tests.batch.test_kills import end_leases, runners

    slow = "import os, pathlib, time\npathlib.Path('pid').write_text(str(os.getpid()))\ntime.sleep(0 if pathlib.Path('second').exists() else 600)"
    job = gl.run_notebook(notebook(tmp_path / "work", slow, "print('whole')", defaults=None))
    pid = tmp_path / "work" / "pid"
    with runners() as again:

        def kill() -> None:
            awaited(lambda: pid.exists() and pid.read_text())
            parent = psutil.Process(int(pid.read_text())).parent()
            assert parent is not None
            os.kill(parent.pid, signal.SIGKILL)

        thread = threading.Thread(target=kill)
        thread.start()
        assert again() == -signal.SIGKILL
        thread.join()
        awaited(lambda: is_over(int(pid.read_text())))  # the kernel ends when its runner is gone
        assert (job.status, len(job.results())) == ("running", 0)
        (tmp_path / "work" / "second").touch()
        end_leases(store)
        assert again() == 0
    assert job.status == "successful", job.failures
    assert said(job.results()[0].assets["notebook"].href) == "whole\n"


def test_notebook_of_a_home_that_the_job_only_names(tmp_path, kernels, store):
    notebook(tmp_path / "work", "print(cloud)")
    good = submission.named("work/floods.ipynb", {"cloud": 9}).start(store=store)
    late = submission.named("work/floods.ipynb", {"claud": 9}).start(store=store)
    gone = submission.named("work/gone.ipynb", {}).start(store=store)
    elsewhere = tmp_path.parent / f"{tmp_path.name}-elsewhere.ipynb"
    elsewhere.write_bytes((tmp_path / "work" / "floods.ipynb").read_bytes())
    (tmp_path / "work" / "link.ipynb").symlink_to(elsewhere)
    led = submission.named("work/link.ipynb", {}).start(store=store)
    (tmp_path / "open").mkdir()
    open_ = notebook(tmp_path / "open", "1")
    (tmp_path / "open").chmod(0o777)
    common = submission.named("open/floods.ipynb", {}).start(store=store)
    # A runner for everybody takes no notebooks; and what another account has stored is not run.
    Runner(store, Here(1), person=None, lease=30.0).run(idle=0)
    assert good.status == "accepted"
    forged = gl.run_notebook(open_)
    import sqlalchemy as sa

    from geodes_lab.batch.store.tables import jobs

    with store.database.change() as c:
        code = c.execute(sa.select(jobs.c.code).where(jobs.c.id == forged.id)).scalar()
        other = own_code.seal(code, places.person())  # of a process, not of a notebook
        c.execute(sa.update(jobs).where(jobs.c.id == forged.id).values(seal=other))
    run(store)
    assert good.status == "successful", good.failures
    assert said(good.results()[0].assets["notebook"].href) == "9\n"
    for job, sentence in (
        (late, "did you mean 'cloud'"), (gone, "There is no notebook work/gone.ipynb in your home"),
        (led, "leads out of your home"), (common, "another account could have written it"),
        (forged, "was not written by the account that runs it"),
    ):  # fmt: skip
        assert (job.status, sentence in job.message) == ("failed", True), job.message


def test_command_runs_here_or_begins_a_job(tmp_path, kernels, monkeypatch):
    work = tmp_path / "work"
    path = notebook(work, "print(cloud + 1)", "1 / cloud")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["run", str(path), "-p", "cloud=4", "--json"])
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout) == {"notebook": "floods-run.ipynb"}
    assert said(tmp_path / "floods-run.ipynb").startswith("5\n")
    failed = CliRunner().invoke(main, ["run", str(path), "-p", "cloud=0", "--to", "zero.ipynb"])
    assert (failed.exit_code, (tmp_path / "zero.ipynb").exists()) == (1, False)
    assert "Cell 4 of 4 (1 / cloud) failed: ZeroDivisionError: division by zero" in failed.output
    assert said(tmp_path / "zero.failed.ipynb").startswith("1\n")
    for words, sentence in (
        (["-p", "cloud"], "sets no parameter"), (["-p", "cloud=x"], "cannot be 'x'"), (["--to", str(path)], "itself"),
        (["--collection", "x"], "add --job"), (["--job", "--to", "x.ipynb"], "leave out --to"),
    ):  # fmt: skip
        refused = CliRunner().invoke(main, ["run", str(path), *words])
        assert (refused.exit_code, sentence in refused.output) == (1, True), refused.output
    begun = CliRunner().invoke(main, ["run", str(path), "-p", "cloud=4", "--job"])
    assert begun.stdout.strip() == gl.jobs()[0].id
