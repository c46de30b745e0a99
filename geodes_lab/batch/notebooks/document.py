"""A notebook as a document: read within bounds, without outputs, with the cell that has its parameters."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import nbformat
from nbformat import NotebookNode

from geodes_lab.errors import GeodesError, shown
from geodes_lab.util.whole_file import rename_to_stay

_LARGEST = 50_000_000  # bytes of a file, with its outputs
MOST_BYTES = 10_000_000
"""Of a notebook without its outputs."""
PARAMETERS, INJECTED, SKIPPED = "parameters", "injected-parameters", "skip-execution"
"""Tags of cells: where the parameters are, what was set, and what is not run. They are papermill's and nbclient's."""


@dataclass(frozen=True)
class Notebook:
    """A notebook that can be run."""

    name: str
    """Of its file, for sentences."""
    node: NotebookNode
    """In the format 4, without outputs."""

    @property
    def kernel(self) -> str:
        """The name of the kernel that it wants; empty: it does not say."""
        known = self.node.metadata.get("kernelspec") or {}
        name = known.get("name") if isinstance(known, dict) else None
        return name if isinstance(name, str) else ""

    @property
    def language(self) -> str:
        """The language of its cells, in lower case; Python, if it does not say."""
        for word, key in (("kernelspec", "language"), ("language_info", "name")):
            known = self.node.metadata.get(word)
            if isinstance(known, dict) and isinstance(known.get(key), str):
                return str(known[key]).lower()
        return "python"

    @property
    def cells(self) -> list[NotebookNode]:
        """The cells that are run, in their order: a sentence counts these."""
        return [c for c in self.node.cells if runs(c)]

    def tagged(self, tag: str) -> int | None:
        """Return the number of the first cell of code with a tag; None: there is none."""
        for number, cell in enumerate(self.node.cells):
            if cell.cell_type == "code" and tag in tags(cell):
                return number
        return None

    def text(self) -> bytes:
        """Write it as a file has it."""
        return f"{nbformat.writes(self.node)}\n".encode()

    @property
    def digest(self) -> str:
        """The SHA-256 of its cells, as they are run."""
        sources = [(c.cell_type, c.source) for c in self.node.cells]
        return hashlib.sha256(repr(sources).encode()).hexdigest()


def read(path: Path) -> Notebook:
    """Read a notebook of a file; its outputs are left out.

    Raises
    ------
    GeodesError
        If there is none, or the file is no notebook.
    """
    try:
        if not path.is_file():
            raise GeodesError(f"There is no notebook {path}: check the path.")
        with path.open("rb") as file:
            data = file.read(_LARGEST + 1)
    except OSError as error:
        raise GeodesError(f"The notebook {path} cannot be read ({error.strerror}).") from error
    if len(data) > _LARGEST:
        raise GeodesError(f"The notebook {path} has more than {_LARGEST} bytes: clear its outputs.")
    return of_bytes(data, path.name)


def of_bytes(data: bytes, name: str) -> Notebook:
    """Read a notebook; the name is for sentences."""
    wrong = f"{shown(name)} is no notebook that Jupyter can read"
    try:
        node = nbformat.convert(nbformat.reader.reads(data.decode()), 4)
        _, node = nbformat.validator.normalize(node, strip_invalid_metadata=True)
        nbformat.validate(node)
    except Exception as error:  # of json, of nbformat, of jsonschema; one that is nested too deeply, too
        line = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise GeodesError(f"{wrong} ({shown(line)[:200]}).") from None
    for cell in node.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            cell.metadata.pop("execution", None)
    node.metadata.pop("widgets", None)
    notebook = Notebook(name, node)
    if len(notebook.text()) > MOST_BYTES:
        raise GeodesError(
            f"The notebook {name} has more than {MOST_BYTES} bytes without its outputs: read data from a file."
        )
    return notebook


def write(notebook: Notebook, path: Path) -> None:
    """Write a notebook into a file, which appears whole."""
    partial = path.with_name(f".{path.name}.{uuid4().hex}.partial")
    try:
        partial.write_bytes(notebook.text())
        rename_to_stay(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def tags(cell: NotebookNode) -> list[str]:
    """Return the tags of a cell."""
    known: Any = cell.metadata.get("tags")
    return [str(tag) for tag in known] if isinstance(known, list) else []


def runs(cell: NotebookNode) -> bool:
    """Whether a cell is run: code, not empty, not tagged otherwise."""
    return cell.cell_type == "code" and bool(cell.source.strip()) and SKIPPED not in tags(cell)
