"""An address of the user's server that makes a notebook of a search: the catalogue's page links to it.

``/geodes/notebook?search={"collections": …}`` writes ``notebooks/search-….ipynb`` and goes there; with
``"geodes_cube": true`` the notebook opens all products as one cube, with ``"geodes_download": {…}`` it downloads them.
The content of the address is never code: each value is parsed as JSON and written as a Python literal. It cannot be an
address, a profile or a file either: a link decides what is searched, never where. A link from another site writes
nothing until its reader agrees. A shape that was chosen on the page (``"shape": …``) is fetched from the catalogue's
service, as this person, and is a file beside the notebook.
"""

from __future__ import annotations

import contextlib
import hashlib
import html
import json
import keyword
import math
import os
import re
from pathlib import Path
from typing import Any, ClassVar

import nbformat
from jupyter_server.base.handlers import JupyterHandler
from jupyter_server.utils import url_path_join
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.web import HTTPError, authenticated

from hub.singleuser import tongue
from hub.singleuser.home.contents import FULL
from hub.singleuser.home.meter import meter
from hub.singleuser.links import downloads

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")
# Other arguments of `geodes_lab.search` are plain values (a test compares both lists), or properties of the catalogue.
PLAIN = {
    "collections",
    "bbox",
    "datetime",
    "cloud_cover",
    "orbit",
    "tile",
    "product_type",
    "ids",
    "latest",
    "sortby",
    "limit",
}
# Arguments that say where to search; and reserved ones.
NEVER = {
    "profile",
    "url",
    "intersects",
    "shape",
    "token",
    "key",
    "api_key",
    "folder",
    "path",
    "file",
    "href",
    "endpoint",
    "kind",
    "index",
    "headers",
}
_SHAPE = re.compile(r"[0-9a-f]{32}")
_LARGEST = 2**22  # bytes of a shape
_MOST = 20  # arguments
_TEXT, _LIST, _WHOLE = 500, 100, 16_384  # characters of a text, values of a list, characters of all
_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;color:#16283a;max-width:52rem;margin:2rem auto;padding:0 "
    "1rem}pre{background:#eef3f7;"
    "padding:1rem;white-space:pre-wrap;overflow-wrap:anywhere}"
    "button{background:#0b63b5;color:#fff;border:0;border-radius:4px;padding:.5rem 1rem;"
    "font:inherit;font-weight:600}:focus-visible{outline:3px solid #f0a020}"
)
_FULL = {"en": ("Your home is full", "Make room"), "fr": ("Votre espace est plein", "Faire de la place")}
_ASKS = {
    "en": (
        "A notebook for a search",
        "A link from another site wants to create a notebook with this search in your home:",
        "Create the notebook",
    ),
    "fr": (
        "Un notebook pour une recherche",
        "Un lien venu d'un autre site veut créer un notebook avec cette recherche dans votre espace :",
        "Créer le notebook",
    ),
}


