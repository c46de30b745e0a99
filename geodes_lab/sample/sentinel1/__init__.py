"""Sentinel-1 of the sample."""

from geodes_lab.sample.sentinel1.grd import products as products
