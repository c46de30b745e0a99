"""A duty that one process at a time has; when it ends, however that happens, another one takes it over."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Wait until no other process has the duty of this file, and have it.

    Parameters
    ----------
    path
        It is made, for its owner alone, and stays; it has no content.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch(mode=0o600)
    with path.open("r+b") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
