"""Notebooks as jobs: described here as a process beside the others, and run by `geodes_lab.batch.notebooks`."""

from __future__ import annotations

from typing import Annotated, Any

import pystac
from pydantic import Field

from geodes_lab.errors import GeodesError
from geodes_lab.processing.process import Process

ID = "notebook"


def _run(
    items: list[pystac.Item],
    notebook: Annotated[str, Field(min_length=1, max_length=500)],
    parameters: dict[str, Any] = {},  # noqa: B006  (never changed)
    kernel: Annotated[str, Field(max_length=100)] = "",
) -> list[pystac.Item]:
    """Run a notebook of your home.

    Your own runner reads it and runs it with your rights. The result is the executed notebook.

    Parameters
    ----------
    notebook
        Its path in your home, such as notebooks/floods.ipynb.
    parameters
        Values for names of the cell with the tag parameters, as a JSON object.
    kernel
        The name of a kernel; empty: the one that the notebook names.
    """
    raise GeodesError("gl.run_notebook runs a notebook as a job, and `geodes-lab run` runs it here.")


notebook = Process(ID, "1", _run, "items", "all", "notebook")
