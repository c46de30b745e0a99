"""Pictures: holoviews objects that zoom and compose; only what is on the screen is computed."""

from geodes_lab.plot.animate import animate
from geodes_lab.plot.compare import compare
from geodes_lab.plot.footprints import footprints
from geodes_lab.plot.image import image
from geodes_lab.plot.rgb import rgb
from geodes_lab.plot.series import series
from geodes_lab.plot.tracks import tracks

__all__ = ["animate", "compare", "footprints", "image", "rgb", "series", "tracks"]
