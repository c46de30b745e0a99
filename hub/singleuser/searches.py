"""An address of the user's server that makes a notebook of a search: where the catalogue's page leads.

``/geodes/notebook?search={"collections": …}`` writes ``notebooks/search-….ipynb`` and goes there. What comes with the address
is never code: each value is read as JSON and written as a literal of Python.
"""

from __future__ import annotations

import hashlib
import json
import keyword
import re
from pathlib import Path
from typing import Any

import nbformat
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from tornado.web import HTTPError, authenticated

_NAME = re.compile(r"[a-z][a-z0-9_]*")
_MOST = 20  # arguments


def notebook(search: dict[str, Any]) -> nbformat.NotebookNode:
    """Make a notebook that searches; ``search`` has the arguments of `geodes_lab.search`.

    Raises
    ------
    ValueError
        If it has what is no argument.
    """
    asked = dict(search)
    collections = asked.pop("collections", None)
    named = all(_NAME.fullmatch(k) and not keyword.iskeyword(k) for k in asked)
    if not isinstance(collections, (str, list)) or len(asked) > _MOST or not named:
        raise ValueError("a search has collections, and arguments of gl.search")
    given = [_literal(collections), *(f"{k}={_literal(v)}" for k, v in asked.items())]
    call = f"items = gl.search({', '.join(given)})\nprint(len(items), 'products')\ngl.availability(items).head(10)"
    cells = [
        new_markdown_cell("# Products from the catalogue\n\nThe search that you made on the catalogue's page."),
        new_code_cell(f"import geodes_lab as gl\n\n{call}"),
        new_markdown_cell("What the first one holds; nothing is read yet."),
        new_code_cell("gl.open_product(items[0])"),
    ]
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"name": "geodes", "display_name": "GEODES (Python · Dask)", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _literal(value: Any) -> str:
    several = value if isinstance(value, list) else [value]
    if not all(isinstance(v, (str, int, float, bool)) for v in several):
        raise ValueError("an argument is a text, a number or a list of those")
    return repr(value)


class Notebook(JupyterHandler):
    """Writes the notebook, and leads to it."""

    @authenticated
    def get(self) -> None:
        """Answer; the same search gives the same notebook, and what the user changed in it stays."""
        try:
            made = notebook(json.loads(self.get_argument("search")))
        except (ValueError, TypeError, AttributeError) as error:
            raise HTTPError(400, f"This is no search: {error}.") from error
        text = nbformat.writes(made)
        name = f"search-{hashlib.sha256(text.encode()).hexdigest()[:8]}.ipynb"
        path = Path(self.settings["server_root_dir"]).expanduser() / "notebooks" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            path.write_text(text)
        self.redirect(url_path_join(self.base_url, "lab/tree/notebooks", name))


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "searches"}]


def _load_jupyter_server_extension(app: Any) -> None:
    app.web_app.add_handlers(".*$", [(url_path_join(app.base_url, "geodes/notebook"), Notebook)])
