"""The edition of the sample datalake, and whether a folder has it whole.

A module of its own: a lab asks at each start, and the writers load GDAL and all families.
"""

from __future__ import annotations

import json
from pathlib import Path

# The content depends only on the modules of this package: if they change, the sample is written again.
VERSION = 8
DONE = "sample.json"


def is_complete(folder: Path) -> bool:
    """Return whether a folder has a complete sample datalake of this version."""
    try:
        return bool(json.loads((folder / DONE).read_text())["version"] == VERSION)
    except (OSError, ValueError, KeyError):
        return False
