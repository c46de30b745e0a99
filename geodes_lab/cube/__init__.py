"""What fills each pixel? Many products become one lazy cube."""

from __future__ import annotations

import warnings
from typing import Any


def __getattr__(name: str) -> Any:
    """Return names of before 0.1, for one release."""
    if name != "open_cube":
        raise AttributeError(f"module 'geodes_lab.cube' has no attribute {name!r}")
    from geodes_lab.cube.opening import open_cube

    warnings.warn("geodes_lab.cube.open_cube is now geodes_lab.open_cube.", DeprecationWarning, stacklevel=2)
    return open_cube
