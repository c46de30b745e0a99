"""Pairs of Sentinel-1 SLC images: bursts matched, aligned by their orbits over terrain, and multiplied."""
