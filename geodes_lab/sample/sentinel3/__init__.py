"""Sentinel-3 of the sample."""
