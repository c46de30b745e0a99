"""Make the French version of each notebook: the same code, with the Markdown cells that ``NN_name.yaml`` beside this file has for them.

An entry with ``label`` instead of ``en`` is a text of the code that a picture shows: a whole string between double quotes, which is replaced wherever it is.

``make notebooks`` runs it. A translation is found by the whole English cell: where that changes, its translation is asked for again.
"""

from __future__ import annotations

import sys
from pathlib import Path

import jupytext
import nbformat
import yaml

HERE = Path(__file__).resolve().parent
NOTEBOOKS = HERE.parent


class MissingError(Exception):
    """A cell has no translation, or a translation no cell; the message says which."""


def translated(path: Path) -> nbformat.NotebookNode:
    """Give the French version of a notebook.

    Raises
    ------
    MissingError
        If the translations are not those of the notebook's cells.
    """
    told = yaml.safe_load((HERE / f"{path.stem}.yaml").read_text()) or []
    words = {entry["en"].strip(): entry["fr"].strip() for entry in told if "en" in entry}
    labels = {entry["label"]: entry["fr"] for entry in told if "label" in entry}
    notebook = jupytext.read(path)
    texts = [c for c in notebook.cells if c.cell_type == "markdown"]
    if missing := [c.source for c in texts if c.source.strip() not in words]:
        raise MissingError(f"{path.stem}.yaml has no translation of:\n\n{missing[0]}")
    if left := set(words) - {c.source.strip() for c in texts}:
        raise MissingError(f"{path.name} has no cell any more that reads:\n\n{left.pop()}")
    for cell in texts:
        cell.source = words[cell.source.strip()]
    code = [c for c in notebook.cells if c.cell_type == "code"]
    for label, french in labels.items():
        if not any(f'"{label}"' in c.source for c in code):
            raise MissingError(f"{path.name} has no label any more that reads:\n\n{label}")
        for cell in code:
            cell.source = cell.source.replace(f'"{label}"', f'"{french}"')
    for number, cell in enumerate(notebook.cells):
        cell["id"] = f"cell-{number}"  # the same each time
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata.pop("jupytext", None)  # it is no pair
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return notebook


def target(path: Path) -> Path:
    """Where the French version lies: beside the English one."""
    return path.with_name(f"{path.stem}.fr.ipynb")


def main() -> int:
    """Write them all; say what is missing."""
    for path in sorted(NOTEBOOKS.glob("*.py")):
        try:
            nbformat.write(translated(path), target(path))
        except MissingError as error:
            print(error, file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
