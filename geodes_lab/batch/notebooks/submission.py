"""``gl.run_notebook``: a notebook becomes a job, which has its cells; the runner of its author runs them."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from geodes_lab import arguments, extras
from geodes_lab.errors import GeodesError
from geodes_lab.util.file_name import is_safe

with extras.needed("gl.run_notebook"):
    from geodes_lab.batch.job import Job
    from geodes_lab.batch.notebooks import document, parameters
    from geodes_lab.batch.request import Request, Unit
    from geodes_lab.batch.submission import Draft, collection_of
    from geodes_lab.processing.registry import installed
    from geodes_lab.processing.shipped.notebooks import ID

ENDING = ".ipynb"
_MOST_CHARACTERS = 500  # of a path


def run_notebook(
    notebook: str | Path,
    parameters: Mapping[str, Any] | None = None,
    *,
    kernel: str = "",
    collection: str | None = None,
    readers: Sequence[str] = (),
    title: str = "",
) -> Job:
    """Run a notebook as a job, which goes on when your own notebook is closed.

    The cells are stored with the job as they are now. Your runner runs them from top to bottom in a new kernel, in the
    folder of the notebook, with your rights. After a kernel or a runner that died, the notebook begins anew from its
    first cell: write it such that a second run does no harm.

    Parameters
    ----------
    notebook
        The path of an ``.ipynb``.
    parameters
        Values for names that the cell with the tag ``parameters`` sets. Each is checked by its default there.
    kernel
        The name of a kernel; empty: the one that the notebook names.
    collection
        Your collection in the catalogue, in which the executed notebook is published. None: ``notebook``, in a lab;
        nowhere else. Empty: nowhere.
    readers
        Groups that can see the collection.
    title
        What you call the job; empty: the name of the notebook.

    Returns
    -------
    Job
        Its ``progress`` counts cells. Its one result is an Item whose asset ``notebook`` is the executed notebook.

    Raises
    ------
    GeodesError
        One sentence: there is no such notebook, or it has no such parameter, or a value is of another type.

    Examples
    --------
    >>> import geodes_lab as gl                                          # doctest: +SKIP
    >>> job = gl.run_notebook("floods.ipynb", {"tile": "31TCJ", "cloud": 20})  # doctest: +SKIP
    >>> executed = job.wait().results()[0].assets["notebook"].href       # doctest: +SKIP
    """
    path = Path(notebook).expanduser().absolute()
    read = document.read(path)
    return prepared(
        read, path.parent, parameters or {}, kernel=kernel, collection=collection, readers=readers, title=title
    ).start()


def prepared(
    read: document.Notebook,
    folder: Path,
    values: Mapping[str, Any],
    *,
    kernel: str = "",
    collection: str | None = None,
    readers: Sequence[str] = (),
    title: str = "",
) -> Draft:
    """Prepare a job of a notebook that was read here; the arguments are those of `run_notebook`.

    Parameters
    ----------
    read
        The notebook.
    folder
        In which it runs, if it is there when it does.
    values
        Its parameters.
    kernel, collection, readers, title
        See `run_notebook`.
    """
    checked = parameters.checked(read, values)
    given = {"notebook": read.name, "parameters": checked, "kernel": kernel}
    return _draft(given, collection, readers, title or read.name, read.text(), str(folder))


def named(
    path: str,
    values: Mapping[str, Any],
    *,
    kernel: str = "",
    collection: str | None = None,
    readers: Sequence[str] = (),
    title: str = "",
) -> Draft:
    """Prepare a job of a notebook that only its person can read: the runner reads it when it runs it.

    Parameters
    ----------
    path
        In the person's home, with ``/``.
    values
        Its parameters; the runner checks them.
    kernel, collection, readers, title
        See `run_notebook`.

    Raises
    ------
    GeodesError
        If the path leads out of the home, or to a hidden file.
    """
    parts_of(path)
    given = {"notebook": path, "parameters": dict(values), "kernel": kernel}
    return _draft(given, collection, readers, title or path, None, "")


def parts_of(path: str) -> list[str]:
    """Return the parts of a path in a home.

    Raises
    ------
    GeodesError
        If it is none, leads out, or names something hidden.
    """
    parts = path.split("/")
    is_plain = all(part and not part.startswith(".") and part.isprintable() for part in parts)
    if not is_plain or not path.endswith(ENDING) or len(path) > _MOST_CHARACTERS:
        raise GeodesError(
            f"{path[:80]!r} is no notebook of a home: write its path from the home on, such as notebooks/floods.ipynb."
        )
    return parts


def _draft(
    given: dict[str, Any],
    collection: str | None,
    readers: Sequence[str],
    title: str,
    code: bytes | None,
    place: str,
) -> Draft:
    process = installed()[ID]
    inputs = process.inputs.checked(given)
    stem = str(given["notebook"]).rpartition("/")[2].removesuffix(ENDING)
    request = Request(
        inputs, [], "notebook", collection=collection_of(process, collection),
        readers=arguments.names("readers", readers), place=place,
    )  # fmt: skip
    unit = Unit(f"{stem}{ENDING}"[:200], [], file=stem if is_safe(stem) else ID)
    # A key of its own: a notebook that has run before runs again, since it may do more than its result shows.
    return Draft(process, request, [(unit, secrets.token_hex(32))], title[:200], code)
