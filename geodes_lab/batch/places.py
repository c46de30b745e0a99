"""Where the files of jobs are: each job has a folder below that of the person's results."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from geodes_lab import settings
from geodes_lab.errors import GeodesError
from geodes_lab.util.file_name import is_safe


def person() -> str:
    """Return who this is: the name at the hub, else the account's."""
    known = os.environ.get("JUPYTERHUB_USER")
    if known:
        return known
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # an account without a name, as in some containers
        return str(os.getuid())


def results() -> Path:
    """Return the folder of the results of this account's jobs."""
    return Path(settings.get("jobs.results")).expanduser().absolute()


def folder_of(name: str, above: Path | None = None) -> Path:
    """Return the folder of a job.

    Parameters
    ----------
    name
        As the store has it: one name, never a path.
    above
        None: `results`.

    Raises
    ------
    GeodesError
        If the store has something else there.
    """
    return (above or results()) / _safe(name)


def within(folder: Path, path: str) -> Path:
    """Return a file of a job by its path in the job's folder, as the store has it.

    Raises
    ------
    GeodesError
        If it leads out of the folder.
    """
    parts = path.split("/")
    if not all(part and part not in (".", "..") and "\0" not in part for part in parts):
        raise GeodesError(f"The store of jobs names a file {path!r}, which is not in the folder of its job.")
    return folder.joinpath(*parts)


def _safe(name: str) -> str:
    if not is_safe(name):
        raise GeodesError(f"The store of jobs names a folder {name!r}, which cannot be one.")
    return name
