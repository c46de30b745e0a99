"""Where in the zip? The members of a product, listed once and read in place."""

from __future__ import annotations

import warnings
from typing import Any


def __getattr__(name: str) -> Any:
    """Return names of before 0.1, for one release."""
    if name != "Archive":
        raise AttributeError(f"module 'geodes_lab.archive' has no attribute {name!r}")
    from geodes_lab.archive.archive import Archive

    warnings.warn(
        "geodes_lab.archive.Archive is now geodes_lab.archive.archive.Archive.", DeprecationWarning, stacklevel=2
    )
    return Archive
