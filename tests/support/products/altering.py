"""A product with some of its members changed."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path

Change = Callable[[str, bytes], bytes | None]
"""From a member's name and bytes to other bytes; None: it is left out."""


def written(source: Path, folder: Path, change: Change) -> Path:
    """Copy a zip into a folder, changed; gives its path."""
    path = folder / source.name
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for info in old.infolist():
            data = change(info.filename, old.read(info))
            if data is not None:
                new.writestr(info, data)
    return path
