"""Sentinel-3's altimeter, SRAL."""
