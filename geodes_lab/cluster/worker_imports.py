"""Workers import what reading needs while nothing is computed: the first computation would wait two seconds for it."""

from __future__ import annotations

import contextlib
import importlib
from typing import Any

NEEDED = "geodes_lab.cube.mosaic"  # by name, since it is above this package


def begin(client: Any) -> None:
    """Let the workers that there are import it, without waiting; later ones do so at their first task."""
    client.run(_imported, wait=False, on_error="ignore")


async def _imported() -> None:
    """Import it in the worker's event loop: a task that comes meanwhile waits, and no two threads import at once."""
    with contextlib.suppress(Exception):  # the first task says why
        importlib.import_module(NEEDED)
