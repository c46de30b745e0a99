"""Processes of a notebook: stored with the job, and run by nobody but the person who wrote them.

A pickle does what it wants with the rights of whoever loads it. So it has a seal made with a key that only the person's
own account can read, and a runner of that account loads nothing without the right seal: whoever else can write to the
store makes nobody's runner execute anything.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import secrets
import site
import sys
from pathlib import Path
from types import ModuleType

import cloudpickle

from geodes_lab.batch.request import Impossible
from geodes_lab.errors import GeodesError
from geodes_lab.processing.process import Process
from geodes_lab.util import ownership, user_folder

MOST_BYTES = 50_000_000
PROCESS, NOTEBOOK = "process", "notebook"
"""What a seal is for: one for a notebook loads no pickle, nor the other way round."""


def packed(process: Process) -> bytes:
    """Pickle a process with its function, and with the modules of one's own that it uses.

    Raises
    ------
    GeodesError
        If it holds something that cannot be pickled, or is too large.
    """
    module = sys.modules.get(process.function.__module__)
    by_value = module is not None and _is_own(module)
    if by_value and module is not None:
        cloudpickle.register_pickle_by_value(module)
    try:
        code = cloudpickle.dumps(process)
    except Exception as error:  # whatever the function refers to
        raise GeodesError(
            f"The process {process.id} refers to something that cannot leave the notebook ({error}): open files and "
            "connections within the function."
        ) from None
    finally:
        if by_value and module is not None:
            cloudpickle.unregister_pickle_by_value(module)
    if len(code) > MOST_BYTES:
        raise GeodesError(
            f"The process {process.id} refers to data of {len(code)} bytes, more than {MOST_BYTES}: give the path of a "
            "file as an input instead."
        )
    return code


def _is_own(module: ModuleType) -> bool:
    """Whether a module is the person's own, which a runner may not find: a file outside of all installed packages."""
    file = getattr(module, "__file__", None)
    if module.__name__ == "__main__" or file is None:
        return False
    places = [*site.getsitepackages(), site.getusersitepackages(), str(Path(os.__file__).parent)]
    return not any(Path(file).is_relative_to(place) for place in places) and not module.__name__.startswith(
        "geodes_lab."
    )


def seal(code: bytes, person: str, kind: str = PROCESS) -> str:
    """Return what proves that this account wrote a pickle, or a notebook, for a person."""
    key = _key() if kind == PROCESS else hmac.new(_key(), kind.encode(), hashlib.sha256).digest()
    return hmac.new(key, person.encode() + b"\0" + code, hashlib.sha256).hexdigest()


def check(code: bytes, sealed: str | None, person: str, kind: str = PROCESS) -> None:
    """Check that this account has sealed what a job brings to be run.

    Raises
    ------
    Impossible
        If it has not.
    """
    if not hmac.compare_digest(seal(code, person, kind), sealed or ""):
        raise Impossible(
            "The code of this job was not written by the account that runs it, so it is not loaded: start the job from "
            "your own notebook."
        )


def loaded(code: bytes, sealed: str | None, person: str) -> Process:
    """Load a process that this account has sealed.

    Raises
    ------
    Impossible
        If the seal is not this account's, or the code does not load.
    """
    check(code, sealed, person)
    return unpacked(code)


def unpacked(code: bytes) -> Process:
    """Load a process whose seal was checked: on a worker of the same account."""
    try:
        process = cloudpickle.loads(code)
    except Exception as error:  # another Python, a package that is not there
        raise Impossible(
            f"The process of this job does not load here ({type(error).__name__}: {error}): start it again from a "
            "notebook with the same software."
        ) from None
    if not isinstance(process, Process):
        raise Impossible("The code of this job is no process.")
    return process


def _key() -> bytes:
    """Return the key of this account; made at its first use."""
    folder = Path.home() / ".config" / "geodes-lab"
    if problem := ownership.make(folder):
        raise GeodesError(f"There is no private place for the key of jobs: {problem}.")
    path = folder / "jobs.key"
    if not path.exists():
        user_folder.write_once(path, secrets.token_hex(32))
    if problem := ownership.fault(path):
        raise GeodesError(f"The key of jobs is not private: {problem}. Remove the file.")
    return path.read_text().strip().encode()
