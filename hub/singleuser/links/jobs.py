"""An address of the user's server that makes a notebook of a job: the page of processing links to it.

``/geodes/job?job=ID`` writes ``notebooks/job-….ipynb`` and goes there. An id has hexadecimal digits alone; as for a
search, a link from another site writes nothing until its reader agrees.
"""

from __future__ import annotations

import re
from typing import Any, ClassVar

import nbformat
from jupyter_server.utils import url_path_join
from nbformat.v4 import new_code_cell, new_markdown_cell

from hub.singleuser.links.searches import Notebook, of_cells

_ID = re.compile(r"[0-9a-f]{32}")


class JobNotebook(Notebook):
    """Writes the notebook of a job, and leads to it."""

    argument, word = "job", "job"
    asks: ClassVar = {
        "en": (
            "A notebook for a job",
            "A link from another site wants to create a notebook with this job in your home:",
            "Create the notebook",
        ),
        "fr": (
            "Un notebook pour un traitement",
            "Un lien venu d'un autre site veut créer un notebook avec ce traitement dans votre espace :",
            "Créer le notebook",
        ),
    }

    @staticmethod
    def read(text: str) -> tuple[nbformat.NotebookNode, str]:
        """Make the notebook.

        Raises
        ------
        ValueError
            If it is no id of a job.
        """
        return notebook(text), ""


def notebook(job: str) -> nbformat.NotebookNode:
    """Make a notebook that shows a job and its results.

    Raises
    ------
    ValueError
        If it is no id of a job.
    """
    if not _ID.fullmatch(job):
        raise ValueError("an id has 32 hexadecimal digits")
    cells = [
        new_markdown_cell("# A job\n\nFrom the page of processing."),
        new_code_cell(f'import geodes_lab as gl\n\njob = gl.jobs(limit=1000)["{job}"]\njob'),
        new_markdown_cell("Its results: STAC Items, with what they were made of."),
        new_code_cell("results = job.results()\nresults"),
        new_markdown_cell("What is in them. Of a job over a region it is one cube; `job.table()` gives a table."),
        new_code_cell(
            "for item in results[:3]:\n"
            "    for name, asset in item.assets.items():\n"
            "        print(item.id, name, asset.media_type)\n"
            "job.cube() if any('zarr' in i.assets for i in results) else None"
        ),
    ]
    return of_cells(cells)


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.links.jobs"}]


def _load_jupyter_server_extension(app: Any) -> None:
    app.web_app.add_handlers(".*$", [(url_path_join(app.base_url, "geodes/job"), JobNotebook)])
