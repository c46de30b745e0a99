"""Sentinel-2 of the sample."""

from geodes_lab.sample.sentinel2.l1c import scenes as scenes
from geodes_lab.sample.sentinel2.l1c import write as write