def notebook(search: dict[str, Any], shape: str = "") -> nbformat.NotebookNode:
    """Make a notebook that searches; ``search`` has plain arguments of `geodes_lab.search`.

    ``shape`` is the name of a file of ours, which lies beside it; ``geodes_cube`` in the search is no argument, but
    says that the products are opened as one cube, and ``geodes_download`` that they are downloaded.

    Raises
    ------
    ValueError
        If it has something that is not an argument, or an argument that says where to search.
    """
    arguments = dict(search)
    parts = arguments.pop("geodes_download", None)
    collections, cube = arguments.pop("collections", None), arguments.pop("geodes_cube", False)
    if not isinstance(cube, bool):
        raise ValueError("an argument must be of its kind: geodes_cube is true or false")
    named = all(_NAME.fullmatch(k) and not keyword.iskeyword(k) for k in arguments)
    if not isinstance(collections, (str, list)) or len(arguments) > _MOST or not named:
        raise ValueError("a search must have collections and arguments of gl.search")
    if wrong := sorted(NEVER.intersection(arguments)):
        raise ValueError(f"an argument must be a search criterion, and {wrong[0]} sets where or how to search")
    if any(k.startswith("geodes_") for k in arguments):
        raise ValueError("an argument must not be a reserved word of the lab")
    if shape:
        arguments["intersects"] = shape
    literals = [_literal(collections), *(f"{k}={_literal(v)}" for k, v in arguments.items())]
    shown = "print(len(items), 'product' if len(items) == 1 else 'products')"
    call = f"items = gl.search({', '.join(literals)})\n{shown}\ngl.availability(items).head(10)"
    opened = [
        new_markdown_cell("The contents of the first product; no pixels are read yet."),
        new_code_cell("gl.open_product(items[0])"),
    ]
    if cube:
        opened = [
            new_markdown_cell("All of them as one cube. Pixels are read when something is computed."),
            new_code_cell("cube = gl.open_cube(items)\ncube"),
        ]
    if parts is not None:
        opened = downloads.cells(parts)
    cells = [
        new_markdown_cell("# Products from the catalogue\n\nYour search from the catalogue's page."),
        new_code_cell(f"import geodes_lab as gl\n\n{call}"),
        new_markdown_cell("Where they are. Move the pointer over a footprint to see the product's name."),
        new_code_cell("gl.plot.footprints(items)"),
        *opened,
    ]
    return of_cells(cells)


def of_cells(cells: list[nbformat.NotebookNode]) -> nbformat.NotebookNode:
    """Make a notebook of the lab's kernel."""
    for number, cell in enumerate(cells):
        cell["id"] = f"cell-{number}"
    kernel = {"name": "geodes", "display_name": "GEODES (Python · Dask)", "language": "python"}
    return new_notebook(cells=cells, metadata={"kernelspec": kernel})


def _literal(value: Any) -> str:
    several = value if isinstance(value, list) else [value]
    if not all(isinstance(v, (str, int, float, bool)) for v in several) or len(several) > _LIST:
        raise ValueError(f"an argument must be a text, a number or a list of at most {_LIST} of those")
    if any(isinstance(v, str) and len(v) > _TEXT for v in several):
        raise ValueError(f"an argument must have at most {_TEXT} characters")
    if any(isinstance(v, float) and not math.isfinite(v) for v in several):
        raise ValueError("an argument must be a finite number")
    return repr(value)


def read(text: str) -> tuple[nbformat.NotebookNode, str]:
    """Make the notebook of an address, and return the checksum of its shape, empty if it has none.

    Raises
    ------
    ValueError
        If it is too long, not JSON, or not a search.
    """
    if len(text) > _WHOLE:
        raise ValueError(f"it has more than {_WHOLE} characters")
    try:
        search = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(search, dict):
        raise ValueError("a search has collections, and arguments of gl.search")
    shape = search.pop("shape", "")
    if not isinstance(shape, str) or (shape and not _SHAPE.fullmatch(shape)):
        raise ValueError("a shape is named by its checksum")
    return notebook(search, _file_of(shape) if shape else ""), shape


def _file_of(shape: str) -> str:
    return f"shape-{shape[:16]}.geojson"


