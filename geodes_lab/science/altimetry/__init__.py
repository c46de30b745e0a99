"""What do altimeters say of the sea? Sea level, waves, maps, crossovers, filters and comparisons."""

from geodes_lab.science.altimetry.binning import binned
from geodes_lab.science.altimetry.collocation import agreement, collocated
from geodes_lab.science.altimetry.crossovers import crossovers
from geodes_lab.science.altimetry.editing import edited
from geodes_lab.science.altimetry.filters import smoothed
from geodes_lab.science.altimetry.interpolation import interpolated
from geodes_lab.science.altimetry.sea_level import sea_level_anomaly
from geodes_lab.science.altimetry.wave_height import wave_height

__all__ = [
    "agreement",
    "binned",
    "collocated",
    "crossovers",
    "edited",
    "interpolated",
    "sea_level_anomaly",
    "smoothed",
    "wave_height",
]
