"""A JSON file that is whole or not there."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any


def read(file: Path | None, default: Any) -> Any:
    """Return what a file holds; ``default`` where there is none, or it is damaged."""
    try:
        return json.loads(file.read_text()) if file else default
    except (OSError, ValueError):
        return default


def write(file: Path | None, value: Any) -> None:
    """Write it. If the disk is full, the former file stays."""
    if file is None:
        return
    try:
        with tempfile.NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.stem}", delete=False) as part:
            part.write(json.dumps(value))
        Path(part.name).replace(file)
    except OSError:
        pass
