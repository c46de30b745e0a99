"""What does it look like? holoviews objects that zoom and compose; only the visible part is computed."""

from importlib.util import find_spec

if (
    find_spec("holoviews") is None
):  # each plot imports holoviews late, since that takes a second; a missing package is reported at once
    raise ModuleNotFoundError("No module named 'holoviews'", name="holoviews")

from geodes_lab.plot.animate import animate
from geodes_lab.plot.compare import compare
from geodes_lab.plot.footprints import footprints
from geodes_lab.plot.image import image
from geodes_lab.plot.rgb import rgb
from geodes_lab.plot.series import series
from geodes_lab.plot.tracks import tracks

__all__ = ["animate", "compare", "footprints", "image", "rgb", "series", "tracks"]
