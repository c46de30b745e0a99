"""What does it look like? holoviews objects that zoom and compose; only the visible part is computed."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if (
    find_spec("holoviews") is None
):  # each plot imports holoviews late, since that takes a second; a missing package is reported at once
    raise ModuleNotFoundError("No module named 'holoviews'", name="holoviews")

from geodes_lab import extras
from geodes_lab.plot.animate import animate
from geodes_lab.plot.compare import compare
from geodes_lab.plot.footprints import footprints
from geodes_lab.plot.image import image
from geodes_lab.plot.rgb import rgb
from geodes_lab.plot.series import series
from geodes_lab.plot.tracks import tracks

__all__ = ["animate", "compare", "footprints", "image", "map", "rgb", "series", "tracks"]

if TYPE_CHECKING:
    from geodes_lab.plot.cube_map import map as map


def __getattr__(name: str) -> Any:
    if name != "map":  # it needs the extras map and tiles, the others do not
        raise AttributeError(f"module 'geodes_lab.plot' has no attribute {name!r}; it has {', '.join(__all__)}")
    with extras.needed("gl.plot.map"):
        from geodes_lab.plot.cube_map import map as made
    globals()[name] = made
    return made
