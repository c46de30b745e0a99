"""The user's home: made at the first start, with the shared notebooks in it; what the user changed is never touched."""

from __future__ import annotations

import shutil
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def furnish(spawner) -> None:
    """Copy the shared notebooks that are not there yet into ``notebooks/`` of the home (a pre-spawn hook)."""
    target = Path(spawner.home_dir) / "notebooks"
    target.mkdir(parents=True, exist_ok=True)
    for source in sorted(NOTEBOOKS.glob("*.ipynb")):
        if not (target / source.name).exists():
            shutil.copyfile(source, target / source.name)