class Notebook(JupyterHandler):
    """Writes the notebook, and leads to it."""

    argument, word = "search", "search"
    """The argument of the address, and how the file's name begins."""
    asks: ClassVar[dict[str, tuple[str, str, str]]] = _ASKS

    @authenticated
    async def get(self) -> None:
        """Answer the catalogue's page, which is the lab's own; ask first if a link on another site was followed."""
        node, shape = self._made()
        headers = self.request.headers
        if "Authorization" in headers or headers.get("Sec-Fetch-Site") == "same-origin":
            await self._write(node, shape)
        else:
            self._ask(node)

    @authenticated
    async def post(self) -> None:
        """The reader agrees; Jupyter has checked the form's token."""
        await self._write(*self._made())

    def _made(self) -> tuple[nbformat.NotebookNode, str]:
        try:
            return self.read(self.get_argument(self.argument))
        except (ValueError, TypeError, AttributeError) as error:
            raise HTTPError(400, f"This is not a valid {self.argument}: {error}.") from error

    @staticmethod
    def read(text: str) -> tuple[nbformat.NotebookNode, str]:
        """Make the notebook of the argument, and return the checksum of its shape, empty if it has none."""
        return read(text)

    async def _write(self, node: nbformat.NotebookNode, shape: str) -> None:
        """The same search gives the same notebook, and the user's changes in it stay."""
        text = nbformat.writes(node)
        name = f"{self.word}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.ipynb"
        path = Path(self.settings["server_root_dir"]).expanduser() / "notebooks" / name
        if not path.exists() and (sentence := await meter().refusal(len(text.encode()))):
            raise HTTPError(FULL, sentence)
        path.parent.mkdir(parents=True, exist_ok=True)
        if shape and not (beside := path.with_name(_file_of(shape))).exists():
            _write_once(beside, await _fetched(shape))
        _write_once(path, text)
        self.redirect(url_path_join(self.base_url, "lab/tree/notebooks", name))

    def _ask(self, node: nbformat.NotebookNode) -> None:
        title, explanation, button = self.asks[tongue.of(self.request.headers)]
        code = html.escape(node.cells[1].source)
        given = html.escape(self.get_argument(self.argument), quote=True)
        action = html.escape(self.request.path, quote=True)
        self.set_header("Cache-Control", "no-store")
        self.finish(
            self._page(
                title,
                f'<p>{explanation}</p><pre>{code}</pre><form method=post action="{action}">{self.xsrf_form_html()}'
                f'<input type=hidden name={self.argument} value="{given}"><button>{button}</button></form>',
            )
        )

    def write_error(self, status_code: int, **given: Any) -> None:
        """Show why there is no room for the notebook, on a page of the lab's; other errors are Jupyter's."""
        error = (given.get("exc_info") or (None, None))[1]
        if status_code != FULL or not isinstance(error, HTTPError):
            super().write_error(status_code, **given)
            return
        title, button = _FULL[tongue.of(self.request.headers)]
        space = html.escape(url_path_join(self.base_url, "geodes/space"), quote=True)
        self.set_header("Content-Type", "text/html; charset=utf-8")
        sentence = html.escape(str(error.log_message))
        self.finish(self._page(title, f'<p role=alert>{sentence}</p><p><a href="{space}">{button}</a></p>'))

    def _page(self, title: str, inner: str) -> str:
        return (
            f"<!doctype html><html lang={tongue.of(self.request.headers)}><meta charset=utf-8><meta name=viewport "
            f"content='width=device-width'><title>{title}</title><style>{_STYLE}</style><main><h1>{title}</h1>{inner}"
            "</main></html>"
        )


def _write_once(path: Path, text: str) -> None:
    """Write a file that is not there yet."""
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        with os.fdopen(descriptor, "w") as file:
            file.write(text)


async def _fetched(shape: str) -> str:
    """Ask the catalogue's service for a shape of this person's."""
    stac = os.environ.get("DASK_GEODES_LAB__CATALOG__PROFILES__LAB__URL", "")
    address = f"{stac.removesuffix('/stac')}/shapes/{shape}"
    headers = {"Authorization": f"token {os.environ.get('JUPYTERHUB_API_TOKEN', '')}"}
    try:
        request = HTTPRequest(address, headers=headers, request_timeout=20, follow_redirects=False)
        body = (await AsyncHTTPClient().fetch(request)).body
        if len(body) > _LARGEST:
            raise ValueError("it is too large")
        return json.dumps(json.loads(body))
    except (HTTPClientError, OSError, ValueError) as error:
        raise HTTPError(
            404, "The shape of this search is not there any more: choose its file once more on the catalogue's page."
        ) from error


def _jupyter_server_extension_points() -> list[dict[str, str]]:
    return [{"module": "hub.singleuser.links.searches"}]


def _load_jupyter_server_extension(app: Any) -> None:
    app.web_app.add_handlers(".*$", [(url_path_join(app.base_url, "geodes/notebook"), Notebook)])
