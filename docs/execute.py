"""Run notebooks from top to bottom in a kernel of the lab, on the sample datalake, and keep them with their outputs.

``python docs/execute.py`` runs those of ``notebooks/`` that changed, into ``build/notebooks/``: they are the tutorial
of the documentation.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import jupytext
import nbformat
from jupyter_client import AsyncKernelManager
from jupyter_client.kernelspec import KernelSpecManager
from nbclient import NotebookClient

TOP = Path(__file__).resolve().parents[1]
BUILT = TOP / "build" / "notebooks"
HUB = "08_share"  # it needs the lab's catalogue


def run(path: Path, sample: Path, home: Path, ask: str = "") -> nbformat.NotebookNode:
    """Run a notebook in ``home/notebooks``; return it with its outputs.

    Parameters
    ----------
    path
        The ``.py`` or ``.ipynb``.
    sample
        The sample datalake.
    home
        The home of the notebook.
    ask
        Code to run after the last cell; its output is the last of the result.

    Raises
    ------
    nbclient.exceptions.CellExecutionError
        If a cell fails.
    """
    notebook = jupytext.read(path)
    if ask:
        notebook.cells.append(nbformat.v4.new_code_cell(ask))
    work = home / "notebooks"
    work.mkdir(parents=True, exist_ok=True)
    manager = AsyncKernelManager(
        kernel_name="geodes", kernel_spec_manager=KernelSpecManager(kernel_dirs=[str(TOP / "kernels")])
    )
    environment = {
        **os.environ,
        "HOME": str(home),
        "PATH": f"{Path(sys.prefix) / 'bin'}:{os.environ['PATH']}",
        "HOLOVIEWSRC": str(TOP / "kernels" / "geodes" / "holoviewsrc.py"),
        "PANEL_INLINE": "true",
        "DASK_GEODES_LAB__CATALOG__PROFILES__LOCAL__URL": str(sample / "catalog" / "catalog.json"),
        "DASK_GEODES_LAB__DATALAKE__MIRROR": str(sample / "datalake"),
        "DASK_GEODES_LAB__DATALAKE__ENDPOINT": "http://127.0.0.1:9",  # nothing is read from other places
        "DASK_GEODES_LAB__CACHE__FOLDER": str(home / "cache"),
    }
    client = NotebookClient(notebook, km=manager, timeout=240, resources={"metadata": {"path": str(work)}})
    client.execute(env=environment, cwd=str(work))
    return notebook


def keep(path: Path, notebook: nbformat.NotebookNode) -> Path:
    """Keep an executed notebook for the documentation."""
    BUILT.mkdir(parents=True, exist_ok=True)
    notebook.metadata["source"] = _stamp(path)
    target = BUILT / f"{path.stem}.ipynb"
    nbformat.write(notebook, target)
    return target


def kept(path: Path) -> nbformat.NotebookNode | None:
    """Return the executed notebook, if its source has not changed."""
    target = BUILT / f"{path.stem}.ipynb"
    notebook = nbformat.read(target, as_version=4) if target.exists() else None
    return notebook if notebook is not None and notebook.metadata.get("source") == _stamp(path) else None


def _stamp(path: Path) -> str:
    return hashlib.sha256(path.with_suffix(".py").read_bytes()).hexdigest()


def main() -> None:
    """Run the notebooks that changed."""
    from geodes_lab.sample import build

    for path in sorted((TOP / "notebooks").glob("*.py")):
        if kept(path) is not None:
            continue
        sample = TOP / "build" / "sample-docs"
        if not build.is_complete(sample):
            print("writing the sample datalake …")
            build.write(sample)
        with tempfile.TemporaryDirectory(prefix="geodes-lab-") as home:
            print(f"running {path.name} …", flush=True)
            keep(path, through_a_hub(path, sample) if path.stem == HUB else run(path, sample, Path(home)))


def through_a_hub(path: Path, sample: Path) -> nbformat.NotebookNode:
    """Run a notebook that needs the lab's services, in a lab that is started for it."""
    demo = [sys.executable, "-m", "hub.demo", "--sample", str(sample), "--build", str(BUILT)]
    subprocess.run([*demo, "--notebook", str(path.with_suffix(".ipynb"))], check=True)
    return nbformat.read(BUILT / f"{path.stem}.ipynb", as_version=4)


if __name__ == "__main__":
    main()
